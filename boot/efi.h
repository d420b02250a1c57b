/* SPDX-License-Identifier: BSD-2-Clause */
/* The firmware, for the files of boot/ that talk to it; all of it is gone after ExitBootServices. */
#ifndef BOOT_EFI_H
#define BOOT_EFI_H

#include <efi.h>

extern EFI_HANDLE efi_image;
extern EFI_SYSTEM_TABLE *efi;
#define BS (efi->BootServices)
#define RT (efi->RuntimeServices)

/* An UTF-16 constant where the firmware's prototypes forget to say const. */
#define EFI_STRING(s) ((CHAR16 *)(uintptr_t)(u##s))

#endif
