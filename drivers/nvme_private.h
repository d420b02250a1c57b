/* SPDX-License-Identifier: BSD-2-Clause */
/* What nvme.c (found and brought up), nvme_queue.c (what is done) and nvme_recover.c (what goes wrong) share. */
#ifndef DRIVERS_NVME_PRIVATE_H
#define DRIVERS_NVME_PRIVATE_H

#include "drivers/disk_request.h"
#include "drivers/hostdev.h"
#include "drivers/nvme_prp.h"
#include "drivers/nvme_regs.h"
#include "lib/spinlock.h"

#define NVME_SLOTS     32u /* commands under way at once, at most */
#define NVME_NAMESPACE 1u

enum nvme_state {
	NVME_DISABLING, /* waiting for CSTS.RDY = 0 */
	NVME_ENABLING,  /* waiting for CSTS.RDY = 1 */
	NVME_SETUP,     /* an admin command is under way: setup[n->step] */
	NVME_RUNNING,
	NVME_DEAD, /* for good: every request is BLOCK_ERROR */
};

struct nvme_queue {
	struct nvme_command *sq;
	const struct nvme_completion *cq;
	unsigned int id, entries;
	unsigned int tail, head;
	u16 phase;
};

/* A command under way, or none: request is NULL. */
struct nvme_slot {
	struct block_request *request;
	u64 deadline;
	u32 sectors; /* what this command does of it */
	bool bounced, guilty;
};

struct nvme {
	struct spinlock lock;
	const struct hostdev_env *env;
	const struct pci_device *pci;
	u8 *regs;
	enum nvme_state state;
	bool known; /* its disk was shown: from here on it has to stay the same */
	unsigned int step, resets, complaints;
	u64 deadline;    /* of state */
	u64 ready_ticks; /* how long a change of CC.EN may take */
	u32 stride;      /* of doorbells, bytes */
	struct nvme_queue admin, io;
	unsigned int slots;
	struct nvme_slot slot[NVME_SLOTS];
	u64 (*list)[NVME_LIST_ENTRIES]; /* of each slot */
	u8 *bounce; /* a block for each slot, where blocks are larger than 512 bytes */
	u8 *identify;
	struct disk_fifo waiting;
	u32 max_bytes; /* of a command */
	struct block_device dev;
};

/* The TSC in @count seconds. */
static inline u64 nvme_after_seconds(const struct nvme *n, u64 count)
{
	return n->env->now() + count * n->env->tsc_hz;
}

/*
 * Locks: where there is @ended the lock is held, and requests that have ended are put there, to be given back without
 * it (drivers/disk_request.h).
 */

/*
 * nvme.c: the states before NVME_RUNNING: whatever can be done without waiting. Each has its deadline: then the
 * controller is reset, or off for good.
 */
void nvme_bring_up(struct nvme *n, struct disk_fifo *ended);

/* nvme_queue.c: the memory of @q, queue @id of the controller's, for @entries - 1 commands at once; or -ENOMEM. */
int nvme_queue_alloc(const struct hostdev_env *env, struct nvme_queue *q, unsigned int id,
		     unsigned int entries);
/* Empty, as the controller takes it to be when it is enabled; it is off. */
void nvme_queue_clear(struct nvme_queue *q);
/* With the lock: an admin command, one at a time, and its answer; false: not yet. */
void nvme_admin_push(struct nvme *n, const struct nvme_command *command);
bool nvme_admin_pop(struct nvme *n, struct nvme_completion *c);
/* Without the lock: what the controller has done, and what it is to do next. @look_closely: is it well, too? */
void nvme_service(struct nvme *n, bool look_closely);
/* A hostdev_env.irq function; @nvme: the struct nvme. */
void nvme_irq(void *nvme);
extern const struct block_ops nvme_block_ops; /* ctx: the struct nvme */

/* nvme_recover.c: off for good because of @why, without DMA and without requests. */
void nvme_die(struct nvme *n, struct disk_fifo *ended, const char *why);
/* Begin a reset, without waiting for it. With the lock. */
void nvme_disable(struct nvme *n);
/* The same because of @why; after too many in a row nvme_die. */
void nvme_reset(struct nvme *n, struct disk_fifo *ended, const char *why);
/* The controller is off: what was under way waits again, or has failed. */
void nvme_take_back(struct nvme *n, struct disk_fifo *ended);
/* @s's command was answered with an error @status. */
void nvme_command_failed(struct nvme *n, struct nvme_slot *s, u16 status, struct disk_fifo *ended);
/* NVME_RUNNING: is it gone, has it failed, has a command taken too long? */
void nvme_check_health(struct nvme *n, struct disk_fifo *ended);

#endif
