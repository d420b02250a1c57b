/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/print.h"
#include "lib/printk.h"
#include "tests/unit/host_support.h"

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

/* Print with ours and with the C library's, into buffers of several sizes, and compare. */
#define check(...)                                                                       \
	do {                                                                             \
		char expected[512];                                                      \
		size_t full = (size_t)snprintf(expected, sizeof(expected), __VA_ARGS__); \
                                                                                         \
		for (size_t size = 1; size <= full + 2; size++) {                        \
			char *ours = malloc(size);                                       \
			size_t len = scnprintf(ours, size, __VA_ARGS__);                 \
                                                                                         \
			assert_int_equal(len, MIN(full, size - 1));                      \
			assert_int_equal(strlen(ours), len);                             \
			assert_memory_equal(ours, expected, len);                        \
			free(ours);                                                      \
		}                                                                        \
	} while (0)

/* Integers of every length, flag, width and precision look as the C library prints them. */
static void test_integers(void **state)
{
	static const s64 values[] = { 0,
				      1,
				      -1,
				      42,
				      -100,
				      127,
				      128,
				      255,
				      256,
				      32768,
				      65535,
				      INT_MAX,
				      INT_MIN,
				      UINT_MAX,
				      LLONG_MAX,
				      LLONG_MIN,
				      0x12345678abcdef };
	static const char *const lengths[] = { "hh", "h", "", "l", "ll", "z" };
	static const char *const sizes[] = { "", "1", "5", "12", ".0", ".1", ".7", "12.7", "3.12" };

	(void)state;
	for (unsigned int flags = 0; flags < 32; flags++) {
		for (const char *letter = "diuxX"; *letter; letter++) {
			for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
				for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
					char fmt[32];
					size_t n = 0;

					fmt[n++] = '<';
					fmt[n++] = '%';
					for (unsigned int f = 0; f < 5; f++) {
						if (flags >> f & 1)
							fmt[n++] = "-0+ #"[f];
					}
					snprintf(fmt + n, sizeof(fmt) - n, "%s%s%c>", sizes[s],
						 lengths[l], *letter);
					for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
						char expected[64], ours[64];

						snprintf(expected, sizeof(expected), fmt,
							 values[v]);
						scnprintf(ours, sizeof(ours), fmt, values[v]);
						assert_string_equal(ours, expected);
					}
				}
			}
		}
	}
}

/* Strings, characters, '*' fields and '%%' look as the C library prints them, cut at any size. */
static void test_strings(void **state)
{
	static const char unterminated[3] = { 'a', 'b', 'c' };

	(void)state;
	check("plain");
	check("%s|%10s|%-10s|%.2s|%10.2s|%-10.2s|%.0s", "one", "two", "three", "four", "five",
	      "six", "seven");
	check("%.3s|%.*s", unterminated, 2, unterminated);
	check("%s", (const char *)NULL);
	check("%c%c%3c%-3c|", 'a', 'b', 'c', 'd');
	check("100%% of %d", 7);
	check("%*d|%-*d|%*d|%.*d|%.*d", 6, 1, 6, 2, -6, 3, 4, 4, -4, 5);
	check("%p %20p %-20p|", (void *)0x1234, (void *)test_strings, (void *)-1);
	check("%08x %#010lx %016llx", 0xbeef, 0xcafeL, 0x123456789abcdefLL);
	check("%u %u %lu", 0, UINT_MAX, ULONG_MAX);
}

/* What is no conversion is printed as it stands and takes no argument. */
static void test_unknown(void **state)
{
	char buf[64];

	(void)state;
	scnprintf(buf, sizeof(buf), "%q %d%", 5);
	assert_string_equal(buf, "%q 5%");
	scnprintf(buf, sizeof(buf), "%08lf|%-5.3ll");
	assert_string_equal(buf, "%08lf|%-5.3ll");
}

/* Widths without measure cost no more than the buffer. */
static void test_huge_fields(void **state)
{
	char buf[16];

	(void)state;
	assert_int_equal(scnprintf(buf, sizeof(buf), "%2147483647d", 1), 15);
	assert_string_equal(buf, "               ");
	assert_int_equal(scnprintf(buf, sizeof(buf), "%.99999999999999d", 1), 15);
	assert_string_equal(buf, "000000000000000");
	assert_int_equal(scnprintf(buf, sizeof(buf), "%*d|%*d", INT_MIN, 1, INT_MAX, 2), 15);
}

/* Every line of a message carries the prefix and the mark of its level. */
static void test_printk_lines(void **state)
{
	(void)state;
	capture_start();
	pr_info("one\n");
	pr_err("two %d\n", 2);
	pr_warn("three\nfour\n");
	pr_debug("five");
	capture_stop();
	assert_string_equal(capture_text(), "lintel: one\n"
					    "lintel: error: two 2\n"
					    "lintel: warning: three\n"
					    "lintel: warning: four\n"
					    "lintel: debug: five\n");
}

/* A message of any length is cut at 1 KiB and is still whole lines. */
static void test_printk_long(void **state)
{
	static char text[4096];
	size_t len;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	capture_start();
	pr_info("%s\n", text);
	pr_info("next\n");
	capture_stop();
	len = strcspn(capture_text(), "\n");
	assert_int_equal(len, strlen("lintel: ") + 1023);
	assert_string_equal(capture_text() + len, "\nlintel: next\n");
}

static char log_text[16384];

static void log_write(struct printk_sink *sink, const char *text, size_t len)
{
	(void)sink;
	assert_true(strlen(log_text) + len < sizeof(log_text));
	strncat(log_text, text, len);
}

static struct printk_sink *no_sinks(void)
{
	static struct printk_sink sink = { .write = log_write, .level = LOG_INFO };

	capture_nothing();
	log_text[0] = '\0';
	return &sink;
}

/* What was printed without a sink comes to the first one, in order and by its level, once. */
static void test_printk_early(void **state)
{
	struct printk_sink *sink = no_sinks();

	(void)state;
	pr_info("first\n");
	pr_debug("not for this sink\n");
	pr_err("second\n");
	printk_add_sink(sink);
	pr_info("third\n");
	printk_remove_sink(sink);
	assert_string_equal(log_text, "lintel: first\nlintel: error: second\nlintel: third\n");

	log_text[0] = '\0';
	printk_add_sink(sink);
	printk_remove_sink(sink);
	assert_string_equal(log_text, "");
	capture_stop();
}

/* More than the early buffer holds is counted, and the oldest lines are the ones kept. */
static void test_printk_early_full(void **state)
{
	struct printk_sink *sink = no_sinks();
	unsigned int kept = 0, lost = 0;
	char expected[64];

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		pr_info("line %03u\n", i);
	printk_add_sink(sink);
	printk_remove_sink(sink);
	capture_stop();

	for (char *line = strtok(log_text, "\n"); line; line = strtok(NULL, "\n")) {
		snprintf(expected, sizeof(expected), "lintel: line %03u", kept);
		if (!strcmp(line, expected))
			kept++;
		else
			assert_int_equal(sscanf(line, "lintel: warning: %u early", &lost), 1);
	}
	assert_true(kept > 400);
	assert_int_equal(kept + lost, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),     cmocka_unit_test(test_strings),
		cmocka_unit_test(test_unknown),      cmocka_unit_test(test_huge_fields),
		cmocka_unit_test(test_printk_lines), cmocka_unit_test(test_printk_long),
		cmocka_unit_test(test_printk_early), cmocka_unit_test(test_printk_early_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
