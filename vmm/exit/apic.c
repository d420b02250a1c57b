/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of what the processor does not virtualize of the guest's local APIC. */
#include "vmm/exit/exit.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

/* An access that is not virtualized: as if the page were not there. SDM, "APIC-Access VM Exits". */
enum outcome exit_apic_access(struct vcpu *vcpu)
{
	u64 q = vcpu->exit_qualification;
	unsigned int type = APIC_ACCESS_TYPE(q);

	if (type > APIC_ACCESS_WRITE || (vcpu->event.info & INTR_INFO_VALID)) {
		vm_stop(vcpu->vm, VM_END_CRASH,
			"code, a page table or a stack in the page of the local APIC (access type "
			"%u)",
			type);
		return OUTCOME_STOP;
	}
	return mmio_emulate(vcpu, VLAPIC_MMIO_BASE + (q & APIC_ACCESS_OFFSET),
			    type == APIC_ACCESS_WRITE);
}

static inline void take_traps(struct vcpu *vcpu)
{
	if (unlikely(vmcs_read(GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_DUE))
		vcpu_debug_trap(vcpu, false);
}

/*
 * A write that the processor has done in the page, as far as it can: RIP is behind it, and traps are pending. What is
 * written may let an interrupt in, so they have to be taken now.
 */
enum outcome exit_apic_write(struct vcpu *vcpu)
{
	take_traps(vcpu);
	vlapic_page_written(&vcpu->lapic, vcpu->exit_qualification & APIC_ACCESS_OFFSET);
	return OUTCOME_RESUME;
}

/* The EOI of a level-triggered vector: the processor has done it all but for the I/O APIC. */
enum outcome exit_virtualized_eoi(struct vcpu *vcpu)
{
	take_traps(vcpu);
	vlapic_eoi_done(&vcpu->lapic, (u8)vcpu->exit_qualification);
	return OUTCOME_RESUME;
}
