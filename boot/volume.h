/* SPDX-License-Identifier: BSD-2-Clause */
/* The files on the volume that lintel.efi was started from. */
#ifndef BOOT_VOLUME_H
#define BOOT_VOLUME_H

#include "lib/types.h"
#include "vmm/config.h"

/*
 * Find lintel.conf: in the folder of lintel.efi, else in \EFI\lintel. Its folder is what all
 * paths are relative to. False when there is none, which has been printed.
 */
bool volume_open(void) __must_check;

/* The GUID of the GPT partition that it is on; false where it is on none. After volume_open. */
bool volume_partition(u8 *guid);

/*
 * Read @path ('/' or '\' between names) into page-aligned memory of our own, which stays, the
 * rest of its last page cleared. NULL on success, else what is wrong with it. @who, unless NULL,
 * is told to wait: the file's size is printed before it is read.
 */
const char *volume_read(const char *who, const char *path, u64 max_size,
			struct boot_file *file) __must_check;

/* Give back the memory of a file. */
void volume_free(struct boot_file *file);

#endif
