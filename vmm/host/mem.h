/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical memory: who owns which bytes. One sorted table of ranges, made from the boot map;
 * everything that is allocated belongs to an owner and can be taken back from it as a whole.
 *
 * May be called on any CPU, but for mem_init; one owner's memory is given back by one CPU at a time.
 */
#ifndef VMM_HOST_MEM_H
#define VMM_HOST_MEM_H

#include "lib/types.h"
#include "vmm/boot_info.h"

enum mem_owner {
	MEM_OWNER_NONE, /* not in the boot map: no memory, as far as we know */
	MEM_OWNER_FREE,
	MEM_OWNER_VMM,
	MEM_OWNER_IMAGE,
	MEM_OWNER_FILES,
	MEM_OWNER_FIRMWARE,
	MEM_OWNER_ACPI,
	MEM_OWNER_MMIO,
	MEM_OWNER_BOOT, /* free, but the firmware's tables and stack that we still run on lie there */
	MEM_OWNER_LOW, /* free memory below 1 MiB: for the start code of other CPUs, never handed out */
	MEM_OWNER_VM_FIRST,
};

#define MEM_OWNER_VM(n) ((u32)MEM_OWNER_VM_FIRST + (n))

/* Take the boot map over. -EINVAL (and said why) when it is not sorted, aligned and disjoint. */
int mem_init(const struct boot_info *info) __must_check;

/*
 * @size bytes (rounded up to pages) at a multiple of @align (a power of two; less than a page
 * means a page). Contents are whatever was there. 0 when there is no such block.
 */
hpa_t mem_alloc(u64 size, u64 align, u32 owner) __must_check;

/* The same, page-aligned, and all of it below @limit: for devices that reach no further. */
hpa_t mem_alloc_below(u64 size, hpa_t limit, u32 owner) __must_check;

/* One page of zeroes, or 0. */
hpa_t mem_alloc_page(u32 owner) __must_check;

/* Give what is free in [base, base + size) to @owner. -ENOSPC when the table of ranges is full. */
int mem_reserve(hpa_t base, u64 size, u32 owner) __must_check;

/* Give back, scrubbed to zero. The range must be wholly @owner's: anything else is our fault. */
void mem_free(hpa_t base, u64 size, u32 owner);

/* Give back all that @owner has, scrubbed. */
void mem_free_owner(u32 owner);

/* @pages of the free memory below 1 MiB, in a row, for good; 0 when there are none. */
hpa_t mem_low_pages(unsigned int pages) __must_check;

u32 mem_owner(hpa_t addr);
/* Is all of [base, base + size) @owner's? An empty range is nobody's. */
bool mem_owned(hpa_t base, u64 size, u32 owner);

u64 mem_owner_bytes(u32 owner);
u64 mem_free_bytes(void);
/* The largest @size that mem_alloc(size, align, ...) would find: for error messages. */
u64 mem_largest_free(u64 align);

#endif
