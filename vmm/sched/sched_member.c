/* SPDX-License-Identifier: BSD-2-Clause */
/* Who there is: CPUs, vCPUs, and their groups. */
#include "vmm/sched/sched_private.h"
#include "lib/errno.h"
#include "lib/math.h"
#include "lib/printk.h"

#define SLICE_HZ      100
#define CAP_PERIOD_HZ 10

void sched_init(struct sched *s, unsigned int cpus, u64 tsc_hz)
{
	*s = (struct sched){
		.cpus = cpus,
		.pool = GENMASK(cpus - 1, 0),
		.slice = tsc_hz / SLICE_HZ,
		.cap_ticks = tsc_hz / CAP_PERIOD_HZ,
	};
}

void sched_reserve(struct sched *s, unsigned int cpu)
{
	s->pool &= ~BIT(cpu);
}

static int give_cpu(struct sched *s, struct sched_entity *e, int pin)
{
	if (pin == SCHED_NOBODY) {
		s->pooled += s->pool != 0;
		return s->pool ? 0 : -EINVAL;
	}
	if (pin < 0 || (unsigned int)pin >= s->cpus)
		return -EINVAL;
	if (s->cpu[pin].owner || (s->pooled && s->pool == BIT(pin)))
		return -EBUSY;
	s->cpu[pin].owner = e;
	s->pool &= ~BIT(pin);
	return 0;
}

static void take_cpu_back(struct sched *s, struct sched_entity *e)
{
	if (!is_pinned(e)) {
		s->pooled--;
		return;
	}
	s->cpu[e->pin].owner = NULL;
	s->pool |= BIT(e->pin);
}

static void join_group(struct sched *s, struct sched_entity *e, struct sched_group *g)
{
	if (!g->size++) {
		g->slice = mul_div(s->slice, SCHED_WEIGHT_MAX, g->weight);
		g->vtime = s->clock;
		g->updated = s->now;
		g->next = s->groups;
		s->groups = g;
	}
	e->group = g;
	e->vtime = g->clock;
	e->next = g->entities;
	g->entities = e;
}

static void leave_group(struct sched *s, struct sched_entity *e)
{
	struct sched_group *g = e->group, **pg = &s->groups;
	struct sched_entity **pe = &g->entities;

	while (*pe != e)
		pe = &(*pe)->next;
	*pe = e->next;
	e->group = NULL;
	if (--g->size)
		return;
	while (*pg != g)
		pg = &(*pg)->next;
	*pg = g->next;
}

int sched_add(struct sched *s, struct sched_entity *e, struct sched_group *group, int pin)
{
	int err;

	spin_lock(&s->lock);
	err = give_cpu(s, e, pin);
	if (!err) {
		e->state = SCHED_BLOCKED;
		e->since = s->now;
		e->wake_at = SCHED_NEVER;
		e->pin = pin;
		e->cpu = is_pinned(e) ? (unsigned int)pin : (unsigned int)__builtin_ctzll(s->pool);
		join_group(s, e, group);
	}
	spin_unlock(&s->lock);
	return err;
}

int sched_remove(struct sched *s, struct sched_entity *e)
{
	int cpu;

	spin_lock(&s->lock);
	if (e->state == SCHED_RUNNING || e->anchored)
		panic("sched: CPU %u has the entity that is removed", e->cpu);
	if (e->state == SCHED_RUNNABLE)
		count_waiting(s, e, -1);
	cancel_sleep(s, e);
	e->state = SCHED_BLOCKED;
	take_cpu_back(s, e);
	leave_group(s, e);
	cpu = sched_cpu_to_help(s);
	spin_unlock(&s->lock);
	return cpu;
}
