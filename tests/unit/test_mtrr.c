/* SPDX-License-Identifier: BSD-2-Clause */
/* ept/mtrr: the memory type of physical ranges, from hand-made sets of MTRRs and random ones. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "ept/mtrr.h"

enum { UC = MEMTYPE_UC, WC = MEMTYPE_WC, WT = MEMTYPE_WT, WP = MEMTYPE_WP, WB = MEMTYPE_WB };

#define CAP_FIX BIT(8)
#define DEF_FE  BIT(10)
#define DEF_E   BIT(11)
#define VALID   BIT(11)
#define MAXPHYS BIT(39)
#define ALL(t)  (0x0101010101010101ULL * (t))

/* The pair of @size bytes, a power of two, at @base. */
#define PAIR(base_, size, type)                                              \
	{                                                                    \
		.base = (base_) | (type), .mask = (MAXPHYS - (size)) | VALID \
	}

static void assert_run(const struct mtrr *m, hpa_t hpa, u64 size, int type, u64 run)
{
	enum memtype got;

	assert_true(mtrr_run(m, hpa, size, &got) == run);
	assert_int_equal(got, type);
}

/* With DEF_TYPE.E clear everything is UC, whatever the other registers say. */
static void test_disabled(void **state)
{
	const struct mtrr m = {
		.cap = CAP_FIX | 1,
		.def_type = DEF_FE | WB,
		.fixed = { ALL(WB) },
		.variable = { PAIR(0, GIB(4), WB) },
	};

	(void)state;
	assert_run(&m, 0, GIB(512), UC, GIB(512));
	assert_run(&m, 0 - GIB(1), GIB(1), UC, GIB(1));
}

/* A PC: WB by default, UC hole below 4 GiB, legacy area by fixed ranges. */
static void test_pc(void **state)
{
	const struct mtrr m = {
		.cap = CAP_FIX | 10,
		.def_type = DEF_E | DEF_FE | WB,
		.fixed = { ALL(WB), ALL(WB), ALL(UC), ALL(WP), ALL(WP), ALL(WP), ALL(WP), ALL(WP),
			   ALL(WP), ALL(WP), ALL(WP) },
		.variable = { PAIR(GIB(2), GIB(2), UC) },
	};

	(void)state;
	assert_run(&m, 0, GIB(1), WB, 0xa0000);
	assert_run(&m, 0xa0000, GIB(1), UC, 0x20000);
	assert_run(&m, 0xc0000, GIB(1), WP, 0x40000);
	assert_run(&m, MIB(1), GIB(64), WB, GIB(2) - MIB(1));
	assert_run(&m, GIB(2), GIB(64), UC, GIB(2));
	assert_run(&m, GIB(3) + KIB(4), GIB(64), UC, GIB(1) - KIB(4));
	assert_run(&m, GIB(4), GIB(64), WB, GIB(64));
	assert_run(&m, MIB(2), MIB(2), WB, MIB(2)); /* uniform: a 2 MiB leaf will do */
	assert_run(&m, 0, MIB(2), WB, 0xa0000);     /* not uniform */
}

/* OVMF: UC by default, RAM by WB pairs. */
static void test_uc_default(void **state)
{
	const struct mtrr m = {
		.cap = CAP_FIX | 8,
		.def_type = DEF_E | UC,
		.variable = { PAIR(0, GIB(2), WB), PAIR(GIB(4), GIB(2), WB) },
	};

	(void)state;
	assert_run(&m, 0, GIB(16), WB, GIB(2));
	assert_run(&m, GIB(2), GIB(16), UC, GIB(2));
	assert_run(&m, GIB(4), GIB(16), WB, GIB(2));
	assert_run(&m, GIB(6), GIB(16), UC, GIB(16));
}

/* Each fixed range has its own byte, of the register and at the address of the manual's table. */
static void test_fixed_layout(void **state)
{
	static const struct {
		unsigned int reg, byte;
		u32 msr;
		hpa_t base;
		u64 size;
	} range[] = {
		{ 0, 0, 0x250, 0x00000, KIB(64) }, { 0, 7, 0x250, 0x70000, KIB(64) },
		{ 1, 0, 0x258, 0x80000, KIB(16) }, { 1, 7, 0x258, 0x9c000, KIB(16) },
		{ 2, 0, 0x259, 0xa0000, KIB(16) }, { 2, 7, 0x259, 0xbc000, KIB(16) },
		{ 3, 0, 0x268, 0xc0000, KIB(4) },  { 3, 7, 0x268, 0xc7000, KIB(4) },
		{ 4, 1, 0x269, 0xc9000, KIB(4) },  { 7, 5, 0x26c, 0xe5000, KIB(4) },
		{ 10, 0, 0x26f, 0xf8000, KIB(4) }, { 10, 7, 0x26f, 0xff000, KIB(4) },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(range); i++) {
		struct mtrr m = { .cap = CAP_FIX, .def_type = DEF_E | DEF_FE | UC };

		assert_int_equal(mtrr_fixed_msr[range[i].reg], range[i].msr);
		m.fixed[range[i].reg] = (u64)WP << (range[i].byte * 8);
		assert_run(&m, range[i].base, MIB(4), WP, range[i].size);
		assert_run(&m, range[i].base + KIB(1), MIB(4), WP, range[i].size - KIB(1));
		if (range[i].base)
			assert_run(&m, 0, MIB(4), UC, range[i].base);
		assert_run(&m, range[i].base + range[i].size, MIB(4), UC, MIB(4));
	}
}

/* Fixed ranges come before variable ones, and only while FE is set and they exist. */
static void test_fixed_enable(void **state)
{
	struct mtrr m = {
		.cap = CAP_FIX | 1,
		.def_type = DEF_E | DEF_FE | WT,
		.fixed = { ALL(WP), ALL(WP), ALL(WP), ALL(WP), ALL(WP), ALL(WP), ALL(WP), ALL(WP),
			   ALL(WP), ALL(WP), ALL(WP) },
		.variable = { PAIR(0, MIB(2), UC) },
	};

	(void)state;
	assert_run(&m, 0, MIB(4), WP, MIB(1));
	assert_run(&m, MIB(1), MIB(4), UC, MIB(1));
	m.def_type &= ~DEF_FE;
	assert_run(&m, 0, MIB(4), UC, MIB(2));
	m.def_type |= DEF_FE;
	m.cap &= ~CAP_FIX;
	assert_run(&m, 0, MIB(4), UC, MIB(2));
	assert_run(&m, MIB(2), MIB(4), WT, MIB(4));
}

/* "MTRR Precedences": like types, UC wins, WT over WB; what is left undefined is UC. */
static void test_overlaps(void **state)
{
	static const struct {
		int a, b, c, type;
	} overlap[] = {
		{ WB, WB, WB, WB }, { WC, WC, WC, WC }, { WB, UC, WB, UC }, { UC, WC, WP, UC },
		{ WB, WT, WB, WT }, { WT, WB, WT, WT }, { WT, WB, UC, UC }, { WB, WC, WB, UC },
		{ WP, WB, WB, UC }, { WT, WC, WT, UC }, { WP, WT, WP, UC }, { WC, WP, WC, UC },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(overlap); i++) {
		const struct mtrr m = {
			.cap = 4,
			.def_type = DEF_E | WP,
			.variable = { PAIR(GIB(4), GIB(4), (u64)overlap[i].a),
				      PAIR(GIB(4), GIB(1), (u64)overlap[i].b),
				      PAIR(GIB(4), MIB(2), (u64)overlap[i].c),
				      { .base = GIB(4) | UC,
					.mask = MAXPHYS - GIB(4) } }, /* not valid */
		};

		assert_run(&m, GIB(4), MIB(2), overlap[i].type, MIB(2));
		assert_run(&m, GIB(5), GIB(16), overlap[i].a,
			   overlap[i].a == WP ? GIB(16) : GIB(3));
	}
}

/* VCNT says how many pairs there are, and can say more than there is room for MSRs. */
static void test_count(void **state)
{
	struct mtrr m = {
		.cap = 1,
		.def_type = DEF_E | UC,
		.variable = { PAIR(GIB(4), GIB(1), WB), PAIR(GIB(5), GIB(1), WB) },
	};

	(void)state;
	assert_run(&m, GIB(4), GIB(2), WB, GIB(1));
	m.cap = 2;
	assert_run(&m, GIB(4), GIB(2), WB, GIB(2)); /* neighbours of one type are one run */
	m.cap = 0xff;
	assert_int_equal(mtrr_variable_count(&m), MTRR_VARIABLE_MAX);
	assert_run(&m, GIB(4), GIB(4), WB, GIB(2));
}

/* A reserved type, which no processor would let in, is UC. */
static void test_reserved_types(void **state)
{
	struct mtrr m = {
		.cap = CAP_FIX | 1,
		.def_type = DEF_E | DEF_FE | 7,
		.fixed = { ALL(2) },
		.variable = { PAIR(GIB(4), GIB(1), 3ULL) },
	};

	(void)state;
	assert_run(&m, 0, GIB(8), UC, GIB(8));
	m.def_type = DEF_E | 0xfe;
	assert_run(&m, 0, GIB(8), UC, GIB(8));
}

/* A mask of no bits matches everything; one with holes matches in many places. */
static void test_odd_masks(void **state)
{
	struct mtrr m = { .cap = 1, .def_type = DEF_E | UC };

	(void)state;
	m.variable[0].base = WB;
	m.variable[0].mask = VALID;
	assert_run(&m, 0, GIB(64), WB, GIB(64));
	/* Bit 21 may be anything: 0-1 MiB, 2-3 MiB, and 4 MiB up not. */
	m.variable[0].mask = (MAXPHYS - MIB(4)) | MIB(1) | VALID;
	assert_run(&m, 0, GIB(1), WB, MIB(1));
	assert_run(&m, MIB(1), GIB(1), UC, MIB(1));
	assert_run(&m, MIB(2), GIB(1), WB, MIB(1));
	assert_run(&m, MIB(3), GIB(1), UC, GIB(1));
}

/* The manual's rules, page by page, with no thought of runs. */
static int type_of_page(const struct mtrr *m, hpa_t hpa)
{
	bool seen[8] = { false };
	unsigned int types = 0;
	int last = m->def_type & 7;

	for (unsigned int i = 0; i < (m->cap & 0xff); i++) {
		u64 mask = m->variable[i].mask & ~0xfffULL;
		int type = m->variable[i].base & 7;

		if (!(m->variable[i].mask & VALID) || (hpa & mask) != (m->variable[i].base & mask))
			continue;
		types += !seen[type];
		seen[type] = true;
		last = type;
	}
	if (types <= 1)
		return last;
	return types == 2 && seen[WT] && seen[WB] ? WT : UC;
}

static u64 random_state = 1;

static u64 rnd(u64 n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (random_state >> 20) % n;
}

/* A run ends exactly where the type of a page changes, for any registers. */
static void test_random(void **state)
{
	enum { PAGES = 4096 };
	static const u64 types[] = { UC, WC, WT, WP, WB, WB };

	(void)state;
	for (unsigned int n = 0; n < 300; n++) {
		struct mtrr m = { .cap = 1 + rnd(6), .def_type = DEF_E | types[rnd(6)] };
		const u64 base = rnd(2) ? 0 : GIB(3);

		for (unsigned int i = 0; i < (m.cap & 0xff); i++) {
			u64 size = KIB(4) << rnd(13);
			u64 hole = rnd(8) ? 0 : KIB(4) << rnd(12);

			m.variable[i].base =
				((base + rnd(PAGES) * KIB(4)) & ~(size - 1)) | types[rnd(6)];
			m.variable[i].mask = ((MAXPHYS - size) & ~hole) | (rnd(8) ? VALID : 0);
		}
		for (u64 page = 0; page < PAGES;) {
			u64 rest = (PAGES - page) * KIB(4), run = 0;
			int type = type_of_page(&m, base + page * KIB(4));

			while (run < rest && type_of_page(&m, base + page * KIB(4) + run) == type)
				run += KIB(4);
			assert_run(&m, base + page * KIB(4), rest, type, run);
			page += run / KIB(4);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disabled),     cmocka_unit_test(test_pc),
		cmocka_unit_test(test_uc_default),   cmocka_unit_test(test_fixed_layout),
		cmocka_unit_test(test_fixed_enable), cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_count),        cmocka_unit_test(test_reserved_types),
		cmocka_unit_test(test_odd_masks),    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
