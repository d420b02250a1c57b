#include "vmm/sched/sched.h"
#include "lib/errno.h"
#include "lib/math.h"
#include "lib/printk.h"

struct sched scheduler;

#define SLICE_HZ      100
#define CAP_PERIOD_HZ 10

/* --- virtual time --- */

/* Virtual times go round; what is compared is never far apart. */
static bool before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

/*
 * A virtual time is only kept near the clock that it is measured against. What has fallen behind
 * did not want its share, or could not use it (one vCPU cannot run on two CPUs), and gets no credit
 * for that; what is far ahead ran while nobody else wanted to, and is not punished for that.
 */
static u64 window(u64 vtime, u64 clock, u64 behind, u64 ahead)
{
	if (before(vtime, clock - behind))
		return clock - behind;
	return before(clock + ahead, vtime) ? clock + ahead : vtime;
}

/*
 * Bring @g's virtual time up to now. Must be done before ->running changes.
 *
 * All its vCPUs may run for a slice while others wait, or wait while others run: as much is not
 * forgotten, or a VM that needs nearly all of its vCPUs for its share would not get it.
 */
static void group_update(const struct sched *s, struct sched_group *g)
{
	u64 ran = 0, far = (g->size + 1) * g->slice;

	if (g->running)
		ran = mul_div((s->now - g->updated) * g->running, SCHED_WEIGHT_MAX, g->weight);
	g->updated = s->now;
	g->vtime = window(g->vtime + MIN(ran, BIT(62)), s->clock, far, far);
}

static u64 entity_vtime(const struct sched *s, const struct sched_entity *e)
{
	u64 ran = e->state == SCHED_RUNNING ? s->now - e->since : 0;

	return window(e->vtime + ran, e->group->clock, s->slice, 2 * s->slice);
}

/* The clocks show where those are who run next; they never go back. */
static void clock_forward(u64 *clock, u64 vtime)
{
	if (before(*clock, vtime))
		*clock = vtime;
}

/*
 * Nobody has been chosen for some time, because all had what they wanted: bring the clock to the one
 * of them that is furthest behind, before somebody comes who is to be compared with them.
 */
static void clock_catch_up(struct sched *s)
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

/* --- caps --- */

/* A new period: debts stay, savings do not. And waiting for it earns no credit as sleeping does. */
static void cap_refill(struct sched *s, struct sched_group *g)
{
	s64 quota = (s64)(s->cap_ticks * g->cap / 100);

	clock_catch_up(s);
	group_update(s, g);
	clock_forward(&g->vtime, s->clock);
	g->cap_left = MIN(g->cap_left + quota, quota);
	g->cap_period = s->now + s->cap_ticks;
}

/* Has @g anything left of its cap? */
static bool group_may_run(struct sched *s, struct sched_group *g)
{
	if (likely(!g->cap))
		return true;
	if (s->now >= g->cap_period)
		cap_refill(s, g);
	return g->cap_left > 0;
}

/* Give @e, which is going to run, its part of the cap. Returns when that is used up. */
static u64 cap_grant(const struct sched *s, struct sched_entity *e)
{
	struct sched_group *g = e->group;

	if (likely(!g->cap))
		return SCHED_NEVER;
	e->granted = MIN(MIN(s->slice, (u64)g->cap_left), g->cap_period - s->now);
	g->cap_left -= (s64)e->granted;
	return s->now + e->granted;
}

static void cap_settle(struct sched_entity *e, u64 ran)
{
	if (e->group->cap)
		e->group->cap_left += (s64)(e->granted - ran);
}

/* --- states --- */

/* Callers read their clock before they have the lock: time must not go back for that. */
static void sched_lock(struct sched *s, u64 now)
{
	spin_lock(&s->lock);
	s->now = MAX(s->now, now);
}

static bool is_pinned(const struct sched_entity *e)
{
	return e->pin != SCHED_NOBODY;
}

static void set_state(struct sched *s, struct sched_entity *e, enum sched_state state)
{
	e->state = state;
	e->since = s->now;
}

/* @e begins (@by 1) or ceases (-1) to wait for a CPU of the pool. */
static void count_waiting(struct sched *s, const struct sched_entity *e, int by)
{
	if (is_pinned(e))
		return;
	s->waiting += (unsigned int)by;
	e->group->waiting += (unsigned int)by;
}

static void count_running(const struct sched *s, const struct sched_entity *e, int by)
{
	if (is_pinned(e))
		return; /* takes nothing from the pool */
	group_update(s, e->group);
	e->group->running += (unsigned int)by;
}

static void sleep_until(struct sched *s, struct sched_entity *e, u64 wake_at)
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

static void cancel_sleep(struct sched *s, struct sched_entity *e)
{
	struct sched_entity **p = &s->cpu[e->cpu].sleepers;

	if (e->wake_at == SCHED_NEVER)
		return;
	while (*p != e)
		p = &(*p)->sleeper;
	*p = e->sleeper;
	e->wake_at = SCHED_NEVER;
}

static void wake(struct sched *s, struct sched_entity *e)
{
	struct sched_group *g = e->group;

	if (!s->waiting && !is_pinned(e))
		clock_catch_up(s);
	group_update(s, g);
	if (!g->running && !g->waiting) /* it slept: that earns it one slice */
		clock_forward(&g->vtime, s->clock - g->slice);
	e->vtime = entity_vtime(s, e);
	cancel_sleep(s, e);
	set_state(s, e, SCHED_RUNNABLE);
	count_waiting(s, e, 1);
}

static void wake_sleepers(struct sched *s, const struct sched_cpu *c)
{
	while (c->sleepers && c->sleepers->wake_at <= s->now)
		wake(s, c->sleepers);
}

/* --- which CPU should look --- */

static int name_cpu(struct sched *s, unsigned int cpu)
{
	s->idle &= ~BIT(cpu);
	s->named |= BIT(cpu);
	return (int)cpu;
}

/* The CPUs that may take @e. */
static u64 allowed_cpus(const struct sched *s, const struct sched_entity *e)
{
	if (is_pinned(e))
		return BIT(e->pin);
	return e->anchored ? BIT(e->cpu) : s->pool;
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

/* The one of @cpus that should look for the sake of @e, which waits. */
static int cpu_of(struct sched *s, const struct sched_entity *e, u64 cpus)
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

static int cpu_for(struct sched *s, const struct sched_entity *e)
{
	return cpu_of(s, e, allowed_cpus(s, e));
}

/* An idle CPU that could take one that waits. */
static int cpu_to_help(struct sched *s)
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

/* --- which vCPU runs next --- */

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
	choice.kick = cpu_to_help(s);
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

int sched_wake(struct sched *s, struct sched_entity *e, u64 now)
{
	int cpu = SCHED_NOBODY;

	sched_lock(s, now);
	if (e->group && e->state == SCHED_RUNNING) {
		e->wake_pending = true;
	} else if (e->group && e->state == SCHED_BLOCKED) {
		wake(s, e);
		cpu = cpu_for(s, e);
	}
	spin_unlock(&s->lock);
	return cpu;
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
		cpu = cpu_of(s, e, allowed_cpus(s, e) & ~(c->running ? BIT(e->cpu) : 0));
	spin_unlock(&s->lock);
	return cpu;
}

int sched_leave(struct sched *s, unsigned int cpu)
{
	int other;

	spin_lock(&s->lock);
	s->idle &= ~BIT(cpu);
	other = cpu_to_help(s);
	spin_unlock(&s->lock);
	return other;
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

bool sched_is_blocked(struct sched *s, const struct sched_entity *e)
{
	bool blocked;

	spin_lock(&s->lock);
	blocked = e->state == SCHED_BLOCKED;
	spin_unlock(&s->lock);
	return blocked;
}

/* --- who there is --- */

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
	cpu = cpu_to_help(s);
	spin_unlock(&s->lock);
	return cpu;
}
