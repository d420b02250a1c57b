/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steal time: what waited shows up, who has no CPU is marked, and a flush left meanwhile is
 * done.
 */
#include "tests/unit/pv_rig.h"
#include "vmm/vcpu/pv_steal.h"

#define AREA      (PV_AREA + 0x40)
#define STEAL     (AREA + offsetof(struct pv_steal_area, steal))
#define VERSION   (AREA + offsetof(struct pv_steal_area, version))
#define PREEMPTED (AREA + offsetof(struct pv_steal_area, preempted))
#define TICKS(ns) ((u64)(ns)*2) /* of the rig's 2 GHz */

static void enable(void)
{
	assert_true(pv_wr(PV_MSR_STEAL_TIME, AREA | PV_ENABLE));
}

/* Waiting counts from the registration on, in nanoseconds; the version is even and goes up. */
static void test_steal(void **state)
{
	u64 version;

	(void)state;
	pv_vcpu_loaded(&rig_vcpu, TICKS(1000)); /* before anything is registered */
	enable();
	assert_int_equal(pv_msr(PV_MSR_STEAL_TIME), AREA | PV_ENABLE);
	assert_int_equal(pv_ram(STEAL, 8), 0);
	version = pv_ram(VERSION, 4);
	assert_true(version && !(version & 1));
	pv_vcpu_loaded(&rig_vcpu, TICKS(1000 + 70));
	assert_int_equal(pv_ram(STEAL, 8), 70);
	assert_int_equal(pv_ram(VERSION, 4), version + 2);
	pv_vcpu_loaded(&rig_vcpu, TICKS(1000 + 70)); /* it has not waited: nothing is written */
	assert_int_equal(pv_ram(VERSION, 4), version + 2);
	pv_vcpu_loaded(&rig_vcpu, TICKS(1000 + 70) + 1);
	pv_vcpu_loaded(&rig_vcpu, TICKS(1000 + 71)); /* halves of a nanosecond add up */
	assert_int_equal(pv_ram(STEAL, 8), 71);
}

/* A registration goes on from what the area says: the same CPU again, or another kernel's zero. */
static void test_again(void **state)
{
	(void)state;
	enable();
	pv_vcpu_loaded(&rig_vcpu, TICKS(500));
	assert_int_equal(pv_ram(STEAL, 8), 500);
	assert_true(pv_wr(PV_MSR_STEAL_TIME, 0));
	pv_vcpu_loaded(&rig_vcpu, TICKS(800));
	pv_vcpu_unloaded(&rig_vcpu, true);
	assert_int_equal(pv_ram(STEAL, 8), 500);
	assert_int_equal(pv_ram(PREEMPTED, 1), 0);
	enable();
	pv_vcpu_loaded(&rig_vcpu, TICKS(810));
	assert_int_equal(pv_ram(STEAL, 8), 510);
	assert_true(guest_clear(&rig_vm->mem, AREA + 64, 64));
	assert_true(pv_wr(PV_MSR_STEAL_TIME, (AREA + 64) | PV_ENABLE));
	pv_vcpu_loaded(&rig_vcpu, TICKS(820));
	assert_int_equal(pv_ram(STEAL + 64, 8), 10);
	assert_int_equal(pv_ram(STEAL, 8), 510); /* the old one is left alone */
}

/* Marked when it loses its CPU against its will, and only then; not marked while it has one. */
static void test_preempted(void **state)
{
	(void)state;
	enable();
	assert_int_equal(pv_ram(PREEMPTED, 1), 0);
	pv_vcpu_unloaded(&rig_vcpu, false); /* it halts */
	assert_int_equal(pv_ram(PREEMPTED, 1), 0);
	pv_vcpu_loaded(&rig_vcpu, 0);
	pv_vcpu_unloaded(&rig_vcpu, true);
	assert_int_equal(pv_ram(PREEMPTED, 1), PV_PREEMPTED);
	pv_vcpu_loaded(&rig_vcpu, 100);
	assert_int_equal(pv_ram(PREEMPTED, 1), 0);
}

/* A flush that was left for it is done before it goes on, once; without one nothing is flushed. */
static void test_flush(void **state)
{
	unsigned int flushes;

	(void)state;
	enable();
	flushes = fake_invvpids;
	for (unsigned int n = 1; n <= 3; n++) {
		pv_vcpu_unloaded(&rig_vcpu, true);
		pv_poke(PREEMPTED, PV_PREEMPTED | PV_FLUSH_TLB, 1);
		pv_vcpu_loaded(&rig_vcpu, n);
		assert_int_equal(fake_invvpids, flushes + n);
		assert_int_equal(pv_ram(PREEMPTED, 1), 0);
	}
	pv_vcpu_unloaded(&rig_vcpu, true);
	pv_vcpu_loaded(&rig_vcpu, 10);
	assert_int_equal(fake_invvpids, flushes + 3);
}

/* What a guest scribbles into its area changes nothing but what it reads there. */
static void test_scribbled(void **state)
{
	static const u32 found[] = { 1, 0x7fffffff, 0xfffffffd, 0xfffffffe, 0xffffffff };

	(void)state;
	enable();
	for (unsigned int i = 0; i < ARRAY_SIZE(found); i++) {
		u32 version;

		pv_poke(VERSION, found[i], 4);
		pv_poke(STEAL, ~0ULL, 8);
		pv_poke(PREEMPTED, 0xff, 1);
		pv_vcpu_unloaded(&rig_vcpu, true);
		assert_int_equal(pv_ram(PREEMPTED, 1), PV_PREEMPTED);
		pv_vcpu_loaded(&rig_vcpu, TICKS(100 * (i + 1)));
		version = (u32)pv_ram(VERSION, 4);
		assert_int_equal(pv_ram(STEAL, 8), 100 * (i + 1));
		assert_false(version & 1);
		assert_in_range(version - found[i], 1, 3);
		assert_int_equal(pv_ram(PREEMPTED, 1), 0);
	}
	pv_poke(STEAL, ~0ULL, 8); /* and a start from there wraps */
	enable();
	pv_vcpu_loaded(&rig_vcpu, TICKS(501));
	assert_int_equal(pv_ram(STEAL, 8), 0);
}

/* Reserved bits, and an area that is not RAM, are #GP, and change nothing. */
static void test_bad(void **state)
{
	static const u64 bad[] = { PV_AREA | 2 | PV_ENABLE,
				   PV_AREA | 0x20 | PV_ENABLE,
				   PV_AREA | 0x20,
				   2,
				   RIG_RAM | PV_ENABLE,
				   0xfee00000 | PV_ENABLE,
				   ~0ULL,
				   (0 - 64ULL) | PV_ENABLE,
				   1ULL << 63 | PV_AREA | PV_ENABLE };

	(void)state;
	pv_refuses(PV_MSR_STEAL_TIME, bad, ARRAY_SIZE(bad), PV_ENABLE);
	assert_true(pv_wr(PV_MSR_STEAL_TIME, (RIG_RAM - 64) | PV_ENABLE));
	pv_vcpu_unloaded(&rig_vcpu, true);
	pv_vcpu_loaded(&rig_vcpu, 1);
}

/* INIT: the area is the guest's again, even one that says "preempted" is left as it is. */
static void test_reset(void **state)
{
	u64 sum;

	(void)state;
	enable();
	pv_vcpu_unloaded(&rig_vcpu, true);
	pv_reset(&rig_vcpu);
	sum = pv_ram_sum();
	pv_vcpu_loaded(&rig_vcpu, 100);
	pv_vcpu_unloaded(&rig_vcpu, true);
	assert_int_equal(pv_ram_sum(), sum);
	assert_int_equal(pv_msr(PV_MSR_STEAL_TIME), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_steal, rig_start),
		cmocka_unit_test_setup(test_again, rig_start),
		cmocka_unit_test_setup(test_preempted, rig_start),
		cmocka_unit_test_setup(test_flush, rig_start),
		cmocka_unit_test_setup(test_scribbled, rig_start),
		cmocka_unit_test_setup(test_bad, rig_start),
		cmocka_unit_test_setup(test_reset, rig_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
