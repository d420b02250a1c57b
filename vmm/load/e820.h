/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory map that a guest is shown, in the words of the BIOS call E820h. */
#ifndef VMM_LOAD_E820_H
#define VMM_LOAD_E820_H

#include "lib/guest_mem.h"
#include "lib/types.h"

#define E820_RAM      1
#define E820_RESERVED 2

/* The entries of the first MiB (lowmem.h), and one for each slot of RAM. */
#define E820_MAX (3 + GUEST_MEM_SLOTS)

struct e820_entry {
	u64 addr;
	u64 size;
	u32 type;
} __packed;

_Static_assert(sizeof(struct e820_entry) == 20, "e820 entry");

/* Describe @mem, sorted; returns the number of entries. What is not named is no RAM. */
unsigned int e820_build(const struct guest_mem *mem, struct e820_entry map[E820_MAX]);

#endif
