/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NVMe controllers (class 01.08.02): namespace 1 as a disk, one pair of I/O queues. Logical blocks of 512 to
 * 4096 bytes without metadata.
 */
#ifndef DRIVERS_NVME_H
#define DRIVERS_NVME_H

#include "drivers/hostdev.h"

#define NVME_PCI_CLASS 0x010802

/* Bring @pci up, and show its disk by env->add_disk. -errno, and said why. */
int nvme_probe(const struct pci_device *pci, const struct hostdev_env *env);

#endif
