/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot images: what is accepted, what the image finds in memory, and every refusal. */
#include "vmm/load/multiboot.h"
#include "lib/errno.h"
#include "tests/unit/guest_ram.h"
#include "tests/unit/sample_images.h"
#include "vmm/load/e820.h"
#include "vmm/load/lowmem.h"

static struct guest_files files_of(const void *data, u64 size)
{
	return (struct guest_files){ .kernel = { data, size }, .cmdline = "test=1" };
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

/* The memory map in the information is e820, entry by entry. */
static void check_mmap(const struct guest_mem *mem, gpa_t info)
{
	struct e820_entry map[E820_MAX];
	const unsigned int n = e820_build(mem, map);
	gpa_t at = ram_u32(mem, info + 48);

	assert_int_equal(ram_u32(mem, info + 44), n * 24);
	for (unsigned int i = 0; i < n; i++, at += 24) {
		assert_int_equal(ram_u32(mem, at), 20);
		assert_memory_equal(ram_at(mem, at + 4, 20), &map[i], 20);
	}
}

/* The state that the Multiboot specification promises. */
static void check_loaded(const struct guest_mem *mem, const struct guest_files *files,
			 const struct guest_entry *entry)
{
	const gpa_t info = entry->rbx;

	assert_int_equal(entry->mode, GUEST_PROT32);
	assert_int_equal(entry->rax, 0x2badb002);
	assert_int_equal(ram_u64(mem, entry->gdt_base + entry->cs), 0x00cf9b000000ffff);
	assert_int_equal(ram_u64(mem, entry->gdt_base + entry->ds), 0x00cf93000000ffff);
	assert_int_equal(entry->gdt_limit, 0x1f);
	assert_int_equal(ram_u32(mem, info) & ~8U, 0x245);
	assert_int_equal(ram_u32(mem, info + 4), 639);
	assert_int_equal(ram_u32(mem, info + 8), (mem->slot[0].size >> 10) - 1024);
	assert_string_equal(ram_at(mem, ram_u32(mem, info + 16), 4096), files->cmdline);
	assert_string_equal(ram_at(mem, ram_u32(mem, info + 64), 8), "lintel");
	check_mmap(mem, info);
	assert_int_equal(!!(ram_u32(mem, info) & 8), !!files->initrd.size);
	assert_int_equal(ram_u32(mem, info + 20), !!files->initrd.size);
	check_bios(mem);
}

/* An ELF32 is loaded by physical addresses, its bss cleared; the module follows on a page. */
static void test_elf(void **state)
{
	static const u8 module[5000] = "module";
	struct mb_file image;
	struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;
	gpa_t list;

	(void)state;
	mb_elf_init(&image);
	files.initrd = (struct boot_file){ module, sizeof(module) };
	ram_init(&mem, MIB(4));
	memset(mem.slot[0].host + MIB(1), 0xee, 0x8000);
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	check_loaded(&mem, &files, &entry);
	assert_int_equal(entry.rip, 0x100010);
	assert_memory_equal(ram_at(&mem, MIB(1), 0x2000), image.bytes + 0x1000, 0x2000);
	for (unsigned int i = 0x2000; i < 0x3004; i += 4)
		assert_int_equal(ram_u32(&mem, MIB(1) + i), 0);
	list = ram_u32(&mem, entry.rbx + 24);
	assert_int_equal(ram_u32(&mem, list), 0x104000);
	assert_int_equal(ram_u32(&mem, list + 4), 0x104000 + sizeof(module));
	assert_string_equal(ram_at(&mem, ram_u32(&mem, list + 8), 1), "");
	assert_memory_equal(ram_at(&mem, 0x104000, sizeof(module)), module, sizeof(module));
	ram_free(&mem);
}

/* Several modules, the initrd first: each on a page of its own behind the one before, each with its whole text. */
static void test_modules(void **state)
{
	static const u8 data[3][5000] = { "initrd", "first", "second" };
	static const struct module_config modules[] = {
		{ "dom0", "dom0 console=hvc0 quiet", 4, { data[1], 5000 } },
		{ "x", "x", 5, { data[2], 4096 } },
	};
	static const char *const text[] = { "", "dom0 console=hvc0 quiet", "x" };
	static const u32 start[] = { 0x104000, 0x106000, 0x108000 };
	static const u32 size[] = { 5000, 5000, 4096 };
	struct mb_file image;
	struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;
	gpa_t list;

	(void)state;
	mb_elf_init(&image);
	files.initrd = (struct boot_file){ data[0], 5000 };
	files.module = modules;
	files.modules = 2;
	ram_init(&mem, MIB(4));
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	assert_int_equal(ram_u32(&mem, entry.rbx + 20), 3);
	list = ram_u32(&mem, entry.rbx + 24);
	for (unsigned int i = 0; i < 3; i++, list += 16) {
		assert_int_equal(ram_u32(&mem, list), start[i]);
		assert_int_equal(ram_u32(&mem, list + 4), start[i] + size[i]);
		assert_string_equal(ram_at(&mem, ram_u32(&mem, list + 8), 64), text[i]);
		assert_memory_equal(ram_at(&mem, start[i], size[i]), data[i], size[i]);
	}
	ram_free(&mem);
}

/* One that does not fit is refused, by its key; and so is one for an image that takes none. */
static void test_modules_refused(void **state)
{
	static const u8 data[MIB(1)];
	static const struct module_config modules[] = {
		{ "big", "big args", 7, { data, MIB(1) } }
	};
	struct mb_file image;
	static struct bzimage bz;
	struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;

	(void)state;
	mb_elf_init(&image);
	files.module = modules;
	files.modules = 1;
	assert_int_equal(load(MIB(2) + 0x4000, &files, &err), 0);
	assert_reason(load(MIB(2) + 0x3000, &files, &err), &err, "module",
		      "1048576 bytes do not fit");
	bzimage_init(&bz);
	files.kernel = (struct boot_file){ (const void *)&bz, sizeof(bz) };
	assert_reason(load(MIB(64), &files, &err), &err, "module",
		      "big is no Multiboot image, and takes none");
}

/* A raw image is placed by the addresses in its header. */
static void test_raw(void **state)
{
	struct mb_file image;
	struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;
	struct guest_entry entry;
	struct guest_mem mem;

	(void)state;
	mb_raw_init(&image);
	ram_init(&mem, MIB(2));
	memset(mem.slot[0].host + MIB(1), 0xee, 0x8000);
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	check_loaded(&mem, &files, &entry);
	assert_int_equal(entry.rip, 0x101000);
	assert_memory_equal(ram_at(&mem, MIB(1), MB_SIZE), image.bytes, MB_SIZE);
	assert_int_equal(ram_u64(&mem, MIB(1) + MB_SIZE), 0);
	assert_int_equal(ram_u64(&mem, MIB(1) + MB_SIZE + 0x1000), 0xeeeeeeeeeeeeeeee);

	/* From the header on, to the file's end, no bss. */
	mb_put_addresses(&image, (const u32[5]){ 0x180000, 0x180000, 0, 0, 0x180040 });
	assert_int_equal(guest_image_load(&mem, &files, &entry, &err), 0);
	assert_int_equal(entry.rip, 0x180040);
	assert_memory_equal(ram_at(&mem, 0x180000, MB_SIZE - MB_HEADER), image.bytes + MB_HEADER,
			    MB_SIZE - MB_HEADER);
	ram_free(&mem);
}

/* The header is found on any 4-byte boundary of the first 8 KiB, and only with its checksum. */
static void test_search(void **state)
{
	struct mb_file image;

	(void)state;
	for (u64 at = 0; at <= 8192; at += 2) {
		const bool right_place = at % 4 == 0 && at + 12 <= 8192;

		memset(&image, 0, sizeof(image));
		mb_put_header(&image, at, 3);
		assert_int_equal(multiboot_find(image.bytes, sizeof(image)), right_place);
		put_le(&image.bytes[at + 8], 0, 4);
		assert_false(multiboot_find(image.bytes, sizeof(image)));
	}
}

/* Flags that must be understood and are not are refused; optional ones are not. */
static void test_flags(void **state)
{
	struct mb_file image;
	const struct guest_files files = files_of(&image, sizeof(image));
	struct image_error err;

	(void)state;
	mb_elf_init(&image);
	mb_put_header(&image, MB_HEADER, 3 | 4);
	assert_reason(load(MIB(4), &files, &err), &err, "kernel", "requires a video mode");
	for (unsigned int bit = 3; bit < 16; bit++) {
		mb_put_header(&image, MB_HEADER, 1u << bit);
		assert_reason(load(MIB(4), &files, &err), &err, "kernel",
			      "requires unknown features");
	}
	for (unsigned int bit = 17; bit < 32; bit++) {
		mb_put_header(&image, MB_HEADER, 1u << bit);
		assert_int_equal(load(MIB(4), &files, &err), 0);
	}
}

/* Each bad field of the ELF is refused by name. */
static void test_elf_refused(void **state)
{
	static const struct {
		u16 at;
		u8 size;
		u32 value;
		const char *key, *reason;
	} cases[] = {
		{ 4, 1, 2, "kernel", "64-bit ELF, expected a 32-bit one" },
		{ 0, 1, 0, "kernel", "header without addresses (flags 0x3) and no ELF" },
		{ ELF32_MACHINE, 2, 40, "kernel", "machine 40, expected 80386 (3)" },
		{ ELF32_PHOFF, 4, 0xffffffff, "kernel", "truncated: 1 program headers" },
		{ ELF32_PHENTSIZE, 2, 56, "kernel", "56 bytes, expected 32" },
		{ ELF32_ENTRY, 4, 0xfffff, "kernel", "entry 0xfffff lies outside" },
		{ ELF32_FILESZ(0), 4, 0x2001, "kernel", "truncated: segment 0 has 8193 bytes" },
		{ ELF32_MEMSZ(0), 4, 0x1fff, "kernel", "8191 in memory" },
		{ ELF32_MEMSZ(0), 4, 0xffffffff, "memory", "that is 4097 MiB of memory" },
		{ ELF32_PADDR(0), 4, 0xffffffff, "kernel", "entry" },
		{ ELF32_PADDR(0), 4, 0xff000, "kernel", "loads at 0xff000, below 1 MiB" },
	};
	struct image_error err;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mb_file image;
		const struct guest_files files = files_of(&image, sizeof(image));

		mb_elf_init(&image);
		put_le(&image.bytes[ELF32_PHDR(0) + 8], 0xc0000000,
		       4); /* no help from virtual addresses */
		put_le(&image.bytes[cases[i].at], cases[i].value, cases[i].size);
		if (cases[i].at == ELF32_PADDR(0) && cases[i].value < MIB(1))
			put_le(&image.bytes[ELF32_ENTRY], cases[i].value, 4);
		assert_reason(load(MIB(4), &files, &err), &err, cases[i].key, cases[i].reason);
	}
}

/* Each bad address of a raw image is refused by name. */
static void test_raw_refused(void **state)
{
	static const struct {
		u8 field; /* of mb_good_addresses */
		u32 value;
		const char *key, *reason;
	} cases[] = {
		{ 0, 0xfffff, "kernel", "load_addr 0x100000 does not fit header_addr 0xfffff" },
		{ 0, 0x100084, "kernel", "does not fit header_addr 0x100084 at byte 128" },
		{ 1, 0x100081, "kernel", "load_addr 0x100081 does not fit" },
		{ 1, 0xfffff, "kernel", "load_addr 0xfffff does not fit" },
		{ 2, 0xff000, "kernel", "load_end_addr 0xff000 lies below load_addr" },
		{ 2, 0x103001, "kernel", "truncated: the Multiboot header says 12289 bytes" },
		{ 3, 0x102fff, "kernel", "bss_end_addr 0x102fff lies below the end" },
		{ 3, 0x1000, "kernel", "bss_end_addr 0x1000 lies below the end" },
		{ 3, 0xffffffff, "memory", "that is 4096 MiB of memory" },
		{ 4, 0xfffff, "kernel", "entry_addr 0xfffff lies outside" },
		{ 4, 0x104000, "kernel", "entry_addr 0x104000 lies outside" },
	};
	struct image_error err;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mb_file image;
		const struct guest_files files = files_of(&image, sizeof(image));
		u32 addresses[5];

		mb_raw_init(&image);
		memcpy(addresses, mb_good_addresses, sizeof(addresses));
		addresses[cases[i].field] = cases[i].value;
		mb_put_addresses(&image, addresses);
		assert_reason(load(MIB(4), &files, &err), &err, cases[i].key, cases[i].reason);
	}
}

/* A module that does not fit, and a command line that is too long, are refused with their sizes. */
static void test_limits(void **state)
{
	static const u8 module[MIB(2)];
	struct mb_file image;
	struct guest_files files = files_of(&image, sizeof(image));
	char cmdline[4097];
	struct image_error err;

	(void)state;
	mb_elf_init(&image);
	files.initrd = (struct boot_file){ module, sizeof(module) };
	assert_int_equal(load(MIB(3) + 0x4000, &files, &err), 0);
	assert_reason(load(MIB(3) + 0x3000, &files, &err), &err, "initrd",
		      "2097152 bytes do not fit between the end of what is below at 0x104000");
	files.initrd.data = NULL;
	memset(cmdline, 'x', sizeof(cmdline) - 1);
	cmdline[4096] = '\0';
	files.cmdline = cmdline + 1;
	assert_int_equal(load(MIB(4), &files, &err), 0);
	files.cmdline = cmdline;
	assert_reason(load(MIB(4), &files, &err), &err, "cmdline", "4096 bytes long, at most 4095");
}

/* With any bytes of its headers changed, or cut anywhere, an image is loaded or refused with a
 * reason; the sanitizers watch. */
static void test_mutations(void **state)
{
	unsigned int refused = 0;
	u64 seed = 3;

	(void)state;
	for (unsigned int i = 0; i < 40000; i++) {
		const u32 size = mutation(&seed, 4) ? MB_SIZE : mutation(&seed, MB_SIZE);
		struct mb_file image;
		struct guest_files files;
		struct image_error err;
		u8 *exact = malloc(size + 1);
		int error;

		if (i % 2)
			mb_raw_init(&image);
		else
			mb_elf_init(&image);
		/* Not magic, flags and checksum: the address fields behind them, the ELF before. */
		mutate(&seed, &image.bytes[i % 2 ? MB_HEADER + 12 : 0], i % 2 ? 20 : ELF32_PHDR(1));
		memcpy(exact, &image, size);
		files = files_of(exact, size);
		error = load(MIB(4), &files, &err);
		if (error) {
			assert_explained(error, &err);
			refused++;
		}
		free(exact);
	}
	assert_in_range(refused, 10000, 39000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf),         cmocka_unit_test(test_raw),
		cmocka_unit_test(test_search),      cmocka_unit_test(test_flags),
		cmocka_unit_test(test_elf_refused), cmocka_unit_test(test_raw_refused),
		cmocka_unit_test(test_modules),     cmocka_unit_test(test_modules_refused),
		cmocka_unit_test(test_limits),      cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("multiboot", tests, NULL, NULL);
}
