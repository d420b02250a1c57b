/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the paravirtual interface share: MSRs by exits, and a look at the guest's
 * RAM.
 */
#ifndef TESTS_UNIT_PV_RIG_H
#define TESTS_UNIT_PV_RIG_H

#include "tests/unit/vcpu_rig.h"
#include "vmm/vcpu/pv.h"

#define PV_AREA 0x4000ULL /* where a test registers what it registers */

/* False: #GP. */
static inline bool pv_wr(u32 msr, u64 value)
{
	struct guest_regs *g = &rig_vcpu.regs;

	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	rig_vcpu.event.info = 0;
	g->rcx = msr;
	g->rax = lower_32(value);
	g->rdx = upper_32(value);
	assert_true(rig_exit(EXIT_WRMSR, 0));
	if (rig_advanced())
		return true;
	assert_gp();
	return false;
}

static inline bool pv_rd(u32 msr, u64 *value)
{
	struct guest_regs *g = &rig_vcpu.regs;

	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	rig_vcpu.event.info = 0;
	g->rcx = msr;
	assert_true(rig_exit(EXIT_RDMSR, 0));
	if (!rig_advanced())
		return false;
	*value = make_64((u32)g->rdx, (u32)g->rax);
	return true;
}

static inline u64 pv_msr(u32 msr)
{
	u64 value = 0;

	assert_true(pv_rd(msr, &value));
	return value;
}

static inline u64 pv_ram(gpa_t gpa, size_t len)
{
	u64 value = 0;

	assert_true(guest_read(&rig_vm->mem, gpa, &value, len));
	return value;
}

static inline void pv_poke(gpa_t gpa, u64 value, size_t len)
{
	assert_true(guest_write(&rig_vm->mem, gpa, &value, len));
}

/* A checksum of all RAM around the places that tests use: has anything been written? */
static inline u64 pv_ram_sum(void)
{
	u64 sum = 0;

	for (gpa_t gpa = 0; gpa < 0x8000; gpa += 8)
		sum = sum * 31 + pv_ram(gpa, 8);
	for (gpa_t gpa = RIG_RAM - 0x2000; gpa < RIG_RAM; gpa += 8)
		sum = sum * 31 + pv_ram(gpa, 8);
	return sum;
}

/*
 * Each of @bad is #GP, leaves RAM and what was registered alone. The MSR takes PV_AREA with
 * @enable.
 */
static inline void pv_refuses(u32 msr, const u64 *bad, unsigned int count, u64 enable)
{
	u64 sum;

	assert_true(pv_wr(msr, PV_AREA | enable));
	sum = pv_ram_sum();
	for (unsigned int i = 0; i < count; i++) {
		assert_false(pv_wr(msr, bad[i]));
		assert_int_equal(pv_msr(msr), PV_AREA | enable);
	}
	assert_int_equal(pv_ram_sum(), sum);
}

#endif
