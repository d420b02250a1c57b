/* How others make a vCPU look at what they have left for it. */
#include "vmm/ap.h"
#include "vmm/host.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static void wake(struct vcpu *vcpu)
{
	int cpu = sched_wake(&vmm.sched, &vcpu->sched, rdtsc());

	if (cpu != SCHED_NOBODY)
		host_kick(cpu_by_id((unsigned int)cpu));
}

/*
 * Only the first one after an entry sends the interrupt: it also covers all that others have left
 * until the vCPU looks. (An exit that comes in between makes the interrupt superfluous, no more.)
 */
static void force_exit(struct vcpu *vcpu)
{
	enum vcpu_mode in_guest = VCPU_IN_GUEST;
	struct cpu *cpu = atomic_load_explicit(&vcpu->on, memory_order_relaxed);

	if (cpu && atomic_compare_exchange_strong(&vcpu->mode, &in_guest, VCPU_KICKED))
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
	const struct cpu *cpu = atomic_load_explicit(&vcpu->on, memory_order_relaxed);

	if (cpu && atomic_load(&vcpu->mode) == VCPU_IN_GUEST)
		host_post(cpu);
	else
		vcpu_kick(vcpu);
}

void vcpu_request(struct vcpu *vcpu, unsigned int request)
{
	atomic_fetch_or(&vcpu->requests, request);
	vcpu_kick(vcpu);
}
