/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's MC146818 real-time clock and CMOS RAM, at ports 0x70 and 0x71. The clock runs by
 * guest time; a guest that sets it changes its own only.
 */
#ifndef VMM_PC_VRTC_H
#define VMM_PC_VRTC_H

#include "lib/vdev.h"

#define VRTC_BASE    0x70
#define VRTC_PORTS   2
#define VRTC_LINE    8
#define VRTC_CENTURY 0x32 /* the register that holds it, for FADT */

struct vrtc {
	const struct vdev_env *env;
	u8 index;     /* of the register that port 0x71 shows */
	u8 cmos[128]; /* clock registers first; the time is as of the last update */
	u64 seconds;  /* calendar time at @phase; see vrtc.c for what it counts from */
	s64 phase;    /* guest time of a second's begin, never ahead of now */
	u32 ticks;    /* of 32768 Hz since @phase, at the last update */
	struct vdev_timer alarm;
	bool rings; /* an alarm that interrupts is flagged */
	void (*rang)(void *ctx);
	void *ctx;
};

struct vrtc_config {
	u64 epoch;        /* UTC at guest time 0: seconds since 1970 */
	u64 ram_below_4g; /* bytes, the hole below 1 MiB included */
	u64 ram_above_4g; /* bytes */
	void (*rang)(
		void *ctx); /* the alarm has interrupted: the fixed hardware's part of a wake-up. NULL: none */
	void *ctx;
};

/* @env stays the caller's and must outlive @v. */
void vrtc_init(struct vrtc *v, const struct vdev_env *env, const struct vrtc_config *config);

/* The battery keeps the time and the RAM. */
void vrtc_reset(struct vrtc *v);

extern const struct pio_ops vrtc_pio; /* VRTC_PORTS ports; dev: struct vrtc */

#endif
