/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request of a virtio-blk driver: from its chain of buffers to pieces that a block device takes, one
 * after the other. Virtio 1.2, "Block Device", "Device Operation".
 *
 * Data goes straight between the disk and guest RAM. Only where a buffer is not made of sectors, or lies
 * at an address that no disk takes, all of the request goes through a buffer of the VMM's.
 */
#ifndef VIRTIO_BLK_REQUEST_H
#define VIRTIO_BLK_REQUEST_H

#include "lib/block.h"
#include "lib/guest_mem.h"
#include "virtio/virtqueue.h"

#define BLK_SEGMENTS      64   /* that every request has room for */
#define BLK_SEGMENTS_BIG  264  /* that one at a time may have */
#define BLK_SEG_MAX       62   /* buffers of data that drivers are told to use at most */
#define BLK_RANGES        16   /* of one discard or write-zeroes */
#define BLK_BOUNCE        8192 /* bytes; no block is larger */
#define BLK_PIECE_SECTORS 2048 /* that go to the disk in one request, at most */
#define BLK_RANGE_SECTORS (BLK_PIECE_SECTORS * 64) /* of one range of a discard, at most */

/* Layouts in guest memory. */
struct virtio_blk_header {
	u32 type; /* VIRTIO_BLK_T_* */
	u32 reserved;
	u64 sector;
};
_Static_assert(sizeof(struct virtio_blk_header) == 16, "struct virtio_blk_req");

struct virtio_blk_range {
	u64 sector;
	u32 sectors;
	u32 flags;
};
_Static_assert(sizeof(struct virtio_blk_range) == 16, "struct virtio_blk_discard_write_zeroes");
#define VIRTIO_BLK_RANGE_UNMAP    0x1u

#define VIRTIO_BLK_T_IN           0u
#define VIRTIO_BLK_T_OUT          1u
#define VIRTIO_BLK_T_FLUSH        4u
#define VIRTIO_BLK_T_GET_ID       8u
#define VIRTIO_BLK_T_DISCARD      11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u

#define VIRTIO_BLK_S_OK           0
#define VIRTIO_BLK_S_IOERR        1
#define VIRTIO_BLK_S_UNSUPP       2

struct virtio_blk;

struct blk_request {
	struct block_request io; /* the piece at hand */
	struct virtio_blk *disk;
	struct blk_request *next; /* of the list that it is on */
	enum block_result result; /* so far */
	u32 type;
	u16 queue, head;
	bool bounced; /* by way of the buffer */
	bool flushed; /* its writes are on the medium */
	gpa_t status_at;
	u64 in_bytes; /* of the driver's buffers, with the status */
	u64 done;     /* bytes at their start that were written */
	u64 sector;   /* of the next piece */
	u64 left;     /* sectors */
	/* The data that is left: segment[0] from its byte 0 on. */
	struct block_segment *segment;
	unsigned int segments;
	u32 cut;             /* bytes of the piece's last segment that are for the next one */
	unsigned int ranges; /* that are left, of range[] from at_range on */
	unsigned int at_range;
	union {
		struct block_segment own[BLK_SEGMENTS];
		struct virtio_blk_range range[BLK_RANGES];
	};
};

/*
 * Make @r of @chain: type, where the status goes, what there is to do. @big has room for the segments
 * of a long request, or is NULL while there is none. Returns
 *
 *	0	result is BLOCK_OK, or why it cannot be done
 *	-EAGAIN	it needs @big
 *	-EINVAL	there is no place for a status
 *
 * GET_ID is done by it: @id has BLOCK_SERIAL_LEN bytes.
 */
int blk_request_parse(struct blk_request *r, const struct virtqueue *q,
		      const struct virtq_chain *chain, const struct block_device *dev,
		      const char *id, struct block_segment *big) __must_check;

/*
 * Prepare r->io for the next piece; false when all is done. @bounce is the buffer, if r->bounced, of
 * which *@segment is to tell the disk.
 */
bool blk_request_next(struct blk_request *r, const struct block_device *dev, u8 *bounce,
		      struct block_segment *segment) __must_check;

/* The piece has been done. */
void blk_request_advance(struct blk_request *r, const u8 *bounce);

/* Does it change what is on the disk, so that a flush makes it last? */
static inline bool blk_request_writes(const struct blk_request *r)
{
	return r->type == VIRTIO_BLK_T_OUT || r->type == VIRTIO_BLK_T_WRITE_ZEROES;
}

/* For the driver: status, and how many bytes at the start of its buffers were written. */
u8 blk_request_status(const struct blk_request *r);
u32 blk_request_written(const struct blk_request *r);

#endif
