/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/pci_function.h"
#include "lib/string.h"

u16 pci_get16(const struct pci_function *f, u8 reg)
{
	return (u16)pci_function_read(f, reg, 2);
}

u32 pci_get32(const struct pci_function *f, u8 reg)
{
	return pci_function_read(f, reg, 4);
}

void pci_set16(struct pci_function *f, u8 reg, u16 value)
{
	memcpy(f->space + reg, &value, sizeof(value));
}

void pci_set32(struct pci_function *f, u8 reg, u32 value)
{
	memcpy(f->space + reg, &value, sizeof(value));
}

static void allow(struct pci_function *f, u8 reg, u32 mask)
{
	memcpy(f->writable + reg, &mask, sizeof(mask));
}

void pci_function_init(struct pci_function *f, const struct pci_identity *id)
{
	*f = (struct pci_function){ .next_cap = PCI_HEADER_END };
	for (unsigned int i = 0; i < PCI_BARS; i++)
		f->bar_at[i] = PCI_NOWHERE;
	pci_set16(f, PCI_VENDOR_ID, id->vendor);
	pci_set16(f, PCI_DEVICE_ID, id->device);
	pci_set32(f, PCI_REVISION_ID, id->class << 8 | id->revision);
	pci_set16(f, PCI_SUBSYSTEM_VENDOR, id->subsystem_vendor);
	pci_set16(f, PCI_SUBSYSTEM_ID, id->subsystem);
	allow(f, PCI_COMMAND,
	      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
	allow(f, PCI_CACHE_LINE, 0xff);
	allow(f, PCI_INTERRUPT_LINE, 0xff);
}

/* The bits below the size cannot be written: that is how a guest finds the size. */
void pci_function_add_bar(struct pci_function *f, unsigned int bar, u32 size, bool io)
{
	u8 reg = (u8)(PCI_BAR0 + 4 * bar);

	f->bar_size[bar] = size;
	pci_set32(f, reg, io ? PCI_BAR_IO : 0);
	allow(f, reg, ~(size - 1));
}

u8 pci_function_add_cap(struct pci_function *f, u8 id, u8 len)
{
	u8 cap = f->next_cap, link = f->last_cap ? (u8)(f->last_cap + 1) : PCI_CAPABILITIES;

	f->space[link] = cap;
	f->space[cap] = id;
	f->last_cap = cap;
	f->next_cap = (u8)ALIGN_UP(cap + len, 4);
	pci_set16(f, PCI_STATUS, PCI_STATUS_CAPABILITIES);
	return cap;
}

static u32 decoded_at(const struct pci_function *f, unsigned int bar)
{
	u32 value = pci_get32(f, (u8)(PCI_BAR0 + 4 * bar));
	u16 enable = value & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

	if (!f->bar_size[bar] || !(pci_get16(f, PCI_COMMAND) & enable))
		return PCI_NOWHERE;
	return value & ~(f->bar_size[bar] - 1);
}

static void update_bars(struct pci_function *f)
{
	for (unsigned int bar = 0; bar < PCI_BARS; bar++) {
		u32 at = decoded_at(f, bar);

		if (at == f->bar_at[bar])
			continue;
		f->bar_at[bar] = at;
		if (f->bar_moved)
			f->bar_moved(f->ctx, bar, at);
	}
}

void pci_function_place(struct pci_function *f, unsigned int bar, u32 base)
{
	pci_function_write(f, (u8)(PCI_BAR0 + 4 * bar), 4, base);
}

void pci_function_route(struct pci_function *f, u8 pin, u8 line)
{
	f->space[PCI_INTERRUPT_PIN] = pin;
	f->space[PCI_INTERRUPT_LINE] = line;
}

u32 pci_function_read(const struct pci_function *f, u8 reg, u8 size)
{
	u32 value = 0;

	for (u8 i = 0; i < size && i < 4; i++)
		value |= (u32)f->space[(u8)(reg + i)] << 8 * i;
	return value;
}

void pci_function_write(struct pci_function *f, u8 reg, u8 size, u32 value)
{
	for (u8 i = 0; i < size && i < 4; i++) {
		u8 at = (u8)(reg + i), mask = f->writable[at];

		f->space[at] = (u8)((f->space[at] & ~mask) | ((value >> 8 * i) & mask));
	}
	if (reg < PCI_BAR0 + 4 * PCI_BARS)
		update_bars(f);
}
