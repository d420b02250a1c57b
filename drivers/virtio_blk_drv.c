/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/disk_request.h"
#include "drivers/pci.h"
#include "drivers/virtio_blk_drv.h"
#include "drivers/virtio_drv.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "lib/x86.h"

#define SLOTS      32u /* requests under way at once, at most */
#define MAX_RESETS 3u  /* in a row, without a request that went well in between */
#define COMPLAINTS 16u /* of one disk: a guest can make it fail without end */

/* "Block Device": feature bits, the configuration's fields, requests. */
#define F_SEG_MAX      2
#define F_RO           5
#define F_BLK_SIZE     6
#define F_FLUSH        9
#define F_TOPOLOGY     10
#define F_DISCARD      13
#define F_WRITE_ZEROES 14

#define FEATURES                                                                         \
	(BIT(F_SEG_MAX) | BIT(F_RO) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) | BIT(F_TOPOLOGY) | \
	 BIT(F_DISCARD) | BIT(F_WRITE_ZEROES))

#define CONFIG_CAPACITY    0
#define CONFIG_SEG_MAX     12
#define CONFIG_BLK_SIZE    20
#define CONFIG_PHYSICAL    24 /* log2 of blocks */
#define CONFIG_DISCARD_MAX 36
#define CONFIG_ZEROES_MAX  48

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, S_NONE = 0xff /* not yet written */ };

#define ZEROES_UNMAP 1

/* What the device reads and writes of a request, beside its data. */
struct frame {
	struct {
		u32 type, reserved;
		u64 sector;
	} header;
	struct {
		u64 sector;
		u32 sectors, flags;
	} range; /* of T_DISCARD and T_WRITE_ZEROES */
	char id[BLOCK_SERIAL_LEN];
	u8 status;
	u8 padding[11];
};

_Static_assert(offsetof(struct frame, range) == 16 && offsetof(struct frame, id) == 32 &&
		       sizeof(struct frame) == 64,
	       "a request's header and range have 16 bytes each");

enum state { RESETTING, RUNNING, DEAD };

struct slot {
	struct block_request *request; /* NULL: none */
	struct frame *frame;
	u64 deadline, sectors;
	bool guilty;
};

struct virtio_blk {
	struct spinlock lock;
	struct vdrv v;
	struct vdrv_queue queue;
	enum state state;
	unsigned int resets, complaints;
	u64 deadline; /* of RESETTING */
	struct slot slot[SLOTS];
	struct disk_fifo waiting;
	unsigned int seg_max;
	u64 discard_max, zeroes_max; /* sectors of one request */
	struct block_device dev;
};

static unsigned int disks;

static u64 after(const struct virtio_blk *b, u64 ms)
{
	return b->v.env->now() + ms * b->v.env->tsc_hz / 1000;
}

static void die(struct virtio_blk *b, struct disk_fifo *ended, const char *why)
{
	pr_err("%s: %s: the disk is off\n", b->dev.name, why);
	b->state = DEAD;
	/* No more DMA, whatever the device thinks. */
	pci_write16(b->v.pci, 0x04, (u16)(pci_read16(b->v.pci, 0x04) & ~0x04));
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (b->slot[i].request)
			disk_request_end(ended, b->slot[i].request, BLOCK_ERROR);
		b->slot[i].request = NULL;
	}
	disk_fail_all(ended, &b->waiting);
}

static void reset(struct virtio_blk *b, struct disk_fifo *ended, const char *why)
{
	if (++b->resets > MAX_RESETS) {
		die(b, ended, why);
		return;
	}
	pr_warn("%s: %s: reset\n", b->dev.name, why);
	vdrv_reset(&b->v);
	b->state = RESETTING;
	b->deadline = after(b, VDRV_RESET_MS);
}

/* After a reset: nothing of ours is under way any more. */
static bool set_up(struct virtio_blk *b)
{
	if (!vdrv_negotiate(&b->v, FEATURES) || !vdrv_queue_start(&b->v, &b->queue, VDRV_QUEUE_MAX))
		return false;
	/* The longest chain fits, also after a reset: or what waits would wait for ever. */
	if (b->queue.size < b->seg_max + 2)
		return false;
	vdrv_go(&b->v);
	return true;
}

static void step_resetting(struct virtio_blk *b, struct disk_fifo *ended)
{
	if (!vdrv_is_reset(&b->v)) {
		if (b->v.env->now() >= b->deadline)
			die(b, ended, "it cannot be reset");
		return;
	}
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct slot *s = &b->slot[i];

		if (s->request)
			disk_request_retry(&b->waiting, ended, s->request, s->guilty);
		s->request = NULL;
		s->guilty = false;
	}
	if (set_up(b))
		b->state = RUNNING;
	else
		die(b, ended, "it cannot be set up");
}

/* --- requests --- */

/* The next part of READ or WRITE: as many segments as the device takes, and whole blocks. Returns bytes. */
static u32 add_data(const struct virtio_blk *b, struct block_request *r, struct vdrv_buffer *buffer,
		    unsigned int *count)
{
	struct disk_cursor at = disk_cursor(r);
	unsigned int n = 0;
	u32 total = 0, here, excess;
	hpa_t hpa = 0;

	while (n < b->seg_max && (here = disk_run(r, &at, &hpa))) {
		buffer[n++] = (struct vdrv_buffer){ hpa, here, r->op == BLOCK_READ };
		disk_skip(r, &at, here);
		total += here;
	}
	excess = total % b->dev.block_size;
	total -= excess;
	while (n && excess >= buffer[n - 1].len)
		excess -= buffer[--n].len;
	if (n)
		buffer[n - 1].len -= excess;
	*count = n;
	return total;
}

static u64 add_range(const struct virtio_blk *b, struct block_request *r, struct frame *f)
{
	u64 max = r->op == BLOCK_DISCARD ? b->discard_max : b->zeroes_max;
	u64 sectors = MIN(disk_left(r), max);

	f->range.sector = r->sector + disk_progress(r)->done;
	f->range.sectors = (u32)sectors;
	f->range.flags = r->op == BLOCK_WRITE_ZEROES && r->unmap ? ZEROES_UNMAP : 0;
	return sectors;
}

/* False: the ring has no room for it now. */
static bool start_request(struct virtio_blk *b, struct slot *s, struct block_request *r)
{
	static const u32 type[] = { [BLOCK_READ] = T_IN,
				    [BLOCK_WRITE] = T_OUT,
				    [BLOCK_FLUSH] = T_FLUSH,
				    [BLOCK_DISCARD] = T_DISCARD,
				    [BLOCK_WRITE_ZEROES] = T_WRITE_ZEROES };
	struct vdrv_buffer buffer[BLOCK_SEGMENTS + 2];
	struct frame *f = s->frame;
	unsigned int count = 0;

	f->header.type = type[r->op];
	f->header.sector = 0;
	f->status = S_NONE;
	buffer[0] = (struct vdrv_buffer){ (hpa_t)(uintptr_t)&f->header, sizeof(f->header), false };
	s->sectors = 0;
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE) {
		f->header.sector = r->sector + disk_progress(r)->done;
		s->sectors = add_data(b, r, buffer + 1, &count) / BLOCK_SECTOR;
	} else if (r->op != BLOCK_FLUSH) {
		s->sectors = add_range(b, r, f);
		buffer[1] = (struct vdrv_buffer){ (hpa_t)(uintptr_t)&f->range, sizeof(f->range),
						  false };
		count = 1;
	}
	buffer[count + 1] = (struct vdrv_buffer){ (hpa_t)(uintptr_t)&f->status, 1, true };
	if (!vdrv_add(&b->queue, buffer, count + 2, s))
		return false;
	s->request = r;
	s->deadline = after(b, DISK_TIMEOUT_SECONDS * 1000);
	return true;
}

static void start_waiting(struct virtio_blk *b)
{
	bool added = false;

	for (unsigned int i = 0; i < SLOTS && b->waiting.first; i++) {
		if (b->slot[i].request)
			continue;
		if (!start_request(b, &b->slot[i], b->waiting.first))
			break;
		(void)disk_fifo_take(&b->waiting);
		added = true;
	}
	if (added)
		vdrv_notify(&b->queue);
}

static void completed(struct virtio_blk *b, struct slot *s, struct disk_fifo *ended)
{
	struct block_request *r = s->request;
	u8 status = s->frame->status;

	s->request = NULL;
	if (status == S_OK) {
		b->resets = 0;
		if (disk_advance(r, s->sectors)) {
			disk_request_end(ended, r, BLOCK_OK);
		} else { /* the rest of it: before all others, from where it is */
			r->next = b->waiting.first;
			if (!b->waiting.first)
				b->waiting.last = r;
			b->waiting.first = r;
		}
		return;
	}
	if (b->complaints < COMPLAINTS) {
		b->complaints++;
		pr_warn("%s: operation %u at sector %llu: status %u\n", b->dev.name, r->op,
			(unsigned long long)(r->sector + disk_progress(r)->done), status);
	}
	disk_request_end(ended, r, status == S_UNSUPP ? BLOCK_UNSUPPORTED : BLOCK_ERROR);
}

static void check_health(struct virtio_blk *b, struct disk_fifo *ended)
{
	u8 status = vdrv_status(&b->v);
	u64 now = b->v.env->now();
	bool late = false;

	if (status == VDRV_STATUS_GONE) {
		die(b, ended, "it is gone");
		return;
	}
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct slot *s = &b->slot[i];

		s->guilty = s->request && now >= s->deadline;
		late |= s->guilty;
	}
	if (late || status & VDRV_STATUS_NEEDS)
		reset(b, ended, late ? "a request has taken too long" : "it asks for it");
}

static void step_running(struct virtio_blk *b, bool look_closely, struct disk_fifo *ended)
{
	struct slot *s;
	u32 len;

	for (unsigned int i = 0; i < SLOTS && (s = vdrv_take(&b->queue, &len)); i++)
		completed(b, s, ended);
	if (b->queue.broken)
		reset(b, ended, "its answers make no sense");
	else if (look_closely)
		check_health(b, ended);
}

static void service(struct virtio_blk *b, bool look_closely)
{
	struct disk_fifo ended = { 0 };

	spin_lock(&b->lock);
	if (b->state == RUNNING)
		step_running(b, look_closely, &ended);
	else if (b->state == RESETTING)
		step_resetting(b, &ended);
	if (b->state == RUNNING)
		start_waiting(b);
	spin_unlock(&b->lock);
	disk_give_back(&ended);
}

static void virtio_blk_irq(void *arg)
{
	struct virtio_blk *b = arg;

	vdrv_ack(&b->v);
	service(b, false);
}

static void virtio_blk_poll(void *ctx)
{
	service(ctx, true);
}

static enum block_result virtio_blk_submit(void *ctx, struct block_request *r)
{
	struct virtio_blk *b = ctx;
	bool dead;

	disk_request_init(r);
	spin_lock(&b->lock);
	dead = b->state == DEAD;
	if (!dead)
		disk_fifo_put(&b->waiting, r);
	if (b->state == RUNNING)
		start_waiting(b);
	spin_unlock(&b->lock);
	return dead ? BLOCK_ERROR : BLOCK_PENDING;
}

/* --- the beginning --- */

static const struct block_ops virtio_blk_ops = { .submit = virtio_blk_submit,
						 .poll = virtio_blk_poll };

/* The disk's serial number, which is a request: asked for before there are others, for a second at most. */
static bool read_serial(struct virtio_blk *b)
{
	struct slot *s = &b->slot[0];
	struct frame *f = s->frame;
	const struct vdrv_buffer buffer[] = {
		{ (hpa_t)(uintptr_t)&f->header, sizeof(f->header), false },
		{ (hpa_t)(uintptr_t)f->id, sizeof(f->id), true },
		{ (hpa_t)(uintptr_t)&f->status, 1, true },
	};
	u64 deadline = after(b, 1000);
	u32 len;

	f->header.type = T_GET_ID;
	f->status = S_NONE;
	if (!vdrv_add(&b->queue, buffer, ARRAY_SIZE(buffer), s))
		return false;
	vdrv_notify(&b->queue);
	while (!vdrv_take(&b->queue, &len)) {
		if (b->queue.broken || b->v.env->now() >= deadline)
			return false;
		cpu_pause();
	}
	if (f->status == S_OK)
		disk_text(b->dev.serial, sizeof(b->dev.serial), (const u8 *)f->id, sizeof(f->id));
	return true;
}

static bool feature(const struct virtio_blk *b, unsigned int bit)
{
	return b->v.features & BIT(bit);
}

static const char *read_config(struct virtio_blk *b)
{
	struct block_device *d = &b->dev;
	u8 physical = (u8)vdrv_config(&b->v, CONFIG_PHYSICAL, 1);
	u64 segments = vdrv_config(&b->v, CONFIG_SEG_MAX, 4);

	d->sectors = vdrv_config(&b->v, CONFIG_CAPACITY, 8);
	d->block_size =
		feature(b, F_BLK_SIZE) ? (u32)vdrv_config(&b->v, CONFIG_BLK_SIZE, 4) : BLOCK_SECTOR;
	if (d->block_size < 512 || d->block_size > 4096 || d->block_size & (d->block_size - 1))
		return "blocks of a size that is not 512 to 4096 bytes";
	d->sectors = ALIGN_DOWN(d->sectors, (u64)(d->block_size / BLOCK_SECTOR));
	if (!d->sectors || d->sectors >> 54)
		return "it has no size";
	d->physical_block_size = d->block_size;
	if (feature(b, F_TOPOLOGY) && physical <= 8)
		d->physical_block_size = d->block_size << physical;
	d->max_sectors = BLOCK_MAX_SECTORS;
	d->read_only = feature(b, F_RO);
	d->write_cache = feature(b, F_FLUSH);
	b->seg_max = BLOCK_SEGMENTS;
	if (feature(b, F_SEG_MAX))
		b->seg_max = (unsigned int)MIN(segments, (u64)b->seg_max);
	/* A chain has to fit, and a block of the smallest segments. */
	b->seg_max = MIN(b->seg_max, b->queue.size - 2);
	if (b->queue.size < 4 || b->seg_max * BLOCK_SECTOR < d->block_size)
		return "its queue is too small";
	b->discard_max = vdrv_config(&b->v, CONFIG_DISCARD_MAX, 4);
	b->zeroes_max = vdrv_config(&b->v, CONFIG_ZEROES_MAX, 4);
	b->discard_max = ALIGN_DOWN(b->discard_max, (u64)(d->block_size / BLOCK_SECTOR));
	b->zeroes_max = ALIGN_DOWN(b->zeroes_max, (u64)(d->block_size / BLOCK_SECTOR));
	d->can_discard = feature(b, F_DISCARD) && b->discard_max;
	d->can_write_zeroes = feature(b, F_WRITE_ZEROES) && b->zeroes_max;
	return NULL;
}

static int bring_up(struct virtio_blk *b)
{
	const char *wrong = NULL;

	vdrv_reset(&b->v);
	b->state = RESETTING;
	b->deadline = after(b, VDRV_RESET_MS);
	while (b->state == RESETTING) {
		service(b, false);
		cpu_pause();
	}
	if (b->state == RUNNING)
		wrong = read_config(b);
	if (wrong) {
		pr_err("%s: %s: not used\n", b->dev.name, wrong);
		vdrv_reset(&b->v);
		b->state = DEAD;
	}
	return b->state == RUNNING ? 0 : -ENODEV;
}

int virtio_blk_probe(const struct pci_device *pci, const struct hostdev_env *env)
{
	struct virtio_blk *b = env->dma_alloc(sizeof(*b));
	struct frame *frame = env->dma_alloc(SLOTS * sizeof(*frame));
	int err;

	if (!b || !frame)
		return -ENOMEM;
	for (unsigned int i = 0; i < SLOTS; i++)
		b->slot[i].frame = &frame[i];
	b->state = DEAD; /* interrupts find nothing to do until it is up */
	b->dev.ops = &virtio_blk_ops;
	b->dev.ctx = b;
	scnprintf(b->dev.name, sizeof(b->dev.name), "virtio%u", disks++);
	err = vdrv_find(&b->v, env, pci, virtio_blk_irq, b);
	if (!err)
		err = vdrv_queue_alloc(&b->v, &b->queue, 0);
	if (!err)
		err = bring_up(b);
	if (!err && !read_serial(b)) /* what it has of ours then has to be taken back */
		err = bring_up(b);
	if (err)
		return err;
	pr_info("%s: %s, %llu MiB, blocks of %u bytes%s%s\n", b->dev.name,
		b->dev.serial[0] ? b->dev.serial : "no serial number",
		(unsigned long long)(b->dev.sectors >> 11), b->dev.block_size,
		b->dev.write_cache ? ", write cache" : "", b->dev.read_only ? ", read-only" : "");
	env->add_disk(&b->dev);
	return 0;
}
