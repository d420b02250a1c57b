/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls, as KVM numbers them: VMCALL with the number in RAX, arguments in RBX, RCX, RDX,
 * RSI.
 */
#include "vioapic/apic_regs.h"
#include "vmm/exit/exit.h"
#include "vmm/vcpu/pv.h"
#include "vmm/vm/vm.h"

#define ARGUMENTS 4

typedef s64 pv_call_fn(struct vcpu *vcpu, const u64 arg[ARGUMENTS]);

/* The exit was what it wanted: interrupts are looked for on the way back. */
static s64 call_poll_irq(struct vcpu *vcpu, const u64 arg[ARGUMENTS])
{
	(void)vcpu, (void)arg;
	return 0;
}

/*
 * An interrupt to each local APIC of a set: bits of arg 0 and 1, bit 0 is the APIC ID in arg 2;
 * arg 3 is as the ICR's lower half, without destination. How many took it.
 */
static s64 call_send_ipi(struct vcpu *vcpu, const u64 arg[ARGUMENTS])
{
	u32 icr = (u32)arg[3];
	struct vapic_msg msg = vapic_msg_short(icr, 0);
	u64 ids[2] = { arg[0], arg[1] };

	if ((icr & APIC_LOGICAL) || APIC_ICR_SHORTHAND(icr) != SHORTHAND_NONE)
		return PV_EINVAL;
	if (msg.mode == VAPIC_FIXED ? msg.vector < APIC_FIRST_VECTOR : msg.mode != VAPIC_NMI)
		return PV_EINVAL;
	msg.level = false; /* as of all IPIs */
	if (!vcpu_long_mode()) {
		ids[0] |= ids[1] << 32;
		ids[1] = 0;
	}
	return vapic_bus_multicast(&vcpu->vm->bus, &msg, (u32)arg[2], ids);
}

static struct vcpu *find_vcpu(const struct vm *vm, u64 apic_id)
{
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		if (vm->vcpu[i]->lapic.id == apic_id)
			return vm->vcpu[i];
	}
	return NULL;
}

/*
 * End the HLT of the vCPU in arg 1, whether interrupts could end it or not. Arg 0: flags, of
 * which there are none.
 */
static s64 call_kick_cpu(struct vcpu *vcpu, const u64 arg[ARGUMENTS])
{
	struct vcpu *target = find_vcpu(vcpu->vm, arg[1]);

	if (target)
		vcpu_request(target, VCPU_REQ_UNHALT);
	return 0;
}

/*
 * The caller has sent an interrupt to the vCPU in arg 0, and will wait: if that has no CPU, it
 * may have this one.
 */
static s64 call_sched_yield(struct vcpu *vcpu, const u64 arg[ARGUMENTS])
{
	struct vcpu *target = find_vcpu(vcpu->vm, arg[0]);

	if (target && target != vcpu && atomic_load(&target->mode) == VCPU_OUT)
		(void)exit_yield();
	return 0;
}

static pv_call_fn *const calls[PV_CALLS] = {
	[PV_CALL_POLL_IRQ] = call_poll_irq,
	[PV_CALL_KICK_CPU] = call_kick_cpu,
	[PV_CALL_SEND_IPI] = call_send_ipi,
	[PV_CALL_SCHED_YIELD] = call_sched_yield,
};

static enum outcome answer(struct vcpu *vcpu, s64 value, u64 mask)
{
	vcpu->regs.rax = (u64)value & mask;
	return OUTCOME_DONE;
}

static __noinline enum outcome do_call(struct vcpu *vcpu, pv_call_fn *call, u64 mask)
{
	const struct guest_regs *g = &vcpu->regs;
	const u64 arg[ARGUMENTS] = { g->rbx & mask, g->rcx & mask, g->rdx & mask, g->rsi & mask };

	return answer(vcpu, call(vcpu, arg), mask);
}

static __noinline enum outcome no_hypervisor(struct vcpu *vcpu)
{
	vcpu_inject_ud(vcpu); /* `hide = pv`: as where there is none */
	return OUTCOME_RESUME;
}

/* Outside of 64-bit mode registers are what they are there: 32 bits, and the others 0. */
enum outcome exit_vmcall(struct vcpu *vcpu)
{
	u64 mask, nr;

	if (unlikely(!vcpu->pv.calls))
		return no_hypervisor(vcpu);
	mask = vcpu_long_mode() ? ~0ULL : 0xffffffff;
	if (unlikely(vcpu_cpl()))
		return answer(vcpu, PV_EPERM, mask);
	nr = vcpu->regs.rax & mask;
	if (nr >= PV_CALLS || !calls[nr])
		return answer(vcpu, PV_ENOSYS, mask);
	return do_call(vcpu, calls[nr], mask);
}
