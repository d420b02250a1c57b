/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/multiboot.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmm/load/e820.h"
#include "vmm/load/elf.h"
#include "vmm/load/lowmem.h"

#define SEARCH_BYTES 8192
#define HEADER_MAGIC 0x1badb002
#define LOADER_MAGIC 0x2badb002 /* EAX at the entry */

/* Header flags. Bits 0-15 must be understood by the loader, the others may be ignored. */
#define HEADER_PAGE_ALIGN BIT(0) /* of modules */
#define HEADER_MEMORY     BIT(1)
#define HEADER_REQUIRED   GENMASK(15, 0)
#define HEADER_ADDRESSES  BIT(16) /* the address fields are there */

/* Which parts of struct mb_info are valid. */
#define INFO_MEMORY      BIT(0)
#define INFO_CMDLINE     BIT(2)
#define INFO_MODULES     BIT(3)
#define INFO_MMAP        BIT(6)
#define INFO_LOADER_NAME BIT(9)

struct mb_header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

#define HEADER_MIN 12 /* without the addresses */

struct mb_info {
	u32 flags;
	u32 mem_lower, mem_upper; /* KiB below 1 MiB, and from there to the first hole */
	u32 boot_device;
	u32 cmdline;
	u32 mods_count, mods_addr;
	u32 syms[4];
	u32 mmap_length, mmap_addr;
	u32 drives_length, drives_addr;
	u32 config_table;
	u32 boot_loader_name;
	u32 apm_table;
	u32 vbe[4];
};

struct mb_module {
	u32 start, end, string, reserved;
};

struct mb_mmap {
	u32 size; /* of what follows */
	struct e820_entry entry;
} __packed;

/* What EBX leads to: a page, */
struct mb_page {
	struct mb_info info;
	struct mb_mmap mmap[E820_MAX];
	char loader_name[8];
};

/* and one more if there are modules: the initrd, whose string is empty, and the others. */
struct mb_modules {
	struct mb_module module[1 + CONFIG_MAX_MODULES];
	char string[1 + CONFIG_MAX_MODULES][CONFIG_MODULE_LEN];
};

_Static_assert(sizeof(struct mb_header) == 32, "Multiboot header");
_Static_assert(offsetof(struct mb_info, boot_loader_name) == 64, "boot_loader_name");
_Static_assert(sizeof(struct mb_info) == 88, "Multiboot information");
_Static_assert(sizeof(struct mb_mmap) == 24, "Multiboot memory map entry");
_Static_assert(sizeof(struct mb_page) <= PAGE_SIZE, "one page");
_Static_assert(sizeof(struct mb_modules) <= PAGE_SIZE, "another page");

#define PAGE_ADDR(member) ((u32)(LOWMEM_INFO + offsetof(struct mb_page, member)))

struct mb_image {
	struct mb_header header;
	u64 header_offset;
	gpa_t entry, base, end;
	unsigned int segments;
	struct load_segment segment[ELF_MAX_SEGMENTS];
};

#define fail(err, ...) image_fail((err), -ENOEXEC, "kernel", __VA_ARGS__)

/* Find the header; the address fields are 0 where the file ends before them. */
static bool find_header(struct mb_image *image, const u8 *data, u64 size)
{
	struct mb_header *h = &image->header;
	const u64 end = MIN(size, (u64)SEARCH_BYTES);

	for (u64 at = 0; at + HEADER_MIN <= end; at += 4) {
		*h = (struct mb_header){ 0 };
		memcpy(h, data + at, MIN(sizeof(*h), size - at));
		if (h->magic == HEADER_MAGIC && !(h->magic + h->flags + h->checksum)) {
			image->header_offset = at;
			return true;
		}
	}
	return false;
}

bool multiboot_find(const u8 *data, u64 size)
{
	struct mb_image image;

	return find_header(&image, data, size);
}

static int check_flags(const struct mb_image *image, struct image_error *err)
{
	const u32 unknown =
		image->header.flags & HEADER_REQUIRED & ~(HEADER_PAGE_ALIGN | HEADER_MEMORY);

	if (unknown)
		return fail(err,
			    "the Multiboot header requires %s (flags %#x), which is not offered",
			    unknown == BIT(2) ? "a video mode" : "unknown features",
			    image->header.flags);
	return 0;
}

/*
 * The header's own addresses: one piece of the file, placed such that the header comes to lie at
 * header_addr, then a bss.
 */
static int parse_addresses(struct mb_image *image, u64 size, struct image_error *err)
{
	const struct mb_header *h = &image->header;
	const u64 before = (u64)h->header_addr - h->load_addr; /* bytes loaded before the header */
	u64 offset, filesz, memsz;

	if (h->load_addr > h->header_addr || before > image->header_offset)
		return fail(err, "Multiboot load_addr %#x does not fit header_addr %#x at byte %lu",
			    h->load_addr, h->header_addr, image->header_offset);
	offset = image->header_offset - before;
	filesz = h->load_end_addr ? (u64)h->load_end_addr - h->load_addr : size - offset;
	if (h->load_end_addr && h->load_end_addr < h->load_addr)
		return fail(err, "Multiboot load_end_addr %#x lies below load_addr %#x",
			    h->load_end_addr, h->load_addr);
	if (filesz > size - offset)
		return fail(err,
			    "truncated: the Multiboot header says %lu bytes from byte %lu, "
			    "the file has %lu bytes",
			    filesz, offset, size);
	memsz = h->bss_end_addr ? (u64)h->bss_end_addr - h->load_addr : filesz;
	if (h->bss_end_addr && (h->bss_end_addr < h->load_addr || memsz < filesz))
		return fail(err, "Multiboot bss_end_addr %#x lies below the end of the data",
			    h->bss_end_addr);
	if (h->entry_addr < h->load_addr || h->entry_addr - h->load_addr >= memsz)
		return fail(err, "Multiboot entry_addr %#x lies outside what is loaded",
			    h->entry_addr);
	image->segment[0] = (struct load_segment){ offset, filesz, h->load_addr, memsz };
	image->segments = 1;
	image->base = h->load_addr;
	image->end = h->load_addr + memsz;
	image->entry = h->entry_addr;
	return 0;
}

static int parse_elf(struct mb_image *image, const struct boot_file *file, struct image_error *err)
{
	struct elf_image elf;
	int error;

	if (elf_identify(file->data, file->size) == ELF_64)
		return fail(err, "a Multiboot image in a 64-bit ELF, expected a 32-bit one");
	if (elf_identify(file->data, file->size) != ELF_32)
		return fail(err, "a Multiboot header without addresses (flags %#x) and no ELF",
			    image->header.flags);
	error = elf_parse(&elf, ELF_32, file->data, file->size, err);
	if (error)
		return error;
	image->entry = elf.entry;
	image->base = elf.base;
	image->end = elf.end;
	image->segments = elf.segments;
	memcpy(image->segment, elf.segment, sizeof(elf.segment));
	return 0;
}

static int parse(struct mb_image *image, const struct boot_file *file, struct image_error *err)
{
	int error;

	if (!find_header(image, file->data, file->size))
		return fail(err, "no Multiboot header in the first %u bytes", SEARCH_BYTES);
	error = check_flags(image, err);
	if (error)
		return error;
	if (image->header.flags & HEADER_ADDRESSES)
		return parse_addresses(image, file->size, err);
	return parse_elf(image, file, err);
}

/* A module goes to the first page above *@end, which then is its end. */
static int load_module(const struct guest_mem *mem, const struct boot_file *file, const char *text,
		       gpa_t *end, struct mb_info *info, struct image_error *err)
{
	const gpa_t start = ALIGN_UP(*end, PAGE_SIZE), top = guest_low_ram_end(mem);
	const gpa_t list = LOWMEM_MODULES, n = info->mods_count;
	const gpa_t string = list + offsetof(struct mb_modules, string) + n * CONFIG_MODULE_LEN;
	const struct mb_module module = {
		.start = lower_32(start),
		.end = lower_32(start + file->size),
		.string = lower_32(string),
	};

	if (start > top || file->size > top - start ||
	    !guest_write(mem, start, file->data, file->size))
		return image_fail(
			err, -ENOMEM, *text ? "module" : "initrd",
			"%lu bytes do not fit between the end of what is below at %#lx and "
			"the end of the VM's memory at %#lx",
			file->size, start, top);
	if (!guest_write(mem, list + n * sizeof(module), &module, sizeof(module)) ||
	    !guest_write(mem, string, text, strlen(text) + 1))
		return image_fail(err, -ENOMEM, "memory", "no RAM in the first 640 KiB");
	*end = start + file->size;
	info->flags |= INFO_MODULES;
	info->mods_count++;
	info->mods_addr = LOWMEM_MODULES;
	return 0;
}

static int load_modules(const struct guest_mem *mem, const struct guest_files *files, gpa_t end,
			struct mb_info *info, struct image_error *err)
{
	int error = 0;

	if (files->initrd.data && files->initrd.size)
		error = load_module(mem, &files->initrd, "", &end, info, err);
	for (unsigned int i = 0; i < files->modules && !error; i++)
		error = load_module(mem, &files->module[i].file, files->module[i].text, &end, info,
				    err);
	return error;
}

static void fill_info(const struct guest_mem *mem, struct mb_page *page)
{
	struct e820_entry map[E820_MAX];
	const unsigned int n = e820_build(mem, map);

	for (unsigned int i = 0; i < n; i++)
		page->mmap[i] = (struct mb_mmap){ sizeof(map[i]), map[i] };
	memcpy(page->loader_name, "lintel", sizeof("lintel"));

	page->info.flags |= INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_LOADER_NAME;
	page->info.mem_lower = LOWMEM_USABLE_END / 1024;
	page->info.mem_upper = (u32)((guest_low_ram_end(mem) - MIB(1)) / 1024);
	page->info.cmdline = LOWMEM_CMDLINE;
	page->info.mmap_addr = PAGE_ADDR(mmap);
	page->info.mmap_length = n * (u32)sizeof(page->mmap[0]);
	page->info.boot_loader_name = PAGE_ADDR(loader_name);
}

int multiboot_boot(const struct guest_mem *mem, const struct guest_files *files,
		   struct guest_entry *entry, struct image_error *err)
{
	struct mb_page page = { 0 };
	struct mb_image image;
	int error;

	if (strlen(files->cmdline) >= LOWMEM_CMDLINE_SIZE)
		return image_fail(err, -E2BIG, "cmdline", "%zu bytes long, at most %u are possible",
				  strlen(files->cmdline), LOWMEM_CMDLINE_SIZE - 1);
	error = parse(&image, &files->kernel, err);
	if (!error)
		error = guest_check_place(mem, image.base, image.end - image.base, err);
	if (!error)
		error = load_modules(mem, files, image.end, &page.info, err);
	if (!error)
		error = guest_load_segments(mem, files->kernel.data, image.segment, image.segments,
					    err);
	if (error)
		return error;
	fill_info(mem, &page);
	if (!lowmem_write(mem, GUEST_PROT32, files->cmdline, entry) ||
	    !guest_write(mem, LOWMEM_INFO, &page, sizeof(page)))
		return image_fail(err, -ENOMEM, "memory", "no RAM in the first 640 KiB");
	entry->rip = image.entry;
	entry->rax = LOADER_MAGIC;
	entry->rbx = LOWMEM_INFO;
	return 0;
}
