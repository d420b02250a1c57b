/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small good images of each kind, laid out by hand, for tests and fuzzers that then spoil them.
 * The numbers are byte offsets in the file.
 */
#ifndef TESTS_UNIT_SAMPLE_IMAGES_H
#define TESTS_UNIT_SAMPLE_IMAGES_H

#include "lib/string.h"
#include "vmm/load/linux_image.h"

static inline void put_le(u8 *at, u64 value, unsigned int size)
{
	memcpy(at, &value, size);
}

/* A bzImage: 1 + 4 sectors of setup, 8 KiB of code. */
#define BZIMAGE_SETUP 2560
#define BZIMAGE_CODE  8192

struct bzimage {
	u8 bytes[BZIMAGE_SETUP + BZIMAGE_CODE];
};

static inline struct linux_setup_header *bzimage_hdr(struct bzimage *image)
{
	return (struct linux_setup_header *)&image->bytes[LINUX_HDR_OFFSET];
}

static inline void bzimage_init(struct bzimage *image)
{
	memset(image, 0x5a, sizeof(*image));
	*bzimage_hdr(image) = (struct linux_setup_header){
		.setup_sects = 4,
		.syssize = BZIMAGE_CODE / 16,
		.boot_flag = 0xaa55,
		.jump = { 0xeb, 0x6a },
		.header = LINUX_HDR_MAGIC,
		.version = 0x20f,
		.loadflags = 1,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = MIB(2),
		.relocatable_kernel = 1,
		.xloadflags = 1,
		.cmdline_size = 2047,
		.payload_offset = 0x100,
		.payload_length = 0x1000,
		.pref_address = MIB(16),
		.init_size = (u32)MIB(4),
	};
}

/* An ELF64 with two segments at 16 and 17 MiB; the second has a bss. */
#define ELF64_SIZE      0x3000
#define ELF64_TYPE      16
#define ELF64_MACHINE   18
#define ELF64_ENTRY     24
#define ELF64_PHOFF     32
#define ELF64_PHENTSIZE 54
#define ELF64_PHNUM     56
#define ELF64_PHDR(n)   (64 + 56 * (n))
#define ELF64_OFFSET(n) (ELF64_PHDR(n) + 8)
#define ELF64_VADDR(n)  (ELF64_PHDR(n) + 16)
#define ELF64_PADDR(n)  (ELF64_PHDR(n) + 24)
#define ELF64_FILESZ(n) (ELF64_PHDR(n) + 32)
#define ELF64_MEMSZ(n)  (ELF64_PHDR(n) + 40)
#define ELF64_VIRTUAL   0xffffffff80000000

struct elf64 {
	u8 bytes[ELF64_SIZE];
};

static inline void elf64_phdr(struct elf64 *elf, unsigned int n, u64 offset, u64 paddr, u64 filesz,
			      u64 memsz)
{
	put_le(&elf->bytes[ELF64_PHDR(n)], 1, 4);
	put_le(&elf->bytes[ELF64_OFFSET(n)], offset, 8);
	put_le(&elf->bytes[ELF64_VADDR(n)], ELF64_VIRTUAL + paddr, 8);
	put_le(&elf->bytes[ELF64_PADDR(n)], paddr, 8);
	put_le(&elf->bytes[ELF64_FILESZ(n)], filesz, 8);
	put_le(&elf->bytes[ELF64_MEMSZ(n)], memsz, 8);
}

static inline void elf64_init(struct elf64 *elf)
{
	memset(elf, 0, sizeof(*elf));
	memset(&elf->bytes[0x1000], 0x11, 0x1000);
	memset(&elf->bytes[0x2000], 0x22, 0x1000);
	memcpy(elf->bytes, "\177ELF\2\1\1", 7);
	put_le(&elf->bytes[ELF64_TYPE], 2, 2);
	put_le(&elf->bytes[ELF64_MACHINE], 62, 2);
	put_le(&elf->bytes[ELF64_ENTRY], MIB(16) + 0x10, 8);
	put_le(&elf->bytes[ELF64_PHOFF], 64, 8);
	put_le(&elf->bytes[ELF64_PHENTSIZE], 56, 2);
	put_le(&elf->bytes[ELF64_PHNUM], 2, 2);
	elf64_phdr(elf, 0, 0x1000, MIB(16), 0x1000, 0x1000);
	elf64_phdr(elf, 1, 0x2000, MIB(17), 0x1000, 0x5000);
}

/* A Multiboot image with its header at 0x80: an ELF32 with one segment, or raw. */
#define MB_SIZE         0x3000
#define MB_HEADER       0x80
#define ELF32_MACHINE   18
#define ELF32_ENTRY     24
#define ELF32_PHOFF     28
#define ELF32_PHENTSIZE 42
#define ELF32_PHNUM     44
#define ELF32_PHDR(n)   (52 + 32 * (n))
#define ELF32_VADDR(n)  (ELF32_PHDR(n) + 8)
#define ELF32_PADDR(n)  (ELF32_PHDR(n) + 12)
#define ELF32_FILESZ(n) (ELF32_PHDR(n) + 16)
#define ELF32_MEMSZ(n)  (ELF32_PHDR(n) + 20)

struct mb_file {
	u8 bytes[MB_SIZE];
};

static inline void mb_put_header(struct mb_file *file, u64 at, u32 flags)
{
	const u32 magic = 0x1badb002;

	put_le(&file->bytes[at], magic, 4);
	put_le(&file->bytes[at + 4], flags, 4);
	put_le(&file->bytes[at + 8], 0 - magic - flags, 4);
}

/* header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr */
static inline void mb_put_addresses(struct mb_file *file, const u32 addr[5])
{
	mb_put_header(file, MB_HEADER, 1 << 16);
	for (unsigned int i = 0; i < 5; i++)
		put_le(&file->bytes[MB_HEADER + 12 + i * 4], addr[i], 4);
}

/* The whole file from its start at 1 MiB, and a page of bss. */
static const u32 mb_good_addresses[5] = { 0x100000 + MB_HEADER, 0x100000, 0x100000 + MB_SIZE,
					  0x100000 + MB_SIZE + 0x1000, 0x101000 };

static inline void mb_raw_init(struct mb_file *file)
{
	memset(file, 0x90, sizeof(*file));
	mb_put_addresses(file, mb_good_addresses);
}

static inline void mb_elf_init(struct mb_file *file)
{
	memset(file, 0, sizeof(*file));
	memset(&file->bytes[0x1000], 0x11, 0x2000);
	memcpy(file->bytes, "\177ELF\1\1\1", 7);
	put_le(&file->bytes[16], 2, 2);
	put_le(&file->bytes[ELF32_MACHINE], 3, 2);
	put_le(&file->bytes[ELF32_ENTRY], 0x100010, 4);
	put_le(&file->bytes[ELF32_PHOFF], 52, 4);
	put_le(&file->bytes[ELF32_PHENTSIZE], 32, 2);
	put_le(&file->bytes[ELF32_PHNUM], 1, 2);
	put_le(&file->bytes[ELF32_PHDR(0)], 1, 4);
	put_le(&file->bytes[ELF32_PHDR(0) + 4], 0x1000, 4);
	put_le(&file->bytes[ELF32_VADDR(0)], 0x100000, 4);
	put_le(&file->bytes[ELF32_PADDR(0)], 0x100000, 4);
	put_le(&file->bytes[ELF32_FILESZ(0)], 0x2000, 4);
	put_le(&file->bytes[ELF32_MEMSZ(0)], 0x3004, 4);
	mb_put_header(file, MB_HEADER, 3);
}

#endif
