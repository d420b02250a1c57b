/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as guest memory, as what a driver does to a virtio disk over PCI, and as when and how its disk
 * answers: no access out of bounds, no loop without end, no request that is lost, or that the disk must
 * not get, and no use of guest memory after a reset has ended.
 *
 * The input is a script of 8-byte steps: where (a BAR, memory, the disk), offset, value. The rings lie in the
 * first pages of RAM, so that random writes hit them.
 */
#include "tests/fuzz/virtio_rig.h"
#include "virtio/virtio_blk.h"

#define RAM_SIZE 0x8000
#define IMAGE    0x1000 /* of the input at its start */
#define SECTORS  64
#define QUEUES   2

static const struct layout layout = { QUEUES, 16, 0, 0x400, 0x100, 0x200 };
static u64 work;
static struct virtio_blk blk;
static struct virtio_pci vp;

/* --- the disk --- */

static struct {
	struct block_device dev;
	u8 data[SECTORS * BLOCK_SECTOR];
	struct block_request *pending[VIRTIO_BLK_REQUESTS];
	unsigned int count;
	bool at_once;
} disk;

static void perform(const struct block_request *r)
{
	u8 *at = disk.data + r->sector * BLOCK_SECTOR;

	work += r->sectors + 1;
	for (unsigned int i = 0; i < r->segments; i++) {
		void *guest = (void *)(uintptr_t)r->segment[i].hpa;

		memcpy(r->op == BLOCK_READ ? guest : at, r->op == BLOCK_READ ? at : guest,
		       r->segment[i].len);
		at += r->segment[i].len;
	}
}

/* block_submit has checked it: what virtio_blk may ask and does not is told by what it never returns here. */
static enum block_result on_submit(void *ctx, struct block_request *r)
{
	(void)ctx;
	require(r->sector + r->sectors <= SECTORS);
	require(r->op == BLOCK_FLUSH || r->sectors);
	if (disk.at_once) {
		perform(r);
		return BLOCK_OK;
	}
	require(disk.count < VIRTIO_BLK_REQUESTS);
	disk.pending[disk.count++] = r;
	return BLOCK_PENDING;
}

static const struct block_ops ops = { .submit = on_submit };
static bool told;

static void on_completed(void *ctx)
{
	(void)ctx;
	told = true;
}

static void give_back(u32 value)
{
	struct block_request *r;
	unsigned int i;

	if (!disk.count)
		return;
	i = value % disk.count;
	r = disk.pending[i];
	disk.pending[i] = disk.pending[--disk.count];
	perform(r);
	r->done(r, value & 0x10000 ? BLOCK_ERROR : BLOCK_OK);
}

static void see_to(void)
{
	if (told)
		virtio_blk_done(&blk);
	told = false;
}

/* What a step may cost is bounded: the burst of a call and one piece more; 16 of them for alarms, for each queue. */
#define WORK_MAX (16 * QUEUES * (2048 + 4096))

/* As the driver reads it: whether the function is a bus master is not in it. */
static u8 status_seen(void)
{
	return (u8)blk.dev.status;
}

static void check(void)
{
	unsigned int lists = 0;

	require(work < WORK_MAX);
	require(blk.in_flight >= disk.count);
	require(status_seen() || !disk.count);
	for (const struct blk_request *r = blk.free; r; r = r->next)
		lists++;
	for (const struct blk_request *r = blk.ready.first; r; r = r->next)
		lists++;
	for (const struct blk_request *r = blk.bounce_waiters.first; r; r = r->next)
		lists++;
	require(lists + blk.in_flight == VIRTIO_BLK_REQUESTS);
}

/* --- the driver --- */

/* A sound request, of which later steps may change any byte: header at 0x800 + 16 * n. */
static void make_request(const struct step *s)
{
	static const u32 types[] = { VIRTIO_BLK_T_IN,           VIRTIO_BLK_T_OUT,
				     VIRTIO_BLK_T_FLUSH,        VIRTIO_BLK_T_DISCARD,
				     VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_GET_ID };
	unsigned int n = s->size % 4, q = s->size >> 2 & 1;
	gpa_t ring = 0x400u * q;
	u32 type = types[s->value % 6], len = s->value >> 8 & 0x3fff;
	struct virtio_blk_header header = { type, 0, s->value >> 24 & 63 };
	u16 w = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID ? VIRTQ_DESC_WRITE : 0;
	struct virtq_desc d[3] = { { 0x800 + 16 * n, 16, VIRTQ_DESC_NEXT, (u16)(3 * n + 1) },
				   { s->off & 0x7fff, s->size & 8 ? len & ~511u : len,
				     VIRTQ_DESC_NEXT | w, (u16)(3 * n + 2) },
				   { 0x900 + n, 1, VIRTQ_DESC_WRITE, 0 } };
	u16 idx, head = (u16)(3 * n);

	(void)!guest_write(&mem, 0x800 + 16 * n, &header, sizeof(header));
	(void)!guest_write(&mem, ring + 16 * head, d, sizeof(d));
	if (!guest_read(&mem, ring + 0x102, &idx, 2))
		return;
	(void)!guest_write(&mem, ring + 0x104 + 2 * (idx % 16), &head, 2);
	idx++;
	(void)!guest_write(&mem, ring + 0x102, &idx, 2);
	kick(&vp, q);
}

static void do_step(const struct step *s)
{
	u8 size = (u8)(1 << s->size % 4), byte = (u8)s->value;
	u32 value = s->value;

	work = 0;
	switch (s->where % 16) {
	case 0: write_register(&vp, s->off & 0xfff, size, value); break;
	case 1: write_register(&vp, s->off & 0x3f, size, value); break;
	case 2: (void)virtio_pci_register_mmio.read(&vp, s->off & 0xfff, size); break;
	case 3: virtio_pci_msix_mmio.write(&vp, s->off & 0xfff, size, value); break;
	case 4: bring_up(&vp, value, &layout); break;
	case 5: virtio_pci_config_write(&vp, (u8)s->off & 0xfc, 4, value); break;
	case 6: disk.at_once = value & 1; break;
	case 7: kick(&vp, value & 1); break;
	case 8: give_back(value); break;
	case 9: see_to(); break;
	case 10:
		give_back(value);
		see_to();
		break;
	case 11: pass(TSC_HZ / 20); break;
	case 12:
	case 13: make_request(s); break;
	default:
		if (s->size & 4)
			(void)!guest_write(&mem, s->off & 0xfff, &value, 4);
		else
			(void)!guest_write(&mem, s->off & 0xfff, &byte, 1);
		break;
	}
	check();
}

static void make_disk(u8 kind)
{
	disk.count = 0;
	disk.at_once = kind & 1;
	disk.dev = (struct block_device){
		.ops = &ops,
		.sectors = SECTORS,
		.block_size = kind & 2 ? 4096 : 512,
		.physical_block_size = 4096,
		.max_sectors = kind & 4 ? 8 : 2048,
		.read_only = kind & 8,
		.write_cache = kind & 16,
		.can_discard = kind & 32,
		.can_write_zeroes = kind & 64,
	};
}

/* Its VM ends: everything comes back, and nothing has got lost. */
static void end(void)
{
	virtio_reset(&blk.dev);
	while (disk.count) {
		require(virtio_blk_busy(&blk));
		give_back(0);
		see_to();
	}
	see_to();
	require(!virtio_blk_busy(&blk) && !status_seen());
	work = 0;
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct virtio_blk_ops blk_ops = { on_completed };
	u8 *ram = machine_start(RAM_SIZE, 0);
	struct step step;

	told = false;
	make_disk(size ? data[0] : 0);
	virtio_blk_init(&blk, &host, &disk.dev, QUEUES, &blk_ops, NULL);
	virtio_pci_init(&vp, &blk.dev);
	if (size > 1) {
		work = 0;
		bring_up(&vp, data[1] & 1 ? ~0u : 0, &layout);
		data += 2, size -= 2;
	}
	/* First an image of the rings, then what is done. */
	if (size > 2 * IMAGE) {
		memcpy(ram, data, IMAGE);
		data += IMAGE, size -= IMAGE;
	}
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		do_step(&step);
	}
	end();
	free(ram);
	return 0;
}
