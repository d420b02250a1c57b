/* SPDX-License-Identifier: BSD-2-Clause */
/* ept/: failing allocations at every point, and random sequences against a flat model. */
#include "tests/unit/ept_rig.h"

/* --- Allocation failure at every point. --- */

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
	static int (*const acts[])(struct ept * ept) = {
		act_map_fresh,
		act_map_over,
		act_unmap,
		act_protect,
	};
	static page_t old[ARRAY_SIZE(sample_base)][SAMPLE_PAGES];
	static page_t new[ARRAY_SIZE(sample_base)][SAMPLE_PAGES];
	static page_t now[ARRAY_SIZE(sample_base)][SAMPLE_PAGES];

	(void)state;
	for (unsigned int s = 0; s < ARRAY_SIZE(acts); s++) {
		struct ept *ept;
		unsigned int n = 0;
		int err;

		ept = make_all();
		must_map(ept, 0, GIB(8), GIB(4), EPT_RWX);
		sample(ept, old);
		assert_int_equal(acts[s](ept), 0);
		sample(ept, new);
		finish(ept);

		do {
			ept = make_all();
			must_map(ept, 0, GIB(8), GIB(4), EPT_RWX);
			pool_limit = n++;
			err = acts[s](ept);
			pool_limit = NO_LIMIT;
			sample(ept, now);
			stats_of(ept);
			if (err) {
				assert_int_equal(err, -ENOMEM);
				assert_prefix(old, new, now);
				assert_int_equal(acts[s](ept), 0);
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
	static const u64 aligns[] = { 1, 1, 512, 512, 512 * 512 };
	static const u64 most[] = { 8, 8, 600, 600, 2000, 512 * 5, 512 * 600 };
	u64 max = most[rnd(ARRAY_SIZE(most))];
	u64 align = aligns[rnd(ARRAY_SIZE(aligns))];
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
	static const u64 aligns[] = { GIB(1), GIB(1), MIB(2), KIB(4) };
	u64 align = aligns[rnd(ARRAY_SIZE(aligns))];
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
	for (unsigned int n = 0; n < 80; n++) {
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
		/* 2 MiB, 1 GiB, execute-only, accessed and dirty, no large executable leaf */
		{ true, true, false, false, false, PHYS_BITS },
		{ true, false, false, false, false, PHYS_BITS },
		{ false, false, false, false, false, PHYS_BITS },
		{ true, true, false, false, true, PHYS_BITS },
		{ true, true, false, true, false, PHYS_BITS },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sets); i++)
		random_sequence(&sets[i], 1000 + i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
