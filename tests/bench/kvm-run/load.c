/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot: an ELF32 image by its program headers, a command line, and how much memory there is. */
#include "kvm-run.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAGIC 0x1badb002
#define HEADER_AREA  8192 /* the header is in the first so many bytes */
#define CMDLINE      0xa000
#define LOWEST       0x100000 /* below are the tables */

/* Multiboot Specification version 0.6.96, "Boot information format". */
struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t rest[20];
};
enum { HAS_MEMORY = 1, HAS_CMDLINE = 4 };

uint8_t *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long length;

	if (!file)
		fail(errno, "%s", path);
	if (fseek(file, 0, SEEK_END) || (length = ftell(file)) < 0 || fseek(file, 0, SEEK_SET))
		fail(errno, "%s", path);
	*size = (size_t)length;
	data = malloc(*size + 1);
	if (!data || fread(data, 1, *size, file) != *size)
		fail(errno, "%s", path);
	fclose(file);
	return data;
}

static bool has_multiboot_header(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at + 12 <= size && at < HEADER_AREA; at += 4) {
		uint32_t words[3];

		memcpy(words, data + at, sizeof(words));
		if (words[0] == HEADER_MAGIC && words[0] + words[1] + words[2] == 0)
			return true;
	}
	return false;
}

void load_segment(struct machine *m, const char *path, const uint8_t *data, size_t size,
		  const struct segment *s, uint64_t lowest)
{
	if (s->offset > size || s->file_size > size - s->offset || s->file_size > s->memory_size)
		fail(0, "%s: a segment is not in the file", path);
	if (s->address < lowest || s->address > m->memory_size ||
	    s->memory_size > m->memory_size - s->address)
		fail(0, "%s: a segment is not in memory (%zu MiB)", path, m->memory_size >> 20);
	memcpy(m->memory + s->address, data + s->offset, s->file_size);
	memset(m->memory + s->address + s->file_size, 0, s->memory_size - s->file_size);
}

static uint32_t load_elf(struct machine *m, const char *path)
{
	size_t size;
	uint8_t *data = read_file(path, &size);
	Elf32_Ehdr elf;

	if (size < sizeof(elf) || memcmp(data, ELFMAG, SELFMAG) || data[EI_CLASS] != ELFCLASS32 ||
	    !has_multiboot_header(data, size))
		fail(0, "%s is no Multiboot image in ELF32", path);
	memcpy(&elf, data, sizeof(elf));
	for (unsigned int i = 0; i < elf.e_phnum; i++) {
		size_t at = elf.e_phoff + (size_t)i * sizeof(Elf32_Phdr);
		Elf32_Phdr p;

		if (at + sizeof(p) > size)
			fail(0, "%s: a program header is not in the file", path);
		memcpy(&p, data + at, sizeof(p));
		if (p.p_type == PT_LOAD)
			load_segment(
				m, path, data, size,
				&(struct segment){ p.p_offset, p.p_filesz, p.p_memsz, p.p_paddr },
				LOWEST);
	}
	free(data);
	return elf.e_entry;
}

uint32_t load_image(struct machine *m, const char *path, const char *cmdline)
{
	struct multiboot_info info = {
		.flags = HAS_MEMORY | HAS_CMDLINE,
		.mem_lower = 639,
		.mem_upper = (uint32_t)(m->memory_size / 1024 - 1024),
		.cmdline = CMDLINE,
	};

	memcpy(m->memory + MULTIBOOT_INFO, &info, sizeof(info));
	memcpy(m->memory + CMDLINE, cmdline, strlen(cmdline) + 1);
	return load_elf(m, path);
}
