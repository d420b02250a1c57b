/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of the firmware, and the table of what memory is ours from then on. */
#ifndef BOOT_HANDOVER_H
#define BOOT_HANDOVER_H

#include "vmm/boot_info.h"

/*
 * ExitBootServices. From here on no EFI call is possible; interrupts are off. False when the
 * firmware refuses, which has been printed.
 */
bool handover_exit(void) __must_check;

/*
 * Fill @info->range from the firmware's last memory map, the files of @info->config and what we
 * stand on. After handover_exit. False when it cannot be told apart, which has been printed.
 */
bool handover_memory(struct boot_info *info) __must_check;

#endif
