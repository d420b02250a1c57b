/* SPDX-License-Identifier: BSD-2-Clause */
/* What the firmware says of the machine. */
#ifndef BOOT_PLATFORM_H
#define BOOT_PLATFORM_H

#include "vmm/boot_info.h"

/* The graphics output's framebuffer, with base 0 when there is none that can be written to. */
struct boot_framebuffer platform_framebuffer(void);

/* The physical address of the ACPI root pointer, of revision 2 if there is one; 0 = none. */
hpa_t platform_acpi_rsdp(void);

bool platform_secure_boot(void);

/* Maker and revision of the firmware, in @text of @size bytes. */
void platform_firmware(char *text, size_t size);

#endif
