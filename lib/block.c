/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/block.h"
#include "lib/print.h"
#include "lib/string.h"

static bool range_ok(const struct block_device *dev, const struct block_request *r)
{
	u64 unit = dev->block_size / BLOCK_SECTOR;

	return r->sectors && r->sectors <= dev->sectors && r->sector <= dev->sectors - r->sectors &&
	       IS_ALIGNED(r->sector | r->sectors, unit);
}

static bool data_ok(const struct block_device *dev, const struct block_request *r)
{
	u64 bytes = 0;

	if (!r->segments || r->segments > BLOCK_SEGMENTS || r->sectors > dev->max_sectors)
		return false;
	for (unsigned int i = 0; i < r->segments; i++) {
		const struct block_segment *s = &r->segment[i];

		if (!s->len || !IS_ALIGNED(s->len, BLOCK_SECTOR) ||
		    !IS_ALIGNED(s->hpa, (u64)BLOCK_ADDRESS_UNIT))
			return false;
		bytes += s->len;
	}
	return bytes == r->sectors * BLOCK_SECTOR;
}

enum block_result block_submit(const struct block_device *dev, struct block_request *r)
{
	bool writes = r->op != BLOCK_READ && r->op != BLOCK_FLUSH, ok = true;

	if (r->op == BLOCK_FLUSH) {
		if (!dev->write_cache)
			return BLOCK_OK;
	} else {
		ok = range_ok(dev, r) && !(writes && dev->read_only);
	}
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
		ok = ok && data_ok(dev, r);
	if (!ok)
		return BLOCK_ERROR;
	if ((r->op == BLOCK_DISCARD && !dev->can_discard) ||
	    (r->op == BLOCK_WRITE_ZEROES && !dev->can_write_zeroes))
		return BLOCK_UNSUPPORTED;
	return dev->ops->submit(dev->ctx, r);
}

/* --- a part of a disk --- */

/* The whole's server answers the user: only the position differs, and nobody looks at that afterwards. */
static enum block_result part_submit(void *ctx, struct block_request *r)
{
	const struct block_part *part = ctx;
	enum block_result result;

	r->sector += part->first;
	result = block_submit(part->whole, r);
	if (result != BLOCK_PENDING)
		r->sector -= part->first;
	return result;
}

static void part_poll(void *ctx)
{
	const struct block_part *part = ctx;

	block_poll(part->whole);
}

void block_part_init(struct block_part *part, const struct block_device *whole, u64 first,
		     u64 sectors)
{
	static const struct block_ops ops = { .submit = part_submit, .poll = part_poll };

	*part = (struct block_part){ .dev = *whole, .whole = whole, .first = first };
	part->dev.ops = &ops;
	part->dev.ctx = part;
	part->dev.sectors = sectors;
}

/* --- memory as a disk --- */

static void ram_copy(u8 *at, const struct block_request *r)
{
	for (unsigned int i = 0; i < r->segments; i++) {
		void *data = (void *)(uintptr_t)r->segment[i].hpa;

		if (r->op == BLOCK_READ)
			memcpy(data, at, r->segment[i].len);
		else
			memcpy(at, data, r->segment[i].len);
		at += r->segment[i].len;
	}
}

static enum block_result ram_submit(void *ctx, struct block_request *r)
{
	const struct block_ram *ram = ctx;
	u8 *at = ram->data + r->sector * BLOCK_SECTOR;

	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE: ram_copy(at, r); break;
	case BLOCK_WRITE_ZEROES: memset(at, 0, r->sectors * BLOCK_SECTOR); break;
	case BLOCK_DISCARD:
	case BLOCK_FLUSH: break;
	}
	return BLOCK_OK;
}

void block_ram_init(struct block_ram *ram, u8 *data, u64 size, bool read_only)
{
	static const struct block_ops ops = { .submit = ram_submit };

	*ram = (struct block_ram){
		.dev = { .ops = &ops,
			 .ctx = ram,
			 .sectors = size / BLOCK_SECTOR,
			 .block_size = BLOCK_SECTOR,
			 .physical_block_size = BLOCK_SECTOR,
			 .max_sectors = BLOCK_MAX_SECTORS,
			 .read_only = read_only,
			 .can_discard = true,
			 .can_write_zeroes = true },
		.data = data,
	};
	scnprintf(ram->dev.name, sizeof(ram->dev.name), "ram");
}
