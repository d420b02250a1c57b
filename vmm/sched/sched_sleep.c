/* SPDX-License-Identifier: BSD-2-Clause */
/* Those that are blocked, and their end of it. */
#include "vmm/sched/sched_private.h"

void sched_entity_wake(struct sched *s, struct sched_entity *e)
{
	struct sched_group *g = e->group;

	if (!s->waiting && !is_pinned(e))
		sched_clock_catch_up(s);
	group_update(s, g);
	if (!g->running && !g->waiting) /* it slept: that earns it one slice */
		clock_forward(&g->vtime, s->clock - g->slice);
	e->vtime = entity_vtime(s, e);
	cancel_sleep(s, e);
	set_state(s, e, SCHED_RUNNABLE);
	count_waiting(s, e, 1);
}

int sched_wake(struct sched *s, struct sched_entity *e, u64 now)
{
	int cpu = SCHED_NOBODY;

	sched_lock(s, now);
	if (e->group && e->state == SCHED_RUNNING) {
		e->wake_pending = true;
	} else if (e->group && e->state == SCHED_BLOCKED) {
		sched_entity_wake(s, e);
		cpu = cpu_for(s, e);
	}
	spin_unlock(&s->lock);
	return cpu;
}

bool sched_is_released(struct sched *s, const struct sched_entity *e)
{
	bool released;

	spin_lock(&s->lock);
	released = e->state == SCHED_BLOCKED && !e->anchored;
	spin_unlock(&s->lock);
	return released;
}
