/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's local APIC and the processor: what of it is virtualized in which mode. */
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

/* The secondary controls that depend on the mode. Of the first two a vCPU may have one. */
static const u32 mode_controls[] = {
	[VLAPIC_DISABLED] = 0,
	[VLAPIC_XAPIC] = CPU2_VIRTUALIZE_APIC_ACCESSES | CPU2_VIRTUAL_INTERRUPT_DELIVERY,
	[VLAPIC_X2APIC] = CPU2_VIRTUALIZE_X2APIC_MODE | CPU2_VIRTUAL_INTERRUPT_DELIVERY,
};
#define MODE_CONTROLS                                                        \
	((u32)(CPU2_VIRTUALIZE_APIC_ACCESSES | CPU2_VIRTUALIZE_X2APIC_MODE | \
	       CPU2_VIRTUAL_INTERRUPT_DELIVERY))

/*
 * A processor that delivers virtual interrupts does not know that the APIC can be disabled by its SVR: it
 * would deliver an IPI to self. So it has to leave that to the VMM then, and the accesses as well.
 */
static u32 controls_of_mode(struct vcpu *vcpu)
{
	u32 use = mode_controls[vlapic_mode(&vcpu->lapic)] & vmm.controls.word[VMX_CPU2];

	if (!vcpu->lapic.enabled && (use & CPU2_VIRTUAL_INTERRUPT_DELIVERY))
		use &= (u32)CPU2_VIRTUALIZE_APIC_ACCESSES; /* it makes them exits */
	return use;
}

static void set_msr_bitmap(struct vcpu *vcpu)
{
	bool x2apic = vcpu->ctx->cpu2_controls & CPU2_VIRTUALIZE_X2APIC_MODE;

	vmcs_write(MSR_BITMAP, (u64)(uintptr_t)vcpu->vm
				       ->msr_bitmap[x2apic ? MSR_BITMAP_X2APIC : MSR_BITMAP_PLAIN]);
}

/* Posted interrupts go with virtual-interrupt delivery. SDM, "VM-Execution Control Fields". */
static void update_pin_controls(bool delivery)
{
	u32 pin = vmm.controls.word[VMX_PIN];

	vmcs_write(PIN_BASED_CONTROLS, delivery ? pin : pin & ~(u32)PIN_POSTED_INTERRUPTS);
}

void vcpu_irq_init(struct vcpu *vcpu)
{
	vcpu->irq = vmx_uses(&vmm.caps, VMX_VID) ? &vcpu_irq_vid : &vcpu_irq_software;
	vcpu->ctx->cpu2_controls &= ~MODE_CONTROLS;
	vmcs_write(SECONDARY_CONTROLS, vcpu->ctx->cpu2_controls);
	update_pin_controls(false);
	set_msr_bitmap(vcpu);
	if (vcpu->ctx->cpu_controls & CPU_TPR_SHADOW)
		vmcs_write(VIRTUAL_APIC_ADDRESS, (u64)(uintptr_t)vcpu->lapic.regs);
	if (vmx_uses(&vmm.caps, VMX_APIC_ACCESSES))
		vmcs_write(APIC_ACCESS_ADDRESS, vcpu->vm->apic_access);
	vcpu->irq->init(vcpu);
	vcpu_apic_mode_changed(vcpu);
}

void vcpu_apic_mode_changed(struct vcpu *vcpu)
{
	u32 use = controls_of_mode(vcpu),
	    changed = (vcpu->ctx->cpu2_controls & MODE_CONTROLS) ^ use;

	if (!changed)
		return;
	vcpu->ctx->cpu2_controls ^= changed;
	vmcs_write(SECONDARY_CONTROLS, vcpu->ctx->cpu2_controls);
	if (changed & CPU2_VIRTUAL_INTERRUPT_DELIVERY)
		update_pin_controls(use & CPU2_VIRTUAL_INTERRUPT_DELIVERY);
	set_msr_bitmap(vcpu);
	/*
	 * Translations of the page that were cached while its accesses were not virtualized do not know
	 * that they are now. SDM, "Software Use of the INVEPT and INVVPID Instructions".
	 */
	if (changed & CPU2_VIRTUALIZE_APIC_ACCESSES) {
		vcpu_flush_tlb(vcpu);
		vmx_invept(&vmm.caps, vcpu->ctx->eptp);
	}
}
