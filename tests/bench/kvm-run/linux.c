/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux: a vmlinux in ELF64 and an initial RAM disk, entered in 64-bit mode.
 * Documentation/arch/x86/boot.rst, "64-bit Boot Protocol".
 */
#include "kvm-run.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* Where the low memory's tables are, beside those of load.c and acpi.c. */
#define PAGE_TABLES  0x1000 /* a PML4, a PDPT, four page directories: 4 GiB one to one */
#define ZERO_PAGE    0x8000
#define CMDLINE      0xa000
#define LOW_END      0x9fc00
#define HIGH_START   0x100000

#define PAGE         4096u
#define ENTRY_TABLE  3    /* present, writable */
#define ENTRY_2MIB   0x83 /* and large */
#define BOOT_FLAG    0xaa55
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define OTHER_LOADER 0xff

static void put64(struct machine *m, uint64_t at, uint64_t value)
{
	memcpy(m->memory + at, &value, sizeof(value));
}

static void make_page_tables(struct machine *m)
{
	uint64_t pml4 = PAGE_TABLES, pdpt = pml4 + PAGE, directory = pdpt + PAGE;

	put64(m, pml4, pdpt | ENTRY_TABLE);
	for (uint64_t i = 0; i < 4; i++)
		put64(m, pdpt + 8 * i, (directory + i * PAGE) | ENTRY_TABLE);
	for (uint64_t i = 0; i < 4 * 512; i++)
		put64(m, directory + 8 * i, i << 21 | ENTRY_2MIB);
}

/* The entry point; @end: of what the kernel takes. */
static uint64_t load_elf(struct machine *m, const char *path, uint64_t *end)
{
	size_t size;
	uint8_t *data = read_file(path, &size);
	Elf64_Ehdr elf;

	if (size < sizeof(elf) || memcmp(data, ELFMAG, SELFMAG) || data[EI_CLASS] != ELFCLASS64)
		fail(0, "%s is no vmlinux in ELF64, which --initrd goes with", path);
	memcpy(&elf, data, sizeof(elf));
	*end = 0;
	for (unsigned int i = 0; i < elf.e_phnum; i++) {
		Elf64_Phdr p;

		if (elf.e_phoff > size || (i + 1) * sizeof(p) > size - elf.e_phoff)
			fail(0, "%s: a program header is not in the file", path);
		memcpy(&p, data + elf.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_LOAD) {
			uint64_t behind = p.p_paddr + p.p_memsz;

			load_segment(
				m, path, data, size,
				&(struct segment){ p.p_offset, p.p_filesz, p.p_memsz, p.p_paddr },
				HIGH_START);
			*end = behind > *end ? behind : *end;
		}
	}
	free(data);
	if (elf.e_entry < HIGH_START || elf.e_entry >= *end)
		fail(0, "%s: its entry point is not a physical address in it", path);
	return elf.e_entry;
}

/* As high as there is memory, so that it does not stand in the kernel's way. */
static void load_initrd(struct machine *m, const char *path, uint64_t bottom,
			struct setup_header *hdr)
{
	size_t size;
	uint8_t *data = read_file(path, &size);
	uint64_t room = m->memory_size - bottom, at;

	if (size > room || size > UINT32_MAX)
		fail(0, "%s: %zu bytes do not fit behind the kernel, in %zu MiB of memory", path,
		     size, m->memory_size >> 20);
	at = (m->memory_size - size) & ~(uint64_t)(PAGE - 1);
	if (at < bottom)
		fail(0, "%s: no room for it in whole pages", path);
	memcpy(m->memory + at, data, size);
	hdr->ramdisk_image = (uint32_t)at;
	hdr->ramdisk_size = (uint32_t)size;
	free(data);
}

uint64_t load_linux(struct machine *m, const char *path, const char *initrd, const char *cmdline)
{
	struct boot_params zero_page = {
		.acpi_rsdp_addr = ACPI_TABLES,
		.e820_entries = 2,
		.e820_table = {
			{ .addr = 0, .size = LOW_END, .type = 1 },
			{ .addr = HIGH_START, .size = m->memory_size - HIGH_START, .type = 1 },
		},
		.hdr = {
			.boot_flag = BOOT_FLAG,
			.header = HEADER_MAGIC,
			.version = 0x020f,
			.type_of_loader = OTHER_LOADER,
			.loadflags = LOADED_HIGH,
			.vid_mode = 0xffff, /* "normal" */
			.cmd_line_ptr = CMDLINE,
			.cmdline_size = 2047,
			.kernel_alignment = 2 << 20,
			.xloadflags = XLF_KERNEL_64,
		},
	};
	uint64_t end, entry = load_elf(m, path, &end);

	load_initrd(m, initrd, end, &zero_page.hdr);
	make_page_tables(m);
	memcpy(m->memory + CMDLINE, cmdline, strlen(cmdline) + 1);
	memcpy(m->memory + ZERO_PAGE, &zero_page, sizeof(zero_page));
	return entry;
}

/* Selectors as the protocol wants them; Linux brings a GDT of its own before it loads any. */
void linux_registers(uint64_t entry, struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	struct kvm_segment data = {
		.limit = ~0u, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_segment code = data;

	code.selector = 0x10;
	code.type = 0xb;
	code.db = 0;
	code.l = 1;
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->cr0 = 0x80000011; /* PG, ET, PE */
	sregs->cr3 = PAGE_TABLES;
	sregs->cr4 = 0x20;   /* PAE */
	sregs->efer = 0x500; /* LMA, LME */
	*regs = (struct kvm_regs){ .rip = entry, .rsi = ZERO_PAGE, .rflags = 2 };
}
