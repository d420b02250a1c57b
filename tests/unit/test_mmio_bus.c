/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: an access to device memory reaches the one device whose registers hold all of it, or none. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/string.h"
#include "vmm/pc/mmio_bus.h"

/* A device that notes what it is asked. */
struct probe {
	char log[256];
	u64 answer;
};

static u64 probe_read(void *dev, u64 off, u8 size)
{
	struct probe *p = dev;
	size_t n = strlen(p->log);

	snprintf(p->log + n, sizeof(p->log) - n, "r%llu.%u ", (unsigned long long)off, size);
	return p->answer;
}

static void probe_write(void *dev, u64 off, u8 size, u64 value)
{
	struct probe *p = dev;
	size_t n = strlen(p->log);

	snprintf(p->log + n, sizeof(p->log) - n, "w%llu.%u=%llx ", (unsigned long long)off, size,
		 (unsigned long long)value);
}

static const struct mmio_ops probe_ops = { probe_read, probe_write };
static struct mmio_bus bus;
static struct probe a, b;
static struct mmio_range *range_a, *range_b;

static int setup(void **state)
{
	(void)state;
	bus = (struct mmio_bus){ 0 };
	a = b = (struct probe){ .answer = 0x8877665544332211 };
	range_a = mmio_register(&bus, 0xf0000000, 0x1000, &probe_ops, &a, "a");
	range_b = mmio_register(&bus, 0xf0001000, 0x100, &probe_ops, &b, "b");
	return 0;
}

/* Claim: the device is told offset and size, and what it answers is cut to the size. */
static void within(void **state)
{
	u64 value = 0;

	(void)state;
	assert_true(mmio_bus_read(&bus, 0xf0000010, 8, &value));
	assert_int_equal(value, 0x8877665544332211);
	assert_true(mmio_bus_read(&bus, 0xf0000010, 4, &value));
	assert_int_equal(value, 0x44332211);
	assert_true(mmio_bus_read(&bus, 0xf0000fff, 1, &value));
	assert_int_equal(value, 0x11);
	assert_true(mmio_bus_write(&bus, 0xf0001000, 2, 0x12345678));
	assert_string_equal(a.log, "r16.8 r16.4 r4095.1 ");
	assert_string_equal(b.log, "w0.2=5678 ");
	assert_int_equal(range_a->accesses, 3);
	assert_int_equal(range_b->accesses, 1);
}

/* Claim: what lies outside, or across an end, is nobody's, and nobody is asked. */
static void outside(void **state)
{
	static const gpa_t at[] = { 0, 0xefffffff, 0xf0000ffe, 0xf00010fe, 0xf0001100, ~0ULL - 3 };
	u64 value = 7;

	(void)state;
	for (unsigned int i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		assert_false(mmio_bus_read(&bus, at[i], 4, &value));
		assert_false(mmio_bus_write(&bus, at[i], 4, 1));
	}
	assert_int_equal(value, 7);
	assert_string_equal(a.log, "");
	assert_string_equal(b.log, "");
}

/* Claim: a moved range answers where it is, and nowhere when it is nowhere; older ranges go first. */
static void moved(void **state)
{
	u64 value;

	(void)state;
	mmio_move(range_b, 0x123456789000);
	assert_false(mmio_bus_read(&bus, 0xf0001000, 4, &value));
	assert_true(mmio_bus_read(&bus, 0x123456789004, 4, &value));
	assert_string_equal(b.log, "r4.4 ");
	mmio_move(range_b, 0xf0000000);
	assert_true(mmio_bus_write(&bus, 0xf0000000, 4, 1));
	assert_string_equal(a.log, "w0.4=1 ");
	assert_string_equal(b.log, "r4.4 ");
	mmio_move(range_b, MMIO_NOWHERE);
	assert_false(mmio_bus_read(&bus, MMIO_NOWHERE, 1, &value));
	assert_false(mmio_bus_read(&bus, 0, 1, &value));
	mmio_move(range_b, ~0ULL - 0xff); /* up to the end of all addresses */
	assert_false(mmio_bus_read(&bus, 0, 1, &value));
}

/* Claim: that is so too for ranges that have just answered elsewhere, or alone. */
static void moved_under_another(void **state)
{
	u64 value;

	(void)state;
	assert_true(mmio_bus_read(&bus, 0xf0001000, 4, &value));
	assert_true(mmio_bus_read(&bus, 0xf0001000, 4, &value));
	mmio_move(range_a, 0xf0001000);
	assert_true(mmio_bus_read(&bus, 0xf0001000, 4, &value)); /* both are there: a was first */
	assert_true(mmio_bus_read(&bus, 0xf0001000, 4, &value));
	assert_string_equal(b.log, "r0.4 r0.4 ");
	assert_string_equal(a.log, "r0.4 r0.4 ");
	mmio_move(range_b, 0xf0001f00);
	assert_true(mmio_bus_read(&bus, 0xf0001f00, 4, &value));
	mmio_move(range_a, MMIO_NOWHERE);
	assert_true(mmio_bus_read(&bus, 0xf0001f00, 4, &value));
	assert_false(mmio_bus_read(&bus, 0xf0001000, 4, &value));
	assert_string_equal(a.log, "r0.4 r0.4 r3840.4 ");
	assert_string_equal(b.log, "r0.4 r0.4 r0.4 ");
	assert_int_equal(range_a->accesses + range_b->accesses, 6);
}

static void overlap(void)
{
	mmio_register(&bus, 0xf0001080, 0x1000, &probe_ops, &a, "c");
}

static void too_many(void)
{
	for (u64 i = 0; i < MMIO_RANGES; i++)
		mmio_register(&bus, i << 12, 0x1000, &probe_ops, &a, "many");
}

/* Claim: ranges that overlap, and more than there is room for, are mistakes of ours. */
static void mistakes(void **state)
{
	static void (*const mistake[])(void) = { overlap, too_many };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		pid_t child = fork();
		int status;

		if (!child) {
			close(2);
			signal(SIGABRT, SIG_DFL);
			mistake[i]();
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(within, setup),
		cmocka_unit_test_setup(outside, setup),
		cmocka_unit_test_setup(moved, setup),
		cmocka_unit_test_setup(moved_under_another, setup),
		cmocka_unit_test_setup(mistakes, setup),
	};

	return cmocka_run_group_tests_name("mmio_bus", tests, NULL, NULL);
}
