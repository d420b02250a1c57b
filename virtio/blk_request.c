/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/blk_request.h"
#include "lib/errno.h"
#include "lib/string.h"

static u64 sectors_of_block(const struct block_device *dev)
{
	return dev->block_size / BLOCK_SECTOR;
}

static bool on_disk(const struct block_device *dev, u64 sector, u64 sectors)
{
	return sectors <= dev->sectors && sector <= dev->sectors - sectors &&
	       IS_ALIGNED(sector | sectors, sectors_of_block(dev));
}

/* --- where the data is --- */

struct segment_list {
	struct block_segment *segment;
	unsigned int count, room;
};

/* What follows the last one without a gap is a part of it. */
static bool append(struct segment_list *list, hpa_t hpa, u32 len)
{
	struct block_segment *last = list->count ? &list->segment[list->count - 1] : NULL;

	if (last && last->hpa + last->len == hpa && last->len <= ~0u - len) {
		last->len += len;
		return true;
	}
	if (list->count == list->room)
		return false;
	list->segment[list->count++] = (struct block_segment){ hpa, len };
	return true;
}

/* Host memory behind a buffer, which is RAM: the chain was checked. */
static bool append_buffer(struct segment_list *list, const struct guest_mem *mem, gpa_t gpa,
			  u32 len)
{
	while (len) {
		hpa_t hpa;
		u32 run = (u32)guest_mem_host(mem, gpa, len, &hpa);

		if (!run || !append(list, hpa, run))
			return false;
		gpa += run;
		len -= run;
	}
	return true;
}

/* @bytes of @count buffers, from byte @skip of them on. */
static bool collect(struct segment_list *list, const struct guest_mem *mem,
		    const struct virtq_buf *buf, unsigned int count, u64 skip, u64 bytes)
{
	for (unsigned int i = 0; i < count && bytes; i++) {
		u32 skipped = (u32)MIN(skip, (u64)buf[i].len);
		u32 len = (u32)MIN(bytes, (u64)(buf[i].len - skipped));

		if (!append_buffer(list, mem, buf[i].gpa + skipped, len))
			return false;
		skip -= skipped;
		bytes -= len;
	}
	return true;
}

static bool needs_bounce(const struct segment_list *list)
{
	for (unsigned int i = 0; i < list->count; i++) {
		if (!IS_ALIGNED(list->segment[i].len, BLOCK_SECTOR) ||
		    !IS_ALIGNED(list->segment[i].hpa, (hpa_t)BLOCK_ADDRESS_UNIT))
			return true;
	}
	return false;
}

static int map(struct blk_request *r, const struct virtqueue *q, const struct virtq_chain *chain,
	       struct block_segment *segment, unsigned int room)
{
	struct segment_list list = { segment, 0, room };
	u64 bytes = r->left * BLOCK_SECTOR;
	bool all;

	if (r->type == VIRTIO_BLK_T_IN)
		all = collect(&list, q->mem, chain->buf + chain->out, chain->in, 0, bytes);
	else
		all = collect(&list, q->mem, chain->buf, chain->out,
			      sizeof(struct virtio_blk_header), bytes);
	r->segment = segment;
	r->segments = list.count;
	r->bounced = needs_bounce(&list);
	return all ? 0 : -ENOSPC;
}

/* --- from the chain to what is to be done: result says what is wrong with it --- */

static int parse_data(struct blk_request *r, const struct virtqueue *q,
		      const struct virtq_chain *chain, const struct block_device *dev,
		      struct block_segment *big)
{
	u64 bytes = r->type == VIRTIO_BLK_T_IN
			    ? chain->in_bytes - 1
			    : chain->out_bytes - sizeof(struct virtio_blk_header);

	r->left = bytes / BLOCK_SECTOR;
	if (bytes % BLOCK_SECTOR || !on_disk(dev, r->sector, r->left) ||
	    (r->type == VIRTIO_BLK_T_OUT && dev->read_only)) {
		r->result = BLOCK_ERROR;
		return 0;
	}
	if (!map(r, q, chain, r->own, BLK_SEGMENTS))
		return 0;
	if (!big)
		return -EAGAIN;
	if (map(r, q, chain, big, BLK_SEGMENTS_BIG))
		r->result = BLOCK_ERROR; /* it was told to use fewer */
	return 0;
}

static enum block_result check_range(const struct blk_request *r, const struct block_device *dev,
				     const struct virtio_blk_range *range)
{
	u32 allowed = r->type == VIRTIO_BLK_T_DISCARD ? 0 : VIRTIO_BLK_RANGE_UNMAP;

	if (range->flags & ~allowed)
		return BLOCK_UNSUPPORTED;
	if (range->sectors > BLK_RANGE_SECTORS || !on_disk(dev, range->sector, range->sectors))
		return BLOCK_ERROR;
	return BLOCK_OK;
}

static void parse_ranges(struct blk_request *r, const struct virtqueue *q,
			 const struct virtq_chain *chain, const struct block_device *dev)
{
	u64 bytes = chain->out_bytes - sizeof(struct virtio_blk_header);
	bool can = r->type == VIRTIO_BLK_T_DISCARD ? dev->can_discard : dev->can_write_zeroes;

	if (!can)
		r->result = BLOCK_UNSUPPORTED;
	else if (dev->read_only || !bytes || bytes > sizeof(r->range) ||
		 bytes % sizeof(r->range[0]) ||
		 virtq_chain_read(q, chain, sizeof(struct virtio_blk_header), r->range, bytes) !=
			 bytes)
		r->result = BLOCK_ERROR;
	if (r->result)
		return;
	r->ranges = (unsigned int)(bytes / sizeof(r->range[0]));
	for (unsigned int i = 0; i < r->ranges && !r->result; i++)
		r->result = check_range(r, dev, &r->range[i]);
}

static void parse_id(struct blk_request *r, const struct virtqueue *q,
		     const struct virtq_chain *chain, const char *id)
{
	u64 room = chain->in_bytes - 1;

	r->done = virtq_chain_write(q, chain, 0, id, MIN(room, (u64)BLOCK_SERIAL_LEN));
}

static gpa_t last_byte(const struct virtq_chain *chain)
{
	const struct virtq_buf *buf = &chain->buf[chain->out + chain->in - 1];

	while (!buf->len)
		buf--;
	return buf->gpa + buf->len - 1;
}

int blk_request_parse(struct blk_request *r, const struct virtqueue *q,
		      const struct virtq_chain *chain, const struct block_device *dev,
		      const char *id, struct block_segment *big)
{
	struct virtio_blk_header header;

	if (!chain->in_bytes)
		return -EINVAL;
	r->head = chain->head;
	r->in_bytes = chain->in_bytes;
	r->status_at = last_byte(chain);
	r->result = BLOCK_OK;
	r->done = r->left = 0;
	r->segments = r->ranges = r->at_range = 0;
	r->bounced = r->flushed = false;
	r->type = ~0u;
	if (virtq_chain_read(q, chain, 0, &header, sizeof(header)) != sizeof(header)) {
		r->result = BLOCK_ERROR;
		return 0;
	}
	r->type = header.type;
	r->sector = header.sector;
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT: return parse_data(r, q, chain, dev, big);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES: parse_ranges(r, q, chain, dev); break;
	case VIRTIO_BLK_T_GET_ID: parse_id(r, q, chain, id); break;
	case VIRTIO_BLK_T_FLUSH: break;
	default: r->result = BLOCK_UNSUPPORTED; break;
	}
	return 0;
}

/* --- piece by piece --- */

/* Take @bytes off the front of the segments that are left. */
static void skip(struct blk_request *r, u64 bytes)
{
	while (bytes) {
		u32 len = (u32)MIN(bytes, (u64)r->segment->len);

		r->segment->hpa += len;
		r->segment->len -= len;
		bytes -= len;
		if (!r->segment->len) {
			r->segment++;
			r->segments--;
		}
	}
}

/* Copy @len bytes between @data and the front of the segments, which are taken off. */
static void copy(struct blk_request *r, u8 *to_disk, const u8 *from_disk, u64 len)
{
	while (len) {
		void *guest = (void *)(uintptr_t)r->segment->hpa;
		u32 n = (u32)MIN(len, (u64)r->segment->len);

		if (to_disk) {
			memcpy(to_disk, guest, n);
			to_disk += n;
		} else {
			memcpy(guest, from_disk, n);
			from_disk += n;
		}
		skip(r, n);
		len -= n;
	}
}

static u64 piece_limit(const struct blk_request *r, const struct block_device *dev)
{
	u64 limit = MIN(MIN(dev->max_sectors, (u32)BLK_PIECE_SECTORS), r->left);

	return r->bounced ? MIN(limit, BLK_BOUNCE / BLOCK_SECTOR) : limit;
}

/*
 * As many segments as a block request may have, and no part of a block: the last of them is cut short
 * until the piece is done.
 */
static void next_direct(struct blk_request *r, const struct block_device *dev)
{
	u64 most = piece_limit(r, dev) * BLOCK_SECTOR, bytes = 0, sum = 0;
	unsigned int n;

	for (n = 0; n < MIN(r->segments, BLOCK_SEGMENTS) && bytes < most; n++)
		bytes += r->segment[n].len;
	bytes = ALIGN_DOWN(MIN(bytes, most), (u64)dev->block_size);
	for (n = 0; sum < bytes; n++)
		sum += r->segment[n].len;
	r->cut = (u32)(sum - bytes);
	r->segment[n - 1].len -= r->cut;
	r->io.segment = r->segment;
	r->io.segments = n;
	r->io.sectors = bytes / BLOCK_SECTOR;
}

static void next_bounced(struct blk_request *r, const struct block_device *dev, u8 *bounce,
			 struct block_segment *segment)
{
	u64 sectors = ALIGN_DOWN(piece_limit(r, dev), sectors_of_block(dev));

	*segment =
		(struct block_segment){ (hpa_t)(uintptr_t)bounce, (u32)(sectors * BLOCK_SECTOR) };
	r->io.segment = segment;
	r->io.segments = 1;
	r->io.sectors = sectors;
	if (r->type == VIRTIO_BLK_T_OUT)
		copy(r, bounce, NULL, segment->len);
}

static bool next_data(struct blk_request *r, const struct block_device *dev, u8 *bounce,
		      struct block_segment *segment)
{
	if (!r->left)
		return false;
	r->io.op = r->type == VIRTIO_BLK_T_IN ? BLOCK_READ : BLOCK_WRITE;
	r->io.sector = r->sector;
	if (r->bounced)
		next_bounced(r, dev, bounce, segment);
	else
		next_direct(r, dev);
	return true;
}

static bool next_range(struct blk_request *r, const struct block_device *dev)
{
	struct virtio_blk_range *range = &r->range[r->at_range];

	for (; r->ranges && !range->sectors; range++) {
		r->at_range++;
		r->ranges--;
	}
	if (!r->ranges)
		return false;
	r->left = range->sectors;
	r->io.op = r->type == VIRTIO_BLK_T_DISCARD ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES;
	r->io.unmap = range->flags & VIRTIO_BLK_RANGE_UNMAP;
	r->io.sector = range->sector;
	r->io.sectors = ALIGN_DOWN(piece_limit(r, dev), sectors_of_block(dev));
	return true;
}

static bool next_flush(struct blk_request *r)
{
	if (r->flushed)
		return false;
	r->io.op = BLOCK_FLUSH;
	return true;
}

bool blk_request_next(struct blk_request *r, const struct block_device *dev, u8 *bounce,
		      struct block_segment *segment)
{
	r->io.unmap = false;
	r->io.sector = r->io.sectors = 0;
	r->io.segment = NULL;
	r->io.segments = 0;
	r->cut = 0;
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT: return next_data(r, dev, bounce, segment);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES: return next_range(r, dev);
	case VIRTIO_BLK_T_FLUSH: return next_flush(r);
	default: return false;
	}
}

/* What a cut has taken off the last segment is what is left of it. */
static void advance_direct(struct blk_request *r)
{
	struct block_segment *last = &r->segment[r->io.segments - 1];

	r->segment += r->io.segments;
	r->segments -= r->io.segments;
	if (r->cut) {
		last->hpa += last->len;
		last->len = r->cut;
		r->segment--;
		r->segments++;
	}
}

void blk_request_advance(struct blk_request *r, const u8 *bounce)
{
	u64 sectors = r->io.sectors;

	switch (r->io.op) {
	case BLOCK_FLUSH: r->flushed = true; return;
	case BLOCK_DISCARD:
	case BLOCK_WRITE_ZEROES:
		r->range[r->at_range].sector += sectors;
		r->range[r->at_range].sectors -= (u32)sectors;
		return;
	case BLOCK_READ: r->done += sectors * BLOCK_SECTOR; break;
	case BLOCK_WRITE: break;
	}
	if (!r->bounced)
		advance_direct(r);
	else if (r->io.op == BLOCK_READ)
		copy(r, NULL, bounce, sectors * BLOCK_SECTOR);
	r->sector += sectors;
	r->left -= sectors;
}

/* --- for the driver --- */

u8 blk_request_status(const struct blk_request *r)
{
	switch (r->result) {
	case BLOCK_OK: return VIRTIO_BLK_S_OK;
	case BLOCK_UNSUPPORTED: return VIRTIO_BLK_S_UNSUPP;
	default: return VIRTIO_BLK_S_IOERR;
	}
}

/* The status is the last byte: it counts where nothing before it was left out. */
u32 blk_request_written(const struct blk_request *r)
{
	u64 written = r->done + 1 == r->in_bytes ? r->in_bytes : r->done;

	return (u32)MIN(written, 0xffffffffULL);
}
