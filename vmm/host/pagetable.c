/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/errno.h"
#include "vmm/host/pagetable.h"

#define ENTRIES 512u

/* Bytes that one entry of @level maps; level 1 is the lowest. */
static u64 span(unsigned int level)
{
	return PAGE_SIZE << (9 * (level - 1));
}

static unsigned int slot(u64 addr, unsigned int level)
{
	return (unsigned int)(addr / span(level) % ENTRIES);
}

static bool is_leaf(u64 entry, unsigned int level)
{
	return level == 1 || (entry & PT_LARGE);
}

static u64 *table_of(u64 entry)
{
	return (u64 *)(entry & PT_ADDR);
}

static u64 leaf(const struct pagetable *pt, u64 addr, unsigned int level, u64 bits)
{
	if (!(bits & PT_PRESENT))
		return 0;
	return (addr | bits | (level > 1 ? PT_LARGE : 0)) & pt->valid;
}

/*
 * The table below *@entry. A leaf is split: the new table says the same before it is hung in, so
 * that a CPU that uses the map at this moment sees no difference. Rights are the leaves' business;
 * entries of tables allow everything but user access.
 */
static u64 *descend(struct pagetable *pt, u64 *entry, u64 addr, unsigned int level)
{
	u64 old = *entry;
	u64 *table;

	if ((old & PT_PRESENT) && !is_leaf(old, level))
		return table_of(old);

	table = (u64 *)pt->alloc();
	if (!table)
		return NULL;
	if (old & PT_PRESENT) {
		u64 first = ALIGN_DOWN(addr, span(level));
		u64 bits = old & ~(PT_ADDR | PT_LARGE);

		for (unsigned int i = 0; i < ENTRIES; i++)
			table[i] = leaf(pt, first + i * span(level - 1), level - 1, bits);
	}
	__atomic_store_n(entry, (hpa_t)table | PT_PRESENT | PT_WRITE, __ATOMIC_RELEASE);
	return table;
}

static bool fits_leaf(const struct pagetable *pt, u64 addr, u64 end, unsigned int level)
{
	return level <= pt->largest && IS_ALIGNED(addr, span(level)) && end - addr >= span(level);
}

/*
 * May one leaf replace *@entry? Not where a table hangs already: its pages are not given back
 * (a CPU may be walking them), so that the map is never coarser than it has been.
 */
static bool takes_leaf(u64 entry, unsigned int level)
{
	return !(entry & PT_PRESENT) || is_leaf(entry, level);
}

/* Set leaves of one table, *@entry at @level and those behind it, as far as they go; returns the address after them. */
static u64 set_leaves(const struct pagetable *pt, u64 *entry, unsigned int level, u64 addr, u64 end,
		      u64 bits)
{
	do {
		__atomic_store_n(entry, leaf(pt, addr, level, bits), __ATOMIC_RELEASE);
		addr += span(level);
		entry++;
	} while (slot(addr, level) && fits_leaf(pt, addr, end, level) && takes_leaf(*entry, level));
	return addr;
}

/* Set what maps @addr, and what follows it in its table; returns the address after it, 0 = out of memory. */
static u64 set_some(struct pagetable *pt, u64 addr, u64 end, u64 bits)
{
	u64 *table = pt->root;

	for (unsigned int level = pt->levels; table; level--) {
		u64 *entry = &table[slot(addr, level)];

		if (fits_leaf(pt, addr, end, level) && takes_leaf(*entry, level))
			return set_leaves(pt, entry, level, addr, end, bits);
		table = descend(pt, entry, addr, level);
	}
	return 0;
}

int pagetable_set(struct pagetable *pt, hpa_t base, u64 size, u64 bits)
{
	/* The upper half of linear addresses is not used: an identity map could not be canonical. */
	u64 limit = MIN(span(pt->levels + 1) / 2, PT_ADDR + PAGE_SIZE);

	if (!IS_ALIGNED(base | size, PAGE_SIZE) || base > limit || size > limit - base)
		return -EINVAL;
	for (u64 addr = base, end = base + size; addr < end;) {
		addr = set_some(pt, addr, end, bits);
		if (!addr)
			return -ENOMEM;
	}
	return 0;
}

u64 pagetable_get(const struct pagetable *pt, hpa_t addr)
{
	const u64 *table = pt->root;

	if (addr >= span(pt->levels + 1) / 2)
		return 0;
	for (unsigned int level = pt->levels;; level--) {
		u64 entry = table[slot(addr, level)];

		if (!(entry & PT_PRESENT))
			return 0;
		if (is_leaf(entry, level))
			return entry;
		table = table_of(entry);
	}
}

static void walk(const u64 *table, unsigned int level, u64 addr, pagetable_fn *fn, void *ctx)
{
	for (unsigned int i = 0; i < ENTRIES; i++, addr += span(level)) {
		if (!(table[i] & PT_PRESENT))
			continue;
		if (is_leaf(table[i], level))
			fn(ctx, addr, span(level), table[i]);
		else
			walk(table_of(table[i]), level - 1, addr, fn, ctx);
	}
}

void pagetable_walk(const struct pagetable *pt, pagetable_fn *fn, void *ctx)
{
	walk(pt->root, pt->levels, 0, fn, ctx);
}
