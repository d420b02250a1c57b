/* SPDX-License-Identifier: BSD-2-Clause */
/* The disk of a virtual machine that Lintel itself runs in: virtio-blk, modern, one queue. */
#ifndef DRIVERS_VIRTIO_BLK_DRV_H
#define DRIVERS_VIRTIO_BLK_DRV_H

#include "drivers/hostdev.h"

/* PCI device numbers of vendor 0x1af4: transitional, and modern only. */
#define VIRTIO_BLK_PCI_TRANSITIONAL 0x1001
#define VIRTIO_BLK_PCI_MODERN       0x1042

/* Bring @pci up, and show its disk by env->add_disk. -errno, and said why. */
int virtio_blk_probe(const struct pci_device *pci, const struct hostdev_env *env);

#endif
