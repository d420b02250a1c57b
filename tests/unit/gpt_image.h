/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk of 512-byte blocks with a GPT, both copies, made byte by byte. */
#ifndef TESTS_UNIT_GPT_IMAGE_H
#define TESTS_UNIT_GPT_IMAGE_H

#include <uchar.h>
#include "lib/crc32.h"
#include "lib/string.h"
#include "lib/types.h"

#define GPT_IMAGE_SECTORS 2048ULL
#define GPT_IMAGE_TABLE   32ULL /* sectors of 128 entries */

static inline void gpt_put(u8 *at, unsigned int len, u64 value)
{
	memcpy(at, &value, len);
}

/* Entry @index; it shows up after gpt_image_finish. */
static inline void gpt_image_add(u8 *disk, unsigned int index, u64 first, u64 last,
				 const char16_t *label)
{
	u8 *e = disk + 1024 + index * 128;

	memset(e, 0, 128);
	memset(e, 0xaf, 16);
	for (u8 i = 0; i < 15; i++)
		e[16 + i] = i;
	e[31] = (u8)index;
	gpt_put(e + 32, 8, first);
	gpt_put(e + 40, 8, last);
	for (int i = 0; i < 36 && label[i]; i++)
		gpt_put(e + 56 + 2 * i, 2, label[i]);
}

static inline void gpt_image_header(u8 *disk, u64 lba, u64 other, u64 table)
{
	u8 *h = disk + lba * 512;

	memset(h, 0, 512);
	memcpy(h, "EFI PART", 8);
	gpt_put(h + 8, 4, 0x10000);
	gpt_put(h + 12, 4, 92);
	gpt_put(h + 24, 8, lba);
	gpt_put(h + 32, 8, other);
	gpt_put(h + 40, 8, 34);
	gpt_put(h + 48, 8, GPT_IMAGE_SECTORS - 34);
	gpt_put(h + 72, 8, table);
	gpt_put(h + 80, 4, 128);
	gpt_put(h + 84, 4, 128);
	gpt_put(h + 88, 4, crc32(0, disk + table * 512, 128 * 128));
	gpt_put(h + 16, 4, crc32(0, h, 92));
}

/* Headers, CRCs and the second copy. */
static inline void gpt_image_finish(u8 *disk)
{
	u64 last = GPT_IMAGE_SECTORS - 1, table = last - GPT_IMAGE_TABLE;

	memcpy(disk + table * 512, disk + 1024, GPT_IMAGE_TABLE * 512);
	gpt_image_header(disk, 1, last, 2);
	gpt_image_header(disk, last, 1, table);
}

/* A number in both headers, whose CRCs are made right again as far as their size is. */
static inline void gpt_image_poke(u8 *disk, unsigned int offset, unsigned int len, u64 value)
{
	const u64 lba[] = { 1, GPT_IMAGE_SECTORS - 1 };

	for (int i = 0; i < 2; i++) {
		u8 *h = disk + lba[i] * 512;
		u32 size;

		gpt_put(h + offset, len, value);
		memcpy(&size, h + 12, 4);
		gpt_put(h + 16, 4, 0);
		gpt_put(h + 16, 4, crc32(0, h, size <= 512 ? size : 92));
	}
}

#endif
