/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/memmap.h"
#include "lib/errno.h"
#include "lib/string.h"

/* UEFI specification, "EFI_BOOT_SERVICES.GetMemoryMap()": EFI_MEMORY_DESCRIPTOR. */
struct uefi_desc {
	u32 type;
	u32 pad;
	u64 base;
	u64 virtual_base;
	u64 pages;
	u64 attribute;
};

_Static_assert(sizeof(struct uefi_desc) == 40, "the layout is UEFI's");

#define ATTR_WB      BIT(3)
#define ATTR_SP      BIT(18) /* set aside for a special purpose */
#define ATTR_RUNTIME BIT(63)

/* EFI_MEMORY_TYPE. What boot services and loaders had is free once boot services have ended. */
static const enum mem_kind kind_of_type[] = {
	[0] = MEM_RUNTIME, /* reserved */
	[1] = MEM_FREE,    /* loader code; ours is claimed as MEM_IMAGE before */
	[2] = MEM_FREE,    /* loader data; ours is claimed as MEM_FILES before */
	[3] = MEM_FREE,    /* boot services code */
	[4] = MEM_FREE,    /* boot services data */
	[5] = MEM_RUNTIME, /* runtime services code */
	[6] = MEM_RUNTIME, /* runtime services data */
	[7] = MEM_FREE,    /* conventional */
	[8] = MEM_MMIO, /* unusable: bad RAM, not to be mapped as memory, not even to be guessed at */
	[9] = MEM_ACPI,     /* ACPI reclaim */
	[10] = MEM_RUNTIME, /* ACPI NVS */
	[11] = MEM_MMIO,    /* memory-mapped I/O */
	[12] = MEM_MMIO,    /* memory-mapped I/O port space */
	[13] = MEM_RUNTIME, /* PAL code */
	[14] = MEM_MMIO,    /* persistent: somebody's data */
	[15] = MEM_MMIO,    /* unaccepted: who touches it is ended */
};

#define HPA_END (1ULL << 52) /* no physical address reaches it */

static hpa_t end_of(const struct mem_range *r)
{
	return r->base + r->size;
}

static void remove_at(struct memmap *map, unsigned int i)
{
	map->ranges--;
	memmove(&map->range[i], &map->range[i + 1], (map->ranges - i) * sizeof(map->range[0]));
}

/* Put [base, end) before range @i, or into a neighbour that it touches and that is like it. */
static int insert_at(struct memmap *map, unsigned int i, hpa_t base, hpa_t end, enum mem_kind kind)
{
	struct mem_range *next = &map->range[i];
	struct mem_range *prev = next - 1; /* only looked at if there is one */
	bool after = i > 0 && prev->kind == kind && end_of(prev) == base;
	bool before = i < map->ranges && next->kind == kind && next->base == end;

	if (after) {
		prev->size += end - base;
		if (before) {
			prev->size += next->size;
			remove_at(map, i);
		}
		return 0;
	}
	if (before) {
		next->base = base;
		next->size += end - base;
		return 0;
	}
	if (map->ranges == map->max)
		return -ENOSPC;
	memmove(next + 1, next, (map->ranges - i) * sizeof(*next));
	map->ranges++;
	*next = (struct mem_range){ base, end - base, kind };
	return 0;
}

/* Forget the smallest free range, if it is smaller than @size bytes. */
static bool make_room(struct memmap *map, u64 size)
{
	unsigned int smallest = map->ranges;

	for (unsigned int i = 0; i < map->ranges; i++) {
		if (map->range[i].kind == MEM_FREE && map->range[i].size < size) {
			size = map->range[i].size;
			smallest = i;
		}
	}
	if (smallest == map->ranges)
		return false;
	map->lost += map->range[smallest].size;
	remove_at(map, smallest);
	return true;
}

/* The first range that ends above @base; map->ranges when there is none. */
static unsigned int first_above(const struct memmap *map, hpa_t base)
{
	unsigned int i = 0;

	while (i < map->ranges && end_of(&map->range[i]) <= base)
		i++;
	return i;
}

/* Claim [base, end), which is a gap of the table, or forget it. */
static int claim_gap(struct memmap *map, hpa_t base, hpa_t end, enum mem_kind kind)
{
	u64 size = end - base;

	while (insert_at(map, first_above(map, base), base, end, kind)) {
		if (make_room(map, kind == MEM_FREE ? size : ~0ULL))
			continue;
		if (kind != MEM_FREE)
			return -ENOSPC;
		map->lost += size;
		return 0;
	}
	return 0;
}

int memmap_add(struct memmap *map, hpa_t base, u64 size, enum mem_kind kind)
{
	hpa_t end;

	base = MIN(base, HPA_END);
	end = base + MIN(size, HPA_END - base);
	if (kind == MEM_FREE) {
		base = ALIGN_UP(base, PAGE_SIZE);
		end = ALIGN_DOWN(end, PAGE_SIZE);
	} else if (base < end) {
		base = ALIGN_DOWN(base, PAGE_SIZE);
		end = ALIGN_UP(end, PAGE_SIZE);
	}
	while (base < end) {
		unsigned int i = first_above(map, base);
		hpa_t gap_end = i < map->ranges ? MIN(end, map->range[i].base) : end;

		if (gap_end > base) {
			int err = claim_gap(map, base, gap_end, kind);

			if (err)
				return err;
			base = gap_end;
		} else {
			base = end_of(&map->range[i]);
		}
	}
	return 0;
}

static enum mem_kind kind_of(const struct uefi_desc *desc)
{
	enum mem_kind kind = MEM_RUNTIME;

	if (desc->type < ARRAY_SIZE(kind_of_type))
		kind = kind_of_type[desc->type];
	if (kind == MEM_FREE &&
	    (!(desc->attribute & ATTR_WB) || (desc->attribute & (ATTR_RUNTIME | ATTR_SP))))
		kind = MEM_RUNTIME;
	return kind;
}

int memmap_add_uefi(struct memmap *map, const struct uefi_map *uefi, enum mem_kind kind)
{
	struct uefi_desc desc;

	if (uefi->desc_size < sizeof(desc))
		return -EINVAL;
	for (size_t off = 0; off + uefi->desc_size <= uefi->size; off += uefi->desc_size) {
		u64 size;
		int err;

		memcpy(&desc, (const u8 *)uefi->desc + off, sizeof(desc));
		if (kind_of(&desc) != kind)
			continue;
		if (__builtin_mul_overflow(desc.pages, PAGE_SIZE, &size))
			size = HPA_END; /* too large: cut at the end of all addresses */
		err = memmap_add(map, desc.base, size, kind);
		if (err)
			return err;
	}
	return 0;
}
