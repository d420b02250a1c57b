/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk, between whoever has one (a driver, a partition of it, RAM) and whoever uses it (virtio-blk, the
 * reader of partition tables). Asynchronous: a request is submitted, and its end is told later.
 *
 *	user: block_submit -> ops->submit           BLOCK_PENDING, or how it has ended already
 *	                      ...                   the server has the request, and its memory
 *	      request->done <- server               once, from an interrupt or ops->poll
 *
 * Positions and lengths are in sectors of 512 bytes, whatever the disk's own block is; both are multiples of
 * that block. Data lies in host memory, which the server may access by DMA.
 */
#ifndef LIB_BLOCK_H
#define LIB_BLOCK_H

#include "lib/types.h"

#define BLOCK_SECTOR   512u
#define BLOCK_SEGMENTS 64 /* of one request, at most */
#define BLOCK_ADDRESS_UNIT \
	4u /* segments begin at multiples of this, and their lengths are sectors */
#define BLOCK_MAX_SECTORS 8192u /* of one request, at most: 4 MiB */
#define BLOCK_SERIAL_LEN  20
#define BLOCK_MODEL_LEN   40
#define BLOCK_NAME_LEN    40

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,   /* all writes that were done before it was submitted are on the medium */
	BLOCK_DISCARD, /* what is there afterwards is undefined */
	BLOCK_WRITE_ZEROES,
};

enum block_result {
	BLOCK_OK,
	BLOCK_ERROR,       /* the medium, the time-out, the device that is gone */
	BLOCK_UNSUPPORTED, /* this server cannot do that */
	BLOCK_PENDING,     /* of submit only: done will be called */
};

struct block_segment {
	hpa_t hpa;
	u32 len; /* bytes */
};

/* Its user's, and left alone by him from submit to done. */
struct block_request {
	enum block_op op;
	bool unmap;  /* BLOCK_WRITE_ZEROES: the blocks may be given back */
	u64 sector;  /* the first one; 0 for BLOCK_FLUSH */
	u64 sectors; /* how many; 0 for BLOCK_FLUSH */
	unsigned int
		segments; /* of data, for BLOCK_READ and BLOCK_WRITE: together as long as the sectors */
	const struct block_segment *segment;
	/*
	 * It has ended. Called once, on any CPU, with interrupts off and no lock held, and never from
	 * within submit. The request is the user's again, and may be submitted from here.
	 */
	void (*done)(struct block_request *request, enum block_result result);

	/* The server's, while it has it. */
	struct block_request *next;
	u64 server[6];
};

struct block_ops {
	/*
	 * Take @request, or answer at once. On any CPU, with interrupts off; the caller may hold locks, so
	 * that done is not called from here. Bounded: it waits for no device.
	 */
	enum block_result (*submit)(void *ctx, struct block_request *request);
	/*
	 * Look after what is pending: what has ended (an interrupt may have got lost, or there is none) and
	 * what has taken too long, which it then ends with BLOCK_ERROR after a reset of the device. Called
	 * without locks, some ten times a second at least, and as fast as wanted by one who waits. May be NULL.
	 */
	void (*poll)(void *ctx);
	/* Has it requests that have not ended? May be NULL: whoever polls then does so for two minutes. */
	bool (*busy)(void *ctx);
};

struct block_device {
	const struct block_ops *ops;
	void *ctx;
	char name[BLOCK_NAME_LEN];         /* for messages: "nvme0", "ide0.1" */
	char serial[BLOCK_SERIAL_LEN + 1]; /* printable, or empty */
	char model[BLOCK_MODEL_LEN + 1];   /* likewise */
	u64 sectors;
	u32 block_size;          /* bytes: 512 to 4096, a power of two */
	u32 physical_block_size; /* bytes: what is written in one go without a read first */
	u32 max_sectors;         /* of one request; at most BLOCK_MAX_SECTORS */
	bool read_only;
	bool write_cache; /* writes are on the medium only after BLOCK_FLUSH */
	bool can_discard, can_write_zeroes;
};

/*
 * Check @request against @dev (range, alignment, direction, segments) and submit it. What its user must not
 * ask is BLOCK_ERROR, what the disk cannot do BLOCK_UNSUPPORTED. BLOCK_FLUSH without a write cache is
 * BLOCK_OK at once.
 */
enum block_result block_submit(const struct block_device *dev,
			       struct block_request *request) __must_check;

static inline void block_poll(const struct block_device *dev)
{
	if (dev->ops->poll)
		dev->ops->poll(dev->ctx);
}

/* A part of a disk, as a disk. */
struct block_part {
	struct block_device dev; /* for the user */
	const struct block_device *whole;
	u64 first; /* its first sector on the whole */
};

/* Sectors [first, first + sectors) of @whole, which stays the caller's, are @part. They are within it. */
void block_part_init(struct block_part *part, const struct block_device *whole, u64 first,
		     u64 sectors);

/* @size bytes at @data, a multiple of 512, as a disk: all answers come at once. */
struct block_ram {
	struct block_device dev;
	u8 *data;
};

void block_ram_init(struct block_ram *ram, u8 *data, u64 size, bool read_only);

#endif
