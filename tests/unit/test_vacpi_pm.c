/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vdev.h"
#include "vmm/pc/vacpi_pm.h"

static struct vacpi_pm v;
static int slept; /* the last SLP_TYP, or -1 */

static void on_sleep(void *ctx, u8 slp_typ)
{
	assert_ptr_equal(ctx, &slept);
	slept = slp_typ;
}

static const struct vacpi_pm_ops ops = { on_sleep };

static int setup(void **state)
{
	(void)state;
	fake_reset();
	slept = -1;
	vacpi_pm_init(&v, &fake.env, &ops, &slept);
	return 0;
}

static u32 in(u16 off, u8 size)
{
	return fake_in(&vacpi_pm_pio, &v, off, size);
}

static void out(u16 off, u8 size, u32 value)
{
	fake_out(&vacpi_pm_pio, &v, off, size, value);
}

/* The machine is in ACPI mode from the start, and a guest cannot leave it. */
static void test_acpi_mode(void **state)
{
	(void)state;
	assert_int_equal(in(VACPI_PM1_CONTROL, 2), 0x0001);
	out(VACPI_PM1_CONTROL, 2, 0);
	assert_int_equal(in(VACPI_PM1_CONTROL, 2), 0x0001);
}

/* Linux's way to S5, type first and then with SLP_EN, asks once for the type that the DSDT names. */
static void test_soft_off(void **state)
{
	(void)state;
	out(VACPI_PM1_EVENT, 2, 0x8000);
	out(VACPI_PM1_CONTROL, 2, VACPI_S5_TYPE << 10 | 1);
	assert_int_equal(slept, -1);
	out(VACPI_PM1_CONTROL, 2, VACPI_S5_TYPE << 10 | 0x2000 | 1);
	assert_int_equal(slept, VACPI_S5_TYPE);
	assert_int_equal(in(VACPI_PM1_CONTROL, 2), VACPI_S5_TYPE << 10 | 1); /* SLP_EN reads 0 */
}

/* Two byte writes mean what one word does. */
static void test_byte_access(void **state)
{
	(void)state;
	out(VACPI_PM1_CONTROL, 1, 0x02);
	out(VACPI_PM1_CONTROL + 1, 1, 3 << 2 | 0x20);
	assert_int_equal(slept, 3);
	assert_int_equal(in(VACPI_PM1_CONTROL, 2), 3 << 10 | 3);
	assert_int_equal(in(VACPI_PM1_CONTROL + 1, 1), 3 << 2);
	out(VACPI_PM1_EVENT + 3, 1, 0x01);
	assert_int_equal(in(VACPI_PM1_EVENT, 4), 0x01000000);
}

/* ACPICA enables an event and reads back that it is: every one can be, and none is due. */
static void test_enable(void **state)
{
	static const u16 events[] = { 0x0001, 0x0020, 0x0100, 0x0200, 0x0400 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(events); i++) {
		out(VACPI_PM1_EVENT + 2, 2, events[i]);
		assert_int_equal(in(VACPI_PM1_EVENT + 2, 2), events[i]);
		assert_int_equal(in(VACPI_PM1_EVENT, 2), 0);
		assert_false(fake.line[VACPI_SCI]);
	}
}

/* The RTC's alarm is a status, and the SCI where it is enabled; a 1 clears it. */
static void test_rtc_alarm(void **state)
{
	(void)state;
	vacpi_pm_rtc_alarm(&v);
	assert_int_equal(in(VACPI_PM1_EVENT, 2), 0x0400);
	assert_false(fake.line[VACPI_SCI]);
	out(VACPI_PM1_EVENT + 2, 2, 0x0400);
	assert_true(fake.line[VACPI_SCI]);
	out(VACPI_PM1_EVENT, 2, 0x0400);
	assert_false(fake.line[VACPI_SCI]);
	vacpi_pm_rtc_alarm(&v);
	assert_int_equal(fake.rises[VACPI_SCI], 2);
}

/* The timer counts 3.579545 MHz of guest time, for days, and wraps at 32 bits. */
static void test_timer_rate(void **state)
{
	u32 last, start;

	(void)state;
	start = in(VACPI_PM_TIMER, 4);
	last = start;
	for (u64 s = 1; s <= 400000; s += 777) {
		u32 t;

		fake.now = s * FAKE_HZ - FAKE_ACCESS_TIME;
		t = in(VACPI_PM_TIMER, 4);
		assert_int_equal(t, (u32)(s * VACPI_PM_TIMER_HZ));
		assert_int_not_equal(t, last);
		last = t;
	}
}

/* With TMR_EN, the SCI is raised when the highest bit changes, once, until the status is cleared. */
static void test_timer_event(void **state)
{
	const u64 half_turn = ((1ULL << 31) / VACPI_PM_TIMER_HZ) * FAKE_HZ;

	(void)state;
	out(VACPI_PM1_EVENT + 2, 2, 0x0001);
	fake_pass(half_turn);
	assert_int_equal(fake.rises[VACPI_SCI], 0);
	fake_pass(FAKE_HZ);
	assert_int_equal(fake.rises[VACPI_SCI], 1);
	assert_int_equal(fake.fired, 1);
	assert_true(in(VACPI_PM_TIMER, 4) >> 31);
	fake_pass(3 * half_turn);
	assert_int_equal(fake.fired, 1); /* nothing more to say until it is cleared */
	assert_true(fake.line[VACPI_SCI]);
	out(VACPI_PM1_EVENT, 2, 0x0001);
	assert_false(fake.line[VACPI_SCI]);
	fake_pass(half_turn + 2 * FAKE_HZ);
	assert_int_equal(fake.rises[VACPI_SCI], 2);
}

/* Without TMR_EN there is a status, but neither alarm nor interrupt. */
static void test_timer_status(void **state)
{
	(void)state;
	fake_pass(700 * FAKE_HZ);
	assert_int_equal(in(VACPI_PM1_EVENT, 2), 0x0001);
	assert_int_equal(fake.fired, 0);
	assert_int_equal(fake.rises[VACPI_SCI], 0);
	vacpi_pm_reset(&v);
	assert_int_equal(in(VACPI_PM1_EVENT, 2), 0);
}

/* No access of any size upsets it; what is not there reads as all ones. */
static void test_sweep(void **state)
{
	(void)state;
	assert_int_equal(in(6, 2), 0xffff);
	assert_int_equal(in(VACPI_PM1_CONTROL, 4), 0xffff0001);
	fake_sweep(&vacpi_pm_pio, &v, VACPI_PM_PORTS);
	assert_int_equal(in(VACPI_PM1_CONTROL, 2) & 0xe0fd, 0x0001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_acpi_mode, setup),
		cmocka_unit_test_setup(test_soft_off, setup),
		cmocka_unit_test_setup(test_byte_access, setup),
		cmocka_unit_test_setup(test_enable, setup),
		cmocka_unit_test_setup(test_rtc_alarm, setup),
		cmocka_unit_test_setup(test_timer_rate, setup),
		cmocka_unit_test_setup(test_timer_event, setup),
		cmocka_unit_test_setup(test_timer_status, setup),
		cmocka_unit_test_setup(test_sweep, setup),
	};

	return cmocka_run_group_tests_name("vacpi_pm", tests, NULL, NULL);
}
