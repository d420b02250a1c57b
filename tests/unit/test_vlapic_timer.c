/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's timer, against a clock that the test moves. */
#include "tests/unit/test_vlapic.h"

#define TSC_PER_TICK (TSC_HZ / TIMER_HZ)

enum { DIVIDE_1 = 0xb, DIVIDE_2 = 0x0, DIVIDE_16 = 0x3, DIVIDE_128 = 0xa };

static void start(u32 lvt, u32 divide)
{
	machine_start_enabled(1);
	m.now = 12345;
	wr(0, APIC_LVT_TIMER, lvt);
	wr(0, APIC_DIVIDE, divide);
}

/* One-shot: one interrupt, on the tick, and the current count falls to 0 and stays there. */
static void test_one_shot(void **state)
{
	(void)state;
	start(0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 1000);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 1000);
	clock_run(12345 + 400 * TSC_PER_TICK);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 600);
	clock_run(12345 + 1000 * TSC_PER_TICK - 1);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 1);
	assert_int_equal(m.cpu[0].kicks, 0);
	clock_run(12345 + 1000 * TSC_PER_TICK);
	take(0, 0x40);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 0);
	wr(0, APIC_EOI, 0);
	wr(0, APIC_LVT_TIMER, APIC_TIMER_PERIODIC | 0x40); /* too late: it has stopped */
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 0);
	clock_run(m.now + TSC_HZ);
	assert_int_equal(m.cpu[0].kicks, 1);
	assert_int_equal(rd(0, APIC_INITIAL_COUNT), 1000);
}

/* The eight dividers. */
static void test_dividers(void **state)
{
	static const struct {
		u32 code, divisor;
	} dividers[] = { { 0x0, 2 },  { 0x1, 4 },  { 0x2, 8 },   { 0x3, 16 },
			 { 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(dividers); i++) {
		start(0x40, dividers[i].code);
		wr(0, APIC_INITIAL_COUNT, 10);
		assert_non_null(m.armed[0]);
		assert_int_equal(m.armed[0]->deadline - m.now,
				 10 * dividers[i].divisor * TSC_PER_TICK);
	}
}

/* A new divider keeps the count and changes its speed. */
static void test_divider_while_running(void **state)
{
	(void)state;
	start(0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 1000);
	clock_run(m.now + 500 * TSC_PER_TICK);
	wr(0, APIC_DIVIDE, DIVIDE_2);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 500);
	assert_int_equal(m.armed[0]->deadline - m.now, 1000 * TSC_PER_TICK);
	clock_run(m.now + 500 * TSC_PER_TICK);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 250);
}

/* An initial count of 0 stops; a new one starts anew. */
static void test_stop(void **state)
{
	(void)state;
	start(0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 1000);
	wr(0, APIC_INITIAL_COUNT, 0);
	assert_null(m.armed[0]);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 0);
	wr(0, APIC_INITIAL_COUNT, 5);
	wr(0, APIC_INITIAL_COUNT, 7);
	assert_int_equal(m.armed[0]->deadline - m.now, 7 * TSC_PER_TICK);
}

/* Masked, the timer runs but does not interrupt. */
static void test_masked(void **state)
{
	(void)state;
	start(APIC_MASKED | 0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 1000);
	clock_run(m.now + 999 * TSC_PER_TICK);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 1);
	clock_run(m.now + 10 * TSC_PER_TICK);
	assert_int_equal(vlapic_highest_irr(apic(0)), -1);
}

/*
 * Periodic: however late each alarm comes, and with clocks that do not divide each other, expiry n
 * is at start + n * period, to the TSC tick.
 */
static void test_periodic_does_not_drift(void **state)
{
	const u64 timer_hz = 24000000, tsc_hz = 2903999771, count = 24001;
	unsigned int seen = 0;

	(void)state;
	start(APIC_TIMER_PERIODIC | 0x40, DIVIDE_1);
	m.bus.timer_hz = timer_hz;
	m.env.tsc_hz = tsc_hz;
	wr(0, APIC_INITIAL_COUNT, (u32)count);
	for (u64 n = 1; n <= 100000; n++) {
		u64 exact = (n * count * tsc_hz + timer_hz - 1) / timer_hz;

		assert_int_equal(m.armed[0]->deadline, 12345 + exact);
		clock_run_late(m.armed[0]->deadline + n % 977, n % 977);
		seen += vlapic_pending(apic(0)) == 0x40;
		vlapic_accept(apic(0), 0x40);
		wr(0, APIC_EOI, 0);
	}
	assert_int_equal(seen, 100000);
}

/* Expiries missed while nobody ran are one interrupt, and the phase is kept. */
static void test_periodic_missed(void **state)
{
	(void)state;
	start(APIC_TIMER_PERIODIC | 0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 100000);
	clock_run_late(12345 + 1234567 * TSC_PER_TICK, 1134567 * TSC_PER_TICK);
	assert_int_equal(m.cpu[0].kicks, 1);
	assert_int_equal(m.armed[0]->deadline, 12345 + 1300000 * TSC_PER_TICK);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 1300000 - 1234567);
}

/* The current count of a periodic timer wraps by itself, before its alarm has come. */
static void test_periodic_count(void **state)
{
	(void)state;
	start(APIC_TIMER_PERIODIC | 0x40, DIVIDE_16);
	wr(0, APIC_INITIAL_COUNT, 1000);
	m.now += 16 * 1000 * TSC_PER_TICK;
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 1000);
	m.now += 16 * 1 * TSC_PER_TICK;
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 999);
	m.now += 16 * 2998 * TSC_PER_TICK;
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 1);
}

/* The shortest period floods nobody: alarms are 20 us apart, the count still runs at full speed. */
static void test_periodic_storm(void **state)
{
	(void)state;
	start(APIC_TIMER_PERIODIC | 0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 1);
	m.alarms_set = 0;
	clock_run(m.now + TSC_HZ);
	assert_in_range(m.alarms_set, 45000, 50001);
	wr(0, APIC_INITIAL_COUNT, 7);
	clock_run(m.now + 700 * TSC_PER_TICK);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 7);
	clock_run(m.now + 3 * TSC_PER_TICK);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 4);
}

/* TSC-deadline: fires at the deadline, reads back until then, 0 after; 0 disarms. */
static void test_tsc_deadline(void **state)
{
	(void)state;
	start(APIC_TIMER_TSC_DEADLINE | 0x40, DIVIDE_1);
	vlapic_set_tsc_deadline(apic(0), 20000);
	assert_int_equal(vlapic_tsc_deadline(apic(0)), 20000);
	clock_run(19999);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	clock_run(20000);
	take(0, 0x40);
	wr(0, APIC_EOI, 0);
	assert_int_equal(vlapic_tsc_deadline(apic(0)), 0);
	vlapic_set_tsc_deadline(apic(0), 30000);
	vlapic_set_tsc_deadline(apic(0), 0);
	clock_run(40000);
	assert_int_equal(m.cpu[0].kicks, 1);
	vlapic_set_tsc_deadline(apic(0), 50000);
	vlapic_set_tsc_deadline(apic(0), 39999); /* passed: at once, and only that one */
	take(0, 0x40);
	wr(0, APIC_EOI, 0);
	assert_null(m.armed[0]);
	vlapic_set_tsc_deadline(apic(0), m.now);
	take(0, 0x40);
	wr(0, APIC_EOI, 0);
	vlapic_set_tsc_deadline(apic(0), ~0ULL);
	clock_run(60000);
	assert_int_equal(vlapic_pending(apic(0)), -1);
}

/* The counter registers do nothing in TSC-deadline mode, the deadline nothing in the others. */
static void test_modes_apart(void **state)
{
	(void)state;
	start(APIC_TIMER_TSC_DEADLINE | 0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 100);
	assert_int_equal(rd(0, APIC_INITIAL_COUNT), 0);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 0);
	assert_null(m.armed[0]);
	vlapic_set_tsc_deadline(apic(0), 20000);
	wr(0, APIC_LVT_TIMER, 0x40); /* leaving the mode disarms */
	assert_null(m.armed[0]);
	assert_int_equal(vlapic_tsc_deadline(apic(0)), 0);
	vlapic_set_tsc_deadline(apic(0), 20000);
	assert_int_equal(vlapic_tsc_deadline(apic(0)), 0);
	wr(0, APIC_INITIAL_COUNT, 100);
	assert_non_null(m.armed[0]);
	wr(0, APIC_LVT_TIMER, APIC_TIMER_TSC_DEADLINE | 0x40); /* entering it, too */
	assert_null(m.armed[0]);
}

/* A reserved timer mode, and an alarm that nobody waits for, do nothing. */
static void test_odd_states(void **state)
{
	(void)state;
	start(APIC_TIMER_MODE | 0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 100);
	vlapic_set_tsc_deadline(apic(0), 20000);
	assert_null(m.armed[0]);
	apic(0)->timer.alarm.fire(apic(0)->timer.alarm.dev);
	assert_int_equal(vlapic_highest_irr(apic(0)), -1);
}

/* The largest count and divider neither overflow nor fire early. */
static void test_longest(void **state)
{
	(void)state;
	start(0x40, DIVIDE_128);
	wr(0, APIC_INITIAL_COUNT, ~0u);
	assert_int_equal(m.armed[0]->deadline - m.now, 0xffffffffULL * 128 * TSC_PER_TICK);
	assert_int_equal(rd(0, APIC_CURRENT_COUNT), 0xffffffff);
}

/* An alarm that comes before its time is set again, not taken for an expiry. */
static void test_early_alarm(void **state)
{
	(void)state;
	start(0x40, DIVIDE_1);
	wr(0, APIC_INITIAL_COUNT, 1000);
	m.armed[0]->deadline = VDEV_NEVER;
	m.armed[0] = NULL;
	apic(0)->timer.alarm.fire(apic(0)->timer.alarm.dev);
	assert_int_equal(m.cpu[0].kicks, 0);
	clock_run(m.now + 1000 * TSC_PER_TICK);
	assert_int_equal(m.cpu[0].kicks, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_shot),
		cmocka_unit_test(test_dividers),
		cmocka_unit_test(test_divider_while_running),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_masked),
		cmocka_unit_test(test_periodic_does_not_drift),
		cmocka_unit_test(test_periodic_missed),
		cmocka_unit_test(test_periodic_count),
		cmocka_unit_test(test_periodic_storm),
		cmocka_unit_test(test_tsc_deadline),
		cmocka_unit_test(test_modes_apart),
		cmocka_unit_test(test_odd_states),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_early_alarm),
	};

	return cmocka_run_group_tests_name("vlapic timer", tests, NULL, NULL);
}
