/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI Local Bus Specification 3.0, "Configuration Space"; PCI Express, "Enhanced Configuration Access Mechanism". */
#include "drivers/pci.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "lib/x86.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  BIT(31)

/* Configuration space. */
#define REG_VENDOR     0x00
#define REG_DEVICE     0x02
#define REG_COMMAND    0x04
#define REG_STATUS     0x06
#define REG_REVISION   0x08 /* and the class, in the upper 24 bits */
#define REG_HEADER     0x0e
#define REG_BAR(n)     (u16)(0x10 + 4 * (n))
#define REG_CAPS       0x34
#define REG_IRQ_LINE   0x3c
#define REG_IRQ_PIN    0x3d

#define COMMAND_IO     0x0001
#define COMMAND_MEMORY 0x0002
#define COMMAND_MASTER 0x0004
#define COMMAND_NO_PIN 0x0400 /* "Interrupt Disable" */
#define STATUS_CAPS    0x0010

#define HEADER_TYPE    0x7f
#define HEADER_MULTI   0x80

#define BAR_IO         0x1
#define BAR_TYPE       0x6
#define BAR_64         0x4
#define BAR_IO_MASK    0xfffffffcu
#define BAR_MEM_MASK   0xfffffff0u

#define CAPS_FIRST     0x40
#define CAPS_MAX       48 /* so many fit behind the header */

#define ECAM_MAX       16
#define BUSES          256
#define SLOTS          32
#define FUNCTIONS      8

struct ecam {
	u16 segment;
	u8 first_bus, last_bus;
	u8 *base;
};

static struct ecam ecams[ECAM_MAX];
static unsigned int nr_ecams;
static struct pci_device devices[PCI_MAX_DEVICES];
static unsigned int nr_devices, nr_lost;

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
	nr_devices = 0;
}

void pci_add_ecam(u16 segment, u8 first_bus, u8 last_bus, void *base)
{
	if (nr_ecams < ECAM_MAX)
		ecams[nr_ecams++] = (struct ecam){ segment, first_bus, last_bus, base };
}

/* The memory-mapped registers of @dev, or NULL: by ports. */
static u8 *mapped(const struct pci_device *dev)
{
	for (unsigned int i = 0; i < nr_ecams; i++) {
		const struct ecam *e = &ecams[i];

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

/* --- BARs --- */

/* What BAR @n reads as after all ones were written to it: its address bits are those that took them. */
static u32 bar_mask(const struct pci_device *dev, unsigned int n, u32 value)
{
	u32 mask;

	pci_write32(dev, REG_BAR(n), ~0u);
	mask = pci_read32(dev, REG_BAR(n));
	pci_write32(dev, REG_BAR(n), value);
	return mask;
}

static void take_io_bar(struct pci_device *dev, unsigned int n, u32 low, bool sizes)
{
	struct pci_bar *bar = &dev->bar[n];

	bar->io = true;
	bar->base = low & BAR_IO_MASK & 0xffff;
	/* A PC has 16 bits of ports, and some devices no more in their BARs. */
	if (sizes)
		bar->size = -(bar_mask(dev, n, low) & BAR_IO_MASK) & 0xffff;
}

/* Returns how many BARs this one takes. */
static unsigned int take_bar(struct pci_device *dev, unsigned int n, bool sizes)
{
	struct pci_bar *bar = &dev->bar[n];
	u32 low = pci_read32(dev, REG_BAR(n)), high = 0;
	bool wide = !(low & BAR_IO) && (low & BAR_TYPE) == BAR_64 && n + 1 < PCI_HOST_BARS;
	u64 mask;

	if (low & BAR_IO) {
		take_io_bar(dev, n, low, sizes);
		return 1;
	}
	if (wide)
		high = pci_read32(dev, REG_BAR(n + 1));
	bar->base = make_64(high, low & BAR_MEM_MASK);
	if (sizes) {
		mask = bar_mask(dev, n, low) & BAR_MEM_MASK;
		mask |= (u64)(wide ? bar_mask(dev, n + 1, high) : mask ? ~0u : 0) << 32;
		bar->size = -mask;
	}
	return wide ? 2 : 1;
}

/* Bridges, memory controllers, and the machine's own (I/O APICs, IOMMUs): somebody may need them meanwhile. */
static bool can_be_off(const struct pci_device *dev)
{
	u32 class = dev->class >> 16;

	return class != 0x05 && class != 0x06 && class != 0x08;
}

static void take_bars(struct pci_device *dev)
{
	u16 command = pci_read16(dev, REG_COMMAND);
	bool sizes = can_be_off(dev);

	if (sizes)
		pci_write16(dev, REG_COMMAND, command & (u16) ~(COMMAND_IO | COMMAND_MEMORY));
	for (unsigned int n = 0; n < PCI_HOST_BARS;)
		n += take_bar(dev, n, sizes);
	if (sizes)
		pci_write16(dev, REG_COMMAND, command);
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

/* --- the scan --- */

static bool is_there(const struct pci_device *dev)
{
	u16 vendor = pci_read16(dev, REG_VENDOR);

	return vendor != 0xffff && vendor != 0;
}

static void add(const struct pci_device *where)
{
	struct pci_device *dev = &devices[nr_devices];
	u32 class_revision = pci_read32(where, REG_REVISION);

	if (nr_devices == PCI_MAX_DEVICES) {
		nr_lost++;
		return;
	}
	nr_devices++;
	*dev = *where;
	dev->vendor = pci_read16(dev, REG_VENDOR);
	dev->device = pci_read16(dev, REG_DEVICE);
	dev->class = class_revision >> 8;
	dev->revision = (u8)class_revision;
	dev->irq_line = pci_read8(dev, REG_IRQ_LINE);
	dev->irq_pin = pci_read8(dev, REG_IRQ_PIN);
	dev->msi = pci_find_cap(dev, PCI_CAP_MSI, 0);
	dev->msix = pci_find_cap(dev, PCI_CAP_MSIX, 0);
	if (!(pci_read8(dev, REG_HEADER) & HEADER_TYPE))
		take_bars(dev); /* a bridge has two at most, and they are its own */
}

static void scan_slot(u16 segment, u8 bus, u8 slot)
{
	struct pci_device where = { .segment = segment, .bus = bus, .slot = slot };
	bool multi;

	if (!is_there(&where))
		return;
	multi = pci_read8(&where, REG_HEADER) & HEADER_MULTI;
	add(&where);
	for (where.function = 1; multi && where.function < FUNCTIONS; where.function++) {
		if (is_there(&where))
			add(&where);
	}
}

/*
 * Each bus that there can be is looked at, whether a bridge leads to it or not: a machine may have several
 * roots, which only its ACPI methods would name. What is not there answers with ones.
 */
static void scan_buses(u16 segment, unsigned int first, unsigned int last)
{
	for (unsigned int bus = first; bus <= last; bus++) {
		for (unsigned int slot = 0; slot < SLOTS; slot++)
			scan_slot(segment, (u8)bus, (u8)slot);
	}
}

unsigned int pci_scan(void)
{
	bool legacy = true;

	nr_devices = nr_lost = 0;
	for (unsigned int i = 0; i < nr_ecams; i++) {
		scan_buses(ecams[i].segment, ecams[i].first_bus, ecams[i].last_bus);
		legacy = legacy && ecams[i].segment;
	}
	if (legacy)
		scan_buses(0, 0, BUSES - 1);
	if (nr_lost)
		pr_warn("pci: %u functions more than the %u that there is room for: left out\n",
			nr_lost, PCI_MAX_DEVICES);
	return nr_devices;
}

const struct pci_device *pci_device(unsigned int index)
{
	return index < nr_devices ? &devices[index] : NULL;
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
