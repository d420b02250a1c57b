/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's timer. Intel SDM, "APIC Timer".
 *
 * One-shot and periodic counting is kept as ticks of the input clock since the count-down began,
 * and only the sum is converted to TSC time: however long a periodic timer runs, and however late
 * its alarms come, expiry n is at start + n * period.
 */
#include "lib/math.h"
#include "vioapic/vlapic_private.h"

/*
 * No more periodic interrupts a second than this: a period shorter than the handling of its alarm
 * would never let the guest run again. Expiries between are skipped, the count itself is right.
 */
#define MAX_PERIODIC_HZ 50000

static u64 now(const struct vlapic *v)
{
	return v->env->now(v->env->ctx);
}

/* Bits 3, 1 and 0 choose 2, 4, 8, ... 128, and the last value 1. */
static unsigned int divide_shift(const struct vlapic *v)
{
	u32 divide = v->timer.divide;

	return ((divide & 3) + (divide >> 1 & 4) + 1) & 7;
}

/* In ticks. Never 0: it is divided by. */
static u64 period(const struct vlapic *v)
{
	return (u64)MAX(v->timer.initial_count, 1u) << divide_shift(v);
}

static u64 elapsed_ticks(const struct vlapic *v)
{
	u64 t = now(v);

	if (t <= v->timer.start)
		return 0;
	return mul_div(t - v->timer.start, v->bus->timer_hz, v->env->tsc_hz);
}

static void set_alarm(struct vlapic *v, u64 deadline)
{
	if (v->timer.alarm.deadline != deadline)
		v->env->set_timer(v->env->ctx, &v->timer.alarm, deadline);
}

/* Arm the alarm for the first TSC tick at which @due input ticks have passed. */
static void arm(struct vlapic *v, u64 due)
{
	u64 tsc = mul_div(due, v->env->tsc_hz, v->bus->timer_hz);

	v->timer.due = due;
	if (mul_div(tsc, v->bus->timer_hz, v->env->tsc_hz) < due)
		tsc++;
	set_alarm(v, v->timer.start + tsc);
}

static void stop(struct vlapic *v)
{
	v->timer.running = false;
	v->timer.tsc_deadline = 0;
	set_alarm(v, VDEV_NEVER);
}

void vlapic_timer_reset(struct vlapic *v)
{
	stop(v);
	v->timer.mode = 0;
	v->timer.initial_count = 0;
	v->timer.divide = 0;
}

/* Into TSC-deadline mode and out of it disarms: Intel SDM, "TSC-Deadline Mode". */
void vlapic_timer_set_mode(struct vlapic *v, u32 lvt)
{
	u32 mode = lvt & APIC_TIMER_MODE;

	if ((mode ^ v->timer.mode) & APIC_TIMER_TSC_DEADLINE)
		stop(v);
	v->timer.mode = mode;
}

/* Without effect in TSC-deadline mode. */
void vlapic_timer_start(struct vlapic *v, u32 count)
{
	if (!(v->timer.mode & APIC_TIMER_TSC_DEADLINE)) {
		stop(v);
		v->timer.initial_count = count;
		if (count) {
			v->timer.running = true;
			v->timer.start = now(v);
			arm(v, period(v));
		}
	}
	vlapic_set(v, APIC_INITIAL_COUNT, v->timer.initial_count);
}

/* The present count goes on at the new rate. */
void vlapic_timer_set_divide(struct vlapic *v, u32 divide)
{
	u32 count = vlapic_timer_current(v);

	v->timer.divide = divide;
	vlapic_set(v, APIC_DIVIDE, divide);
	if (!count)
		return;
	v->timer.start = now(v);
	arm(v, (u64)count << divide_shift(v));
}

u32 vlapic_timer_current(const struct vlapic *v)
{
	unsigned int shift = divide_shift(v);
	u64 elapsed, left = 0;

	if (!v->timer.running)
		return 0;
	elapsed = elapsed_ticks(v);
	if (elapsed < v->timer.due)
		left = v->timer.due - elapsed;
	if (v->timer.mode == APIC_TIMER_PERIODIC) {
		/* The alarm may be late, or some expiries ahead. */
		if (left)
			left = (left - 1) % period(v) + 1;
		else
			left = period(v) - (elapsed - v->timer.due) % period(v);
	}
	return (u32)((left + (1u << shift) - 1) >> shift);
}

/* The first expiry after @elapsed ticks, or after the shortest pause if the period is too short. */
static u64 next_due(const struct vlapic *v, u64 elapsed)
{
	u64 step = period(v), pause = v->bus->timer_hz / MAX_PERIODIC_HZ;
	u64 earliest = step < pause ? elapsed + pause : elapsed;

	return v->timer.due + ((earliest - v->timer.due) / step + 1) * step;
}

void vlapic_timer_fire(void *vlapic)
{
	struct vlapic *v = vlapic;

	if (v->timer.running) {
		u64 elapsed = elapsed_ticks(v);

		if (elapsed < v->timer.due) {
			arm(v, v->timer.due);
			return;
		}
		if (v->timer.mode == APIC_TIMER_PERIODIC)
			arm(v, next_due(v, elapsed));
		else
			v->timer.running = false;
	} else if (v->timer.tsc_deadline) {
		v->timer.tsc_deadline = 0;
	} else {
		return;
	}
	vlapic_raise_lvt(v, APIC_LVT_TIMER);
}

u64 vlapic_tsc_deadline(const struct vlapic *v)
{
	return v->timer.tsc_deadline;
}

void vlapic_set_tsc_deadline(struct vlapic *v, u64 deadline)
{
	if (v->timer.mode != APIC_TIMER_TSC_DEADLINE || !(v->base & APIC_BASE_EN))
		return;
	v->timer.tsc_deadline = deadline;
	if (deadline > now(v)) {
		set_alarm(v, deadline);
	} else {
		set_alarm(v, VDEV_NEVER);
		vlapic_timer_fire(v);
	}
}
