/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/gpt, lib/crc32: partitions are read, from the copy if need be, and nothing is believed that is not right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/crc32.h"
#include "lib/string.h"
#include "tests/unit/gpt_image.h"
#include "vmm/host/gpt.h"

static u8 buffer[GPT_BUFFER] __attribute__((aligned(4096)));
static u8 *disk;
static struct block_ram ram;
static struct gpt_part part[GPT_MAX_PARTS];
static unsigned int parts;
static u64 clock_now;

static u64 now(void)
{
	return clock_now += 1000;
}

static const struct gpt_env env = { .buffer = buffer, .now = now, .timeout = 1000000 };

static int setup(void **state)
{
	(void)state;
	disk = calloc(GPT_IMAGE_SECTORS, 512);
	block_ram_init(&ram, disk, GPT_IMAGE_SECTORS * 512, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(disk);
	return 0;
}

static enum gpt_result read_disk(void)
{
	memset(part, 0xee, sizeof(part));
	return gpt_read(&ram.dev, &env, part, &parts);
}

/* The check value that everybody's CRC-32 has; in two pieces as in one. */
static void test_crc32(void **state)
{
	(void)state;
	assert_int_equal(crc32(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32(crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
	assert_int_equal(crc32(0, "", 0), 0);
}

/* Number, label, type, PARTUUID and place of each partition; entries without a type are none. */
static void test_good(void **state)
{
	char text[GPT_GUID_TEXT];

	(void)state;
	gpt_image_add(disk, 0, 100, 199, u"first");
	gpt_image_add(disk, 5, 200, 200, u"caf\u00e9 \U0001F427\x0007");
	gpt_image_finish(disk);
	assert_int_equal(read_disk(), GPT_OK);
	assert_int_equal(parts, 2);
	assert_int_equal(part[0].number, 1);
	assert_string_equal(part[0].label, "first");
	assert_int_equal(part[0].first, 100);
	assert_int_equal(part[0].sectors, 100);
	assert_int_equal(part[1].number, 6);
	assert_string_equal(part[1].label, "caf\xc3\xa9 \xf0\x9f\x90\xa7?");
	assert_int_equal(part[1].sectors, 1);
	assert_string_equal(gpt_guid_text(part[0].guid, text),
			    "03020100-0504-0706-0809-0a0b0c0d0e00");
	assert_true(gpt_guid_is(part[0].guid, "03020100-0504-0706-0809-0A0B0C0D0E00"));
	assert_false(gpt_guid_is(part[0].guid, "03020100-0504-0706-0809-0A0B0C0D0E0"));
	assert_false(gpt_guid_is(part[0].guid, "03020100-0504-0706-0809-0A0B0C0D0E001"));
	assert_false(gpt_is_esp(&part[0]));
	memcpy(part[0].type, "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b",
	       16);
	assert_true(gpt_is_esp(&part[0]));
}

/* A label of 36 characters that take three bytes each fills its room; half a pair is no character. */
static void test_labels(void **state)
{
	char16_t longest[37];

	(void)state;
	for (int i = 0; i < 36; i++)
		longest[i] = 0x20ac;
	longest[36] = 0;
	gpt_image_add(disk, 0, 100, 199, longest);
	longest[0] = 0xd800;
	longest[1] = 0xdc00;
	longest[2] = 0xdc00;
	longest[3] = 0x9b; /* a terminal's escape */
	longest[4] = 0;
	gpt_image_add(disk, 1, 200, 299, longest);
	for (int i = 0; i < 36; i++)
		longest[i] = 0xd83d;
	gpt_image_add(disk, 2, 300, 399, longest);
	gpt_image_finish(disk);
	assert_int_equal(read_disk(), GPT_OK);
	assert_int_equal(strlen(part[0].label), 108);
	assert_string_equal(part[1].label, "\xf0\x90\x80\x80??");
	assert_string_equal(part[2].label, "????????????????????????????????????");
}

/* Each thing that can be wrong with the first copy makes it count for nothing: the second one is used. */
static void test_backup(void **state)
{
	static const struct {
		unsigned int offset;
		u8 flip;
	} wrong[] = {
		{ 512 + 0, 1 },  /* signature */
		{ 512 + 24, 1 }, /* where it is */
		{ 512 + 16, 1 }, /* its CRC */
		{ 512 + 56, 1 }, /* something that the CRC covers */
		{ 1024 + 3, 1 }, /* an entry */
		{ 512 + 12, 4 }, /* its size: 88 */
	};

	(void)state;
	gpt_image_add(disk, 0, 100, 199, u"first");
	gpt_image_finish(disk);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		disk[wrong[i].offset] ^= wrong[i].flip;
		assert_int_equal(read_disk(), GPT_BACKUP);
		assert_int_equal(parts, 1);
		assert_string_equal(part[0].label, "first");
		disk[wrong[i].offset] ^= wrong[i].flip;
	}
	assert_int_equal(read_disk(), GPT_OK);
	disk[1024] ^= 1;
	disk[(GPT_IMAGE_SECTORS - 33) * 512] ^= 1;
	assert_int_equal(read_disk(), GPT_BAD);
	assert_int_equal(parts, 0);
	memset(disk, 0, GPT_IMAGE_SECTORS * 512);
	assert_int_equal(read_disk(), GPT_NONE);
}

/* Numbers that are absurd although the CRC is right: refused, whatever they are. */
static void test_absurd(void **state)
{
	static const struct {
		unsigned int offset, len;
		u64 value;
	} absurd[] = {
		{ 12, 4, 513 },
		{ 12, 4, 0xffffffff },
		{ 80, 4, 0 },
		{ 80, 4, 0xffffffff },
		{ 80, 4, 257 },
		{ 84, 4, 64 },
		{ 84, 4, 0 },
		{ 84, 4, 0x80000000 },
		{ 84, 4, 192 },
		{ 72, 8, ~0ULL },
		{ 72, 8, GPT_IMAGE_SECTORS },
		{ 40, 8, ~0ULL },
		{ 48, 8, ~0ULL },
	};

	(void)state;
	gpt_image_add(disk, 0, 100, 199, u"first");
	for (size_t i = 0; i < ARRAY_SIZE(absurd); i++) {
		gpt_image_finish(disk);
		gpt_image_poke(disk, absurd[i].offset, absurd[i].len, absurd[i].value);
		assert_int_equal(read_disk(), GPT_BAD);
		assert_int_equal(parts, 0);
	}
}

/* Partitions that are upside down, in the tables, or beyond the disk are left out, the others stay. */
static void test_places(void **state)
{
	(void)state;
	gpt_image_add(disk, 0, 199, 100, u"down");
	gpt_image_add(disk, 1, 1, 199, u"table");
	gpt_image_add(disk, 2, 100, GPT_IMAGE_SECTORS, u"beyond");
	gpt_image_add(disk, 3, ~0ULL, ~0ULL, u"far");
	gpt_image_add(disk, 4, 34, GPT_IMAGE_SECTORS - 34, u"all");
	gpt_image_finish(disk);
	assert_int_equal(read_disk(), GPT_OK);
	assert_int_equal(parts, 1);
	assert_string_equal(part[0].label, "all");
	assert_int_equal(part[0].first, 34);
}

/* A disk too small for a table is not read at all; one that answers with errors is not waited for. */
static void test_no_disk(void **state)
{
	(void)state;
	ram.dev.sectors = 2;
	assert_int_equal(read_disk(), GPT_NONE);
	ram.dev.sectors = 0;
	assert_int_equal(read_disk(), GPT_NONE);
}

static enum block_result submit_error(void *ctx, struct block_request *r)
{
	(void)ctx, (void)r;
	return BLOCK_ERROR;
}

static enum block_result submit_never(void *ctx, struct block_request *r)
{
	(void)ctx, (void)r;
	return BLOCK_PENDING;
}

/* Errors are told, and a disk that never answers is given up after the time-out. (The last test: it has lost a request.) */
static void test_unreadable(void **state)
{
	static const struct block_ops error = { .submit = submit_error },
				      never = { .submit = submit_never };
	u64 start;

	(void)state;
	ram.dev.ops = &error;
	assert_int_equal(read_disk(), GPT_UNREADABLE);
	ram.dev.ops = &never;
	start = clock_now;
	assert_int_equal(read_disk(), GPT_UNREADABLE);
	assert_in_range(clock_now - start, env.timeout, 2 * env.timeout);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32),
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_labels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absurd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
