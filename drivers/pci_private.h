/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration space, as the files of drivers/pci see it. */
#ifndef DRIVERS_PCI_PRIVATE_H
#define DRIVERS_PCI_PRIVATE_H

#include "drivers/pci.h"

#define REG_VENDOR      0x00
#define REG_DEVICE      0x02
#define REG_COMMAND     0x04
#define REG_STATUS      0x06
#define REG_REVISION    0x08 /* and the class, in the upper 24 bits */
#define REG_HEADER      0x0e
#define REG_BAR(n)      (u16)(0x10 + 4 * (n))
#define REG_CAPS        0x34
#define REG_SECONDARY   0x19 /* of a bridge: the bus behind it, and the last one behind that */
#define REG_SUBORDINATE 0x1a
#define REG_IRQ_LINE    0x3c
#define REG_IRQ_PIN     0x3d

#define COMMAND_IO      0x0001
#define COMMAND_MEMORY  0x0002
#define COMMAND_MASTER  0x0004
#define COMMAND_NO_PIN  0x0400 /* "Interrupt Disable" */
#define STATUS_CAPS     0x0010

#define HEADER_TYPE     0x7f
#define HEADER_BRIDGE   0x01
#define HEADER_CARDBUS  0x02
#define HEADER_MULTI    0x80

#define CLASS_DISPLAY   0x03

/* Of MSI and MSI-X. */
#define CAP_CONTROL  2
#define MSI_ENABLE   0x0001
#define MSIX_ENABLE  0x8000

#define BAR_IO       0x1
#define BAR_TYPE     0x6
#define BAR_64       0x4
#define BAR_IO_MASK  0xfffffffcu
#define BAR_MEM_MASK 0xfffffff0u

#define CAPS_FIRST   0x40
#define CAPS_MAX     48 /* so many fit behind the header */

#define ECAM_MAX     16
#define BUSES        256
#define SLOTS        32
#define FUNCTIONS    8

struct pci_ecam {
	u16 segment;
	u8 first_bus, last_bus;
	u8 *base;
};

/* In the order in which they came; NULL: no more. */
const struct pci_ecam *pci_ecam(unsigned int index);

#endif
