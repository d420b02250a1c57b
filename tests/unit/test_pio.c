/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a port access reaches exactly the devices whose ports it touches. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/string.h"
#include "vmm/pc/pio.h"

/* A device that notes what it is asked. */
struct probe {
	char log[256];
	u32 answer;
};

static u32 probe_read(void *dev, u16 off, u8 size)
{
	struct probe *p = dev;
	size_t n = strlen(p->log);

	snprintf(p->log + n, sizeof(p->log) - n, "r%u.%u ", off, size);
	return p->answer;
}

static void probe_write(void *dev, u16 off, u8 size, u32 value)
{
	struct probe *p = dev;
	size_t n = strlen(p->log);

	snprintf(p->log + n, sizeof(p->log) - n, "w%u.%u=%x ", off, size, value);
}

static const struct pio_ops probe_ops = { probe_read, probe_write };
static struct pio_bus bus;
static struct probe a, b, top, bottom;

static int setup(void **state)
{
	(void)state;
	bus = (struct pio_bus){ 0 };
	a = b = top = bottom = (struct probe){ .answer = 0xa5a5a5a5 };
	pio_register(&bus, 0x100, 6, &probe_ops, &a, "a");
	pio_register(&bus, 0x106, 2, &probe_ops, &b, "b");
	pio_register(&bus, 0xfffe, 2, &probe_ops, &top, "top");
	pio_register(&bus, 0, 1, &probe_ops, &bottom, "bottom");
	return 0;
}

/* Claim: an access within a range is one call of the device, cut to its size. */
static void whole(void **state)
{
	(void)state;
	assert_int_equal(pio_read(&bus, 0x100, 4), 0xa5a5a5a5);
	assert_int_equal(pio_read(&bus, 0x102, 2), 0xa5a5);
	assert_int_equal(pio_read(&bus, 0x105, 1), 0xa5);
	pio_write(&bus, 0x101, 2, 0x12345678);
	pio_write(&bus, 0x102, 4, 0x12345678);
	pio_write(&bus, 0x103, 1, 0x12345678);
	assert_string_equal(a.log, "r0.4 r2.2 r5.1 w1.2=5678 w2.4=12345678 w3.1=78 ");
	assert_int_equal(bus.range[0].accesses, 6);
	assert_int_equal(bus.unclaimed, 0);
}

/* Claim: an access that leaves its device's range becomes bytes, lowest first. */
static void straddling(void **state)
{
	(void)state;
	a.answer = 0x11, b.answer = 0x22;
	assert_int_equal(pio_read(&bus, 0x104, 4), 0x22221111);
	pio_write(&bus, 0x105, 2, 0xbbaa);
	assert_string_equal(a.log, "r4.1 r5.1 w5.1=aa ");
	assert_string_equal(b.log, "r0.1 r1.1 w0.1=bb ");
}

/* Claim: a device that takes writes whole gets all bytes of one that begins there, and none of another one's. */
static void never_split(void **state)
{
	(void)state;
	bus.range[3].whole = true;
	pio_write(&bus, 0, 4, 0x100);
	pio_write(&bus, 0, 2, 0xabcd);
	pio_write(&bus, 1, 2, 0x1234);
	assert_string_equal(bottom.log, "w0.4=100 w0.2=abcd ");
	pio_write(&bus, 0xffff, 2, 0xbbaa);
	assert_string_equal(top.log, "w1.1=aa ");
}

/* Claim: one that begins or ends where nothing is reads ones there and still reaches the rest. */
static void into_nothing(void **state)
{
	(void)state;
	assert_int_equal(pio_read(&bus, 0x106, 4), 0xffffa5a5);
	assert_int_equal(pio_read(&bus, 0xfe, 4), 0xa5a5ffff);
	pio_write(&bus, 0xff, 2, 0xbbaa);
	assert_string_equal(a.log, "r0.1 r1.1 w0.1=bb ");
	assert_int_equal(bus.unclaimed, 5);
	assert_int_equal(pio_read(&bus, 0x500, 1), 0xff);
	assert_int_equal(pio_read(&bus, 0x500, 2), 0xffff);
	assert_int_equal(pio_read(&bus, 0x500, 4), 0xffffffff);
	assert_int_equal(bus.unclaimed, 5 + 7);
}

/* Claim: the last port is followed by the first. */
static void wrap(void **state)
{
	(void)state;
	top.answer = 0x1234;
	assert_int_equal(pio_read(&bus, 0xfffe, 2), 0x1234);
	top.answer = 0x55, bottom.answer = 0x66;
	assert_int_equal(pio_read(&bus, 0xffff, 4), 0xffff6655);
	pio_write(&bus, 0xfffe, 4, 0x44332211);
	assert_string_equal(top.log, "r0.2 r1.1 w0.1=11 w1.1=22 ");
	assert_string_equal(bottom.log, "r0.1 w0.1=33 ");
}

/* Does registering these ports end in panic? */
static bool panics(u16 base, u16 len)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		fclose(stderr);
		close(2);
		signal(SIGABRT, SIG_DFL);
		pio_register(&bus, base, len, &probe_ops, &a, "again");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* Claim: overlapping ranges, and more than there is room for, are a panic; neighbours are not. */
static void set_up(void **state)
{
	(void)state;
	assert_true(panics(0x100, 6));
	assert_true(panics(0xff, 2));
	assert_true(panics(0x107, 8));
	assert_true(panics(0x102, 1));
	assert_true(panics(0xf0, 0x40));
	assert_true(panics(0xffff, 1));
	assert_false(panics(0xff, 1));
	assert_false(panics(0x108, 1));
	for (u16 port = 0x1000; bus.ranges < PIO_RANGES; port++)
		pio_register(&bus, port, 1, &probe_ops, &a, "filler");
	assert_true(panics(0x2000, 1));
}

/* Claim: a moved range answers where it is, and nowhere when it is nowhere; older ranges go first. */
static void moved(void **state)
{
	struct pio_range *range = pio_register(&bus, 0, 0, &probe_ops, &top, "nowhere");

	(void)state;
	assert_int_equal(pio_read(&bus, 0x200, 1), 0xff);
	pio_move(&bus, range, 0x200, 4);
	assert_int_equal(pio_read(&bus, 0x202, 2), 0xa5a5);
	assert_string_equal(top.log, "r2.2 ");
	pio_move(&bus, range, 0x102, 4);
	pio_write(&bus, 0x102, 1, 1);
	assert_string_equal(a.log, "w2.1=1 ");
	assert_string_equal(top.log, "r2.2 ");
	pio_move(&bus, range, 0, 0);
	assert_int_equal(pio_read(&bus, 0x202, 1), 0xff);
	assert_int_equal(range->accesses, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whole, setup),
		cmocka_unit_test_setup(straddling, setup),
		cmocka_unit_test_setup(never_split, setup),
		cmocka_unit_test_setup(into_nothing, setup),
		cmocka_unit_test_setup(wrap, setup),
		cmocka_unit_test_setup(set_up, setup),
		cmocka_unit_test_setup(moved, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
