/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers/nvme_prp: whatever the segments are, the PRPs name their bytes, in whole blocks, and nothing else. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "drivers/nvme_prp.h"

static u64 list[NVME_LIST_ENTRIES] __attribute__((aligned(1024)));

/* As a controller reads it: NVM Express, "Physical Region Page Entry and List". The address of byte @n of @bytes. */
static u64 address_of(const struct nvme_prps *p, u32 bytes, u32 n)
{
	u32 first = NVME_PAGE - (u32)(p->prp1 % NVME_PAGE);
	u32 rest = bytes > first ? bytes - first : 0;
	u64 entry;

	if (n < first)
		return p->prp1 + n;
	n -= first;
	if (rest <= NVME_PAGE) {
		entry = p->prp2;
	} else {
		assert_ptr_equal((void *)(uintptr_t)p->prp2, list);
		assert_true(n / NVME_PAGE < NVME_LIST_ENTRIES);
		entry = list[n / NVME_PAGE];
	}
	assert_int_equal(entry % NVME_PAGE, 0);
	return entry + n % NVME_PAGE;
}

static u64 segment_byte(const struct block_request *r, u64 n)
{
	for (unsigned int i = 0; i < r->segments; i++) {
		if (n < r->segment[i].len)
			return r->segment[i].hpa + n;
		n -= r->segment[i].len;
	}
	fail_msg("beyond the data");
	return 0;
}

/* Takes the whole request piece by piece; returns how many were needed, a block that does not go being one. */
static unsigned int take_all(struct block_request *r, u32 max, u32 block)
{
	u64 bytes = r->sectors * BLOCK_SECTOR;
	unsigned int pieces = 0;

	disk_request_init(r);
	for (u64 at = 0; at < bytes; pieces++) {
		struct nvme_prps prps = { 0 };
		u32 got = nvme_prp_build(r, max, block, list, &prps);

		assert_true(got <= max && got % block == 0);
		for (u32 n = 0; n < got; n += 4)
			assert_true(address_of(&prps, got, n) == segment_byte(r, at + n));
		if (!got)
			got = block; /* by the bounce buffer */
		at += got;
		assert_int_equal(disk_advance(r, got / BLOCK_SECTOR), at == bytes);
	}
	return pieces;
}

static void test_one_page(void **state)
{
	struct block_segment s = { 0x10000, 4096 };
	struct block_request r = { .op = BLOCK_READ, .sectors = 8, .segments = 1, .segment = &s };
	struct nvme_prps prps;

	(void)state;
	disk_request_init(&r);
	assert_int_equal(nvme_prp_build(&r, 1 << 20, 512, list, &prps), 4096);
	assert_int_equal(prps.prp1, 0x10000);
	assert_int_equal(prps.prp2, 0);
}

/* Two pages: the second entry is the page; three: it is the list. */
static void test_two_and_three_pages(void **state)
{
	struct block_segment s[] = { { 0x10200, 4096 - 512 }, { 0x40000, 4096 }, { 0x80000, 512 } };
	struct block_request r = { .op = BLOCK_WRITE, .sectors = 15, .segments = 2, .segment = s };
	struct nvme_prps prps;

	(void)state;
	r.sectors = 7 + 8;
	assert_int_equal(r.sectors * 512, s[0].len + s[1].len);
	disk_request_init(&r);
	assert_int_equal(nvme_prp_build(&r, 1 << 20, 512, list, &prps), 15 * 512);
	assert_int_equal(prps.prp2, 0x40000);
	r.segments = 3;
	r.sectors = 16;
	assert_int_equal(nvme_prp_build(&r, 1 << 20, 512, list, &prps), 16 * 512);
	assert_ptr_equal((void *)(uintptr_t)prps.prp2, list);
	assert_int_equal(list[0], 0x40000);
	assert_int_equal(list[1], 0x80000);
}

/* A cut that is not at the end of a page ends the command: each segment is one of its own here. */
static void test_unaligned(void **state)
{
	struct block_segment s[] = { { 0x10004, 1024 }, { 0x20008, 1024 }, { 0x3000c, 1024 } };
	struct block_request r = { .op = BLOCK_READ, .sectors = 6, .segments = 3, .segment = s };

	(void)state;
	assert_int_equal(take_all(&r, 1 << 20, 512), 3);
}

/* A block in pieces that no command can name is left to the bounce buffer. */
static void test_bounce(void **state)
{
	struct block_segment s[8];
	struct block_request r = { .op = BLOCK_READ, .sectors = 8, .segments = 8, .segment = s };
	struct nvme_prps prps;

	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		s[i] = (struct block_segment){ 0x10000 + i * 0x3000, 512 };
	disk_request_init(&r);
	assert_int_equal(nvme_prp_build(&r, 1 << 20, 4096, list, &prps), 0);
}

/* The longest list, and no entry more. */
static void test_long(void **state)
{
	struct block_segment s = { 0x10000, 4 << 20 };
	struct block_request r = {
		.op = BLOCK_READ, .sectors = 8192, .segments = 1, .segment = &s
	};

	(void)state;
	assert_int_equal(take_all(&r, 4 << 20, 512), 8); /* of 129 pages each, but the last */
	assert_int_equal(take_all(&r, 128 << 10, 512), 32);
}

static void test_random(void **state)
{
	struct block_segment s[BLOCK_SEGMENTS];

	(void)state;
	srand(1);
	for (unsigned int run = 0; run < 2000; run++) {
		struct block_request r = { .op = BLOCK_READ, .segment = s };
		u32 block = 512u << rand() % 4;
		u64 hpa = 0x100000;

		r.segments = 1 + (unsigned int)rand() % BLOCK_SEGMENTS;
		for (unsigned int i = 0; i < r.segments; i++) {
			if (rand() % 3)
				hpa += 4u * ((unsigned int)rand() % 3000);
			if (rand() % 2)
				hpa = (hpa + 4095) & ~4095ULL;
			s[i].hpa = hpa;
			s[i].len = 512u * (1 + (unsigned int)rand() % 24);
			if (rand() % 2)
				s[i].len = (s[i].len + 4095) & ~4095u;
			hpa += s[i].len;
			r.sectors += s[i].len / 512;
		}
		/* Whole blocks. */
		while (r.sectors % (block / 512)) {
			s[r.segments - 1].len += 512;
			r.sectors++;
		}
		take_all(&r, block << rand() % 8, block);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_page),  cmocka_unit_test(test_two_and_three_pages),
		cmocka_unit_test(test_unaligned), cmocka_unit_test(test_bounce),
		cmocka_unit_test(test_long),      cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
