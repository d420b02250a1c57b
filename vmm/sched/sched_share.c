/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VM may have: the virtual time of its group, which is its share by weight, and its cap. What
 * is done for every run of a vCPU is in sched_private.h.
 */
#include "vmm/sched/sched_private.h"

void sched_clock_catch_up(struct sched *s)
{
	const struct sched_group *least = NULL;

	for (struct sched_group *g = s->groups; g; g = g->next) {
		if (!g->running && (!g->waiting || (g->cap && g->cap_left <= 0)))
			continue;
		group_update(s, g);
		if (!least || before(g->vtime, least->vtime))
			least = g;
	}
	if (least)
		clock_forward(&s->clock, least->vtime);
}

/* A new period: debts stay, savings do not. And waiting for it earns no credit as sleeping does. */
void sched_cap_refill(struct sched *s, struct sched_group *g)
{
	s64 quota = (s64)(s->cap_ticks * g->cap / 100);

	sched_clock_catch_up(s);
	group_update(s, g);
	clock_forward(&g->vtime, s->clock);
	g->cap_left = MIN(g->cap_left + quota, quota);
	g->cap_period = s->now + s->cap_ticks;
}
