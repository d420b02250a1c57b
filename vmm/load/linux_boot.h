/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux's 64-bit boot protocol: the kernel and what it is told, in guest memory. */
#ifndef VMM_LOAD_LINUX_BOOT_H
#define VMM_LOAD_LINUX_BOOT_H

#include "vmm/load/guest_image.h"
#include "vmm/load/linux_image.h"

/* As guest_image_load, of a kernel that is of this kind. */
int linux_boot(const struct guest_mem *mem, const struct guest_files *files, enum linux_kind kind,
	       struct guest_entry *entry, struct image_error *err) __must_check;

#endif
