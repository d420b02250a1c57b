/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: the VMM's page tables map what they should, W^X, and the check finds where they do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/mman.h>

#include "lib/errno.h"
#include "lib/string.h"
#include "tests/unit/host_support.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/mem.h"
#include "vmm/host/pagetable.h"

/* ---- the structure alone ---- */

#define POOL_PAGES 4096u

static u8 *pool;
static unsigned int pool_used, pool_limit;

static hpa_t pool_alloc(void)
{
	if (pool_used == pool_limit)
		return 0;
	return (hpa_t)memset(pool + pool_used++ * PAGE_SIZE, 0, PAGE_SIZE);
}

static struct pagetable new_table(unsigned int levels, unsigned int largest)
{
	pool_used = 0;
	pool_limit = POOL_PAGES;
	return (struct pagetable){ (u64 *)pool_alloc(), levels, largest, ~0ULL, pool_alloc };
}

#define RW (PT_PRESENT | PT_WRITE | PT_NX)
#define RX PT_PRESENT
#define RO (PT_PRESENT | PT_NX)

struct leaves {
	unsigned int count[4]; /* by level */
	u64 next;              /* the walk is in order and without overlap */
};

static void count_leaf(void *ctx, u64 addr, u64 size, u64 entry)
{
	struct leaves *l = ctx;

	assert_true(addr >= l->next);
	assert_int_equal(entry & PT_ADDR, addr);
	l->next = addr + size;
	l->count[size == GIB(1) ? 3 : size == MIB(2) ? 2 : 1]++;
	assert_true(size == PAGE_SIZE || (entry & PT_LARGE));
}

static struct leaves leaves_of(const struct pagetable *pt)
{
	struct leaves l = { 0 };

	pagetable_walk(pt, count_leaf, &l);
	return l;
}

/* Claim: each part of a range gets the largest page that fits and that the CPU has. */
static void largest_pages(void **state)
{
	(void)state;
	for (unsigned int levels = 4; levels <= 5; levels++) {
		struct pagetable pt = new_table(levels, 3);
		struct leaves l;

		assert_int_equal(pagetable_set(&pt, GIB(1) - MIB(2) - PAGE_SIZE,
					       GIB(2) + MIB(2) + 2 * PAGE_SIZE, RW),
				 0);
		l = leaves_of(&pt);
		assert_int_equal(l.count[3], 2);
		assert_int_equal(l.count[2], 1);
		assert_int_equal(l.count[1], 2);
	}
	struct pagetable pt = new_table(4, 2);

	assert_int_equal(pagetable_set(&pt, GIB(4), GIB(1), RW), 0);
	assert_int_equal(leaves_of(&pt).count[2], 512);
}

/* Claim: a split changes nothing but what was asked for, at both levels. */
static void split(void **state)
{
	struct pagetable pt = new_table(4, 3);

	(void)state;
	assert_int_equal(pagetable_set(&pt, GIB(1), GIB(1), RW | PT_UC | PT_GLOBAL), 0);
	assert_int_equal(pagetable_set(&pt, GIB(1) + MIB(6), PAGE_SIZE, 0), 0);
	for (u64 a = GIB(1); a < GIB(2); a += PAGE_SIZE) {
		u64 want = a == GIB(1) + MIB(6) ? 0 : RW | PT_UC | PT_GLOBAL;

		assert_int_equal(pagetable_get(&pt, a) & ~(PT_ADDR | PT_LARGE), want);
	}
	assert_int_equal(leaves_of(&pt).count[2], 511);
	assert_int_equal(leaves_of(&pt).count[1], 511);
}

/* Claim: what is not an address of the map is refused, and nothing is mapped there. */
static void bad_ranges(void **state)
{
	struct pagetable pt = new_table(4, 3), pt5;

	(void)state;
	assert_int_equal(pagetable_set(&pt, 1, PAGE_SIZE, RW), -EINVAL);
	assert_int_equal(pagetable_set(&pt, 0, 1, RW), -EINVAL);
	assert_int_equal(pagetable_set(&pt, BIT(47), PAGE_SIZE, RW), -EINVAL);
	assert_int_equal(pagetable_set(&pt, BIT(47) - PAGE_SIZE, 2 * PAGE_SIZE, RW), -EINVAL);
	assert_int_equal(pagetable_set(&pt, ~0xfffULL, PAGE_SIZE, RW), -EINVAL);
	assert_int_equal(pagetable_set(&pt, PAGE_SIZE, ~0xfffULL, RW), -EINVAL);
	assert_int_equal(pagetable_set(&pt, BIT(47) - PAGE_SIZE, PAGE_SIZE, RW), 0);
	assert_int_equal(pagetable_get(&pt, BIT(47)), 0);
	assert_int_equal(pagetable_get(&pt, ~0ULL), 0);

	pt5 = new_table(5, 3);
	assert_int_equal(pagetable_set(&pt5, BIT(52) - PAGE_SIZE, PAGE_SIZE, RW), 0);
	assert_int_equal(pagetable_set(&pt5, BIT(52), PAGE_SIZE, RW), -EINVAL);
}

/* Claim: without memory for a table the call fails, and what was mapped stays as it was. */
static void out_of_pages(void **state)
{
	struct pagetable pt = new_table(4, 3);

	(void)state;
	assert_int_equal(pagetable_set(&pt, GIB(1), GIB(1), RW), 0);
	for (unsigned int more = 0; more < 2; more++) {
		pool_limit = pool_used + more;
		assert_int_equal(pagetable_set(&pt, GIB(1) + PAGE_SIZE, PAGE_SIZE, 0), -ENOMEM);
		assert_int_equal(pagetable_get(&pt, GIB(1) + PAGE_SIZE) & RW, RW);
	}
	pool_limit = POOL_PAGES;
	assert_int_equal(pagetable_set(&pt, GIB(1) + PAGE_SIZE, PAGE_SIZE, 0), 0);
	assert_int_equal(pagetable_get(&pt, GIB(1) + PAGE_SIZE), 0);
}

/* Claim: after any sequence of calls each page is as an array of pages says. */
static void random_against_model(void **state)
{
	enum { PAGES = 3 * 512 };
	static u64 model[PAGES];
	static const u64 rights[] = { 0, RW, RX, RO, RW | PT_UC, RW | PT_WC };
	const u64 base = GIB(1) - MIB(2); /* across a gigabyte */
	struct pagetable pt = new_table(4, 3);

	(void)state;
	srand(2);
	memset(model, 0, sizeof(model));
	for (unsigned int step = 0; step < 2000; step++) {
		unsigned int first = (unsigned int)rand() % PAGES;
		unsigned int n = 1 + (unsigned int)rand() % (PAGES - first);
		u64 bits = rights[rand() % 6];

		if (rand() % 2) {
			first = first / 512 * 512;
			n = 512;
		}
		assert_int_equal(pagetable_set(&pt, base + first * PAGE_SIZE, n * PAGE_SIZE, bits),
				 0);
		for (unsigned int i = first; i < first + n; i++)
			model[i] = bits;
		for (unsigned int i = 0; i < PAGES; i += 1 + (unsigned int)rand() % 16)
			assert_int_equal(pagetable_get(&pt, base + i * PAGE_SIZE) &
						 ~(PT_ADDR | PT_LARGE),
					 model[i]);
	}
}

/* ---- the VMM's map ---- */

/* Made-up addresses; only [arena, arena + 4M), where tables are taken from, has to be there. */
#define IMAGE 0x10000000ULL

static u8 *arena;
static struct boot_info info;
static struct hostpt_cpu cpu;

static void add_range(hpa_t base, u64 size, enum mem_kind kind)
{
	info.range[info.ranges++] = (struct mem_range){ base, size, kind };
}

static int build(void **state)
{
	(void)state;
	memset(&info, 0, sizeof(info));
	memset(arena, 0, MIB(4));
	add_range(0, 0xa0000, MEM_FREE);
	add_range(0x100000, 0x1000, MEM_ACPI);
	add_range(IMAGE, 0x10000, MEM_IMAGE);
	add_range(IMAGE + 0x10000, 0x2000, MEM_FILES);
	add_range(IMAGE + 0x12000, 0x2000, MEM_RUNTIME);
	add_range(0xfed00000, 0x1000, MEM_MMIO);
	add_range(GIB(4), GIB(4), MEM_FILES);
	add_range((hpa_t)arena, MIB(4), MEM_FREE);
	info.image = (struct boot_image){
		.text = IMAGE + 0x1000,
		.text_end = IMAGE + 0x4000,
		.rodata = IMAGE + 0x4000,
		.rodata_end = IMAGE + 0x6000,
		.data = IMAGE + 0x6000,
		.data_end = IMAGE + 0xf000,
	};
	cpu = (struct hostpt_cpu){ .levels = 4, .gib_pages = true, .nx = true };
	if (mem_init(&info))
		return -1;
	return hostpt_build(&info, &cpu);
}

static const char *dump(void)
{
	capture_start();
	hostpt_dump();
	capture_stop();
	return capture_text();
}

/* Claim: the map is exactly this, line by line, in the words that the machine test reads. */
static void whole_map(void **state)
{
	char want[1024];

	(void)state;
	snprintf(want, sizeof(want),
		 "lintel: pt: 0000000000001000-00000000000a0000 rw- wb\n"
		 "lintel: pt: 0000000000100000-0000000000101000 r-- wb\n"
		 "lintel: pt: 0000000010000000-0000000010001000 r-- wb\n"
		 "lintel: pt: 0000000010001000-0000000010004000 r-x wb\n"
		 "lintel: pt: 0000000010004000-0000000010006000 r-- wb\n"
		 "lintel: pt: 0000000010006000-000000001000f000 rw- wb\n"
		 "lintel: pt: 000000001000f000-0000000010014000 r-- wb\n"
		 "lintel: pt: 0000000100000000-0000000200000000 r-- wb\n"
		 "lintel: pt: %016llx-%016llx rw- wb\n",
		 (unsigned long long)(hpa_t)arena, (unsigned long long)(hpa_t)arena + MIB(4));
	assert_string_equal(dump(), want);
	assert_int_equal(hostpt_check(), 0);
}

/* Claim: devices can be mapped as asked; memory cannot be remapped, nor W and X be had together. */
static void map_devices(void **state)
{
	(void)state;
	assert_int_equal(hostpt_map(0xfee00000, 1, HOSTPT_MMIO), 0);
	assert_int_equal(hostpt_map(0xfed00400, 0x100, HOSTPT_MMIO), 0);
	assert_int_equal(hostpt_map(0xe0000000, 0x2000, HOSTPT_W | HOSTPT_WC), 0);
	assert_non_null(strstr(dump(), "pt: 00000000fee00000-00000000fee01000 rw- uc\n"));
	assert_non_null(strstr(dump(), "pt: 00000000fed00000-00000000fed01000 rw- uc\n"));
	assert_non_null(strstr(dump(), "pt: 00000000e0000000-00000000e0002000 rw- wc\n"));

	assert_int_equal(hostpt_map(0, 0x1000, HOSTPT_R), -EINVAL);
	assert_int_equal(hostpt_map(0xfec00000, 0, HOSTPT_MMIO), -EINVAL);
	assert_int_equal(hostpt_map(0xfec00000, ~0ULL, HOSTPT_MMIO), -EINVAL);
	assert_int_equal(hostpt_map(0xfec00000, 1, HOSTPT_W | HOSTPT_X), -EINVAL);
	assert_int_equal(hostpt_map(IMAGE + 0x1000, 1, HOSTPT_W), -EINVAL);
	assert_int_equal(hostpt_map(IMAGE - 0x1000, 0x2000, HOSTPT_MMIO), -EINVAL);
	assert_int_equal(hostpt_map((hpa_t)arena, 1, HOSTPT_MMIO), -EINVAL);
	assert_int_equal(hostpt_map(GIB(4), 1, HOSTPT_W), -EINVAL);
	assert_int_equal(hostpt_check(), 0);
}

/* Claim: a guard page is not mapped, also where it cuts a large page. */
static void guard_pages(void **state)
{
	hpa_t page = mem_alloc_page(MEM_OWNER_VMM);

	(void)state;
	assert_true(hostpt_readable(page, PAGE_SIZE));
	assert_int_equal(hostpt_guard(page), 0);
	assert_false(hostpt_readable(page, 1));
	assert_false(hostpt_readable(page - 1, 2));
	assert_true(hostpt_readable(page + PAGE_SIZE, PAGE_SIZE));
	assert_int_equal(hostpt_check(), 0);
}

/* Claim: a page of low memory becomes code for other CPUs to start with, and only that one. */
static void start_code(void **state)
{
	(void)state;
	assert_int_equal(hostpt_set_code(MIB(1)), -EINVAL);
	assert_int_equal(hostpt_set_code(0x2000), 0);
	assert_int_equal(hostpt_check(), 0);
	assert_non_null(strstr(dump(), "0000000000002000-0000000000003000 r-x wb"));
}

/* Claim: what is not wholly mapped, or wraps, is not readable. */
static void readable(void **state)
{
	(void)state;
	assert_true(hostpt_readable(GIB(4), GIB(1)));
	assert_true(hostpt_readable(0x100ff0, 0x10));
	assert_false(hostpt_readable(0x100ff0, 0x11));
	assert_false(hostpt_readable(0, 1));
	assert_false(hostpt_readable(GIB(4), ~0ULL));
}

/* The entry for @addr, which must be of a 4K page, to do damage to. */
static u64 *entry_of(hpa_t addr)
{
	/* The root is the first page that was allocated: the firmware's map is not there. */
	u64 *table = (u64 *)arena;

	for (unsigned int i = 0; i < 4096 && mem_owner((hpa_t)table) != MEM_OWNER_VMM; i++)
		table += 512;
	for (unsigned int level = 4; level > 1; level--)
		table = (u64 *)(table[addr >> (12 + 9 * (level - 1)) & 511] & PT_ADDR);
	return &table[addr >> 12 & 511];
}

/* Claim: the check finds every kind of violation. */
static void check_finds(void **state)
{
	static const struct {
		hpa_t page;
		u64 set, clear;
		const char *say;
	} damage[] = {
		{ IMAGE + 0x1000, PT_WRITE, 0, "writable and executable" },
		{ IMAGE + 0x1000, PT_WRITE | PT_NX, 0, "text is writable" },
		{ IMAGE + 0x5000, PT_WRITE, 0, "constants are writable" },
		{ IMAGE + 0x6000, 0, PT_NX, "writable and executable" },
		{ IMAGE + 0x10000, 0, PT_NX, "executable outside" },
		{ IMAGE + 0x10000, PT_USER, 0, "user mode" },
		{ 0, PT_PRESENT | PT_NX, 0, "page 0" },
		{ 0x5000, PT_PRESENT | PT_NX, 0, "guard page" },
	};

	(void)state;
	assert_int_equal(hostpt_guard(0x5000), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(damage); i++) {
		u64 *entry = entry_of(damage[i].page), good = *entry;

		*entry = (good | damage[i].set) & ~damage[i].clear;
		capture_start();
		assert_int_equal(hostpt_check(), 1);
		assert_non_null(strstr(capture_text(), damage[i].say));
		capture_stop();
		*entry = good;
		assert_int_equal(hostpt_check(), 0);
	}
}

/* Claim: without NX, which reserved bit 63 would make fault, no entry has it. */
static void without_nx(void **state)
{
	(void)state;
	cpu.nx = false;
	assert_int_equal(mem_init(&info), 0);
	assert_int_equal(hostpt_build(&info, &cpu), 0);
	assert_null(strstr(dump(), "-- "));
	assert_non_null(strstr(dump(), "0000000000001000-00000000000a0000 rwx"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(largest_pages),
		cmocka_unit_test(split),
		cmocka_unit_test(bad_ranges),
		cmocka_unit_test(out_of_pages),
		cmocka_unit_test(random_against_model),
		cmocka_unit_test_setup(whole_map, build),
		cmocka_unit_test_setup(map_devices, build),
		cmocka_unit_test_setup(guard_pages, build),
		cmocka_unit_test_setup(start_code, build),
		cmocka_unit_test_setup(readable, build),
		cmocka_unit_test_setup(check_finds, build),
		cmocka_unit_test_setup(without_nx, build),
	};
	u8 *memory = mmap(NULL, MIB(6) + POOL_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	arena = (u8 *)ALIGN_UP((u64)memory, MIB(2));
	pool = arena + MIB(4);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
