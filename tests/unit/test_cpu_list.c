/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of CPUs: what is understood, in which order, what is refused, and how they are printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/cpu_list.h"
#include "lib/string.h"

struct good {
	const char *text, *printed;
	u8 count, cpu[CPU_LIST_MAX];
};

static const struct good goods[] = {
	{ "0", "0", 1, { 0 } },
	{ "63", "63", 1, { 63 } },
	{ "1-2", "1-2", 2, { 1, 2 } },
	{ "1,3", "1,3", 2, { 1, 3 } },
	{ "3,1", "3,1", 2, { 3, 1 } },
	{ "2-2", "2", 1, { 2 } },
	{ "0,4-6,2", "0,4-6,2", 5, { 0, 4, 5, 6, 2 } },
	{ " 1 , 2 - 3\t", "1-3", 3, { 1, 2, 3 } },
	{ "007", "7", 1, { 7 } },
	{ "48-63",
	  "48-63",
	  16,
	  { 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63 } },
};

/* Claim: numbers and ranges, in the order in which they stand; printed, they say the same. */
static void good_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
		struct cpu_list list;
		char text[CPU_LIST_TEXT_MAX];

		memset(&list, 0xff, sizeof(list));
		assert_null(cpu_list_parse(&list, goods[i].text));
		assert_int_equal(list.count, goods[i].count);
		assert_memory_equal(list.cpu, goods[i].cpu, list.count);
		assert_string_equal(cpu_list_text(&list, text, sizeof(text)), goods[i].printed);
	}
}

static const char *const bads[][2] = {
	{ "", "bad list" },
	{ ",", "bad list" },
	{ "1,", "bad list" },
	{ "1-", "bad list" },
	{ "-1", "bad list" },
	{ "1--2", "bad list" },
	{ "1-2-3", "bad list" },
	{ "1 2", "bad list" },
	{ "a", "bad list" },
	{ "1,a", "bad list" },
	{ "0x1", "bad list" },
	{ "64", "bad list" },
	{ "1-64", "bad list" },
	{ "4294967297", "bad list" },
	{ "1;2", "bad list" },
	{ "3-1", "a range that goes down" },
	{ "1,1", "a CPU is named twice" },
	{ "0-3,2", "a CPU is named twice" },
	{ "0-16", "too many CPUs" },
	{ "47-63", "too many CPUs" },
};

/* Claim: everything else is refused, with the reason. */
static void bad_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		struct cpu_list list;
		const char *reason = cpu_list_parse(&list, bads[i][0]);

		assert_non_null(reason);
		assert_memory_equal(reason, bads[i][1], strlen(bads[i][1]));
		assert_non_null(strstr(reason, ": expected "));
		assert_int_equal(list.count, 0);
	}
}

/* Claim: the longest list fits; what does not fit is cut, not written beyond the end. */
static void longest(void **state)
{
	struct cpu_list list = { 0 };
	char text[CPU_LIST_TEXT_MAX];

	(void)state;
	assert_string_equal(cpu_list_text(&list, text, sizeof(text)), "");
	for (unsigned int i = 0; i < CPU_LIST_MAX; i++)
		list.cpu[list.count++] = (u8)(63 - i);
	assert_int_equal(strlen(cpu_list_text(&list, text, sizeof(text))), CPU_LIST_TEXT_MAX - 1);
	assert_string_equal(cpu_list_text(&list, text, 6), "63,62");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lists),
		cmocka_unit_test(bad_lists),
		cmocka_unit_test(longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
