/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A physical I/O APIC: 24 or more input pins, each with a redirection entry. Its registers are an
 * index and a window: one CPU at a time.
 */
#ifndef DRIVERS_IOAPIC_H
#define DRIVERS_IOAPIC_H

#include "lib/types.h"

struct ioapic {
	volatile u32 *mmio;
	u32 gsi_base; /* the global system interrupt of pin 0 */
	u32 pins;
};

/* How the device drives its line, as in the MADT's interrupt source overrides. */
struct ioapic_line {
	bool active_low;
	bool level;
};

/* @mmio: the mapped, uncached registers. Masks every pin. */
void ioapic_init(struct ioapic *ioapic, void *mmio, u32 gsi_base);

/* Is @gsi a pin of it? The functions below want such a one. */
bool ioapic_has(const struct ioapic *ioapic, u32 gsi);

/* Send @gsi as @vector to the CPU @apic_id (8 bits without interrupt remapping), and unmask it. */
void ioapic_route(struct ioapic *ioapic, u32 gsi, struct ioapic_line line, u8 vector, u8 apic_id);

void ioapic_mask(struct ioapic *ioapic, u32 gsi);
void ioapic_unmask(struct ioapic *ioapic, u32 gsi);

#endif
