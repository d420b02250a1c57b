/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/ide_private.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"

/* Ports of the bus master, from the base of the channel's. */
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_PRDS = 4 };

#define BM_START          0x01
#define BM_TO_MEMORY      0x08

#define BM_ACTIVE         0x01
#define BM_ERROR          0x02 /* taken back by writing it, as is the next */
#define BM_INTERRUPT      0x04
#define BM_DRIVES         0x60 /* which can do DMA: written as they are */

#define CMD_READ_DMA      0xc8
#define CMD_READ_DMA_EXT  0x25
#define CMD_WRITE_DMA     0xca
#define CMD_WRITE_DMA_EXT 0x35
#define CMD_FLUSH         0xe7
#define CMD_FLUSH_EXT     0xea

#define ERROR_ICRC        0x80 /* the cable's fault */

#define TRANSFER_SECONDS  10
#define FLUSH_SECONDS     30 /* may take that long, says ATA */
#define RESET_SECONDS     10
#define RESET_SETTLES     500 /* of a second */
#define SELECT_READS      16 /* of the status, until a drive that is well has seen that it is meant */
#define COMPLAINTS        10 /* a disk that dies slowly must not fill the log */
#define DMA_END           (1ULL << 32)
#define PRD_BOUNDARY      0x10000u

/* Fields of request->server. */
enum { SERVER_DRIVE, SERVER_RESULT };

static u8 read8(u16 port)
{
	return ide_ports->read8(port);
}

static void write8(u16 port, unsigned int value)
{
	ide_ports->write8(port, (u8)value);
}

static u8 command_read(const struct ide_channel *ch, unsigned int reg)
{
	return read8((u16)(ch->command + reg));
}

static void command_write(const struct ide_channel *ch, unsigned int reg, u64 value)
{
	write8((u16)(ch->command + reg), (unsigned int)(value & 0xff));
}

static struct ide_drive *drive_of(const struct block_request *r)
{
	return (struct ide_drive *)(uintptr_t)r->server[SERVER_DRIVE];
}

static void __format(2, 3) complain(struct ide_drive *drive, const char *fmt, ...)
{
	char text[80];
	va_list args;

	if (drive->complaints == COMPLAINTS)
		return;
	va_start(args, fmt);
	vscnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	drive->complaints++;
	pr_warn("disk: %s: %s%s\n", drive->dev.name, text,
		drive->complaints == COMPLAINTS ? " (no more of this is said)" : "");
}

/* --- memory --- */

static unsigned int add_prds(struct ide_prd *prd, unsigned int n, u64 address, u32 len)
{
	while (len) {
		u32 part = MIN(len, PRD_BOUNDARY - (u32)(address & (PRD_BOUNDARY - 1)));

		prd[n++] = (struct ide_prd){ .address = (u32)address, .bytes = (u16)part };
		address += part;
		len -= part;
	}
	return n;
}

unsigned int ide_build_prds(const struct block_request *r, struct ide_prd *prd)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < r->segments; i++) {
		const struct block_segment *s = &r->segment[i];

		if (s->hpa >= DMA_END || s->len > DMA_END - s->hpa)
			return 0;
		n = add_prds(prd, n, s->hpa, s->len);
	}
	prd[n - 1].flags = IDE_PRD_LAST;
	return n;
}

static void copy_bounce(const struct ide_channel *ch, const struct block_request *r)
{
	u8 *at = ch->bounce;

	for (unsigned int i = 0; i < r->segments; i++) {
		void *data = (void *)(uintptr_t)r->segment[i].hpa;

		if (r->op == BLOCK_READ)
			memcpy(data, at, r->segment[i].len);
		else
			memcpy(at, data, r->segment[i].len);
		at += r->segment[i].len;
	}
}

static bool prepare_memory(struct ide_channel *ch, const struct block_request *r)
{
	unsigned int n;

	ch->bounced = !ide_build_prds(r, ch->prd);
	if (!ch->bounced)
		return true;
	if (!ch->bounce)
		ch->bounce = ch->env->dma_alloc(IDE_SECTORS_48 * BLOCK_SECTOR);
	if (!ch->bounce)
		return false;
	if (r->op == BLOCK_WRITE)
		copy_bounce(ch, r);
	n = add_prds(ch->prd, 0, (uintptr_t)ch->bounce, (u32)(r->sectors * BLOCK_SECTOR));
	ch->prd[n - 1].flags = IDE_PRD_LAST;
	return true;
}

/* --- commands --- */

static void take_back_interrupt(const struct ide_channel *ch)
{
	u16 port = (u16)(ch->master + BM_STATUS);

	write8(port, (read8(port) & BM_DRIVES) | BM_ERROR | BM_INTERRUPT);
}

static void start_master(const struct ide_channel *ch, const struct block_request *r)
{
	unsigned int direction = r->op == BLOCK_READ ? BM_TO_MEMORY : 0;

	write8((u16)(ch->master + BM_COMMAND), direction | BM_START);
}

static void stop_master(const struct ide_channel *ch)
{
	write8((u16)(ch->master + BM_COMMAND), 0);
}

/* Address @drive, and wait a moment for it. False: it is busy, or not there, which the time-out looks into. */
static bool select(const struct ide_channel *ch, const struct ide_drive *drive, unsigned int low)
{
	u8 status = 0;

	command_write(ch, IDE_DEVICE, IDE_DEVICE_FIXED | (drive->index ? IDE_DEVICE_1 : 0) | low);
	for (unsigned int i = 0; i < SELECT_READS; i++)
		status = read8(ch->control);
	return !(status & (IDE_STATUS_BSY | IDE_STATUS_DRQ));
}

static void write_lba48(const struct ide_channel *ch, u64 lba, u64 count)
{
	command_write(ch, IDE_COUNT, count >> 8);
	command_write(ch, IDE_LBA_LOW, lba >> 24);
	command_write(ch, IDE_LBA_MID, lba >> 32);
	command_write(ch, IDE_LBA_HIGH, lba >> 40);
}

static void transfer(struct ide_channel *ch, const struct ide_drive *drive,
		     const struct block_request *r)
{
	u64 unit = drive->dev.block_size / BLOCK_SECTOR;
	u64 lba = r->sector / unit, count = r->sectors / unit;
	bool read = r->op == BLOCK_READ;
	unsigned int top = drive->lba48 ? 0 : (unsigned int)(lba >> 24 & 0xf);

	stop_master(ch);
	take_back_interrupt(ch);
	ide_ports->write32((u16)(ch->master + BM_PRDS), (u32)(uintptr_t)ch->prd);
	write8((u16)(ch->master + BM_COMMAND), read ? BM_TO_MEMORY : 0);
	if (!select(ch, drive, IDE_DEVICE_LBA | top))
		return;
	if (drive->lba48)
		write_lba48(ch, lba, count);
	command_write(ch, IDE_COUNT, count); /* 256 are 0 */
	command_write(ch, IDE_LBA_LOW, lba);
	command_write(ch, IDE_LBA_MID, lba >> 8);
	command_write(ch, IDE_LBA_HIGH, lba >> 16);
	if (drive->lba48)
		command_write(ch, IDE_STATUS, read ? CMD_READ_DMA_EXT : CMD_WRITE_DMA_EXT);
	else
		command_write(ch, IDE_STATUS, read ? CMD_READ_DMA : CMD_WRITE_DMA);
	start_master(ch, r);
}

static void flush(struct ide_channel *ch, const struct ide_drive *drive)
{
	take_back_interrupt(ch);
	if (select(ch, drive, 0))
		command_write(ch, IDE_STATUS, drive->flush_ext ? CMD_FLUSH_EXT : CMD_FLUSH);
}

/* --- the list --- */

/* Requests that have ended, and are to be given back once the lock is released. */
struct ended {
	struct block_request *first, *last;
};

static void append(struct block_request **first, struct block_request **last,
		   struct block_request *r)
{
	r->next = NULL;
	if (*first)
		(*last)->next = r;
	else
		*first = r;
	*last = r;
}

static void end_first(struct ide_channel *ch, struct ended *ended, enum block_result result)
{
	struct block_request *r = ch->first;

	ch->first = r->next;
	ch->state = IDE_IDLE;
	r->server[SERVER_RESULT] = result;
	append(&ended->first, &ended->last, r);
}

static void give_back(struct ended *ended)
{
	struct block_request *r = ended->first;

	while (r) {
		struct block_request *next = r->next;

		r->done(r, (enum block_result)r->server[SERVER_RESULT]);
		r = next;
	}
}

static void start(struct ide_channel *ch)
{
	const struct block_request *r = ch->first;
	const struct ide_drive *drive = drive_of(r);
	unsigned int seconds = r->op == BLOCK_FLUSH ? FLUSH_SECONDS : TRANSFER_SECONDS;

	ch->state = IDE_RUNNING;
	ch->deadline = ch->env->now() + seconds * ch->env->tsc_hz;
	if (r->op == BLOCK_FLUSH)
		flush(ch, drive);
	else
		transfer(ch, drive, r);
}

/* Start the first request that can be, if nothing is going on. */
static void go_on(struct ide_channel *ch, struct ended *ended)
{
	while (ch->state == IDE_IDLE && ch->first) {
		const struct block_request *r = ch->first;

		ch->retried = false;
		if (drive_of(r)->gone || (r->op != BLOCK_FLUSH && !prepare_memory(ch, r)))
			end_first(ch, ended, BLOCK_ERROR);
		else
			start(ch);
	}
}

/* --- the end of a command --- */

static void start_reset(struct ide_channel *ch)
{
	stop_master(ch);
	ch->state = IDE_RESETTING;
	ch->deadline = ch->env->now() + RESET_SECONDS * ch->env->tsc_hz;
	write8(ch->control, IDE_CONTROL_SRST);
	/* At least 5 us; a read of the port takes one on a real machine. */
	for (unsigned int i = 0; i < SELECT_READS; i++)
		read8(ch->control);
	write8(ch->control, 0);
}

/* The first request did not come to an end as it should: once more, from a reset; not twice. */
static void fail(struct ide_channel *ch, const char *why)
{
	struct ide_drive *drive = drive_of(ch->first);

	complain(drive, "%s at sector %llu: %s", why, (unsigned long long)ch->first->sector,
		 ch->retried ? "given up" : "tried again");
	start_reset(ch);
}

/* The drive has ended its command, with @status. */
static void complete(struct ide_channel *ch, u8 master, struct ended *ended)
{
	struct block_request *r = ch->first;
	u8 status = command_read(ch, IDE_STATUS), error = 0;

	take_back_interrupt(ch);
	stop_master(ch);
	if (status & (IDE_STATUS_ERR | IDE_STATUS_DF))
		error = command_read(ch, IDE_ERROR);
	if (error & ERROR_ICRC || (master & BM_ERROR) || (status & IDE_STATUS_DRQ)) {
		fail(ch, "bad transfer");
		return;
	}
	if (status & (IDE_STATUS_ERR | IDE_STATUS_DF)) {
		complain(drive_of(r), "%s error 0x%02x, status 0x%02x, at sector %llu",
			 r->op == BLOCK_READ ? "read" : "write", error, status,
			 (unsigned long long)r->sector);
		end_first(ch, ended, BLOCK_ERROR);
		return;
	}
	if (r->op == BLOCK_READ && ch->bounced)
		copy_bounce(ch, r);
	end_first(ch, ended, BLOCK_OK);
}

static void look(struct ide_channel *ch, struct ended *ended)
{
	u8 master = read8((u16)(ch->master + BM_STATUS));

	if (!(master & BM_INTERRUPT))
		return;
	if (ch->state != IDE_RUNNING) {
		command_read(ch, IDE_STATUS);
		take_back_interrupt(ch);
		return;
	}
	if (!(read8(ch->control) & IDE_STATUS_BSY))
		complete(ch, master, ended);
}

void ide_channel_irq(void *channel)
{
	struct ide_channel *ch = channel;
	struct ended ended = { NULL, NULL };

	spin_lock(&ch->lock);
	look(ch, &ended);
	go_on(ch, &ended);
	spin_unlock(&ch->lock);
	give_back(&ended);
}

/* --- time-outs --- */

/* Everything that waits for @ch: who waits behind a drive that hangs has waited for long enough. */
static void end_all(struct ide_channel *ch, struct ended *ended)
{
	while (ch->first)
		end_first(ch, ended, BLOCK_ERROR);
	ch->state = IDE_IDLE;
}

static void mark_gone(struct ide_drive *drive)
{
	if (!drive->dev.ops || drive->gone)
		return;
	drive->gone = true;
	pr_err("disk: %s: it does not answer any more\n", drive->dev.name);
}

/* Both drives are ready again, or it is too late for that. */
static void end_reset(struct ide_channel *ch, bool ready, struct ended *ended)
{
	struct ide_drive *drive = ch->first ? drive_of(ch->first) : &ch->drive[0];

	ch->state = IDE_IDLE;
	if (!ready) {
		mark_gone(&ch->drive[0]);
		mark_gone(&ch->drive[1]);
		end_all(ch, ended);
		return;
	}
	take_back_interrupt(ch);
	/* It may be one drive that is gone: then nothing drives the bus for it. */
	if (!select(ch, drive, 0) || !command_read(ch, IDE_STATUS) ||
	    command_read(ch, IDE_STATUS) == IDE_ABSENT)
		mark_gone(drive);
	if (!ch->first)
		return;
	if (ch->retried) {
		end_all(ch, ended);
		return;
	}
	ch->retried = true;
	if (drive->gone)
		end_first(ch, ended, BLOCK_ERROR);
	else
		start(ch);
}

static void check_time(struct ide_channel *ch, struct ended *ended)
{
	bool late = ch->env->now() >= ch->deadline;

	if (ch->state == IDE_RUNNING && late) {
		fail(ch, "time-out");
	} else if (ch->state == IDE_RESETTING) {
		/* A drive may need a moment to say that it is busy. */
		u64 began = ch->deadline - RESET_SECONDS * ch->env->tsc_hz;
		bool ready = ch->env->now() - began >= ch->env->tsc_hz / RESET_SETTLES &&
			     !(read8(ch->control) & IDE_STATUS_BSY);

		if (ready || late)
			end_reset(ch, ready, ended);
	}
}

static void poll(void *ctx)
{
	struct ide_channel *ch = ((struct ide_drive *)ctx)->channel;
	struct ended ended = { NULL, NULL };

	spin_lock(&ch->lock);
	look(ch, &ended);
	check_time(ch, &ended);
	go_on(ch, &ended);
	spin_unlock(&ch->lock);
	give_back(&ended);
}

static enum block_result submit(void *ctx, struct block_request *r)
{
	struct ide_drive *drive = ctx;
	struct ide_channel *ch = drive->channel;
	struct ended ended = { NULL, NULL };
	enum block_result result = BLOCK_PENDING;

	if (r->op != BLOCK_READ && r->op != BLOCK_WRITE && r->op != BLOCK_FLUSH)
		return BLOCK_UNSUPPORTED;
	spin_lock(&ch->lock);
	if (drive->gone) {
		result = BLOCK_ERROR;
	} else {
		r->server[SERVER_DRIVE] = (uintptr_t)drive;
		append(&ch->first, &ch->last, r);
		go_on(ch, &ended);
		/* It may have ended at once, and it alone: nothing was going on before. */
		if (ended.first)
			result = BLOCK_ERROR;
	}
	spin_unlock(&ch->lock);
	return result;
}

static bool busy(void *ctx)
{
	struct ide_channel *ch = ((struct ide_drive *)ctx)->channel;
	bool is;

	spin_lock(&ch->lock);
	is = ch->first;
	spin_unlock(&ch->lock);
	return is;
}

const struct block_ops ide_block_ops = { .submit = submit, .poll = poll, .busy = busy };
