/* SPDX-License-Identifier: BSD-2-Clause */
/* The port of a switch that a network card is behind. The card's driver is named by what it can do. */
#ifndef VSWITCH_UPLINK_H
#define VSWITCH_UPLINK_H

#include "vswitch/vswitch.h"

#define UPLINK_TRIES 1000 /* how often a frame from the card is offered to a busy receiver */

struct vswitch_uplink {
	struct vswitch_port port;
	/* As struct nic's. */
	bool (*transmit)(void *driver, const void *data, u32 len);
	void *driver;
	u64 (*now)(void);     /* TSC */
	u32 max_frame;        /* bytes that the card sends at most, without a tag */
	struct spinlock lock; /* of frame */
	u8 frame[GSO_FRAME];
};

/*
 * Make @up, whose transmit, driver, now and max_frame are set, a port of @sw. Its card must pass on what is
 * for any address. As vswitch_add.
 */
int vswitch_add_uplink(struct vswitch *sw, struct vswitch_uplink *up) __must_check;

/* The card has received a frame; @uplink is the struct vswitch_uplink. Without locks, interrupts off. */
void vswitch_nic_receive(void *uplink, const void *frame, u32 len);

#endif
