/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GUID Partition Tables. UEFI specification, "GUID Partition Table (GPT) Disk Layout". A disk is what others have
 * written: nothing of it is believed before its CRC is right, and all sizes are bounded.
 */
#ifndef VMM_HOST_GPT_H
#define VMM_HOST_GPT_H

#include "lib/block.h"
#include "lib/types.h"

#define GPT_MAX_PARTS 128 /* of a disk: as many as everybody's table has */
#define GPT_LABEL_LEN \
	109 /* 36 characters of UTF-16 are at most so many bytes of UTF-8, and a NUL */
#define GPT_GUID_TEXT 37

struct gpt_part {
	unsigned int number; /* from 1 on, as others count */
	char label[GPT_LABEL_LEN];
	u8 type[16], guid[16]; /* as on the disk */
	u64 first, sectors;    /* of 512 bytes; within the disk, and not of its tables */
};

enum gpt_result {
	GPT_OK,
	GPT_NONE,       /* there is no such table */
	GPT_BAD,        /* there are traces of one, and neither copy is right */
	GPT_BACKUP,     /* as GPT_OK, but the first copy is not right */
	GPT_UNREADABLE, /* the disk answers with errors, or not in time */
};

/* What gpt_read needs of the machine. */
struct gpt_env {
	u8 *buffer; /* GPT_BUFFER bytes below 4 GiB, page-aligned; its own meanwhile */
	u64 (*now)(void);
	u64 timeout; /* of each read, in ticks of now */
};

#define GPT_BUFFER \
	KIB(36) /* a table of 128 entries of 256 bytes, or as much of one; and the header */

/*
 * Read the partitions of @dev into @part, of GPT_MAX_PARTS; how many in *@parts. Waits for the disk.
 * A partition that lies outside of the disk, or has no room, is left out.
 */
enum gpt_result gpt_read(const struct block_device *dev, const struct gpt_env *env,
			 struct gpt_part *part, unsigned int *parts);

/* An EFI system partition? */
bool gpt_is_esp(const struct gpt_part *part);

/* "5a6b2c1e-20cd-..." into @text of GPT_GUID_TEXT bytes. */
const char *gpt_guid_text(const u8 *guid, char *text);

/* Is @text this GUID, in whatever case? */
bool gpt_guid_is(const u8 *guid, const char *text);

#endif
