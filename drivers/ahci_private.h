/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the AHCI driver share: ahci.c (the controller), ahci_port.c (a port's requests), ahci_recover.c (a
 * port on its way to where it takes them), ahci_command.c (commands).
 */
#ifndef DRIVERS_AHCI_PRIVATE_H
#define DRIVERS_AHCI_PRIVATE_H

#include "drivers/ahci_regs.h"
#include "drivers/disk_request.h"
#include "drivers/hostdev.h"
#include "drivers/iomem.h"
#include "lib/spinlock.h"

#define AHCI_SLOTS 32u

/* What a disk has said of itself. */
struct ahci_identity {
	char serial[BLOCK_SERIAL_LEN + 1];
	char model[BLOCK_MODEL_LEN + 1];
	u64 sectors; /* of 512 bytes */
	u32 block_size, physical_block_size;
	unsigned int depth; /* of its queue; 0: no queued commands */
	bool trim, write_cache;
};

enum ahci_state {
	AHCI_STOPPING,    /* waiting for PxCMD.CR = 0 */
	AHCI_RESETTING,   /* COMRESET is on the link */
	AHCI_LINKING,     /* waiting for a device, and for it to be ready */
	AHCI_IDENTIFYING, /* waiting for the answer to IDENTIFY DEVICE, in slot 0 */
	AHCI_RUNNING,
	AHCI_DEAD, /* or empty, from the beginning: every request is BLOCK_ERROR */
};

/* A command under way, or none: request is NULL. */
struct ahci_slot {
	struct block_request *request;
	u64 deadline, sectors;
	bool guilty;
};

/* Shared with the port, in a page of its own. */
struct ahci_port_memory {
	struct ahci_header header[AHCI_SLOTS];
	u8 fis[256];
	u8 gap[256];
	u16 words[ATA_ID_WORDS];
	u64 ranges[ATA_TRIM_RANGES];
};

_Static_assert(offsetof(struct ahci_port_memory, fis) % 256 == 0,
	       "received FISes are on a boundary");
_Static_assert(sizeof(struct ahci_port_memory) <= PAGE_SIZE, "a port has a page");

struct ahci_port {
	struct spinlock lock;
	struct ahci *hba;
	u8 *regs;
	struct ahci_port_memory *mem;
	struct ahci_table *table; /* of each slot */
	enum ahci_state state;
	bool known;   /* its disk was shown: from here on it has to stay the same */
	bool hard;    /* AHCI_STOPPING: a reset of the link follows */
	bool queued;  /* what is under way */
	u32 detected; /* AHCI_LINKING: how far a device has come: AHCI_DET_* */
	u32 active;   /* slots with a command */
	unsigned int resets, complaints;
	u64 deadline; /* of state */
	struct ahci_slot slot[AHCI_SLOTS];
	struct disk_fifo waiting;
	unsigned int depth; /* of queued commands; 0: one command at a time */
	struct ahci_identity id;
	struct block_device dev;
};

struct ahci {
	const struct hostdev_env *env;
	const struct pci_device *pci;
	u8 *regs;
	u32 cap;
	u32 implemented; /* ports that there are */
	bool off;        /* bus mastering had to be switched off: all ports are dead */
	struct ahci_port *port[AHCI_PORTS];
};

/* The TSC in @ms milliseconds, and whether it has got there. */
static inline u64 ahci_after_ms(const struct ahci *a, u64 ms)
{
	return a->env->now() + ms * a->env->tsc_hz / 1000;
}

static inline bool ahci_passed(const struct ahci *a, u64 deadline)
{
	return a->env->now() >= deadline;
}

/* A port's registers: AHCI_Px*. */
static inline u32 ahci_rd(const struct ahci_port *p, u32 reg)
{
	return io_read32(p->regs + reg);
}

static inline void ahci_wr(const struct ahci_port *p, u32 reg, u32 value)
{
	io_write32(p->regs + reg, value);
}

/*
 * Locks: where there is @ended the port's lock is held, and requests that have ended are put there, to be given back
 * without it (drivers/disk_request.h).
 */

/* ahci_port.c: without the lock: what the port has done, and what it is to do next. */
void ahci_service(struct ahci_port *p);
/* A hostdev_env.irq function; @hba: the struct ahci. */
void ahci_irq(void *hba);
/* With the lock, in AHCI_IDENTIFYING, the engine running: IDENTIFY DEVICE in slot 0, to p->mem->words. */
void ahci_issue_identify(struct ahci_port *p);
extern const struct block_ops ahci_block_ops; /* ctx: the struct ahci_port */

/* ahci_recover.c: the port's first start; its memory is there. It goes on by ahci_service. */
void ahci_start_port(struct ahci_port *p);
/* The states before AHCI_RUNNING: whatever can be done without waiting. Each has its deadline. */
void ahci_bring_up(struct ahci_port *p, struct disk_fifo *ended);
/*
 * Stop the port because of @why, and take its commands back: those whose slots are guilty have failed. @hard: reset
 * the link, too; after too many of these in a row ahci_die. It goes on by ahci_bring_up.
 */
void ahci_recover(struct ahci_port *p, struct disk_fifo *ended, bool hard, const char *why);
/* Off for good, without DMA and without requests. @why: NULL: there never was a disk, which is nothing to tell. */
void ahci_die(struct ahci_port *p, struct disk_fifo *ended, const char *why);

/* ahci_command.c: NULL, or what is wrong with @words. */
const char *ahci_identity(const u16 words[ATA_ID_WORDS], struct ahci_identity *id);

/* Fill @table for (a part of) @r; @tag is its slot. Returns the sectors, and the PRDs used. */
struct ahci_built {
	u64 sectors;
	u16 prds;
	bool write;
};

struct ahci_built ahci_build(struct block_request *r, struct ahci_table *table, u32 block_size,
			     bool queued, unsigned int tag, u64 *ranges);
struct ahci_built ahci_build_identify(struct ahci_table *table, void *words);

#endif
