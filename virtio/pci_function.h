/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI function of an emulated device: configuration space, base address registers, the list of
 * capabilities. It has a header of type 0, one interrupt pin at most, and 32-bit BARs.
 */
#ifndef VIRTIO_PCI_FUNCTION_H
#define VIRTIO_PCI_FUNCTION_H

#include "lib/types.h"
#include "virtio/pci_regs.h"

#define PCI_BARS    6
#define PCI_NOWHERE (~0u) /* where a BAR is that does not decode */

struct pci_function {
	u8 space[256];
	u8 writable[256]; /* the bits that the guest can change */
	u32 bar_size[PCI_BARS];
	u32 bar_at[PCI_BARS]; /* where it answers now */
	/* BAR @bar answers at @base from now on, or PCI_NOWHERE: by a write of BAR or command register. */
	void (*bar_moved)(void *ctx, unsigned int bar, u32 base);
	void *ctx;
	u8 last_cap, next_cap;
};

struct pci_identity {
	u16 vendor, device, subsystem_vendor, subsystem;
	u32 class; /* class, subclass, programming interface */
	u8 revision;
};

void pci_function_init(struct pci_function *f, const struct pci_identity *id);

/* Set-up: a BAR of @size bytes (a power of two, 16 or more; an I/O BAR 256 at most). */
void pci_function_add_bar(struct pci_function *f, unsigned int bar, u32 size, bool io);

/* Set-up: append a capability of @len bytes, all 0 and read-only but for its header; its offset. */
u8 pci_function_add_cap(struct pci_function *f, u8 id, u8 len);

/* The firmware's part: where a BAR lies, which line the pin is wired to (pin 1 is INTA). */
void pci_function_place(struct pci_function *f, unsigned int bar, u32 base);
void pci_function_route(struct pci_function *f, u8 pin, u8 line);

/* Accesses of @size bytes (1 to 4) within an aligned dword, as a bus makes them. */
u32 pci_function_read(const struct pci_function *f, u8 reg, u8 size);
void pci_function_write(struct pci_function *f, u8 reg, u8 size, u32 value);

/* Words of the space for the device itself, writable or not. */
u16 pci_get16(const struct pci_function *f, u8 reg);
u32 pci_get32(const struct pci_function *f, u8 reg);
void pci_set16(struct pci_function *f, u8 reg, u16 value);
void pci_set32(struct pci_function *f, u8 reg, u32 value);

#endif
