/* SPDX-License-Identifier: BSD-2-Clause */
/* The network card of a virtual machine that Lintel itself runs in: virtio-net, modern, one pair of queues. */
#ifndef DRIVERS_VIRTIO_NET_DRV_H
#define DRIVERS_VIRTIO_NET_DRV_H

#include "drivers/hostdev.h"

/* PCI device numbers of vendor 0x1af4: transitional, and modern only. */
#define VIRTIO_NET_PCI_TRANSITIONAL 0x1000
#define VIRTIO_NET_PCI_MODERN       0x1041

/* Bring @pci up, and show it by env->add_nic. -errno, and said why. */
int virtio_net_probe(const struct pci_device *pci, const struct hostdev_env *env);

#endif
