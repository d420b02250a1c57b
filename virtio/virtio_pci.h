/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtio over PCI: a modern device, without the legacy interface. Virtio 1.2, "Virtio Over PCI Bus".
 *
 *	BAR 0   I/O      notify: the queue's number as 16 bits. A port exit needs no decoder.
 *	BAR 1   memory   common configuration, ISR, notify, device configuration
 *	BAR 2   memory   MSI-X table and pending bits
 *
 * Interrupts are MSI-X or, while that is off, the pin: level-triggered, until ISR is read.
 */
#ifndef VIRTIO_VIRTIO_PCI_H
#define VIRTIO_VIRTIO_PCI_H

#include "virtio/msix.h"
#include "virtio/pci_function.h"
#include "virtio/virtio.h"

enum virtio_pci_bar { VIRTIO_PCI_NOTIFY_BAR, VIRTIO_PCI_REGISTER_BAR, VIRTIO_PCI_MSIX_BAR };

#define VIRTIO_PCI_BARS        3
#define VIRTIO_PCI_NOTIFY_SIZE 16
#define VIRTIO_PCI_MMIO_SIZE   4096 /* of either memory BAR */

/* In BAR 1, kicks and what follows them: a kick is 16 bits. */
#define VIRTIO_PCI_REG_NOTIFY 0x200
#define VIRTIO_PCI_REG_DEVICE 0x400

struct virtio_pci {
	struct pci_function pci; /* bar_moved is for the machine to fill */
	struct msix msix;
	struct virtio_device *dev;
	u32 device_feature_select, driver_feature_select;
	u16 queue_select;
	u16 config_vector;
	u8 isr;
	u8 msix_cap, window_cap; /* offsets of two capabilities */
};

/* @dev, initialised, gets its transport. Vectors: one for each queue and one for the configuration. */
void virtio_pci_init(struct virtio_pci *vp, struct virtio_device *dev);

/* Configuration space; @dev is the struct virtio_pci. */
u32 virtio_pci_config_read(void *dev, u8 reg, u8 size);
void virtio_pci_config_write(void *dev, u8 reg, u8 size, u32 value);

/* What the BARs hold; dev is the struct virtio_pci. */
extern const struct pio_ops virtio_pci_notify_pio;
extern const struct mmio_ops virtio_pci_register_mmio;
extern const struct mmio_ops virtio_pci_msix_mmio;

#endif
