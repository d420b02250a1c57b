/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/gpt.h"
#include "lib/crc32.h"
#include "lib/print.h"
#include "lib/string.h"

#define SIGNATURE   "EFI PART"
#define HEADER_MIN  92
#define ENTRY_MIN   128
#define ENTRY_MAX   4096
#define TABLE_MAX   (GPT_BUFFER - KIB(4))
#define LABEL_CHARS 36

struct gpt_header {
	char signature[8];
	u32 revision;
	u32 header_size;
	u32 header_crc;
	u32 reserved;
	u64 my_lba, alternate_lba;
	u64 first_usable, last_usable;
	u8 disk_guid[16];
	u64 entries_lba;
	u32 entries, entry_size;
	u32 entries_crc;
} __packed;
_Static_assert(sizeof(struct gpt_header) == HEADER_MIN, "UEFI, \"GPT Header\"");

struct gpt_entry {
	u8 type[16], guid[16];
	u64 first, last;
	u64 attributes;
	u16 name[LABEL_CHARS];
} __packed;
_Static_assert(sizeof(struct gpt_entry) == ENTRY_MIN, "UEFI, \"GPT Partition Entry\"");

/* --- reading --- */

struct wait {
	struct block_request request; /* first: done finds the rest by it */
	enum block_result result;
};

static void on_done(struct block_request *request, enum block_result result)
{
	struct wait *wait = (struct wait *)(void *)request;

	__atomic_store_n(&wait->result, result, __ATOMIC_RELEASE);
}

/*
 * A request that the disk still has when we give up stays the disk's, and the buffer with it: hence the one
 * that is static, which nobody uses again once that has happened.
 */
static struct wait wait;
static struct block_segment segment;
static bool lost;

static bool read(const struct block_device *dev, const struct gpt_env *env, u64 lba, u64 bytes,
		 u8 *to)
{
	u64 unit = dev->block_size / BLOCK_SECTOR, end = env->now() + env->timeout;

	if (lost || lba > dev->sectors / unit)
		return false;
	bytes = ALIGN_UP(bytes, (u64)dev->block_size);
	segment = (struct block_segment){ (uintptr_t)to, (u32)bytes };
	wait = (struct wait){
		.request = { .op = BLOCK_READ,
			     .sector = lba * unit,
			     .sectors = bytes / BLOCK_SECTOR,
			     .segments = 1,
			     .segment = &segment,
			     .done = on_done },
		.result = BLOCK_PENDING,
	};
	wait.result = block_submit(dev, &wait.request);
	while (__atomic_load_n(&wait.result, __ATOMIC_ACQUIRE) == BLOCK_PENDING) {
		block_poll(dev);
		if (env->now() >= end) {
			lost = __atomic_load_n(&wait.result, __ATOMIC_ACQUIRE) == BLOCK_PENDING;
			break;
		}
	}
	return __atomic_load_n(&wait.result, __ATOMIC_ACQUIRE) == BLOCK_OK;
}

/* --- the header --- */

static bool header_ok(const struct block_device *dev, u64 lba, const u8 *block,
		      struct gpt_header *h)
{
	static const u8 zero[4];
	u64 blocks = dev->sectors / (dev->block_size / BLOCK_SECTOR);
	u32 crc;

	memcpy(h, block, sizeof(*h));
	if (h->header_size < HEADER_MIN || h->header_size > dev->block_size)
		return false;
	/* As if its own field were 0. */
	crc = crc32(0, block, offsetof(struct gpt_header, header_crc));
	crc = crc32(crc, zero, sizeof(zero));
	crc = crc32(crc, block + offsetof(struct gpt_header, reserved),
		    h->header_size - offsetof(struct gpt_header, reserved));
	return crc == h->header_crc && h->my_lba == lba && h->entry_size >= ENTRY_MIN &&
	       h->entry_size <= ENTRY_MAX && !(h->entry_size & (h->entry_size - 1)) && h->entries &&
	       h->entries <= TABLE_MAX / h->entry_size && h->entries_lba < blocks &&
	       h->first_usable <= h->last_usable && h->last_usable < blocks;
}

/* --- entries --- */

static size_t put_utf8(char *to, u32 c)
{
	if (c < 0x80) {
		to[0] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
		return 1;
	}
	if (c < 0xa0) { /* control characters, too: to some terminals the beginning of a sequence */
		to[0] = '?';
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* UTF-16 to UTF-8; half a pair, and what is no text, becomes '?'. */
static void copy_label(char *to, const struct gpt_entry *e)
{
	u16 name[LABEL_CHARS];
	size_t len = 0;

	_Static_assert(GPT_LABEL_LEN > 3 * LABEL_CHARS, "a character is 3 bytes, a pair is 4");
	memcpy(name, e->name, sizeof(name));
	for (unsigned int i = 0; i < LABEL_CHARS && name[i]; i++) {
		u32 c = name[i];

		if ((c & 0xfc00) == 0xd800 && i + 1 < LABEL_CHARS &&
		    (name[i + 1] & 0xfc00) == 0xdc00)
			c = 0x10000 + ((c & 0x3ff) << 10) + (name[++i] & 0x3ff);
		else if ((c & 0xf800) == 0xd800)
			c = '?';
		len += put_utf8(to + len, c);
	}
	to[len] = 0;
}

static bool take_entry(const struct block_device *dev, const struct gpt_header *h,
		       const struct gpt_entry *e, unsigned int number, struct gpt_part *part)
{
	static const u8 unused[16];
	u64 unit = dev->block_size / BLOCK_SECTOR;

	if (!memcmp(e->type, unused, sizeof(unused)) || e->first < h->first_usable ||
	    e->last > h->last_usable || e->first > e->last)
		return false;
	*part = (struct gpt_part){
		.number = number,
		.first = e->first * unit,
		.sectors = (e->last - e->first + 1) * unit,
	};
	memcpy(part->type, e->type, sizeof(part->type));
	memcpy(part->guid, e->guid, sizeof(part->guid));
	copy_label(part->label, e);
	return true;
}

/* The table whose header is at @lba. */
static enum gpt_result read_copy(const struct block_device *dev, const struct gpt_env *env, u64 lba,
				 struct gpt_part *part, unsigned int *parts)
{
	struct gpt_header h;
	u32 bytes;

	if (!read(dev, env, lba, dev->block_size, env->buffer))
		return GPT_UNREADABLE;
	if (memcmp(env->buffer, SIGNATURE, sizeof(h.signature)) != 0)
		return GPT_NONE;
	if (!header_ok(dev, lba, env->buffer, &h))
		return GPT_BAD;
	bytes = h.entries * h.entry_size;
	if (!read(dev, env, h.entries_lba, bytes, env->buffer))
		return GPT_UNREADABLE;
	if (crc32(0, env->buffer, bytes) != h.entries_crc)
		return GPT_BAD;
	*parts = 0;
	for (u32 i = 0; i < h.entries && *parts < GPT_MAX_PARTS; i++) {
		struct gpt_entry e;

		memcpy(&e, env->buffer + i * h.entry_size, sizeof(e));
		*parts += take_entry(dev, &h, &e, i + 1, &part[*parts]);
	}
	return GPT_OK;
}

enum gpt_result gpt_read(const struct block_device *dev, const struct gpt_env *env,
			 struct gpt_part *part, unsigned int *parts)
{
	u64 blocks = dev->sectors / (dev->block_size / BLOCK_SECTOR);
	enum gpt_result first, second;

	*parts = 0;
	if (blocks < 3 || dev->max_sectors < GPT_BUFFER / BLOCK_SECTOR)
		return GPT_NONE;
	first = read_copy(dev, env, 1, part, parts);
	if (first == GPT_OK)
		return first;
	second = read_copy(dev, env, blocks - 1, part, parts);
	if (second == GPT_OK)
		return GPT_BACKUP;
	if (first == GPT_NONE && second == GPT_NONE)
		return GPT_NONE;
	return first == GPT_UNREADABLE || second == GPT_UNREADABLE ? GPT_UNREADABLE : GPT_BAD;
}

/* --- names --- */

/* C12A7328-F81F-11D2-BA4B-00A0C93EC93B: the first three groups are little-endian. */
bool gpt_is_esp(const struct gpt_part *part)
{
	static const u8 esp[16] = { 0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
				    0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b };

	return !memcmp(part->type, esp, sizeof(esp));
}

const char *gpt_guid_text(const u8 *g, char *text)
{
	scnprintf(text, GPT_GUID_TEXT,
		  "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[3],
		  g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13],
		  g[14], g[15]);
	return text;
}

bool gpt_guid_is(const u8 *guid, const char *text)
{
	char own[GPT_GUID_TEXT];

	gpt_guid_text(guid, own);
	for (unsigned int i = 0; i < GPT_GUID_TEXT; i++) {
		char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] | 0x20) : text[i];

		if (c != own[i])
			return false;
	}
	return true;
}
