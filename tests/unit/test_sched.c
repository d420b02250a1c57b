/* SPDX-License-Identifier: BSD-2-Clause */
/* The scheduler's rules, one by one: who is chosen, for how long, which CPU is named to be kicked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "lib/string.h"
#include "vmm/sched/sched.h"

#define HZ    1000000u
#define SLICE (HZ / 100)

static struct sched s;
static struct sched_group a, b;
static struct sched_entity a0, a1, b0, b1;

static int setup_cpus(unsigned int cpus)
{
	struct sched_entity *all[] = { &a0, &a1, &b0, &b1 };

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++)
		*all[i] = (struct sched_entity){ 0 };
	a = (struct sched_group){ .weight = 100 };
	b = (struct sched_group){ .weight = 100 };
	memset(&s, 0xff, sizeof(s)); /* sched_init relies on nothing */
	sched_init(&s, cpus, HZ);
	return 0;
}

static int one_cpu(void **state)
{
	(void)state;
	return setup_cpus(1);
}

static int two_cpus(void **state)
{
	(void)state;
	return setup_cpus(2);
}

static void add(struct sched_entity *e, struct sched_group *g)
{
	assert_int_equal(sched_add(&s, e, g, SCHED_NOBODY), 0);
}

static int wake(struct sched_entity *e, u64 now)
{
	return sched_wake(&s, e, now);
}

static int release(struct sched_entity *e, u64 now)
{
	return sched_release(&s, e, now);
}

/* @cpu takes @e (NULL: nobody) at @now, and is to ask again at @until. */
static void pick(unsigned int cpu, u64 now, const struct sched_entity *e, u64 until)
{
	struct sched_choice choice = sched_pick(&s, cpu, now);

	assert_ptr_equal(choice.entity, e);
	assert_int_equal(choice.until, until);
	assert_int_equal(choice.kick, SCHED_NOBODY);
	if (e)
		assert_true(e->state == SCHED_RUNNING && e->cpu == cpu && e->anchored);
}

static void put_back(unsigned int cpu, u64 now)
{
	sched_put(&s, cpu, now, false, SCHED_NEVER);
}

static void block(unsigned int cpu, u64 now)
{
	sched_put(&s, cpu, now, true, SCHED_NEVER);
}

/* @cpu, which has nothing to do, is to run @e from now on. */
static void start(struct sched_entity *e, unsigned int cpu, u64 now)
{
	assert_null(sched_pick(&s, cpu, now).entity);
	(void)!wake(e, now);
	assert_ptr_equal(sched_pick(&s, cpu, now).entity, e);
}

/* Claim: one that is alone runs without turns; blocked, it leaves the CPU idle; its times add up. */
static void alone(void **state)
{
	(void)state;
	add(&a0, &a);
	pick(0, 100, NULL, SCHED_NEVER);
	assert_true(a0.state == SCHED_BLOCKED);
	assert_int_equal(wake(&a0, 200), 0);
	assert_false(a0.state == SCHED_BLOCKED);
	pick(0, 250, &a0, SCHED_NEVER);
	assert_int_equal(a0.waited, 50);
	assert_int_equal(wake(&b0, 260), SCHED_NOBODY); /* not there at all */
	block(0, 1000250);
	assert_int_equal(a0.ran, 1000000);
	pick(0, 1000300, NULL, SCHED_NEVER);
	assert_int_equal(wake(&a0, 1000400), 0);
	assert_int_equal(wake(&a0, 1000450), SCHED_NOBODY); /* is awake */
	pick(0, 1000500, &a0, SCHED_NEVER);
	assert_int_equal(a0.waited, 150);
	assert_false(a0.state == SCHED_BLOCKED);
}

/* Claim: an idle CPU is named for each that wakes, its last one first, and once until it has looked. */
static void idle_cpus(void **state)
{
	(void)state;
	setup_cpus(3);
	add(&a0, &a), add(&a1, &a), add(&b0, &b), add(&b1, &b);
	for (unsigned int cpu = 0; cpu < 3; cpu++)
		pick(cpu, 0, NULL, SCHED_NEVER);
	assert_int_equal(wake(&b1, 0), 0);
	pick(2, 0, &b1, SCHED_NEVER); /* comes by itself, and first */
	pick(0, 0, NULL, SCHED_NEVER);
	block(2, 10);
	assert_int_equal(release(&b1, 10), SCHED_NOBODY);
	pick(2, 10, NULL, SCHED_NEVER);
	assert_int_equal(wake(&b1, 20), 2); /* where it ran last */
	assert_int_equal(wake(&a0, 20), 0);
	assert_int_equal(wake(&a1, 20), 1);
	assert_int_equal(wake(&b0, 20), SCHED_NOBODY);
}

/* Claim: a wake-up between the decision to block and the blocking is not lost, and counts once. */
static void wake_before_block(void **state)
{
	(void)state;
	add(&a0, &a);
	start(&a0, 0, 0);
	assert_int_equal(wake(&a0, 10), SCHED_NOBODY);
	sched_put(&s, 0, 20, true, 15);
	assert_false(a0.state == SCHED_BLOCKED);
	pick(0, 30, &a0, SCHED_NEVER);
	block(0, 40);
	pick(0, 50, NULL, SCHED_NEVER);

	/* One that came while it did not block at all was seen by it. */
	start(&a0, 0, 60);
	assert_int_equal(wake(&a0, 70), SCHED_NOBODY);
	put_back(0, 80);
	pick(0, 80, &a0, SCHED_NEVER);
	block(0, 90);
	assert_true(a0.state == SCHED_BLOCKED);
}

/* Claim: wake_at is told to the CPU, which wakes it then, no earlier; a wake-up before cancels it. */
static void wake_at(void **state)
{
	(void)state;
	add(&a0, &a), add(&a1, &a), add(&b0, &b);
	start(&a0, 0, 0);
	sched_put(&s, 0, 10, true, 3000);
	start(&a1, 0, 10);
	sched_put(&s, 0, 15, true, 2000);
	start(&b0, 0, 15);
	sched_put(&s, 0, 20, true, 4000);
	pick(0, 20, NULL, 2000);
	pick(0, 1999, NULL, 2000);
	pick(0, 2000, &a1, 3000); /* looks then, too, for the other's sake */
	block(0, 2100);
	assert_int_equal(wake(&a0, 2200), SCHED_NOBODY);
	pick(0, 2200, &a0, 4000);
	sched_put(&s, 0, 2300, true, 2250); /* that is in the past */
	pick(0, 2300, &a0, 4000);
	block(0, 3500);
	pick(0, 3500, NULL, 4000);
	pick(0, 4000, &b0, SCHED_NEVER);
}

/* Claim: when two sleepers of a CPU wake at once, another CPU that idles is named for the second. */
static void two_wake_at_once(void **state)
{
	struct sched_choice choice;

	(void)state;
	add(&a0, &a), add(&b0, &b);
	start(&a0, 0, 0);
	sched_put(&s, 0, 10, true, 500);
	start(&b0, 0, 10);
	assert_int_equal(release(&a0, 10), SCHED_NOBODY);
	sched_put(&s, 0, 20, true, 500);
	pick(1, 20, NULL, SCHED_NEVER);
	choice = sched_pick(&s, 0, 500);
	assert_ptr_equal(choice.entity, &b0); /* whose registers are there */
	assert_int_equal(choice.kick, 1);
	pick(1, 500, &a0, SCHED_NEVER);
}

/* Claim: whose registers are on a CPU is run by no other, until released; then an idle one is named. */
static void anchored(void **state)
{
	(void)state;
	add(&a0, &a), add(&a1, &a), add(&b0, &b); /* a1 sleeps: nobody is named for it */
	start(&a0, 0, 0);
	pick(1, 0, NULL, SCHED_NEVER);
	put_back(0, 10);
	pick(1, 20, NULL, SCHED_NEVER);
	start(&b0, 1, 30);
	block(1, 40);
	pick(1, 40, NULL, SCHED_NEVER);
	assert_int_equal(release(&a0, 50), 1);
	pick(1, 60, &a0, SCHED_NEVER);

	/* Blocked, and then woken: the one CPU that may have it, although another one idles. */
	block(1, 70);
	pick(0, 80, NULL, SCHED_NEVER);
	pick(1, 80, NULL, SCHED_NEVER);
	assert_int_equal(wake(&a0, 90), 1);
	assert_int_equal(release(&a0, 95), 0);
	pick(0, 100, &a0, SCHED_NEVER);
}

/* Claim: two that compute take turns of a slice; who is interrupted in between goes on with its turn. */
static void turns(void **state)
{
	(void)state;
	add(&a0, &a), add(&b0, &b);
	start(&a0, 0, 0);
	(void)!wake(&b0, 0);
	put_back(0, 0);
	pick(0, 0, &a0, SLICE);
	put_back(0, 3000);
	pick(0, 3100, &a0, SLICE);
	put_back(0, SLICE);
	pick(0, SLICE, &b0, 2 * SLICE);
	assert_int_equal(release(&a0, SLICE), SCHED_NOBODY);
	block(0, SLICE + 10); /* does not use its turn: the other gets a whole one */
	pick(0, SLICE + 10, &a0, SCHED_NEVER);
}

/* Claim: a CPU without turns is named, once, as soon as somebody waits, and has turns from then on. */
static void ticks_begin(void **state)
{
	(void)state;
	a.weight = 101;
	add(&a0, &a), add(&a1, &a), add(&b0, &b), add(&b1, &b);
	start(&a0, 0, 0);
	start(&b0, 1, 0);
	assert_int_equal(wake(&a1, 10), 1); /* neither is ahead by much */
	assert_int_equal(wake(&b1, 20), 0);
	put_back(1, 30);
	pick(1, 30, &b0, SLICE);
	put_back(0, 40);
	pick(0, 40, &a0, SLICE);
	put_back(0, SLICE);
	pick(0, SLICE, &a1, 2 * SLICE);
	assert_int_equal(release(&a0, SLICE), SCHED_NOBODY); /* they have turns already */
}

/* Claim: a turn of one that nobody waited for is over long since when somebody does. */
static void late_turn(void **state)
{
	(void)state;
	add(&a0, &a), add(&b0, &b);
	start(&a0, 0, 0);
	assert_int_equal(wake(&b0, 3 * SLICE), 0);
	put_back(0, 3 * SLICE);
	pick(0, 3 * SLICE, &b0, 4 * SLICE);
}

/* Claim: who wakes interrupts the one that is ahead most; not one that is not ahead by half a slice. */
static void interrupts(void **state)
{
	(void)state;
	setup_cpus(3);
	add(&a0, &a), add(&b0, &b), add(&b1, &b), add(&a1, &a);
	start(&a0, 0, 0);
	start(&b0, 1, 0);
	start(&b1, 2, 0);                     /* B's virtual time goes twice as fast */
	assert_int_equal(wake(&a1, 1000), 2); /* only to begin with turns */
	put_back(2, 1000);
	pick(2, 1000, &b1, SLICE);
	put_back(1, 1000);
	pick(1, 1000, &b0, SLICE);
	put_back(0, 1000);
	pick(0, 1000, &a0, SLICE);
	put_back(0, SLICE);
	pick(0, SLICE, &a1, 2 * SLICE);
	assert_int_equal(release(&a0, SLICE), 1); /* B is ahead of A by one slice */
	put_back(1, SLICE);
	pick(1, SLICE, &a0, 2 * SLICE);
}

/* Claim: of one VM, who has slept interrupts who has computed. */
static void interrupts_sibling(void **state)
{
	(void)state;
	add(&a0, &a), add(&a1, &a);
	start(&a1, 0, 0);
	block(0, 10);
	start(&a0, 0, 10);
	(void)!release(&a1, 10);
	assert_int_equal(wake(&a1, 10 + 2 * SLICE), 0);
	put_back(0, 10 + 2 * SLICE);
	pick(0, 10 + 2 * SLICE, &a1, 10 + 3 * SLICE);
}

/*
 * Claim: sleep earns one slice of credit, however long it was, however many vCPUs have slept; and
 * who ran all that time, while nobody waited, pays no more than that.
 */
static void credit_of_sleep(void **state)
{
	u64 now = 1000 * SLICE;

	(void)state;
	add(&a0, &a), add(&b0, &b), add(&b1, &b);
	start(&a0, 0, 0);
	assert_int_equal(wake(&b0, now), 0);
	put_back(0, now);
	pick(0, now, &b0, now + SLICE);
	assert_int_equal(release(&a0, now), SCHED_NOBODY);
	now += SLICE + 1;
	put_back(0, now);
	pick(0, now, &a0, now + SLICE);
}

/* Claim: the first vCPU of a VM begins where the others are, also when virtual time has gone round. */
static void newcomers(void **state)
{
	(void)state;
	s.clock = BIT(63) + 5;
	b.clock = BIT(63) + 7;
	add(&b0, &b);
	assert_int_equal(b.vtime, s.clock);
	assert_int_equal(b0.vtime, b.clock);
}

/* Claim: one that was interrupted, and may not go on for its cap, does not weigh on the choice of another. */
static void interrupted_at_its_cap(void **state)
{
	struct sched_group c = { .weight = 100 };

	(void)state;
	a.cap = 1;
	add(&a0, &a), add(&b0, &b), add(&b1, &c);
	start(&a0, 0, 0);
	(void)!wake(&b0, 0), (void)!wake(&b1, 0);
	put_back(0, HZ / 10 / 100);
	b.vtime = s.clock + b.slice / 8;
	b1.cpu = 1; /* b0 ran here, which is worth more than that */
	pick(0, HZ / 10 / 100, &b0, HZ / 10 / 100 + SLICE);
}

/* Claim: a pinned CPU runs its own vCPU, without turns, and nobody else, even if it is the only idle one. */
static void pinned(void **state)
{
	(void)state;
	assert_int_equal(sched_add(&s, &a0, &a, 1), 0);
	add(&b0, &b), add(&b1, &b);
	pick(1, 0, NULL, SCHED_NEVER);
	start(&b0, 0, 0);
	assert_int_equal(wake(&b1, 0), 0);
	put_back(0, 0);
	pick(0, 0, &b0, SLICE);
	pick(1, 10, NULL, SCHED_NEVER);
	assert_int_equal(wake(&a0, 20), 1);
	pick(1, 20, &a0, SCHED_NEVER);
	put_back(1, 50 * SLICE);
	pick(1, 50 * SLICE, &a0, SCHED_NEVER);
	put_back(0, 50 * SLICE);
	pick(0, 50 * SLICE, &b1, 51 * SLICE); /* its VM's time is B's alone */
	assert_int_equal(a.vtime, 0);
}

/* Claim: a CPU that becomes pinned while it runs another's vCPU is given up as soon as its own wakes. */
static void pinned_later(void **state)
{
	(void)state;
	add(&b0, &b), add(&b1, &b), add(&a1, &a);
	start(&b0, 1, 0);
	start(&b1, 0, 0);
	(void)!wake(&a1, 0);
	assert_int_equal(sched_add(&s, &a0, &a, 1), 0);
	put_back(1, 10);
	pick(1, 10, &b0, SLICE); /* nobody else can: its registers are here */
	assert_int_equal(wake(&a0, 20), 1);
	assert_int_equal(wake(&a0, 20), SCHED_NOBODY);
	put_back(1, 30);
	pick(1, 30, &a0, SCHED_NEVER);
	assert_int_equal(release(&b0, 30), 0); /* which had no turns yet */
	block(1, 40);
	pick(1, 40, NULL, SCHED_NEVER);
}

/* Claim: what cannot be pinned, or has no CPU left, is refused, and nothing is changed by that. */
static void refused(void **state)
{
	(void)state;
	assert_int_equal(sched_add(&s, &a0, &a, 2), -EINVAL);
	assert_int_equal(sched_add(&s, &a0, &a, -2), -EINVAL);
	assert_int_equal(sched_add(&s, &a0, &a, 0), 0);
	assert_int_equal(sched_add(&s, &a1, &a, 0), -EBUSY);
	add(&b0, &b);
	assert_int_equal(sched_add(&s, &a1, &a, 1), -EBUSY); /* b0 has no other */
	assert_int_equal(sched_remove(&s, &b0), SCHED_NOBODY);
	assert_int_equal(sched_add(&s, &a1, &a, 1), 0);
	assert_int_equal(sched_add(&s, &b0, &b, SCHED_NOBODY), -EINVAL);
	assert_int_equal(sched_remove(&s, &a0), SCHED_NOBODY);
	add(&b0, &b);
	pick(0, 0, NULL, SCHED_NEVER);
	assert_int_equal(wake(&b0, 0), 0);
}

/* Claim: a pinned CPU that returns to the pool is named at once if somebody waits. */
static void back_to_the_pool(void **state)
{
	(void)state;
	assert_int_equal(sched_add(&s, &a0, &a, 1), 0);
	add(&b0, &b), add(&b1, &b);
	pick(1, 0, NULL, SCHED_NEVER);
	start(&b0, 0, 0);
	(void)!wake(&b1, 0);
	assert_int_equal(sched_remove(&s, &a0), 1);
	pick(1, 10, &b1, SCHED_NEVER);
}

/* Claim: whoever sleeps or waits can be removed, and leaves nothing behind. */
static void removed(void **state)
{
	(void)state;
	add(&a0, &a), add(&a1, &a), add(&b0, &b);
	start(&a0, 0, 0);
	sched_put(&s, 0, 10, true, 1000);
	(void)!release(&a0, 10);
	assert_int_equal(sched_remove(&s, &a0), SCHED_NOBODY);
	pick(0, 10, NULL, SCHED_NEVER); /* not 1000 */
	(void)!wake(&a1, 20);
	assert_int_equal(sched_remove(&s, &a1), SCHED_NOBODY);
	assert_null(s.groups->next); /* but for B */
	start(&b0, 0, 30);
	put_back(0, 40);
	(void)!release(&b0, 40);
	assert_int_equal(sched_remove(&s, &b0), SCHED_NOBODY);
	assert_int_equal(s.waiting | s.pooled, 0);
	assert_null(s.groups);
	pick(0, 50, NULL, SCHED_NEVER);
}

/* Claim: a cap is what a VM's vCPUs together run in a period; idle CPUs know when the next begins. */
static void cap(void **state)
{
	const u64 period = HZ / 10, quota = period * 12 / 100;

	(void)state;
	a.cap = 12;
	add(&a0, &a), add(&a1, &a), add(&b0, &b);
	start(&a0, 0, 1000);
	assert_int_equal(a0.granted, SLICE);
	(void)!wake(&a1, 1000);
	pick(1, 1000, &a1, 1000 + quota - SLICE); /* there is no more */
	put_back(1, 1000 + quota - SLICE);
	pick(1, 1000 + quota - SLICE, NULL, 1000 + period);
	block(0, 1000 + SLICE - 500); /* 500 are left over */
	assert_int_equal(release(&a1, 5000 + SLICE), 1);
	pick(1, 5000 + SLICE, &a1, 5500 + SLICE);
	put_back(1, 5700 + SLICE); /* 200 too late, which it owes */
	pick(1, 5700 + SLICE, NULL, 1000 + period);
	pick(1, 1000 + period, &a1, 1000 + period + SLICE);
	put_back(1, 1000 + period + SLICE);
	pick(1, 1000 + period + SLICE, &a1, 1000 + period + quota - 200);
	block(1, 1000 + period + quota - 700);
	/* Savings are not kept: after two periods there is one quota. */
	(void)!release(&a1, 4 * period);
	start(&a1, 0, 4 * period);
	assert_int_equal(a.cap_left, quota - SLICE);
}

/* Claim: a run that may use what is left of a cap ends with the period. */
static void cap_period_ends(void **state)
{
	const u64 period = HZ / 10;

	(void)state;
	a.cap = 50;
	add(&a0, &a);
	start(&a0, 0, 0);
	block(0, 10);
	(void)!wake(&a0, period - 100);
	pick(0, period - 100, &a0, period);
}

/* Claim: a cap also holds a pinned vCPU. */
static void cap_pinned(void **state)
{
	(void)state;
	a.cap = 10;
	assert_int_equal(sched_add(&s, &a0, &a, 1), 0);
	(void)!wake(&a0, 0);
	pick(1, 0, &a0, SLICE);
	put_back(1, SLICE);
	pick(1, SLICE, NULL, 10 * SLICE);
	pick(1, 10 * SLICE, &a0, 11 * SLICE);
}

/* Claim: one that yields lets one of its own VM have the rest of its turn, once. */
static void yields(void **state)
{
	(void)state;
	add(&a0, &a), add(&a1, &a), add(&b0, &b);
	start(&a0, 0, 0);
	assert_false(sched_yield_cpu(&s, 0)); /* nobody waits */
	(void)!wake(&b0, 0);
	assert_false(sched_yield_cpu(&s, 0)); /* nobody of its VM does */
	(void)!wake(&a1, 0);
	put_back(0, 100);
	pick(0, 100, &a0, SLICE);
	assert_true(sched_yield_cpu(&s, 0));
	put_back(0, 2000);
	pick(0, 2000, &a1, SLICE);
	(void)!release(&a0, 2000);
	put_back(0, 3000);
	pick(0, 3000, &a1, SLICE);
	put_back(0, SLICE);
	pick(0, SLICE, &b0, 2 * SLICE);
	assert_false(sched_yield_cpu(&s, 1)); /* runs nobody */
}

/* Claim: one that has let others go first is far behind, but not let back in by its own release. */
static void yields_to_one_ahead(void **state)
{
	(void)state;
	add(&a0, &a), add(&a1, &a);
	start(&a1, 0, 0);
	put_back(0, 3 * SLICE);
	(void)!wake(&a0, 3 * SLICE);
	pick(0, 3 * SLICE, &a0, 4 * SLICE);
	(void)!release(&a1, 3 * SLICE);
	assert_true(sched_yield_cpu(&s, 0));
	put_back(0, 3 * SLICE + 10);
	pick(0, 3 * SLICE + 10, &a1, 4 * SLICE);
	assert_int_equal(release(&a0, 3 * SLICE + 20), SCHED_NOBODY);
	put_back(0, 4 * SLICE);
	pick(0, 4 * SLICE, &a0, 5 * SLICE);
}

/* Claim: a CPU whose clock is behind another's, or that had to wait for the lock, does no harm. */
static void time_goes_back(void **state)
{
	(void)state;
	add(&a0, &a), add(&b0, &b);
	start(&a0, 0, 1000);
	(void)!wake(&b0, 900);
	pick(1, 800, &b0, SCHED_NEVER);
	put_back(0, 700);
	put_back(1, 600);
	assert_int_equal(a0.ran | b0.ran | b0.waited, 0);
	pick(0, 500, &a0, 1000 + SLICE);
	put_back(0, 1500);
	assert_int_equal(a0.ran, 500);
	assert_int_equal(a.vtime, 500 * SCHED_WEIGHT_MAX / 100);
}

/*
 * Claim: a CPU that has something else to do for a while is not named for those who wake meanwhile,
 * and what it was named for before goes to another idle one; once it asks again it has its share.
 */
static void leaves(void **state)
{
	(void)state;
	add(&a0, &a), add(&b0, &b);
	pick(0, 0, NULL, SCHED_NEVER);
	pick(1, 0, NULL, SCHED_NEVER);
	assert_int_equal(sched_leave(&s, 0), SCHED_NOBODY);
	assert_int_equal(wake(&a0, 100), 1);
	pick(1, 100, &a0, SCHED_NEVER);
	pick(0, 200, NULL, SCHED_NEVER);
	block(1, 300);
	pick(1, 300, NULL, SCHED_NEVER);

	assert_int_equal(wake(&b0, 400), 0);
	assert_int_equal(sched_leave(&s, 0), 1);
	pick(1, 500, &b0, SCHED_NEVER);
}

/* Claim: 64 CPUs is a number of CPUs like any other. */
static void sixty_four(void **state)
{
	(void)state;
	setup_cpus(SCHED_CPUS);
	add(&a0, &a);
	assert_int_equal(sched_add(&s, &b0, &b, 63), 0);
	for (unsigned int cpu = 1; cpu < SCHED_CPUS; cpu++)
		pick(cpu, 0, NULL, SCHED_NEVER);
	assert_int_equal(wake(&a0, 0), 1);
	assert_int_equal(wake(&b0, 0), 63);
	pick(62, 0, &a0, SCHED_NEVER);
	pick(63, 0, &b0, SCHED_NEVER);
}

#define RULE(test, cpus) cmocka_unit_test_setup(test, cpus)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(alone, one_cpu),
		RULE(idle_cpus, one_cpu),
		RULE(wake_before_block, one_cpu),
		RULE(wake_at, one_cpu),
		RULE(two_wake_at_once, two_cpus),
		RULE(anchored, two_cpus),
		RULE(turns, one_cpu),
		RULE(ticks_begin, two_cpus),
		RULE(late_turn, one_cpu),
		RULE(interrupts, one_cpu),
		RULE(interrupts_sibling, one_cpu),
		RULE(credit_of_sleep, one_cpu),
		RULE(newcomers, one_cpu),
		RULE(pinned, two_cpus),
		RULE(pinned_later, two_cpus),
		RULE(refused, two_cpus),
		RULE(back_to_the_pool, two_cpus),
		RULE(removed, one_cpu),
		RULE(cap, two_cpus),
		RULE(cap_period_ends, one_cpu),
		RULE(interrupted_at_its_cap, two_cpus),
		RULE(cap_pinned, two_cpus),
		RULE(yields, one_cpu),
		RULE(yields_to_one_ahead, one_cpu),
		RULE(time_goes_back, two_cpus),
		RULE(leaves, two_cpus),
		RULE(sixty_four, one_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
