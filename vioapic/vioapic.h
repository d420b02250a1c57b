/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's I/O APIC: 16 pins, a redirection table, version 0x20 (with an EOI register).
 * Intel 82093AA data sheet, and the I/O APIC section of Intel's chipset manuals for the EOI
 * register.
 *
 * Pin n is ISA line n, but line 0 (the PIT) is on pin 2, as every PC and our MADT have it: the
 * machine maps lines to pins. Polarity is not modelled: pins are asserted or not.
 * All calls of one VM happen one at a time.
 */
#ifndef VIOAPIC_VIOAPIC_H
#define VIOAPIC_VIOAPIC_H

#include "lib/types.h"
#include "vioapic/vapic_bus.h"

/* One for each line that there is: Linux looks at each pin some ten times while it boots. */
#define VIOAPIC_PINS      16
#define VIOAPIC_MMIO_BASE 0xfec00000ULL
#define VIOAPIC_MMIO_SIZE 0x1000

struct vioapic {
	struct vapic_bus *bus;
	u32 id;    /* the ID register: bits 27:24 */
	u32 index; /* the register that the data window shows */
	struct vioapic_pin {
		u64 entry;             /* of the redirection table */
		unsigned int asserted; /* how many sources assert the pin now */
	} pin[VIOAPIC_PINS];
};

void vioapic_init(struct vioapic *io, struct vapic_bus *bus);

/* All entries masked. The pins stay as their sources drive them. */
void vioapic_reset(struct vioapic *io);

/*
 * A source asserts @pin or takes that back; the sources of a shared pin are counted, so each must
 * do these in turns. An interrupt comes when the first source asserts, and for a level-triggered
 * pin again at each EOI as long as one does. Pins that do not exist are ignored.
 */
void vioapic_assert(struct vioapic *io, unsigned int pin);
void vioapic_deassert(struct vioapic *io, unsigned int pin);

/* One edge. */
void vioapic_pulse(struct vioapic *io, unsigned int pin);

/* A local APIC has ended the level-triggered interrupt @vector. */
void vioapic_eoi(struct vioapic *io, u8 vector);

/*
 * The registers: 32-bit accesses. What does not exist reads as ones and ignores writes, as do
 * writes of other sizes; reads of other sizes are cut.
 */
u64 vioapic_mmio_read(struct vioapic *io, u32 off, u8 size);
void vioapic_mmio_write(struct vioapic *io, u32 off, u8 size, u64 value);

#endif
