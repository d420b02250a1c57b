/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtio disks over PCI, as a driver other than Linux's might use them: requests in every form, on every
 * queue, told by port and by memory; and rings that no driver may make, or that another CPU changes under
 * the VMM's eyes. Two disks: of 8 MiB, and a read-only one of 1 MiB; both begin with zeroes.
 */
#include "smp.h"
#include "virtio.h"
#include "lib/string.h"
#include "virtio/blk_request.h"

enum {
	OK = VIRTIO_BLK_S_OK,
	IOERR = VIRTIO_BLK_S_IOERR,
	UNSUPP = VIRTIO_BLK_S_UNSUPP,
	NOTHING = 0xee
};

#define DISK        2 /* its slot */
#define DISK_RO     3
#define DISK_SIZE   MIB(8)

#define F_RO        BIT(5)
#define F_FLUSH     BIT(9)
#define F_MQ        BIT(12)
#define F_DISCARD   BIT(13)
#define F_ZEROES    BIT(14)
#define F_INDIRECT  BIT(28)
#define F_EVENT_IDX BIT(29)

/* --- a driver, of the disk at hand --- */

static struct vio dev;

#define STATUS   VIO_STATUS(&dev)
#define C32(off) (*(volatile u32 *)(dev.config + (off)))

#define SIZE     16
#define QUEUES   2

static struct ring VIO_RING(SIZE) rings[QUEUES];

static _Alignas(4096) u8 data[0x10000], other[0x10000];
static struct virtio_blk_header header;
static volatile u8 status;
static u16 first; /* descriptor of the next chain; wraps by itself */
static unsigned int queues;

static volatile u16 *used_idx(unsigned int q)
{
	return &rings[q].used.idx;
}

static void bring_up(u64 features)
{
	memset(rings, 0, sizeof(rings));
	vio_begin(&dev, features & vio_offered(&dev));
	queues = MIN(VIO_QUEUES(&dev), QUEUES);
	for (u16 q = 0; q < queues; q++)
		VIO_QUEUE(&dev, q, &rings[q]);
	VIO_CONFIG_MSIX(&dev) = 3;
	vio_live(&dev);
	first = 0;
}

struct piece {
	const volatile void *at;
	u32 len;
	u16 flags;
};

#define IN VIRTQ_DESC_WRITE

static void add(unsigned int q, const struct piece *p, unsigned int n)
{
	u16 head = first % SIZE;

	status = NOTHING;
	for (unsigned int i = 0; i < n; i++, first++)
		rings[q].desc[first % SIZE] =
			(struct virtq_desc){ (u64)(uintptr_t)p[i].at, p[i].len,
					     (u16)(p[i].flags | (i + 1 < n ? VIRTQ_DESC_NEXT : 0)),
					     (u16)((first + 1) % SIZE) };
	VIO_MAKE_AVAILABLE(&rings[q], head);
}

/* Until the request is done: a RAM disk answers at once, but not more than so much in one go. */
static u8 wait(unsigned int q)
{
	u64 end = rdtsc() + microseconds(1000000);

	while (*used_idx(q) != rings[q].avail.idx && rdtsc() < end)
		cpu_pause();
	return *used_idx(q) == rings[q].avail.idx ? status : NOTHING;
}

/* A request as Linux makes it, on queue @q; its status. */
static u8 request(unsigned int q, u32 type, u64 sector, void *at, u32 len)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct piece p[] = { { &header, 16, 0 }, { at, len, in ? IN : 0 }, { &status, 1, IN } };

	header = (struct virtio_blk_header){ type, 0, sector };
	if (!len)
		p[1] = p[2];
	add(q, p, len ? 3 : 2);
	vio_kick(&dev, q);
	return wait(q);
}

static void fill(u8 *at, u32 len, u32 seed)
{
	for (u32 i = 0; i < len; i++)
		at[i] = (u8)(seed + i * 13 + (i >> 8));
}

static bool zero(const u8 *at, u32 len)
{
	while (len && !*at)
		at++, len--;
	return !len;
}

/* --- claims --- */

static void check_discovery(void)
{
	u64 features = vio_offered(&dev);

	report(vio_pci_read(&dev, 0) == 0x10421af4, "a virtio disk: %x", vio_pci_read(&dev, 0));
	report(vio_pci_read(&dev, 8) >> 8 == 0x018000, "its class: %x", vio_pci_read(&dev, 8));
	report(make_64(C32(4), C32(0)) == DISK_SIZE / 512, "its size: %u sectors", C32(0));
	report(C32(20) == 512, "its blocks: %u", C32(20));
	report(C32(12) >= 32, "buffers of a request: %u", C32(12));
	report((features & (F_FLUSH | F_DISCARD | F_ZEROES | F_RO)) ==
		       (F_FLUSH | F_DISCARD | F_ZEROES),
	       "what it can: %lx", features);
	report(!(features & F_MQ) == (VIO_QUEUES(&dev) == 1), "its queues: %u", VIO_QUEUES(&dev));
}

static void check_data(void)
{
	bring_up(F_FLUSH);
	report(STATUS == 15, "the device lives: %x", STATUS);
	fill(data, 65536, 1);
	report(request(0, VIRTIO_BLK_T_IN, 0, other, 4096) == OK && zero(other, 4096),
	       "it begins with zeroes");
	report(request(0, VIRTIO_BLK_T_OUT, 100, data, 65536) == OK, "64 KiB are written");
	report(rings[0].used.ring[1].len == 1, "of which the driver sees its status: %u",
	       rings[0].used.ring[1].len);
	report(request(0, VIRTIO_BLK_T_IN, 100, other, 65536) == OK && !memcmp(data, other, 65536),
	       "and read");
	report(rings[0].used.ring[2].len == 65537, "to the last byte: %u",
	       rings[0].used.ring[2].len);
	report(request(0, VIRTIO_BLK_T_IN, 227, other, 1024) == OK &&
		       !memcmp(data + 65024, other, 512) && zero(other + 512, 512),
	       "what is behind has not changed");
	report(request(0, VIRTIO_BLK_T_OUT, DISK_SIZE / 512 - 1, data, 512) == OK,
	       "the last sector is there");
	header.type = VIRTIO_BLK_T_IN;
	header.sector = 100;
	memset(other, 0, 512);
	add(0, (struct piece[]){ { &header, 16, 0 }, { other, 512, IN }, { &status, 1, IN } }, 3);
	*(volatile u16 *)dev.memory = 0;
	report(wait(0) == OK && !memcmp(data, other, 512), "a kick in memory does the same");
}

/* The header, the data and the status may be cut as one likes. */
static void check_layouts(void)
{
	static struct virtq_desc table[SIZE];

	bring_up(F_FLUSH | F_INDIRECT);
	header = (struct virtio_blk_header){ VIRTIO_BLK_T_IN, 0, 100 };
	memset(other, 0, 4096);
	add(0,
	    (struct piece[]){
		    { &header, 3, 0 }, { (u8 *)&header + 3, 13, 0 }, { other, 1025, IN } },
	    3);
	vio_kick(&dev, 0);
	(void)wait(0);
	report(other[1024] == OK && !memcmp(data, other, 1024),
	       "a header in two, the status at the data's end");
	add(0,
	    (struct piece[]){ { &header, 16, 0 },
			      { other + 1, 700, IN },
			      { other + 1001, 324, IN },
			      { &status, 1, IN } },
	    4);
	vio_kick(&dev, 0);
	report(wait(0) == OK && !memcmp(data, other + 1, 700) &&
		       !memcmp(data + 700, other + 1001, 324),
	       "data in crumbs at odd addresses");
	*(struct virtio_blk_header *)(void *)other =
		(struct virtio_blk_header){ VIRTIO_BLK_T_OUT, 0, 300 };
	memcpy(other + 16, data, 2048);
	add(0, (struct piece[]){ { other, 16 + 2048, 0 }, { &status, 1, IN } }, 2);
	vio_kick(&dev, 0);
	report(wait(0) == OK, "header and data in one");
	table[0] = (struct virtq_desc){ (u64)(uintptr_t)&header, 16, VIRTQ_DESC_NEXT, 5 };
	table[5] = (struct virtq_desc){ (u64)(uintptr_t)other, 2048, IN | VIRTQ_DESC_NEXT, 2 };
	table[2] = (struct virtq_desc){ (u64)(uintptr_t)&status, 1, IN, 0 };
	header.sector = 300;
	add(0, (struct piece[]){ { table, sizeof(table), VIRTQ_DESC_INDIRECT } }, 1);
	vio_kick(&dev, 0);
	report(wait(0) == OK && !memcmp(data, other, 2048), "a table of its own");
}

static void check_others(void)
{
	struct virtio_blk_range range = { 100, 4, 0 };

	bring_up(F_FLUSH | F_DISCARD | F_ZEROES);
	report(request(0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0) == OK, "flush");
	memset(other, 'x', 32);
	report(request(0, VIRTIO_BLK_T_GET_ID, 0, other, 20) == OK && other[20] == 'x', "the ID");
	report(request(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, 16) == OK, "write zeroes");
	report(request(0, VIRTIO_BLK_T_IN, 100, other, 4096) == OK && zero(other, 2048) &&
		       !memcmp(other + 2048, data + 2048, 2048),
	       "to these sectors alone");
	report(request(0, VIRTIO_BLK_T_DISCARD, 0, &range, 16) == OK, "discard");
	range.flags = 1;
	report(request(0, VIRTIO_BLK_T_DISCARD, 0, &range, 16) == UNSUPP, "without flags");
	report(request(0, VIRTIO_BLK_T_IN, DISK_SIZE / 512, other, 512) == IOERR,
	       "nothing is behind the end");
	report(request(0, VIRTIO_BLK_T_OUT, DISK_SIZE / 512 - 1, other, 1024) == IOERR,
	       "nor over it");
	report(request(0, VIRTIO_BLK_T_OUT, ~0ULL, other, 512) == IOERR,
	       "nor before the beginning");
	report(request(0, VIRTIO_BLK_T_IN, 0, other, 100) == IOERR, "a part of a sector is none");
	report(request(0, 99, 0, other, 512) == UNSUPP, "what it does not know it does not do");
	report(STATUS == 15, "all of which is no harm: %x", STATUS);
}

static void check_queues(void)
{
	unsigned int good = 0;

	bring_up(F_MQ);
	for (u32 i = 0; i < 100; i++) {
		fill(data, 512, i);
		good += request(i % queues, VIRTIO_BLK_T_OUT, 1000 + i, data, 512) == OK;
		good += request((i / 2) % queues, VIRTIO_BLK_T_IN, 1000 + i, other, 512) == OK &&
			!memcmp(data, other, 512);
	}
	report(good == 200, "each queue has its own answers: %u of 200, %u queues", good, queues);
}

static void check_interrupts(void)
{
	struct piece p[] = { { &header, 16, 0 }, { other, 512, IN }, { &status, 1, IN } };

	irq_end = END_LAPIC;
	vio_msix_entry(&dev, 0, 0x61);
	vio_msix_enable(&dev, true);
	bring_up(F_EVENT_IDX);
	irq_clear();
	header = (struct virtio_blk_header){ VIRTIO_BLK_T_IN, 0, 0 };
	for (unsigned int i = 0; i < 5; i++)
		add(0, p, 3);
	vio_kick(&dev, 0);
	report(wait_irq(0x61, 1, 100000) && wait(0) == OK, "MSI-X tells of what is done");
	report(!wait_irq(0x61, 2, 1000) && irq_total == 1, "of five at once once: %u", irq_total);
	rings[0].avail.event = 9;
	(void)request(0, VIRTIO_BLK_T_IN, 0, other, 512);
	report(!wait_irq(0x61, 2, 1000), "not of one that the event index does not ask for");
	vio_msix_enable(&dev, false);
}

static void check_read_only(void)
{
	vio_find(&dev, DISK_RO);
	report(vio_pci_read(&dev, 0) == 0x10421af4 && vio_offered(&dev) & F_RO,
	       "a second disk, read-only");
	bring_up(F_RO);
	memset(data, 0x55, 512);
	report(request(0, VIRTIO_BLK_T_OUT, 0, data, 512) == IOERR, "is not written to");
	report(request(0, VIRTIO_BLK_T_IN, 0, other, 512) == OK && zero(other, 512),
	       "and reads as it was");
	report(request(0, VIRTIO_BLK_T_IN, MIB(1) / 512, other, 512) == IOERR,
	       "it has its own size");
	STATUS = 0;
	vio_find(&dev, DISK);
}

/* --- what no driver may do --- */

static void cycle(void)
{
	add(0, (struct piece[]){ { &header, 16, 0 }, { &header, 16, 0 } }, 2);
	rings[0].desc[1].flags = VIRTQ_DESC_NEXT;
	rings[0].desc[1].next = 0;
}

static void long_chain(void)
{
	static struct virtq_desc table[SIZE + 1];

	for (u16 i = 0; i <= SIZE; i++)
		table[i] = (struct virtq_desc){ (u64)(uintptr_t)&header, 1,
						i < SIZE ? VIRTQ_DESC_NEXT : 0, (u16)(i + 1) };
	add(0, (struct piece[]){ { table, sizeof(table), VIRTQ_DESC_INDIRECT } }, 1);
}

static void nested(void)
{
	static struct virtq_desc table[2];

	table[0] =
		(struct virtq_desc){ (u64)(uintptr_t)table, sizeof(table), VIRTQ_DESC_INDIRECT, 0 };
	add(0, (struct piece[]){ { table, sizeof(table), VIRTQ_DESC_INDIRECT } }, 1);
}

static void jump(void)
{
	rings[0].avail.idx = SIZE + 1;
}

static void beyond_ram(void)
{
	add(0,
	    (struct piece[]){ { &header, 16, 0 },
			      { (void *)(uintptr_t)0xfffff000, 4096, IN },
			      { &status, 1, IN } },
	    3);
}

static void around_the_end(void)
{
	add(0,
	    (struct piece[]){
		    { &header, 16, 0 }, { (void *)~(uintptr_t)511, 1024, IN }, { &status, 1, IN } },
	    3);
}

static void into_registers(void)
{
	add(0,
	    (struct piece[]){ { &header, 16, 0 },
			      { (void *)(uintptr_t)0xfee00000, 512, IN },
			      { &status, 1, IN } },
	    3);
}

static void backwards(void)
{
	add(0, (struct piece[]){ { &status, 1, IN }, { &header, 16, 0 }, { other, 512, IN } }, 3);
}

static void no_status(void)
{
	add(0, (struct piece[]){ { &header, 16, 0 }, { data, 512, 0 } }, 2);
}

static void bad_head(void)
{
	VIO_MAKE_AVAILABLE(&rings[0], SIZE);
}

static void check_hostile(void)
{
	static const struct {
		void (*do_it)(void);
		const char *what;
	} ways[] = {
		{ cycle, "a loop" },
		{ long_chain, "a chain that is longer than the queue" },
		{ nested, "an indirect table in another" },
		{ jump, "an index that jumps" },
		{ beyond_ram, "data where no RAM is" },
		{ around_the_end, "data at the end of all addresses" },
		{ into_registers, "data into a device's registers" },
		{ backwards, "what is to be read behind what is to be written" },
		{ no_status, "no place for a status" },
		{ bad_head, "a head that does not exist" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		bring_up(F_INDIRECT | (i & 1 ? F_EVENT_IDX : 0));
		header = (struct virtio_blk_header){ VIRTIO_BLK_T_IN, 0, 0 };
		ways[i].do_it();
		vio_kick(&dev, 0);
		report(STATUS == 0x4f, "%s: the device needs a reset: %x", ways[i].what, STATUS);
		report(*used_idx(0) == 0, "and has used nothing");
	}
	bring_up(0);
	report(request(0, VIRTIO_BLK_T_IN, 0, other, 512) == OK, "a reset mends it");
}

static void check_resets(void)
{
	unsigned int good = 0;

	for (u32 i = 0; i < 1000; i++) {
		struct piece p[] = { { &header, 16, 0 },
				     { other + i % 5, 4096, IN },
				     { &status, 1, IN } };

		bring_up(i & 1 ? F_EVENT_IDX : 0);
		header = (struct virtio_blk_header){ VIRTIO_BLK_T_IN, 0, i };
		for (u32 n = 0; n < i % 6; n++)
			add(0, p, 3);
		vio_kick(&dev, 0);
		if (i % 7 == 0)
			rings[0].avail.idx = (u16)(rings[0].avail.idx + 100), vio_kick(&dev, 0);
		good += STATUS == (i % 7 ? 15 : 0x4f);
	}
	report(good == 1000, "1000 resets at any moment: %u as they should be", good);
}

/* --- a disk that takes its time: a partition of the machine's --- */

#define FLIGHT      4
#define FLIGHT_SIZE 4096u

static struct virtio_blk_header flight_header[FLIGHT];

/* @n reads of the first pages of the disk, into as many of ->other. */
static void take_off(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct piece p[] = { { &flight_header[i], 16, 0 },
				     { other + i * FLIGHT_SIZE, FLIGHT_SIZE, IN },
				     { &status, 1, IN } };

		flight_header[i] =
			(struct virtio_blk_header){ VIRTIO_BLK_T_IN, 0, i * FLIGHT_SIZE / 512 };
		add(0, p, 3);
	}
	vio_kick(&dev, 0);
}

static bool is_filled(u32 seed)
{
	for (u32 i = 0; i < FLIGHT * FLIGHT_SIZE; i++) {
		if (other[i] != (u8)(seed + i * 13 + (i >> 8)))
			return false;
	}
	return true;
}

/* Memory is the driver's again as soon as the status reads 0: nothing of before is written to it any more. */
static void check_in_flight(void)
{
	const u32 resets = (u32)option_number("resets", 1000);
	unsigned int waited = 0, kept = 0, landed = 0;

	for (u32 i = 0; i < resets; i++) {
		u64 end;

		bring_up(i & 1 ? F_EVENT_IDX : 0);
		take_off(1 + i % FLIGHT);
		if (i % 10 == 9)
			landed += wait(0) == OK;
		STATUS = 0;
		waited += STATUS != 0;
		while (STATUS)
			cpu_pause();
		fill(other, FLIGHT * FLIGHT_SIZE, i);
		end = rdtsc() + microseconds(i % 20 ? 10 : 2000);
		while (rdtsc() < end)
			cpu_pause();
		kept += is_filled(i);
	}
	report(waited > resets / 2, "%u of %u resets had to wait for the disk", waited, resets);
	report(kept == resets, "memory was left alone after %u of them", kept);
	report(landed == resets / 10, "and %u of %u requests in between were answered", landed,
	       resets / 10);
	bring_up(0);
	report(request(0, VIRTIO_BLK_T_OUT, 0, data, 4096) == OK, "it writes");
	report(request(0, VIRTIO_BLK_T_IN, 0, other, 4096) == OK, "and reads");
}

/* Its end, with requests at the disk: for the host to see what becomes of them. */
static void die_in_flight(void)
{
	static const struct {
		u16 limit;
		u64 base;
	} __packed nothing;

	bring_up(0);
	take_off(FLIGHT);
	__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}

/* --- double fetch: another CPU changes what the VMM is about to read --- */

static volatile bool flipping;

static void flip(void *arg)
{
	volatile struct virtq_desc *d = rings[0].desc;
	u32 random = 1;

	(void)arg;
	irq_enable();
	while (flipping) {
		unsigned int i = random >> 8 & 3;

		random = random * 1664525 + 1013904223;
		switch (random >> 24 & 7) {
		case 0: d[i].len ^= 0xfffff000; break;
		case 1: d[i].addr ^= 0xffffffffff000000; break;
		case 2: d[i].flags ^= VIRTQ_DESC_WRITE; break;
		case 3: d[i].flags ^= VIRTQ_DESC_INDIRECT; break;
		case 4: d[i].next ^= 0x8000; break;
		case 5: header.type ^= VIRTIO_BLK_T_OUT; break;
		case 6: ((volatile struct virtio_blk_header *)&header)->sector ^= BIT(60); break;
		default: rings[0].avail.ring[i] ^= 0x100; break;
		}
	}
}

static void check_double_fetch(void)
{
	struct piece p[] = { { &header, 16, 0 }, { other, 4096, IN }, { &status, 1, IN } };
	unsigned int alive = 0, broken = 0;

	irq_enable();
	for (unsigned int i = 0; i < 1000; i++) {
		bring_up(F_INDIRECT);
		header = (struct virtio_blk_header){ VIRTIO_BLK_T_IN, 0, 0 };
		flipping = true;
		cpu_call(1, flip, NULL);
		for (unsigned int n = 0; n < 20 && STATUS == 15; n++) {
			first = 0;
			add(0, p, 3);
			vio_kick(&dev, 0);
		}
		flipping = false;
		cpu_wait(1);
		alive += STATUS == 15;
		broken += STATUS == 0x4f;
	}
	report(alive + broken == 1000,
	       "whatever another CPU makes of it: %u times alive, %u times broken", alive, broken);
	bring_up(0);
	report(request(0, VIRTIO_BLK_T_IN, 0, other, 512) == OK, "and then it is as before");
	report(request(0, VIRTIO_BLK_T_OUT, 0, data, 512) == OK, "and takes data");
}

void guest_main(void)
{
	vio_find(&dev, DISK);
	if (option("die"))
		die_in_flight();
	if (option("part")) {
		check_in_flight();
		STATUS = 0;
		return;
	}
	check_discovery();
	check_data();
	check_layouts();
	check_others();
	check_queues();
	check_interrupts();
	check_read_only();
	check_hostile();
	check_resets();
	if (option("smp") && smp_start())
		check_double_fetch();
	STATUS = 0;
}
