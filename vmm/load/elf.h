/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF executables for x86, of either class: from an untrusted file to a checked list of segments. */
#ifndef VMM_LOAD_ELF_H
#define VMM_LOAD_ELF_H

#include "lib/types.h"
#include "vmm/load/guest_load.h"
#include "vmm/load/image_error.h"

#define ELF_MAX_SEGMENTS 16

enum elf_class {
	ELF_NONE = 0,
	ELF_32 = 1, /* for the 80386 */
	ELF_64 = 2, /* for x86-64 */
};

struct elf_image {
	gpa_t entry;           /* physical; lies in a segment */
	gpa_t base;            /* the lowest address of all segments, */
	gpa_t end;             /* and the end of the highest */
	unsigned int segments; /* >= 1; they do not overlap in memory */
	struct load_segment segment[ELF_MAX_SEGMENTS];
};

/* What the first bytes say that the file is; nothing else is checked. */
enum elf_class elf_identify(const u8 *data, u64 size);

/* Check everything and list the PT_LOADs by their physical addresses. -ENOEXEC with the reason. */
int elf_parse(struct elf_image *elf, enum elf_class class, const u8 *data, u64 size,
	      struct image_error *err) __must_check;

#endif
