/* SPDX-License-Identifier: BSD-2-Clause */
/* ept/: extended page tables, a claim at a time. */
#include "tests/unit/ept_rig.h"

/* Each part of a range gets the largest leaf that the alignment of both addresses allows. */
static void test_leaf_by_alignment(void **state)
{
	struct ept *ept = make_all();

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
		{ KIB(2), 0, KIB(4), EPT_RWX, MEMTYPE_WB },
		{ 0, KIB(2), KIB(4), EPT_RWX, MEMTYPE_WB },
		{ 0, 0, KIB(4) + 1, EPT_RWX, MEMTYPE_WB },
		{ 0, 0, 0, EPT_RWX, MEMTYPE_WB },
		{ BIT(48), 0, KIB(4), EPT_RWX, MEMTYPE_WB },
		{ BIT(48) - KIB(4), 0, KIB(8), EPT_RWX, MEMTYPE_WB },
		{ 0, BIT(PHYS_BITS), KIB(4), EPT_RWX, MEMTYPE_WB },
		{ 0, BIT(PHYS_BITS) - KIB(4), KIB(8), EPT_RWX, MEMTYPE_WB },
		{ 0 - KIB(4), 0, KIB(8), EPT_RWX, MEMTYPE_WB },
		{ 0, 0, 0 - KIB(4), EPT_RWX, MEMTYPE_WB },
		{ KIB(8), 0, 0 - KIB(4), EPT_RWX, MEMTYPE_WB },
		{ 0, 0, KIB(4), 0, MEMTYPE_WB },
		{ 0, 0, KIB(4), EPT_IGNORE_PAT, MEMTYPE_WB },
		{ 0, 0, KIB(4), EPT_WRITE, MEMTYPE_WB },
		{ 0, 0, KIB(4), EPT_WRITE | EPT_EXEC, MEMTYPE_WB },
		{ 0, 0, KIB(4), EPT_RWX | 8, MEMTYPE_WB },
		{ 0, 0, KIB(4), EPT_RWX, 2 },
		{ 0, 0, KIB(4), EPT_RWX, 3 },
		{ 0, 0, KIB(4), EPT_RWX, 7 },
		{ 0, 0, KIB(4), EPT_RWX, -1 },
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
		struct ept *ept = make_all();
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
	watch.stores = 0;
	assert_int_equal(ept_protect(ept, KIB(4), MIB(2) - KIB(4), EPT_RWX), 0);
	assert_int_equal(watch.stores, 0); /* nor does what changes nothing spoil the log */
	assert_int_equal(ept_protect(ept, 0, KIB(4), EPT_RWX), 0);
	assert_false(ept_merge(ept)); /* differing flags do not keep leaves apart */
	entry = pool_page(pool_page(pool_page(ept->root)[0] & ~0xfffULL)[0] & ~0xfffULL);
	assert_true((entry[0] & 0x380) == 0x380);
	finish(ept);
}

/* Only a change of what was present asks for INVEPT; saying again what is there does nothing. */
static void test_generation(void **state)
{
	struct ept *ept = make_all();
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
	struct ept *ept = make_all();
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
	struct ept *ept = make_all();
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
	struct ept *ept = make_all();

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

/* A range that ends, or begins, a page short of a large leaf leaves that page alone. */
static void test_edges(void **state)
{
	static const u64 sizes[] = { MIB(2), GIB(1) };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned int end = 0; end < 2; end++) {
			const u64 size = sizes[i], n = size - KIB(4);
			const gpa_t gpa = GIB(1) + (end ? 0 : KIB(4));
			const gpa_t spared = end ? GIB(1) + n : GIB(1);
			struct ept *ept = make_all();
			page_t page = page_at(GIB(8) + spared - GIB(1), EPT_RWX, MEMTYPE_WB);

			must_map(ept, gpa, GIB(8) + gpa - GIB(1), n, EPT_RWX);
			assert_true(cpu_walk(ept, spared) == 0);
			must_map(ept, GIB(1), GIB(8), size, EPT_RWX);
			assert_int_equal(ept_protect(ept, gpa, n, EPT_READ), 0);
			assert_true(cpu_walk(ept, spared) == page);
			must_map(ept, GIB(1), GIB(8), size, EPT_RWX);
			ept_reclaim(ept);
			assert_int_equal(ept_unmap(ept, gpa, n), 0);
			assert_true(cpu_walk(ept, spared) == page);
			assert_true(cpu_walk(ept, gpa) == 0 && cpu_walk(ept, gpa + n - 1) == 0);
			assert_leaves(ept, 0, 0, 1);
			finish(ept);
		}
	}
}

/* Splitting, remapping and merging show the old or the new page after each store: 4 MiB in full. */
static void test_old_or_new(void **state)
{
	enum { SPAN = 1024 }; /* pages watched */
	struct ept *ept = make_all();
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
		{ 1, GIB(1), "not present, but not zero" },
		{ 3, BIT(7), "not present, but not zero" },
		{ 1, GIB(1) | 2, "impossible rights" },
		{ 1, GIB(1) | 0x36 | 1, NULL },
		{ 1, GIB(1) | 0x36 | 6, "impossible rights" },
		{ 1, BIT(PHYS_BITS) | 0x37, "unknown bits" },
		{ 1, GIB(1) | 0x37 | BIT(63), "unknown bits" },
		{ 1, GIB(1) | 0x37 | BIT(9), "unknown bits" }, /* dirty, without A/D flags */
		{ 2, GIB(1) | MIB(1) | 0xb7, "unknown bits" }, /* a frame that is not aligned */
		{ 3, GIB(1) | MIB(2) | 0xb7, "unknown bits" },
		{ 2, POOL_BASE | 0x37, "unknown bits" }, /* a table with a memory type */
		{ 2, POOL_BASE | 3, "table without all rights" },
		{ 1, GIB(1) | 7 | 2 << 3, "reserved memory type" },
		{ 1, GIB(1) | 7 | 7 << 3, "reserved memory type" },
		{ 4, 0xb7, "leaf too large" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(planted); i++) {
		struct ept *ept = make_all();
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
	struct ept *ept = make_all();
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
	struct ept *ept = make_all();
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
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_old_or_new),
		cmocka_unit_test(test_walk_finds_faults),
		cmocka_unit_test(test_walk_stops),
		cmocka_unit_test(test_isolation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
