/* SPDX-License-Identifier: BSD-2-Clause */
/* ATA commands as AHCI wants them, and what a disk says of itself. */
#include "drivers/ahci_private.h"
#include "lib/string.h"

static void set_fis(struct ahci_table *table, u8 command, u64 block, u16 count, u16 feature)
{
	table->fis = (struct ahci_fis){
		.type = AHCI_FIS_H2D,
		.flags = AHCI_FIS_COMMAND,
		.command = command,
		.device = ATA_DEVICE_LBA,
		.lba0 = (u8)block,
		.lba1 = (u8)(block >> 8),
		.lba2 = (u8)(block >> 16),
		.lba3 = (u8)(block >> 24),
		.lba4 = (u8)(block >> 32),
		.lba5 = (u8)(block >> 40),
		.feature = (u8)feature,
		.feature_high = (u8)(feature >> 8),
		.count = count,
	};
}

static void set_prd(struct ahci_prd *prd, hpa_t hpa, u32 bytes)
{
	*prd = (struct ahci_prd){ .base = hpa, .bytes_less_one = bytes - 1 };
}

/* A request has no more segments than a table has entries, and none of them is longer than an entry allows. */
_Static_assert(BLOCK_SEGMENTS <= AHCI_PRDS && BLOCK_MAX_SECTORS * BLOCK_SECTOR <= 4u << 20,
	       "a request is one command");

static struct ahci_built build_data(struct block_request *r, struct ahci_table *table,
				    u32 block_size, bool queued, unsigned int tag)
{
	bool write = r->op == BLOCK_WRITE;
	u32 unit = block_size / BLOCK_SECTOR;
	u16 count = (u16)(r->sectors / unit);

	/* A queued command has its length where others have their features: "FPDMA QUEUED". */
	if (queued)
		set_fis(table, write ? ATA_WRITE_FPDMA : ATA_READ_FPDMA, r->sector / unit,
			(u16)(tag << 3), count);
	else
		set_fis(table, write ? ATA_WRITE_DMA_EXT : ATA_READ_DMA_EXT, r->sector / unit,
			count, 0);
	for (unsigned int i = 0; i < r->segments; i++)
		set_prd(&table->prd[i], r->segment[i].hpa, r->segment[i].len);
	return (struct ahci_built){ r->sectors, (u16)r->segments, write };
}

static struct ahci_built build_trim(struct block_request *r, struct ahci_table *table,
				    u32 block_size, u64 *ranges)
{
	u32 unit = block_size / BLOCK_SECTOR;
	u64 block = (r->sector + disk_progress(r)->done) / unit, left = disk_left(r) / unit;
	u64 first = block;

	for (unsigned int i = 0; i < ATA_TRIM_RANGES; i++) {
		u64 count = MIN(left, (u64)ATA_TRIM_MAX);

		ranges[i] = count ? count << 48 | block : 0; /* an empty range is none */
		block += count;
		left -= count;
	}
	set_fis(table, ATA_DSM, 0, 1, ATA_DSM_TRIM);
	set_prd(&table->prd[0], (hpa_t)(uintptr_t)ranges, ATA_TRIM_RANGES * sizeof(*ranges));
	return (struct ahci_built){ (block - first) * unit, 1, true };
}

struct ahci_built ahci_build(struct block_request *r, struct ahci_table *table, u32 block_size,
			     bool queued, unsigned int tag, u64 *ranges)
{
	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE: return build_data(r, table, block_size, queued, tag);
	case BLOCK_DISCARD: return build_trim(r, table, block_size, ranges);
	case BLOCK_WRITE_ZEROES: /* block_submit does not let it come here */
	case BLOCK_FLUSH: break;
	}
	set_fis(table, ATA_FLUSH_CACHE_EXT, 0, 0, 0);
	return (struct ahci_built){ 0 };
}

struct ahci_built ahci_build_identify(struct ahci_table *table, void *words)
{
	set_fis(table, ATA_IDENTIFY, 0, 0, 0);
	set_prd(&table->prd[0], (hpa_t)(uintptr_t)words, ATA_ID_WORDS * sizeof(u16));
	return (struct ahci_built){ .prds = 1 };
}

/* ATA's strings have the first character of each word in its upper half. */
static void id_text(char *out, size_t size, const u16 *word, size_t len)
{
	u8 text[ATA_ID_MODEL_LEN];

	for (size_t i = 0; i < len; i++)
		text[i] = (u8)(word[i / 2] >> (i % 2 ? 0 : 8));
	disk_text(out, size, text, len);
}

/* Words with bits 15:14 = 01 are valid. */
static bool has(const u16 *words, unsigned int word, unsigned int bit)
{
	return words[word] >> 14 == 1 && (words[word] >> bit & 1);
}

const char *ahci_identity(const u16 words[ATA_ID_WORDS], struct ahci_identity *id)
{
	u64 blocks;

	*id = (struct ahci_identity){ .block_size = BLOCK_SECTOR };
	id_text(id->serial, sizeof(id->serial), words + ATA_ID_SERIAL, ATA_ID_SERIAL_LEN);
	id_text(id->model, sizeof(id->model), words + ATA_ID_MODEL, ATA_ID_MODEL_LEN);
	if (!has(words, ATA_ID_COMMANDS, 10) || !has(words, ATA_ID_COMMANDS, 13))
		return "it has no 48-bit commands";
	memcpy(&blocks, words + ATA_ID_SECTORS, sizeof(blocks));
	if (!blocks || blocks >> 48)
		return "it has no size";
	if (has(words, ATA_ID_SIZES, 12)) {
		u32 half;

		memcpy(&half, words + ATA_ID_LOGICAL_SIZE, sizeof(half));
		if (half < 256 || half > 2048 || half & (half - 1))
			return "it has blocks of a size that is not 512 to 4096 bytes";
		id->block_size = 2 * half;
	}
	id->physical_block_size = id->block_size;
	if (has(words, ATA_ID_SIZES, 13))
		id->physical_block_size = id->block_size << MIN(words[ATA_ID_SIZES] & 15, 8);
	id->sectors = blocks * (id->block_size / BLOCK_SECTOR);
	if (words[ATA_ID_SATA] != 0xffff && words[ATA_ID_SATA] & BIT(8))
		id->depth = (words[ATA_ID_QUEUE_DEPTH] & 31u) + 1;
	id->trim = words[ATA_ID_DSM] & 1;
	id->write_cache = words[ATA_ID_ENABLED] & BIT(5);
	return NULL;
}
