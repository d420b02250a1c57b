/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of physical memory: what the firmware says, in any order and shape, made safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "boot/memmap.h"
#include "lib/errno.h"
#include "lib/string.h"

#define WB BIT(3)

/* One descriptor of a firmware whose descriptors are larger than the specification's. */
struct desc {
	u32 type, pad;
	u64 base, virtual_base, pages, attribute;
	u64 future;
};

static struct mem_range table[BOOT_MAX_RANGES];
static struct memmap map;

static void start(unsigned int max)
{
	memset(table, 0xa5, sizeof(table));
	map = (struct memmap){ .range = table, .max = max };
}

static void assert_range(unsigned int i, hpa_t base, hpa_t end, enum mem_kind kind)
{
	assert_true(i < map.ranges);
	assert_int_equal(table[i].base, base);
	assert_int_equal(table[i].base + table[i].size, end);
	assert_int_equal(table[i].kind, kind);
}

/* Sorted, whole pages, no overlap, like neighbours merged, nothing written beyond the end. */
static void assert_sound(void)
{
	static const struct mem_range untouched = { 0xa5a5a5a5a5a5a5a5, 0xa5a5a5a5a5a5a5a5,
						    (enum mem_kind)0xa5a5a5a5 };

	assert_true(map.ranges <= map.max);
	for (unsigned int i = 0; i < map.ranges; i++) {
		assert_true(table[i].size && IS_ALIGNED(table[i].base | table[i].size, PAGE_SIZE));
		if (!i)
			continue;
		assert_true(table[i - 1].base + table[i - 1].size <= table[i].base);
		assert_false(table[i - 1].base + table[i - 1].size == table[i].base &&
			     table[i - 1].kind == table[i].kind);
	}
	for (unsigned int i = map.max; i < BOOT_MAX_RANGES; i++)
		assert_int_equal(table[i].base, untouched.base);
}

static void add(hpa_t base, hpa_t end, enum mem_kind kind)
{
	assert_int_equal(memmap_add(&map, base, end - base, kind), 0);
	assert_sound();
}

/* Whatever the order in which neighbours come, they end as one range. */
static void test_merges(void **state)
{
	(void)state;
	start(4);
	add(0x3000, 0x4000, MEM_FREE);
	add(0x1000, 0x2000, MEM_FREE);
	assert_int_equal(map.ranges, 2);
	add(0x2000, 0x3000, MEM_FREE);
	assert_int_equal(map.ranges, 1);
	assert_range(0, 0x1000, 0x4000, MEM_FREE);
	add(0x0000, 0x1000, MEM_ACPI);
	add(0x4000, 0x5000, MEM_FREE);
	assert_int_equal(map.ranges, 2);
	assert_range(0, 0x0000, 0x1000, MEM_ACPI);
	assert_range(1, 0x1000, 0x5000, MEM_FREE);
}

/* What was claimed first stays; the later range gets all the gaps within it, and only those. */
static void test_overlaps(void **state)
{
	(void)state;
	start(16);
	add(0x2000, 0x3000, MEM_RUNTIME);
	add(0x5000, 0x6000, MEM_ACPI);
	add(0x1000, 0x8000, MEM_FREE);
	assert_int_equal(map.ranges, 5);
	assert_range(0, 0x1000, 0x2000, MEM_FREE);
	assert_range(1, 0x2000, 0x3000, MEM_RUNTIME);
	assert_range(2, 0x3000, 0x5000, MEM_FREE);
	assert_range(3, 0x5000, 0x6000, MEM_ACPI);
	assert_range(4, 0x6000, 0x8000, MEM_FREE);
	add(0x0000, 0x9000, MEM_RUNTIME);
	assert_int_equal(map.ranges, 7);
	assert_range(6, 0x8000, 0x9000, MEM_RUNTIME);
	add(0x0000, 0x9000, MEM_FREE);
	assert_int_equal(map.ranges, 7);
}

/* Parts of pages: free memory shrinks to whole pages, everything else grows to them. */
static void test_rounding(void **state)
{
	(void)state;
	start(16);
	add(0x1001, 0x1002, MEM_FILES);
	assert_range(0, 0x1000, 0x2000, MEM_FILES);
	add(0x4001, 0x7fff, MEM_FREE);
	assert_range(1, 0x5000, 0x7000, MEM_FREE);
	add(0x9001, 0x9fff, MEM_FREE);
	add(0xa000, 0xa000, MEM_FILES);
	add(0xa123, 0xa123, MEM_FILES);
	assert_int_equal(map.ranges, 2);
}

/* Ends beyond all addresses are cut, not wrapped round to low memory. */
static void test_wrap(void **state)
{
	(void)state;
	start(16);
	assert_int_equal(memmap_add(&map, 0xfffffffff000, ~0ULL, MEM_RUNTIME), 0);
	assert_int_equal(memmap_add(&map, ~0xfffULL, 0x2000, MEM_MMIO), 0);
	assert_int_equal(memmap_add(&map, ~0ULL, 1, MEM_RUNTIME), 0);
	assert_int_equal(map.ranges, 1);
	assert_range(0, 0xfffffffff000, 1ULL << 52, MEM_RUNTIME);
}

/* A full table drops the smallest free range for a larger one or for what must be kept. */
static void test_full(void **state)
{
	(void)state;
	start(3);
	add(0x10000, 0x12000, MEM_FREE);
	add(0x20000, 0x21000, MEM_FREE);
	add(0x30000, 0x33000, MEM_FREE);
	add(0x40000, 0x41000, MEM_FREE); /* not larger than the smallest: forgotten itself */
	assert_int_equal(map.lost, 0x1000);
	add(0x50000, 0x54000, MEM_FREE);
	assert_int_equal(map.lost, 0x2000);
	assert_range(0, 0x10000, 0x12000, MEM_FREE);
	assert_range(2, 0x50000, 0x54000, MEM_FREE);
	add(0x60000, 0x61000, MEM_RUNTIME);
	add(0x61000, 0x62000, MEM_ACPI);
	add(0x62000, 0x63000, MEM_MMIO);
	assert_int_equal(map.lost, 0x2000 + 0x2000 + 0x3000 + 0x4000);
	assert_int_equal(memmap_add(&map, 0x70000, 0x1000, MEM_RUNTIME), -ENOSPC);
	assert_sound();
	add(0x63000, 0x64000, MEM_MMIO); /* needs no place of its own */
	assert_int_equal(map.ranges, 3);
}

/* A free range whose gaps are many ends, although each gap drives out the one before. */
static void test_full_with_gaps(void **state)
{
	(void)state;
	start(4);
	add(0x2000, 0x3000, MEM_RUNTIME);
	add(0x5000, 0x6000, MEM_RUNTIME);
	add(0x9000, 0xa000, MEM_RUNTIME);
	add(0x1000, 0x20000, MEM_FREE);
	assert_int_equal(map.ranges, 4);
	assert_range(3, 0xa000, 0x20000, MEM_FREE);
	assert_int_equal(map.lost, 0x1000 + 0x2000 + 0x3000);
}

/* Each type of UEFI memory is of the kind that the specification allows after the exit. */
static void test_uefi_types(void **state)
{
	static const enum mem_kind kind[] = {
		MEM_RUNTIME, MEM_FREE,    MEM_FREE, MEM_FREE, MEM_FREE,    MEM_RUNTIME,
		MEM_RUNTIME, MEM_FREE,    MEM_MMIO, MEM_ACPI, MEM_RUNTIME, MEM_MMIO,
		MEM_MMIO,    MEM_RUNTIME, MEM_MMIO, MEM_MMIO, MEM_RUNTIME,
	};

	(void)state;
	for (u32 type = 0; type < ARRAY_SIZE(kind); type++) {
		struct desc d = { .type = type, .base = 0x1000, .pages = 1, .attribute = WB };
		struct uefi_map uefi = { &d, sizeof(d), sizeof(d) };

		for (int k = MEM_FREE; k <= MEM_MMIO; k++) {
			start(4);
			assert_int_equal(memmap_add_uefi(&map, &uefi, (enum mem_kind)k), 0);
			assert_int_equal(map.ranges, k == (int)kind[type]);
		}
	}
}

static void add_uefi(const struct desc *d, size_t count)
{
	struct uefi_map uefi = { d, count * sizeof(*d), sizeof(*d) };

	for (int kind = MEM_MMIO; kind >= MEM_FREE; kind--)
		assert_int_equal(memmap_add_uefi(&map, &uefi, (enum mem_kind)kind), 0);
	assert_sound();
}

/* RAM that cannot be cached, is set aside, or is in runtime use is kept, but is not ours. */
static void test_uefi_attributes(void **state)
{
	static const struct desc d[] = {
		{ .type = 7, .base = 0x1000, .pages = 1, .attribute = 0xf },
		{ .type = 7, .base = 0x2000, .pages = 1, .attribute = 0x7 },
		{ .type = 7, .base = 0x4000, .pages = 1, .attribute = WB | BIT(18) },
		{ .type = 4, .base = 0x6000, .pages = 1, .attribute = WB | BIT(63) },
		{ .type = 0x80000000, .base = 0x8000, .pages = 1, .attribute = WB },
	};

	(void)state;
	start(8);
	add_uefi(d, ARRAY_SIZE(d));
	assert_int_equal(map.ranges, 5);
	assert_range(0, 0x1000, 0x2000, MEM_FREE);
	for (unsigned int i = 1; i < 5; i++)
		assert_int_equal(table[i].kind, MEM_RUNTIME);
}

/* An unsorted map whose entries overlap: the less free kind wins, whatever the order. */
static void test_uefi_bad_map(void **state)
{
	static const struct desc d[] = {
		{ .type = 7, .base = 0x100000, .pages = 256, .attribute = WB },
		{ .type = 9, .base = 0x110000, .pages = 2, .attribute = WB },
		{ .type = 7, .base = 0x1000, .pages = 0x9f, .attribute = WB },
		{ .type = 6, .base = 0x111000, .pages = 4, .attribute = WB },
		{ .type = 7, .base = 0x300000, .pages = 0, .attribute = WB },
		{ .type = 0, .base = 0x400000, .pages = ~0ULL, .attribute = WB },
		{ .type = 7, .base = 0x180000, .pages = 256, .attribute = WB },
	};

	(void)state;
	start(16);
	add_uefi(d, ARRAY_SIZE(d));
	assert_int_equal(map.ranges, 6);
	assert_range(0, 0x1000, 0xa0000, MEM_FREE);
	assert_range(1, 0x100000, 0x110000, MEM_FREE);
	assert_range(2, 0x110000, 0x112000, MEM_ACPI);
	assert_range(3, 0x112000, 0x115000, MEM_RUNTIME);
	assert_range(4, 0x115000, 0x280000, MEM_FREE);
	assert_range(5, 0x400000, 1ULL << 52, MEM_RUNTIME);
}

/* A half descriptor at the end is not read; descriptors that are too small are refused. */
static void test_uefi_sizes(void **state)
{
	struct desc *d = malloc(sizeof(*d) + 8);
	struct uefi_map uefi = { d, sizeof(*d) + 8, sizeof(*d) };

	(void)state;
	*d = (struct desc){ .type = 7, .base = 0x1000, .pages = 1, .attribute = WB };
	start(4);
	assert_int_equal(memmap_add_uefi(&map, &uefi, MEM_FREE), 0);
	assert_int_equal(map.ranges, 1);
	uefi.desc_size = 39;
	assert_int_equal(memmap_add_uefi(&map, &uefi, MEM_FREE), -EINVAL);
	uefi.desc_size = 0;
	assert_int_equal(memmap_add_uefi(&map, &uefi, MEM_FREE), -EINVAL);
	free(d);
}

#define PAGES 64

/* Random claims, against a model with one kind for each page: first come, first served. */
static void test_against_model(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 2000; round++) {
		int model[PAGES];

		start(PAGES);
		memset(model, 0xff, sizeof(model));
		for (int n = 0; n < 12; n++) {
			unsigned int from = (unsigned int)rand() % PAGES;
			unsigned int to = from + (unsigned int)rand() % (PAGES - from + 1);
			enum mem_kind kind = (enum mem_kind)(rand() % 3);

			add(from * PAGE_SIZE, to * PAGE_SIZE, kind);
			for (unsigned int i = from; i < to; i++)
				model[i] = model[i] < 0 ? (int)kind : model[i];
		}
		for (unsigned int i = 0; i < map.ranges; i++) {
			for (hpa_t a = 0; a < table[i].size; a += PAGE_SIZE) {
				int *page = &model[(table[i].base + a) / PAGE_SIZE];

				assert_int_equal(*page, (int)table[i].kind);
				*page = -1;
			}
		}
		for (unsigned int i = 0; i < PAGES; i++)
			assert_int_equal(model[i], -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merges),        cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_rounding),      cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_full),          cmocka_unit_test(test_full_with_gaps),
		cmocka_unit_test(test_uefi_types),    cmocka_unit_test(test_uefi_attributes),
		cmocka_unit_test(test_uefi_bad_map),  cmocka_unit_test(test_uefi_sizes),
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
