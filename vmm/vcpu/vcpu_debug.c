/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug exceptions that the VMM owes its guest: at the end of an instruction that was done in the processor's place,
 * and those whose exit it takes. They are queued like any other exception, and not left to the processor as pending
 * debug exceptions: an entry that brings an interrupt would drop those, and a HLT would sleep over them. SDM, "Delivery
 * of Pending Debug Exceptions after VM Entry".
 */
#include "vmm/vcpu/vcpu_irq.h"
#include "vmx/controls.h"

/* B0-B3, BD and BS, where the exit qualification and the pending debug exceptions have them, too. */
#define DR6_CAUSES      0x600fULL
#define DR6_BREAKPOINTS 0xfULL
#define DR6_FIXED       0xffff0ff0ULL

/* SDM, "Single-Stepping on Branches": each debug exception clears BTF; and its exit has not done it. */
void vcpu_debug_state(u64 causes)
{
	u64 debugctl = vmcs_read(GUEST_IA32_DEBUGCTL);

	write_dr6((read_dr6() & ~DR6_BREAKPOINTS) | (causes & DR6_CAUSES) | DR6_FIXED);
	if (unlikely(debugctl & DEBUGCTL_BTF))
		vmcs_write(GUEST_IA32_DEBUGCTL, debugctl & ~DEBUGCTL_BTF);
}

/*
 * In a shadow an entry insists on a pending step where TF is set, which the exit of a #DB has not left. The instruction
 * before, STI, MOV SS or POP SS, cannot have set TF, so there is one; the #DB that is injected takes it along. SDM,
 * "Checks on Guest Non-Register State".
 */
void vcpu_debug_in_shadow(void)
{
	u64 pending = vmcs_read(GUEST_PENDING_DEBUG_EXCEPTIONS);

	if ((vmcs_read(GUEST_INTERRUPTIBILITY_STATE) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) &&
	    (vmcs_read(GUEST_RFLAGS) & RFLAGS_TF) &&
	    !(vmcs_read(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF))
		vmcs_write(GUEST_PENDING_DEBUG_EXCEPTIONS, pending | PENDING_DEBUG_BS);
}

void vcpu_debug_trap(struct vcpu *vcpu, bool step)
{
	u64 pending = vmcs_read(GUEST_PENDING_DEBUG_EXCEPTIONS);

	if (step && !(vmcs_read(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF))
		pending |= PENDING_DEBUG_BS;
	if (!(pending & PENDING_DEBUG_DUE))
		return;
	vmcs_write(GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vcpu_debug_state(pending);
	vcpu_inject_debug(vcpu);
}

/* SDM, "Instruction-Breakpoint Exception Condition", of repeated string instructions. */
void vcpu_iteration_done(struct vcpu *vcpu)
{
	const u64 shadows = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;
	u64 blocking = vmcs_read(GUEST_INTERRUPTIBILITY_STATE), rflags = vmcs_read(GUEST_RFLAGS);

	vmcs_write(GUEST_RFLAGS, rflags | RFLAGS_RF);
	if (blocking & shadows)
		vmcs_write(GUEST_INTERRUPTIBILITY_STATE, blocking & ~shadows);
	if ((rflags & RFLAGS_TF) || (blocking & BLOCKING_BY_MOV_SS))
		vcpu_debug_trap(vcpu, rflags & RFLAGS_TF);
}

/* (A data breakpoint on a store to the TPR alone could be pending without TF: it is not worth a read at each injection.) */
bool vcpu_trap_pending(u64 rflags)
{
	return unlikely(rflags & RFLAGS_TF) &&
	       (vmcs_read(GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_DUE);
}
