/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdatomic.h>
#include "virtio/virtio_blk.h"
#include "lib/errno.h"
#include "lib/string.h"

#define DEVICE_ID  2
#define PCI_CLASS  0x018000 /* mass storage controller, other */
#define QUEUE_SIZE 256

/* Feature bits */
#define F_SEG_MAX      BIT(2)
#define F_RO           BIT(5)
#define F_BLK_SIZE     BIT(6)
#define F_FLUSH        BIT(9)
#define F_TOPOLOGY     BIT(10)
#define F_CONFIG_WCE   BIT(11)
#define F_MQ           BIT(12)
#define F_DISCARD      BIT(13)
#define F_WRITE_ZEROES BIT(14)

/*
 * What one call does at most, of what takes time: to look at a chain counts as much as to copy so many
 * sectors. Disks that answer later cost no more than the chain.
 */
#define BUDGET     2048
#define CHAIN_COST 16

/* --- lists --- */

static void list_add(struct blk_list *list, struct blk_request *r)
{
	r->next = NULL;
	if (list->first)
		list->last->next = r;
	else
		list->first = r;
	list->last = r;
}

static struct blk_request *list_take(struct blk_list *list)
{
	struct blk_request *r = list->first;

	if (r)
		list->first = r->next;
	return r;
}

static struct blk_request *take_free(struct virtio_blk *b)
{
	struct blk_request *r = b->free;

	b->free = r->next;
	return r;
}

static void release(struct virtio_blk *b, struct blk_request *r)
{
	struct blk_request *waiter;

	if (b->big_owner == r)
		b->big_owner = NULL;
	if (b->bounce_owner == r) {
		b->bounce_owner = NULL;
		waiter = list_take(&b->bounce_waiters);
		if (waiter)
			list_add(&b->ready, waiter);
	}
	r->next = b->free;
	b->free = r;
}

/* --- a request's way to its end --- */

/* Must what was written be on the medium? Virtio, "Device Operation": when a write is stable. */
static bool writes_through(const struct virtio_blk *b)
{
	if (virtio_has_feature(&b->dev, F_CONFIG_WCE))
		return !b->config.writeback;
	return !virtio_has_feature(&b->dev, F_FLUSH);
}

/* The driver may look at its buffers as soon as the status says how it went; then at the used ring. */
static void finish(struct virtio_blk *b, struct blk_request *r)
{
	u8 status = blk_request_status(r);

	if (!guest_write(b->dev.host->mem, r->status_at, &status, sizeof(status)))
		virtio_fail(&b->dev);
	virtio_push_head(&b->dev, r->queue, (u16)r->head, blk_request_written(r));
	b->signal |= BIT(r->queue);
	b->requests++;
	release(b, r);
}

/* Has @r the buffer, if it needs that? */
static bool has_bounce(struct virtio_blk *b, struct blk_request *r)
{
	if (!r->bounced)
		return true;
	if (!b->bounce_owner)
		b->bounce_owner = r;
	return b->bounce_owner == r;
}

/* Prepare the next piece, or the flush that a write waits for; false when all is done. */
static bool next_piece(struct virtio_blk *b, struct blk_request *r)
{
	if (blk_request_next(r, b->disk, b->bounce, &b->bounce_segment))
		return true;
	if (!blk_request_writes(r) || r->flushed || !writes_through(b))
		return false;
	r->io.op = BLOCK_FLUSH;
	return true;
}

static void piece_done(struct virtio_blk *b, struct blk_request *r)
{
	if (r->result)
		return;
	blk_request_advance(r, b->bounce);
	if (r->io.segments) {
		b->sectors += r->io.sectors;
		b->bounced += r->bounced ? r->io.sectors : 0;
	}
}

/* Go on with @r, which the disk does not have, until it has it again, or it is finished, or has to wait. */
static void go_on(struct virtio_blk *b, struct blk_request *r)
{
	while (virtio_live(&b->dev)) {
		if (!r->result && !has_bounce(b, r)) {
			list_add(&b->bounce_waiters, r);
			return;
		}
		if (b->budget <= 0) {
			list_add(&b->ready, r);
			return;
		}
		if (r->result || !next_piece(b, r)) {
			finish(b, r);
			return;
		}
		b->in_flight++;
		r->result = block_submit(b->disk, &r->io);
		if (r->result == BLOCK_PENDING)
			return;
		b->in_flight--;
		b->budget -= (s64)r->io.sectors + 1;
		piece_done(b, r);
	}
	release(b, r); /* its queue is gone */
}

/*
 * The disk has given a request back. As soon as it is on the list, whoever has the lock may see to it, and
 * nothing of the disk is left: so nothing of it is looked at afterwards.
 */
static void on_done(struct block_request *io, enum block_result result)
{
	struct blk_request *r = container_of(io, struct blk_request, io);
	struct virtio_blk *b = r->disk;
	const struct virtio_blk_ops *ops = b->ops;
	struct blk_request *before = atomic_load_explicit(&b->done, memory_order_relaxed);
	void *ctx = b->ctx;

	r->result = result;
	do {
		r->next = before;
	} while (!atomic_compare_exchange_weak_explicit(&b->done, &before, r, memory_order_release,
							memory_order_relaxed));
	if (!before)
		ops->completed(ctx);
}

/* What has come back, the first one first. */
static struct blk_request *take_done(struct virtio_blk *b)
{
	struct blk_request *r = atomic_exchange_explicit(&b->done, NULL, memory_order_acquire);
	struct blk_request *list = NULL, *next;

	for (; r; r = next) {
		next = r->next;
		r->next = list;
		list = r;
	}
	return list;
}

static void see_to_done(struct virtio_blk *b)
{
	struct blk_request *r = take_done(b), *next;

	for (; r; r = next) {
		next = r->next;
		b->in_flight--;
		piece_done(b, r);
		go_on(b, r);
	}
}

static void see_to_ready(struct virtio_blk *b)
{
	while (b->budget > 0 && b->ready.first)
		go_on(b, list_take(&b->ready));
}

/* --- chains --- */

/* Make a request of the chain at hand; false while it has to wait for big. */
static bool accept(struct virtio_blk *b)
{
	struct block_segment *big = b->big_owner ? NULL : b->big;
	struct blk_request *r = take_free(b);
	int err;

	r->queue = (u16)b->held_queue;
	err = blk_request_parse(r, &b->queue[r->queue], &b->chain, b->disk, b->id, big);
	b->held = err == -EAGAIN;
	if (err == -EINVAL)
		virtio_fail(&b->dev); /* there is nowhere else to tell the driver */
	if (err) {
		release(b, r);
		return !b->held;
	}
	if (r->segments && r->segment == b->big)
		b->big_owner = r;
	go_on(b, r);
	return true;
}

/* The next queue, in turn, that may have chains. */
static unsigned int next_queue(struct virtio_blk *b)
{
	unsigned int q;

	do {
		q = b->turn;
		b->turn = (q + 1) % b->type.queues;
	} while (!(b->waiting & BIT(q)));
	return q;
}

/* Take chains of all queues in turn. False: there is no more to be had now, until something has ended. */
static bool take_chains(struct virtio_blk *b)
{
	if (b->held && (b->big_owner || !b->free || !accept(b)))
		return false;
	while (b->waiting && b->free && virtio_live(&b->dev)) {
		unsigned int q = next_queue(b);

		if (b->budget <= 0)
			return true;
		b->budget -= CHAIN_COST;
		if (virtio_pop(&b->dev, q, &b->chain)) {
			b->held_queue = q;
			if (!accept(b))
				return false;
		} else if (!virtio_enable_kicks(&b->dev, q)) {
			b->waiting &= ~BIT(q);
		}
	}
	return false;
}

/* With no request free, kicks would tell us what we know. */
static void quieten(struct virtio_blk *b)
{
	for (unsigned int q = 0; q < b->type.queues; q++) {
		if (b->waiting & BIT(q))
			virtio_disable_kicks(&b->dev, q);
	}
}

static void tell(struct virtio_blk *b)
{
	for (unsigned int q = 0; q < b->type.queues; q++) {
		if (b->signal & BIT(q))
			virtio_interrupt(&b->dev, q);
	}
	b->signal = 0;
}

/* A bounded piece of all that there is to do; what is left is done soon. */
static void work(struct virtio_blk *b)
{
	bool more;

	if (unlikely(virtio_paused(&b->dev)))
		return; /* what the disk gives back waits in its list */
	b->budget = BUDGET;
	see_to_done(b);
	see_to_ready(b);
	more = take_chains(b);
	tell(b);
	if (b->ready.first)
		virtio_defer(&b->dev, b->ready.first->queue);
	else if (more)
		virtio_defer(&b->dev, (unsigned int)__builtin_ctzll(b->waiting));
	else if (b->waiting)
		quieten(b);
}

void virtio_blk_done(struct virtio_blk *b)
{
	work(b);
	if (!b->in_flight)
		virtio_reset_done(&b->dev);
}

/* --- what the driver does --- */

static void kick(void *ctx, unsigned int queue)
{
	struct virtio_blk *b = ctx;

	b->waiting |= BIT(queue);
	work(b);
}

static void start(void *ctx)
{
	struct virtio_blk *b = ctx;

	for (unsigned int q = 0; q < b->type.queues; q++) {
		if (b->queue[q].enabled)
			b->waiting |= BIT(q);
	}
	work(b);
}

static void drop_all(struct virtio_blk *b, struct blk_list *list)
{
	struct blk_request *r;

	while ((r = list_take(list)))
		release(b, r);
}

/* What the disk has comes back later, and is dropped then. */
static void reset(void *ctx)
{
	struct virtio_blk *b = ctx;

	b->waiting = b->signal = 0;
	b->held = false;
	drop_all(b, &b->bounce_waiters);
	drop_all(b, &b->ready);
	see_to_done(b); /* dropped, too: no queue is live now */
	b->config.writeback = b->disk->write_cache;
}

static bool busy(void *ctx)
{
	return virtio_blk_busy(ctx);
}

/* Who knows of no flushes cannot ask for a cache. */
static void negotiated(void *ctx)
{
	struct virtio_blk *b = ctx;

	if (!virtio_has_feature(&b->dev, F_FLUSH))
		b->config.writeback = 0;
}

static void config_write(void *ctx, u32 off, u8 size, u32 value)
{
	struct virtio_blk *b = ctx;

	if (off == offsetof(struct virtio_blk_config, writeback) && size == 1 &&
	    virtio_has_feature(&b->dev, F_CONFIG_WCE))
		b->config.writeback = (value & 1) && virtio_has_feature(&b->dev, F_FLUSH);
}

/* --- set-up --- */

static u64 features_of(const struct block_device *disk, unsigned int queues)
{
	u64 features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE;

	if (disk->read_only)
		return features | F_RO | (queues > 1 ? F_MQ : 0);
	if (queues > 1)
		features |= F_MQ;
	if (disk->can_discard)
		features |= F_DISCARD;
	if (disk->can_write_zeroes)
		features |= F_WRITE_ZEROES;
	return features;
}

static struct virtio_blk_config config_of(const struct block_device *disk, unsigned int queues)
{
	u32 physical = MAX(disk->physical_block_size, disk->block_size) / disk->block_size;

	return (struct virtio_blk_config){
		.capacity = ALIGN_DOWN(disk->sectors, (u64)disk->block_size / BLOCK_SECTOR),
		.seg_max = BLK_SEG_MAX,
		.blk_size = disk->block_size,
		.physical_block_exp = (u8)__builtin_ctz(physical),
		.min_io_size = (u16)physical,
		.writeback = disk->write_cache,
		.num_queues = (u16)queues,
		.max_discard_sectors = BLK_RANGE_SECTORS,
		.max_discard_seg = BLK_RANGES,
		.discard_sector_alignment = disk->block_size / BLOCK_SECTOR,
		.max_write_zeroes_sectors = BLK_RANGE_SECTORS,
		.max_write_zeroes_seg = BLK_RANGES,
		.write_zeroes_may_unmap = disk->can_discard,
	};
}

void virtio_blk_init(struct virtio_blk *b, const struct virtio_host *host,
		     const struct block_device *disk, unsigned int queues,
		     const struct virtio_blk_ops *ops, void *ctx)
{
	static const struct virtio_ops device_ops = {
		.negotiated = negotiated,
		.start = start,
		.reset = reset,
		.busy = busy,
		.kick = kick,
		.config_write = config_write,
	};

	memset(b, 0, sizeof(*b));
	b->disk = disk;
	b->ops = ops;
	b->ctx = ctx;
	b->config = config_of(disk, queues);
	b->type = (struct virtio_type){ DEVICE_ID, PCI_CLASS, &device_ops, queues, b->queue_size };
	memcpy(b->id, disk->serial, sizeof(b->id));
	for (unsigned int i = 0; i < queues; i++)
		b->queue_size[i] = QUEUE_SIZE;
	for (unsigned int i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		b->request[i].disk = b;
		b->request[i].io.done = on_done;
		release(b, &b->request[i]);
	}
	virtio_init(&b->dev, &b->type, host, b, b->queue, features_of(disk, queues));
	b->dev.config = &b->config;
	b->dev.config_size = VIRTIO_BLK_CONFIG_SIZE;
}
