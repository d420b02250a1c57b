/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/disk_request.h"
#include "lib/string.h"

void disk_fifo_put(struct disk_fifo *fifo, struct block_request *r)
{
	r->next = NULL;
	if (fifo->first)
		fifo->last->next = r;
	else
		fifo->first = r;
	fifo->last = r;
}

void disk_fifo_put_back(struct disk_fifo *fifo, struct block_request *r)
{
	u32 tries = disk_progress(r)->tries;

	*disk_progress(r) = (struct disk_progress){ .tries = tries };
	r->next = fifo->first;
	if (!fifo->first)
		fifo->last = r;
	fifo->first = r;
}

struct block_request *disk_fifo_take(struct disk_fifo *fifo)
{
	struct block_request *r = fifo->first;

	if (r)
		fifo->first = r->next;
	return r;
}

void disk_request_init(struct block_request *r)
{
	*disk_progress(r) = (struct disk_progress){ 0 };
}

void disk_request_end(struct disk_fifo *ended, struct block_request *r, enum block_result result)
{
	disk_progress(r)->result = result;
	disk_fifo_put(ended, r);
}

void disk_fail_all(struct disk_fifo *ended, struct disk_fifo *fifo)
{
	struct block_request *r;

	while ((r = disk_fifo_take(fifo)))
		disk_request_end(ended, r, BLOCK_ERROR);
}

void disk_request_retry(struct disk_fifo *waiting, struct disk_fifo *ended, struct block_request *r,
			bool guilty)
{
	if (guilty || ++disk_progress(r)->tries >= DISK_TRIES)
		disk_request_end(ended, r, BLOCK_ERROR);
	else
		disk_fifo_put_back(waiting, r);
}

void disk_give_back(struct disk_fifo *ended)
{
	struct block_request *r;

	while ((r = disk_fifo_take(ended)))
		r->done(r, (enum block_result)disk_progress(r)->result);
}

/* block_submit has checked that the segments are as long as the sectors. */
void disk_skip(const struct block_request *r, struct disk_cursor *at, u64 bytes)
{
	while (bytes && at->segment < r->segments) {
		u32 here = (u32)MIN((u64)(r->segment[at->segment].len - at->offset), bytes);

		bytes -= here;
		at->offset += here;
		if (at->offset == r->segment[at->segment].len) {
			at->segment++;
			at->offset = 0;
		}
	}
}

bool disk_advance(struct block_request *r, u64 sectors)
{
	struct disk_progress *p = disk_progress(r);
	struct disk_cursor at = disk_cursor(r);

	p->done += MIN(sectors, disk_left(r));
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
		disk_skip(r, &at, sectors * BLOCK_SECTOR);
	p->segment = at.segment;
	p->offset = at.offset;
	return !disk_left(r);
}

u32 disk_run(const struct block_request *r, const struct disk_cursor *at, hpa_t *hpa)
{
	if (at->segment >= r->segments)
		return 0;
	*hpa = r->segment[at->segment].hpa + at->offset;
	return r->segment[at->segment].len - at->offset;
}

void disk_copy(struct block_request *r, void *buf, u32 bytes, bool to_buf)
{
	struct disk_cursor at = disk_cursor(r);
	u8 *b = buf;
	hpa_t hpa = 0;

	for (u32 here; bytes && (here = MIN(disk_run(r, &at, &hpa), bytes));
	     bytes -= here, b += here) {
		if (to_buf)
			memcpy(b, (const void *)(uintptr_t)hpa, here);
		else
			memcpy((void *)(uintptr_t)hpa, b, here);
		disk_skip(r, &at, here);
	}
}

void disk_text(char *out, size_t size, const u8 *text, size_t len)
{
	size_t used = 0;

	while (len && (text[len - 1] == ' ' || !text[len - 1]))
		len--;
	while (len && *text == ' ') {
		text++;
		len--;
	}
	for (; len && *text && used + 1 < size; text++, len--)
		out[used++] = *text > ' ' && *text < 0x7f ? (char)*text : '_';
	out[used] = '\0';
}
