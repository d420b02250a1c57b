/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot (version 1) images: 32-bit ELF, or raw with addresses in the header. */
#ifndef VMM_LOAD_MULTIBOOT_H
#define VMM_LOAD_MULTIBOOT_H

#include "vmm/load/guest_image.h"

/* Is there a Multiboot header with a right checksum in the first 8 KiB? */
bool multiboot_find(const u8 *data, u64 size);

/* As guest_image_load, of a kernel in which multiboot_find has found a header. */
int multiboot_boot(const struct guest_mem *mem, const struct guest_files *files,
		   struct guest_entry *entry, struct image_error *err) __must_check;

#endif
