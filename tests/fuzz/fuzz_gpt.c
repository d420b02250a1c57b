/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a partitioned disk: no crash, and what is found lies within the disk. CRCs are made right, if asked to. */
#include <stdlib.h>

#include "lib/crc32.h"
#include "lib/string.h"
#include "vmm/host/gpt.h"

#define SECTORS 128ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static u8 disk[SECTORS * 512];
static u8 buffer[GPT_BUFFER] __attribute__((aligned(4096)));
static struct gpt_part part[GPT_MAX_PARTS];
static u64 clock_now;

static u64 now(void)
{
	return clock_now++;
}

static void require(bool condition)
{
	if (!condition)
		abort();
}

static u32 get(const u8 *at)
{
	u32 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* What stands in the way of every mutation. */
static void mend(u8 *h)
{
	u64 lba, bytes = (u64)get(h + 80) * get(h + 84);
	u32 crc, size = get(h + 12);

	memcpy(h, "EFI PART", 8);
	memcpy(&lba, h + 72, sizeof(lba));
	if (lba < SECTORS && bytes <= (SECTORS - lba) * 512) {
		crc = crc32(0, disk + lba * 512, bytes);
		memcpy(h + 88, &crc, sizeof(crc));
	}
	if (size > 512)
		return;
	memset(h + 16, 0, 4);
	crc = crc32(0, h, size);
	memcpy(h + 16, &crc, sizeof(crc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gpt_env env = { .buffer = buffer, .now = now, .timeout = 1000 };
	struct block_ram ram;
	enum gpt_result result;
	unsigned int parts, unit = 1;

	if (!size)
		return 0;
	memset(disk, 0, sizeof(disk));
	memcpy(disk + 512, data + 1, MIN(size - 1, sizeof(disk) - 512));
	block_ram_init(&ram, disk, sizeof(disk), true);
	if (data[0] & 1)
		mend(disk + 512);
	if (data[0] & 2)
		mend(disk + sizeof(disk) - 512);
	if (data[0] & 4) {
		unit = 8;
		ram.dev.block_size = 4096;
	}
	result = gpt_read(&ram.dev, &env, part, &parts);
	require(parts <= GPT_MAX_PARTS);
	require(result == GPT_OK || result == GPT_BACKUP || !parts);
	for (unsigned int i = 0; i < parts; i++) {
		require(part[i].sectors && part[i].first < SECTORS);
		require(part[i].sectors <= SECTORS - part[i].first);
		require(!(part[i].first % unit) && !(part[i].sectors % unit));
		require(memchr(part[i].label, 0, sizeof(part[i].label)));
	}
	return 0;
}
