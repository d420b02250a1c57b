/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernels and initial RAM disks that lintel.conf names. */
#ifndef BOOT_IMAGES_H
#define BOOT_IMAGES_H

#include "vmm/config.h"

/* Load the files of all VMs; one that cannot be had makes its VM bad, and the others go on. */
void images_load(struct config *cfg);

#endif
