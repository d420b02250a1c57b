/* SPDX-License-Identifier: BSD-2-Clause */
#define _DEFAULT_SOURCE /* timegm */
#include <time.h>

#include "tests/unit/fake_vdev.h"
#include "vmm/pc/vrtc.h"

enum { SEC, SEC_ALARM, MIN_, MIN_ALARM, HOUR, HOUR_ALARM, WDAY, MDAY, MON, YEAR, A, B, C, D };

#define EPOCH 1700000000ULL /* Tue 2023-11-14 22:13:20 UTC */

static struct vrtc v;

static unsigned int rung;

static void rang(void *ctx)
{
	assert_ptr_equal(ctx, &v);
	rung++;
}

static void start(u64 epoch, u64 below, u64 above)
{
	const struct vrtc_config config = { epoch, below, above, rang, &v };

	fake_reset();
	rung = 0;
	vrtc_init(&v, &fake.env, &config);
}

static int setup(void **state)
{
	(void)state;
	start(EPOCH, MIB(512), 0);
	return 0;
}

static u8 get(u8 reg)
{
	fake_out(&vrtc_pio, &v, 0, 1, reg);
	return (u8)fake_in(&vrtc_pio, &v, 1, 1);
}

static void put(u8 reg, u8 value)
{
	fake_out(&vrtc_pio, &v, 0, 1, reg);
	fake_out(&vrtc_pio, &v, 1, 1, value);
}

static int bcd(u8 value)
{
	assert_true((value & 15) < 10 && value >> 4 < 10);
	return (value >> 4) * 10 + (value & 15);
}

/* Linux's way: the same second, and no update in progress, before and after. */
static time_t linux_read(void)
{
	for (int i = 0; i < 10; i++) {
		u8 seconds = get(SEC);
		struct tm tm = { 0 };

		if (get(A) & 0x80) {
			fake_pass_us(1000);
			continue;
		}
		if (seconds != get(SEC))
			continue;
		tm.tm_sec = bcd(seconds);
		tm.tm_min = bcd(get(MIN_));
		tm.tm_hour = bcd(get(HOUR));
		tm.tm_mday = bcd(get(MDAY));
		tm.tm_mon = bcd(get(MON)) - 1;
		tm.tm_year = bcd(get(YEAR)) + bcd(get(VRTC_CENTURY)) * 100 - 1900;
		if (get(A) & 0x80 || seconds != get(SEC))
			continue;
		return timegm(&tm);
	}
	fail_msg("no read in ten tries");
	return 0;
}

static void linux_set(time_t t)
{
	struct tm tm;
	u8 control, freq;

	gmtime_r(&t, &tm);
	control = get(B);
	put(B, control | 0x80);
	freq = get(A);
	put(A, freq | 0x70);
#define PUT(reg, n) put(reg, (u8)((n) / 10 % 10 << 4 | (n) % 10))
	PUT(YEAR, tm.tm_year);
	PUT(MON, tm.tm_mon + 1);
	PUT(MDAY, tm.tm_mday);
	PUT(HOUR, tm.tm_hour);
	PUT(MIN_, tm.tm_min);
	PUT(SEC, tm.tm_sec);
	PUT(VRTC_CENTURY, (tm.tm_year + 1900) / 100);
	fake_pass_us(3000000); /* stands still meanwhile */
	put(B, control);
	put(A, freq);
}

/* Linux reads the time at any moment, and it is the epoch plus guest time. */
static void test_linux_read(void **state)
{
	(void)state;
	assert_int_equal(get(B), 0x02); /* BCD, 24 hours: what its driver insists on */
	assert_int_equal(get(D), 0x80);
	for (int i = 0; i < 5000; i++) {
		time_t t = linux_read();
		time_t now = (time_t)(EPOCH + fake.now / FAKE_HZ);

		assert_true(t == now || t == now - 1); /* the second may turn after the read */
		fake_pass_us(1 + (u64)i * 7919 % 1000000);
	}
}

/* Dates agree with the C library's through leap years and centuries. */
static void test_calendar(void **state)
{
	(void)state;
	for (u64 t = 0; t < 8000000000ULL; t += 86400 * 3 + 3607) {
		time_t tt = (time_t)t;
		struct tm tm;

		start(t, MIB(16), 0);
		assert_int_equal(linux_read(), t);
		gmtime_r(&tt, &tm);
		assert_int_equal(get(WDAY), tm.tm_wday + 1);
	}
}

/* Linux sets the time; the first second after that is half a second long. */
static void test_linux_set(void **state)
{
	static const time_t times[] = { 0, 951782399, 951782400, 1709251199, 4102444800 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(times); i++) {
		linux_set(times[i]);
		fake_pass_us(400000);
		assert_int_equal(linux_read(), times[i]);
		fake_pass_us(100000);
		assert_int_equal(linux_read(), times[i] + 1);
		fake_pass_us(900000);
		assert_int_equal(linux_read(), times[i] + 1);
		fake_pass_us(100000);
		assert_int_equal(linux_read(), times[i] + 2);
	}
}

/* The update in progress is seen for 244 us of each second, and never sticks. */
static void test_uip(void **state)
{
	unsigned int seen = 0, reads = 0;

	(void)state;
	while (fake.now < 10 * FAKE_HZ) {
		u8 a = get(A);
		u8 before = get(SEC);
		u8 after = get(SEC);

		reads++;
		if (a & 0x80)
			seen++;
		else if (before != after)
			fail_msg("the time changed without a warning");
	}
	assert_in_range(seen * 6, 10 * 244 - 120, 10 * 244 + 120); /* 6 us a round */
	assert_true(reads > 1000000);
}

/* SET stops the clock for the reader, and it goes on from what was written, in phase. */
static void test_set_bit(void **state)
{
	(void)state;
	fake_pass_us(300000);
	put(B, 0x82);
	assert_int_equal(get(SEC), 0x20);
	fake_pass_us(5000000);
	assert_int_equal(get(SEC), 0x20);
	assert_int_equal(get(A) & 0x80, 0);
	put(MIN_, 0x30);
	put(B, 0x02);
	assert_int_equal(get(MIN_), 0x30);
	assert_int_equal(get(SEC), 0x20);
	fake_pass_us(690000);
	assert_int_equal(get(SEC), 0x20);
	fake_pass_us(20000);
	assert_int_equal(get(SEC), 0x21);
}

/* Binary and 12-hour forms say the same time, midnight and noon included. */
static void test_formats(void **state)
{
	static const u8 twelve[] = { 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };

	(void)state;
	for (u8 h = 0; h < 24; h++) {
		u8 pm = h >= 12 ? 0x80 : 0;

		start((EPOCH / 86400) * 86400 + h * 3600u + 59, MIB(16), 0);
		put(B, 0x04);
		assert_int_equal(get(HOUR), twelve[h % 12] | pm);
		assert_int_equal(get(SEC), 59);
		put(HOUR, get(HOUR)); /* and back */
		put(B, 0x06);
		assert_int_equal(get(HOUR), h);
		assert_int_equal(get(YEAR), 23);
		put(B, 0x00);
		assert_int_equal(get(HOUR), (twelve[h % 12] / 10 << 4 | twelve[h % 12] % 10) | pm);
		put(HOUR, get(HOUR));
		put(B, 0x02);
		assert_int_equal(bcd(get(HOUR)), h);
	}
}

/* Update interrupts come each second while they are answered, and not again until they are. */
static void test_update_interrupt(void **state)
{
	(void)state;
	put(B, 0x12);
	for (unsigned int s = 1; s <= 20; s++) {
		fake_pass_us(1000000);
		assert_int_equal(fake.rises[8], s);
		assert_int_equal(get(C) & 0xb0, 0x90);
		assert_int_equal(get(C), 0);
		assert_false(fake.line[8]);
	}
	fake_pass_us(10000000);
	assert_int_equal(fake.rises[8], 21);
	assert_int_equal(fake.fired, 21);
}

/* The periodic interrupt keeps its rate exactly. */
static void test_periodic_interrupt(void **state)
{
	(void)state;
	for (u8 rate = 3; rate < 16; rate++) {
		unsigned int before = fake.rises[8], expect = 32768u >> (rate - 1);
		u64 end;

		put(A, 0x20 | rate);
		put(B, 0x42);
		(void)get(C);
		end = fake.now + FAKE_HZ;
		while (vtimer_next(&fake.timers) <= end) {
			fake_pass(vtimer_next(&fake.timers) - fake.now);
			/* the handler, in no time */
			v.index = C;
			assert_true(vrtc_pio.read(&v, 1, 1) & 0x40);
		}
		fake.now = end;
		assert_in_range(fake.rises[8] - before, expect - 1, expect + 1);
		put(B, 0x02);
	}
}

/* No rate, no interrupt. */
static void test_periodic_off(void **state)
{
	(void)state;
	put(A, 0x20);
	put(B, 0x42);
	fake_pass_us(2000000);
	assert_int_equal(fake.rises[8], 0);
	assert_int_equal(get(C) & 0x40, 0);
}

/* An alarm fires at its time of day; bytes that match everything make it hourly, or oftener. */
static void test_alarm(void **state)
{
	static const struct {
		u8 hour, minute, second;
		u32 first, period; /* seconds; from 22:13:20 */
	} alarms[] = {
		{ 0x22, 0x13, 0x25, 5, 86400 },
		{ 0x22, 0x13, 0x20, 86400, 86400 },
		{ 0x03, 0x00, 0x00, 4 * 3600 + 46 * 60 + 40, 86400 },
		{ 0xff, 0x13, 0x19, 3599, 3600 },
		{ 0xc0, 0xc0, 0x19, 59, 60 },
		{ 0xff, 0xff, 0xff, 1, 1 },
		{ 0x22, 0xff, 0x10, 50, 60 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(alarms); i++) {
		start(EPOCH, MIB(16), 0);
		put(HOUR_ALARM, alarms[i].hour);
		put(MIN_ALARM, alarms[i].minute);
		put(SEC_ALARM, alarms[i].second);
		put(B, 0x22);
		(void)get(C);
		fake_pass_us(alarms[i].first * 1000000ULL - 500000);
		assert_int_equal(fake.rises[8], 0);
		fake_pass_us(600000);
		assert_int_equal(fake.rises[8], 1);
		assert_int_equal(rung, 1);
		assert_int_equal(get(C) & 0xa0, 0xa0);
		fake_pass_us(alarms[i].period * 1000000ULL);
		assert_int_equal(fake.rises[8], 2);
		assert_int_equal(rung, 2);
	}
}

/* An alarm that does not interrupt does not ring, nor do the other interrupts; one that was flagged rings when it may. */
static void test_alarm_rings(void **state)
{
	(void)state;
	put(HOUR_ALARM, 0xff);
	put(MIN_ALARM, 0xff);
	put(SEC_ALARM, 0x25);
	put(B, 0x12);
	fake_pass_us(10000000);
	(void)get(A);
	assert_int_equal(rung, 0);
	put(B, 0x32);
	assert_int_equal(rung, 1);
	put(B, 0x12);
	put(B, 0x32);
	assert_int_equal(rung, 2);
}

/* An alarm that no time matches never fires, and one passed unseen is still flagged. */
static void test_alarm_odd(void **state)
{
	(void)state;
	put(HOUR_ALARM, 0x99);
	put(B, 0x22);
	fake_pass_us(2 * 86400 * 1000000ULL);
	assert_int_equal(fake.fired, 0);
	put(B, 0x02);
	put(HOUR_ALARM, 0x05);
	put(MIN_ALARM, 0);
	put(SEC_ALARM, 0);
	(void)get(C);
	fake_pass_us(86400 * 1000000ULL);
	assert_int_equal(fake.fired, 0);
	assert_int_equal(get(C) & 0xf0, 0x70); /* flags, but no request */
}

/* The memory sizes are what a BIOS would say. */
static void test_memory_sizes(void **state)
{
	(void)state;
	start(EPOCH, MIB(512), 0);
	assert_int_equal(get(0x15) | get(0x16) << 8, 640);
	assert_int_equal(get(0x17) | get(0x18) << 8, 0xffff);
	assert_int_equal(get(0x30) | get(0x31) << 8, 0xffff);
	assert_int_equal(get(0x34) | get(0x35) << 8, (512 - 16) * 16);
	assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 0);
	start(EPOCH, MIB(8), GIB(5));
	assert_int_equal(get(0x17) | get(0x18) << 8, 7 * 1024);
	assert_int_equal(get(0x34) | get(0x35) << 8, 0);
	assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 5 * 16384);
}

/* RAM keeps what is written, the index ignores the NMI bit, C and D cannot be written. */
static void test_cmos(void **state)
{
	(void)state;
	put(0x40, 0x5a);
	assert_int_equal(get(0xc0), 0x5a);
	put(D, 0);
	assert_int_equal(get(D), 0x80);
	put(C, 0xff);
	assert_int_equal(get(C) & 0x8f, 0);
	put(A, 0xff);
	assert_int_equal(get(A) & 0x80, 0);
}

/* A reset of the machine leaves the time alone, and takes interrupts away. */
static void test_reset(void **state)
{
	(void)state;
	put(B, 0x72);
	fake_pass_us(1500000);
	assert_true(fake.line[8]);
	vrtc_reset(&v);
	assert_false(fake.line[8]);
	assert_int_equal(linux_read(), EPOCH + 1);
	fake_pass_us(5000000);
	assert_int_equal(fake.rises[8], 1);
}

/* No access of any size upsets it, whatever dates and modes that makes. */
static void test_sweep(void **state)
{
	(void)state;
	fake_sweep(&vrtc_pio, &v, VRTC_PORTS);
	for (u16 reg = 0; reg < 128; reg++)
		for (unsigned int value = 0; value < 256; value++) {
			put((u8)reg, (u8)value);
			(void)get((u8)reg);
		}
	fake_sweep(&vrtc_pio, &v, VRTC_PORTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_linux_read, setup),
		cmocka_unit_test_setup(test_calendar, setup),
		cmocka_unit_test_setup(test_linux_set, setup),
		cmocka_unit_test_setup(test_uip, setup),
		cmocka_unit_test_setup(test_set_bit, setup),
		cmocka_unit_test_setup(test_formats, setup),
		cmocka_unit_test_setup(test_update_interrupt, setup),
		cmocka_unit_test_setup(test_periodic_interrupt, setup),
		cmocka_unit_test_setup(test_periodic_off, setup),
		cmocka_unit_test_setup(test_alarm, setup),
		cmocka_unit_test_setup(test_alarm_odd, setup),
		cmocka_unit_test_setup(test_alarm_rings, setup),
		cmocka_unit_test_setup(test_memory_sizes, setup),
		cmocka_unit_test_setup(test_cmos, setup),
		cmocka_unit_test_setup(test_reset, setup),
		cmocka_unit_test_setup(test_sweep, setup),
	};

	return cmocka_run_group_tests_name("vrtc", tests, NULL, NULL);
}
