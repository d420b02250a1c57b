/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of ept/ stand on: pages that are counted, a processor that walks the tables, written
 * from the manual and not from ept/, and a watch that looks through it after every single store.
 */
#ifndef TESTS_UNIT_EPT_RIG_H
#define TESTS_UNIT_EPT_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "ept/ept.h"
#include "ept/table.h"
#include "lib/errno.h"
#include "lib/string.h"

/* --- Pages for tables: counted, poisoned when free, and scarce on demand. --- */

#define POOL_PAGES 6000
#define POOL_BASE  GIB(200)
#define NO_LIMIT   (~0u)
#define PHYS_BITS  40

static _Alignas(4096) u64 pool[POOL_PAGES][512];
static bool pool_used[POOL_PAGES];
static unsigned int pool_live, pool_next, pool_limit = NO_LIMIT;

static inline u64 *pool_page(hpa_t page)
{
	u64 i = (page - POOL_BASE) / PAGE_SIZE;

	assert_true(page >= POOL_BASE && i < POOL_PAGES && IS_ALIGNED(page, PAGE_SIZE));
	assert_true(pool_used[i]);
	return pool[i];
}

static inline hpa_t pool_alloc(void *ctx)
{
	(void)ctx;
	if (!pool_limit)
		return 0;
	if (pool_limit != NO_LIMIT)
		pool_limit--;
	assert_true(pool_live < POOL_PAGES);
	while (pool_used[pool_next])
		pool_next = (pool_next + 1) % POOL_PAGES;
	pool_used[pool_next] = true;
	pool_live++;
	memset(pool[pool_next], 0, PAGE_SIZE);
	return POOL_BASE + pool_next * PAGE_SIZE;
}

static inline void pool_free(void *ctx, hpa_t page)
{
	(void)ctx;
	memset(pool_page(page), 0xa5, PAGE_SIZE);
	pool_used[(page - POOL_BASE) / PAGE_SIZE] = false;
	pool_live--;
}

static inline void *pool_access(void *ctx, hpa_t page)
{
	(void)ctx;
	return pool_page(page);
}

static const struct ept_pages pages = { NULL, pool_alloc, pool_free, pool_access };

/* --- A processor: what it sees at an address. --- */

/* A page as one word: frame, rights (2:0), memory type (5:3), ignore PAT (6); 0 = not present. */
typedef u64 page_t;

#define BROKEN (~0ULL) /* EPT misconfiguration, or a table that is no longer one */

static inline page_t page_at(hpa_t hpa, u32 rights, enum memtype type)
{
	return hpa | rights | (u64)type << 3;
}

static const struct ept_features features_of_all = {
	.leaf_2m = true,
	.leaf_1g = true,
	.exec_only = true,
	.phys_bits = PHYS_BITS,
};

static inline bool cpu_rejects(const struct ept_features *f, u64 e, int shift, bool leaf)
{
	u64 rights = e & 7, type = e >> 3 & 7;

	if (rights == 2 || rights == 6 || (rights == 4 && !f->exec_only))
		return true;
	if (e >> PHYS_BITS)
		return true;
	if (!leaf)
		return e & 0xf8;
	if ((shift == 30 && !f->leaf_1g) || (shift == 21 && !f->leaf_2m) || shift == 39)
		return true;
	if (e & (BIT(shift) - 1) & ~0xfffULL)
		return true;
	return type == 2 || type == 3 || type == 7;
}

static inline page_t cpu_walk(const struct ept *ept, gpa_t gpa)
{
	hpa_t table = ept_eptp(ept) & ~0xfffULL;
	u64 rights = 7;

	for (int shift = 39;; shift -= 9) {
		u64 i = (table - POOL_BASE) / 4096, e;
		bool leaf;

		if (table < POOL_BASE || i >= POOL_PAGES || !pool_used[i])
			return BROKEN;
		e = pool[i][gpa >> shift & 511];
		if (!(e & 7))
			return e ? BROKEN : 0; /* L1TF: not even bits that do nothing */
		leaf = shift == 12 || e & 0x80;
		if (cpu_rejects(&ept->features, e, shift, leaf))
			return BROKEN;
		if (leaf && shift > 12 && ept->features.no_exec_large && e & 4)
			return BROKEN;
		table = e & 0xfffffffff000;
		rights &= e;
		if (leaf)
			return (table | (gpa & (BIT(shift) - 1) & ~0xfffULL)) | rights | (e & 0x78);
	}
}

/* --- The watch: after every store, each page that it knows shows the old or the new. --- */

#define WATCH_MAX 4096

static struct watch {
	const struct ept *ept; /* NULL: not watching */
	unsigned int pages, every, stores;
	gpa_t gpa[WATCH_MAX];
	page_t old[WATCH_MAX], new[WATCH_MAX];
	bool done[WATCH_MAX];
} watch;

static inline void watch_look(void)
{
	for (unsigned int i = 0; i < watch.pages; i++) {
		page_t now = cpu_walk(watch.ept, watch.gpa[i]);

		/* Once a page shows the new mapping, it never goes back. */
		if (now != watch.new[i] && (now != watch.old[i] || watch.done[i]))
			fail_msg("store %u: page %#llx shows %#llx, neither %#llx nor %#llx",
				 watch.stores, (unsigned long long)watch.gpa[i],
				 (unsigned long long)now, (unsigned long long)watch.old[i],
				 (unsigned long long)watch.new[i]);
		watch.done[i] = now == watch.new[i] && now != watch.old[i];
	}
}

/* Takes the place of ept/store.c. */
void ept_store(u64 *entry, u64 value)
{
	u64 page = ((uintptr_t)entry - (uintptr_t)pool) / PAGE_SIZE;

	assert_true(page < POOL_PAGES && pool_used[page]);
	assert_true(value == 0 || value & 7);
	*(volatile u64 *)entry = value;
	watch.stores++;
	if (watch.ept && watch.stores % watch.every == 0)
		watch_look();
}

static inline void watch_begin(const struct ept *ept)
{
	watch.ept = ept;
	watch.pages = watch.stores = 0;
	watch.every = 1;
	memset(watch.done, 0, sizeof(watch.done));
}

static inline void watch_page(gpa_t gpa, page_t old, page_t new)
{
	assert_true(watch.pages < WATCH_MAX);
	assert_true(cpu_walk(watch.ept, gpa) == old);
	watch.gpa[watch.pages] = gpa;
	watch.old[watch.pages] = old;
	watch.new[watch.pages++] = new;
}

static inline void watch_end(void)
{
	for (unsigned int i = 0; i < watch.pages; i++)
		assert_true(cpu_walk(watch.ept, watch.gpa[i]) == watch.new[i]);
	watch.ept = NULL;
}

/* --- Fixtures. --- */

static inline struct ept_stats stats_of(const struct ept *ept)
{
	struct ept_stats stats;

	ept_stats(ept, &stats);
	assert_int_equal(stats.faults, 0);
	return stats;
}

static inline void assert_leaves(const struct ept *ept, u64 n1g, u64 n2m, u64 n4k)
{
	struct ept_stats stats = stats_of(ept);

	assert_int_equal(stats.leaves_1g, n1g);
	assert_int_equal(stats.leaves_2m, n2m);
	assert_int_equal(stats.leaves_4k, n4k);
}

static inline struct ept *make(const struct ept_features *f)
{
	static struct ept ept;

	/* Also what a test that failed has left behind. */
	memset(pool_used, 0, sizeof(pool_used));
	pool_live = 0;
	pool_limit = NO_LIMIT;
	watch.ept = NULL;
	assert_int_equal(ept_init(&ept, f, &pages), 0);
	return &ept;
}

static inline struct ept *make_all(void)
{
	return make(&features_of_all);
}

static inline void finish(struct ept *ept)
{
	ept_destroy(ept);
	assert_int_equal(ept->tables, 0);
	assert_int_equal(pool_live, 0);
}

static inline void must_map(struct ept *ept, gpa_t gpa, hpa_t hpa, u64 size, u32 rights)
{
	assert_int_equal(ept_map(ept, gpa, hpa, size, rights, MEMTYPE_WB), 0);
}

#endif
