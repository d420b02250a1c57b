/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: physical memory has one owner at a time, is handed out only when free, and is scrubbed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/mman.h>

#include "lib/string.h"
#include "tests/unit/host_support.h"
#include "vmm/host/mem.h"

#define ARENA_PAGES 4096u
#define ARENA_SIZE  (ARENA_PAGES * PAGE_SIZE)

static u8 *arena; /* memory that really is there, under its own address; 2M-aligned */
static struct boot_info info;

static void add_range(hpa_t base, u64 size, enum mem_kind kind)
{
	info.range[info.ranges++] = (struct mem_range){ base, size, kind };
}

static int setup(void **state)
{
	(void)state;
	memset(&info, 0, sizeof(info));
	memset(arena, 0xaa, ARENA_SIZE);
	add_range((hpa_t)arena, ARENA_SIZE, MEM_FREE);
	return mem_init(&info);
}

/* Claim: every kind of the boot map is known, and what lies below 1 MiB is never handed out. */
static void boot_map(void **state)
{
	(void)state;
	memset(&info, 0, sizeof(info));
	add_range(0, 0xa0000, MEM_FREE);
	add_range(0xf0000, 0x20000, MEM_FREE); /* across 1 MiB */
	add_range(0x110000, 0x1000, MEM_IMAGE);
	add_range(0x111000, 0x1000, MEM_FILES);
	add_range(0x112000, 0x1000, MEM_RUNTIME);
	add_range(0x113000, 0x1000, MEM_ACPI);
	add_range(0xfec00000, 0x1000, MEM_MMIO);
	assert_int_equal(mem_init(&info), 0);

	assert_int_equal(mem_owner(0), MEM_OWNER_LOW);
	assert_int_equal(mem_owner(0xa0000), MEM_OWNER_NONE);
	assert_int_equal(mem_owner(0xfffff), MEM_OWNER_LOW);
	assert_int_equal(mem_owner(0x100000), MEM_OWNER_FREE);
	assert_int_equal(mem_owner(0x110fff), MEM_OWNER_IMAGE);
	assert_int_equal(mem_owner(0x111000), MEM_OWNER_FILES);
	assert_int_equal(mem_owner(0x112000), MEM_OWNER_FIRMWARE);
	assert_int_equal(mem_owner(0x113000), MEM_OWNER_ACPI);
	assert_int_equal(mem_owner(0xfec00fff), MEM_OWNER_MMIO);
	assert_int_equal(mem_owner(0xfec01000), MEM_OWNER_NONE);
	assert_int_equal(mem_owner(~0ULL), MEM_OWNER_NONE);
	assert_int_equal(mem_free_bytes(), 0x10000);
	assert_int_equal(mem_alloc(0x11000, 0, MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc(0x10000, 0, MEM_OWNER_VMM), 0x100000);
}

/* Claim: what is asked for below a limit lies below it, as low as can be, or is not given. */
static void below(void **state)
{
	(void)state;
	memset(&info, 0, sizeof(info));
	add_range(0x200000, 0x3000, MEM_FREE);
	add_range(0x210000, 0x8000, MEM_FREE);
	add_range(0x100000000, 0x100000, MEM_FREE);
	assert_int_equal(mem_init(&info), 0);
	assert_int_equal(mem_alloc_below(0x4000, 0x100000000, MEM_OWNER_VMM), 0x210000);
	assert_int_equal(mem_alloc_below(1, 0x100000000, MEM_OWNER_VMM), 0x200000);
	assert_int_equal(mem_alloc_below(0x5000, 0x100000000, MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc_below(0x4000, 0x217fff, MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc_below(0x4000, 0x218000, MEM_OWNER_VMM), 0x214000);
	assert_int_equal(mem_alloc_below(0, 0x218000, MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc_below(~0ULL, ~0ULL, MEM_OWNER_VMM), 0);
}

/* Claim: a boot map that is not sorted, aligned, disjoint and of known kinds is refused. */
static void bad_boot_map(void **state)
{
	static const struct mem_range bad[] = {
		{ 0x200000, 0x1000, MEM_FREE },           /* overlaps the one before */
		{ 0x100000, 0x1000, MEM_FREE },           /* not sorted */
		{ 0x300800, 0x1000, MEM_FREE },           /* base not aligned */
		{ 0x300000, 0x1800, MEM_FREE },           /* size not aligned */
		{ 0x300000, 0, MEM_FREE },                /* empty */
		{ 0xfffffffffffff000, 0x1000, MEM_FREE }, /* its end is not a number */
		{ 0xfffffffffffff000, 0x2000, MEM_FREE }, /* wraps */
		{ 0x300000, 0x1000, (enum mem_kind)99 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&info, 0, sizeof(info));
		add_range(0x200000, 0x10000, MEM_FREE);
		add_range(bad[i].base, bad[i].size, bad[i].kind);
		capture_start();
		assert_true(mem_init(&info) < 0);
		assert_non_null(strstr(capture_text(), "range 1"));
		capture_stop();
	}
}

/* Claim: nonsense sizes and alignments get nothing, and change nothing. */
static void bad_requests(void **state)
{
	(void)state;
	assert_int_equal(mem_alloc(0, 0, MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc(~0ULL, 0, MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc(~0ULL - PAGE_SIZE, 0, MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc(PAGE_SIZE, 3 * PAGE_SIZE, MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc(PAGE_SIZE, BIT(63), MEM_OWNER_VMM), 0);
	assert_int_equal(mem_alloc(MIB(4), BIT(63), MEM_OWNER_VMM), 0);
	assert_int_equal(mem_free_bytes(), ARENA_SIZE);
}

/* Claim: small allocations fill small holes and do not cost a large one its alignment. */
static void small_keeps_away(void **state)
{
	hpa_t hole = (hpa_t)arena, big = (hpa_t)arena + MIB(2);

	(void)state;
	memset(&info, 0, sizeof(info));
	add_range(hole, 0x8000, MEM_FREE);
	add_range(big, MIB(8), MEM_FREE);
	assert_int_equal(mem_init(&info), 0);

	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(mem_alloc_page(MEM_OWNER_VMM), hole + i * PAGE_SIZE);
	assert_int_equal(mem_largest_free(MIB(2)), MIB(8));
	assert_int_equal(mem_alloc_page(MEM_OWNER_VMM), big);
	assert_int_equal(mem_largest_free(MIB(2)), MIB(6));
	assert_int_equal(mem_alloc(MIB(6), MIB(2), MEM_OWNER_VM(0)), big + MIB(2));
}

/* Claim: what was told to be the largest free block can be had, and no more than that. */
static void largest_free_is_true(void **state)
{
	u64 largest;

	(void)state;
	assert_int_not_equal(mem_alloc(PAGE_SIZE, 0, MEM_OWNER_VMM), 0);
	largest = mem_largest_free(MIB(2));
	assert_int_equal(largest, ARENA_SIZE - MIB(2));
	assert_int_equal(mem_alloc(largest + PAGE_SIZE, MIB(2), MEM_OWNER_VM(1)), 0);
	assert_int_not_equal(mem_alloc(largest, MIB(2), MEM_OWNER_VM(1)), 0);
}

/* Claim: memory of a VM that ended holds nothing of it, and all of it is free again. */
static void scrubbed(void **state)
{
	hpa_t keep;

	(void)state;
	for (unsigned int i = 0; i < 32; i++) {
		hpa_t block = mem_alloc((i % 3 + 1) * PAGE_SIZE, 0, MEM_OWNER_VM(i % 2));

		assert_int_not_equal(block, 0);
		memset((void *)block, 0x55, PAGE_SIZE);
	}
	keep = mem_alloc_page(MEM_OWNER_VM(1));
	mem_free_owner(MEM_OWNER_VM(0));
	assert_int_equal(mem_owner_bytes(MEM_OWNER_VM(0)), 0);
	assert_true(mem_owned(keep, PAGE_SIZE, MEM_OWNER_VM(1)));
	mem_free_owner(MEM_OWNER_VM(1));
	assert_int_equal(mem_free_bytes(), ARENA_SIZE);
	assert_int_equal(mem_largest_free(0), ARENA_SIZE);
	assert_null(memchr(arena, 0x55, ARENA_SIZE));
}

/* Claim: reserving takes what is free of a range, however it is cut up, and nothing else. */
static void reserve(void **state)
{
	hpa_t vm = mem_alloc_page(MEM_OWNER_VM(0)); /* the first page of the arena */

	(void)state;
	assert_int_equal(vm, (hpa_t)arena);
	assert_int_equal(mem_reserve(vm, 3 * PAGE_SIZE - 1, MEM_OWNER_BOOT), 0);
	assert_int_equal(mem_owner(vm), MEM_OWNER_VM(0));
	assert_true(mem_owned(vm + PAGE_SIZE, 2 * PAGE_SIZE, MEM_OWNER_BOOT));
	assert_int_equal(mem_owner(vm + 3 * PAGE_SIZE), MEM_OWNER_FREE);

	assert_int_equal(mem_reserve(vm + 4 * PAGE_SIZE, PAGE_SIZE, MEM_OWNER_BOOT), 0);
	assert_int_equal(mem_reserve(vm, ARENA_SIZE, MEM_OWNER_BOOT), 0);
	assert_int_equal(mem_owner_bytes(MEM_OWNER_BOOT), ARENA_SIZE - PAGE_SIZE);
	mem_free_owner(MEM_OWNER_BOOT);
	assert_int_equal(mem_free_bytes(), ARENA_SIZE - PAGE_SIZE);
}

/* Claim: a table of ranges that is full refuses to allocate, but can always free. */
static void full_table(void **state)
{
	unsigned int got = 0;

	(void)state;
	for (; got < ARENA_PAGES; got++)
		if (!mem_alloc_page(MEM_OWNER_VM(got)))
			break;
	assert_in_range(got, 900, 1024);
	/* Each page between two others: the worst for the table. */
	for (unsigned int i = 0; i < got; i++)
		mem_free_owner(MEM_OWNER_VM(i * 7 % got));
	for (unsigned int i = 0; i < got; i++)
		mem_free_owner(MEM_OWNER_VM(i));
	assert_int_equal(mem_largest_free(0), ARENA_SIZE);
}

static u32 model[ARENA_PAGES]; /* the owner of each page */

static void model_set(hpa_t base, u64 size, u32 from, u32 to)
{
	u64 first = (base - (hpa_t)arena) / PAGE_SIZE;

	assert_true(base >= (hpa_t)arena && first + size / PAGE_SIZE <= ARENA_PAGES);
	for (u64 i = 0; i < size / PAGE_SIZE; i++) {
		assert_int_equal(model[first + i], from);
		model[first + i] = to;
	}
}

static void model_check(void)
{
	u64 bytes[4] = { 0 };

	for (unsigned int i = 0; i < ARENA_PAGES; i++) {
		u32 owner = mem_owner((hpa_t)arena + i * PAGE_SIZE);

		assert_int_equal(owner, model[i]);
		bytes[owner == MEM_OWNER_FREE ? 0 : 1 + owner - MEM_OWNER_VM(0)] += PAGE_SIZE;
	}
	assert_int_equal(mem_free_bytes(), bytes[0]);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(mem_owner_bytes(MEM_OWNER_VM(i)), bytes[1 + i]);
}

/* Free a random part of the run of one owner's pages that a random page lies in. */
static void model_free(void)
{
	unsigned int first = (unsigned int)rand() % ARENA_PAGES, n = 1;
	u32 owner = model[first];
	hpa_t base = (hpa_t)arena + first * PAGE_SIZE;

	if (owner == MEM_OWNER_FREE)
		return;
	while (first + n < ARENA_PAGES && model[first + n] == owner && rand() % 8)
		n++;
	assert_true(mem_owned(base, n * PAGE_SIZE, owner));
	mem_free(base, n * PAGE_SIZE, owner);
	model_set(base, n * PAGE_SIZE, owner, MEM_OWNER_FREE);
}

static void model_alloc(void)
{
	u64 size = (1 + (u64)rand() % (rand() % 16 ? 8 : 700)) * PAGE_SIZE;
	u64 align = PAGE_SIZE << (rand() % 10);
	u32 owner = MEM_OWNER_VM((u32)rand() % 3);
	hpa_t base = mem_alloc(size, align, owner);

	if (!base)
		return;
	assert_true(IS_ALIGNED(base, align));
	model_set(base, size, MEM_OWNER_FREE, owner);
}

static void model_free_owner(void)
{
	u32 owner = MEM_OWNER_VM((u32)rand() % 3);

	mem_free_owner(owner);
	for (unsigned int i = 0; i < ARENA_PAGES; i++)
		if (model[i] == owner)
			model[i] = MEM_OWNER_FREE;
}

/* Claim: in any sequence of calls every page has the owner that a list of pages says it has. */
static void random_against_model(void **state)
{
	(void)state;
	srand(1);
	for (unsigned int i = 0; i < ARENA_PAGES; i++)
		model[i] = MEM_OWNER_FREE;
	for (unsigned int step = 0; step < 20000; step++) {
		if (rand() % 1000 == 0)
			model_free_owner();
		else if (rand() % 5 < 2)
			model_alloc();
		else
			model_free();
		if (step % 50 == 0)
			model_check();
	}
	model_check();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boot_map),
		cmocka_unit_test(below),
		cmocka_unit_test(bad_boot_map),
		cmocka_unit_test_setup(bad_requests, setup),
		cmocka_unit_test(small_keeps_away),
		cmocka_unit_test_setup(largest_free_is_true, setup),
		cmocka_unit_test_setup(scrubbed, setup),
		cmocka_unit_test_setup(reserve, setup),
		cmocka_unit_test_setup(full_table, setup),
		cmocka_unit_test_setup(random_against_model, setup),
	};
	u8 *memory = mmap(NULL, ARENA_SIZE + MIB(2), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	arena = (u8 *)ALIGN_UP((u64)memory, MIB(2));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
