/* SPDX-License-Identifier: BSD-2-Clause */
/* From the files that a VM's section names to a guest that is ready to run. */
#ifndef VMM_LOAD_GUEST_IMAGE_H
#define VMM_LOAD_GUEST_IMAGE_H

#include "lib/guest_mem.h"
#include "vmm/load/guest_entry.h"
#include "vmm/load/image_error.h"
#include "vmm/config.h"

struct guest_files {
	struct boot_file kernel;
	struct boot_file initrd;            /* data NULL: none. For Multiboot its first module */
	const struct module_config *module; /* further ones, for Multiboot alone */
	unsigned int modules;               /* at most CONFIG_MAX_MODULES */
	const char *cmdline;                /* never NULL */
	gpa_t acpi_rsdp;                    /* told to Linux; 0 = it is to search for it */
};

/*
 * Recognise the kernel (Linux bzImage, Linux vmlinux, Multiboot), check it, put everything into
 * guest memory and say in @entry how to start. The RAM is zero before, and has no gap below
 * 640 KiB. On failure a -errno, with the reason in @err; nothing is printed, and the RAM may have
 * been written.
 */
int guest_image_load(const struct guest_mem *mem, const struct guest_files *files,
		     struct guest_entry *entry, struct image_error *err) __must_check;

#endif
