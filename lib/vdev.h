/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an emulated device may ask of the machine that it is plugged into. Devices know nothing
 * else of the VMM, so that they compile and are tested on the host.
 *
 * Time is the guest's TSC: monotonic, tsc_hz ticks a second, 0 when the VM starts.
 * Interrupts are levels of ISA lines 0-15: the machine wires each to both vpic and vioapic.
 */
#ifndef LIB_VDEV_H
#define LIB_VDEV_H

#include "lib/types.h"

#define VDEV_NEVER (~0ULL)

/* An alarm of a device. The device owns it and fills fire and dev once; the machine the rest. */
struct vdev_timer {
	void (*fire)(void *dev); /* called once, at or after the deadline; may arm it again */
	void *dev;
	u64 deadline;            /* guest TSC, VDEV_NEVER while not armed */
	struct vdev_timer *next; /* the machine's list of armed alarms */
};

struct vdev_env {
	void *ctx;
	u64 tsc_hz;
	u64 (*now)(void *ctx);
	/* Drive interrupt line @line to @level. Idempotent. May be called from any device call. */
	void (*set_line)(void *ctx, unsigned int line, bool level);
	/* Arm @timer for guest time @deadline, in place of what it was armed for; VDEV_NEVER disarms. */
	void (*set_timer)(void *ctx, struct vdev_timer *timer, u64 deadline);
};

/*
 * A device's handler of an access of @size bytes (1, 2 or 4) at @off from the start of its
 * registered range; off + size never passes the end of the range. Reads return the value in the
 * low bytes. What a device does not know reads as all ones and ignores writes.
 */
struct pio_ops {
	u32 (*read)(void *dev, u16 off, u8 size);
	void (*write)(void *dev, u16 off, u8 size, u32 value);
};

/* The same for registers in memory; @size may be 8 as well. */
struct mmio_ops {
	u64 (*read)(void *dev, u64 off, u8 size);
	void (*write)(void *dev, u64 off, u8 size, u64 value);
};

#endif
