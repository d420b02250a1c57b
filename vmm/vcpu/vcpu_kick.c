/* SPDX-License-Identifier: BSD-2-Clause */
/* How others make a vCPU look at what they have left for it. */
#include "vmm/host/ap.h"
#include "vmm/host/host.h"
#include "vmm/vcpu/vcpu.h"

static void wake(struct vcpu *vcpu)
{
	int cpu = sched_wake(&scheduler, &vcpu->sched, rdtsc());

	if (cpu != SCHED_NOBODY)
		host_kick(cpu_by_id((unsigned int)cpu));
}

/*
 * Only the first one after an entry sends the interrupt: it also covers all that others have left
 * until the vCPU looks. Its CPU is asked for after its mode: if it has left that CPU since, it looks
 * before it enters the guest on another one, and the interrupt is superfluous, no more.
 */
static void force_exit(struct vcpu *vcpu)
{
	enum vcpu_mode in_guest = VCPU_IN_GUEST;
	struct cpu *cpu;

	if (!atomic_compare_exchange_strong(&vcpu->mode, &in_guest, VCPU_KICKED))
		return;
	cpu = atomic_load(&vcpu->on);
	if (cpu)
		host_interrupt(cpu);
}

void vcpu_kick(struct vcpu *vcpu)
{
	switch (atomic_load(&vcpu->mode)) {
	case VCPU_IN_GUEST: force_exit(vcpu); break;
	case VCPU_BLOCKED: wake(vcpu); break;
	case VCPU_KICKED:
	case VCPU_OUT: break;
	}
}

void vcpu_post(struct vcpu *vcpu)
{
	const struct cpu *cpu;

	if (atomic_load(&vcpu->mode) != VCPU_IN_GUEST) {
		vcpu_kick(vcpu);
		return;
	}
	cpu = atomic_load(&vcpu->on); /* after the mode: as in force_exit */
	if (cpu)
		host_post(cpu);
}

void vcpu_request_nmi(struct vcpu *vcpu)
{
	if (atomic_fetch_or(&vcpu->requests, VCPU_REQ_NMI) & VCPU_REQ_NMI)
		atomic_fetch_or(&vcpu->requests, VCPU_REQ_NMI_2);
	vcpu_kick(vcpu);
}

void vcpu_request(struct vcpu *vcpu, unsigned int request)
{
	atomic_fetch_or(&vcpu->requests, request);
	vcpu_kick(vcpu);
}
