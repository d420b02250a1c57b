/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI Local Bus Specification 3.0, "Configuration Space"; PCI Express, "Enhanced Configuration Access Mechanism". */
#include "drivers/pci_private.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/spinlock.h"
#include "lib/x86.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  BIT(31)

static struct pci_ecam ecams[ECAM_MAX];
static unsigned int nr_ecams;

/* Of the address port, which is set and then used. */
static struct spinlock ports_lock;

static u32 ports_read(u32 address, unsigned int offset, unsigned int len)
{
	u16 port = (u16)(CONFIG_DATA + offset);
	u32 value;

	spin_lock(&ports_lock);
	outl(CONFIG_ADDRESS, address);
	value = len == 1 ? inb(port) : len == 2 ? inw(port) : inl(port);
	spin_unlock(&ports_lock);
	return value;
}

static void ports_write(u32 address, unsigned int offset, unsigned int len, u32 value)
{
	u16 port = (u16)(CONFIG_DATA + offset);

	spin_lock(&ports_lock);
	outl(CONFIG_ADDRESS, address);
	switch (len) {
	case 1: outb(port, (u8)value); break;
	case 2: outw(port, (u16)value); break;
	default: outl(port, value); break;
	}
	spin_unlock(&ports_lock);
}

static const struct pci_ports real_ports = { ports_read, ports_write };
static const struct pci_ports *ports = &real_ports;

void pci_use_ports(const struct pci_ports *use)
{
	ports = use;
	nr_ecams = 0;
}

void pci_add_ecam(u16 segment, u8 first_bus, u8 last_bus, void *base)
{
	if (nr_ecams < ECAM_MAX)
		ecams[nr_ecams++] = (struct pci_ecam){ segment, first_bus, last_bus, base };
}

const struct pci_ecam *pci_ecam(unsigned int index)
{
	return index < nr_ecams ? &ecams[index] : NULL;
}

/* The memory-mapped registers of @dev, or NULL: by ports. */
static u8 *mapped(const struct pci_device *dev)
{
	for (unsigned int i = 0; i < nr_ecams; i++) {
		const struct pci_ecam *e = &ecams[i];

		if (e->segment == dev->segment && dev->bus >= e->first_bus &&
		    dev->bus <= e->last_bus)
			return e->base + ((u32)dev->bus << 20 | (u32)dev->slot << 15 |
					  (u32)dev->function << 12);
	}
	return NULL;
}

/* Ports know neither segments nor what is behind the first 256 bytes. */
static bool by_ports(const struct pci_device *dev, u16 reg)
{
	return !dev->segment && reg < 0x100;
}

static u32 port_address(const struct pci_device *dev, u16 reg)
{
	return (u32)(CONFIG_ENABLE | (u32)dev->bus << 16 | (u32)dev->slot << 11 |
		     (u32)dev->function << 8 | (reg & 0xfcu));
}

/* Loads of exactly this size: the compiler may not split or widen those of a volatile. */
static u32 config_read(const struct pci_device *dev, u16 reg, unsigned int len)
{
	u8 *regs = mapped(dev);

	if (!regs)
		return by_ports(dev, reg) ? ports->read(port_address(dev, reg), reg & 3, len) : ~0u;
	switch (len) {
	case 1: return *(volatile u8 *)(regs + reg);
	case 2: return *(volatile u16 *)(void *)(regs + reg);
	default: return *(volatile u32 *)(void *)(regs + reg);
	}
}

static void config_write(const struct pci_device *dev, u16 reg, unsigned int len, u32 value)
{
	u8 *regs = mapped(dev);

	if (!regs) {
		if (by_ports(dev, reg))
			ports->write(port_address(dev, reg), reg & 3, len, value);
		return;
	}
	switch (len) {
	case 1: *(volatile u8 *)(regs + reg) = (u8)value; break;
	case 2: *(volatile u16 *)(void *)(regs + reg) = (u16)value; break;
	default: *(volatile u32 *)(void *)(regs + reg) = value; break;
	}
}

u8 pci_read8(const struct pci_device *dev, u16 reg)
{
	return (u8)config_read(dev, reg, 1);
}

u16 pci_read16(const struct pci_device *dev, u16 reg)
{
	return (u16)config_read(dev, reg, 2);
}

u32 pci_read32(const struct pci_device *dev, u16 reg)
{
	return config_read(dev, reg, 4);
}

void pci_write8(const struct pci_device *dev, u16 reg, u8 value)
{
	config_write(dev, reg, 1, value);
}

void pci_write16(const struct pci_device *dev, u16 reg, u16 value)
{
	config_write(dev, reg, 2, value);
}

void pci_write32(const struct pci_device *dev, u16 reg, u32 value)
{
	config_write(dev, reg, 4, value);
}

/* --- capabilities --- */

u8 pci_find_cap(const struct pci_device *dev, u8 id, u8 after)
{
	u8 at;

	if (!(pci_read16(dev, REG_STATUS) & STATUS_CAPS))
		return 0;
	at = pci_read8(dev, after ? (u16)(after + 1) : REG_CAPS) & 0xfc;
	for (unsigned int i = 0; i < CAPS_MAX && at >= CAPS_FIRST; i++) {
		if (pci_read8(dev, at) == id)
			return at;
		at = pci_read8(dev, (u16)(at + 1)) & 0xfc;
	}
	return 0;
}

void pci_enable(const struct pci_device *dev, bool intx)
{
	u16 command = pci_read16(dev, REG_COMMAND);
	u16 on = COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER;

	for (unsigned int n = 0; n < PCI_HOST_BARS; n++) {
		if (dev->bar[n].size && !dev->bar[n].base)
			on &= (u16) ~(dev->bar[n].io ? COMMAND_IO : COMMAND_MEMORY);
	}
	command |= on;
	if (intx)
		command &= (u16)~COMMAND_NO_PIN;
	else
		command |= COMMAND_NO_PIN;
	pci_write16(dev, REG_COMMAND, command);
}

void pci_silence(const struct pci_device *dev)
{
	pci_write16(dev, REG_COMMAND, pci_read16(dev, REG_COMMAND) | COMMAND_NO_PIN);
}

const char *pci_name(const struct pci_device *dev, char *text, size_t size)
{
	size_t len = dev->segment ? scnprintf(text, size, "%04x:", dev->segment) : 0;

	scnprintf(text + len, size - len, "%02x:%02x.%u", dev->bus, dev->slot, dev->function);
	return text;
}
