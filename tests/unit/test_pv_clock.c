/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual clock: what the guest computes from it is the VMM's time, and no area hurts
 * anybody.
 */
#include <pthread.h>

#include "tests/unit/pv_rig.h"
#include "vmm/vcpu/pv_clock.h"
#include "vmm/host/tsc.h"

#define NS_PER_SECOND 1000000000ULL
#define T0            1000000000000ULL

/* As in the ABI's description, by whoever reads it in the guest. */
static u64 read_clock(u64 tsc)
{
	struct pv_clock_area a;
	u64 delta;

	assert_true(guest_read(&rig_vm->mem, PV_AREA, &a, sizeof(a)));
	assert_false(a.version & 1);
	delta = tsc - a.tsc_timestamp;
	delta = a.shift < 0 ? delta >> -a.shift : delta << a.shift;
	return a.system_time + (u64)((unsigned __int128)delta * a.mul >> 32);
}

static u64 guest_tsc(void)
{
	return fake_x86.tsc + fake_vmcs_get(TSC_OFFSET);
}

static void stop_clock(void)
{
	rig_vm->tsc_base = T0;
	fake_vmcs_set(TSC_OFFSET, 0 - T0);
	fake_x86.tsc = T0 + 5000;
}

/* The factors give nanoseconds for any frequency: never too many, and too few by 2^-31 at most. */
static void test_scale(void **state)
{
	static const u64 hz[] = { 1000000,       24000000,      100000000,     999999999,
				  1000000000,    1000000001,    2000000000,    2345678900ULL,
				  3000000000ULL, 4185600000ULL, 19999999999ULL };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(hz); i++) {
		struct pv_scale s = pv_scale_make(hz[i]);

		assert_true(s.mul >> 31);
		for (u64 ticks = 1; ticks < 1ULL << 53; ticks = ticks * 3 + 1) {
			unsigned __int128 exact = (unsigned __int128)ticks * NS_PER_SECOND / hz[i];
			u64 ns = pv_scale_ns(&s, ticks);

			assert_true(ns <= exact);
			assert_true(exact - ns <= (exact >> 31) + 8);
		}
		assert_int_equal(pv_scale_ns(&s, 0), 0);
	}
}

/* Linux takes the TSC's frequency in kHz from the factors: right to a millionth, above 1 GHz. */
static void test_frequency(void **state)
{
	(void)state;
	for (u64 khz = 1000; khz < 6000000; khz += 99991) {
		struct pv_scale s = pv_scale_make(khz * 1000);
		u64 found = (1000000ULL << 32) / s.mul;

		found = s.shift < 0 ? found << -s.shift : found >> s.shift;
		assert_in_range(found, khz - khz / 1000000, khz + khz / 1000000);
	}
}

/* What the guest reads is the time since the VM's start; the flags say that all vCPUs agree. */
static void test_time(void **state)
{
	(void)state;
	stop_clock();
	assert_true(pv_wr(PV_MSR_CLOCK, PV_AREA | PV_ENABLE));
	assert_int_equal(pv_msr(PV_MSR_CLOCK), PV_AREA | PV_ENABLE);
	assert_int_equal(pv_ram(PV_AREA + offsetof(struct pv_clock_area, flags), 1),
			 PV_CLOCK_STABLE);
	assert_int_equal(read_clock(guest_tsc()), 2500); /* 5000 ticks of 2 GHz */
	fake_x86.tsc += 3600 * RIG_TSC_HZ;
	assert_int_equal(read_clock(guest_tsc()), 3600 * NS_PER_SECOND + 2500);
}

/*
 * It goes on when the guest moves its TSC, in either way; and memory it has given back is left
 * alone.
 */
static void test_moved_tsc(void **state)
{
	static const u64 values[] = { 0, 1, 1ULL << 40, ~0ULL, 1ULL << 63 };
	u64 sum;

	(void)state;
	stop_clock();
	assert_true(pv_wr(PV_MSR_CLOCK, PV_AREA | PV_ENABLE));
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		assert_true(pv_wr(IA32_TIME_STAMP_COUNTER, values[i]));
		assert_int_equal(read_clock(guest_tsc()), 2500);
		assert_true(pv_wr(IA32_TSC_ADJUST, values[i]));
		assert_int_equal(read_clock(guest_tsc()), 2500);
	}
	assert_true(pv_wr(PV_MSR_CLOCK, 0));
	sum = pv_ram_sum();
	assert_true(pv_wr(IA32_TSC_ADJUST, 12345));
	assert_int_equal(pv_ram_sum(), sum);
}

/* Each update leaves an even version that is larger than the one before, whatever was there. */
static void test_version(void **state)
{
	static const u32 found[] = { 0, 1, 2, 0x7fffffff, 0xfffffffd, 0xfffffffe, 0xffffffff };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(found); i++) {
		u32 version;

		pv_poke(PV_AREA, found[i], 4);
		assert_true(pv_wr(PV_MSR_CLOCK, PV_AREA | PV_ENABLE));
		version = (u32)pv_ram(PV_AREA, 4);
		assert_false(version & 1);
		assert_in_range(version - found[i], 1, 3);
	}
}

/* Without an invariant TSC the guest is not told that all clocks are one. */
static void test_not_stable(void **state)
{
	(void)state;
	rig_hide = cpuid_hide_bits("invariant-tsc");
	rig_restart();
	assert_false(cpuid_has(&rig_vcpu.cpuid, PV_CPUID_FEATURES, 0, CPUID_EAX,
			       PV_FEATURE_CLOCK_STABLE));
	assert_true(pv_wr(PV_MSR_CLOCK, PV_AREA | PV_ENABLE));
	assert_int_equal(pv_ram(PV_AREA + offsetof(struct pv_clock_area, flags), 1), 0);
}

/* An area that is misaligned, not RAM, or on two pages is #GP, and changes nothing. */
static void test_bad_clock(void **state)
{
	static const u64 bad[] = {
		PV_AREA | 2 | PV_ENABLE,
		(RIG_RAM - 28) | PV_ENABLE,
		RIG_RAM | PV_ENABLE,
		0xfee00000 | PV_ENABLE,
		~0ULL,
		(0 - 32ULL) | PV_ENABLE,
		(0 - 4ULL) | PV_ENABLE,
		1ULL << 63 | PV_AREA | PV_ENABLE,
		(PV_AREA + PAGE_SIZE - 28) | PV_ENABLE,
	};

	(void)state;
	pv_refuses(PV_MSR_CLOCK, bad, ARRAY_SIZE(bad), PV_ENABLE);
	assert_true(pv_wr(PV_MSR_CLOCK, (RIG_RAM - 32) | PV_ENABLE));
	assert_true(pv_wr(PV_MSR_CLOCK, (PV_AREA + PAGE_SIZE - 32) | PV_ENABLE));
	assert_true(pv_wr(PV_MSR_CLOCK, 0));
	assert_true(pv_wr(PV_MSR_CLOCK, ~PV_ENABLE)); /* not enabled: nothing but a number */
}

/* The wall clock is that of the VM's start, to the nanosecond, at each write. */
static void test_wall_clock(void **state)
{
	struct pv_wall_clock w;

	(void)state;
	vmm.epoch = 1234567890;
	vmm.start_tsc = 1000;
	rig_vm->tsc_base = 1000 + 10 * RIG_TSC_HZ + RIG_TSC_HZ / 4 + 2;
	pv_vm_init(rig_vm);
	pv_poke(PV_AREA + 12, 0x5555, 8);
	assert_true(pv_wr(PV_MSR_WALL_CLOCK, PV_AREA));
	assert_int_equal(pv_msr(PV_MSR_WALL_CLOCK), PV_AREA);
	assert_true(guest_read(&rig_vm->mem, PV_AREA, &w, sizeof(w)));
	assert_int_equal(w.version, 2);
	assert_int_equal(w.sec, 1234567900);
	assert_int_equal(w.nsec, 250000001);
	assert_int_equal(pv_ram(PV_AREA + 12, 8), 0x5555);
	assert_true(pv_wr(PV_MSR_WALL_CLOCK, PV_AREA));
	assert_int_equal(pv_ram(PV_AREA, 4), 4);
	assert_true(pv_wr(PV_MSR_WALL_CLOCK, 0));
	assert_int_equal(pv_ram(0, 4), 0);
}

static void test_bad_wall_clock(void **state)
{
	static const u64 bad[] = { PV_AREA | 1, PV_AREA | 2, RIG_RAM - 8,
				   RIG_RAM,     0xfee00000,  ~0ULL,
				   0 - 12ULL,   0 - 4ULL,    1ULL << 63 | PV_AREA };

	(void)state;
	pv_refuses(PV_MSR_WALL_CLOCK, bad, ARRAY_SIZE(bad), 0);
	assert_true(pv_wr(PV_MSR_WALL_CLOCK, RIG_RAM - 12));
}

/* `hide = pv`: none of the MSRs is there. INIT: nothing is registered any more. */
static void test_hidden_and_reset(void **state)
{
	u64 sum, value;

	(void)state;
	assert_true(pv_wr(PV_MSR_CLOCK, PV_AREA | PV_ENABLE));
	pv_reset(&rig_vcpu);
	assert_int_equal(pv_msr(PV_MSR_CLOCK), 0);
	sum = pv_ram_sum();
	assert_true(pv_wr(IA32_TSC_ADJUST, 12345));
	assert_int_equal(pv_ram_sum(), sum);

	rig_hide = cpuid_hide_bits("pv");
	rig_restart();
	for (u32 msr = 0x4b564d00; msr < 0x4b564e00; msr++) {
		assert_false(pv_rd(msr, &value));
		assert_false(pv_wr(msr, 0));
		assert_false(pv_wr(msr, PV_AREA | PV_ENABLE));
	}
}

/* Of the range of MSRs only those are there whose feature is offered; poll control is one bit. */
static void test_range(void **state)
{
	u64 value;

	(void)state;
	for (u32 msr = 0x4b564d00; msr < 0x4b564e00; msr++) {
		bool there = msr <= PV_MSR_POLL_CONTROL && msr != 0x4b564d02;

		assert_int_equal(pv_rd(msr, &value), there);
		assert_int_equal(pv_wr(msr, 0), there);
	}
	assert_false(pv_rd(0x11, &value) || pv_rd(0x12, &value)); /* the old numbers */
	rig_restart();
	assert_int_equal(pv_msr(PV_MSR_POLL_CONTROL), 1);
	assert_true(pv_wr(PV_MSR_POLL_CONTROL, 0));
	for (unsigned int bit = 1; bit < 64; bit++)
		assert_false(pv_wr(PV_MSR_POLL_CONTROL, BIT(bit)));
	assert_int_equal(pv_msr(PV_MSR_POLL_CONTROL), 0);
}

/* --- a reader on another CPU --- */

#define WORDS   6
#define UPDATES 200000

static atomic_bool done;
static unsigned int seen, torn;

static void *reader(void *area)
{
	const volatile u32 *version = area;
	const volatile u64 *word = (const volatile u64 *)area + 1;

	while (!atomic_load(&done)) {
		u64 copy[WORDS];
		u32 before = *version;

		atomic_thread_fence(memory_order_acquire);
		for (unsigned int i = 0; i < WORDS; i++)
			copy[i] = word[i];
		atomic_thread_fence(memory_order_acquire);
		if ((before & 1) || before != *version)
			continue;
		seen++;
		for (unsigned int i = 1; i < WORDS; i++)
			torn += copy[i] != copy[0];
	}
	return NULL;
}

/* Who looks at the version before and after never sees half of an update. */
static void test_concurrent_reader(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, reader, rig_vm->mem.slot[0].host + PV_AREA),
			 0);
	for (u64 n = 1; n <= UPDATES || !__atomic_load_n(&seen, __ATOMIC_RELAXED); n++) {
		u64 data[WORDS] = { n, n, n, n, n, n };

		pv_publish(rig_vm, PV_AREA, PV_AREA + 8, data, sizeof(data));
	}
	atomic_store(&done, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(seen > 0);
	assert_int_equal(torn, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_frequency),
		cmocka_unit_test_setup(test_time, rig_start),
		cmocka_unit_test_setup(test_moved_tsc, rig_start),
		cmocka_unit_test_setup(test_version, rig_start),
		cmocka_unit_test_setup(test_not_stable, rig_start),
		cmocka_unit_test_setup(test_bad_clock, rig_start),
		cmocka_unit_test_setup(test_wall_clock, rig_start),
		cmocka_unit_test_setup(test_bad_wall_clock, rig_start),
		cmocka_unit_test_setup(test_hidden_and_reset, rig_start),
		cmocka_unit_test_setup(test_range, rig_start),
		cmocka_unit_test_setup(test_concurrent_reader, rig_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
