/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Split virtqueues, the device's side. Virtio 1.2, "Split Virtqueues".
 *
 * All that lies in guest memory is the driver's, which may be hostile and runs on other CPUs
 * meanwhile: each index, ring entry and descriptor is read once, and checked. What no driver may do
 * breaks the queue for good (until the device is reset), and nothing more is read from it.
 *
 * Calls for one queue happen one at a time.
 */
#ifndef VIRTIO_VIRTQUEUE_H
#define VIRTIO_VIRTQUEUE_H

#include "lib/guest_mem.h"
#include "lib/types.h"

#define VIRTQ_MAX_SIZE  256 /* entries; a power of two */
#define VIRTQ_NO_VECTOR 0xffff

/* Layouts in guest memory, little-endian as we are. */
struct virtq_desc {
	u64 addr;
	u32 len;
	u16 flags; /* VIRTQ_DESC_* */
	u16 next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "The Virtqueue Descriptor Table");

#define VIRTQ_DESC_NEXT     0x1
#define VIRTQ_DESC_WRITE    0x2 /* the device writes it */
#define VIRTQ_DESC_INDIRECT 0x4 /* it holds a table of descriptors */

struct virtq_used_elem {
	u32 id;
	u32 len;
};
_Static_assert(sizeof(struct virtq_used_elem) == 8, "The Virtqueue Used Ring");

/* Either ring: flags (u16), idx (u16), then its entries, and behind them the other side's event. */
#define VIRTQ_RING_FLAGS         0
#define VIRTQ_RING_IDX           2
#define VIRTQ_RING_ENTRIES       4
#define VIRTQ_AVAIL_NO_INTERRUPT 0x1 /* in the available ring's flags */
#define VIRTQ_USED_NO_NOTIFY     0x1 /* in the used ring's flags: the device wants no kick */

/* One buffer of a chain. */
struct virtq_buf {
	gpa_t gpa;
	u32 len;
};

/*
 * What the driver has made available in one go: buffers for the device to read, then buffers for it
 * to write. All of them are RAM of the guest's, wholly: that was checked when the chain was taken,
 * and a VM's RAM never changes.
 */
struct virtq_chain {
	u16 head; /* its name in the used ring */
	u16 out;  /* buf[0] ... are to be read */
	u16 in;   /* those behind these are to be written */
	u64 out_bytes, in_bytes;
	struct virtq_buf buf[VIRTQ_MAX_SIZE];
};

struct virtqueue {
	const struct guest_mem *mem;
	gpa_t desc, avail, used; /* the three areas */
	u16 max_size;            /* what the device offers */
	u16 size;                /* what the driver chose: a power of two */
	u16 vector;              /* the transport's: which MSI-X entry, or VIRTQ_NO_VECTOR */
	bool enabled;
	bool broken;
	bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
	u16 last_avail; /* the next entry of the available ring to be taken; runs freely */
	u16 polled;     /* the available ring's index when it was last asked by virtqueue_moved */
	u16 used_idx;   /* the used ring's index as last written; runs freely */
	u16 signaled;   /* used_idx when it was last decided whether to interrupt */
};

/* Not enabled, addresses and indexes 0, as large as the device offers (a power of two). */
void virtqueue_reset(struct virtqueue *q, const struct guest_mem *mem, u16 max_size);

/* The driver has set it up. Areas that are not aligned as they must be, or not RAM, break it. */
void virtqueue_enable(struct virtqueue *q);

/* Take the next chain. False when there is none, or the queue is broken now. */
bool virtqueue_pop(struct virtqueue *q, struct virtq_chain *chain) __must_check;

/* Is there a chain to be taken? Reads one index. */
bool virtqueue_has_chain(struct virtqueue *q);

/* Has the driver added anything since this was last asked? Reads one index. */
bool virtqueue_moved(struct virtqueue *q);

/* Give a chain back, in any order; the device has written @written bytes of its in-buffers. */
void virtqueue_push(struct virtqueue *q, const struct virtq_chain *chain, u32 written);

/* The same for who has kept no more of the chain than its head. */
void virtqueue_push_head(struct virtqueue *q, u16 head, u32 written);

/* Does the driver want an interrupt for what was pushed since this was last asked? */
bool virtqueue_wants_interrupt(struct virtqueue *q);

/* How many chains were pushed since then. */
static inline u16 virtqueue_unsignaled(const struct virtqueue *q)
{
	return (u16)(q->used_idx - q->signaled);
}

/*
 * The last @n chains that were taken have not been: nothing of them was pushed, and they are taken, and read,
 * again.
 */
void virtqueue_unpop(struct virtqueue *q, u16 n);

/*
 * Give @n chains back in order, at most as many as the queue has entries; the driver sees none of them
 * before it sees all.
 */
void virtqueue_push_all(struct virtqueue *q, const struct virtq_used_elem *elem, u16 n);

/* Ask the driver not to kick. It is a hint: kicks may still come. */
void virtqueue_disable_kicks(struct virtqueue *q);

/*
 * Have the driver kick when it adds something behind what was taken. True: it has added something
 * already, for which no kick may come, so that the caller must look again.
 */
bool virtqueue_enable_kicks(struct virtqueue *q) __must_check;

/*
 * Copy between @data and the chain's out-buffers (read) or in-buffers (write), from byte @offset of
 * them on. Returns how many bytes, fewer than @len only at their end.
 */
size_t virtq_chain_read(const struct virtqueue *q, const struct virtq_chain *chain, u64 offset,
			void *data, size_t len);
size_t virtq_chain_write(const struct virtqueue *q, const struct virtq_chain *chain, u64 offset,
			 const void *data, size_t len);

#endif
