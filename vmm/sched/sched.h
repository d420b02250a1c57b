/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who runs where: vCPUs on physical CPUs. A CPU is either pinned to one vCPU, which it runs whenever
 * that can run, or belongs to the pool, which all other vCPUs share fairly.
 *
 * Fair means: VMs get CPU time in proportion to their weights, whatever number of vCPUs each has, and
 * the vCPUs of a VM share its part evenly. Each VM has a virtual time, which goes on as its vCPUs
 * run, the slower the larger its weight; a CPU that is free takes a vCPU of the VM that is furthest
 * behind.
 *
 * A data structure with one lock: knows neither VMX nor vCPUs, compiles on the host. Times are host
 * TSC ticks; those of different CPUs may disagree a little. All functions may be called on any CPU,
 * with interrupts off, take the lock, and are bounded by the number of entities and of CPUs.
 *
 * Nobody here can interrupt a CPU: a function that finds that another one has to look (sched_pick)
 * returns its number, for the caller to kick. A CPU that was named once is not named again until
 * it has looked, so the kick must not be dropped.
 */
#ifndef VMM_SCHED_SCHED_H
#define VMM_SCHED_SCHED_H

#include "lib/spinlock.h"
#include "lib/types.h"

#define SCHED_CPUS           64
#define SCHED_NEVER          (~0ULL)
#define SCHED_NOBODY         (-1)

#define SCHED_WEIGHT_DEFAULT 100
#define SCHED_WEIGHT_MAX     10000

enum sched_state {
	SCHED_BLOCKED,  /* waits for sched_wake, or for wake_at */
	SCHED_RUNNABLE, /* waits for a CPU */
	SCHED_RUNNING,
};

struct sched_entity;

/* What the vCPUs of one VM share. Zeroed, then weight and cap set, before sched_add. */
struct sched_group {
	u32 weight; /* 1 to SCHED_WEIGHT_MAX */
	u32 cap;    /* percent of one CPU that it may use at most; 0: no limit */

	/* The scheduler's. */
	struct sched_group *next;
	struct sched_entity *entities;
	unsigned int size;    /* how many these are */
	unsigned int running; /* on CPUs of the pool */
	unsigned int waiting; /* for one */
	u64 slice;            /* in its virtual time: ticks * SCHED_WEIGHT_MAX / weight */
	u64 vtime;            /* of what it ran in the pool up to ->updated */
	u64 updated;
	u64 clock;      /* that its entities' virtual times are measured against */
	s64 cap_left;   /* ticks not granted yet in this period; < 0: overdrawn */
	u64 cap_period; /* when the next one begins */
};

/* A vCPU. The caller owns it, zeroed before sched_add; all fields are the scheduler's. */
struct sched_entity {
	struct sched_group *group;
	struct sched_entity *next;    /* of the group */
	struct sched_entity *sleeper; /* the next of its CPU's sleepers */
	enum sched_state state;
	int pin;           /* the CPU that is its own, or SCHED_NOBODY */
	unsigned int cpu;  /* that runs it or ran it last */
	bool anchored;     /* its registers are still on ->cpu, until sched_release */
	bool wake_pending; /* a wake-up came between the decision to block and sched_put */
	u64 wake_at;       /* blocked: no later than this */
	u64 since;         /* when it entered the state that it is in */
	u64 vtime;         /* ticks run */
	u64 granted;       /* of its group's cap, for this run */
	u64 ran;           /* ticks in all */
	u64 waited;        /* ticks runnable without a CPU, in all: the steal time */
};

struct sched_cpu {
	struct sched_entity *owner; /* pinned here: nobody else runs here */
	struct sched_entity *running;
	struct sched_entity *last;     /* put back runnable before its turn was over, or NULL */
	struct sched_entity *sleepers; /* blocked until wake_at, the earliest first */
	u64 turn_end;                  /* of ->running, or ->last */
	bool ticks;                    /* was told to ask again at turn_end */
	bool yields;                   /* ->last lets others of its group go first */
};

struct sched {
	_Alignas(CACHE_LINE) struct spinlock lock;
	unsigned int cpus;
	u64 pool;      /* the CPUs that are nobody's own */
	u64 idle;      /* those that found nothing when they last asked, and were not named since */
	u64 named;     /* those that shall ask: named to a caller since they last did */
	u64 slice;     /* ticks that a vCPU runs at a time while others wait */
	u64 cap_ticks; /* length of a cap's period */
	u64 now;       /* the latest time that anybody has told */
	u64 clock;     /* that the groups' virtual times are measured against */
	struct sched_group *groups;
	unsigned int pooled;  /* entities that are not pinned */
	unsigned int waiting; /* those of them that wait for a CPU */
	struct sched_cpu cpu[SCHED_CPUS];
};

_Static_assert(sizeof(struct sched) % CACHE_LINE == 0,
	       "who waits for its lock takes no line of others");

/* The one of this machine. */
extern struct sched scheduler;

/* What a CPU is to do next. */
struct sched_choice {
	struct sched_entity *entity; /* runs now; NULL: idle */
	u64 until;                   /* ask again no later than this. SCHED_NEVER: not needed */
	int kick;                    /* another CPU that should look, or SCHED_NOBODY */
};

/*
 * @s, zeroed or used before, has @cpus (1 to SCHED_CPUS) physical CPUs, numbered from 0, all in
 * the pool. @tsc_hz: a slice is 10 ms, the period of a cap 100 ms.
 */
void sched_init(struct sched *s, unsigned int cpus, u64 tsc_hz);

/* CPU @cpu, which is idle, is for nobody: not in the pool, not to be pinned. Before the first sched_add. */
void sched_reserve(struct sched *s, unsigned int cpu);

/*
 * @e, blocked, becomes one of @group's, with @pin as its own CPU (which leaves the pool) or
 * SCHED_NOBODY. -EBUSY when @pin is another's, or the last one of a pool that is in use; -EINVAL
 * when there is no such CPU, or (not pinned) the pool has none.
 */
int sched_add(struct sched *s, struct sched_entity *e, struct sched_group *group,
	      int pin) __must_check;

/*
 * It is no longer there; its pinned CPU returns to the pool. It must not be running or anchored.
 * Returns the CPU that should look, or SCHED_NOBODY.
 */
int sched_remove(struct sched *s, struct sched_entity *e) __must_check;

/*
 * Is it blocked, and has its CPU let go of it (sched_release)? If nobody wakes it any more that stays so, and no CPU
 * is in a call for it: only then may it be removed, and its memory be another's.
 */
bool sched_is_released(struct sched *s, const struct sched_entity *e);

/*
 * @cpu, which runs nobody (see sched_put), wants work at @now: what it is given is SCHED_RUNNING, and
 * anchored here. Blocked ones of @cpu whose wake_at has come are woken first. One that was put back
 * before its turn was over goes on with it, unless somebody else is behind it by half a slice.
 */
struct sched_choice sched_pick(struct sched *s, unsigned int cpu, u64 now);

/*
 * What @cpu was given stops running at @now. @blocked: until sched_wake, or until @wake_at if that
 * comes first (its own CPU looks at it, in sched_pick); else it stays runnable. It stays anchored.
 */
void sched_put(struct sched *s, unsigned int cpu, u64 now, bool blocked, u64 wake_at);

/*
 * @e has something to do. Returns the CPU that should look (sched_pick) for its sake: an idle one
 * that may take it, or one that runs somebody who is ahead by more than half a slice, or one that
 * was told that it need not look; SCHED_NOBODY when none need. Harmless when it is not blocked.
 */
int sched_wake(struct sched *s, struct sched_entity *e, u64 now) __must_check;

/*
 * The registers of @e have left its CPU: any CPU of the pool may take it from now on. Returns as
 * sched_wake, for a runnable one that nobody runs.
 */
int sched_release(struct sched *s, struct sched_entity *e, u64 now) __must_check;

/*
 * @cpu, which runs nobody, will not ask for a while: others have to take what waits, or will. Returns
 * the CPU that should look, or SCHED_NOBODY.
 */
int sched_leave(struct sched *s, unsigned int cpu) __must_check;

/*
 * @cpu's vCPU spins for another's sake (PAUSE-loop exit): its next sched_put and sched_pick let one
 * of its VM that waits go first, once, for the rest of the turn. False: nobody could, so go on.
 */
bool sched_yield_cpu(struct sched *s, unsigned int cpu);

#endif
