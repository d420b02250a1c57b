/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/pv.h"
#include "lib/guest_mem.h"
#include "vmm/vcpu/pv_clock.h"
#include "vmm/vcpu/pv_steal.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"

#define POLL_CONTROL_ON BIT(0)

void pv_vm_init(struct vm *vm)
{
	pv_clock_init(vm);
}

void pv_reset(struct vcpu *vcpu)
{
	vcpu->pv = (struct vcpu_pv){
		.waited = vcpu->pv.waited,
		.poll_control = POLL_CONTROL_ON,
		.calls = cpuid_has(&vcpu->cpuid, PV_CPUID_FEATURES, 0, CPUID_EAX,
				   PV_FEATURE_SEND_IPI),
	};
}

void pv_vcpu_loaded(struct vcpu *vcpu, u64 waited)
{
	vcpu->pv.waited = waited;
	if (vcpu->pv.steal & PV_ENABLE)
		pv_steal_loaded(vcpu);
}

void pv_vcpu_unloaded(struct vcpu *vcpu, bool runnable)
{
	if (runnable && (vcpu->pv.steal & PV_ENABLE))
		pv_steal_preempted(vcpu);
}

bool pv_is_ram(const struct vm *vm, gpa_t gpa, u64 size, u64 align)
{
	return IS_ALIGNED(gpa, align) && guest_mem_contains(&vm->mem, gpa, size);
}

/*
 * The version goes on from what is in memory, so that it matters neither who has written there
 * before nor that another vCPU's update may come in between (which only a guest can bring about
 * that registers one area twice; it gets what it asked for). The fences order the compiler's
 * stores; the CPU keeps them in order. SDM, "Memory Ordering in P6 and More Recent Processor
 * Families".
 */
void pv_publish(const struct vm *vm, gpa_t version, gpa_t gpa, const void *data, size_t len)
{
	u32 v;

	if (!guest_read(&vm->mem, version, &v, sizeof(v)))
		return;
	v = (v + 1) | 1;
	if (!guest_write(&vm->mem, version, &v, sizeof(v)))
		return;
	atomic_thread_fence(memory_order_release);
	if (!guest_write(&vm->mem, gpa, data, len))
		return;
	atomic_thread_fence(memory_order_release);
	v++;
	(void)!guest_write(&vm->mem, version, &v, sizeof(v));
}

bool pv_read_poll_control(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = vcpu->pv.poll_control;
	return true;
}

bool pv_write_poll_control(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)msr;
	if (value & ~POLL_CONTROL_ON)
		return false;
	vcpu->pv.poll_control = value;
	return true;
}
