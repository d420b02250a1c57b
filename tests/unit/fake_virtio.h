/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's side of virtqueues, in a guest's RAM, and a machine for virtio devices: what a test
 * needs to be a driver, a good one or a bad one. With fake_vdev.h for time and alarms.
 */
#ifndef TESTS_UNIT_FAKE_VIRTIO_H
#define TESTS_UNIT_FAKE_VIRTIO_H

#include "tests/unit/fake_vdev.h"
#include "virtio/virtio.h"

/* Two pieces of RAM: from 0, and one apart from it. */
#define RAM_LOW_SIZE  0x40000ULL
#define RAM_HIGH      0x100000ULL
#define RAM_HIGH_SIZE 0x10000ULL

static u8 *ram_low, *ram_high;
static struct guest_mem ram;

static struct {
	unsigned int messages;
	u64 address; /* of the last message */
	u32 data;
	bool pin;
	unsigned int pin_rises;
} told;

static void fake_msi(void *ctx, u64 address, u32 data)
{
	(void)ctx;
	told.messages++;
	told.address = address;
	told.data = data;
}

static void fake_intx(void *ctx, bool level)
{
	(void)ctx;
	told.pin_rises += level && !told.pin;
	told.pin = level;
}

static const struct virtio_host fake_host = { &ram, &fake.env, NULL, fake_msi, fake_intx };

static inline void fake_virtio_start(void)
{
	fake_reset();
	memset(&told, 0, sizeof(told));
	/* Of its own size each, so that the sanitizer sees an access over the end. */
	ram_low = calloc(1, RAM_LOW_SIZE);
	ram_high = calloc(1, RAM_HIGH_SIZE);
	ram = (struct guest_mem){ .slots = 0 };
	assert_int_equal(guest_mem_add(&ram, 0, RAM_LOW_SIZE, ram_low), 0);
	assert_int_equal(guest_mem_add(&ram, RAM_HIGH, RAM_HIGH_SIZE, ram_high), 0);
}

static inline void fake_virtio_stop(void)
{
	free(ram_low);
	free(ram_high);
}

/* --- a driver's queue --- */

struct driver_queue {
	gpa_t desc, avail, used;
	u16 size;
	u16 next;     /* descriptor to be used next */
	u16 idx;      /* of the available ring */
	u16 seen;     /* of the used ring */
	u16 used_len; /* of the last entry taken by driver_take */
};

static inline void driver_queue_init(struct driver_queue *d, gpa_t base, u16 size)
{
	*d = (struct driver_queue){
		.desc = base,
		.avail = base + 0x2000,
		.used = base + 0x3000,
		.size = size,
	};
}

static inline void poke(gpa_t gpa, const void *data, size_t len)
{
	assert_true(guest_write(&ram, gpa, data, len));
}

static inline void poke16(gpa_t gpa, u16 value)
{
	poke(gpa, &value, sizeof(value));
}

static inline u16 peek16(gpa_t gpa)
{
	u16 value;

	assert_true(guest_read(&ram, gpa, &value, sizeof(value)));
	return value;
}

static inline void driver_desc(const struct driver_queue *d, u16 index, u64 addr, u32 len,
			       u16 flags, u16 next)
{
	struct virtq_desc desc = { addr, len, flags, next };

	poke(d->desc + sizeof(desc) * index, &desc, sizeof(desc));
}

/* Make the chain that starts at @head available. */
static inline void driver_avail(struct driver_queue *d, u16 head)
{
	poke16(d->avail + VIRTQ_RING_ENTRIES + 2 * (d->idx % d->size), head);
	poke16(d->avail + VIRTQ_RING_IDX, ++d->idx);
}

/* A chain of one buffer; its head. */
static inline u16 driver_add(struct driver_queue *d, gpa_t gpa, u32 len, bool write)
{
	u16 head = d->next++ % d->size;

	driver_desc(d, head, gpa, len, write ? VIRTQ_DESC_WRITE : 0, 0);
	driver_avail(d, head);
	return head;
}

static inline u16 driver_used_idx(const struct driver_queue *d)
{
	return peek16(d->used + VIRTQ_RING_IDX);
}

/* Take the next used entry; its head, or -1 when there is none. */
static inline int driver_take(struct driver_queue *d)
{
	struct virtq_used_elem elem;

	if (d->seen == driver_used_idx(d))
		return -1;
	assert_true(guest_read(&ram, d->used + VIRTQ_RING_ENTRIES + 8 * (d->seen % d->size), &elem,
			       sizeof(elem)));
	d->seen++;
	d->used_len = (u16)elem.len;
	return (int)elem.id;
}

static inline void driver_want_interrupt(const struct driver_queue *d, u16 event)
{
	poke16(d->avail + VIRTQ_RING_ENTRIES + 2 * d->size, event);
}

static inline u16 driver_kick_event(const struct driver_queue *d)
{
	return peek16(d->used + VIRTQ_RING_ENTRIES + 8 * d->size);
}

#endif
