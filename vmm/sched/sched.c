/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPUs ask: which vCPU is next, and what becomes of it when it has run. */
#include "vmm/sched/sched_private.h"
#include "lib/printk.h"

struct sched scheduler;

/*
 * What others must be behind whom @c would rather take: the one whose turn is not over, or one that
 * it ran last, whose data may still be in its caches.
 */
static u64 handicap(const struct sched *s, const struct sched_cpu *c, const struct sched_entity *e,
		    u64 slice)
{
	if (c->last)
		return e == c->last ? 0 : slice / 2;
	return c == &s->cpu[e->cpu] ? 0 : slice / 4;
}

/* The one of @g, but for @except, whose turn it is on @cpu. */
static struct sched_entity *choose_of(const struct sched *s, const struct sched_group *g,
				      unsigned int cpu, const struct sched_entity *except)
{
	const struct sched_cpu *c = &s->cpu[cpu];
	struct sched_entity *best = NULL;
	u64 best_at = 0;

	for (struct sched_entity *e = g->entities; e; e = e->next) {
		u64 at;

		if (e->state != SCHED_RUNNABLE || is_pinned(e) || e == except ||
		    !(allowed_cpus(s, e) & BIT(cpu)))
			continue;
		at = e->vtime + handicap(s, c, e, s->slice);
		if (!best || before(at, best_at)) {
			best = e;
			best_at = at;
		}
	}
	return best;
}

/* The same among all groups. *@refill: when one that has used up its cap may go on. */
static struct sched_entity *choose(struct sched *s, unsigned int cpu, u64 *refill)
{
	const struct sched_cpu *c = &s->cpu[cpu];
	struct sched_entity *best = NULL;
	u64 best_at = 0;

	for (struct sched_group *g = s->groups; g; g = g->next) {
		struct sched_entity *e;
		u64 at;

		if (!g->waiting)
			continue;
		if (!group_may_run(s, g)) {
			*refill = MIN(*refill, g->cap_period);
			continue;
		}
		group_update(s, g);
		if (best && !before(g->vtime, best_at))
			continue; /* a handicap could only make it worse */
		e = choose_of(s, g, cpu, NULL);
		if (!e)
			continue;
		at = g->vtime + handicap(s, c, e, g->slice);
		if (!best || before(at, best_at)) {
			best = e;
			best_at = at;
		}
	}
	if (best) {
		clock_forward(&s->clock, best->group->vtime);
		clock_forward(&best->group->clock, best->vtime);
	}
	return best;
}

/* The owner of a pinned CPU, or anybody of the pool. */
static struct sched_entity *next_on(struct sched *s, unsigned int cpu, u64 *refill)
{
	struct sched_cpu *c = &s->cpu[cpu];
	struct sched_entity *owner = c->owner, *e = NULL;

	if (owner && owner->state == SCHED_RUNNABLE) {
		if (group_may_run(s, owner->group))
			return owner;
		*refill = owner->group->cap_period;
	}
	if (!s->waiting)
		return NULL;
	if (c->last && !group_may_run(s, c->last->group))
		c->last = NULL;
	if (c->last && c->yields)
		e = choose_of(s, c->last->group, cpu, c->last);
	if (e)
		c->last = e; /* which has what is left of the turn */
	return e ? e : choose(s, cpu, refill);
}

/* @e begins to run on @cpu. Returns until when. */
static u64 take(struct sched *s, unsigned int cpu, struct sched_entity *e)
{
	struct sched_cpu *c = &s->cpu[cpu];
	u64 until;

	count_waiting(s, e, -1);
	count_running(s, e, 1);
	e->waited += s->now - e->since;
	set_state(s, e, SCHED_RUNNING);
	e->cpu = cpu;
	e->anchored = true;
	if (e != c->last)
		c->turn_end = s->now + s->slice;
	c->running = e;
	c->ticks = s->waiting && !is_pinned(e);
	until = cap_grant(s, e);
	return c->ticks ? MIN(until, c->turn_end) : until;
}

struct sched_choice sched_pick(struct sched *s, unsigned int cpu, u64 now)
{
	struct sched_choice choice = { NULL, SCHED_NEVER, SCHED_NOBODY };
	struct sched_cpu *c = &s->cpu[cpu];

	sched_lock(s, now);
	if (c->running)
		panic("sched: CPU %u runs somebody already", cpu);
	s->idle &= ~BIT(cpu);
	s->named &= ~BIT(cpu);
	wake_sleepers(s, c);
	choice.entity = next_on(s, cpu, &choice.until);
	if (choice.entity)
		choice.until = take(s, cpu, choice.entity);
	else
		s->idle |= BIT(cpu);
	c->last = NULL;
	c->yields = false;
	if (c->sleepers)
		choice.until = MIN(choice.until, c->sleepers->wake_at);
	choice.kick = sched_cpu_to_help(s);
	spin_unlock(&s->lock);
	return choice;
}

void sched_put(struct sched *s, unsigned int cpu, u64 now, bool blocked, u64 wake_at)
{
	struct sched_cpu *c = &s->cpu[cpu];
	struct sched_entity *e = c->running;
	u64 ran;

	sched_lock(s, now);
	if (!e)
		panic("sched: CPU %u runs nobody", cpu);
	ran = s->now - e->since;
	e->ran += ran;
	e->vtime = entity_vtime(s, e);
	cap_settle(e, ran);
	count_running(s, e, -1);
	c->running = NULL;
	if (blocked && !e->wake_pending) {
		set_state(s, e, SCHED_BLOCKED);
		sleep_until(s, e, wake_at);
	} else {
		set_state(s, e, SCHED_RUNNABLE);
		count_waiting(s, e, 1);
		c->last = s->now < c->turn_end ? e : NULL;
	}
	e->wake_pending = false;
	spin_unlock(&s->lock);
}

bool sched_yield_cpu(struct sched *s, unsigned int cpu)
{
	struct sched_cpu *c = &s->cpu[cpu];
	bool useful;

	spin_lock(&s->lock);
	useful = c->running && c->running->group->waiting &&
		 choose_of(s, c->running->group, cpu, NULL);
	c->yields = useful;
	spin_unlock(&s->lock);
	return useful;
}
