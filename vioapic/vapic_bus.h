/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus that a VM's interrupt messages travel on: from the I/O APIC, from devices (MSI) and from
 * local APICs (IPIs) to local APICs.
 */
#ifndef VIOAPIC_VAPIC_BUS_H
#define VIOAPIC_VAPIC_BUS_H

#include "lib/types.h"

#define VAPIC_MAX       16
#define VAPIC_BROADCAST (~0u)

/* What the local APICs of a VM offer; what is left out reads as reserved. */
#define VAPIC_X2APIC       0x1u
#define VAPIC_TSC_DEADLINE 0x2u

struct vlapic;

struct vapic_bus {
	struct vlapic *apic[VAPIC_MAX];
	unsigned int count;
	unsigned int next;     /* where the next lowest-priority arbitration starts; atomic */
	unsigned int features; /* VAPIC_* */
	u64 timer_hz;          /* input clock of the APIC timers, before the divider */
};

/* Delivery mode: Intel SDM, "Interrupt Command Register (ICR)". The others are dropped. */
enum vapic_mode {
	VAPIC_FIXED = 0,
	VAPIC_LOWEST = 1,
	VAPIC_SMI = 2,
	VAPIC_NMI = 4,
	VAPIC_INIT = 5,
	VAPIC_SIPI = 6,
	VAPIC_EXTINT = 7,
};

struct vapic_msg {
	u32 dest; /* APIC ID, or MDA when logical; VAPIC_BROADCAST is everybody */
	u8 vector;
	u8 mode; /* enum vapic_mode, bounded to 0-7 */
	bool logical;
	bool level; /* level-triggered: its EOI is told to the I/O APIC */
};

/* An empty bus; local APICs join it by vlapic_init. @timer_hz must not be 0. */
void vapic_bus_init(struct vapic_bus *bus, u64 timer_hz, unsigned int features);

/*
 * The message of a source with 8-bit destinations. @low has the layout that an I/O APIC entry's
 * lower half and MSI data share (for MSI the caller adds APIC_LOGICAL from the address).
 */
struct vapic_msg vapic_msg_short(u32 low, u8 dest);

/*
 * Deliver @msg to every local APIC that it names (to one of them for VAPIC_LOWEST): at most
 * VAPIC_MAX steps. True when at least one took it.
 */
bool vapic_bus_deliver(struct vapic_bus *bus, const struct vapic_msg *msg);

/*
 * Deliver @msg, whose own destination does not count, to each local APIC whose ID less @first
 * is a bit of @ids: at most VAPIC_MAX steps. How many took it.
 */
unsigned int vapic_bus_multicast(struct vapic_bus *bus, const struct vapic_msg *msg, u32 first,
				 const u64 ids[2]);

#endif
