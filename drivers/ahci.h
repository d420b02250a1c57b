/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SATA disks behind an AHCI controller (class 01.06.01): queued commands where disk and controller have them. Disks
 * need 48-bit addresses, the controller 64-bit ones. No port multipliers, no ATAPI.
 */
#ifndef DRIVERS_AHCI_H
#define DRIVERS_AHCI_H

#include "drivers/hostdev.h"

#define AHCI_PCI_CLASS 0x010601

/* Bring @pci up, and show its disks by env->add_disk. -errno, and said why; no disk is no error. */
int ahci_probe(const struct pci_device *pci, const struct hostdev_env *env);

#endif
