/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts by virtual-interrupt delivery: the processor takes vectors from the IRR of the
 * virtual-APIC page into the guest, follows the TPR, and does what an EOI does, all without an exit.
 * SDM, "APIC Virtualization and Virtual Interrupts".
 *
 * The page is the vlapic's; beside it the processor keeps the highest vector requested (RVI) and the
 * highest in service (SVI) in the VMCS. They are written whenever the VMM has changed the page, and
 * left alone otherwise: after an exit page and VMCS agree.
 *
 * An EOI of a level-triggered vector has to reach the I/O APIC: those vectors are in the EOI-exit
 * bitmap before they are in the IRR, since only vlapic_sync takes them there.
 */
#include "vmm/host/host.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

#define EOI_EXIT_BITMAP(i) ((enum vmcs_field)(EOI_EXIT_BITMAP_0 + 2 * (i)))
_Static_assert(EOI_EXIT_BITMAP(3) == EOI_EXIT_BITMAP_3, "the encodings are 2 apart");

static bool is_posted(void)
{
	return vmx_uses(&vmm.caps, VMX_POSTED_INTERRUPTS);
}

static void vid_init(struct vcpu *vcpu)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(vcpu->ctx->eoi_exits); i++) {
		vcpu->ctx->eoi_exits[i] = 0;
		vmcs_write(EOI_EXIT_BITMAP(i), 0);
	}
	vmcs_write(GUEST_INTERRUPT_STATUS, 0);
	vmcs_write(TPR_THRESHOLD, 0); /* looked at while delivery is off: vcpu_apic_mode_changed */
	vcpu->lapic.changed = true;
	if (!is_posted())
		return;
	vmcs_write(POSTED_INTERRUPT_VECTOR, host_posted_vector());
	vmcs_write(POSTED_INTERRUPT_DESCRIPTOR, (u64)(uintptr_t)&vcpu->lapic.edge);
}

static void update_eoi_exits(struct vcpu *vcpu)
{
	u64 level[ARRAY_SIZE(vcpu->ctx->eoi_exits)];

	vlapic_level_vectors(&vcpu->lapic, level);
	for (unsigned int i = 0; i < ARRAY_SIZE(level); i++) {
		if (level[i] == vcpu->ctx->eoi_exits[i])
			continue;
		vcpu->ctx->eoi_exits[i] = level[i];
		vmcs_write(EOI_EXIT_BITMAP(i), level[i]);
	}
}

/* What a software-disabled APIC holds stays requested, and is not delivered: RVI = 0. */
static void update_status(struct vcpu *vcpu)
{
	struct vlapic *v = &vcpu->lapic;
	int rvi = v->enabled ? vlapic_highest_irr(v) : -1, svi = vlapic_highest_isr(v);

	v->changed = false;
	vmcs_write(GUEST_INTERRUPT_STATUS, INTERRUPT_STATUS(MAX(rvi, 0), MAX(svi, 0)));
}

static void vid_inject(struct vcpu *vcpu, struct vcpu_entry *entry)
{
	struct vlapic *v = &vcpu->lapic;

	vlapic_sync(v);
	if (v->changed) {
		vcpu_apic_mode_changed(vcpu); /* enabled or disabled by its SVR */
		update_eoi_exits(vcpu);
		update_status(vcpu);
	}
	v->irr_words = v->isr_words = 0xff; /* the processor changes them: look */
	if (unlikely(vcpu_pic_pending(vcpu)))
		vcpu_inject_pic(vcpu, entry);
}

/* Where the VMM sees an EOI, the page has changed: RVI and SVI are to be written. */
static bool vid_idle(const struct vcpu *vcpu)
{
	return !vcpu->lapic.changed;
}

/*
 * A processor that is in the guest takes what is posted without an exit; one that is not (the
 * notification finds the VMM, or another guest) finds it before its next entry. Level-triggered
 * requests are not posted: it has to exit for them.
 */
static void vid_notify(struct vcpu *vcpu)
{
	if (is_posted() && !posted_any(&vcpu->lapic.level))
		vcpu_post(vcpu);
	else
		vcpu_kick(vcpu);
}

const struct vcpu_irq_ops vcpu_irq_vid = {
	.init = vid_init,
	.inject = vid_inject,
	.idle = vid_idle,
	.notify = vid_notify,
};
