/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What functions there are, and making them quiet. PCI Local Bus Specification 3.0, "Configuration Space"; PCI-to-PCI Bridge
 * Architecture Specification, "Secondary Bus Number Register".
 */
#include "drivers/pci_private.h"
#include "lib/printk.h"

static struct pci_device devices[PCI_MAX_DEVICES];
static unsigned int nr_devices, nr_lost;

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

/* --- the scan --- */

static bool is_there(const struct pci_device *dev)
{
	u16 vendor = pci_read16(dev, REG_VENDOR);

	return vendor != 0xffff && vendor != 0;
}

/* Display: a screen may be drawn from memory. Bridges: what is behind them has its own bit. The machine's own, as above. */
static bool may_go_on(const struct pci_device *dev)
{
	return !can_be_off(dev) || dev->class >> 16 == CLASS_DISPLAY;
}

/*
 * What the firmware has left running would write to memory that is no longer its own: data into it, or interrupts that nobody
 * knows. Drivers switch on what they need.
 */
static void quiet(const struct pci_device *dev)
{
	u16 command = pci_read16(dev, REG_COMMAND), control;

	if (may_go_on(dev))
		return;
	if (command & COMMAND_MASTER)
		pci_write16(dev, REG_COMMAND, command & (u16)~COMMAND_MASTER);
	if (dev->msi) {
		control = pci_read16(dev, (u16)(dev->msi + CAP_CONTROL));
		pci_write16(dev, (u16)(dev->msi + CAP_CONTROL), control & (u16)~MSI_ENABLE);
	}
	if (dev->msix) {
		control = pci_read16(dev, (u16)(dev->msix + CAP_CONTROL));
		pci_write16(dev, (u16)(dev->msix + CAP_CONTROL), control & (u16)~MSIX_ENABLE);
	}
}

static void find_out(struct pci_device *dev)
{
	u32 class_revision = pci_read32(dev, REG_REVISION);

	dev->vendor = pci_read16(dev, REG_VENDOR);
	dev->device = pci_read16(dev, REG_DEVICE);
	dev->class = class_revision >> 8;
	dev->revision = (u8)class_revision;
	dev->irq_line = pci_read8(dev, REG_IRQ_LINE);
	dev->irq_pin = pci_read8(dev, REG_IRQ_PIN);
	dev->msi = pci_find_cap(dev, PCI_CAP_MSI, 0);
	dev->msix = pci_find_cap(dev, PCI_CAP_MSIX, 0);
}

static void add(const struct pci_device *where)
{
	struct pci_device *dev = &devices[nr_devices];

	if (nr_devices == PCI_MAX_DEVICES) {
		nr_lost++;
		return;
	}
	nr_devices++;
	*dev = *where;
	if (!(pci_read8(dev, REG_HEADER) & HEADER_TYPE))
		take_bars(dev); /* a bridge has two at most, and they are its own */
}

/* What is known of the buses of a segment while they are looked at, in their order: a bridge leads to higher ones only. */
struct scan {
	void (*found)(const struct pci_device *dev); /* after it is quiet; NULL: that is all */
	bool thorough;
	u16 segment;
	enum { NO_BRIDGE, BEHIND, SECONDARY } bus[BUSES];
};

static void follow(struct scan *scan, const struct pci_device *bridge)
{
	u8 secondary = pci_read8(bridge, REG_SECONDARY);
	u8 last = pci_read8(bridge, REG_SUBORDINATE);

	if (secondary <= bridge->bus || last < secondary)
		return; /* not set up */
	for (unsigned int bus = secondary; bus <= last; bus++) {
		if (scan->bus[bus] == NO_BRIDGE)
			scan->bus[bus] = BEHIND;
	}
	scan->bus[secondary] = SECONDARY;
}

static void take(struct scan *scan, const struct pci_device *where)
{
	struct pci_device dev = *where;
	u8 type = pci_read8(&dev, REG_HEADER) & HEADER_TYPE;

	find_out(&dev);
	quiet(&dev);
	if (type == HEADER_BRIDGE || type == HEADER_CARDBUS)
		follow(scan, &dev);
	if (scan->found)
		scan->found(&dev);
}

/* Whether something is there. */
static bool scan_slot(struct scan *scan, u8 bus, u8 slot)
{
	struct pci_device where = { .segment = scan->segment, .bus = bus, .slot = slot };
	bool multi;

	if (!is_there(&where))
		return false;
	multi = pci_read8(&where, REG_HEADER) & HEADER_MULTI;
	take(scan, &where);
	for (where.function = 1; multi && where.function < FUNCTIONS; where.function++) {
		if (is_there(&where))
			take(scan, &where);
	}
	return true;
}

/*
 * A bus that no bridge leads to may be another root, which only methods in ACPI's AML would name. What is not there answers with
 * ones, and on a bare machine at once. In a virtual one each question is an exit to its hypervisor's user space: there the first
 * slot speaks for the others.
 */
static void scan_buses(struct scan *scan, unsigned int first, unsigned int last)
{
	for (unsigned int bus = first; bus <= last; bus++) {
		bool known = bus == first || scan->bus[bus] == SECONDARY;

		if (scan->bus[bus] == BEHIND)
			continue;
		for (unsigned int slot = 0; slot < SLOTS; slot++) {
			if (!scan_slot(scan, (u8)bus, (u8)slot) && !known && !scan->thorough)
				break;
			known = true;
		}
	}
}

static void scan_all(bool thorough, void (*found)(const struct pci_device *dev))
{
	static struct scan scan;
	bool legacy = true;

	for (unsigned int i = 0; pci_ecam(i); i++) {
		const struct pci_ecam *e = pci_ecam(i);

		scan = (struct scan){ found, thorough, e->segment, { 0 } };
		scan_buses(&scan, e->first_bus, e->last_bus);
		legacy = legacy && e->segment;
	}
	if (legacy) {
		scan = (struct scan){ found, thorough, 0, { 0 } };
		scan_buses(&scan, 0, BUSES - 1);
	}
}

void pci_quiet(bool thorough)
{
	scan_all(thorough, NULL);
}

unsigned int pci_scan(bool thorough)
{
	nr_devices = nr_lost = 0;
	scan_all(thorough, add);
	if (nr_lost)
		pr_warn("pci: %u functions more than the %u that there is room for: left out\n",
			nr_lost, PCI_MAX_DEVICES);
	return nr_devices;
}

const struct pci_device *pci_device(unsigned int index)
{
	return index < nr_devices ? &devices[index] : NULL;
}
