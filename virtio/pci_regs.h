/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration space, type 0. PCI Local Bus Specification 3.0, "Configuration Space Organization". */
#ifndef VIRTIO_PCI_REGS_H
#define VIRTIO_PCI_REGS_H

#define PCI_VENDOR_ID           0x00
#define PCI_DEVICE_ID           0x02
#define PCI_COMMAND             0x04
#define PCI_STATUS              0x06
#define PCI_REVISION_ID         0x08
#define PCI_CLASS               0x09 /* three bytes */
#define PCI_CACHE_LINE          0x0c
#define PCI_BAR0                0x10
#define PCI_SUBSYSTEM_VENDOR    0x2c
#define PCI_SUBSYSTEM_ID        0x2e
#define PCI_CAPABILITIES        0x34
#define PCI_INTERRUPT_LINE      0x3c
#define PCI_INTERRUPT_PIN       0x3d
#define PCI_HEADER_END          0x40

#define PCI_COMMAND_IO          0x0001
#define PCI_COMMAND_MEMORY      0x0002
#define PCI_COMMAND_MASTER      0x0004
#define PCI_COMMAND_NO_INTX     0x0400

#define PCI_STATUS_INTERRUPT    0x0008
#define PCI_STATUS_CAPABILITIES 0x0010

#define PCI_BAR_IO              0x1

#define PCI_CAP_MSIX            0x11
#define PCI_CAP_VENDOR          0x09

/* The MSI-X capability: message control, then where table and pending bits are. */
#define PCI_MSIX_CONTROL  2
#define PCI_MSIX_TABLE    4
#define PCI_MSIX_PBA      8
#define PCI_MSIX_SIZE     12

#define PCI_MSIX_ENABLE   0x8000
#define PCI_MSIX_MASK_ALL 0x4000

#endif
