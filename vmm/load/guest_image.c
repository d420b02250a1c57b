/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/guest_image.h"
#include "lib/errno.h"
#include "vmm/load/linux_boot.h"
#include "vmm/load/multiboot.h"

int guest_image_load(const struct guest_mem *mem, const struct guest_files *files,
		     struct guest_entry *entry, struct image_error *err)
{
	const u8 *data = files->kernel.data;
	const u64 size = files->kernel.size;

	if (!data || !size)
		return image_fail(err, -ENOEXEC, "kernel", "the file is empty");
	/* Multiboot before vmlinux: its header says outright what it is meant for. */
	if (!linux_is_bzimage(data, size) && multiboot_find(data, size))
		return multiboot_boot(mem, files, entry, err);
	if (files->modules)
		return image_fail(
			err, -EINVAL, "module",
			"%s is no Multiboot image, and takes none: a Linux has one initrd, by "
			"initrd = FILE",
			files->module[0].path);
	if (linux_is_bzimage(data, size))
		return linux_boot(mem, files, LINUX_BZIMAGE, entry, err);
	if (elf_identify(data, size) == ELF_64)
		return linux_boot(mem, files, LINUX_VMLINUX, entry, err);
	if (elf_identify(data, size) == ELF_32)
		return image_fail(err, -ENOEXEC, "kernel",
				  "a 32-bit ELF without a Multiboot header");
	return image_fail(err, -ENOEXEC, "kernel",
			  "not a Linux bzImage, ELF vmlinux or Multiboot image");
}
