/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of physical memory in struct boot_info, made from the firmware's memory map. Pure:
 * knows the layout of a UEFI memory descriptor, but needs no firmware and compiles on the host.
 *
 * A table is filled from what must be kept to what may be taken: a range only ever gets the
 * addresses that nothing before it has claimed. So overlaps (buggy firmware has them) end safely,
 * the order of the firmware's map does not matter, and nothing is ever split later.
 */
#ifndef BOOT_MEMMAP_H
#define BOOT_MEMMAP_H

#include "lib/types.h"
#include "vmm/boot_info.h"

struct memmap {
	struct mem_range *range; /* the caller's; sorted, no overlap, like neighbours merged */
	unsigned int ranges, max;
	u64 lost; /* bytes of free memory that found no place in the table */
};

/* GetMemoryMap's result: @size bytes of descriptors, one each @desc_size bytes. */
struct uefi_map {
	const void *desc;
	size_t size;
	size_t desc_size;
};

/*
 * Claim what is still unclaimed of [base, base + size), made larger to whole pages, or smaller
 * where it is MEM_FREE. In a full table MEM_FREE is dropped, the smallest ranges first, and
 * counted as lost; -ENOSPC when something else than MEM_FREE finds no place.
 */
int memmap_add(struct memmap *map, hpa_t base, u64 size, enum mem_kind kind) __must_check;

/* The same for all descriptors of @uefi that are of @kind. */
int memmap_add_uefi(struct memmap *map, const struct uefi_map *uefi,
		    enum mem_kind kind) __must_check;

#endif
