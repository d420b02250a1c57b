/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/host/tsc_sync: two CPUs, which are threads here, find out whether they have one TSC. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "lib/x86.h"
#include "tests/unit/fake_x86.h"
#include "vmm/host/tsc_sync.h"

#define HZ 1000000000ULL /* ticks are nanoseconds */

static __thread s64 offset;

static u64 thread_tsc(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * HZ + (u64)t.tv_nsec + (u64)offset;
}

struct other {
	struct tsc_sync sync;
	s64 offset;
	u64 hz;
	bool verdict;
};

static void *answer(void *arg)
{
	struct other *o = arg;

	offset = o->offset;
	o->verdict = tsc_sync_answer(&o->sync, o->hz);
	return NULL;
}

static bool meet(s64 skew, struct tsc_skew *found)
{
	struct other o = { .offset = skew, .hz = HZ };
	pthread_t thread;
	bool agree;

	assert_int_equal(pthread_create(&thread, NULL, answer, &o), 0);
	agree = tsc_sync_ask(&o.sync, HZ, found);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(o.verdict, agree);
	return agree;
}

static int setup(void **state)
{
	(void)state;
	fake_x86_reset();
	fake_x86.rdtsc = thread_tsc;
	return 0;
}

/* Claim: two CPUs with one TSC agree, each time, and zero is in the range that is found. */
static void one_tsc(void **state)
{
	struct tsc_skew found;

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		assert_true(meet(0, &found));
		assert_true(found.low <= 0 && found.high >= 0);
	}
}

/* Claim: one that is ahead or behind is found out, and the range holds by how much. Both sides hear it. */
static void skewed(void **state)
{
	static const s64 skews[] = { 1000000000, -1000000000, 1LL << 60, -(1LL << 40) };
	struct tsc_skew found;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(skews); i++) {
		assert_false(meet(skews[i], &found));
		assert_true(found.low <= skews[i] && skews[i] <= found.high);
	}
}

/* Claim: who is not answered gives up, with a range that holds nothing; who is not asked, too. */
static void nobody(void **state)
{
	struct other o = { .hz = HZ / 100 };
	struct tsc_skew found;

	(void)state;
	assert_false(tsc_sync_ask(&o.sync, HZ / 100, &found));
	assert_true(found.low > found.high);
	memset(&o.sync, 0, sizeof(o.sync));
	answer(&o);
	assert_false(o.verdict);
}

static struct cpuid_regs without_adjust(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	return (struct cpuid_regs){ leaf ? 0 : 7, 0, 0, 0 };
}

/* Claim: a CPU's TSC is moved as the boot CPU's, where there is such an MSR, and only if it has to be. */
static void adjust(void **state)
{
	(void)state;
	fake_msr_set(IA32_TSC_ADJUST, 5);
	assert_int_equal(tsc_adjust_read(), 5);
	tsc_adjust_write(0x1000);
	assert_int_equal(fake_msr(IA32_TSC_ADJUST), 0x1000);
	fake_x86.cpuid = without_adjust;
	assert_int_equal(tsc_adjust_read(), 0);
	tsc_adjust_write(7);
	assert_int_equal(fake_msr(IA32_TSC_ADJUST), 0x1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_tsc, setup),
		cmocka_unit_test_setup(skewed, setup),
		cmocka_unit_test_setup(nobody, setup),
		cmocka_unit_test_setup(adjust, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
