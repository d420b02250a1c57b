/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/sched/vtimer.h"

static void vtimer_remove(struct vtimers *timers, struct vdev_timer *timer)
{
	for (struct vdev_timer **p = &timers->first; *p; p = &(*p)->next) {
		if (*p == timer) {
			*p = timer->next;
			return;
		}
	}
}

void vtimer_set(struct vtimers *timers, struct vdev_timer *timer, u64 deadline)
{
	struct vdev_timer **p = &timers->first;

	vtimer_remove(timers, timer);
	timer->deadline = deadline;
	if (deadline == VDEV_NEVER)
		return;
	while (*p && (*p)->deadline <= deadline)
		p = &(*p)->next;
	timer->next = *p;
	*p = timer;
}

void vtimer_run(struct vtimers *timers, u64 now)
{
	for (unsigned int n = 0; n < VTIMER_BURST && vtimer_next(timers) <= now; n++) {
		struct vdev_timer *timer = timers->first;

		timers->first = timer->next;
		timer->deadline = VDEV_NEVER;
		timer->next = NULL;
		timer->fire(timer->dev);
	}
}
