/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux kernels: what is accepted, where it goes, what the kernel is told, and every refusal. */
#include "vmm/load/linux_boot.h"
#include "lib/errno.h"
#include "tests/unit/guest_ram.h"
#include "tests/unit/sample_images.h"
#include "vmm/load/e820.h"
#include "vmm/load/lowmem.h"

static struct guest_files files_of(const void *data, u64 size)
{
	return (struct guest_files){ .kernel = { data, size },
				     .cmdline = "console=ttyS0",
				     .acpi_rsdp = 0xe0000 };
}

static int load(u64 memory, const struct guest_files *files, struct image_error *err)
{
	struct guest_entry entry;
	struct guest_mem mem;
	int error;

	ram_init(&mem, memory);
	memset(err, 0, sizeof(*err));
	error = guest_image_load(&mem, files, &entry, err);
	ram_free(&mem);
	return error;
}

/* The page tables map each of the first 2048 large pages to itself, writable, and nothing else. */
static void check_page_tables(const struct guest_mem *mem, u64 cr3)
{
	const u64 pdpt = ram_u64(mem, cr3) & ~0xfffULL;

	for (unsigned int i = 1; i < 512; i++)
		assert_int_equal(ram_u64(mem, cr3 + i * 8), 0);
	for (unsigned int i = 4; i < 512; i++)
		assert_int_equal(ram_u64(mem, pdpt + i * 8), 0);
	for (u64 page = 0; page < 2048; page++) {
		const u64 pde = ram_u64(mem, pdpt + page / 512 * 8);

		assert_int_equal(pde & 0xfff, 3);
		assert_int_equal(ram_u64(mem, (pde & ~0xfffULL) + page % 512 * 8),
				 page << 21 | 0x83);
	}
}

/* e820: sorted, without overlap, RAM only where there is RAM, all of it above 1 MiB named. */
static void check_e820(const struct guest_mem *mem)
{
	const unsigned int n = *(const u8 *)ram_at(mem, LOWMEM_INFO + 0x1e8, 1);
	u64 end = 0, high = 0;

	assert_in_range(n, 4, 128);
	for (unsigned int i = 0; i < n; i++) {
		const gpa_t at = LOWMEM_INFO + 0x2d0 + i * 20;
		const u64 addr = ram_u64(mem, at), size = ram_u64(mem, at + 8);
		const u32 type = ram_u32(mem, at + 16);

		assert_true(size && addr >= end);
		end = addr + size;
		if (type == E820_RAM)
			assert_true(guest_mem_contains(mem, addr, size));
		if (type == E820_RAM && addr >= MIB(1))
			high += size;
		/* ACPI tables and the BIOS's data are never given away. */
		if (type == E820_RAM)
			assert_true(end <= 0x9fc00 || addr >= MIB(1));
	}
	assert_int_equal(high, guest_mem_size(mem) - MIB(1));
}

/* What holds for every Linux guest that has been loaded. */
static void check_loaded(const struct guest_mem *mem, const struct guest_files *files,
			 const struct guest_entry *entry)
{
	const gpa_t hdr = LOWMEM_INFO;

	assert_int_equal(entry->mode, GUEST_LONG64);
	assert_int_equal(entry->rsi, LOWMEM_INFO);
	assert_int_equal(entry->cs, 0x10);
	assert_int_equal(entry->ds, 0x18);
	assert_int_equal(entry->gdt_limit, 0x1f);
	assert_int_equal(ram_u64(mem, entry->gdt_base + 0x10), 0x00af9b000000ffff);
	assert_int_equal(ram_u64(mem, entry->gdt_base + 0x18), 0x00cf93000000ffff);
	check_page_tables(mem, entry->cr3);
	check_e820(mem);

	assert_int_equal(ram_u64(mem, hdr + 0x70), files->acpi_rsdp);
	assert_int_equal(*(const u8 *)ram_at(mem, hdr + 0x1ef, 1), 0); /* the sentinel */
	assert_int_equal(ram_u32(mem, hdr + 0x202), LINUX_HDR_MAGIC);
	assert_int_equal(*(const u8 *)ram_at(mem, hdr + 0x210, 1), 0xff);
	assert_string_equal(ram_at(mem, ram_u32(mem, hdr + 0x228), 4096), files->cmdline);
	assert_int_equal(ram_u32(mem, hdr + 0x21c), files->initrd.size);
	if (files->initrd.size)
		assert_memory_equal(ram_at(mem, ram_u32(mem, hdr + 0x218), files->initrd.size),
				    files->initrd.data, files->initrd.size);
	check_bios(mem);
}

/* A good bzImage is loaded at pref_address and entered at +0x200, its header carried over. */
static void test_bzimage(void **state)
{
	static const u8 initrd[5000] = "initrd";
	struct bzimage image;
	struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;

	(void)state;
	bzimage_init(&image);
	bzimage_hdr(&image)->setup_data = 0x1234; /* a list of the loader's, which we have not */
	files.initrd = (struct boot_file){ initrd, sizeof(initrd) };
	ram_init(&mem, MIB(64));
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	check_loaded(&mem, &files, &entry);
	assert_int_equal(entry.rip, MIB(16) + 0x200);
	assert_memory_equal(ram_at(&mem, MIB(16), BZIMAGE_CODE), image.bytes + BZIMAGE_SETUP,
			    BZIMAGE_CODE);
	assert_int_equal(ram_u32(&mem, LOWMEM_INFO + 0x260), MIB(4));
	assert_int_equal(ram_u64(&mem, LOWMEM_INFO + 0x250), 0);
	/* As high as it goes, on a page. */
	assert_int_equal(ram_u32(&mem, LOWMEM_INFO + 0x218), MIB(64) - 8192);
	ram_free(&mem);
}

/* The last paragraph of 16 bytes may be cut, as memtest86+ has it, but for what the compressed kernel has of it. */
static void test_bzimage_last_paragraph(void **state)
{
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;

	(void)state;
	for (unsigned int cut = 1; cut < 16; cut++) {
		struct bzimage image;
		struct guest_files files = files_of(&image, sizeof(image) - cut);

		bzimage_init(&image);
		ram_init(&mem, MIB(64));
		assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
		assert_memory_equal(ram_at(&mem, MIB(16), BZIMAGE_CODE - cut),
				    image.bytes + BZIMAGE_SETUP, BZIMAGE_CODE - cut);
		assert_int_equal(*(const u8 *)ram_at(&mem, MIB(16) + BZIMAGE_CODE - 1, 1), 0);
		ram_free(&mem);
		bzimage_hdr(&image)->payload_length = BZIMAGE_CODE - 0x100;
		assert_reason(load(MIB(64), &files, &err), &err, "kernel", "passes the end");
		files.kernel.size = sizeof(image) - 16;
		assert_reason(load(MIB(64), &files, &err), &err, "kernel", "truncated: ");
	}
}

/* A good vmlinux has its segments where it asks for them, the bss cleared, and a header made up. */
static void test_vmlinux(void **state)
{
	struct elf64 elf;
	struct guest_files files = files_of(&elf, sizeof(elf));
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;

	(void)state;
	elf64_init(&elf);
	ram_init(&mem, MIB(64));
	memset(mem.slot[0].host + MIB(17), 0xee, 0x6000);
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	check_loaded(&mem, &files, &entry);
	assert_int_equal(entry.rip, MIB(16) + 0x10);
	assert_memory_equal(ram_at(&mem, MIB(16), 0x1000), elf.bytes + 0x1000, 0x1000);
	assert_memory_equal(ram_at(&mem, MIB(17), 0x1000), elf.bytes + 0x2000, 0x1000);
	for (unsigned int i = 0x1000; i < 0x5000; i += 8)
		assert_int_equal(ram_u64(&mem, MIB(17) + i), 0);
	assert_int_equal(ram_u64(&mem, MIB(17) + 0x5000), 0xeeeeeeeeeeeeeeee);
	ram_free(&mem);
}

/* An entry that is a virtual address means the same place as its physical one. */
static void test_virtual_entry(void **state)
{
	struct elf_image parsed;
	struct image_error err;
	struct elf64 elf;

	(void)state;
	elf64_init(&elf);
	put_le(&elf.bytes[ELF64_ENTRY], 0xffffffff80000000 + MIB(17) + 8, 8);
	assert_int_equal(elf_parse(&parsed, ELF_64, elf.bytes, sizeof(elf), &err), 0);
	assert_int_equal(parsed.entry, MIB(17) + 8);
}

/* Each bad field of a bzImage header is refused by name. */
static void test_bzimage_refused(void **state)
{
	static const struct {
		u16 at; /* offset in the file */
		u8 size;
		u64 value;
		const char *key, *reason;
	} cases[] = {
		{ 0x1fe, 2, 0x1234, "kernel", "boot flag 0x1234" },
		{ 0x201, 1, 0x20, "kernel", "setup header ends at 0x222" },
		{ 0x201, 1, 0xff, "kernel", "setup header ends at 0x301" },
		{ 0x206, 2, 0x20b, "kernel", "boot protocol 2.11, expected 2.12" },
		{ 0x211, 1, 0, "kernel", "zImage" },
		{ 0x236, 2, 0, "kernel", "32-bit kernel" },
		{ 0x1f1, 1, 200, "kernel", "truncated: header says 8192 bytes" },
		{ 0x1f4, 4, 7340032 / 16, "kernel",
		  "truncated: header says 7340032 bytes of protected-mode code from byte 2560, "
		  "the file has 10752" },
		{ 0x1f4, 4, 0xffffffff, "kernel", "truncated: header says 68719476720 bytes" },
		{ 0x1f4, 4, 0, "kernel", "passes the end of the protected-mode code" },
		{ 0x248, 4, 0xffffffff, "kernel", "passes the end of the protected-mode code" },
		{ 0x24c, 4, BZIMAGE_CODE, "kernel", "passes the end of the protected-mode code" },
		{ 0x230, 4, 0, "kernel", "kernel_alignment" },
		{ 0x230, 4, 0x300000, "kernel", "kernel_alignment" },
		{ 0x230, 4, 0x80000000, "kernel", "kernel_alignment" },
		{ 0x258, 8, MIB(16) + 4096, "kernel", "pref_address 0x1001000 is not aligned" },
		{ 0x258, 8, 0, "kernel", "below 1 MiB" },
		{ 0x258, 8, 0xffffffffffe00000, "kernel", "above 4 GiB" },
		{ 0x258, 8, MIB(62), "memory", "that is 66 MiB of memory; the VM has 64 MiB" },
		{ 0x260, 4, 100, "kernel", "init_size 100 is smaller" },
		{ 0x260, 4, 0xffffffff, "memory", "4294967295 bytes at 0x1000000" },
	};
	struct image_error err;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bzimage image;
		const struct guest_files files = files_of(&image, sizeof(image));

		bzimage_init(&image);
		put_le(&image.bytes[cases[i].at], cases[i].value, cases[i].size);
		assert_reason(load(MIB(64), &files, &err), &err, cases[i].key, cases[i].reason);
	}
}

/* Each bad field of an ELF is refused by name. */
static void test_vmlinux_refused(void **state)
{
	static const struct {
		u16 at;
		u8 size;
		u64 value;
		const char *key, *reason;
	} cases[] = {
		{ 5, 1, 2, "kernel", "not a Linux bzImage, ELF vmlinux or Multiboot image" },
		{ 4, 1, 3, "kernel", "not a Linux bzImage, ELF vmlinux or Multiboot image" },
		{ 4, 1, 1, "kernel", "a 32-bit ELF without a Multiboot header" },
		{ ELF64_MACHINE, 2, 183, "kernel", "machine 183, expected x86-64 (62)" },
		{ ELF64_TYPE, 2, 1, "kernel", "type 1, expected an executable" },
		{ ELF64_PHENTSIZE, 2, 32, "kernel", "program headers of 32 bytes" },
		{ ELF64_PHNUM, 2, 0, "kernel", "without a segment" },
		{ ELF64_PHNUM, 2, 0xffff, "kernel", "truncated: 65535 program headers" },
		{ ELF64_PHOFF, 8, ~0ULL, "kernel", "truncated: 2 program headers" },
		{ ELF64_PHOFF, 8, ELF64_SIZE - 111, "kernel", "truncated: 2 program headers" },
		{ ELF64_ENTRY, 8, MIB(16) - 1, "kernel", "entry 0xffffff lies outside" },
		{ ELF64_ENTRY, 8, MIB(17) + 0x5000, "kernel", "lies outside every segment" },
		{ ELF64_OFFSET(1), 8, 0x2001, "kernel", "truncated: segment 1 has 4096 bytes" },
		{ ELF64_OFFSET(1), 8, ~0ULL, "kernel", "truncated: segment 1" },
		{ ELF64_FILESZ(0), 8, ~0ULL, "kernel", "truncated: segment 0" },
		{ ELF64_MEMSZ(0), 8, 0xfff, "kernel", "4096 bytes in the file, 4095 in memory" },
		{ ELF64_MEMSZ(1), 8, ~0ULL, "kernel", "passes the end of addresses" },
		{ ELF64_MEMSZ(1), 8, GIB(8), "memory", "needs 8590983168 bytes at 0x1000000" },
		{ ELF64_PADDR(1), 8, MIB(16) + 0xfff, "kernel", "overlap in memory" },
		{ ELF64_PADDR(1), 8, ~0ULL, "kernel", "passes the end of addresses" },
		{ ELF64_PADDR(1), 8, 0x9000, "kernel", "loads at 0x9000, below 1 MiB" },
	};
	struct image_error err;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct elf64 elf;
		const struct guest_files files = files_of(&elf, sizeof(elf));

		elf64_init(&elf);
		put_le(&elf.bytes[cases[i].at], cases[i].value, cases[i].size);
		assert_reason(load(MIB(64), &files, &err), &err, cases[i].key, cases[i].reason);
	}
}

/* More segments than there is room for are refused, not dropped. */
static void test_many_segments(void **state)
{
	struct elf_image parsed;
	struct image_error err;
	struct elf64 elf;

	(void)state;
	elf64_init(&elf);
	for (unsigned int i = 0; i <= ELF_MAX_SEGMENTS; i++)
		elf64_phdr(&elf, i, 0x1000, MIB(16 + i), 0x10, 0x10000);
	put_le(&elf.bytes[ELF64_PHNUM], ELF_MAX_SEGMENTS, 2);
	assert_int_equal(elf_parse(&parsed, ELF_64, elf.bytes, sizeof(elf), &err), 0);
	assert_int_equal(parsed.segments, ELF_MAX_SEGMENTS);
	put_le(&elf.bytes[ELF64_PHNUM], ELF_MAX_SEGMENTS + 1, 2);
	assert_reason(elf_parse(&parsed, ELF_64, elf.bytes, sizeof(elf), &err), &err, "kernel",
		      "more than 16");
}

/* A kernel that just fits the memory is taken, one page less is refused with the sizes. */
static void test_memory_limit(void **state)
{
	struct bzimage image;
	const struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;

	(void)state;
	bzimage_init(&image);
	assert_int_equal(load(MIB(20), &files, &err), 0);
	assert_reason(load(MIB(20) - PAGE_SIZE, &files, &err), &err, "memory",
		      "4194304 bytes at 0x1000000, that is 20 MiB of memory; the VM has 19 MiB");
}

/* The command line may be as long as the kernel says, and no longer. */
static void test_cmdline_limit(void **state)
{
	struct bzimage image;
	struct guest_files files = files_of(&image, sizeof(image));
	char cmdline[5001];
	struct image_error err;

	(void)state;
	bzimage_init(&image);
	memset(cmdline, 'x', sizeof(cmdline) - 1);
	cmdline[5000] = '\0';
	files.cmdline = cmdline + 5000 - 2047;
	assert_int_equal(load(MIB(64), &files, &err), 0);
	files.cmdline--;
	assert_reason(load(MIB(64), &files, &err), &err, "cmdline",
		      "2048 bytes long, this kernel takes 2047");
	bzimage_hdr(&image)->cmdline_size = 0xffffffff; /* our page is the limit then */
	files.cmdline = cmdline + 5000 - 4096;
	assert_reason(load(MIB(64), &files, &err), &err, "cmdline", "this kernel takes 4095");
}

/* The initrd keeps to what the kernel takes, to the RAM, and off the kernel. */
static void test_initrd_limits(void **state)
{
	static const u8 initrd[MIB(3)];
	struct bzimage image;
	struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;

	(void)state;
	bzimage_init(&image);
	files.initrd = (struct boot_file){ initrd, sizeof(initrd) };
	bzimage_hdr(&image)->initrd_addr_max = (u32)MIB(32) - 1;
	ram_init(&mem, MIB(64));
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	assert_int_equal(ram_u32(&mem, LOWMEM_INFO + 0x218), MIB(29));
	ram_free(&mem);

	assert_int_equal(load(MIB(23), &files, &err), 0);
	assert_reason(load(MIB(23) - PAGE_SIZE, &files, &err), &err, "initrd",
		      "3145728 bytes do not fit between the kernel's end at 0x1400000 and "
		      "0x16ff000, the end of the VM's memory");
	bzimage_hdr(&image)->initrd_addr_max = (u32)MIB(21);
	assert_reason(load(MIB(64), &files, &err), &err, "initrd",
		      "the end of what the kernel takes");
	bzimage_hdr(&image)->initrd_addr_max = 0;
	assert_reason(load(MIB(64), &files, &err), &err, "initrd", "do not fit");
}

/* Memory above the hole is in the map, but neither kernel nor initrd is put there. */
static void test_hole(void **state)
{
	static const u8 initrd[PAGE_SIZE];
	struct bzimage image;
	struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;

	(void)state;
	bzimage_init(&image);
	bzimage_hdr(&image)->initrd_addr_max = 0xffffffff;
	files.initrd = (struct boot_file){ initrd, sizeof(initrd) };
	ram_init(&mem, GIB(3));
	assert_int_equal(guest_mem_add(&mem, GIB(4), GIB(1), mem.slot[0].host), 0);
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	check_e820(&mem);
	assert_int_equal(ram_u32(&mem, LOWMEM_INFO + 0x218), GIB(3) - PAGE_SIZE);
	ram_free(&mem);
}

/* Files that are nothing of ours are told so. */
static void test_not_a_kernel(void **state)
{
	static const char text[20000] = "#!/bin/sh\necho I am not a kernel\n";
	const u64 sizes[] = { 1, 4, 16, 17, 517, 518, 519, 600, 8191, 8192, 8193, sizeof(text) };
	struct guest_files files;
	struct image_error err;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *exact = malloc(sizes[i]);

		memcpy(exact, text, sizes[i]);
		files = files_of(exact, sizes[i]);
		assert_reason(load(MIB(64), &files, &err), &err, "kernel",
			      "not a Linux bzImage, ELF vmlinux or Multiboot image");
		free(exact);
	}
	files = files_of(NULL, 0);
	assert_reason(load(MIB(64), &files, &err), &err, "kernel", "the file is empty");
}

/* A small image of either kind, cut anywhere or with any bytes of its headers changed, is loaded
 * or refused with a reason; the sanitizers watch. */
static void test_small_mutations(void **state)
{
	struct bzimage image, *cut;
	struct elf64 elf;
	struct guest_files files;
	struct image_error err;
	u64 seed = 2;

	(void)state;
	for (unsigned int i = 0; i < 20000; i++) {
		const u32 size =
			mutation(&seed, 4) ? sizeof(image) : mutation(&seed, sizeof(image));
		int error;

		bzimage_init(&image);
		elf64_init(&elf);
		if (i % 2)
			memcpy(&image, &elf, sizeof(image));
		mutate(&seed, &image.bytes[i % 2 ? 0 : LINUX_HDR_OFFSET], i % 2 ? 176 : 0x90);
		cut = malloc(size + 1);
		memcpy(cut, &image, size);
		files = files_of(cut, size);
		error = load(MIB(64), &files, &err);
		if (error)
			assert_explained(error, &err);
		free(cut);
	}
}

/* What every accepted image must keep to. */
static void check_sane(const struct linux_image *image, u64 size)
{
	bool entry_loaded = false;

	assert_in_range(image->segments, 1, ELF_MAX_SEGMENTS);
	for (unsigned int i = 0; i < image->segments; i++) {
		const struct load_segment *s = &image->segment[i];

		assert_true(s->filesz <= size && s->offset <= size - s->filesz);
		assert_true(s->filesz <= s->memsz && s->gpa + s->memsz >= s->gpa);
		assert_true(s->gpa >= image->base);
		assert_true(s->gpa + s->memsz <= image->base + image->init_size);
		entry_loaded |= image->entry - s->gpa < s->memsz;
	}
	assert_true(entry_loaded);
}

static int parse(enum linux_kind kind, struct linux_image *image, const u8 *data, u64 size,
		 struct image_error *err)
{
	memset(err, 0, sizeof(*err));
	if (kind == LINUX_BZIMAGE)
		return linux_parse_bzimage(image, data, size, err);
	return linux_parse_vmlinux(image, data, size, err);
}

/* A real kernel is loaded as it is; all of its file that is to be in memory is. */
static void check_real(enum linux_kind kind, const struct boot_file *file)
{
	struct guest_files files = files_of(file->data, file->size);
	struct linux_image image;
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;

	files.initrd = (struct boot_file){ file->data, 100000 };
	assert_int_equal(parse(kind, &image, file->data, file->size, &err), 0);
	check_sane(&image, file->size);
	ram_init(&mem, MIB(256));
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	check_loaded(&mem, &files, &entry);
	assert_int_equal(entry.rip, image.entry);
	for (unsigned int i = 0; i < image.segments; i++) {
		const struct load_segment *s = &image.segment[i];

		assert_memory_equal(ram_at(&mem, s->gpa, s->filesz), file->data + s->offset,
				    s->filesz);
	}
	ram_free(&mem);
}

/* Cut at any byte of the headers, and at many places behind them, a real kernel is refused. */
static void check_truncated(enum linux_kind kind, const struct boot_file *file)
{
	struct linux_image image;
	struct image_error err;
	const u64 spare = kind == LINUX_BZIMAGE ? 15 : 0; /* of the last paragraph */
	u64 needed = 0;

	assert_int_equal(parse(kind, &image, file->data, file->size, &err), 0);
	for (unsigned int i = 0; i < image.segments; i++)
		needed = MAX(needed, image.segment[i].offset + image.segment[i].filesz);
	for (u64 len = 0; len < needed - spare; len += len < 4096 ? 1 : needed / 50) {
		u8 *cut = malloc(len + 1);

		memcpy(cut, file->data, len);
		assert_explained(parse(kind, &image, cut, len, &err), &err);
		free(cut);
	}
	assert_reason(parse(kind, &image, file->data, needed - spare - 1, &err), &err, "kernel",
		      "truncated: ");
	assert_int_equal(parse(kind, &image, file->data, needed, &err), 0);
}

/* With any bytes of its headers changed it is refused with a reason, or what it asks for is sane. */
static void check_mutated(enum linux_kind kind, const struct boot_file *file)
{
	const u32 at = kind == LINUX_BZIMAGE ? LINUX_HDR_OFFSET : 0;
	const u32 size = kind == LINUX_BZIMAGE ? LINUX_HDR_END - LINUX_HDR_OFFSET : 64 + 5 * 56;
	u8 *headers = (u8 *)(uintptr_t)file->data + at;
	unsigned int refused = 0;
	u8 good[512];
	u64 seed = 1;

	memcpy(good, headers, size);
	for (unsigned int i = 0; i < 100000; i++) {
		struct linux_image image;
		struct image_error err;
		int error;

		mutate(&seed, headers, size);
		error = parse(kind, &image, file->data, file->size, &err);
		if (error) {
			assert_explained(error, &err);
			refused++;
		} else {
			check_sane(&image, file->size);
		}
		memcpy(headers, good, size);
	}
	assert_true(refused > 1000);
}

static void check_kernel(enum linux_kind kind, struct boot_file file)
{
	check_real(kind, &file);
	check_truncated(kind, &file);
	check_mutated(kind, &file);
	file_free(&file);
}

/* Debian's bzImage: as it is, truncated, mutated. */
static void test_real_bzimage(void **state)
{
	(void)state;
	check_kernel(LINUX_BZIMAGE,
		     file_read_or_skip("LINTEL_TEST_VMLINUZ", "build/guests/vmlinuz"));
}

/* Debian's vmlinux: as it is, truncated, mutated. */
static void test_real_vmlinux(void **state)
{
	(void)state;
	check_kernel(LINUX_VMLINUX,
		     file_read_or_skip("LINTEL_TEST_VMLINUX", "build/guests/vmlinux"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_vmlinux),
		cmocka_unit_test(test_bzimage_last_paragraph),
		cmocka_unit_test(test_virtual_entry),
		cmocka_unit_test(test_bzimage_refused),
		cmocka_unit_test(test_vmlinux_refused),
		cmocka_unit_test(test_many_segments),
		cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_cmdline_limit),
		cmocka_unit_test(test_initrd_limits),
		cmocka_unit_test(test_hole),
		cmocka_unit_test(test_not_a_kernel),
		cmocka_unit_test(test_small_mutations),
		cmocka_unit_test(test_real_bzimage),
		cmocka_unit_test(test_real_vmlinux),
	};

	return cmocka_run_group_tests_name("linux_image", tests, NULL, NULL);
}
