/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of every exit: what caused it is handled, and if that leaves nothing to be looked after, the guest is
 * entered again from here, without the run loop. What every exit pays is in this file and in vmx/entry.asm.
 */
#include "vmm/exit/arm.h"
#include "vmm/observe/dump.h"
#include "vmm/exit/exit.h"
#include "vmm/observe/inside.h"
#include "vmm/vcpu/pv_eoi.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

#define SHADOWS (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)

/*
 * What the end of an instruction may bring about: TF asks for a trap behind it; RF has held a breakpoint on it back,
 * and ends with it; the shadow of a MOV SS, which ends, has held back those on the MOV SS. SDM, "Instruction-Breakpoint
 * Exception Condition", "Pending Debug Exceptions". The last one is told in a bit of RFLAGS that is always 0.
 */
#define ENDED_MOV_SS BIT(15)
#define ENDED_ODDLY  (RFLAGS_TF | RFLAGS_RF | ENDED_MOV_SS)

/*
 * The instruction at RIP, of @length bytes, is done: go on behind it, out of the shadow of an STI or MOV SS
 * before it. RFLAGS, and ENDED_MOV_SS; ENDED_ODDLY in it is the caller's to see to. In every exit's way: a call less.
 */
static inline u64 advance(u64 length)
{
	u64 blocking = vmcs_read(GUEST_INTERRUPTIBILITY_STATE);

	vmcs_write(GUEST_RIP, vmcs_read(GUEST_RIP) + length);
	if (unlikely(blocking & SHADOWS)) {
		vmcs_write(GUEST_INTERRUPTIBILITY_STATE, blocking & ~SHADOWS);
		if (unlikely(blocking & BLOCKING_BY_MOV_SS))
			return vmcs_read(GUEST_RFLAGS) | ENDED_MOV_SS;
	}
	return vmcs_read(GUEST_RFLAGS);
}

/* Whoever has something for the vCPU need not interrupt this CPU: it looks before the next entry. */
static void leave_guest(struct vcpu *vcpu)
{
	atomic_store_explicit(&vcpu->mode, VCPU_OUT, memory_order_relaxed);
}

/* It may have a trap to take: not without a look. */
static __noinline void end_in_trap(u64 flags)
{
	struct vcpu *vcpu = this_cpu()->vcpu;

	leave_guest(vcpu);
	vcpu_debug_trap(vcpu, flags & RFLAGS_TF);
}

/* The exit of such an access is a fault, and has saved RF as 1. SDM, "Saving RIP, RSP, RFLAGS, and SSP". */
void exit_advance(u64 length)
{
	u64 flags = advance(length);

	vmcs_write(GUEST_RFLAGS, flags & ~(RFLAGS_RF | ENDED_MOV_SS));
	if (unlikely(flags & (RFLAGS_TF | ENDED_MOV_SS)))
		end_in_trap(flags);
}

/*
 * The exit came while an event was being delivered: deliver that event again at the next entry.
 * SDM, "Information for VM Exits That Occur During Event Delivery".
 */
static void requeue_event(struct vcpu *vcpu, u32 info)
{
	vcpu->event.info = info & ~INTR_INFO_NMI_UNBLOCKING_IRET;
	if (info & INTR_INFO_ERROR_CODE)
		vcpu->event.error = vmcs_read32(IDT_VECTORING_ERROR_CODE);
	switch (info & INTR_INFO_TYPE) {
	case INTR_TYPE_NMI:
		/* It was taken, so NMIs are blocked; injecting it again must find them open. */
		vmcs_write(GUEST_INTERRUPTIBILITY_STATE,
			   vmcs_read(GUEST_INTERRUPTIBILITY_STATE) & ~BLOCKING_BY_NMI);
		break;
	case INTR_TYPE_SW_INTERRUPT:
	case INTR_TYPE_PRIV_SW_EXCEPTION:
	case INTR_TYPE_SW_EXCEPTION:
		vcpu->event.length = vmcs_read32(VM_EXIT_INSTRUCTION_LENGTH);
		break;
	}
}

/*
 * May the guest be entered again without a look around? Meanwhile the vCPU was still "in the guest" (enum
 * vcpu_mode): what came for it has kicked it, and the kick is seen here, or it is an interrupt of this CPU's
 * that makes the guest exit again. The end of its VM kicks the CPU.
 */
static inline bool nobody_kicked(const struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->mode, memory_order_relaxed) == VCPU_IN_GUEST &&
	       !this_cpu_kicked();
}

static enum outcome handle_prepared(struct vcpu *vcpu, const struct exit_handler *h);

static __noinline enum outcome handle_settled(struct vcpu *vcpu, const struct exit_handler *h)
{
	pv_eoi_collect(vcpu);
	return handle_prepared(vcpu, h);
}

static __noinline enum outcome handle_in_event(struct vcpu *vcpu, const struct exit_handler *h,
					       u32 info)
{
	requeue_event(vcpu, info);
	return h->handle(vcpu);
}

/* What the table says that the handler needs, and an EOI that it may have to know of. */
static __noinline enum outcome handle_prepared(struct vcpu *vcpu, const struct exit_handler *h)
{
	if (unlikely(vcpu->pv.eoi_offered))
		return handle_settled(vcpu, h);
	if (!(h->flags & EXIT_MAY_REENTER))
		leave_guest(vcpu);
	if (h->flags & EXIT_QUALIFIED)
		vcpu->exit_qualification = vmcs_read(EXIT_QUALIFICATION);
	if (h->flags & EXIT_IN_EVENT) {
		u32 info = vmcs_read32(IDT_VECTORING_INFO);

		if (unlikely(info & INTR_INFO_VALID))
			return handle_in_event(vcpu, h, info);
	}
	return h->handle(vcpu);
}

/* A reason with more than its basic part, or one that no manual has: a failed entry, or an exit all the same. */
static __noinline enum outcome handle_odd(struct vcpu *vcpu)
{
	unsigned int basic = vcpu->exit_reason & EXIT_REASON_BASIC;

	if (basic >= VMX_EXIT_REASON_COUNT)
		return exit_unexpected(vcpu);
	leave_guest(vcpu);
	vcpu->exits[basic]++;
	if (vcpu->exit_reason & EXIT_REASON_ENTRY_FAILURE)
		return exit_entry_failure(vcpu);
	return handle_prepared(vcpu, &exit_table[basic]);
}

TWICE enum outcome handle(struct vcpu *vcpu, u64 reason)
{
	const struct exit_handler *h;

	vcpu->log[vcpu->log_next++] = (u16)reason;
	if (unlikely(reason >= VMX_EXIT_REASON_COUNT))
		return handle_odd(vcpu);
	vcpu->exits[reason]++;
	h = &exit_table[reason];
	if (likely(h->flags == EXIT_MAY_REENTER))
		return h->handle(vcpu);
	if (h->flags == (EXIT_MAY_REENTER | EXIT_QUALIFIED)) {
		vcpu->exit_qualification = vmcs_read(EXIT_QUALIFICATION);
		return h->handle(vcpu);
	}
	return handle_prepared(vcpu, h);
}

/* The time since the exit was the VMM's. */
TWICE void account(struct vcpu *vcpu, u64 now, struct inside_view *view)
{
	vcpu->ticks[vcpu->exit_reason & EXIT_REASON_BASIC] += now - vcpu->exited;
	if (view)
		inside_entry(view, vcpu, vcpu->exited, now);
}

/* There is more to do on the way to the run loop. */
static __noinline struct guest_regs *settle_first(struct vcpu *vcpu)
{
	pv_eoi_settle(vcpu);
	if (vcpu->vm->state != VM_RUNNING && vcpu->vm->end == VM_END_CRASH)
		dump_vcpu(vcpu);
	return NULL;
}

/* The run loop has to look at the vCPU, or at the end of its VM. */
static inline struct guest_regs *look_first(struct vcpu *vcpu)
{
	if (unlikely(vcpu->pv.eoi_offered || vcpu->vm->state != VM_RUNNING))
		return settle_first(vcpu);
	return NULL;
}

static __noinline struct guest_regs *end_first(struct vcpu *vcpu, u64 flags)
{
	if (flags & RFLAGS_RF)
		vmcs_write(GUEST_RFLAGS, flags & ~(RFLAGS_RF | ENDED_MOV_SS));
	if (flags & (RFLAGS_TF | ENDED_MOV_SS))
		end_in_trap(flags);
	return look_first(vcpu);
}

/* What is not to be followed by an entry at once. Its instruction may be done. */
static __noinline struct guest_regs *look_after(struct vcpu *vcpu, enum outcome outcome)
{
	if (outcome & OUTCOME_ADVANCE_BIT) {
		u64 flags = advance(vmcs_read(VM_EXIT_INSTRUCTION_LENGTH));

		if (unlikely(flags & ENDED_ODDLY))
			return end_first(vcpu, flags);
	}
	return look_first(vcpu);
}

TWICE struct guest_regs *reenter(struct vcpu *vcpu, u64 tsc, u64 reason, struct inside_view *view)
{
	enum outcome outcome;
	u64 now;

	vmcs_count(VMCS_READS_GS); /* the reason */
	vcpu->exited = tsc;
	vcpu->exit_reason = (u32)reason;
	if (view)
		inside_exit(view, vcpu, tsc);
	outcome = handle(vcpu, reason);
	if (likely(outcome == OUTCOME_DONE)) {
		u64 flags = advance(vmcs_read(VM_EXIT_INSTRUCTION_LENGTH));

		if (unlikely(flags & ENDED_ODDLY))
			return end_first(vcpu, flags);
	} else if (outcome != OUTCOME_REENTER) {
		return look_after(vcpu, outcome);
	}
	if (unlikely(!nobody_kicked(vcpu)))
		return look_first(vcpu);
	now = rdtsc();
	if (unlikely(now >= vcpu->deadline))
		return look_first(vcpu);
	account(vcpu, now, view);
	arm(now, vcpu->deadline);
	return &vcpu->regs;
}

struct guest_regs *exit_reenter(struct guest_regs *regs, u64 tsc, u64 reason)
{
	return reenter(vcpu_of_regs(regs), tsc, reason, NULL);
}

struct guest_regs *exit_reenter_inside(struct guest_regs *regs, u64 tsc, u64 reason)
{
	struct vcpu *vcpu = vcpu_of_regs(regs);

	return reenter(vcpu, tsc, reason, vcpu->view);
}

const struct exit_ways exit_ways = { .plain = exit_reenter, .inside = exit_reenter_inside };
