/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/guest_mem: a guest's memory is reached inside its slots, all of it or nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "lib/guest_mem.h"
#include "lib/string.h"

/*
 * Guest-physical: two adjacent slots, a hole of a page, a slot. Each has memory of its own size on
 * the heap, so that the sanitizer sees a step outside.
 */
#define FIRST    PAGE_SIZE
#define ADJACENT (3 * PAGE_SIZE)
#define HOLE     (4 * PAGE_SIZE)
#define LAST     (5 * PAGE_SIZE)
#define END      (6 * PAGE_SIZE)

static struct guest_mem mem;

static u8 *pages(u64 n)
{
	u8 *p = aligned_alloc(PAGE_SIZE, n * PAGE_SIZE);

	assert_non_null(p);
	memset(p, 0x11, n * PAGE_SIZE);
	return p;
}

static int setup(void **state)
{
	(void)state;
	mem = (struct guest_mem){ .slots = 0 };
	assert_int_equal(guest_mem_add(&mem, FIRST, 2 * PAGE_SIZE, pages(2)), 0);
	assert_int_equal(guest_mem_add(&mem, ADJACENT, PAGE_SIZE, pages(1)), 0);
	assert_int_equal(guest_mem_add(&mem, LAST, PAGE_SIZE, pages(1)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < mem.slots; i++)
		free(mem.slot[i].host);
	return 0;
}

/* Slots are appended in order, page by page; anything else is refused and changes nothing. */
static void test_add(void **state)
{
	u8 host[1];
	const u64 top = 0 - PAGE_SIZE; /* the last page there is */

	(void)state;
	assert_int_equal(guest_mem_add(&mem, END, 0, host), -EINVAL);
	assert_int_equal(guest_mem_add(&mem, END + 1, PAGE_SIZE, host), -EINVAL);
	assert_int_equal(guest_mem_add(&mem, END, PAGE_SIZE + 1, host), -EINVAL);
	assert_int_equal(guest_mem_add(&mem, LAST, PAGE_SIZE, host), -EINVAL);
	assert_int_equal(guest_mem_add(&mem, HOLE, PAGE_SIZE, host), -EINVAL);
	assert_int_equal(guest_mem_add(&mem, top, 2 * PAGE_SIZE, host), -EINVAL);
	assert_int_equal(mem.slots, 3);
	assert_int_equal(guest_mem_size(&mem), 4 * PAGE_SIZE);
}

/* The table is bounded. */
static void test_add_full(void **state)
{
	struct guest_mem full = { .slots = 0 };
	u8 host[1];

	(void)state;
	assert_int_equal(guest_mem_size(&full), 0);
	for (u64 i = 0; i < GUEST_MEM_SLOTS; i++)
		assert_int_equal(guest_mem_add(&full, i * PAGE_SIZE, PAGE_SIZE, host), 0);
	assert_int_equal(guest_mem_add(&full, GUEST_MEM_SLOTS * PAGE_SIZE, PAGE_SIZE, host),
			 -ENOSPC);
	assert_int_equal(guest_mem_size(&full), GUEST_MEM_SLOTS * PAGE_SIZE);
}

static const struct {
	gpa_t gpa;
	u64 len;
	bool ram;
} ranges[] = {
	{ FIRST, 1, true },
	{ FIRST - 1, 1, false },
	{ FIRST - 1, 2, false },
	{ FIRST, 3 * PAGE_SIZE, true }, /* two slots in full */
	{ FIRST, 3 * PAGE_SIZE + 1, false },
	{ ADJACENT - 1, 2, true },
	{ ADJACENT - 3, 8, true },
	{ HOLE - 1, 1, true },
	{ HOLE - 1, 2, false },
	{ HOLE, 1, false },
	{ HOLE - 4, PAGE_SIZE + 8, false }, /* both ends are RAM */
	{ LAST, PAGE_SIZE, true },
	{ END - 1, 1, true },
	{ END - 1, 2, false },
	{ END, 1, false },
	{ END, 0, true },
	{ 0, 0, true },
	{ ~0ULL, 1, false },
	{ ~0ULL, 2, false }, /* wraps */
	{ 0 - FIRST, 2 * FIRST + 1, false },
	{ FIRST, ~0ULL, false },
	{ FIRST, 0 - FIRST, false },
};

/* A range is RAM when every byte of it is. */
static void test_contains(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++)
		assert_int_equal(guest_mem_contains(&mem, ranges[i].gpa, ranges[i].len),
				 ranges[i].ram);
}

static unsigned int bytes_that_differ_from(u8 value)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < mem.slots; i++)
		for (u64 k = 0; k < mem.slot[i].size; k++)
			n += mem.slot[i].host[k] != value;
	return n;
}

/* Where a range is not all RAM, read, write and clear copy nothing at all. */
static void test_all_or_nothing(void **state)
{
	static u8 buf[4 * PAGE_SIZE], untouched[4 * PAGE_SIZE];

	(void)state;
	memset(buf, 0x22, sizeof(buf));
	memset(untouched, 0x22, sizeof(untouched));
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (ranges[i].ram)
			continue;
		assert_false(guest_read(&mem, ranges[i].gpa, buf, ranges[i].len));
		assert_false(guest_write(&mem, ranges[i].gpa, buf, ranges[i].len));
		assert_false(guest_clear(&mem, ranges[i].gpa, ranges[i].len));
	}
	assert_memory_equal(buf, untouched, sizeof(buf));
	assert_int_equal(bytes_that_differ_from(0x11), 0);
}

/* What was written is read back, over the border of slots, at any alignment, and nothing else. */
static void test_copy(void **state)
{
	u8 in[40], out[42];

	(void)state;
	for (u8 i = 0; i < sizeof(in); i++)
		in[i] = (u8)(0x80 + i);
	for (unsigned int at = 0; at <= 24; at++) {
		for (unsigned int len = 0; len <= 16; len++) {
			gpa_t gpa = ADJACENT - 12 + at;

			memset(out, 0x33, sizeof(out));
			assert_true(guest_write(&mem, gpa, in + at % 3, len));
			assert_int_equal(bytes_that_differ_from(0x11), len);
			assert_true(guest_read(&mem, gpa, out + 1, len));
			assert_memory_equal(out + 1, in + at % 3, len);
			assert_int_equal(out[0], 0x33);
			assert_int_equal(out[len + 1], 0x33);
			memset(out, 0x11, sizeof(out));
			assert_true(guest_write(&mem, gpa, out, len));
		}
	}
	assert_int_equal(bytes_that_differ_from(0x11), 0);
}

/* Claim: a word is found only where all of its 8 bytes are in the first slot, and shows what is there now. */
static void test_word(void **state)
{
	const struct guest_mem_slot *s = &mem.slot[0];
	u64 before = 0x1122334455667788, after = ~before;

	(void)state;
	for (u64 off = 0; off < 64; off++) {
		gpa_t gpa = s->gpa + s->size - off;
		struct guest_word word = guest_word_at(&mem, gpa);

		if (off < sizeof(u64)) {
			assert_null(word.at);
			continue;
		}
		assert_true(guest_write(&mem, gpa, &before, sizeof(before)));
		assert_true(guest_word_read(word) == before);
		assert_true(guest_write(&mem, gpa, &after, sizeof(after)));
		assert_true(guest_word_read(word) == after);
	}
	assert_null(guest_word_at(&mem, s->gpa - 1).at);
	assert_null(guest_word_at(&mem, ~0ULL - 3).at);
	assert_null(guest_word_at(&(struct guest_mem){ .slots = 0 }, 0).at);
}

/* guest_read_u64 is guest_read of eight bytes, in each slot, across slots, and where there is nothing. */
static void test_read_u64(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < mem.slots; i++) {
		for (u64 k = 0; k < mem.slot[i].size; k++)
			mem.slot[i].host[k] = (u8)(k * 31 + i);
	}
	for (gpa_t gpa = 0; gpa < END + PAGE_SIZE; gpa++) {
		u64 one = 0, other = 0;
		bool there = guest_read(&mem, gpa, &one, sizeof(one));

		assert_int_equal(guest_read_u64(&mem, gpa, &other), there);
		assert_int_equal(one, other);
	}
	assert_false(guest_read_u64(&mem, ~0ULL - 3, &(u64){ 0 }));
	assert_false(guest_read_u64(&(struct guest_mem){ .slots = 0 }, 0, &(u64){ 0 }));
}

/* Bytes land at the address that was named. */
static void test_placement(void **state)
{
	const u8 bytes[4] = { 1, 2, 3, 4 };

	(void)state;
	assert_true(guest_write(&mem, ADJACENT - 2, bytes, 4));
	assert_int_equal(mem.slot[0].host[2 * PAGE_SIZE - 2], 1);
	assert_int_equal(mem.slot[0].host[2 * PAGE_SIZE - 1], 2);
	assert_int_equal(mem.slot[1].host[0], 3);
	assert_int_equal(mem.slot[1].host[1], 4);
	assert_true(guest_write(&mem, LAST + 8, bytes, 4));
	assert_memory_equal(&mem.slot[2].host[8], bytes, 4);
}

/* Clearing zeroes exactly the range. */
static void test_clear(void **state)
{
	(void)state;
	assert_true(guest_clear(&mem, ADJACENT - 100, 300));
	assert_int_equal(bytes_that_differ_from(0x11), 300);
	assert_int_equal(mem.slot[0].host[2 * PAGE_SIZE - 100], 0);
	assert_int_equal(mem.slot[1].host[199], 0);
	assert_true(guest_clear(&mem, FIRST, 3 * PAGE_SIZE));
	assert_true(guest_clear(&mem, LAST, PAGE_SIZE));
	assert_int_equal(bytes_that_differ_from(0), 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

/* An exchange stores its word where it was told, of 1, 4 and 8 bytes, and gives back what was there. */
static void test_xchg(void **state)
{
	static const size_t sizes[] = { 1, 4, 8 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		gpa_t gpa = ADJACENT - sizes[i];
		u64 mask = ~0ULL >> (64 - 8 * sizes[i]), word = 0x8877665544332200ULL, was = 0;

		memset(mem.slot[0].host, 0x11, 2 * PAGE_SIZE);
		assert_true(guest_xchg(&mem, gpa, &word, sizes[i]));
		assert_int_equal(word, 0x1111111111111111ULL & mask);
		assert_int_equal(bytes_that_differ_from(0x11), sizes[i]);
		assert_true(guest_read(&mem, gpa, &was, sizes[i]));
		assert_int_equal(was, 0x8877665544332200ULL & mask);
	}
}

/* Compare-and-exchange stores only over what was expected, and else tells what is there instead. */
static void test_cmpxchg(void **state)
{
	static const size_t sizes[] = { 1, 4, 8 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 mask = ~0ULL >> (64 - 8 * sizes[i]), was = 0,
		    old = 0x1111111111111110ULL & mask;

		assert_int_equal(guest_cmpxchg(&mem, LAST, &old, 5, sizes[i]), -EAGAIN);
		assert_int_equal(old, 0x1111111111111111ULL & mask);
		assert_int_equal(bytes_that_differ_from(0x11), 0);
		assert_int_equal(guest_cmpxchg(&mem, LAST, &old, ~0ULL - 1, sizes[i]), 0);
		assert_int_equal(old, 0x1111111111111111ULL & mask);
		assert_int_equal(bytes_that_differ_from(0x11), sizes[i]);
		assert_true(guest_read(&mem, LAST, &was, sizes[i]));
		assert_int_equal(was, (~0ULL - 1) & mask);
		memset(mem.slot[2].host, 0x11, PAGE_SIZE);
	}
}

/* Both refuse what is not RAM, not on its own boundary, or not a word, and change nothing. */
static void test_words_refused(void **state)
{
	static const struct {
		gpa_t gpa;
		size_t len;
	} bad[] = {
		{ FIRST - 1, 1 }, { FIRST - 4, 4 }, { HOLE, 1 },  { HOLE, 8 },
		{ END, 4 },       { ~0ULL, 1 },     { ~7ULL, 8 }, { FIRST + 1, 4 },
		{ LAST + 4, 8 },  { HOLE - 2, 4 },  { FIRST, 2 }, { FIRST, 16 },
		{ FIRST, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		u64 word =
			0x1111111111111111ULL >> (bad[i].len < 8 ? 64 - 8 * MAX(bad[i].len, 1) : 0);

		assert_int_equal(guest_cmpxchg(&mem, bad[i].gpa, &word, 0, bad[i].len), -EFAULT);
		assert_false(guest_xchg(&mem, bad[i].gpa, &word, bad[i].len));
	}
	assert_int_equal(bytes_that_differ_from(0x11), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_add),      TEST(test_add_full),
		TEST(test_contains), TEST(test_all_or_nothing),
		TEST(test_copy),     TEST(test_read_u64),
		TEST(test_word),     TEST(test_placement),
		TEST(test_clear),    TEST(test_xchg),
		TEST(test_cmpxchg),  TEST(test_words_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
