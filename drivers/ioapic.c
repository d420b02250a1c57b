/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/ioapic.h"

/* The two registers in memory, as indices of 32-bit words. */
enum { IOREGSEL = 0x00 / 4, IOWIN = 0x10 / 4 };

/* What IOREGSEL selects. */
#define IOAPICVER        0x01
#define IOREDTBL(pin)    (0x10 + 2 * (pin)) /* the low half; the high half follows */

#define ENTRY_ACTIVE_LOW BIT(13)
#define ENTRY_LEVEL      BIT(15)
#define ENTRY_MASKED     BIT(16)

static u32 reg_read(const struct ioapic *ioapic, u32 reg)
{
	ioapic->mmio[IOREGSEL] = reg;
	return ioapic->mmio[IOWIN];
}

static void reg_write(const struct ioapic *ioapic, u32 reg, u32 value)
{
	ioapic->mmio[IOREGSEL] = reg;
	ioapic->mmio[IOWIN] = value;
}

void ioapic_init(struct ioapic *ioapic, void *mmio, u32 gsi_base)
{
	ioapic->mmio = mmio;
	ioapic->gsi_base = gsi_base;
	ioapic->pins = (reg_read(ioapic, IOAPICVER) >> 16 & 0xff) + 1;
	for (u32 pin = 0; pin < ioapic->pins; pin++)
		reg_write(ioapic, IOREDTBL(pin), ENTRY_MASKED);
}

bool ioapic_has(const struct ioapic *ioapic, u32 gsi)
{
	return gsi >= ioapic->gsi_base && gsi - ioapic->gsi_base < ioapic->pins;
}

void ioapic_route(struct ioapic *ioapic, u32 gsi, struct ioapic_line line, u8 vector, u8 apic_id)
{
	u32 reg = IOREDTBL(gsi - ioapic->gsi_base);
	u64 entry = vector;

	if (line.active_low)
		entry |= ENTRY_ACTIVE_LOW;
	if (line.level)
		entry |= ENTRY_LEVEL;

	/* Masked while it is half old and half new. */
	reg_write(ioapic, reg, ENTRY_MASKED);
	reg_write(ioapic, reg + 1, (u32)apic_id << 24);
	reg_write(ioapic, reg, lower_32(entry));
}

void ioapic_mask(struct ioapic *ioapic, u32 gsi)
{
	u32 reg = IOREDTBL(gsi - ioapic->gsi_base);

	reg_write(ioapic, reg, reg_read(ioapic, reg) | (u32)ENTRY_MASKED);
}

void ioapic_unmask(struct ioapic *ioapic, u32 gsi)
{
	u32 reg = IOREDTBL(gsi - ioapic->gsi_base);

	reg_write(ioapic, reg, reg_read(ioapic, reg) & ~(u32)ENTRY_MASKED);
}
