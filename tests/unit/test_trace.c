/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace: a ring keeps the last events, whatever there were, and its text says them all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/string.h"
#include "tests/unit/host_support.h"
#include "vmm/observe/trace.h"
#include "vmm/observe/trace_dump.h"
#include "vmm/vm/vm.h"
#include "vmx/exit_reasons.h"

#define EVENTS (CONFIG_TRACE_MIN / sizeof(struct trace_event))

static struct trace_event memory[2][EVENTS];
static struct trace_ring ring[2];
static struct vm_config config = { .name = "one" };
static struct vm vm = { .config = &config };

struct vmm vmm;

static int setup(void **state)
{
	(void)state;
	memset(memory, 0xee, sizeof(memory));
	for (unsigned int i = 0; i < 2; i++)
		trace_ring_init(&ring[i], memory[i], CONFIG_TRACE_MIN);
	vmm.vms = 1;
	vmm.vm = &vm;
	return 0;
}

/* As many as fit are kept; beyond, the oldest give way one by one. */
static void test_overwrites(void **state)
{
	(void)state;
	assert_int_equal(EVENTS, 256);
	assert_int_equal(trace_oldest(&ring[0]), ring[0].next);
	for (u64 i = 0; i < EVENTS; i++)
		trace_put(&ring[0], i, TRACE_ENTRY, 0, 0, 0);
	assert_int_equal(trace_oldest(&ring[0]), 0);
	for (u64 i = EVENTS; i < 3 * EVENTS + 5; i++)
		trace_put(&ring[0], i, TRACE_ENTRY, 0, 0, 0);
	assert_int_equal(ring[0].next, 3 * EVENTS + 5);
	assert_int_equal(trace_oldest(&ring[0]), 2 * EVENTS + 5);
	for (u64 i = trace_oldest(&ring[0]); i < ring[0].next; i++)
		assert_int_equal(ring[0].event[i & ring[0].mask].tsc, i);
	for (u64 i = 0; i < EVENTS; i++) /* and nothing beside it */
		assert_int_equal(memory[1][i].tsc, 0xeeeeeeeeeeeeeeeeULL);
}

/* Every field is in the text: time as a difference, kind, who, what, and an argument that is not 0. */
static void test_line(void **state)
{
	char text[256];
	u64 at = 0;

	(void)state;
	trace_put(&ring[0], 0x1000, TRACE_IN, TRACE_WHO(15, 2), 0, 0);
	trace_put(&ring[0], 0x10ff, TRACE_EXIT, TRACE_WHO(15, 2), EXIT_IO_INSTRUCTION, 0x3f8);
	trace_put(&ring[0], 0x10ff, TRACE_INJECT, TRACE_WHO(1, 0), 0xec, 8);
	trace_line(&ring[0], &at, text, sizeof(text));
	assert_string_equal(text, "1000 0sf2: ffx1e.3f8 0j10:ec.8");
	assert_int_equal(at, 3);
}

/* A line takes what there is room for, at least one, and the next one goes on there, also with the longest events. */
static void test_line_is_bounded(void **state)
{
	u64 at = 0, lines = 0;

	(void)state;
	for (u64 i = 0; i < EVENTS; i++)
		trace_put(&ring[0], i & 1 ? ~0ULL : 0, TRACE_KICK, 0xff, 0xffff, 0xffffffff);
	while (at < ring[0].next) {
		char text[64 + 8];
		u64 from = at;

		memset(text, '#', sizeof(text));
		assert_true(trace_line(&ring[0], &at, text, 64) < 64);
		assert_memory_equal(text + 64, "########", 8);
		assert_null(strstr(text, ".fffffff "));
		assert_true(at > from);
		lines++;
	}
	assert_in_range(lines, EVENTS / 2, EVENTS);
}

/* How often is @word in @text? */
static unsigned int count(const char *text, const char *word)
{
	unsigned int n = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		n++;
	}
	return n;
}

/* The whole of it: what the numbers mean, each CPU's events, the reasons that there were, and the end. */
static void test_dump(void **state)
{
	struct trace_dump dump;
	const char *text;
	char end[64];

	(void)state;
	for (u64 i = 0; i < EVENTS + 3; i++)
		trace_put(&ring[0], i, i & 1 ? TRACE_EXIT : TRACE_ENTRY, 0, i & 1 ? EXIT_HLT : 0,
			  0);
	trace_put(&ring[1], 5, TRACE_EXIT, 0, EXIT_WRMSRLIST, 0x6e0);
	capture_start();
	trace_dump_begin(&dump, ring, 2, 100000000);
	while (trace_dump_more(&dump))
		;
	capture_stop();
	text = capture_text();
	assert_ptr_equal(strstr(text, "lintel: trace: begin: 2 CPUs, TSC 100000000 Hz\n"
				      "lintel: trace: vm 0: one\n"
				      "lintel: trace: cpu 0: 256 events, 3 overwritten\n"
				      "lintel: trace: 0: 3 0x00:c 1n 1xc 1n "),
			 text);
	assert_int_equal(count(text, " 1xc") + count(text, " 0x00:c"), EVENTS / 2);
	assert_int_equal(count(text, " 1n") + count(text, " 0n00:"), EVENTS / 2);
	snprintf(end, sizeof(end), "lintel: trace: end: %u events\n", (unsigned int)EVENTS + 1);
	assert_non_null(strstr(text, "lintel: trace: cpu 1: 1 events, 0 overwritten\n"
				     "lintel: trace: 1: 5 0x00:4f.6e0\n"
				     "lintel: trace: reason 12: HLT\n"
				     "lintel: trace: reason 79: WRMSRLIST\n"));
	assert_string_equal(text + strlen(text) - strlen(end), end);
}

/* A ring without events is no fault. */
static void test_empty(void **state)
{
	struct trace_dump dump;

	(void)state;
	capture_start();
	trace_dump_begin(&dump, ring, 1, 1);
	while (trace_dump_more(&dump))
		;
	capture_stop();
	assert_string_equal(capture_text(), "lintel: trace: begin: 1 CPUs, TSC 1 Hz\n"
					    "lintel: trace: vm 0: one\n"
					    "lintel: trace: cpu 0: 0 events, 0 overwritten\n"
					    "lintel: trace: end: 0 events\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_overwrites, setup),
		cmocka_unit_test_setup(test_line, setup),
		cmocka_unit_test_setup(test_line_is_bounded, setup),
		cmocka_unit_test_setup(test_dump, setup),
		cmocka_unit_test_setup(test_empty, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
