/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the drivers of disks have in common: a request that waits for its turn, how far it is when it takes several
 * commands, and that it is given back with no lock held.
 *
 *	submit:     lock; put in `waiting`, start what can be started; unlock
 *	interrupt:  lock; take what has ended to `ended`, start what waits; unlock; disk_give_back(&ended)
 *	poll:       the same, and what has taken too long
 */
#ifndef DRIVERS_DISK_REQUEST_H
#define DRIVERS_DISK_REQUEST_H

#include "lib/block.h"

/* After so long without an answer a command has failed, and the device is reset. */
#define DISK_TIMEOUT_SECONDS 10
/* A command that was under way when the device was reset because of another one is tried so often in all. */
#define DISK_TRIES 3

/* In block_request.server, while a driver has it. */
struct disk_progress {
	u64 done;    /* sectors of it that are */
	u32 segment; /* where the data of the next sector are: in this one, */
	u32 offset;  /* at this byte of it */
	u32 tries;   /* how often it was started all over */
	u32 result;  /* enum block_result: once it has ended */
};

_Static_assert(sizeof(struct disk_progress) <= sizeof(((struct block_request *)0)->server),
	       "struct disk_progress fits into the request");

static inline struct disk_progress *disk_progress(struct block_request *r)
{
	return (struct disk_progress *)r->server;
}

/* Requests in the order of their coming. */
struct disk_fifo {
	struct block_request *first, *last;
};

void disk_fifo_put(struct disk_fifo *fifo, struct block_request *r);
/* Once more, and before all others: @r has been under way, and starts from its beginning. */
void disk_fifo_put_back(struct disk_fifo *fifo, struct block_request *r);
/* NULL: empty. */
struct block_request *disk_fifo_take(struct disk_fifo *fifo);

/* Take @r over from its user. */
void disk_request_init(struct block_request *r);
/* @r has come to @result: it goes to @ended. */
void disk_request_end(struct disk_fifo *ended, struct block_request *r, enum block_result result);
/* Each of @fifo has failed. */
void disk_fail_all(struct disk_fifo *ended, struct disk_fifo *fifo);
/*
 * The device was reset while @r was under way: back to @waiting, or, when it has been tried often
 * enough or was what took too long (@guilty), BLOCK_ERROR.
 */
void disk_request_retry(struct disk_fifo *waiting, struct disk_fifo *ended, struct block_request *r,
			bool guilty);
/* Tell the users. No lock is held. */
void disk_give_back(struct disk_fifo *ended);

/* @sectors more are done. True: that was all. */
bool disk_advance(struct block_request *r, u64 sectors);
/* How many are left. */
static inline u64 disk_left(struct block_request *r)
{
	return r->sectors - disk_progress(r)->done;
}

/* A place in the data of a request: first where the next sector is that is to be done. */
struct disk_cursor {
	u32 segment, offset;
};

static inline struct disk_cursor disk_cursor(struct block_request *r)
{
	return (struct disk_cursor){ disk_progress(r)->segment, disk_progress(r)->offset };
}

/* Bytes in a row at the cursor, at @hpa; 0: no more. */
u32 disk_run(const struct block_request *r, const struct disk_cursor *at, hpa_t *hpa);
/* Move on by @bytes, across segments. */
void disk_skip(const struct block_request *r, struct disk_cursor *at, u64 bytes);
/* Copy @bytes of the data, from what is done on, from (@to_buf) or to the request's memory. */
void disk_copy(struct block_request *r, void *buf, u32 bytes, bool to_buf);

/* @len characters at @text, padded with blanks on either side, into @out of @size bytes: what is printable. */
void disk_text(char *out, size_t size, const u8 *text, size_t len);

#endif
