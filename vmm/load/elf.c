/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/elf.h"
#include "lib/errno.h"
#include "lib/string.h"

#define ET_EXEC     2
#define EM_386      3
#define EM_X86_64   62
#define PT_LOAD     1

#define ELFDATA2LSB 1

struct elf_ident {
	u8 magic[4];
	u8 class, data, version;
	u8 pad[9];
};

struct elf32_ehdr {
	struct elf_ident ident;
	u16 type, machine;
	u32 version;
	u32 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_ehdr {
	struct elf_ident ident;
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf32_phdr {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct elf64_phdr {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

_Static_assert(sizeof(struct elf32_ehdr) == 52, "ELF32 header");
_Static_assert(sizeof(struct elf64_ehdr) == 64, "ELF64 header");
_Static_assert(sizeof(struct elf32_phdr) == 32, "ELF32 program header");
_Static_assert(sizeof(struct elf64_phdr) == 56, "ELF64 program header");

/* What the two classes differ in, by enum elf_class. */
static const struct {
	u16 machine;
	u16 ehdr_size, phdr_size;
	const char *name;
} classes[] = {
	[ELF_32] = { EM_386, sizeof(struct elf32_ehdr), sizeof(struct elf32_phdr), "80386" },
	[ELF_64] = { EM_X86_64, sizeof(struct elf64_ehdr), sizeof(struct elf64_phdr), "x86-64" },
};

/* The file under examination; ehdr and phdr are always the 64-bit form. */
struct elf_file {
	const u8 *data;
	u64 size;
	enum elf_class class;
	struct elf64_ehdr ehdr;
	struct image_error *err;
};

#define elf_fail(f, ...) image_fail((f)->err, -ENOEXEC, "kernel", __VA_ARGS__)

enum elf_class elf_identify(const u8 *data, u64 size)
{
	struct elf_ident ident;

	if (size < sizeof(ident))
		return ELF_NONE;
	memcpy(&ident, data, sizeof(ident));
	if (memcmp(ident.magic, "\177ELF", 4) || ident.data != ELFDATA2LSB)
		return ELF_NONE;
	return ident.class == ELF_32 ? ELF_32 : ident.class == ELF_64 ? ELF_64 : ELF_NONE;
}

static void read_ehdr(struct elf_file *f)
{
	struct elf32_ehdr narrow;

	if (f->class == ELF_64) {
		memcpy(&f->ehdr, f->data, sizeof(f->ehdr));
		return;
	}
	memcpy(&narrow, f->data, sizeof(narrow));
	f->ehdr = (struct elf64_ehdr){
		.type = narrow.type,
		.machine = narrow.machine,
		.entry = narrow.entry,
		.phoff = narrow.phoff,
		.phentsize = narrow.phentsize,
		.phnum = narrow.phnum,
	};
}

/* Program header @i; check_header has found that it lies within the file. */
static struct elf64_phdr read_phdr(const struct elf_file *f, unsigned int i)
{
	const u8 *at = f->data + f->ehdr.phoff + (u64)i * f->ehdr.phentsize;
	struct elf32_phdr narrow;
	struct elf64_phdr wide;

	if (f->class == ELF_64) {
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, at, sizeof(narrow));
	return (struct elf64_phdr){
		.type = narrow.type,
		.offset = narrow.offset,
		.vaddr = narrow.vaddr,
		.paddr = narrow.paddr,
		.filesz = narrow.filesz,
		.memsz = narrow.memsz,
	};
}

static int check_header(struct elf_file *f)
{
	const struct elf64_ehdr *h = &f->ehdr;
	u64 bytes;

	if (f->size < classes[f->class].ehdr_size)
		return elf_fail(f, "truncated: an ELF header has %u bytes, the file has %lu",
				classes[f->class].ehdr_size, f->size);
	read_ehdr(f);
	if (h->machine != classes[f->class].machine)
		return elf_fail(f, "an ELF for machine %u, expected %s (%u)", h->machine,
				classes[f->class].name, classes[f->class].machine);
	if (h->type != ET_EXEC)
		return elf_fail(f, "an ELF of type %u, expected an executable (%u)", h->type,
				ET_EXEC);
	if (h->phentsize != classes[f->class].phdr_size)
		return elf_fail(f, "ELF program headers of %u bytes, expected %u", h->phentsize,
				classes[f->class].phdr_size);
	bytes = (u64)h->phnum * h->phentsize;
	if (bytes > f->size || h->phoff > f->size - bytes)
		return elf_fail(f,
				"truncated: %u program headers at byte %lu, the file has %lu bytes",
				h->phnum, h->phoff, f->size);
	return 0;
}

static int check_segment(const struct elf_file *f, unsigned int i, const struct elf64_phdr *p)
{
	if (p->filesz > f->size || p->offset > f->size - p->filesz)
		return elf_fail(
			f, "truncated: segment %u has %lu bytes at %lu, the file has %lu bytes", i,
			p->filesz, p->offset, f->size);
	if (p->filesz > p->memsz)
		return elf_fail(f, "segment %u has %lu bytes in the file, %lu in memory", i,
				p->filesz, p->memsz);
	if (p->paddr + p->memsz < p->paddr)
		return elf_fail(f, "segment %u at %#lx of %#lx bytes passes the end of addresses",
				i, p->paddr, p->memsz);
	return 0;
}

static int check_overlap(const struct elf_file *f, const struct elf_image *elf)
{
	for (unsigned int i = 0; i < elf->segments; i++) {
		const struct load_segment *a = &elf->segment[i];

		for (unsigned int j = i + 1; j < elf->segments; j++) {
			const struct load_segment *b = &elf->segment[j];

			if (a->gpa < b->gpa + b->memsz && b->gpa < a->gpa + a->memsz)
				return elf_fail(f, "segments at %#lx and %#lx overlap in memory",
						a->gpa, b->gpa);
		}
	}
	return 0;
}

static int read_segments(const struct elf_file *f, struct elf_image *elf)
{
	*elf = (struct elf_image){ .base = ~0ULL };
	for (unsigned int i = 0; i < f->ehdr.phnum; i++) {
		const struct elf64_phdr p = read_phdr(f, i);
		int error;

		if (p.type != PT_LOAD || !p.memsz)
			continue;
		if (elf->segments == ELF_MAX_SEGMENTS)
			return elf_fail(f, "more than %u ELF segments to load", ELF_MAX_SEGMENTS);
		error = check_segment(f, i, &p);
		if (error)
			return error;
		elf->segment[elf->segments++] =
			(struct load_segment){ p.offset, p.filesz, p.paddr, p.memsz };
		elf->base = MIN(elf->base, p.paddr);
		elf->end = MAX(elf->end, p.paddr + p.memsz);
	}
	if (!elf->segments)
		return elf_fail(f, "an ELF without a segment to load");
	return check_overlap(f, elf);
}

/*
 * Linux has a physical address as its entry; images that run at other addresses than they are
 * loaded at, but start without paging, often name the virtual one.
 */
static int find_entry(const struct elf_file *f, struct elf_image *elf)
{
	const u64 entry = f->ehdr.entry;

	for (unsigned int i = 0; i < elf->segments; i++) {
		if (entry - elf->segment[i].gpa < elf->segment[i].memsz) {
			elf->entry = entry;
			return 0;
		}
	}
	for (unsigned int i = 0; i < f->ehdr.phnum; i++) {
		const struct elf64_phdr p = read_phdr(f, i);

		if (p.type == PT_LOAD && entry - p.vaddr < p.memsz) {
			elf->entry = entry - p.vaddr + p.paddr;
			return 0;
		}
	}
	return elf_fail(f, "the ELF entry %#lx lies outside every segment", entry);
}

int elf_parse(struct elf_image *elf, enum elf_class class, const u8 *data, u64 size,
	      struct image_error *err)
{
	struct elf_file f = { .data = data, .size = size, .class = class, .err = err };
	int error;

	if (class == ELF_NONE || elf_identify(data, size) != class)
		return elf_fail(&f, "not an ELF of the expected class");
	error = check_header(&f);
	if (!error)
		error = read_segments(&f, elf);
	if (!error)
		error = find_entry(&f, elf);
	return error;
}
