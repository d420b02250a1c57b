/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: no server of a block device sees a request that it must not get; parts and RAM disks are disks. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/block.h"
#include "lib/string.h"

#define SECTORS 64u

static struct block_request last;
static unsigned int submitted, polled;
static enum block_result answer;

static enum block_result on_submit(void *ctx, struct block_request *r)
{
	assert_ptr_equal(ctx, &submitted);
	submitted++;
	last = *r;
	return answer;
}

static void on_poll(void *ctx)
{
	assert_ptr_equal(ctx, &submitted);
	polled++;
}

static const struct block_ops ops = { on_submit, on_poll };
static struct block_device dev;

static int setup(void **state)
{
	(void)state;
	submitted = polled = 0;
	answer = BLOCK_PENDING;
	dev = (struct block_device){
		.ops = &ops,
		.ctx = &submitted,
		.name = "fake",
		.sectors = SECTORS,
		.block_size = 512,
		.physical_block_size = 512,
		.max_sectors = 16,
		.write_cache = true,
		.can_discard = true,
		.can_write_zeroes = true,
	};
	return 0;
}

static struct block_segment seg[BLOCK_SEGMENTS + 1];

static struct block_request request(enum block_op op, u64 sector, u64 sectors)
{
	seg[0] = (struct block_segment){ 0x1000, (u32)(sectors * 512) };
	return (struct block_request){
		.op = op,
		.sector = sector,
		.sectors = sectors,
		.segments = op == BLOCK_READ || op == BLOCK_WRITE,
		.segment = seg,
	};
}

static void expect(struct block_request r, enum block_result result)
{
	unsigned int before = submitted;

	assert_int_equal(block_submit(&dev, &r), result);
	assert_int_equal(submitted - before, result == answer);
}

/* Claim: only what lies on the disk, wholly, is asked of it. */
static void ranges(void **state)
{
	static const enum block_op all[] = { BLOCK_READ, BLOCK_WRITE, BLOCK_DISCARD,
					     BLOCK_WRITE_ZEROES };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		expect(request(all[i], 0, 1), BLOCK_PENDING);
		expect(request(all[i], SECTORS - 16, 16), BLOCK_PENDING);
		expect(request(all[i], SECTORS - 15, 16), BLOCK_ERROR);
		expect(request(all[i], SECTORS, 1), BLOCK_ERROR);
		expect(request(all[i], ~0ULL, 1), BLOCK_ERROR);
		expect(request(all[i], ~0ULL - 15, 16), BLOCK_ERROR);
		expect(request(all[i], 0, 0), BLOCK_ERROR);
		expect(request(all[i], 1, ~0ULL), BLOCK_ERROR);
	}
	expect(request(BLOCK_READ, 0, 17), BLOCK_ERROR); /* more than it takes at once */
	expect(request(BLOCK_DISCARD, 0, 17), BLOCK_PENDING);
	dev.block_size = 4096;
	expect(request(BLOCK_READ, 8, 8), BLOCK_PENDING);
	expect(request(BLOCK_READ, 4, 8), BLOCK_ERROR);
	expect(request(BLOCK_WRITE, 8, 4), BLOCK_ERROR);
}

/* Claim: segments are of sectors, aligned, as many as the data, and no more than a request may have. */
static void segments(void **state)
{
	struct block_request r = request(BLOCK_READ, 0, 4);

	(void)state;
	seg[0].len = 512;
	expect(r, BLOCK_ERROR);
	seg[1] = (struct block_segment){ 0x2004, 1536 };
	r.segments = 2;
	expect(r, BLOCK_PENDING);
	seg[1].hpa = 0x2002;
	expect(r, BLOCK_ERROR);
	seg[1] = (struct block_segment){ 0x2000, 1535 };
	expect(r, BLOCK_ERROR);
	seg[1].len = 0;
	expect(r, BLOCK_ERROR);
	r.segments = 0;
	expect(r, BLOCK_ERROR);
	dev.max_sectors = BLOCK_MAX_SECTORS;
	dev.sectors = 1000;
	r.sectors = r.segments = BLOCK_SEGMENTS;
	for (unsigned int i = 0; i <= BLOCK_SEGMENTS; i++)
		seg[i] = (struct block_segment){ 0x1000 * (i + 1), 512 };
	expect(r, BLOCK_PENDING);
	r.sectors = r.segments = BLOCK_SEGMENTS + 1;
	expect(r, BLOCK_ERROR);
}

/* Claim: what the disk cannot do, or must not, it is not asked to. */
static void abilities(void **state)
{
	(void)state;
	expect(request(BLOCK_FLUSH, 0, 0), BLOCK_PENDING);
	dev.write_cache = false;
	expect(request(BLOCK_FLUSH, 0, 0), BLOCK_OK);
	dev.can_discard = dev.can_write_zeroes = false;
	expect(request(BLOCK_DISCARD, 0, 1), BLOCK_UNSUPPORTED);
	expect(request(BLOCK_WRITE_ZEROES, 0, 1), BLOCK_UNSUPPORTED);
	dev.can_discard = dev.can_write_zeroes = dev.read_only = true;
	expect(request(BLOCK_READ, 0, 1), BLOCK_PENDING);
	expect(request(BLOCK_WRITE, 0, 1), BLOCK_ERROR);
	expect(request(BLOCK_DISCARD, 0, 1), BLOCK_ERROR);
	expect(request(BLOCK_WRITE_ZEROES, 0, 1), BLOCK_ERROR);
}

/* Claim: a part is where it is, reaches nothing before or behind it, and is as able as the whole. */
static void parts(void **state)
{
	struct block_part part;
	struct block_request r = request(BLOCK_WRITE, 9, 1);

	(void)state;
	block_part_init(&part, &dev, 20, 10);
	assert_int_equal(part.dev.sectors, 10);
	assert_int_equal(block_submit(&part.dev, &r), BLOCK_PENDING);
	assert_int_equal(last.sector, 29);
	r = request(BLOCK_READ, 10, 1);
	assert_int_equal(block_submit(&part.dev, &r), BLOCK_ERROR);
	r = request(BLOCK_READ, 9, 2);
	assert_int_equal(block_submit(&part.dev, &r), BLOCK_ERROR);
	r = request(BLOCK_READ, ~0ULL - 10, 1);
	assert_int_equal(block_submit(&part.dev, &r), BLOCK_ERROR);
	assert_int_equal(submitted, 1);
	answer = BLOCK_OK;
	r = request(BLOCK_READ, 3, 1);
	assert_int_equal(block_submit(&part.dev, &r), BLOCK_OK);
	assert_int_equal(last.sector, 23);
	assert_int_equal(r.sector, 3); /* the user may submit it again */
	r = request(BLOCK_FLUSH, 0, 0);
	assert_int_equal(block_submit(&part.dev, &r), BLOCK_OK);
	assert_int_equal(submitted, 3);
	part.dev.read_only = true;
	r = request(BLOCK_WRITE, 3, 1);
	assert_int_equal(block_submit(&part.dev, &r), BLOCK_ERROR);
	block_poll(&part.dev);
	assert_int_equal(polled, 1);
}

/* Claim: memory is a disk: what was written is read, zeroes are zeroes, and nothing else changes. */
static void ram(void **state)
{
	u8 *data = calloc(1, 8192), *buffer = calloc(1, 4096), *expected = calloc(1, 8192);
	struct block_segment s[] = { { (hpa_t)(uintptr_t)buffer, 512 },
				     { (hpa_t)(uintptr_t)buffer + 1024, 1024 } };
	struct block_request r = { BLOCK_WRITE, false, 5, 3, 2, s, NULL, NULL, { 0 } };
	struct block_ram disk;

	(void)state;
	block_ram_init(&disk, data, 8192, false);
	assert_int_equal(disk.dev.sectors, 16);
	for (unsigned int i = 0; i < 4096; i++)
		buffer[i] = (u8)(i * 5 + 1);
	memcpy(expected + 5 * 512, buffer, 512);
	memcpy(expected + 6 * 512, buffer + 1024, 1024);
	assert_int_equal(block_submit(&disk.dev, &r), BLOCK_OK);
	assert_memory_equal(data, expected, 8192);
	memset(buffer, 0, 4096);
	r.op = BLOCK_READ;
	assert_int_equal(block_submit(&disk.dev, &r), BLOCK_OK);
	assert_memory_equal(buffer, data + 5 * 512, 512);
	assert_memory_equal(buffer + 1024, data + 6 * 512, 1024);
	r = (struct block_request){ .op = BLOCK_WRITE_ZEROES, .sector = 6, .sectors = 1 };
	assert_int_equal(block_submit(&disk.dev, &r), BLOCK_OK);
	memset(expected + 6 * 512, 0, 512);
	r = (struct block_request){ .op = BLOCK_DISCARD, .sector = 0, .sectors = 4 };
	assert_int_equal(block_submit(&disk.dev, &r), BLOCK_OK);
	r = (struct block_request){ .op = BLOCK_FLUSH };
	assert_int_equal(block_submit(&disk.dev, &r), BLOCK_OK);
	assert_memory_equal(data, expected, 8192);
	block_poll(&disk.dev);
	block_ram_init(&disk, data, 8192, true);
	r = (struct block_request){ .op = BLOCK_WRITE_ZEROES, .sector = 6, .sectors = 1 };
	assert_int_equal(block_submit(&disk.dev, &r), BLOCK_ERROR);
	free(data), free(buffer), free(expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ranges, setup),    cmocka_unit_test_setup(segments, setup),
		cmocka_unit_test_setup(abilities, setup), cmocka_unit_test_setup(parts, setup),
		cmocka_unit_test_setup(ram, setup),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
