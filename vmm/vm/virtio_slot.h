/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A slot of the guest's PCI bus with a virtio device in it: what virtio/ asks of the machine, and
 * what a firmware does for a card: its BARs have addresses, its pin a line.
 */
#ifndef VMM_VM_VIRTIO_SLOT_H
#define VMM_VM_VIRTIO_SLOT_H

#include "virtio/virtio_pci.h"
#include "vmm/pc/mmio_bus.h"
#include "vmm/pc/pio.h"
#include "vmm/pc/vpci.h"

/* The windows of the PCI bus, and the lines of its pins: as ssdt_pci.asl says. */
#define PCI_IO_BASE         0xc000u
#define PCI_IO_PER_SLOT     0x20u
#define PCI_MEMORY_BASE     0xe0000000u
#define PCI_MEMORY_PER_SLOT 0x10000u
#define PCI_LINE_FIRST      10
#define PCI_LINES           2
#define PCI_SLOTS           17 /* 0 is the host bridge's */

struct vm;

struct virtio_slot {
	struct vm *vm;
	unsigned int number;
	struct virtio_host host;
	struct virtio_pci pci;
	struct vpci_function function;
	struct pio_range *notify;
	struct mmio_range *registers, *msix;
};

/* Fill slot->host, for the device's own init. @number is 1 to PCI_SLOTS - 1. */
void virtio_slot_init(struct virtio_slot *slot, struct vm *vm, unsigned int number);

/* Plug @dev in. @name is for the table of exits, and stays the caller's. */
void virtio_slot_plug(struct virtio_slot *slot, struct virtio_device *dev, const char *name);

/* For who stands between (virtio_watch.c): the machine's end of an interrupt; @ctx is the slot. */
void virtio_slot_msi(void *ctx, u64 address, u32 data);
void virtio_slot_intx(void *ctx, bool level);

#endif
