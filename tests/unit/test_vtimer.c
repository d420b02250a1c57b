/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: alarms fire in the order of their deadlines, and none can hold the CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "vmm/sched/vtimer.h"

#define ALARMS 8

static struct vtimers timers;
static struct vdev_timer alarm_of[ALARMS];
static char order[256];
static unsigned int fired;

/* What an alarm does when it fires: arms @other for @deadline. */
static struct {
	struct vdev_timer *other;
	u64 deadline;
} plan[ALARMS];

static void fire(void *dev)
{
	unsigned int i = (unsigned int)((struct vdev_timer *)dev - alarm_of);

	assert_int_equal(alarm_of[i].deadline, VDEV_NEVER);
	order[fired++] = (char)('a' + i);
	if (plan[i].other)
		vtimer_set(&timers, plan[i].other, plan[i].deadline);
}

static int setup(void **state)
{
	(void)state;
	timers = (struct vtimers){ 0 };
	fired = 0;
	for (unsigned int i = 0; i < 256; i++)
		order[i] = 0;
	for (unsigned int i = 0; i < ALARMS; i++) {
		alarm_of[i] = (struct vdev_timer){ fire, &alarm_of[i], VDEV_NEVER, NULL };
		plan[i].other = NULL;
	}
	return 0;
}

static void set(unsigned int i, u64 deadline)
{
	vtimer_set(&timers, &alarm_of[i], deadline);
}

/* Claim: by deadline; those of the same one in the order in which they were armed. */
static void in_order(void **state)
{
	(void)state;
	assert_true(vtimer_next(&timers) == VDEV_NEVER);
	set(0, 30), set(1, 10), set(2, 20), set(3, 10), set(4, 31);
	assert_int_equal(vtimer_next(&timers), 10);
	vtimer_run(&timers, 9);
	assert_string_equal(order, "");
	vtimer_run(&timers, 30);
	assert_string_equal(order, "bdca");
	assert_int_equal(vtimer_next(&timers), 31);
}

/* Claim: arming again replaces, VDEV_NEVER disarms, from each place of the list. */
static void rearm(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 5; i++)
		set(i, 10 + i);
	set(0, 50);
	set(2, VDEV_NEVER);
	set(4, 1);
	set(7, VDEV_NEVER); /* not armed at all */
	vtimer_run(&timers, 100);
	assert_string_equal(order, "ebda");
	assert_true(vtimer_next(&timers) == VDEV_NEVER);
}

/* Claim: an alarm may arm itself, and change another one that is due as well. */
static void from_within(void **state)
{
	(void)state;
	set(0, 10), set(1, 11), set(2, 12);
	plan[0].other = &alarm_of[0], plan[0].deadline = 200;
	plan[1].other = &alarm_of[2], plan[1].deadline = 300; /* due in the same run: put off */
	vtimer_run(&timers, 100);
	assert_string_equal(order, "ab");
	assert_int_equal(vtimer_next(&timers), 200);

	plan[0].other = &alarm_of[2], plan[0].deadline = 5; /* put off before: now due at once */
	vtimer_run(&timers, 200);
	assert_string_equal(order, "abac");

	set(0, 10), set(3, 20);
	plan[0].other = &alarm_of[3], plan[0].deadline = VDEV_NEVER; /* due: disarmed */
	vtimer_run(&timers, 400);
	assert_string_equal(order, "abaca");
}

/* Claim: an alarm that arms itself for the past comes VTIMER_BURST times a call, no more. */
static void burst(void **state)
{
	(void)state;
	set(0, 10), set(1, 20);
	plan[0].other = &alarm_of[0], plan[0].deadline = 1;
	vtimer_run(&timers, 100);
	assert_int_equal(fired, VTIMER_BURST);
	assert_int_equal(vtimer_next(&timers), 1);
	plan[0].other = NULL;
	vtimer_run(&timers, 100);
	assert_int_equal(fired, VTIMER_BURST + 2);
	assert_int_equal(order[VTIMER_BURST + 1], 'b');
}

/* Claim: after any mixture the list is sorted and holds what is armed, once. */
static void any_mixture(void **state)
{
	u32 random = 7;

	(void)state;
	for (unsigned int n = 0; n < 100000; n++) {
		unsigned int armed = 0, listed = 0;
		u64 last = 0;

		random = random * 1664525 + 1013904223;
		set(random >> 8 & 7, random >> 16 & 1 ? random >> 20 : VDEV_NEVER);
		for (struct vdev_timer *t = timers.first; t; t = t->next, listed++) {
			assert_true(t->deadline >= last && t->deadline != VDEV_NEVER);
			last = t->deadline;
		}
		for (unsigned int i = 0; i < ALARMS; i++)
			armed += alarm_of[i].deadline != VDEV_NEVER;
		assert_int_equal(listed, armed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(in_order, setup),    cmocka_unit_test_setup(rearm, setup),
		cmocka_unit_test_setup(from_within, setup), cmocka_unit_test_setup(burst, setup),
		cmocka_unit_test_setup(any_mixture, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
