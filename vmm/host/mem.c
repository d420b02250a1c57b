/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "vmm/host/mem.h"

#define MAX_BLOCKS 1024

/* Entries that allocation leaves alone: freeing may split a block, and must always be possible. */
#define SPARE_BLOCKS 64

#define LOW_END      MIB(1)

/* Below this size an allocation is small: it is kept away from where large ones come from. */
#define SMALL MIB(2)

struct block {
	hpa_t base, end;
	u32 owner;
};

/* Sorted, disjoint; neighbours that touch have different owners. Gaps are MEM_OWNER_NONE. */
static struct block blocks[MAX_BLOCKS];
static unsigned int nr_blocks;
static struct spinlock lock; /* of both. Nothing is cleared under it: that takes long */

static const u32 owner_of_kind[] = {
	[MEM_FREE] = MEM_OWNER_FREE,   [MEM_IMAGE] = MEM_OWNER_IMAGE,
	[MEM_FILES] = MEM_OWNER_FILES, [MEM_RUNTIME] = MEM_OWNER_FIRMWARE,
	[MEM_ACPI] = MEM_OWNER_ACPI,   [MEM_MMIO] = MEM_OWNER_MMIO,
};

/* Add above all that is there. */
static void append(hpa_t base, hpa_t end, u32 owner)
{
	struct block *last = nr_blocks ? &blocks[nr_blocks - 1] : NULL;

	if (base == end)
		return;
	if (last && last->end == base && last->owner == owner)
		last->end = end;
	else
		blocks[nr_blocks++] = (struct block){ base, end, owner };
}

/* The memory below LOW_END is set apart where the boot map has it free. */
static void append_split(hpa_t base, hpa_t end, u32 owner)
{
	if (owner == MEM_OWNER_FREE && base < LOW_END) {
		append(base, MIN(end, LOW_END), MEM_OWNER_LOW);
		base = MIN(end, LOW_END);
	}
	append(base, end, owner);
}

static bool range_ok(const struct mem_range *r, hpa_t above)
{
	return r->base >= above && IS_ALIGNED(r->base | r->size, PAGE_SIZE) && r->size &&
	       r->base + r->size > r->base && r->kind < ARRAY_SIZE(owner_of_kind);
}

_Static_assert(BOOT_MAX_RANGES + 1 + SPARE_BLOCKS < MAX_BLOCKS, "the boot map fits");

int mem_init(const struct boot_info *info)
{
	hpa_t above = 0;

	nr_blocks = 0;
	for (unsigned int i = 0; i < MIN(info->ranges, BOOT_MAX_RANGES); i++) {
		const struct mem_range *r = &info->range[i];

		if (!range_ok(r, above)) {
			pr_err("memory map: range %u (0x%llx, 0x%llx bytes, kind %d) is not "
			       "valid\n",
			       i, (unsigned long long)r->base, (unsigned long long)r->size,
			       (int)r->kind);
			return -EINVAL;
		}
		above = r->base + r->size;
		append_split(r->base, above, owner_of_kind[r->kind]);
	}
	return 0;
}

/* Index of the block that holds @addr, or nr_blocks. */
static unsigned int find(hpa_t addr)
{
	unsigned int lo = 0, hi = nr_blocks;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (addr < blocks[mid].base)
			hi = mid;
		else if (addr >= blocks[mid].end)
			lo = mid + 1;
		else
			return mid;
	}
	return nr_blocks;
}

/* Put @n blocks in place of the one at @i. */
static void replace(unsigned int i, const struct block *with, unsigned int n)
{
	memmove(&blocks[i + n], &blocks[i + 1], (nr_blocks - i - 1) * sizeof(*blocks));
	if (n)
		memcpy(&blocks[i], with, n * sizeof(*blocks));
	nr_blocks = nr_blocks + n - 1;
}

/* Make one block of @i and its upper neighbour if they are alike. */
static void merge(unsigned int i)
{
	if (i + 1 >= nr_blocks || blocks[i].end != blocks[i + 1].base ||
	    blocks[i].owner != blocks[i + 1].owner)
		return;
	blocks[i + 1].base = blocks[i].base;
	replace(i, NULL, 0);
}

/* Give the part [base, end) of block @i to @owner. Takes at most two more entries. */
static void carve(unsigned int i, hpa_t base, hpa_t end, u32 owner)
{
	struct block old = blocks[i], part[3];
	unsigned int n = 0;

	if (old.base < base)
		part[n++] = (struct block){ old.base, base, old.owner };
	part[n++] = (struct block){ base, end, owner };
	if (end < old.end)
		part[n++] = (struct block){ end, old.end, old.owner };
	replace(i, part, n);

	/* From above, so that the indexes below stay what they are. */
	for (unsigned int k = i + n; k-- > i;)
		merge(k);
	if (i)
		merge(i - 1);
}

/* Where in free block @b the allocation would lie: small ones at the bottom, large ones on top. */
static hpa_t place(const struct block *b, u64 size, u64 align)
{
	hpa_t base;

	if (b->owner != MEM_OWNER_FREE || b->end - b->base < size)
		return 0;
	if (size >= SMALL) {
		base = ALIGN_DOWN(b->end - size, align);
		return base >= b->base ? base : 0;
	}
	base = ALIGN_UP(b->base, align);
	return base >= b->base && base < b->end && b->end - base >= size ? base : 0;
}

/*
 * Small allocations take the smallest block that fits and so fill the holes of the firmware's map
 * first; large ones come from the highest. They meet only when memory is nearly full, so that
 * page tables do not break up the 2M- and 1G-aligned memory of guests.
 */
static unsigned int choose(u64 size, u64 align)
{
	unsigned int best = nr_blocks;

	for (unsigned int i = 0; i < nr_blocks; i++) {
		if (!place(&blocks[i], size, align))
			continue;
		if (best == nr_blocks || size >= SMALL ||
		    blocks[i].end - blocks[i].base < blocks[best].end - blocks[best].base)
			best = i;
	}
	return best;
}

static hpa_t take(u64 size, u64 align, u32 owner)
{
	unsigned int i = choose(size, align);
	hpa_t base;

	if (i == nr_blocks || nr_blocks + 2 + SPARE_BLOCKS > MAX_BLOCKS)
		return 0;
	base = place(&blocks[i], size, align);
	carve(i, base, base + size, owner);
	return base;
}

hpa_t mem_alloc(u64 size, u64 align, u32 owner)
{
	hpa_t base;

	align = MAX(align, (u64)PAGE_SIZE);
	if (!size || size > ~0ULL - PAGE_SIZE || (align & (align - 1)))
		return 0;
	size = ALIGN_UP(size, (u64)PAGE_SIZE);
	spin_lock(&lock);
	base = take(size, align, owner);
	spin_unlock(&lock);
	return base;
}

/* From the bottom, where the VMM's own is. */
static hpa_t take_below(u64 size, hpa_t limit, u32 owner)
{
	for (unsigned int i = 0; i < nr_blocks; i++) {
		hpa_t base = blocks[i].base, end = MIN(blocks[i].end, limit);

		if (blocks[i].owner != MEM_OWNER_FREE || end < base || end - base < size)
			continue;
		if (nr_blocks + 2 + SPARE_BLOCKS > MAX_BLOCKS)
			return 0;
		carve(i, base, base + size, owner);
		return base;
	}
	return 0;
}

hpa_t mem_alloc_below(u64 size, hpa_t limit, u32 owner)
{
	hpa_t base;

	if (!size || size > ~0ULL - PAGE_SIZE)
		return 0;
	spin_lock(&lock);
	base = take_below(ALIGN_UP(size, (u64)PAGE_SIZE), limit, owner);
	spin_unlock(&lock);
	return base;
}

hpa_t mem_alloc_page(u32 owner)
{
	hpa_t page = mem_alloc(PAGE_SIZE, PAGE_SIZE, owner);

	if (page)
		memset((void *)page, 0, PAGE_SIZE);
	return page;
}

static int reserve(hpa_t start, hpa_t end, u32 owner)
{
	for (unsigned int i = 0; i < nr_blocks; i++) {
		hpa_t from = MAX(start, blocks[i].base), to = MIN(end, blocks[i].end);

		if (from >= to || blocks[i].owner != MEM_OWNER_FREE)
			continue;
		if (nr_blocks + 2 + SPARE_BLOCKS > MAX_BLOCKS)
			return -ENOSPC;
		/* Look at the same index again: there may be a free block behind the carved one. */
		carve(i--, from, to, owner);
	}
	return 0;
}

int mem_reserve(hpa_t base, u64 size, u32 owner)
{
	int err;

	spin_lock(&lock);
	err = reserve(ALIGN_DOWN(base, (u64)PAGE_SIZE), ALIGN_UP(base + size, (u64)PAGE_SIZE),
		      owner);
	spin_unlock(&lock);
	return err;
}

/*
 * What is free has been scrubbed since a VM or the VMM had it. Meanwhile the range is still its
 * owner's, who gives it back and takes no more.
 */
static void give_back(hpa_t base, hpa_t end)
{
	memset((void *)base, 0, end - base);
	spin_lock(&lock);
	carve(find(base), base, end, MEM_OWNER_FREE);
	spin_unlock(&lock);
}

static bool table_is_full(void)
{
	bool full;

	spin_lock(&lock);
	full = nr_blocks + 2 > MAX_BLOCKS;
	spin_unlock(&lock);
	return full;
}

void mem_free(hpa_t base, u64 size, u32 owner)
{
	size = ALIGN_UP(size, (u64)PAGE_SIZE);
	if (owner == MEM_OWNER_FREE || !IS_ALIGNED(base, PAGE_SIZE) ||
	    !mem_owned(base, size, owner))
		panic("mem: freeing 0x%llx, 0x%llx bytes, which owner %u does not own",
		      (unsigned long long)base, (unsigned long long)size, owner);
	if (table_is_full()) {
		pr_warn("memory map: full; 0x%llx bytes stay allocated\n",
			(unsigned long long)size);
		return;
	}
	give_back(base, base + size);
}

/* A block of @owner's, or an empty one. */
static struct block any_of(u32 owner)
{
	struct block found = { 0 };

	spin_lock(&lock);
	for (unsigned int i = 0; i < nr_blocks && !found.end; i++) {
		if (blocks[i].owner == owner)
			found = blocks[i];
	}
	spin_unlock(&lock);
	return found;
}

/* A whole block needs no new entry in the table. */
void mem_free_owner(u32 owner)
{
	if (owner == MEM_OWNER_FREE)
		return;
	for (struct block b = any_of(owner); b.end; b = any_of(owner))
		give_back(b.base, b.end);
}

hpa_t mem_low_pages(unsigned int pages)
{
	hpa_t found = 0;

	for (unsigned int i = 0; i < nr_blocks; i++) {
		u64 size = blocks[i].end - blocks[i].base;

		if (blocks[i].owner == MEM_OWNER_LOW && size >= pages * PAGE_SIZE && blocks[i].base)
			found = blocks[i].end - pages * PAGE_SIZE;
	}
	return found;
}

u32 mem_owner(hpa_t addr)
{
	u32 owner;
	unsigned int i;

	spin_lock(&lock);
	i = find(addr);
	owner = i < nr_blocks ? blocks[i].owner : MEM_OWNER_NONE;
	spin_unlock(&lock);
	return owner;
}

bool mem_owned(hpa_t base, u64 size, u32 owner)
{
	unsigned int i;
	bool owned;

	spin_lock(&lock);
	i = find(base);
	/* Like neighbours are merged: what has one owner lies in one block. */
	owned = i < nr_blocks && size && blocks[i].owner == owner && size <= blocks[i].end - base;
	spin_unlock(&lock);
	return owned;
}

u64 mem_owner_bytes(u32 owner)
{
	u64 sum = 0;

	spin_lock(&lock);
	for (unsigned int i = 0; i < nr_blocks; i++)
		if (blocks[i].owner == owner)
			sum += blocks[i].end - blocks[i].base;
	spin_unlock(&lock);
	return sum;
}

u64 mem_free_bytes(void)
{
	return mem_owner_bytes(MEM_OWNER_FREE);
}

u64 mem_largest_free(u64 align)
{
	u64 largest = 0;

	align = MAX(align, (u64)PAGE_SIZE);
	spin_lock(&lock);
	for (unsigned int i = 0; i < nr_blocks; i++) {
		hpa_t base = ALIGN_UP(blocks[i].base, align);

		if (blocks[i].owner == MEM_OWNER_FREE && base >= blocks[i].base &&
		    base < blocks[i].end)
			largest = MAX(largest, blocks[i].end - base);
	}
	spin_unlock(&lock);
	return largest;
}
