/* SPDX-License-Identifier: BSD-2-Clause */
/* NVMe queues, and the way of a request through them: commands, completions, interrupts. */
#include <stdatomic.h>
#include "drivers/iomem.h"
#include "drivers/nvme_private.h"
#include "lib/errno.h"
#include "lib/string.h"

/* --- queues --- */

int nvme_queue_alloc(const struct hostdev_env *env, struct nvme_queue *q, unsigned int id,
		     unsigned int entries)
{
	*q = (struct nvme_queue){ .id = id, .entries = entries };
	q->sq = env->dma_alloc(entries * sizeof(*q->sq));
	q->cq = env->dma_alloc(entries * sizeof(*q->cq));
	return q->sq && q->cq ? 0 : -ENOMEM;
}

void nvme_queue_clear(struct nvme_queue *q)
{
	memset((void *)(uintptr_t)q->cq, 0, q->entries * sizeof(*q->cq));
	q->tail = q->head = 0;
	q->phase = NVME_STATUS_PHASE;
}

static u8 *doorbell(const struct nvme *n, const struct nvme_queue *q, bool completion)
{
	return n->regs + NVME_DOORBELLS + (2 * q->id + completion) * n->stride;
}

static void queue_push(const struct nvme *n, struct nvme_queue *q,
		       const struct nvme_command *command)
{
	q->sq[q->tail] = *command;
	q->tail = (q->tail + 1) % q->entries;
	atomic_thread_fence(memory_order_release);
	io_write32(doorbell(n, q, false), q->tail);
}

/* The next completion, if there is one: read once. The doorbell is the caller's, when he has had enough. */
static bool queue_pop(struct nvme_queue *q, struct nvme_completion *c)
{
	const volatile struct nvme_completion *at = &q->cq[q->head];

	c->status = at->status;
	if ((c->status & NVME_STATUS_PHASE) != q->phase)
		return false;
	atomic_thread_fence(memory_order_acquire);
	c->cid = at->cid;
	c->result = at->result;
	if (++q->head == q->entries) {
		q->head = 0;
		q->phase ^= NVME_STATUS_PHASE;
	}
	return true;
}

void nvme_admin_push(struct nvme *n, const struct nvme_command *command)
{
	queue_push(n, &n->admin, command);
}

bool nvme_admin_pop(struct nvme *n, struct nvme_completion *c)
{
	if (!queue_pop(&n->admin, c))
		return false;
	io_write32(doorbell(n, &n->admin, true), n->admin.head);
	return true;
}

/* --- requests --- */

static u32 block_sectors(const struct nvme *n)
{
	return n->dev.block_size / BLOCK_SECTOR;
}

static u64 next_block(const struct nvme *n, struct block_request *r)
{
	return (r->sector + disk_progress(r)->done) / block_sectors(n);
}

/* At most @max blocks of what is left. */
static u32 blocks_left(const struct nvme *n, struct block_request *r, u32 max)
{
	return (u32)MIN(disk_left(r) / block_sectors(n), (u64)max);
}

static u8 *bounce_of(const struct nvme *n, unsigned int slot)
{
	return n->bounce + slot * n->dev.block_size;
}

/* READ and WRITE. Returns the blocks. */
static u32 build_data(struct nvme *n, unsigned int slot, struct nvme_command *c)
{
	struct block_request *r = n->slot[slot].request;
	struct nvme_prps prps = { 0 };
	u32 bytes = nvme_prp_build(r, n->max_bytes, n->dev.block_size, n->list[slot], &prps);

	n->slot[slot].bounced = !bytes;
	if (!bytes) {
		bytes = n->dev.block_size;
		prps.prp1 = (u64)(uintptr_t)bounce_of(n, slot);
		if (r->op == BLOCK_WRITE)
			disk_copy(r, bounce_of(n, slot), bytes, true);
	}
	c->opcode = r->op == BLOCK_READ ? NVME_READ : NVME_WRITE;
	c->prp1 = prps.prp1;
	c->prp2 = prps.prp2;
	return bytes / n->dev.block_size;
}

static u32 build_deallocate(const struct nvme *n, unsigned int slot, struct nvme_command *c)
{
	struct block_request *r = n->slot[slot].request;
	struct nvme_dsm_range *range = (struct nvme_dsm_range *)n->list[slot];
	u32 blocks = blocks_left(n, r, 0x800000);

	*range = (struct nvme_dsm_range){ .blocks = blocks, .block = next_block(n, r) };
	c->opcode = NVME_DSM;
	c->prp1 = (u64)(uintptr_t)range;
	c->cdw11 = NVME_DSM_DEALLOCATE; /* one range */
	return blocks;
}

static void start_command(struct nvme *n, unsigned int slot)
{
	struct nvme_slot *s = &n->slot[slot];
	struct block_request *r = s->request;
	struct nvme_command c = { .cid = (u16)slot, .nsid = NVME_NAMESPACE };
	u32 blocks = 0;

	s->bounced = false;
	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE: blocks = build_data(n, slot, &c); break;
	case BLOCK_FLUSH: c.opcode = NVME_FLUSH; break;
	case BLOCK_DISCARD: blocks = build_deallocate(n, slot, &c); break;
	case BLOCK_WRITE_ZEROES:
		c.opcode = NVME_WRITE_ZEROES;
		blocks = blocks_left(n, r, n->max_bytes / n->dev.block_size);
		break;
	}
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE || r->op == BLOCK_WRITE_ZEROES) {
		c.cdw10 = lower_32(next_block(n, r));
		c.cdw11 = upper_32(next_block(n, r));
		c.cdw12 = blocks - 1;
		if (r->op == BLOCK_WRITE_ZEROES && r->unmap)
			c.cdw12 |= (u32)NVME_WRITE_ZEROES_DEAC;
	}
	s->sectors = blocks * block_sectors(n);
	s->deadline = nvme_after_seconds(n, DISK_TIMEOUT_SECONDS);
	queue_push(n, &n->io, &c);
}

static void start_waiting(struct nvme *n)
{
	for (unsigned int i = 0; i < n->slots && n->waiting.first; i++) {
		if (n->slot[i].request)
			continue;
		n->slot[i].request = disk_fifo_take(&n->waiting);
		start_command(n, i);
	}
}

static void completed(struct nvme *n, const struct nvme_completion *c, struct disk_fifo *ended)
{
	struct nvme_slot *s = &n->slot[c->cid];
	struct block_request *r = s->request;

	if (NVME_STATUS_CODE(c->status)) {
		nvme_command_failed(n, s, c->status, ended);
		return;
	}
	n->resets = 0;
	if (s->bounced && r->op == BLOCK_READ)
		disk_copy(r, bounce_of(n, c->cid), n->dev.block_size, false);
	if (disk_advance(r, s->sectors)) {
		s->request = NULL;
		disk_request_end(ended, r, BLOCK_OK);
	} else {
		start_command(n, c->cid);
	}
}

static void reap(struct nvme *n, struct disk_fifo *ended)
{
	struct nvme_completion c;
	unsigned int count = 0;

	/* Bounded: a broken one may answer without end. */
	while (count < n->io.entries && queue_pop(&n->io, &c)) {
		count++;
		if (c.cid < n->slots && n->slot[c.cid].request)
			completed(n, &c, ended);
	}
	if (count)
		io_write32(doorbell(n, &n->io, true), n->io.head);
}

void nvme_service(struct nvme *n, bool look_closely)
{
	struct disk_fifo ended = { 0 };

	spin_lock(&n->lock);
	if (n->state == NVME_RUNNING)
		reap(n, &ended);
	else if (n->state != NVME_DEAD)
		nvme_bring_up(n, &ended);
	if (n->state == NVME_RUNNING && look_closely)
		nvme_check_health(n, &ended);
	if (n->state == NVME_RUNNING)
		start_waiting(n);
	spin_unlock(&n->lock);
	disk_give_back(&ended);
}

void nvme_irq(void *arg)
{
	nvme_service(arg, false);
}

static void nvme_poll(void *ctx)
{
	nvme_service(ctx, true);
}

static enum block_result nvme_submit(void *ctx, struct block_request *r)
{
	struct nvme *n = ctx;
	bool dead;

	disk_request_init(r);
	spin_lock(&n->lock);
	dead = n->state == NVME_DEAD;
	if (!dead)
		disk_fifo_put(&n->waiting, r);
	if (n->state == NVME_RUNNING)
		start_waiting(n);
	spin_unlock(&n->lock);
	return dead ? BLOCK_ERROR : BLOCK_PENDING;
}

const struct block_ops nvme_block_ops = { .submit = nvme_submit, .poll = nvme_poll };
