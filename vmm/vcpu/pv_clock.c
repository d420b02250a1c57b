/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/pv_clock.h"
#include "lib/math.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"

#define NS_PER_SECOND 1000000000ULL

/* mul is a fraction of 32 bits: the largest of them that is below 1 is the most exact one. */
struct pv_scale pv_scale_make(u64 hz)
{
	struct pv_scale scale = { .shift = 0 };
	u64 ns = NS_PER_SECOND;

	for (; ns >= hz; hz <<= 1)
		scale.shift++;
	for (; ns * 2 < hz; ns <<= 1)
		scale.shift--;
	scale.mul = (u32)mul_div(ns, 1ULL << 32, hz);
	return scale;
}

void pv_clock_init(struct vm *vm)
{
	u64 since = vm->tsc_base - vmm.start_tsc;

	vm->pv = (struct vm_pv){
		.scale = pv_scale_make(vmm.tsc_hz),
		.wall_sec = (u32)(vmm.epoch + since / vmm.tsc_hz),
		.wall_nsec = (u32)mul_div(since % vmm.tsc_hz, NS_PER_SECOND, vmm.tsc_hz),
	};
}

/* Only with a TSC that never changes its rate are the clocks of all vCPUs one. */
static bool is_stable(const struct vcpu *vcpu)
{
	return cpuid_has(&vcpu->cpuid, PV_CPUID_FEATURES, 0, CPUID_EAX, PV_FEATURE_CLOCK_STABLE);
}

void pv_clock_update(const struct vcpu *vcpu)
{
	struct pv_clock_area area = {
		.tsc_timestamp = vcpu->tsc_adjust, /* what the guest's TSC was at guest time 0 */
		.system_time = 0,
		.mul = vcpu->vm->pv.scale.mul,
		.shift = vcpu->vm->pv.scale.shift,
		.flags = is_stable(vcpu) ? PV_CLOCK_STABLE : 0,
	};
	gpa_t gpa = vcpu->pv.clock & ~PV_ENABLE;
	size_t head = sizeof(area.version);

	if (vcpu->pv.clock & PV_ENABLE)
		pv_publish(vcpu->vm, gpa, gpa + head, (const u8 *)&area + head,
			   sizeof(area) - head);
}

bool pv_read_clock(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = vcpu->pv.clock;
	return true;
}

static bool crosses_page(gpa_t gpa, u64 size)
{
	return gpa / PAGE_SIZE != (gpa + size - 1) / PAGE_SIZE;
}

/* KVM takes no area that crosses a page, either. */
bool pv_write_clock(struct vcpu *vcpu, u32 msr, u64 value)
{
	gpa_t gpa = value & ~PV_ENABLE;
	u64 size = sizeof(struct pv_clock_area);

	(void)msr;
	if ((value & PV_ENABLE) &&
	    (!pv_is_ram(vcpu->vm, gpa, size, sizeof(u32)) || crosses_page(gpa, size)))
		return false;
	vcpu->pv.clock = value;
	pv_clock_update(vcpu);
	return true;
}

bool pv_read_wall_clock(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = vcpu->vm->pv.wall_clock;
	return true;
}

/*
 * It is written once for each write of the MSR; 0 is what a guest writes that wants none any
 * more.
 */
bool pv_write_wall_clock(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct vm *vm = vcpu->vm;
	u32 time[2] = { vm->pv.wall_sec, vm->pv.wall_nsec };

	(void)msr;
	if (value && !pv_is_ram(vm, value, sizeof(struct pv_wall_clock), sizeof(u32)))
		return false;
	vm->pv.wall_clock = value;
	if (value)
		pv_publish(vm, value, value + offsetof(struct pv_wall_clock, sec), time,
			   sizeof(time));
	return true;
}
