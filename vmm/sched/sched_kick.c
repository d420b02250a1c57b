/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which CPU should look, for the sake of those that wait; and what a CPU says when it has made others'
 * looking worth while: it has let go of a vCPU, or asks for none.
 */
#include "vmm/sched/sched_private.h"
#include "lib/math.h"

static int name_cpu(struct sched *s, unsigned int cpu)
{
	s->idle &= ~BIT(cpu);
	s->named |= BIT(cpu);
	return (int)cpu;
}

/* How far @e is behind @running, in virtual time of its VM. */
static s64 distance(const struct sched *s, const struct sched_entity *running,
		    const struct sched_entity *e)
{
	struct sched_group *g = e->group;
	s64 ticks;

	if (is_pinned(e))
		return INT64_MAX; /* it is its CPU */
	if (running->group != g) {
		group_update(s, running->group);
		return (s64)(running->group->vtime - g->vtime);
	}
	ticks = (s64)(entity_vtime(s, running) - e->vtime);
	return ticks > 0 ? (s64)mul_div((u64)ticks, SCHED_WEIGHT_MAX, g->weight) : 0;
}

/*
 * The CPU of @cpus whose vCPU should make room for @e: the one that is ahead most, if that is enough
 * to be worth it. If none is, at least one has to know that its vCPU's turns end from now on.
 */
static int cpu_to_interrupt(struct sched *s, const struct sched_entity *e, u64 cpus)
{
	s64 most = (s64)(e->group->slice / 2);
	int found = SCHED_NOBODY, without_ticks = SCHED_NOBODY;

	for (cpus &= ~s->named; cpus; cpus &= cpus - 1) {
		int cpu = __builtin_ctzll(cpus);
		const struct sched_cpu *c = &s->cpu[cpu];
		s64 ahead;

		if (!c->running)
			continue; /* on its way to sched_pick */
		ahead = distance(s, c->running, e);
		if (ahead > most) {
			most = ahead;
			found = cpu;
		}
		if (!c->ticks)
			without_ticks = cpu;
	}
	return found != SCHED_NOBODY ? found : without_ticks;
}

int sched_cpu_of(struct sched *s, const struct sched_entity *e, u64 cpus)
{
	u64 idle = cpus & s->idle;
	int cpu;

	if (idle & BIT(e->cpu))
		return name_cpu(s, e->cpu);
	if (idle)
		return name_cpu(s, (unsigned int)__builtin_ctzll(idle));
	cpu = cpu_to_interrupt(s, e, cpus);
	return cpu == SCHED_NOBODY ? cpu : name_cpu(s, (unsigned int)cpu);
}

int sched_cpu_to_help(struct sched *s)
{
	if (likely(!s->waiting || !(s->idle & s->pool)))
		return SCHED_NOBODY;
	for (struct sched_group *g = s->groups; g; g = g->next) {
		if (!g->waiting || !group_may_run(s, g))
			continue;
		for (struct sched_entity *e = g->entities; e; e = e->next) {
			if (e->state == SCHED_RUNNABLE && !is_pinned(e) &&
			    allowed_cpus(s, e) & s->idle)
				return cpu_for(s, e);
		}
	}
	return SCHED_NOBODY;
}

int sched_release(struct sched *s, struct sched_entity *e, u64 now)
{
	struct sched_cpu *c = &s->cpu[e->cpu];
	int cpu = SCHED_NOBODY;

	sched_lock(s, now);
	e->anchored = false;
	if (c->last == e)
		c->last = NULL;
	/* Not the CPU that it leaves, if that has just preferred another one. */
	if (e->state == SCHED_RUNNABLE)
		cpu = sched_cpu_of(s, e, allowed_cpus(s, e) & ~(c->running ? BIT(e->cpu) : 0));
	spin_unlock(&s->lock);
	return cpu;
}

int sched_leave(struct sched *s, unsigned int cpu)
{
	int other;

	spin_lock(&s->lock);
	s->idle &= ~BIT(cpu);
	other = sched_cpu_to_help(s);
	spin_unlock(&s->lock);
	return other;
}
