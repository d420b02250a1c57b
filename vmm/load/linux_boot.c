/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/linux_boot.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmm/load/e820.h"
#include "vmm/load/lowmem.h"

#define TYPE_OF_LOADER_UNDEFINED 0xff /* a loader without a number of its own */

/* boot_params ("zero page"): the fields that we use. The rest of the page is zero. */
struct boot_params {
	u8 unused_000[0x70];
	u64 acpi_rsdp_addr;
	u8 unused_078[0x1e8 - 0x78];
	u8 e820_entries;
	u8 unused_1e9[LINUX_HDR_OFFSET - 0x1e9];
	struct linux_setup_header hdr;
	u8 unused_290[0x2d0 - LINUX_HDR_END];
	struct e820_entry e820_table[E820_MAX];
} __packed;

_Static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x070, "acpi_rsdp_addr");
_Static_assert(offsetof(struct boot_params, e820_entries) == 0x1e8, "e820_entries");
_Static_assert(offsetof(struct boot_params, hdr) == LINUX_HDR_OFFSET, "hdr");
_Static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "e820_table");
_Static_assert(sizeof(struct boot_params) <= 0xcd0, "128 entries is the most");

static int check_cmdline(const struct linux_setup_header *hdr, const char *cmdline,
			 struct image_error *err)
{
	const u64 max = MIN((u64)hdr->cmdline_size, (u64)LOWMEM_CMDLINE_SIZE - 1);
	const size_t len = strlen(cmdline);

	if (len > max)
		return image_fail(err, -E2BIG, "cmdline", "%zu bytes long, this kernel takes %lu",
				  len, max);
	return 0;
}

/*
 * As high as the kernel allows, so that it does not stand in the way of the kernel's own memory;
 * below the PCI hole.
 */
static int place_initrd(const struct guest_mem *mem, const struct linux_image *image, u64 size,
			gpa_t *where, struct image_error *err)
{
	const gpa_t limit = image->hdr.initrd_addr_max + 1ULL;
	const gpa_t top = MIN(limit, guest_low_ram_end(mem));
	const gpa_t bottom = ALIGN_UP(image->base + image->init_size, PAGE_SIZE);

	if (top < bottom || size > top - bottom)
		return image_fail(err, -ENOMEM, "initrd",
				  "%lu bytes do not fit between the kernel's end at %#lx and %#lx, "
				  "the end of %s",
				  size, bottom, top,
				  top == limit ? "what the kernel takes" : "the VM's memory");
	*where = ALIGN_DOWN(top - size, PAGE_SIZE);
	return 0;
}

static int load_initrd(const struct guest_mem *mem, const struct boot_file *initrd,
		       struct linux_image *image, struct image_error *err)
{
	gpa_t where = 0;
	int error;

	if (!initrd->data || !initrd->size)
		return 0;
	error = place_initrd(mem, image, initrd->size, &where, err);
	if (error)
		return error;
	if (!guest_write(mem, where, initrd->data, initrd->size))
		return image_fail(err, -ENOMEM, "memory", "no RAM at %#lx for the initrd", where);
	image->hdr.ramdisk_image = lower_32(where); /* below initrd_addr_max, which has 32 bits */
	image->hdr.ramdisk_size = lower_32(initrd->size);
	return 0;
}

static bool write_boot_params(const struct guest_mem *mem, const struct linux_setup_header *hdr,
			      gpa_t acpi_rsdp)
{
	struct boot_params params = { .acpi_rsdp_addr = acpi_rsdp, .hdr = *hdr };

	params.hdr.type_of_loader = TYPE_OF_LOADER_UNDEFINED;
	params.hdr.cmd_line_ptr = LOWMEM_CMDLINE;
	params.hdr.setup_data = 0;
	params.e820_entries = (u8)e820_build(mem, params.e820_table);
	return guest_clear(mem, LOWMEM_INFO, PAGE_SIZE) &&
	       guest_write(mem, LOWMEM_INFO, &params, sizeof(params));
}

static int parse(struct linux_image *image, enum linux_kind kind, const struct boot_file *kernel,
		 struct image_error *err)
{
	if (kind == LINUX_BZIMAGE)
		return linux_parse_bzimage(image, kernel->data, kernel->size, err);
	return linux_parse_vmlinux(image, kernel->data, kernel->size, err);
}

int linux_boot(const struct guest_mem *mem, const struct guest_files *files, enum linux_kind kind,
	       struct guest_entry *entry, struct image_error *err)
{
	struct linux_image image;
	int error;

	error = parse(&image, kind, &files->kernel, err);
	if (!error)
		error = check_cmdline(&image.hdr, files->cmdline, err);
	if (!error)
		error = guest_check_place(mem, image.base, image.init_size, err);
	if (!error)
		error = load_initrd(mem, &files->initrd, &image, err);
	if (!error)
		error = guest_load_segments(mem, files->kernel.data, image.segment, image.segments,
					    err);
	if (error)
		return error;
	if (!lowmem_write(mem, GUEST_LONG64, files->cmdline, entry) ||
	    !write_boot_params(mem, &image.hdr, files->acpi_rsdp))
		return image_fail(err, -ENOMEM, "memory", "no RAM in the first 640 KiB");
	entry->rip = image.entry;
	entry->rsi = LOWMEM_INFO;
	return 0;
}
