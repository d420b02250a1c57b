/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's i8254 interval timer and port 0x61 beside it. Counters are not run: what they show is
 * computed from guest time when somebody looks. Channel 0 alone has an interrupt, line 0.
 */
#ifndef VMM_PC_VPIT_H
#define VMM_PC_VPIT_H

#include "lib/vdev.h"

#define VPIT_BASE         0x40
#define VPIT_PORTS        4
#define VPIT_CONTROL_PORT 0x61 /* speaker, gate of channel 2, refresh */
#define VPIT_CHANNELS     3
#define VPIT_HZ           1193182
#define VPIT_LINE         0

enum vpit_state {
	VPIT_EMPTY,   /* a mode was set, no count yet */
	VPIT_LOADED,  /* waits for its gate to rise */
	VPIT_RUNNING, /* counts while its gate allows */
};

struct vpit_channel {
	enum vpit_state state;
	u64 start;  /* guest time at which the count began */
	u64 held;   /* guest time counted until the gate closed */
	u32 reload; /* ticks, 1 to 65536 (BCD: 10000) */
	u8 mode;    /* 0 to 5 */
	u8 access;  /* 1: low byte, 2: high byte, 3: low, then high */
	bool bcd;
	bool gate;
	bool read_high, write_high; /* the next byte of access 3 is the high one */
	u8 write_low;               /* the low byte, until the high one comes */
	u16 latch;
	u8 latched; /* bytes of the latch still to be read */
	u8 status;
	bool status_latched;
};

struct vpit {
	const struct vdev_env *env;
	struct vpit_channel channel[VPIT_CHANNELS];
	u8 control; /* port 0x61, the bits that are kept */
	struct vdev_timer alarm;
};

/* @env stays the caller's and must outlive @v. */
void vpit_init(struct vpit *v, const struct vdev_env *env);
void vpit_reset(struct vpit *v);

extern const struct pio_ops vpit_pio;         /* VPIT_PORTS ports from VPIT_BASE */
extern const struct pio_ops vpit_control_pio; /* one port, VPIT_CONTROL_PORT; dev: struct vpit */

#endif
