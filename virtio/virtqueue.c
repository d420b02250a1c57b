/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/virtqueue.h"
#include <stdatomic.h>

#define DESC_ALIGN  16
#define AVAIL_ALIGN 2
#define USED_ALIGN  4

void virtqueue_reset(struct virtqueue *q, const struct guest_mem *mem, u16 max_size)
{
	*q = (struct virtqueue){
		.mem = mem,
		.max_size = max_size,
		.size = max_size,
		.vector = VIRTQ_NO_VECTOR,
	};
}

/* All of an area: entries, and of a ring the words before and behind them. */
static bool area_ok(const struct virtqueue *q, gpa_t gpa, u64 align, u64 entry, u64 words)
{
	return IS_ALIGNED(gpa, align) &&
	       guest_mem_contains(q->mem, gpa, entry * q->size + words * sizeof(u16));
}

void virtqueue_enable(struct virtqueue *q)
{
	q->enabled = true;
	q->broken = !area_ok(q, q->desc, DESC_ALIGN, sizeof(struct virtq_desc), 0) ||
		    !area_ok(q, q->avail, AVAIL_ALIGN, sizeof(u16), 3) ||
		    !area_ok(q, q->used, USED_ALIGN, sizeof(struct virtq_used_elem), 3);
}

static bool usable(const struct virtqueue *q)
{
	return q->enabled && !q->broken;
}

/* --- words of the rings: they are RAM, or the queue would not be usable --- */

static u16 get_u16(struct virtqueue *q, gpa_t gpa)
{
	u16 value = 0;

	if (!guest_read(q->mem, gpa, &value, sizeof(value)))
		q->broken = true;
	return value;
}

static void put_u16(struct virtqueue *q, gpa_t gpa, u16 value)
{
	if (!guest_write(q->mem, gpa, &value, sizeof(value)))
		q->broken = true;
}

/* Where the driver writes which used entry it waits for, and we which available one. */
static gpa_t used_event(const struct virtqueue *q)
{
	return q->avail + VIRTQ_RING_ENTRIES + sizeof(u16) * q->size;
}

static gpa_t avail_event(const struct virtqueue *q)
{
	return q->used + VIRTQ_RING_ENTRIES + sizeof(struct virtq_used_elem) * q->size;
}

/* --- chains --- */

/* Append a buffer; false when it must not come here. */
static bool append(const struct virtqueue *q, struct virtq_chain *chain,
		   const struct virtq_desc *desc)
{
	u16 count = (u16)(chain->out + chain->in);
	bool write = desc->flags & VIRTQ_DESC_WRITE;

	if (count == q->size || (!write && chain->in))
		return false;
	if (!guest_mem_contains(q->mem, desc->addr, desc->len))
		return false;
	chain->buf[count] = (struct virtq_buf){ desc->addr, desc->len };
	if (write) {
		chain->in++;
		chain->in_bytes += desc->len;
	} else {
		chain->out++;
		chain->out_bytes += desc->len;
	}
	return true;
}

/* An indirect table ends the table that names it, and there is one level of them. */
static bool bad_indirect(const struct virtq_desc *desc, bool indirect)
{
	return indirect || desc->flags & VIRTQ_DESC_NEXT || !desc->len || desc->len % sizeof(*desc);
}

/*
 * Follow the chain from descriptor @index on. It has no more buffers than the queue has entries, so
 * that append() ends one that is a loop.
 */
static bool follow(const struct virtqueue *q, struct virtq_chain *chain, u16 index)
{
	gpa_t table = q->desc;
	u32 entries = q->size;
	bool indirect = false;
	struct virtq_desc desc;

	for (;;) {
		if (index >= entries ||
		    !guest_read(q->mem, table + sizeof(desc) * index, &desc, sizeof(desc)))
			return false;
		if (desc.flags & VIRTQ_DESC_INDIRECT) {
			if (bad_indirect(&desc, indirect))
				return false;
			indirect = true;
			table = desc.addr;
			entries = desc.len / (u32)sizeof(desc);
			index = 0;
			continue;
		}
		if (!append(q, chain, &desc))
			return false;
		if (!(desc.flags & VIRTQ_DESC_NEXT))
			return true;
		index = desc.next;
	}
}

/* How many chains wait. More than the ring holds is a lie. */
static u16 available(struct virtqueue *q)
{
	u16 waiting;

	if (!usable(q))
		return 0;
	waiting = (u16)(get_u16(q, q->avail + VIRTQ_RING_IDX) - q->last_avail);
	if (waiting > q->size)
		q->broken = true;
	return q->broken ? 0 : waiting;
}

bool virtqueue_has_chain(struct virtqueue *q)
{
	return available(q);
}

bool virtqueue_moved(struct virtqueue *q)
{
	u16 idx = usable(q) ? get_u16(q, q->avail + VIRTQ_RING_IDX) : q->polled;
	bool moved = idx != q->polled;

	q->polled = idx;
	return moved && !q->broken;
}

bool virtqueue_pop(struct virtqueue *q, struct virtq_chain *chain)
{
	u16 slot = q->last_avail & (q->size - 1);

	if (!available(q))
		return false;
	/* The driver writes entry and descriptors before the index: we read them after it. */
	atomic_thread_fence(memory_order_acquire);
	chain->out = chain->in = 0;
	chain->out_bytes = chain->in_bytes = 0;
	chain->head = get_u16(q, q->avail + VIRTQ_RING_ENTRIES + sizeof(u16) * slot);
	if (q->broken || !follow(q, chain, chain->head)) {
		q->broken = true;
		return false;
	}
	q->last_avail++;
	return true;
}

void virtqueue_push(struct virtqueue *q, const struct virtq_chain *chain, u32 written)
{
	virtqueue_push_head(q, chain->head, written);
}

void virtqueue_push_head(struct virtqueue *q, u16 head, u32 written)
{
	struct virtq_used_elem elem = { head, written };
	u16 slot = q->used_idx & (q->size - 1);

	if (!usable(q))
		return;
	if (!guest_write(q->mem, q->used + VIRTQ_RING_ENTRIES + sizeof(elem) * slot, &elem,
			 sizeof(elem)))
		q->broken = true;
	/* The driver reads buffers and entry after the index: we have written them before it. */
	atomic_thread_fence(memory_order_release);
	put_u16(q, q->used + VIRTQ_RING_IDX, ++q->used_idx);
}

/* --- who wants to be told --- */

/* Has the index, from @old to @new, gone past entry @event? All of them run freely. */
static bool passed(u16 event, u16 new, u16 old)
{
	return (u16)(new - event - 1) < (u16)(new - old);
}

bool virtqueue_wants_interrupt(struct virtqueue *q)
{
	u16 old = q->signaled;
	bool wants;

	if (!usable(q) || old == q->used_idx)
		return false;
	q->signaled = q->used_idx;
	/*
	 * The driver asks for interrupts, then looks at the used index; we have written the index, and
	 * look whether it asks. With a full barrier on both sides at least one sees the other's.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (q->event_idx)
		wants = passed(get_u16(q, used_event(q)), q->used_idx, old);
	else
		wants = !(get_u16(q, q->avail + VIRTQ_RING_FLAGS) & VIRTQ_AVAIL_NO_INTERRUPT);
	return wants && !q->broken;
}

void virtqueue_disable_kicks(struct virtqueue *q)
{
	if (!usable(q))
		return;
	/*
	 * As far away as can be. Not the entry before the next one: a driver that adds a batch, one by one, asks
	 * once at its end whether an entry of the batch is the event, and this side may have taken some already.
	 */
	if (q->event_idx)
		put_u16(q, avail_event(q), (u16)(q->last_avail + 0x8000));
	else
		put_u16(q, q->used + VIRTQ_RING_FLAGS, VIRTQ_USED_NO_NOTIFY);
}

bool virtqueue_enable_kicks(struct virtqueue *q)
{
	if (!usable(q))
		return false;
	if (q->event_idx)
		put_u16(q, avail_event(q), q->last_avail);
	else
		put_u16(q, q->used + VIRTQ_RING_FLAGS, 0);
	/* The same bargain the other way round: we ask, then look; the driver adds, then looks. */
	atomic_thread_fence(memory_order_seq_cst);
	return available(q);
}

/* --- several chains at once --- */

void virtqueue_unpop(struct virtqueue *q, u16 n)
{
	q->last_avail = (u16)(q->last_avail - n);
}

void virtqueue_push_all(struct virtqueue *q, const struct virtq_used_elem *elem, u16 n)
{
	if (!usable(q))
		return;
	for (u16 i = 0; i < n; i++) {
		u16 slot = (u16)(q->used_idx + i) & (u16)(q->size - 1);

		if (!guest_write(q->mem, q->used + VIRTQ_RING_ENTRIES + sizeof(*elem) * slot,
				 &elem[i], sizeof(*elem)))
			q->broken = true;
	}
	/* As in virtqueue_push. */
	atomic_thread_fence(memory_order_release);
	q->used_idx = (u16)(q->used_idx + n);
	put_u16(q, q->used + VIRTQ_RING_IDX, q->used_idx);
}

/* --- data --- */

/* A part of a chain's buffers: @buf[0 .. count), from byte @offset of them on. */
struct span {
	const struct virtq_buf *buf;
	u16 count;
	u64 offset;
};

/* Of what is left, take a piece of at most @len bytes that lies in one buffer; its length, 0 at the end. */
static size_t next_piece(struct span *s, size_t len, gpa_t *gpa)
{
	size_t piece;

	while (s->count && s->offset >= s->buf->len) {
		s->offset -= s->buf->len;
		s->buf++;
		s->count--;
	}
	if (!s->count)
		return 0;
	piece = MIN(len, (size_t)(s->buf->len - s->offset));
	*gpa = s->buf->gpa + s->offset;
	s->offset += piece;
	return piece;
}

size_t virtq_chain_read(const struct virtqueue *q, const struct virtq_chain *chain, u64 offset,
			void *data, size_t len)
{
	struct span s = { chain->buf, chain->out, offset };
	size_t done = 0, piece;
	gpa_t gpa;

	while (done < len && (piece = next_piece(&s, len - done, &gpa)) != 0) {
		if (!guest_read(q->mem, gpa, (u8 *)data + done, piece))
			break;
		done += piece;
	}
	return done;
}

size_t virtq_chain_write(const struct virtqueue *q, const struct virtq_chain *chain, u64 offset,
			 const void *data, size_t len)
{
	struct span s = { chain->buf + chain->out, chain->in, offset };
	size_t done = 0, piece;
	gpa_t gpa;

	while (done < len && (piece = next_piece(&s, len - done, &gpa)) != 0) {
		if (!guest_write(q->mem, gpa, (const u8 *)data + done, piece))
			break;
		done += piece;
	}
	return done;
}
