/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio disk on top of a block device. Virtio 1.2, "Block Device".
 *
 *	kick -> chains -> blk_request -> block_submit        while requests are free; the rest stays in the ring
 *	                                     ...             done on any CPU: onto a list without a lock
 *	status, used ring, interrupt <- virtio_blk_done      with the VM's lock, many at a time
 *
 * A reset, and a VM's end, come at any moment: what is with the disk then still reads or writes guest
 * memory, so that the reset goes on, and the memory has to stay, as long as virtio_blk_busy says.
 */
#ifndef VIRTIO_VIRTIO_BLK_H
#define VIRTIO_VIRTIO_BLK_H

#include "virtio/blk_request.h"
#include "virtio/virtio.h"

#define VIRTIO_BLK_QUEUES   8  /* at most */
#define VIRTIO_BLK_REQUESTS 64 /* with the disk at once, of all queues */

/* Virtio, "Device configuration layout". */
struct virtio_blk_config {
	u64 capacity; /* sectors */
	u32 size_max, seg_max;
	u16 cylinders;
	u8 heads, sectors;
	u32 blk_size;
	u8 physical_block_exp, alignment_offset;
	u16 min_io_size;
	u32 opt_io_size;
	u8 writeback;
	u8 unused0;
	u16 num_queues;
	u32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
	u32 max_write_zeroes_sectors, max_write_zeroes_seg;
	u8 write_zeroes_may_unmap;
	u8 unused1[3];
};
#define VIRTIO_BLK_CONFIG_SIZE 60
_Static_assert(offsetof(struct virtio_blk_config, unused1) + 3 == VIRTIO_BLK_CONFIG_SIZE &&
		       offsetof(struct virtio_blk_config, writeback) == 32 &&
		       offsetof(struct virtio_blk_config, write_zeroes_may_unmap) == 56,
	       "struct virtio_blk_config");

struct virtio_blk_ops {
	/*
	 * Requests have come back, to be finished by virtio_blk_done under the VM's lock: here or soon. Called on
	 * any CPU without locks; not again before virtio_blk_done has been. What @ctx points to outlives the
	 * disk: another CPU may have finished the request meanwhile, and the VM with it.
	 */
	void (*completed)(void *ctx);
};

struct blk_list {
	struct blk_request *first, *last;
};

struct virtio_blk {
	struct virtio_device dev;
	struct virtio_type type;
	struct virtqueue queue[VIRTIO_BLK_QUEUES];
	u16 queue_size[VIRTIO_BLK_QUEUES];
	struct virtio_blk_config config;
	const struct block_device *disk;
	const struct virtio_blk_ops *ops;
	void *ctx; /* of ops */
	char id[BLOCK_SERIAL_LEN];

	unsigned int in_flight; /* requests that the disk has, or whose end is not seen to yet */
	struct blk_request *free;
	struct blk_list ready;              /* that go on when there is time */
	struct blk_list bounce_waiters;     /* that go on when the buffer is free */
	_Atomic(struct blk_request *) done; /* that the disk has given back; the last one first */

	u64 waiting;       /* queues that may have chains */
	u64 signal;        /* queues that something was pushed to */
	unsigned int turn; /* the queue that a chain is taken from next */
	bool held;         /* chain is one that needs big, of queue held_queue */
	unsigned int held_queue;
	s64 budget; /* what a call may still do, in sectors */

	struct blk_request *big_owner, *bounce_owner;
	struct block_segment bounce_segment;

	u64 requests, sectors, bounced; /* counted: finished, moved, and moved by copying */

	struct virtq_chain chain;
	struct block_segment big[BLK_SEGMENTS_BIG];
	struct blk_request request[VIRTIO_BLK_REQUESTS];
	_Alignas(BLOCK_SECTOR) u8 bounce[BLK_BOUNCE];
};

/* @queues, up to VIRTIO_BLK_QUEUES, for requests. All that is pointed to stays the caller's. */
void virtio_blk_init(struct virtio_blk *b, const struct virtio_host *host,
		     const struct block_device *disk, unsigned int queues,
		     const struct virtio_blk_ops *ops, void *ctx);

/* See to what has come back. With the VM's lock. */
void virtio_blk_done(struct virtio_blk *b);

/* Does the disk still use guest memory, or *@b? With the VM's lock; once false of a stopped VM it stays so. */
static inline bool virtio_blk_busy(const struct virtio_blk *b)
{
	return b->in_flight;
}

#endif
