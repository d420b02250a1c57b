/*
 * Who runs where: vCPUs on physical CPUs. A CPU is either pinned to one vCPU, which it runs whenever
 * that can run, or belongs to the pool, which all other vCPUs share fairly.
 *
 * Fair means: VMs get CPU time in proportion to their weights, whatever number of vCPUs each has, and
 * the vCPUs of a VM share its part evenly. Each VM has a virtual time, which goes on as its vCPUs
 * run, the slower the larger its weight; a CPU that is free takes a vCPU of the VM that is behind most.
 *
 * A data structure with one lock: knows neither VMX nor vCPUs, compiles on the host. Times are host
 * TSC ticks. All functions may be called on any CPU, with interrupts off, and take the lock.
 */
#ifndef VMM_SCHED_H
#define VMM_SCHED_H

#include "lib/spinlock.h"
#include "lib/types.h"

#define SCHED_CPUS           64
#define SCHED_ENTITIES       256
#define SCHED_NEVER          (~0ULL)
#define SCHED_NOBODY         (-1)

#define SCHED_WEIGHT_DEFAULT 100
#define SCHED_WEIGHT_MAX     10000

enum sched_state {
	SCHED_BLOCKED,  /* waits for sched_wake, or for wake_at */
	SCHED_RUNNABLE, /* waits for a CPU */
	SCHED_RUNNING,
};

/* What the vCPUs of one VM share. Zeroed, then weight and cap set, before sched_add. */
struct sched_group {
	u32 weight;       /* 1 to SCHED_WEIGHT_MAX */
	u32 cap;          /* percent of one CPU that it may use at most; 0: no limit */
	u64 vtime;        /* ticks run * SCHED_WEIGHT_DEFAULT / weight */
	u64 cap_left;     /* ticks it may still run in this period */
	u64 cap_period;   /* when the next one begins */
	unsigned int running;
};

/* A vCPU. The caller owns it, zeroed before sched_add; all fields are the scheduler's. */
struct sched_entity {
	struct sched_group *group;
	enum sched_state state;
	int pin;           /* the CPU that is its own, or SCHED_NOBODY */
	unsigned int cpu;  /* that runs it or ran it last */
	bool anchored;     /* its registers are still on ->cpu: no other may take it. See sched_release */
	bool wake_pending; /* a wake-up came between the decision to block and sched_put */
	u64 wake_at;       /* blocked: no later than this */
	u64 since;         /* when it entered the state that it is in */
	u64 ran;           /* ticks in all */
	u64 waited;        /* ticks runnable without a CPU, in all: the steal time */
};

struct sched_cpu {
	struct sched_entity *running;
	bool idle;  /* found nothing to run when it last asked */
	bool pinned; /* is one vCPU's own */
	u64 slice_end;
};

struct sched {
	struct spinlock lock;
	unsigned int cpus;
	u64 slice; /* ticks that a vCPU runs at most while others wait */
	u64 cap_ticks; /* length of a cap's period */
	struct sched_cpu cpu[SCHED_CPUS];
	struct sched_entity *entity[SCHED_ENTITIES];
	unsigned int entities;
};

/* What a CPU is to do next. */
struct sched_choice {
	struct sched_entity *entity; /* runs now; NULL: idle */
	u64 until; /* ask again no later than this: end of slice, or somebody of this CPU wakes. SCHED_NEVER: not needed */
};

/* @cpus physical CPUs, numbered from 0, all in the pool. @tsc_hz: the slice is 10 ms. */
void sched_init(struct sched *s, unsigned int cpus, u64 tsc_hz);

/*
 * @e, blocked, becomes one of @group's, with @pin as its own CPU (which leaves the pool) or
 * SCHED_NOBODY. -ENOSPC when the table is full, -EBUSY when @pin is another's, -EINVAL when there
 * is no such CPU, or (not pinned) the pool has none.
 */
int sched_add(struct sched *s, struct sched_entity *e, struct sched_group *group, int pin) __must_check;

/* It is no longer there; its pinned CPU returns to the pool. It must be blocked and not anchored. */
void sched_remove(struct sched *s, struct sched_entity *e);

/*
 * @cpu, which runs nobody (see sched_put), wants work at @now: what it is given is SCHED_RUNNING, and
 * anchored here. Blocked ones of @cpu whose wake_at has come are woken first.
 */
struct sched_choice sched_pick(struct sched *s, unsigned int cpu, u64 now);

/*
 * What @cpu was given stops running at @now. @blocked: until sched_wake, or until @wake_at if that
 * comes first (its own CPU looks at it, in sched_pick); else it stays runnable. It stays anchored.
 */
void sched_put(struct sched *s, unsigned int cpu, u64 now, bool blocked, u64 wake_at);

/*
 * @e has something to do. Returns the CPU that should look (sched_pick) for its sake: an idle one
 * that may take it, or one that runs somebody who is ahead by more than a slice; SCHED_NOBODY when none need.
 * Harmless when it is not blocked.
 */
int sched_wake(struct sched *s, struct sched_entity *e, u64 now) __must_check;

/*
 * The registers of @e have left @cpu: any CPU of the pool may take it from now on. Returns as
 * sched_wake, for a runnable one that nobody runs.
 */
int sched_release(struct sched *s, struct sched_entity *e, u64 now) __must_check;

/* @cpu's vCPU spins for another's sake (PAUSE-loop exit): let those of its VM that wait go first, once. */
void sched_yield(struct sched *s, unsigned int cpu, u64 now);

#endif
