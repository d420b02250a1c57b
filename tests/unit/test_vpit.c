/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vdev.h"
#include "vmm/pc/vpit.h"

#define MODE 3 /* the control word's port */

static struct vpit v;

static int setup(void **state)
{
	(void)state;
	fake_reset();
	vpit_init(&v, &fake.env);
	return 0;
}

static u8 in(u16 port)
{
	return (u8)fake_in(&vpit_pio, &v, port, 1);
}

static void out(u16 port, u8 value)
{
	fake_out(&vpit_pio, &v, port, 1, value);
}

static u8 in61(void)
{
	return (u8)fake_in(&vpit_control_pio, &v, 0, 1);
}

static void out61(u8 value)
{
	fake_out(&vpit_control_pio, &v, 0, 1, value);
}

static u64 ticks(double n)
{
	return (u64)(n * FAKE_HZ / VPIT_HZ);
}

/* Load @n with the clock standing, so that counts are exact. */
static void load(u16 channel, u8 mode, u16 n)
{
	vpit_pio.write(&v, MODE, 1, (u32)channel << 6 | 0x30 | (u32)mode << 1);
	vpit_pio.write(&v, channel, 1, n & 0xff);
	vpit_pio.write(&v, channel, 1, n >> 8);
}

static u16 latched(u16 channel)
{
	u8 low;

	vpit_pio.write(&v, MODE, 1, (u32)channel << 6);
	low = (u8)vpit_pio.read(&v, channel, 1);
	return (u16)(low | vpit_pio.read(&v, channel, 1) << 8);
}

static u8 status(u16 channel)
{
	vpit_pio.write(&v, MODE, 1, 0xe0u | 2u << channel);
	return (u8)vpit_pio.read(&v, channel, 1);
}

/* Linux's calibration through port 0x61 sees 50 ms of channel 2 as 50 ms of the TSC. */
static void test_linux_calibrate(void **state)
{
	const u32 latch = VPIT_HZ / 20;
	u64 start, loops = 0;

	(void)state;
	out61((in61() & ~0x02) | 0x01);
	out(MODE, 0xb0);
	out(2, latch & 0xff);
	out(2, latch >> 8);
	start = fake.now;
	while (!(in61() & 0x20))
		assert_true(loops++ < 100000);
	assert_in_range(fake.now - start, FAKE_HZ / 20, FAKE_HZ / 20 + 3 * FAKE_ACCESS_TIME);
}

/* Linux's quick calibration sees each value of the count's high byte in turn, and its low byte. */
static void test_linux_quick_calibrate(void **state)
{
	u64 start = 0;

	(void)state;
	out61((in61() & ~0x02) | 0x01);
	out(MODE, 0xb0);
	out(2, 0xff);
	out(2, 0xff);
	(void)in(2);
	(void)in(2);
	for (unsigned int msb = 0xff; msb > 0xff - 50; msb--) {
		unsigned int seen = 0;

		for (;;) {
			(void)in(2);
			if (in(2) != msb)
				break;
			seen++;
		}
		assert_true(seen > 50);
		if (msb == 0xff)
			start = fake.now;
	}
	assert_in_range((fake.now - start) / 1000, ticks(49 * 256) / 1000 - 10,
			ticks(49 * 256) / 1000 + 10);
}

/* HZ interrupts a second, for an hour, and not one more or less: no drift. */
static void test_rate_does_not_drift(void **state)
{
	(void)state;
	load(0, 2, 11932); /* 100 Hz, nearly */
	for (int s = 0; s < 3600; s++)
		fake_pass(FAKE_HZ);
	assert_int_equal(fake.rises[0], 3600ULL * VPIT_HZ / 11932);
	assert_int_equal(fake.rises[0], fake.fired);
}

/* Late alarms neither multiply nor shift those that follow. */
static void test_late_alarm(void **state)
{
	(void)state;
	load(0, 2, 11932);
	fake.now += ticks(5.5 * 11932);
	fake_pass(0);
	assert_int_equal(fake.rises[0], 1);
	fake_pass(ticks(0.4 * 11932));
	assert_int_equal(fake.rises[0], 1);
	fake_pass(ticks(0.2 * 11932));
	assert_int_equal(fake.rises[0], 2);
}

/* The shortest period asks for no more than 10000 alarms a second. */
static void test_storm(void **state)
{
	(void)state;
	for (u16 n = 1; n < 20; n++) {
		unsigned int before = fake.fired;

		load(0, n % 2 ? 2 : 3, n);
		fake_pass(FAKE_HZ);
		assert_in_range(fake.fired - before, 8500, 10000);
	}
}

/* One-shot modes interrupt once, at the end of the count, and again when loaded again. */
static void test_one_shot(void **state)
{
	(void)state;
	for (u8 mode = 0; mode <= 4; mode += 4) {
		unsigned int rises = fake.rises[0];

		load(0, mode, 1000);
		fake_pass(ticks(999));
		assert_int_equal(fake.rises[0], rises);
		fake_pass(ticks(3));
		assert_int_equal(fake.rises[0], rises + 1);
		fake_pass(10 * FAKE_HZ);
		assert_int_equal(fake.rises[0], rises + 1);
		vpit_pio.write(&v, 0, 1, 0);
		vpit_pio.write(&v, 0, 1, 1);
		fake_pass(FAKE_HZ);
		assert_int_equal(fake.rises[0], rises + 2);
	}
}

/* A mode without a count, and half a count in mode 0, stop the interrupts; set-up makes none. */
static void test_stop(void **state)
{
	(void)state;
	load(0, 2, 1000);
	vpit_pio.write(&v, MODE, 1, 0x34);
	fake_pass(FAKE_HZ);
	assert_int_equal(fake.rises[0], 0);
	load(0, 0, 1000);
	vpit_pio.write(&v, 0, 1, 0xff);
	fake_pass(FAKE_HZ);
	assert_int_equal(fake.rises[0], 0);
	vpit_pio.write(&v, 0, 1, 0);
	fake_pass(FAKE_HZ);
	assert_int_equal(fake.rises[0], 1);
	load(0, 2, 1000);
	vpit_reset(&v);
	assert_false(fake.line[0]);
	fake_pass(FAKE_HZ);
	assert_int_equal(fake.rises[0], 1);
}

/* Each mode counts and drives its output as the 8254's manual draws it. */
static void test_modes(void **state)
{
	static const struct {
		u8 mode;
		double at; /* ticks since the load */
		u16 count;
		bool out;
	} expect[] = {
		{ 0, 0.5, 1000, false },    { 0, 999.5, 1, false },    { 0, 1000.5, 0, true },
		{ 0, 1001.5, 65535, true }, { 2, 0.5, 1000, true },    { 2, 998.5, 2, true },
		{ 2, 999.5, 1, false },     { 2, 1000.5, 1000, true }, { 3, 0.5, 1000, true },
		{ 3, 499.5, 2, true },      { 3, 500.5, 1000, false }, { 3, 999.5, 2, false },
		{ 3, 1000.5, 1000, true },  { 4, 0.5, 1000, true },    { 4, 1000.5, 0, false },
		{ 4, 1001.5, 65535, true },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(expect); i++) {
		load(1, expect[i].mode, 1000);
		fake_pass(ticks(expect[i].at));
		assert_int_equal(latched(1), expect[i].count);
		assert_int_equal(status(1),
				 (expect[i].out ? 0x80 : 0) | 0x30 | expect[i].mode << 1);
	}
}

/* Modes 6 and 7 are 2 and 3, and a count of 0 is 65536. */
static void test_aliases(void **state)
{
	(void)state;
	load(1, 7, 1000);
	assert_int_equal(status(1) & 0x3f, 0x36);
	load(1, 6, 0);
	assert_int_equal(status(1) & 0x3f, 0x34);
	assert_int_equal(latched(1), 0);
	fake_pass(ticks(1.5));
	assert_int_equal(latched(1), 65535);
}

/* The gate of channel 2 stops and resumes modes 0 and 4, restarts 2 and 3, triggers 1 and 5. */
static void test_gate(void **state)
{
	(void)state;
	load(2, 0, 1000); /* the gate is low */
	fake_pass(FAKE_HZ);
	assert_int_equal(latched(2), 1000);
	out61(1);
	fake_pass(ticks(100.5));
	out61(0);
	assert_int_equal(latched(2), 899);
	fake_pass(FAKE_HZ);
	assert_int_equal(latched(2), 899);

	load(2, 2, 1000);
	fake_pass(ticks(100));
	vpit_control_pio.write(&v, 0, 1, 1);
	fake_pass(ticks(0.5));
	assert_int_equal(latched(2), 1000);
	vpit_control_pio.write(&v, 0, 1, 0);

	load(2, 1, 1000);
	assert_true(in61() & 0x20);
	assert_int_equal(status(2), 0xf2); /* waits: the count is not in the counter yet */
	vpit_control_pio.write(&v, 0, 1, 1);
	fake_pass(ticks(998));
	assert_int_equal(status(2), 0x32);
	vpit_control_pio.write(&v, 0, 1, 0); /* does not stop it */
	fake_pass(ticks(3));
	assert_int_equal(status(2), 0xb2);
}

/* A latched count stands still until it is read; read-back latches both, status first. */
static void test_latch(void **state)
{
	(void)state;
	load(1, 2, 1000);
	fake_pass(ticks(10.5));
	vpit_pio.write(&v, MODE, 1, 0x40);
	fake_pass(ticks(500));
	vpit_pio.write(&v, MODE, 1, 0x40); /* the first one holds */
	assert_int_equal(vpit_pio.read(&v, 1, 1), 990 & 0xff);
	assert_int_equal(vpit_pio.read(&v, 1, 1), 990 >> 8);
	vpit_pio.write(&v, MODE, 1, 0xc4); /* count and status of channel 1 */
	assert_int_equal(vpit_pio.read(&v, 1, 1), 0xb4);
	assert_int_equal(vpit_pio.read(&v, 1, 1), 490 & 0xff);
	assert_int_equal(vpit_pio.read(&v, 1, 1), 490 >> 8);
	fake_pass(ticks(1));
	assert_int_equal(latched(1), 489);
}

/* Low byte only, high byte only. */
static void test_access(void **state)
{
	(void)state;
	out(MODE, 0x54);
	vpit_pio.write(&v, 1, 1, 200);
	assert_int_equal(vpit_pio.read(&v, 1, 1), 200);
	fake_pass(ticks(1.5));
	assert_int_equal(vpit_pio.read(&v, 1, 1), 199);
	out(MODE, 0x64);
	vpit_pio.write(&v, 1, 1, 3);
	assert_int_equal(vpit_pio.read(&v, 1, 1), 3);
	vpit_pio.write(&v, MODE, 1, 0x40);
	assert_int_equal(vpit_pio.read(&v, 1, 1), 3);
}

/* BCD counts in decimal, 0 is 10000, and digits that are none do no harm. */
static void test_bcd(void **state)
{
	(void)state;
	vpit_pio.write(&v, MODE, 1, 0x75);
	vpit_pio.write(&v, 1, 1, 0x00);
	vpit_pio.write(&v, 1, 1, 0x00);
	assert_int_equal(latched(1), 0x0000);
	fake_pass(ticks(1.5));
	assert_int_equal(latched(1), 0x9999);
	vpit_pio.write(&v, 1, 1, 0x00);
	vpit_pio.write(&v, 1, 1, 0x10);
	fake_pass(ticks(1.5));
	assert_int_equal(latched(1), 0x0999);
	vpit_pio.write(&v, 1, 1, 0xff);
	vpit_pio.write(&v, 1, 1, 0xff);
	(void)latched(1);
}

/* The refresh bit of port 0x61 toggles each 15 us; no error bits are set; the speaker's are kept. */
static void test_port61(void **state)
{
	unsigned int toggles = 0;
	u8 last = in61();

	(void)state;
	for (int i = 0; i < 1500; i++) {
		u8 now = in61();

		toggles += (now ^ last) >> 4 & 1;
		last = now;
		assert_int_equal(now & 0xc0, 0);
	}
	assert_in_range(toggles, 98, 101);
	out61(0xff);
	assert_int_equal(in61() & 0x0f, 0x0f);
}

/* No access of any size upsets it. */
static void test_sweep(void **state)
{
	(void)state;
	fake_sweep(&vpit_pio, &v, VPIT_PORTS);
	fake_sweep(&vpit_control_pio, &v, 1);
	fake_sweep(&vpit_pio, &v, VPIT_PORTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_linux_calibrate, setup),
		cmocka_unit_test_setup(test_linux_quick_calibrate, setup),
		cmocka_unit_test_setup(test_rate_does_not_drift, setup),
		cmocka_unit_test_setup(test_late_alarm, setup),
		cmocka_unit_test_setup(test_storm, setup),
		cmocka_unit_test_setup(test_one_shot, setup),
		cmocka_unit_test_setup(test_stop, setup),
		cmocka_unit_test_setup(test_modes, setup),
		cmocka_unit_test_setup(test_aliases, setup),
		cmocka_unit_test_setup(test_gate, setup),
		cmocka_unit_test_setup(test_latch, setup),
		cmocka_unit_test_setup(test_access, setup),
		cmocka_unit_test_setup(test_bcd, setup),
		cmocka_unit_test_setup(test_port61, setup),
		cmocka_unit_test_setup(test_sweep, setup),
	};

	return cmocka_run_group_tests_name("vpit", tests, NULL, NULL);
}
