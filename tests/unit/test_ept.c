/*
 * ept/: extended page tables. The oracle is a walker of our own, written from the manual and not
 * from ept/, which looks at the tables after every single store.
 */
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

static u64 *pool_page(hpa_t page)
{
	u64 i = (page - POOL_BASE) / PAGE_SIZE;

	assert_true(page >= POOL_BASE && i < POOL_PAGES && IS_ALIGNED(page, PAGE_SIZE));
	assert_true(pool_used[i]);
	return pool[i];
}

static hpa_t pool_alloc(void *ctx)
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

static void pool_free(void *ctx, hpa_t page)
{
	(void)ctx;
	memset(pool_page(page), 0xa5, PAGE_SIZE);
	pool_used[(page - POOL_BASE) / PAGE_SIZE] = false;
	pool_live--;
}

static void *pool_access(void *ctx, hpa_t page)
{
	(void)ctx;
	return pool_page(page);
}

static const struct ept_pages pages = { NULL, pool_alloc, pool_free, pool_access };

/* --- A processor: what it sees at an address. --- */

/* A page as one word: frame, rights (2:0), memory type (5:3), ignore PAT (6); 0 = not present. */
typedef u64 page_t;

#define BROKEN (~0ULL) /* EPT misconfiguration, or a table that is no longer one */

static page_t page_at(hpa_t hpa, u32 rights, enum memtype type)
{
	return hpa | rights | (u64)type << 3;
}

static struct ept_features features_of_all = {
	.leaf_2m = true,
	.leaf_1g = true,
	.exec_only = true,
	.phys_bits = PHYS_BITS,
};

static bool cpu_rejects(const struct ept_features *f, u64 e, int shift, bool leaf)
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

static page_t cpu_walk(const struct ept *ept, gpa_t gpa)
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

static void watch_look(void)
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

static void watch_begin(const struct ept *ept)
{
	watch.ept = ept;
	watch.pages = watch.stores = 0;
	watch.every = 1;
	memset(watch.done, 0, sizeof(watch.done));
}

static void watch_page(gpa_t gpa, page_t old, page_t new)
{
	assert_true(watch.pages < WATCH_MAX);
	assert_true(cpu_walk(watch.ept, gpa) == old);
	watch.gpa[watch.pages] = gpa;
	watch.old[watch.pages] = old;
	watch.new[watch.pages++] = new;
}

static void watch_end(void)
{
	for (unsigned int i = 0; i < watch.pages; i++)
		assert_true(cpu_walk(watch.ept, watch.gpa[i]) == watch.new[i]);
	watch.ept = NULL;
}

/* --- Fixtures. --- */

static struct ept_stats stats_of(const struct ept *ept)
{
	struct ept_stats stats;

	ept_stats(ept, &stats);
	assert_int_equal(stats.faults, 0);
	return stats;
}

static void assert_leaves(const struct ept *ept, u64 n1g, u64 n2m, u64 n4k)
{
	struct ept_stats stats = stats_of(ept);

	assert_int_equal(stats.leaves_1g, n1g);
	assert_int_equal(stats.leaves_2m, n2m);
	assert_int_equal(stats.leaves_4k, n4k);
}

static struct ept *make(const struct ept_features *f)
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

static void finish(struct ept *ept)
{
	ept_destroy(ept);
	assert_int_equal(ept->tables, 0);
	assert_int_equal(pool_live, 0);
}

static void must_map(struct ept *ept, gpa_t gpa, hpa_t hpa, u64 size, u32 rights)
{
	assert_int_equal(ept_map(ept, gpa, hpa, size, rights, MEMTYPE_WB), 0);
}

/* --- Tests of one claim each. --- */

/* Each part of a range gets the largest leaf that the alignment of both addresses allows. */
static void test_leaf_by_alignment(void **state)
{
	struct ept *ept = make(&features_of_all);

	(void)state;
	/* 4 KiB, then 2 MiB leaves up to 1 GiB, one of 1 GiB, 2 MiB, 4 KiB. */
	must_map(ept, MIB(1020) - KIB(4), GIB(8) + MIB(1020) - KIB(4), GIB(1) + MIB(6) + KIB(8),
		 EPT_RWX);
	assert_leaves(ept, 1, 3, 2);
	must_map(ept, GIB(4), GIB(8) + MIB(2), GIB(1), EPT_RWX); /* frame: only 2 MiB */
	assert_leaves(ept, 1, 3 + 512, 2);
	must_map(ept, GIB(5), GIB(8) + KIB(4), MIB(2), EPT_RWX); /* frame: only 4 KiB */
	assert_leaves(ept, 1, 3 + 512, 2 + 512);
	finish(ept);
}

/* A leaf size that is masked is not used, neither in maps nor in splits nor in merges. */
static void test_masked_sizes(void **state)
{
	struct ept_features f = features_of_all;
	struct ept *ept;

	(void)state;
	f.leaf_1g = false;
	ept = make(&f);
	must_map(ept, 0, GIB(8), GIB(1), EPT_RWX);
	assert_leaves(ept, 0, 512, 0);
	assert_false(ept_merge(ept));
	assert_leaves(ept, 0, 512, 0);
	finish(ept);

	f.leaf_2m = false;
	f.leaf_1g = true; /* cannot be cut without 2 MiB leaves: not used either */
	ept = make(&f);
	must_map(ept, 0, GIB(8), GIB(1), EPT_RWX);
	assert_leaves(ept, 0, 0, 512 * 512);
	assert_false(ept_merge(ept));
	assert_leaves(ept, 0, 0, 512 * 512);
	finish(ept);
}

/* iTLB multihit: executable leaves are 4 KiB, also when execution is granted later; others large. */
static void test_no_exec_large(void **state)
{
	struct ept_features f = features_of_all;
	struct ept *ept;

	(void)state;
	f.no_exec_large = true;
	ept = make(&f);
	must_map(ept, 0, GIB(8), MIB(2), EPT_RWX);
	must_map(ept, GIB(1), GIB(9), GIB(1), EPT_READ | EPT_WRITE);
	assert_leaves(ept, 1, 0, 512);
	assert_int_equal(ept_protect(ept, GIB(1) + MIB(2), MIB(2), EPT_READ | EPT_EXEC), 0);
	assert_leaves(ept, 0, 511, 1024);
	assert_false(ept_merge(ept));
	assert_leaves(ept, 0, 511, 1024);
	assert_int_equal(ept_protect(ept, GIB(1) + MIB(2), MIB(2), EPT_READ | EPT_WRITE), 0);
	assert_false(ept_merge(ept));
	assert_leaves(ept, 1, 0, 512);
	finish(ept);
}

/* What an entry cannot or should not say is refused, and nothing changes. */
static void test_bad_arguments(void **state)
{
	static const struct {
		gpa_t gpa;
		hpa_t hpa;
		u64 size;
		u32 rights;
		int type;
	} bad[] = {
		{KIB(2),            0,                       KIB(4),     EPT_RWX,              MEMTYPE_WB},
		{ 0,                KIB(2),                  KIB(4),     EPT_RWX,              MEMTYPE_WB},
		{ 0,                0,                       KIB(4) + 1, EPT_RWX,              MEMTYPE_WB},
		{ 0,                0,                       0,          EPT_RWX,              MEMTYPE_WB},
		{ BIT(48),          0,                       KIB(4),     EPT_RWX,              MEMTYPE_WB},
		{ BIT(48) - KIB(4), 0,                       KIB(8),     EPT_RWX,              MEMTYPE_WB},
		{ 0,                BIT(PHYS_BITS),          KIB(4),     EPT_RWX,              MEMTYPE_WB},
		{ 0,                BIT(PHYS_BITS) - KIB(4), KIB(8),     EPT_RWX,              MEMTYPE_WB},
		{ 0 - KIB(4),       0,                       KIB(8),     EPT_RWX,              MEMTYPE_WB},
		{ 0,                0,                       0 - KIB(4), EPT_RWX,              MEMTYPE_WB},
		{ KIB(8),           0,                       0 - KIB(4), EPT_RWX,              MEMTYPE_WB},
		{ 0,                0,                       KIB(4),     0,                    MEMTYPE_WB},
		{ 0,                0,                       KIB(4),     EPT_IGNORE_PAT,       MEMTYPE_WB},
		{ 0,                0,                       KIB(4),     EPT_WRITE,            MEMTYPE_WB},
		{ 0,                0,                       KIB(4),     EPT_WRITE | EPT_EXEC, MEMTYPE_WB},
		{ 0,                0,                       KIB(4),     EPT_RWX | 8,          MEMTYPE_WB},
		{ 0,                0,                       KIB(4),     EPT_RWX,              2         },
		{ 0,                0,                       KIB(4),     EPT_RWX,              3         },
		{ 0,                0,                       KIB(4),     EPT_RWX,              7         },
		{ 0,                0,                       KIB(4),     EPT_RWX,              -1        },
	};
	struct ept_features f = features_of_all;
	struct ept *ept = make(&f);
	struct ept none;

	(void)state;
	watch.stores = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ept_map(ept, bad[i].gpa, bad[i].hpa, bad[i].size, bad[i].rights,
					 (enum memtype)bad[i].type),
				 -EINVAL);
	assert_int_equal(ept_unmap(ept, 1, KIB(4)), -EINVAL);
	assert_int_equal(ept_unmap(ept, BIT(48), KIB(4)), -EINVAL);
	assert_int_equal(ept_unmap(ept, 0, 0), -EINVAL);
	assert_int_equal(ept_protect(ept, 0, BIT(48) + KIB(4), EPT_READ), -EINVAL);
	assert_int_equal(ept_protect(ept, 0, KIB(4), 0), -EINVAL);
	assert_int_equal(ept_protect(ept, 0, KIB(4), EPT_WRITE), -EINVAL);
	assert_int_equal(ept_protect(ept, 0, KIB(4), EPT_READ | EPT_IGNORE_PAT), -EINVAL);
	assert_int_equal(watch.stores, 0);
	assert_int_equal(ept->generation, 0);
	/* The very last page of both spaces is fine. */
	must_map(ept, BIT(48) - KIB(4), BIT(PHYS_BITS) - KIB(4), KIB(4), EPT_EXEC);
	finish(ept);

	f.exec_only = false;
	ept = make(&f);
	assert_int_equal(ept_map(ept, 0, 0, KIB(4), EPT_EXEC, MEMTYPE_WB), -EINVAL);
	finish(ept);

	f.phys_bits = 31;
	assert_int_equal(ept_init(&none, &f, &pages), -EINVAL);
	f.phys_bits = 53;
	assert_int_equal(ept_init(&none, &f, &pages), -EINVAL);
	f.phys_bits = 52;
	pool_limit = 0;
	assert_int_equal(ept_init(&none, &f, &pages), -ENOMEM);
	pool_limit = NO_LIMIT;
	ept_destroy(&none); /* of what never came to be */
	assert_int_equal(pool_live, 0);
}

/* Rights, memory type and ignore-PAT reach the entry, and survive split, protect and merge. */
static void test_attributes(void **state)
{
	static const enum memtype types[] = { MEMTYPE_UC, MEMTYPE_WC, MEMTYPE_WT, MEMTYPE_WP,
					      MEMTYPE_WB };
	struct ept_leaf leaf;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct ept *ept = make(&features_of_all);
		page_t want = page_at(GIB(8) + KIB(12), EPT_READ | EPT_IGNORE_PAT, types[i]);

		assert_int_equal(
			ept_map(ept, 0, GIB(8), GIB(1), EPT_RWX | EPT_IGNORE_PAT, types[i]), 0);
		assert_int_equal(ept_protect(ept, KIB(12), KIB(4), EPT_READ), 0);
		assert_true(cpu_walk(ept, KIB(12)) == want);
		assert_true(ept_lookup(ept, KIB(12) + 123, &leaf));
		assert_true(leaf.gpa == KIB(12) && leaf.hpa == GIB(8) + KIB(12));
		assert_true(leaf.size == KIB(4) && leaf.rights == (EPT_READ | EPT_IGNORE_PAT));
		assert_true(leaf.type == types[i]);
		assert_true(cpu_walk(ept, KIB(16)) == (want + KIB(4)) + EPT_WRITE + EPT_EXEC);
		assert_int_equal(ept_protect(ept, KIB(12), KIB(4), EPT_RWX), 0);
		assert_false(ept_merge(ept));
		assert_leaves(ept, 1, 0, 0);
		assert_true(ept_lookup(ept, MIB(1000), &leaf));
		assert_true(leaf.gpa == 0 && leaf.hpa == GIB(8) && leaf.size == GIB(1));
		assert_true(leaf.rights == (EPT_RWX | EPT_IGNORE_PAT) && leaf.type == types[i]);
		assert_false(ept_lookup(ept, GIB(1), &leaf));
		assert_false(ept_lookup(ept, BIT(48), &leaf));
		finish(ept);
	}
}

/* The EPT pointer: write-back, four levels, accessed/dirty flags as allowed. */
static void test_eptp(void **state)
{
	struct ept_features f = features_of_all;
	struct ept *ept = make(&f);

	(void)state;
	assert_true(ept_eptp(ept) == (ept->root | 0x1e));
	finish(ept);
	f.accessed_dirty = true;
	ept = make(&f);
	assert_true(ept_eptp(ept) == (ept->root | 0x5e));
	finish(ept);
}

/* With A/D flags, no split, merge or protect loses that a page may be dirty. */
static void test_accessed_dirty(void **state)
{
	struct ept_features f = features_of_all;
	struct ept *ept;
	u64 *entry;

	(void)state;
	f.accessed_dirty = true;
	ept = make(&f);
	must_map(ept, 0, GIB(8), MIB(2), EPT_RWX);
	assert_int_equal(ept_protect(ept, 0, KIB(4), EPT_READ), 0);
	entry = pool_page(
		pool_page(pool_page(pool_page(ept->root)[0] & ~0xfffULL)[0] & ~0xfffULL)[0] &
		~0xfffULL);
	for (unsigned int i = 0; i < 512; i++) {
		assert_true((entry[i] & 0x300) == 0x300);
		entry[i] &= i % 2 ? ~0x300ULL : ~0x200ULL; /* a log of dirty pages has begun */
	}
	assert_int_equal(ept_protect(ept, 0, KIB(4), EPT_RWX), 0);
	assert_false(ept_merge(ept)); /* differing flags do not keep leaves apart */
	entry = pool_page(pool_page(pool_page(ept->root)[0] & ~0xfffULL)[0] & ~0xfffULL);
	assert_true((entry[0] & 0x380) == 0x380);
	finish(ept);
}

/* Only a change of what was present asks for INVEPT; saying again what is there does nothing. */
static void test_generation(void **state)
{
	struct ept *ept = make(&features_of_all);
	u64 g = ept->generation;

	(void)state;
	must_map(ept, 0, GIB(8), MIB(4), EPT_RWX);
	must_map(ept, MIB(4), GIB(9) + KIB(4), MIB(2), EPT_RWX);
	assert_int_equal(ept_unmap(ept, GIB(1), GIB(3)), 0);
	assert_int_equal(ept_protect(ept, GIB(1), GIB(3), EPT_READ), 0);
	assert_true(ept->generation == g);
	watch.stores = 0;
	must_map(ept, 0, GIB(8), MIB(4), EPT_RWX);
	assert_int_equal(watch.stores, 0);

	assert_int_equal(ept_protect(ept, 0, KIB(4), EPT_READ), 0);
	assert_true(ept->generation > g);
	g = ept->generation;
	must_map(ept, 0, GIB(7), KIB(4), EPT_READ);
	assert_true(ept->generation > g);
	g = ept->generation;
	assert_int_equal(ept_map(ept, 0, GIB(7), KIB(4), EPT_READ, MEMTYPE_UC), 0);
	assert_true(ept->generation > g);
	g = ept->generation;
	assert_int_equal(ept_unmap(ept, 0, KIB(4)), 0);
	assert_true(ept->generation > g);
	g = ept->generation;
	must_map(ept, 0, GIB(8), KIB(4), EPT_RWX);
	assert_true(ept->generation == g);
	assert_false(ept_merge(ept));
	assert_true(ept->generation > g);
	finish(ept);
}

/* A table out of use stays what it was until ept_reclaim: processors may have it cached. */
static void test_retired_tables_stay(void **state)
{
	struct ept *ept = make(&features_of_all);
	unsigned int live;
	u64 *cached, copy[512];
	hpa_t pd;

	(void)state;
	must_map(ept, 0, GIB(8), MIB(2), EPT_READ);
	must_map(ept, KIB(4), GIB(9), KIB(4), EPT_READ);
	pd = pool_page(pool_page(ept->root)[0] & ~0xfffULL)[0] & ~0xfffULL;
	cached = pool_page(pool_page(pd)[0] & ~0xfffULL);
	memcpy(copy, cached, sizeof(copy));
	live = pool_live;
	must_map(ept, 0, GIB(8), MIB(2), EPT_READ);
	assert_int_equal(pool_live, live);
	assert_memory_equal(cached, copy, sizeof(copy));
	ept_reclaim(ept);
	assert_int_equal(pool_live, live - 1);
	assert_int_equal(ept->tables, pool_live);
	finish(ept);
}

/* When no more tables can be retired, changes are still right, and merging tidies up later. */
static void test_retired_full(void **state)
{
	struct ept *ept = make(&features_of_all);
	const unsigned int regions = EPT_RETIRED_MAX + 8;

	(void)state;
	for (unsigned int i = 0; i < regions; i++)
		must_map(ept, i * MIB(2), GIB(8) + KIB(4), MIB(2), EPT_READ);
	must_map(ept, 0, GIB(10), regions * MIB(2), EPT_READ);
	assert_int_equal(ept->retired_count, EPT_RETIRED_MAX);
	assert_leaves(ept, 0, EPT_RETIRED_MAX, 8 * 512);
	for (unsigned int i = 0; i < regions * 512; i++)
		assert_true(cpu_walk(ept, i * KIB(4)) ==
			    page_at(GIB(10) + i * KIB(4), EPT_READ, MEMTYPE_WB));
	assert_true(ept_merge(ept));
	ept_reclaim(ept);
	assert_false(ept_merge(ept));
	assert_leaves(ept, 0, regions, 0);

	/* Without room, unmap empties the tables in place. */
	must_map(ept, 0, GIB(8) + KIB(4), regions * MIB(2), EPT_READ);
	assert_int_equal(ept_unmap(ept, 0, regions * MIB(2)), 0);
	assert_leaves(ept, 0, 0, 0);
	while (ept_merge(ept))
		ept_reclaim(ept);
	ept_reclaim(ept);
	assert_int_equal(ept->tables, 1);
	assert_int_equal(pool_live, 1);
	finish(ept);
}

/* Merging goes over all sizes at once, removes what is empty and leaves alone what differs. */
static void test_merge(void **state)
{
	struct ept *ept = make(&features_of_all);

	(void)state;
	for (u64 i = 0; i < 512 * 512; i++)
		must_map(ept, GIB(3) + i * KIB(4), GIB(9) + i * KIB(4), KIB(4), EPT_RWX);
	assert_leaves(ept, 0, 0, 512 * 512);
	must_map(ept, GIB(600), GIB(9), KIB(4), EPT_RWX);
	assert_int_equal(ept_unmap(ept, GIB(600), KIB(4)), 0);
	assert_false(ept_merge(ept));
	assert_leaves(ept, 1, 0, 0);
	ept_reclaim(ept);
	assert_int_equal(pool_live, 2);

	/* One page with other rights, type or frame keeps its table, and only that. */
	assert_int_equal(ept_protect(ept, GIB(3) + KIB(4), KIB(4), EPT_READ), 0);
	assert_int_equal(
		ept_map(ept, GIB(3) + MIB(2), GIB(9) + MIB(2), KIB(4), EPT_RWX, MEMTYPE_UC), 0);
	must_map(ept, GIB(3) + MIB(4), GIB(9) + MIB(4) + KIB(4), KIB(4), EPT_RWX);
	assert_int_equal(ept_unmap(ept, GIB(3) + MIB(6), KIB(4)), 0);
	must_map(ept, GIB(3) + MIB(8), GIB(9) + MIB(8), KIB(4), EPT_RWX); /* as it was */
	assert_leaves(ept, 0, 507, 5 * 512 - 1);
	assert_false(ept_merge(ept));
	assert_leaves(ept, 0, 508, 4 * 512 - 1);

	/* Frames in a row, but not aligned. */
	must_map(ept, GIB(4), GIB(9) + KIB(4), MIB(2), EPT_RWX);
	assert_false(ept_merge(ept));
	assert_leaves(ept, 0, 508, 5 * 512 - 1);
	finish(ept);
}

/* Splitting, remapping and merging show the old or the new page after each store: 4 MiB in full. */
static void test_old_or_new(void **state)
{
	enum { SPAN = 1024 }; /* pages watched */
	struct ept *ept = make(&features_of_all);
	const hpa_t a = GIB(8), b = GIB(16) + KIB(4);

	(void)state;
	must_map(ept, GIB(1), a, GIB(1), EPT_RWX);

	/* A page changes: 1 GiB -> 2 MiB -> 4 KiB. */
	watch_begin(ept);
	for (u64 i = 0; i < SPAN; i++)
		watch_page(GIB(1) + i * KIB(4), page_at(a + i * KIB(4), EPT_RWX, MEMTYPE_WB),
			   i == 5 ? page_at(b, EPT_READ, MEMTYPE_UC)
				  : page_at(a + i * KIB(4), EPT_RWX, MEMTYPE_WB));
	assert_int_equal(ept_map(ept, GIB(1) + 5 * KIB(4), b, KIB(4), EPT_READ, MEMTYPE_UC), 0);
	assert_int_equal(watch.stores, 3);
	watch_end();
	assert_leaves(ept, 0, 511, 512);

	/* The range moves to frames that want other leaves. */
	watch_begin(ept);
	for (u64 i = 0; i < SPAN; i++)
		watch_page(GIB(1) + i * KIB(4), cpu_walk(ept, GIB(1) + i * KIB(4)),
			   page_at(b + i * KIB(4), EPT_READ, MEMTYPE_WB));
	must_map(ept, GIB(1), b, MIB(4), EPT_READ);
	watch_end();
	assert_leaves(ept, 0, 510, 1024);

	/* And back, in one store per 2 MiB. */
	watch_begin(ept);
	for (u64 i = 0; i < SPAN; i++)
		watch_page(GIB(1) + i * KIB(4), page_at(b + i * KIB(4), EPT_READ, MEMTYPE_WB),
			   page_at(a + i * KIB(4), EPT_RWX, MEMTYPE_WB));
	must_map(ept, GIB(1), a, MIB(4), EPT_RWX);
	assert_int_equal(watch.stores, 2);
	watch_end();

	/* Merging changes nothing at any time. */
	watch_begin(ept);
	for (u64 i = 0; i < SPAN; i++)
		watch_page(GIB(1) + i * KIB(4), page_at(a + i * KIB(4), EPT_RWX, MEMTYPE_WB),
			   page_at(a + i * KIB(4), EPT_RWX, MEMTYPE_WB));
	assert_false(ept_merge(ept));
	watch_end();
	assert_leaves(ept, 1, 0, 0);
	finish(ept);
}

/* What cannot have been written here is found, named and not followed. */
static void test_walk_finds_faults(void **state)
{
	static const struct {
		unsigned int level;
		u64 entry;
		const char *fault;
	} planted[] = {
		{1,  GIB(1),                  "not present, but not zero"},
		{ 3, BIT(7),                  "not present, but not zero"},
		{ 1, GIB(1) | 2,              "impossible rights"        },
		{ 1, GIB(1) | 0x36 | 1,       NULL                       },
		{ 1, GIB(1) | 0x36 | 6,       "impossible rights"        },
		{ 1, BIT(PHYS_BITS) | 0x37,   "unknown bits"             },
		{ 1, GIB(1) | 0x37 | BIT(63), "unknown bits"             },
		{ 1, GIB(1) | 0x37 | BIT(9),  "unknown bits"             }, /* dirty, without A/D flags */
		{ 2, GIB(1) | MIB(1) | 0xb7,  "unknown bits"             }, /* a frame that is not aligned */
		{ 3, GIB(1) | MIB(2) | 0xb7,  "unknown bits"             },
		{ 2, POOL_BASE | 0x37,        "unknown bits"             }, /* a table with a memory type */
		{ 2, POOL_BASE | 3,           "table without all rights" },
		{ 1, GIB(1) | 7 | 2 << 3,     "reserved memory type"     },
		{ 1, GIB(1) | 7 | 7 << 3,     "reserved memory type"     },
		{ 4, 0xb7,                    "leaf too large"           },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(planted); i++) {
		struct ept *ept = make(&features_of_all);
		struct ept_stats stats;
		struct ept_leaf leaf;
		u64 *table;

		/* Entry 8 of each table on the way, where nothing else is mapped. */
		must_map(ept, 0, GIB(1), KIB(4), EPT_RWX);
		table = pool_page(ept->root);
		for (unsigned int level = 4; level > planted[i].level; level--)
			table = pool_page(table[0] & ~0xfffULL);
		table[8] = planted[i].entry;
		ept_stats(ept, &stats);
		assert_int_equal(stats.faults, planted[i].fault != NULL);
		assert_int_equal(stats.tables, 4);
		assert_int_equal(ept_lookup(ept, 8 * BIT(3 + 9 * planted[i].level), &leaf),
				 !planted[i].fault);
		table[8] = 0;
		finish(ept);
	}
}

static int stop_at_second_leaf(void *ctx, const struct ept_visit *v)
{
	unsigned int *leaves = ctx;

	return v->kind == EPT_KIND_LEAF && ++*leaves == 2 ? 42 : 0;
}

/* A visitor ends the walk, and its answer is the walk's. */
static void test_walk_stops(void **state)
{
	struct ept *ept = make(&features_of_all);
	unsigned int leaves = 0;

	(void)state;
	must_map(ept, 0, GIB(8), KIB(40), EPT_RWX);
	assert_int_equal(ept_walk(ept, stop_at_second_leaf, &leaves), 42);
	assert_int_equal(leaves, 2);
	finish(ept);
}

struct isolation {
	unsigned int tables;
	u64 bytes;
};

static int only_own_frames(void *ctx, const struct ept_visit *v)
{
	struct isolation *seen = ctx;

	assert_int_not_equal(v->kind, EPT_KIND_FAULT);
	if (v->kind == EPT_KIND_TABLE) {
		seen->tables++;
		pool_page(v->leaf.hpa); /* is a live table page */
		return 0;
	}
	assert_true(v->leaf.hpa >= GIB(8) && v->leaf.hpa + v->leaf.size <= GIB(8) + MIB(512));
	seen->bytes += v->leaf.size;
	return 0;
}

/* Isolation: a walk over every entry meets the guest's frames, each once, and nothing else. */
static void test_isolation(void **state)
{
	struct ept *ept = make(&features_of_all);
	struct isolation seen = { 0, 0 };

	(void)state;
	/* A typical guest: RAM with a hole at the legacy area and a read-only page. */
	must_map(ept, 0, GIB(8), MIB(512), EPT_RWX);
	assert_int_equal(ept_unmap(ept, 0xa0000, 0x60000), 0);
	assert_int_equal(ept_protect(ept, 0x9f000, KIB(4), EPT_READ), 0);
	assert_int_equal(ept_walk(ept, only_own_frames, &seen), 0);
	assert_int_equal(seen.bytes, MIB(512) - 0x60000);
	assert_int_equal(seen.tables + 1, pool_live);
	finish(ept);
}

/* --- Allocation failure at every point. --- */

struct scenario {
	const char *name;
	int (*act)(struct ept *ept);
};

static int act_map_fresh(struct ept *ept)
{
	return ept_map(ept, GIB(512) - MIB(6), GIB(20) + KIB(4), MIB(12), EPT_RWX, MEMTYPE_WB);
}

static int act_map_over(struct ept *ept)
{
	return ept_map(ept, MIB(1021), GIB(20) + KIB(4), MIB(6), EPT_RWX, MEMTYPE_WC);
}

static int act_unmap(struct ept *ept)
{
	return ept_unmap(ept, GIB(1) - KIB(4), GIB(1) + KIB(8));
}

static int act_protect(struct ept *ept)
{
	return ept_protect(ept, GIB(1) - KIB(4), GIB(1) + KIB(8), EPT_READ);
}

static const gpa_t sample_base[] = { GIB(1) - MIB(4), GIB(2) - MIB(4), GIB(512) - MIB(8) };
enum { SAMPLE_PAGES = 4096 };

static void sample(const struct ept *ept, page_t (*out)[SAMPLE_PAGES])
{
	for (unsigned int b = 0; b < ARRAY_SIZE(sample_base); b++)
		for (unsigned int i = 0; i < SAMPLE_PAGES; i++)
			out[b][i] = cpu_walk(ept, sample_base[b] + i * KIB(4));
}

/* Some page x: before it the new mapping, from it on the old one. */
static void assert_prefix(page_t (*old)[SAMPLE_PAGES], page_t (*new)[SAMPLE_PAGES],
			  page_t (*now)[SAMPLE_PAGES])
{
	bool reached = false;

	for (unsigned int b = 0; b < ARRAY_SIZE(sample_base); b++) {
		for (unsigned int i = 0; i < SAMPLE_PAGES; i++) {
			if (old[b][i] == new[b][i]) {
				assert_true(now[b][i] == old[b][i]);
				continue;
			}
			reached |= now[b][i] == old[b][i];
			assert_true(now[b][i] == (reached ? old : new)[b][i]);
		}
	}
}

/* Out of memory: a prefix is done, the rest untouched, the call can be repeated, nothing leaks. */
static void test_out_of_memory(void **state)
{
	static const struct scenario scenarios[] = {
		{"map fresh", act_map_fresh},
		{ "map over", act_map_over },
		{ "unmap",    act_unmap    },
		{ "protect",  act_protect  },
	};
	static page_t old[ARRAY_SIZE(sample_base)][SAMPLE_PAGES];
	static page_t new[ARRAY_SIZE(sample_base)][SAMPLE_PAGES];
	static page_t now[ARRAY_SIZE(sample_base)][SAMPLE_PAGES];

	(void)state;
	for (unsigned int s = 0; s < ARRAY_SIZE(scenarios); s++) {
		struct ept *ept;
		unsigned int n = 0;
		int err;

		ept = make(&features_of_all);
		must_map(ept, 0, GIB(8), GIB(4), EPT_RWX);
		sample(ept, old);
		assert_int_equal(scenarios[s].act(ept), 0);
		sample(ept, new);
		finish(ept);

		do {
			ept = make(&features_of_all);
			must_map(ept, 0, GIB(8), GIB(4), EPT_RWX);
			pool_limit = n++;
			err = scenarios[s].act(ept);
			pool_limit = NO_LIMIT;
			sample(ept, now);
			stats_of(ept);
			if (err) {
				assert_int_equal(err, -ENOMEM);
				assert_prefix(old, new, now);
				assert_int_equal(scenarios[s].act(ept), 0);
				sample(ept, now);
			}
			assert_memory_equal(now, new, sizeof(new));
			finish(ept);
		} while (err);
		assert_true(n > 3); /* each takes several tables */
	}
}

/* --- Random sequences against a flat model. --- */

#define WINDOW_BASE  GIB(511) /* across the border of two entries of the root */
#define WINDOW_PAGES (3u * 512 * 512)

static page_t model[WINDOW_PAGES], next[WINDOW_PAGES], shown[WINDOW_PAGES];

static u64 random_state;

static u64 rnd(u64 n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (random_state >> 20) % n;
}

struct range {
	u64 first, pages;
};

static struct range random_range(void)
{
	static const unsigned int most[] = { 8, 8, 600, 600, 2000, 512 * 5, 512 * 600 };
	u64 max = most[rnd(ARRAY_SIZE(most))];
	u64 align = (const u64[]){ 1, 1, 512, 512, 512 * 512 }[rnd(5)];
	struct range r;

	r.first = rnd(WINDOW_PAGES) / align * align;
	r.pages = 1 + rnd(max);
	if (rnd(2))
		r.pages = (r.pages + align - 1) / align * align;
	r.pages = MIN(r.pages, WINDOW_PAGES - r.first);
	return r;
}

static int show(void *ctx, const struct ept_visit *v)
{
	(void)ctx;
	assert_int_not_equal(v->kind, EPT_KIND_FAULT);
	if (v->kind != EPT_KIND_LEAF)
		return 0;
	assert_true(v->leaf.gpa >= WINDOW_BASE);
	assert_true(v->leaf.gpa + v->leaf.size <= WINDOW_BASE + WINDOW_PAGES * PAGE_SIZE);
	for (u64 i = 0; i < v->leaf.size / PAGE_SIZE; i++)
		shown[(v->leaf.gpa - WINDOW_BASE) / PAGE_SIZE + i] =
			page_at(v->leaf.hpa + i * PAGE_SIZE, v->leaf.rights, v->leaf.type);
	return 0;
}

static void watch_samples(const struct ept *ept, struct range r)
{
	u64 edges[] = { r.first ? r.first - 1 : 0, r.first, r.first + r.pages - 1,
			MIN(r.first + r.pages, WINDOW_PAGES - 1) };

	watch_begin(ept);
	for (unsigned int i = 0; i < 64; i++) {
		u64 page = i < 4 ? edges[i] : i < 40 ? r.first + rnd(r.pages) : rnd(WINDOW_PAGES);

		watch_page(WINDOW_BASE + page * PAGE_SIZE, model[page], next[page]);
	}
	watch.every = r.pages > 4096 ? 61 : 1;
}

static const u32 some_rights[] = { EPT_READ, EPT_READ | EPT_WRITE, EPT_READ | EPT_EXEC, EPT_RWX };

static int random_map(struct ept *ept, struct range r)
{
	u64 align = (const u64[]){ GIB(1), GIB(1), MIB(2), KIB(4) }[rnd(4)];
	gpa_t gpa = WINDOW_BASE + r.first * PAGE_SIZE;
	/* Congruent to the guest-physical address for the alignment drawn. */
	hpa_t hpa = GIB(1 + rnd(2)) + gpa % GIB(1) + (rnd(4) * align) % GIB(1);
	u32 rights = some_rights[rnd(4)] | (rnd(4) ? 0 : EPT_IGNORE_PAT);
	enum memtype type = rnd(4) ? MEMTYPE_WB : MEMTYPE_UC;

	for (u64 i = 0; i < r.pages; i++)
		next[r.first + i] = page_at(hpa + i * PAGE_SIZE, rights, type);
	watch_samples(ept, r);
	return ept_map(ept, gpa, hpa, r.pages * PAGE_SIZE, rights, type);
}

static int random_unmap(struct ept *ept, struct range r)
{
	memset(&next[r.first], 0, r.pages * sizeof(next[0]));
	watch_samples(ept, r);
	return ept_unmap(ept, WINDOW_BASE + r.first * PAGE_SIZE, r.pages * PAGE_SIZE);
}

static int random_protect(struct ept *ept, struct range r)
{
	u32 rights = some_rights[rnd(4)];

	for (u64 i = r.first; i < r.first + r.pages; i++)
		next[i] = next[i] ? (next[i] & ~7ULL) | rights : 0;
	watch_samples(ept, r);
	return ept_protect(ept, WINDOW_BASE + r.first * PAGE_SIZE, r.pages * PAGE_SIZE, rights);
}

static int random_merge(struct ept *ept, struct range r)
{
	watch_samples(ept, r);
	while (ept_merge(ept))
		ept_reclaim(ept);
	return 0;
}

/* INVEPT is asked for whenever a page that was present shows something else. */
static bool needs_invept(struct range r)
{
	for (u64 i = r.first; i < r.first + r.pages; i++)
		if (model[i] && model[i] != next[i])
			return true;
	return false;
}

static void random_sequence(const struct ept_features *f, u64 seed)
{
	static int (*const acts[])(struct ept * ept, struct range r) = {
		random_map, random_map, random_unmap, random_protect, random_merge,
	};
	struct ept *ept = make(f);

	random_state = seed;
	memset(model, 0, sizeof(model));
	memset(next, 0, sizeof(next));
	for (unsigned int n = 0; n < 120; n++) {
		struct range r = random_range();
		u64 generation = ept->generation;

		assert_int_equal(acts[rnd(ARRAY_SIZE(acts))](ept, r), 0);
		watch_end();
		if (needs_invept(r))
			assert_true(ept->generation != generation);
		memset(shown, 0, sizeof(shown));
		assert_int_equal(ept_walk(ept, show, NULL), 0);
		if (memcmp(shown, next, sizeof(next)))
			fail_msg("seed %llu, step %u: the walk and the model differ",
				 (unsigned long long)seed, n);
		memcpy(&model[r.first], &next[r.first], r.pages * sizeof(next[0]));
		assert_int_equal(ept->tables, pool_live);
		if (rnd(4) == 0)
			ept_reclaim(ept);
	}
	finish(ept);
}

/* Any sequence of map, unmap, protect and merge does what it does to a flat array of pages. */
static void test_random(void **state)
{
	static const struct ept_features sets[] = {
		{.phys_bits = PHYS_BITS, .leaf_2m = true,  .leaf_1g = true      },
		{       .phys_bits = PHYS_BITS,       .leaf_2m = true               },
		{ .phys_bits = PHYS_BITS      },
		{      .phys_bits = PHYS_BITS,        .leaf_2m = true, .leaf_1g = true, .no_exec_large = true },
		{					       .phys_bits = PHYS_BITS,
                 .leaf_2m = true,
                 .leaf_1g = true,
                 .accessed_dirty = true },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sets); i++)
		random_sequence(&sets[i], 1000 + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaf_by_alignment),
		cmocka_unit_test(test_masked_sizes),
		cmocka_unit_test(test_no_exec_large),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_eptp),
		cmocka_unit_test(test_accessed_dirty),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_retired_tables_stay),
		cmocka_unit_test(test_retired_full),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_old_or_new),
		cmocka_unit_test(test_walk_finds_faults),
		cmocka_unit_test(test_walk_stops),
		cmocka_unit_test(test_isolation),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
