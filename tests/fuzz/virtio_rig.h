/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzzers of virtio devices share: a machine for them, and a driver that leaves a device alive, for fuzzing
 * would take long to find that by itself.
 */
#ifndef TESTS_FUZZ_VIRTIO_RIG_H
#define TESTS_FUZZ_VIRTIO_RIG_H

#include <stdlib.h>
#include <string.h>

#include "virtio/virtio_pci.h"
#include "vmm/sched/vtimer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TSC_HZ 1000000000ULL

static struct guest_mem mem;
static struct vtimers timers;
static u64 now;

/* What the input is, but for its beginning. */
struct step {
	u8 where, size;
	u16 off;
	u32 value;
} __packed;

static u64 get_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void set_line(void *ctx, unsigned int line, bool level)
{
	(void)ctx, (void)line, (void)level;
}

static void set_timer(void *ctx, struct vdev_timer *timer, u64 deadline)
{
	(void)ctx;
	vtimer_set(&timers, timer, deadline);
}

static void on_msi(void *ctx, u64 address, u32 data)
{
	(void)ctx, (void)address, (void)data;
}

static void on_intx(void *ctx, bool level)
{
	(void)ctx, (void)level;
}

static const struct vdev_env env = { NULL, TSC_HZ, get_now, set_line, set_timer };
static const struct virtio_host host = { &mem, &env, NULL, on_msi, on_intx };

static inline void require(bool condition)
{
	if (!condition)
		abort();
}

/* A machine with @size bytes of zeroes for RAM, which are the caller's to free. */
static inline u8 *machine_start(size_t size, u64 tsc)
{
	u8 *ram = calloc(1, size);

	memset(&mem, 0, sizeof(mem));
	timers.first = NULL;
	now = tsc;
	require(!guest_mem_add(&mem, 0, size, ram));
	return ram;
}

static inline void pass(u64 ticks)
{
	now += ticks;
	vtimer_run(&timers, now);
}

/* Where a device's queues are: queue n's areas at base + n * stride, + avail, + used. */
struct layout {
	u16 queues, size;
	u32 base, stride, avail, used;
};

static inline void write_register(struct virtio_pci *vp, u64 off, u8 size, u64 value)
{
	virtio_pci_register_mmio.write(vp, off, size, value);
}

static inline void kick(struct virtio_pci *vp, u32 queue)
{
	virtio_pci_notify_pio.write(vp, 0, 2, queue);
}

/* As a driver leaves it that takes what is offered of @features. */
static inline void bring_up(struct virtio_pci *vp, u32 features, const struct layout *l)
{
	write_register(vp, 20, 1, 0);
	write_register(vp, 20, 1, 3);
	write_register(vp, 8, 4, 0);
	write_register(vp, 12, 4, features & (u32)vp->dev->features);
	write_register(vp, 8, 4, 1);
	write_register(vp, 12, 4, 1);
	write_register(vp, 20, 1, 11);
	for (u16 q = 0; q < l->queues; q++) {
		u32 base = l->base + l->stride * q;

		write_register(vp, 22, 2, q);
		write_register(vp, 24, 2, l->size);
		write_register(vp, 32, 4, base);
		write_register(vp, 40, 4, base + l->avail);
		write_register(vp, 48, 4, base + l->used);
		write_register(vp, 28, 2, 1);
	}
	write_register(vp, 20, 1, 15);
}

#endif
