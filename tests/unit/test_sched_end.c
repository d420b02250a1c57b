/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Claim: what sched_is_released says of an entity lets its owner free it. A CPU that has put it to sleep, and seems to
 * have nothing more to do with it, may take its time before it lets go: an SMI, or a hypervisor below that runs
 * somebody else. The owner waits on another CPU for that moment, again and again, and frees the memory at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>
#include "vmm/sched/sched.h"

#define LIVES 200
#define CPU   1

static struct sched s;
static struct sched_group group;
static atomic_bool over;

/* The CPU: runs it, finds that its VM has ended, puts it to sleep, is away for a while, and lets go. */
static void *cpu_loop(void *arg)
{
	u64 now = 0;

	(void)arg;
	while (!atomic_load(&over)) {
		struct sched_choice choice = sched_pick(&s, CPU, ++now);

		if (!choice.entity)
			continue;
		sched_put(&s, CPU, ++now, true, SCHED_NEVER);
		usleep(20);
		(void)sched_release(&s, choice.entity, ++now);
	}
	return NULL;
}

/* The home CPU: starts a life, waits for its end, takes the memory back. */
static void one_life(void)
{
	struct sched_entity *e = calloc(1, sizeof(*e));

	group = (struct sched_group){ .weight = SCHED_WEIGHT_DEFAULT };
	assert_non_null(e);
	assert_int_equal(sched_add(&s, e, &group, CPU), 0);
	assert_true(sched_is_released(&s, e));
	(void)sched_wake(&s, e, 0);
	assert_false(sched_is_released(&s, e));
	while (!sched_is_released(&s, e))
		;
	(void)sched_remove(&s, e);
	free(e);
}

static void ends(void **state)
{
	pthread_t thread;

	(void)state;
	sched_init(&s, 2, 1000000);
	assert_int_equal(pthread_create(&thread, NULL, cpu_loop, NULL), 0);
	for (unsigned int i = 0; i < LIVES; i++)
		one_life();
	atomic_store(&over, true);
	pthread_join(thread, NULL);
}

/* Blocked and not let go of: not yet. Runnable and let go of: not either. */
static void both(void **state)
{
	struct sched_entity e = { 0 };
	struct sched_choice choice;

	(void)state;
	sched_init(&s, 2, 1000000);
	group = (struct sched_group){ .weight = SCHED_WEIGHT_DEFAULT };
	assert_int_equal(sched_add(&s, &e, &group, CPU), 0);
	(void)sched_wake(&s, &e, 1);
	choice = sched_pick(&s, CPU, 2);
	assert_ptr_equal(choice.entity, &e);
	assert_false(sched_is_released(&s, &e));
	sched_put(&s, CPU, 3, true, SCHED_NEVER);
	assert_false(sched_is_released(&s, &e));
	(void)sched_release(&s, &e, 4);
	assert_true(sched_is_released(&s, &e));
	(void)sched_wake(&s, &e, 5);
	assert_false(sched_is_released(&s, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(both), cmocka_unit_test(ends) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
