/* SPDX-License-Identifier: BSD-2-Clause */
/* What e1000.c (found and brought up), e1000_rings.c (frames) and e1000_reset.c (started, and started again) share. */
#ifndef DRIVERS_E1000_PRIVATE_H
#define DRIVERS_E1000_PRIVATE_H

#include "drivers/e1000.h"

#define E1000_ALL_ONES 0xffffffffU /* what is read from a device that is gone */

struct e1000_model {
	u16 device;
	bool express;  /* a PCI Express device, of the 82574 family */
	u8 eerd_shift; /* of the word's address in EERD */
	u8 eerd_done;  /* EERD's bit that says so */
	const char *name;
};

static inline u32 e1000_rd(struct e1000 *e, u32 reg)
{
	return e->regs.read(e->regs.chip, reg);
}

static inline void e1000_wr(struct e1000 *e, u32 reg, u64 value)
{
	e->regs.write(e->regs.chip, reg, (u32)value);
}

/* Have @ticks of the TSC gone by since it was @since? */
static inline bool e1000_is_past(struct e1000 *e, u64 since, u64 ticks)
{
	/* Another CPU's TSC may be a little behind. */
	return (s64)(e->env.now() - since) > (s64)ticks;
}

/* e1000_reset.c: until @reg has @bits as in @value, for @us microseconds at most; false: it never had. */
bool e1000_wait_for(struct e1000 *e, u32 reg, u64 bits, u64 value, u64 us);
/* None any more, and none of those that were asked for before. */
void e1000_mask_interrupts(struct e1000 *e);
/*
 * Both with nobody else at the device: with the lock and rx_busy, or before it is shown. Reset takes some
 * milliseconds, and leaves everything off; -EIO: it does not come out. Start needs rings, buffers and
 * nic.mac, and begins with empty rings.
 */
int e1000_reset(struct e1000 *e);
void e1000_start(struct e1000 *e);
/* Is it up, now? Notes that the device is gone, if it is. With the lock. */
bool e1000_read_link(struct e1000 *e);
/* Without the lock: note how the link is, and tell the user of a change. */
void e1000_check_link(struct e1000 *e);
/* The same for a device that hangs, if it still does: it is reset, unless another CPU is receiving. */
void e1000_recover(struct e1000 *e);

/* e1000_rings.c: the ring as it is after a reset, and the device told of it; for e1000_start. */
void e1000_start_receive(struct e1000 *e);
void e1000_start_transmit(struct e1000 *e);
/* With the lock: has nothing been sent for E1000_TX_SECONDS, though there was something to send, and a link? */
bool e1000_hangs(struct e1000 *e);
/* nic.transmit, nic.poll and a hostdev_env.irq function; @driver, @arg: the struct e1000. Without the lock. */
bool e1000_transmit(void *driver, const void *data, u32 len);
void e1000_poll(void *driver);
void e1000_irq(void *arg);

#endif
