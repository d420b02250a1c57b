/* SPDX-License-Identifier: BSD-2-Clause */
/* What exits take, by reason: counts, sums, limits and histogram agree, whatever is added. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/string.h"
#include "tests/unit/host_support.h"
#include "vmm/observe/exit_stats.h"

static struct exit_stats stats;

static int setup(void **state)
{
	(void)state;
	memset(&stats, 0xff, sizeof(stats));
	exit_stats_begin(&stats, 7);
	return 0;
}

/* A bucket holds one power of two, the first also 0 and the last all that is longer. */
static void test_buckets(void **state)
{
	(void)state;
	assert_int_equal(exit_stats_bucket(0), 0);
	assert_int_equal(exit_stats_bucket(1), 0);
	for (unsigned int n = 1; n < 64; n++) {
		unsigned int expected = MIN(n, EXIT_STATS_BUCKETS - 1u);

		assert_int_equal(exit_stats_bucket(BIT(n)), expected);
		assert_int_equal(exit_stats_bucket(BIT(n) | (BIT(n) - 1)), expected);
	}
}

/* A measurement begins with nothing, whatever was there. */
static void test_begin(void **state)
{
	static const struct exit_times nothing;

	(void)state;
	assert_int_equal(stats.generation, 7);
	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++)
		assert_memory_equal(&stats.reason[i], &nothing, sizeof(nothing));
}

/* Count, total, minimum, maximum and buckets are those of the values, of each reason by itself. */
static void test_add(void **state)
{
	const struct exit_times *t = &stats.reason[EXIT_CPUID];
	u64 buckets = 0;

	(void)state;
	exit_stats_add(&stats, EXIT_CPUID, 200);
	assert_int_equal(t->min, 200);
	assert_int_equal(t->max, 200);
	exit_stats_add(&stats, EXIT_CPUID, 127);
	exit_stats_add(&stats, EXIT_CPUID, 255);
	exit_stats_add(&stats, EXIT_CPUID, 256);
	exit_stats_add(&stats, EXIT_HLT, 0);
	assert_int_equal(t->count, 4);
	assert_int_equal(t->total, 200 + 127 + 255 + 256);
	assert_int_equal(t->min, 127);
	assert_int_equal(t->max, 256);
	assert_int_equal(t->bucket[6], 1);
	assert_int_equal(t->bucket[7], 2);
	assert_int_equal(t->bucket[8], 1);
	for (unsigned int i = 0; i < EXIT_STATS_BUCKETS; i++)
		buckets += t->bucket[i];
	assert_int_equal(buckets, t->count);
	assert_int_equal(stats.reason[EXIT_HLT].count, 1);
	assert_int_equal(stats.reason[EXIT_HLT].min, 0);
	assert_int_equal(stats.reason[EXIT_HLT].bucket[0], 1);
}

/* What comes before a vCPU's first exit, or has a number that no manual knows, is nobody's. */
static void test_no_reason(void **state)
{
	static struct exit_stats before;

	(void)state;
	before = stats;
	exit_stats_add(&stats, VMX_EXIT_REASON_COUNT, 5);
	exit_stats_add(&stats, EXIT_REASON_BASIC, 5);
	exit_stats_add_vmcs(&stats, VMX_EXIT_REASON_COUNT, 5, 5);
	assert_memory_equal(&before, &stats, sizeof(stats));
}

/* The table as it is printed: rows for reasons that there were, all buckets that are not empty. */
static void test_print(void **state)
{
	(void)state;
	exit_stats_add(&stats, EXIT_CPUID, 200);
	exit_stats_add(&stats, EXIT_CPUID, 301);
	exit_stats_add(&stats, EXIT_EPT_VIOLATION, ~0ULL);
	capture_start();
	exit_stats_print(&stats, "vm a: vcpu 1", false);
	capture_stop();
	assert_string_equal(
		capture_text(),
		"lintel: vm a: vcpu 1: TSC ticks from exit to entry; n: exits of 2^n to 2^(n+1)-1\n"
		"lintel:   reason                           exits         total       min      "
		"mean       max"
		"  n: exits\n"
		"lintel:   CPUID                                2           501       200       "
		"250       301"
		"  7: 1, 8: 1\n"
		"lintel:   EPT violation                        1  18446744073709551615  "
		"18446744073709551615"
		"  18446744073709551615  18446744073709551615  31: 1\n");
}

/* VMREADs and VMWRITEs by reason, and the mean of all, in a build that counts them. */
static void test_vmcs(void **state)
{
	(void)state;
	exit_stats_add(&stats, EXIT_CPUID, 1);
	exit_stats_add_vmcs(&stats, EXIT_CPUID, 5, 2);
	exit_stats_add(&stats, EXIT_HLT, 1);
	exit_stats_add(&stats, EXIT_HLT, 1);
	exit_stats_add_vmcs(&stats, EXIT_HLT, 3, 1);
	capture_start();
	exit_stats_print(&stats, "who", true);
	capture_stop();
	assert_non_null(strstr(capture_text(), "lintel: who: VMREADs and VMWRITEs\n"));
	assert_non_null(strstr(capture_text(),
			       "  HLT                                  2           3"
			       "           1      2.00\n"));
	assert_non_null(strstr(capture_text(),
			       "  all                                  3           8"
			       "           3      3.66\n"));
}

/* The longest histogram there can be fits. */
static void test_longest_line(void **state)
{
	struct exit_times t = { .count = 1 };
	char text[EXIT_STATS_BUCKETS * 26];

	(void)state;
	for (unsigned int i = 0; i < EXIT_STATS_BUCKETS; i++)
		t.bucket[i] = ~0ULL;
	assert_true(exit_stats_histogram(&t, text, sizeof(text)) < sizeof(text) - 1);
	assert_string_equal(strrchr(text, ','), ", 31: 18446744073709551615");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_buckets, setup),
		cmocka_unit_test_setup(test_begin, setup),
		cmocka_unit_test_setup(test_add, setup),
		cmocka_unit_test_setup(test_no_reason, setup),
		cmocka_unit_test_setup(test_print, setup),
		cmocka_unit_test_setup(test_vmcs, setup),
		cmocka_unit_test_setup(test_longest_line, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
