/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's I/O APIC. */
#include "vioapic/apic_regs.h"
#include "vioapic/vioapic.h"

enum { WINDOW_INDEX = 0x00, WINDOW_DATA = 0x10, WINDOW_EOI = 0x40 };
enum { REG_ID = 0x00, REG_VERSION = 0x01, REG_ARBITRATION = 0x02, REG_TABLE = 0x10 };

#define ID_BITS          0x0f000000u
#define VERSION_VALUE    (0x20u | (VIOAPIC_PINS - 1) << 16)

#define ENTRY_DEST_SHIFT 56
#define ENTRY_WRITABLE                                                                      \
	(0xffULL << ENTRY_DEST_SHIFT | APIC_MASKED | APIC_LEVEL_TRIGGER | APIC_ACTIVE_LOW | \
	 APIC_LOGICAL | 7u << APIC_MODE_SHIFT | APIC_VECTOR)

void vioapic_init(struct vioapic *io, struct vapic_bus *bus)
{
	*io = (struct vioapic){ .bus = bus };
	vioapic_reset(io);
}

void vioapic_reset(struct vioapic *io)
{
	io->id = 0;
	io->index = 0;
	for (unsigned int i = 0; i < VIOAPIC_PINS; i++)
		io->pin[i].entry = APIC_MASKED;
}

/*
 * Remote IRR stands for "accepted by a local APIC and not ended yet"; only fixed and
 * lowest-priority messages are ended by an EOI, the others go out once, like edges.
 */
static void send(struct vioapic_pin *pin, struct vapic_bus *bus)
{
	struct vapic_msg msg =
		vapic_msg_short(lower_32(pin->entry), (u8)(pin->entry >> ENTRY_DEST_SHIFT));

	if (vapic_bus_deliver(bus, &msg) && msg.level && msg.mode <= VAPIC_LOWEST)
		pin->entry |= APIC_REMOTE_IRR;
}

/* An edge while masked is lost, as on the real one; a level waits (see write_entry). */
static void send_edge(struct vioapic *io, struct vioapic_pin *pin)
{
	if (!(pin->entry & (APIC_MASKED | APIC_LEVEL_TRIGGER)))
		send(pin, io->bus);
}

static void send_level(struct vioapic *io, struct vioapic_pin *pin)
{
	if ((pin->entry & (APIC_MASKED | APIC_LEVEL_TRIGGER | APIC_REMOTE_IRR)) ==
		    APIC_LEVEL_TRIGGER &&
	    pin->asserted)
		send(pin, io->bus);
}

void vioapic_assert(struct vioapic *io, unsigned int pin)
{
	if (pin >= VIOAPIC_PINS || io->pin[pin].asserted++)
		return;
	send_edge(io, &io->pin[pin]);
	send_level(io, &io->pin[pin]);
}

void vioapic_deassert(struct vioapic *io, unsigned int pin)
{
	if (pin < VIOAPIC_PINS && io->pin[pin].asserted)
		io->pin[pin].asserted--;
}

void vioapic_pulse(struct vioapic *io, unsigned int pin)
{
	vioapic_assert(io, pin);
	vioapic_deassert(io, pin);
}

void vioapic_eoi(struct vioapic *io, u8 vector)
{
	for (unsigned int i = 0; i < VIOAPIC_PINS; i++) {
		struct vioapic_pin *p = &io->pin[i];

		if (!(p->entry & APIC_REMOTE_IRR) || (p->entry & APIC_VECTOR) != vector)
			continue;
		p->entry &= ~(u64)APIC_REMOTE_IRR;
		send_level(io, p);
	}
}

/*
 * A pin set to edge forgets its Remote IRR: where there is no EOI register that is how Linux ends
 * an interrupt whose EOI was lost (mask and edge, then back).
 */
static void write_entry(struct vioapic *io, struct vioapic_pin *pin, u64 value)
{
	u64 remote_irr = pin->entry & APIC_REMOTE_IRR;

	pin->entry = value & ENTRY_WRITABLE;
	if (value & APIC_LEVEL_TRIGGER)
		pin->entry |= remote_irr;
	send_level(io, pin);
}

static u32 read_data(const struct vioapic *io)
{
	u32 half = io->index - REG_TABLE;

	switch (io->index) {
	case REG_ID:
	case REG_ARBITRATION: return io->id;
	case REG_VERSION: return VERSION_VALUE;
	default: break;
	}
	if (io->index < REG_TABLE || half >= 2 * VIOAPIC_PINS)
		return ~0u;
	return (u32)(io->pin[half / 2].entry >> (half % 2 * 32));
}

static void write_data(struct vioapic *io, u32 value)
{
	u32 half = io->index - REG_TABLE;

	if (io->index == REG_ID) {
		io->id = value & ID_BITS;
	} else if (io->index >= REG_TABLE && half < 2 * VIOAPIC_PINS) {
		struct vioapic_pin *p = &io->pin[half / 2];

		if (half % 2)
			write_entry(io, p, make_64(value, lower_32(p->entry)));
		else
			write_entry(io, p, make_64(upper_32(p->entry), value));
	}
}

u64 vioapic_mmio_read(struct vioapic *io, u32 off, u8 size)
{
	u64 value = ~0ULL;

	if (off == WINDOW_INDEX)
		value = io->index;
	else if (off == WINDOW_DATA)
		value = read_data(io);
	return size < 8 ? value & (BIT(size * 8) - 1) : value;
}

void vioapic_mmio_write(struct vioapic *io, u32 off, u8 size, u64 value)
{
	if (size != 4)
		return;
	switch (off) {
	case WINDOW_INDEX: io->index = value & 0xff; break;
	case WINDOW_DATA: write_data(io, lower_32(value)); break;
	case WINDOW_EOI: vioapic_eoi(io, value & 0xff); break;
	default: break;
	}
}
