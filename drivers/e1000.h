/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel's gigabit controllers with legacy descriptors: 82540EM (Bochs, QEMU, VirtualBox), 82545EM, and the
 * PCI Express ones of the 82574 family.
 *
 * A switch is behind the card, so it receives everything. Frames are sent from copies and received into
 * buffers of the driver's, so that the device never reaches a guest's memory. Whatever it writes there is
 * checked; one that is gone, or sends nothing any more, costs messages and resets, never the machine.
 */
#ifndef DRIVERS_E1000_H
#define DRIVERS_E1000_H

#include <stdatomic.h>
#include "drivers/e1000_regs.h"
#include "drivers/hostdev.h"
#include "lib/spinlock.h"
#include "lib/types.h"

#define E1000_RING       256  /* descriptors, of each ring */
#define E1000_BUFFER     2048 /* bytes, of each descriptor */
#define E1000_MAX_FRAME  1518 /* with a VLAN tag, without CRC */
#define E1000_RX_BUDGET  64   /* frames for one interrupt */
#define E1000_TX_SECONDS 2    /* nothing sent for so long, with something to send: it hangs */

/* How the registers are reached. */
struct e1000_regs {
	u32 (*read)(void *chip, u32 reg);
	void (*write)(void *chip, u32 reg, u32 value);
	void *chip;
};

struct e1000_counters {
	u64 received, sent;
	u64 rx_broken;  /* length, error, more than one descriptor */
	u64 tx_refused; /* ring full, link down, length */
	u64 resets;     /* because it hung */
};

struct e1000_model;

/* All fields are the driver's. */
struct e1000 {
	struct nic nic;
	struct hostdev_env env;
	const struct e1000_model *model;
	struct e1000_regs regs;
	u32 causes;   /* interrupts that are enabled; 0: it has none, and is polled */
	u32 rx_cause; /* the one that says: there are frames */
	bool msix;    /* causes are cleared by writing them */
	atomic_bool gone;
	atomic_bool active; /* it has a user, and may interrupt */

	struct spinlock lock; /* for what follows */
	struct e1000_tx_desc *tx_ring;
	u8 (*tx_buffer)[E1000_BUFFER];
	unsigned int tx_head, tx_tail; /* [head, tail) is the device's */
	u64 tx_since;                  /* when it last sent something, or got something to send */
	u64 link_checked, link_said;   /* when */
	bool link_told;                /* what was said then */

	/* These are whoever's who has rx_busy. */
	atomic_bool rx_busy, rx_again;
	struct e1000_rx_desc *rx_ring;
	u8 (*rx_buffer)[E1000_BUFFER];
	unsigned int rx_next; /* the descriptor that the device fills next */
	bool rx_skip;         /* the rest of a frame that is longer than a buffer */

	struct e1000_counters counters;
};

/*
 * A hostdev_probe_fn for Intel's network cards: reset and start it, and show it by env->add_nic. -ENODEV: it is
 * a model that is not one of these.
 */
int e1000_probe(const struct pci_device *pci, const struct hostdev_env *env);

/* The same with @regs in place of the BAR; for host tests. */
int e1000_attach(const struct pci_device *pci, const struct hostdev_env *env,
		 struct e1000_regs regs);

#endif
