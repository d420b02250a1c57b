/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ATA disks on an IDE controller with bus-master DMA, as in the PIIX3: two channels of two drives, in compatibility
 * mode (ports 0x1f0 and 0x170, ISA interrupts 14 and 15) or native mode (BARs, the pin). Drives that are not disks,
 * or cannot do DMA, are left alone. AT Attachment - 8 (ATA8-ACS, ATA8-APT); "Programming Interface for Bus Master
 * IDE Controller".
 */
#ifndef DRIVERS_IDE_H
#define DRIVERS_IDE_H

#include "drivers/hostdev.h"

/* For functions of class 0x0101. */
int ide_probe(const struct pci_device *pci, const struct hostdev_env *env);

/* How its ports are reached: for host tests, which have none. */
struct ide_ports {
	u8 (*read8)(u16 port);
	u16 (*read16)(u16 port);
	void (*write8)(u16 port, u8 value);
	void (*write32)(u16 port, u32 value);
};
void ide_use_ports(const struct ide_ports *ports);

#endif
