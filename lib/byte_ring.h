/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue of bytes in a buffer of fixed size. Not locked: that is its owner's part. */
#ifndef LIB_BYTE_RING_H
#define LIB_BYTE_RING_H

#include "lib/string.h"
#include "lib/types.h"

struct byte_ring {
	u8 *data;
	u32 size; /* bytes, a power of two */
	u32 head; /* where the next byte is put; head and tail run freely and wrap at 2^32 */
	u32 tail; /* where the oldest byte is */
};

#define BYTE_RING(array) ((struct byte_ring){ .data = (array), .size = sizeof(array) })

static inline u32 byte_ring_used(const struct byte_ring *ring)
{
	return ring->head - ring->tail;
}

static inline u32 byte_ring_room(const struct byte_ring *ring)
{
	return ring->size - byte_ring_used(ring);
}

/* Append as much of @data as there is room for; returns the bytes taken. */
static inline u32 byte_ring_put(struct byte_ring *ring, const void *data, size_t len)
{
	u32 take = (u32)MIN(len, byte_ring_room(ring));
	u32 at = ring->head & (ring->size - 1);
	u32 straight = MIN(take, ring->size - at);

	memcpy(ring->data + at, data, straight);
	memcpy(ring->data, (const u8 *)data + straight, take - straight);
	ring->head += take;
	return take;
}

/* Take at most @len of the oldest bytes away, to @buf; returns how many. */
static inline u32 byte_ring_get(struct byte_ring *ring, void *buf, size_t len)
{
	u32 give = (u32)MIN(len, byte_ring_used(ring));
	u32 at = ring->tail & (ring->size - 1);
	u32 straight = MIN(give, ring->size - at);

	memcpy(buf, ring->data + at, straight);
	memcpy((u8 *)buf + straight, ring->data, give - straight);
	ring->tail += give;
	return give;
}

/* The oldest bytes, up to where the buffer wraps: *@span and how many, without taking them. */
static inline u32 byte_ring_peek(const struct byte_ring *ring, const u8 **span)
{
	u32 at = ring->tail & (ring->size - 1);

	*span = ring->data + at;
	return MIN(byte_ring_used(ring), ring->size - at);
}

/* Take the @len (<= used) oldest bytes away. */
static inline void byte_ring_drop(struct byte_ring *ring, u32 len)
{
	ring->tail += len;
}

#endif
