/* SPDX-License-Identifier: BSD-2-Clause */
/* The alarms of a VM's devices, in guest time: a list sorted by deadline. */
#ifndef VMM_SCHED_VTIMER_H
#define VMM_SCHED_VTIMER_H

#include "lib/types.h"
#include "lib/vdev.h"

struct vtimers {
	struct vdev_timer *first;
};

/* Arm @timer for @deadline (VDEV_NEVER: disarm it), whatever it was armed for before. */
void vtimer_set(struct vtimers *timers, struct vdev_timer *timer, u64 deadline);

/* At most so many alarms a call: a device that arms itself for the past cannot hold the CPU. */
#define VTIMER_BURST 16

/* Fire what is due at @now, in order. */
void vtimer_run(struct vtimers *timers, u64 now);

/* The next deadline, or VDEV_NEVER. */
static inline u64 vtimer_next(const struct vtimers *timers)
{
	return timers->first ? timers->first->deadline : VDEV_NEVER;
}

/*
 * The same in host TSC, for a VM whose time began at host TSC @base. VDEV_NEVER also for what 64 bits do not reach:
 * guests can ask for that.
 */
static inline u64 vtimer_next_host(const struct vtimers *timers, u64 base)
{
	u64 next = vtimer_next(timers);

	return next < VDEV_NEVER - base ? next + base : VDEV_NEVER;
}

#endif
