/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical machine's PCI functions: found by their configuration space (mechanism #1, or memory-mapped
 * where ACPI's MCFG names it), with their BARs and capabilities. What the firmware has placed stays there.
 */
#ifndef DRIVERS_PCI_H
#define DRIVERS_PCI_H

#include "lib/types.h"

#define PCI_MAX_DEVICES 128
#define PCI_HOST_BARS   6

#define PCI_CAP_MSI     0x05
#define PCI_CAP_VENDOR  0x09
#define PCI_CAP_MSIX    0x11

struct pci_bar {
	u64 base; /* of memory or ports; 0: not there, or not placed */
	u64 size; /* 0: not there, or not asked for: see pci_scan */
	bool io;
};

struct pci_device {
	u16 segment;
	u8 bus, slot, function;
	u16 vendor, device;
	u32 class; /* class, subclass, programming interface: 24 bits */
	u8 revision;
	u8 irq_pin, irq_line;              /* as the firmware has left them; pin 0: none */
	u8 msi, msix;                      /* offsets of the capabilities; 0: none */
	struct pci_bar bar[PCI_HOST_BARS]; /* of a 64-bit BAR the first of the two */
};

/* Memory-mapped configuration space of @segment, buses first to last; @base is bus 0's. Before pci_scan. */
void pci_add_ecam(u16 segment, u8 first_bus, u8 last_bus, void *base);

/*
 * Bus mastering and messages of all functions off, but for displays and what the machine itself lives on. By ports: this may be
 * long before memory-mapped configuration space is known. @thorough as in pci_scan.
 */
void pci_quiet(bool thorough);

/*
 * Find all functions, make them quiet, and take their BARs' sizes (decoding is off meanwhile, so that bridges and what else
 * the machine itself lives on is spared, and keeps sizes of 0). How many there are. Buses that no bridge leads to are looked at as a
 * whole if @thorough, else only if there is something in their first slot.
 */
unsigned int pci_scan(bool thorough);
const struct pci_device *pci_device(unsigned int index);

/* Configuration space: @reg is aligned to the access. */
u8 pci_read8(const struct pci_device *dev, u16 reg);
u16 pci_read16(const struct pci_device *dev, u16 reg);
u32 pci_read32(const struct pci_device *dev, u16 reg);
void pci_write8(const struct pci_device *dev, u16 reg, u8 value);
void pci_write16(const struct pci_device *dev, u16 reg, u16 value);
void pci_write32(const struct pci_device *dev, u16 reg, u32 value);

/* How mechanism #1 is reached: @address is what goes to port 0xcf8. */
struct pci_ports {
	u32 (*read)(u32 address, unsigned int offset, unsigned int len);
	void (*write)(u32 address, unsigned int offset, unsigned int len, u32 value);
};

/* For host tests, which have no ports. */
void pci_use_ports(const struct pci_ports *ports);

/* The first capability @id behind offset @after (0: of all); 0: none. */
u8 pci_find_cap(const struct pci_device *dev, u8 id, u8 after);

/*
 * Decoding of memory and ports, and bus mastering, on; the pin's interrupt off if @intx is not wanted. What
 * has BARs that the firmware has not placed is not decoded.
 */
void pci_enable(const struct pci_device *dev, bool intx);

/* Its pin stays silent, whatever it wants to say: nobody would listen. */
void pci_silence(const struct pci_device *dev);

/* "00:1f.2" into @text, of 16 bytes at least. */
const char *pci_name(const struct pci_device *dev, char *text, size_t size);

#endif
