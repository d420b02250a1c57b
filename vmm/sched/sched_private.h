/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the scheduler share: sched.c (what CPUs ask), sched_share.c (virtual time and
 * caps), sched_kick.c (which CPU should look), sched_sleep.c (blocked, and woken), sched_member.c
 * (who there is).
 *
 * Whoever calls what is here has the lock; "now" is s->now. What is inline is so because it is on
 * the way of sched_pick, sched_put or sched_wake, and the compiler sees one file at a time.
 */
#ifndef VMM_SCHED_SCHED_PRIVATE_H
#define VMM_SCHED_SCHED_PRIVATE_H

#include "lib/math.h"
#include "vmm/sched/sched.h"

/* Takes the lock. Callers read their clock before they have it: time must not go back for that. */
static inline void sched_lock(struct sched *s, u64 now)
{
	spin_lock(&s->lock);
	s->now = MAX(s->now, now);
}

static inline bool is_pinned(const struct sched_entity *e)
{
	return e->pin != SCHED_NOBODY;
}

static inline void set_state(struct sched *s, struct sched_entity *e, enum sched_state state)
{
	e->state = state;
	e->since = s->now;
}

/* --- virtual time --- */

/* Virtual times go round; what is compared is never far apart. */
static inline bool before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

/*
 * A virtual time is only kept near the clock that it is measured against. What has fallen behind
 * did not want its share, or could not use it (one vCPU cannot run on two CPUs), and gets no credit
 * for that; what is far ahead ran while nobody else wanted to, and is not punished for that.
 */
static inline u64 window(u64 vtime, u64 clock, u64 behind, u64 ahead)
{
	if (before(vtime, clock - behind))
		return clock - behind;
	return before(clock + ahead, vtime) ? clock + ahead : vtime;
}

/* The clocks show where those are who run next; they never go back. */
static inline void clock_forward(u64 *clock, u64 vtime)
{
	if (before(*clock, vtime))
		*clock = vtime;
}

/* Now: what it has run since it was given a CPU counts, too. */
static inline u64 entity_vtime(const struct sched *s, const struct sched_entity *e)
{
	u64 ran = e->state == SCHED_RUNNING ? s->now - e->since : 0;

	return window(e->vtime + ran, e->group->clock, s->slice, 2 * s->slice);
}

/*
 * Bring @g's virtual time up to now. Must be done before ->running changes.
 *
 * All its vCPUs may run for a slice while others wait, or wait while others run: as much is not
 * forgotten, or a VM that needs nearly all of its vCPUs for its share would not get it.
 */
static inline void group_update(const struct sched *s, struct sched_group *g)
{
	u64 ran = 0, far = (g->size + 1) * g->slice;

	if (g->running)
		ran = mul_div((s->now - g->updated) * g->running, SCHED_WEIGHT_MAX, g->weight);
	g->updated = s->now;
	g->vtime = window(g->vtime + MIN(ran, BIT(62)), s->clock, far, far);
}

/*
 * sched_share.c: nobody has been chosen for some time, because all had what they wanted: bring the
 * clock to the one of them that is furthest behind, before somebody comes who is to be compared with
 * them.
 */
void sched_clock_catch_up(struct sched *s);

/* --- caps --- */

/* sched_share.c: a new period of @g's cap begins, now. */
void sched_cap_refill(struct sched *s, struct sched_group *g);

/* Has @g anything left of its cap? */
static inline bool group_may_run(struct sched *s, struct sched_group *g)
{
	if (likely(!g->cap))
		return true;
	if (s->now >= g->cap_period)
		sched_cap_refill(s, g);
	return g->cap_left > 0;
}

/* Give @e, which is going to run, its part of the cap. Returns when that is used up. */
static inline u64 cap_grant(const struct sched *s, struct sched_entity *e)
{
	struct sched_group *g = e->group;

	if (likely(!g->cap))
		return SCHED_NEVER;
	e->granted = MIN(MIN(s->slice, (u64)g->cap_left), g->cap_period - s->now);
	g->cap_left -= (s64)e->granted;
	return s->now + e->granted;
}

/* It has stopped, after @ran ticks: what it did not use is returned. */
static inline void cap_settle(struct sched_entity *e, u64 ran)
{
	if (e->group->cap)
		e->group->cap_left += (s64)(e->granted - ran);
}

/* --- how many wait, how many run --- */

/* @e begins (@by 1) or ceases (-1) to wait for a CPU of the pool. */
static inline void count_waiting(struct sched *s, const struct sched_entity *e, int by)
{
	if (is_pinned(e))
		return;
	s->waiting += (unsigned int)by;
	e->group->waiting += (unsigned int)by;
}

/* The same of running there. */
static inline void count_running(const struct sched *s, const struct sched_entity *e, int by)
{
	if (is_pinned(e))
		return; /* takes nothing from the pool */
	group_update(s, e->group);
	e->group->running += (unsigned int)by;
}

/* --- blocked --- */

/* @e, which is blocked, is one of its CPU's sleepers until @wake_at; SCHED_NEVER: it is none. */
static inline void sleep_until(struct sched *s, struct sched_entity *e, u64 wake_at)
{
	struct sched_entity **p = &s->cpu[e->cpu].sleepers;

	e->wake_at = wake_at;
	if (wake_at == SCHED_NEVER)
		return;
	while (*p && (*p)->wake_at <= wake_at)
		p = &(*p)->sleeper;
	e->sleeper = *p;
	*p = e;
}

/* It is none any more, if it was. */
static inline void cancel_sleep(struct sched *s, struct sched_entity *e)
{
	struct sched_entity **p = &s->cpu[e->cpu].sleepers;

	if (e->wake_at == SCHED_NEVER)
		return;
	while (*p != e)
		p = &(*p)->sleeper;
	*p = e->sleeper;
	e->wake_at = SCHED_NEVER;
}

/* sched_sleep.c: @e, which is blocked, is runnable. Nobody has been told to look yet. */
void sched_entity_wake(struct sched *s, struct sched_entity *e);

/* All whose time has come. */
static inline void wake_sleepers(struct sched *s, const struct sched_cpu *c)
{
	while (c->sleepers && c->sleepers->wake_at <= s->now)
		sched_entity_wake(s, c->sleepers);
}

/* --- which CPU should look --- */

/* The CPUs that may take @e. */
static inline u64 allowed_cpus(const struct sched *s, const struct sched_entity *e)
{
	if (is_pinned(e))
		return BIT(e->pin);
	return e->anchored ? BIT(e->cpu) : s->pool;
}

/*
 * sched_kick.c: the one of @cpus that should look for the sake of @e, which waits, or SCHED_NOBODY.
 * It counts as named from now on: it must be returned to the scheduler's caller, who kicks it. So
 * must what sched_cpu_to_help and cpu_for return.
 */
int sched_cpu_of(struct sched *s, const struct sched_entity *e, u64 cpus);

/* sched_kick.c: an idle CPU that could take one that waits, or SCHED_NOBODY. */
int sched_cpu_to_help(struct sched *s);

/* The one of those that may take @e. */
static inline int cpu_for(struct sched *s, const struct sched_entity *e)
{
	return sched_cpu_of(s, e, allowed_cpus(s, e));
}

#endif
