/* SPDX-License-Identifier: BSD-2-Clause */
/* What ide.c (who is there) and ide_channel.c (what is done) share. */
#ifndef DRIVERS_IDE_PRIVATE_H
#define DRIVERS_IDE_PRIVATE_H

#include "drivers/ide.h"
#include "lib/block.h"
#include "lib/spinlock.h"

/* Ports, from the base of the command block. */
enum {
	IDE_DATA = 0,
	IDE_ERROR = 1, /* read; written: features */
	IDE_COUNT = 2,
	IDE_LBA_LOW = 3,
	IDE_LBA_MID = 4,
	IDE_LBA_HIGH = 5,
	IDE_DEVICE = 6,
	IDE_STATUS = 7, /* read, which takes the interrupt back; written: the command */
};

#define IDE_STATUS_ERR   0x01
#define IDE_STATUS_DRQ   0x08
#define IDE_STATUS_DF    0x20 /* device fault */
#define IDE_STATUS_BSY   0x80
#define IDE_ABSENT       0xff /* what is read where there is nothing at all */

#define IDE_DEVICE_FIXED 0xa0 /* two bits that old drives want set */
#define IDE_DEVICE_LBA   0x40
#define IDE_DEVICE_1     0x10

/* The control port. */
#define IDE_CONTROL_NIEN 0x02 /* no interrupts */
#define IDE_CONTROL_SRST 0x04

#define IDE_SECTORS_28   256
#define IDE_SECTORS_48   1024

struct ide_channel;

struct ide_drive {
	struct block_device dev;
	struct ide_channel *channel;
	unsigned int index; /* 0 or 1 */
	bool lba48, flush_ext;
	bool gone; /* does not answer any more: all requests are errors */
	unsigned int complaints;
};

/* A piece of memory; it does not cross a multiple of 64 KiB. */
struct ide_prd {
	u32 address;
	u16 bytes; /* 0: 64 KiB */
	u16 flags;
} __packed;
_Static_assert(sizeof(struct ide_prd) == 8, "the controller reads it");

#define IDE_PRD_LAST 0x8000
/* Of a page. Each segment takes one more than it has multiples of 64 KiB, at most. */
#define IDE_PRDS 512
_Static_assert(IDE_PRDS >= 2 * BLOCK_SEGMENTS + IDE_SECTORS_48 * BLOCK_SECTOR / 0x10000,
	       "each request fits");

enum ide_state { IDE_IDLE, IDE_RUNNING, IDE_RESETTING };

struct ide_channel {
	const struct hostdev_env *env;
	u16 command, control, master; /* ports */
	struct ide_drive drive[2];
	struct ide_prd *prd;
	u8 *bounce; /* for memory above 4 GiB; made when it is needed */

	struct spinlock lock; /* of what follows, and of the ports */
	enum ide_state state;
	struct block_request *first,
		*last; /* in the order in which they came; the first is being served */
	bool bounced, retried;
	u64 deadline; /* TSC: of the command, or of the reset */
};

extern const struct ide_ports *ide_ports;

/* ide_channel.c */
extern const struct block_ops ide_block_ops; /* ctx: the drive */
void ide_channel_irq(void *channel);

/*
 * Fill @prd for @request's data. How many, or 0: some of it is above 4 GiB, where the controller cannot
 * reach it.
 */
unsigned int ide_build_prds(const struct block_request *request, struct ide_prd *prd);

#endif
