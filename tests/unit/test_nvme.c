/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers/nvme against a controller that obeys, refuses, lies, falls asleep, or is pulled out. */
#include "drivers/nvme.h"
#include "drivers/nvme_regs.h"
#include "tests/unit/fake_hostdev.h"
#include "tests/unit/fake_iomem.h"
#include "tests/unit/host_support.h"

#define BLOCKS 4096u

static struct {
	u8 regs[0x2000];
	u8 disk[BLOCKS * 512];
	unsigned int shift; /* of blocks */
	unsigned int sq_tail[2],
		cq[2]; /* as the driver's doorbells say; what the device has written */
	unsigned int entries[2];
	u64 sq[2], cqbase[2];
	unsigned int sq_head[2];
	unsigned int commands, resets;
	/* What is wrong with it. */
	bool gone, asleep, stuck; /* stuck: CSTS.RDY stays as it is */
	u16 status;               /* of the next I/O commands */
	u16 cid_xor;
	const char *serial;
} dev;

static u32 get32(unsigned int reg)
{
	u32 v;

	memcpy(&v, dev.regs + reg, 4);
	return v;
}

static u64 get64(unsigned int reg)
{
	return make_64(get32(reg + 4), get32(reg));
}

static void answer(unsigned int q, u16 cid, u16 status)
{
	struct nvme_completion *c = (struct nvme_completion *)(uintptr_t)dev.cqbase[q];
	unsigned int at = dev.cq[q] % dev.entries[q];
	u16 phase = dev.cq[q] / dev.entries[q] % 2 ? 0 : 1;

	c[at].cid = cid;
	c[at].status = (u16)(status << 1 | phase);
	dev.cq[q]++;
}

static void identify(const struct nvme_command *c)
{
	u8 *to = (u8 *)(uintptr_t)c->prp1;
	u64 blocks = sizeof(dev.disk) >> dev.shift;

	memset(to, 0, 4096);
	if (c->cdw10 == NVME_IDENTIFY_CONTROLLER) {
		memset(to + NVME_CTRL_SERIAL, ' ', 60);
		memcpy(to + NVME_CTRL_SERIAL, dev.serial, strlen(dev.serial));
		to[NVME_CTRL_MDTS] = 1; /* two pages: so that requests take several commands */
		to[NVME_CTRL_ONCS] = NVME_ONCS_DSM | NVME_ONCS_WRITE_ZEROES;
		to[NVME_CTRL_VWC] = 1;
	} else {
		memcpy(to + NVME_NS_SIZE, &blocks, 8);
		to[NVME_NS_FORMATS + 2] = (u8)dev.shift;
	}
}

/* Two pages at most. */
static void move(const struct nvme_command *c)
{
	u64 bytes = (u64)((c->cdw12 & 0xffff) + 1) << dev.shift, at = (u64)c->cdw10 << dev.shift;
	u64 first = 4096 - c->prp1 % 4096;

	assert_true(bytes <= 8192 && at + bytes <= sizeof(dev.disk));
	for (u64 i = 0; i < bytes; i++) {
		u64 hpa = i < first ? c->prp1 + i : c->prp2 + i - first;

		if (bytes > first + 4096 && i >= first) {
			const u64 *list = (const u64 *)(uintptr_t)c->prp2;

			hpa = list[(i - first) / 4096] + (i - first) % 4096;
		}
		if (c->opcode == NVME_READ)
			*(u8 *)(uintptr_t)hpa = dev.disk[at + i];
		else
			dev.disk[at + i] = *(const u8 *)(uintptr_t)hpa;
	}
}

static void admin(const struct nvme_command *c)
{
	if (c->opcode == NVME_ADMIN_IDENTIFY)
		identify(c);
	if (c->opcode == NVME_ADMIN_CREATE_CQ)
		dev.cqbase[1] = c->prp1;
	if (c->opcode == NVME_ADMIN_CREATE_SQ) {
		dev.sq[1] = c->prp1;
		dev.entries[1] = (c->cdw10 >> 16) + 1;
	}
	answer(0, c->cid, 0);
}

static void io(const struct nvme_command *c)
{
	u64 at = (u64)c->cdw10 << dev.shift;

	dev.commands++;
	if (!dev.status && (c->opcode == NVME_READ || c->opcode == NVME_WRITE))
		move(c);
	if (!dev.status && c->opcode == NVME_WRITE_ZEROES)
		memset(dev.disk + at, 0, ((c->cdw12 & 0xffff) + 1) << dev.shift);
	answer(1, c->cid ^ dev.cid_xor, dev.status);
}

static void run_queue(unsigned int q)
{
	while (dev.sq_head[q] != dev.sq_tail[q] && !(q == 1 && dev.asleep)) {
		const struct nvme_command *c = (const struct nvme_command *)(uintptr_t)dev.sq[q];

		c += dev.sq_head[q];
		dev.sq_head[q] = (dev.sq_head[q] + 1) % dev.entries[q];
		if (q)
			io(c);
		else
			admin(c);
	}
}

static void set_enabled(bool on)
{
	u32 csts = on ? NVME_CSTS_RDY : 0;

	if (dev.stuck)
		return;
	memcpy(dev.regs + NVME_CSTS, &csts, 4);
	memset(dev.sq_head, 0, sizeof(dev.sq_head));
	memset(dev.sq_tail, 0, sizeof(dev.sq_tail));
	memset(dev.cq, 0, sizeof(dev.cq));
	if (on) {
		dev.entries[0] = (get32(NVME_AQA) & 0xfff) + 1;
		dev.sq[0] = get64(NVME_ASQ);
		dev.cqbase[0] = get64(NVME_ACQ);
	} else {
		dev.resets++;
	}
}

static u64 dev_read(const void *at, unsigned int size)
{
	u64 v = 0;

	memcpy(&v, at, size);
	return dev.gone ? ~0ULL : v;
}

static void dev_write(void *at, u64 value, unsigned int size)
{
	u64 reg = (u64)((u8 *)at - dev.regs);

	assert_true(reg + size <= sizeof(dev.regs));
	memcpy(at, &value, size);
	if (dev.gone)
		return;
	if (reg == NVME_CC)
		set_enabled(value & NVME_CC_EN);
	if (reg == NVME_DOORBELLS || reg == NVME_DOORBELLS + 8) {
		dev.sq_tail[reg == NVME_DOORBELLS + 8] = (unsigned int)value;
		run_queue(reg == NVME_DOORBELLS + 8);
	}
}

static const struct pci_device function = { .bar = { { 0xfe000000, 0x2000, false } } };

static void plug_in(unsigned int shift)
{
	const u64 cap = 63 | 1ULL << 24 | NVME_CAP_CSS_NVM; /* 64 entries, half a second */

	memset(&dev, 0, sizeof(dev));
	for (unsigned int i = 0; i < sizeof(dev.disk); i++)
		dev.disk[i] = (u8)(i / 512 * 3 + i);
	dev.shift = shift;
	dev.serial = "NV-1";
	memcpy(dev.regs + NVME_CAP, &cap, 8);
	fake_iomem = (struct fake_iomem){ dev_read, dev_write };
	machine_reset(dev.regs);
}

static int start(void **state)
{
	(void)state;
	plug_in(9);
	assert_int_equal(nvme_probe(&function, &fake_env), 0);
	assert_int_equal(machine.disks, 1);
	return 0;
}

static u8 data[1 << 20] __attribute__((aligned(4096)));

static void poll_until(struct asked *a, u64 ms)
{
	for (u64 i = 0; i < ms / 100 && !a->ended; i++) {
		pass_ms(100);
		block_poll(machine.disk);
	}
}

static void test_geometry(void **state)
{
	(void)state;
	assert_int_equal(machine.disk->sectors, BLOCKS);
	assert_int_equal(machine.disk->block_size, 512);
	assert_string_equal(machine.disk->serial, "NV-1");
	assert_true(machine.disk->write_cache && machine.disk->can_discard);
	assert_true(machine.disk->can_write_zeroes && !machine.disk->read_only);
}

/* A request is as many commands as it takes, and its data are the disk's; done is called by the interrupt. */
static void test_data(void **state)
{
	struct asked a;

	(void)state;
	assert_int_equal(ask(&a, BLOCK_READ, 5, 100, data + 512), BLOCK_PENDING);
	assert_int_equal(a.ended, 0);
	for (unsigned int i = 0; i < 100; i++)
		machine.irq(machine.irq_arg);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.result, BLOCK_OK);
	assert_true(dev.commands >= 100 / 16);
	assert_memory_equal(data + 512, dev.disk + 5 * 512, 100 * 512);
	memset(data, 0x5a, sizeof(data));
	assert_int_equal(ask(&a, BLOCK_WRITE, 9, 33, data), BLOCK_PENDING);
	poll_until(&a, 10000);
	assert_int_equal(a.result, BLOCK_OK);
	assert_memory_equal(data, dev.disk + 9 * 512, 33 * 512);
	assert_int_equal(dev.disk[8 * 512], (u8)(8 * 3 + 8 * 512));
	assert_int_equal(ask(&a, BLOCK_WRITE_ZEROES, 9, 33, NULL), BLOCK_PENDING);
	poll_until(&a, 10000);
	assert_int_equal(dev.disk[9 * 512] | dev.disk[41 * 512 + 511], 0);
}

/* Blocks of 4096 whose data are in pieces of 512 all over the place go by the bounce buffer, both ways. */
static void test_bounce(void **state)
{
	struct asked a = { 0 };

	(void)state;
	plug_in(12);
	assert_int_equal(nvme_probe(&function, &fake_env), 0);
	for (enum block_op op = BLOCK_READ; op <= BLOCK_WRITE; op++) {
		memset(data, 0x11 * (int)op, sizeof(data));
		memset(&a, 0, sizeof(a));
		a.request = (struct block_request){ .op = op,
						    .sector = 8,
						    .sectors = 16,
						    .segment = a.segment,
						    .done = asked_done,
						    .segments = 32 / 2 };
		for (unsigned int i = 0; i < 16; i++)
			a.segment[i] =
				(struct block_segment){ (hpa_t)(uintptr_t)(data + 1000 * (i + 1)),
							512 };
		assert_int_equal(block_submit(machine.disk, &a.request), BLOCK_PENDING);
		poll_until(&a, 10000);
		assert_int_equal(a.result, BLOCK_OK);
		for (unsigned int i = 0; i < 16; i++)
			assert_memory_equal(data + 1000 * (i + 1), dev.disk + (8 + i) * 512, 512);
		assert_int_equal(data[1000 + 512], 0x11 * (int)op); /* nothing beside it */
	}
}

/* An error that the controller reports is the request's, at once where a retry is no use; others go on. */
static void test_status(void **state)
{
	struct asked a;

	(void)state;
	dev.status = 0x4000 | 0x281; /* do not retry */
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	poll_until(&a, 1000);
	assert_int_equal(a.result, BLOCK_ERROR);
	assert_int_equal(dev.commands, 1);
	dev.status = 0x281;
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	poll_until(&a, 1000);
	assert_int_equal(a.result, BLOCK_ERROR);
	assert_int_equal(dev.commands, 1 + 3);
	dev.status = NVME_STATUS_INVALID_OPCODE;
	assert_int_equal(ask(&a, BLOCK_DISCARD, 0, 8, NULL), BLOCK_PENDING);
	poll_until(&a, 1000);
	assert_int_equal(a.result, BLOCK_UNSUPPORTED);
	dev.status = 0;
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	poll_until(&a, 1000);
	assert_int_equal(a.result, BLOCK_OK);
}

/* More than there are slots for wait, and all end, once each. */
static void test_many(void **state)
{
	static struct asked a[100];

	(void)state;
	dev.asleep = true;
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(ask(&a[i], BLOCK_READ, i, 8, data + i * 4096), BLOCK_PENDING);
	dev.asleep = false;
	run_queue(1);
	for (unsigned int i = 0; i < 10; i++)
		machine.irq(machine.irq_arg);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(a[i].ended, 1);
		assert_memory_equal(data + i * 4096, dev.disk + i * 512, 4096);
	}
}

/* What takes too long is BLOCK_ERROR after a reset; what was under way beside it is done once more. */
static void test_timeout(void **state)
{
	struct asked late, other;
	unsigned int resets = dev.resets;

	(void)state;
	dev.asleep = true;
	assert_int_equal(ask(&late, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	pass_ms(5000);
	assert_int_equal(ask(&other, BLOCK_READ, 8, 8, data + 4096), BLOCK_PENDING);
	pass_ms(4900);
	block_poll(machine.disk);
	assert_int_equal(late.ended, 0);
	pass_ms(200);
	block_poll(machine.disk);
	dev.asleep = false;
	poll_until(&other, 2000);
	assert_int_equal(dev.resets, resets + 1);
	assert_int_equal(late.ended, 1);
	assert_int_equal(late.result, BLOCK_ERROR);
	assert_int_equal(other.ended, 1);
	assert_int_equal(other.result, BLOCK_OK);
	assert_memory_equal(data + 4096, dev.disk + 4096, 4096);
}

/* One that never wakes up is given up in bounded time, and without bus mastering. */
static void test_never_wakes(void **state)
{
	struct asked a[8];

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		dev.asleep = true;
		(void)!ask(&a[i], BLOCK_READ, 0, 8, data);
		if (!a[i].ended)
			poll_until(&a[i], 60000);
	}
	assert_int_equal(machine.command & FAKE_MASTER, 0);
	assert_int_equal(ask(&a[0], BLOCK_READ, 0, 8, data), BLOCK_ERROR);
	assert_int_equal(a[0].ended, 0); /* answered by submit */
}

/* A controller that cannot be reset any more: its requests end all the same, once it can do no DMA. */
static void test_stuck(void **state)
{
	struct asked a;

	(void)state;
	dev.asleep = dev.stuck = true;
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	poll_until(&a, 30000);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.result, BLOCK_ERROR);
	assert_int_equal(machine.command & FAKE_MASTER, 0);
}

static void test_fatal(void **state)
{
	const u32 cfs = NVME_CSTS_RDY | NVME_CSTS_CFS;
	struct asked a;

	(void)state;
	dev.asleep = true;
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	memcpy(dev.regs + NVME_CSTS, &cfs, 4);
	block_poll(machine.disk);
	dev.asleep = false;
	poll_until(&a, 2000);
	assert_int_equal(a.result, BLOCK_OK);
}

static void test_pulled_out(void **state)
{
	struct asked a;

	(void)state;
	dev.asleep = true;
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	dev.gone = true;
	block_poll(machine.disk);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.result, BLOCK_ERROR);
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_ERROR);
}

/* After a reset another disk is there: no write of this one's goes to it. */
static void test_swapped(void **state)
{
	struct asked a;
	u8 before = dev.disk[0];

	(void)state;
	dev.asleep = true;
	memset(data, ~before, 4096);
	assert_int_equal(ask(&a, BLOCK_WRITE, 0, 8, data), BLOCK_PENDING);
	dev.serial = "NV-2";
	dev.regs[NVME_CSTS] |= NVME_CSTS_CFS;
	poll_until(&a, 2000);
	assert_int_equal(a.result, BLOCK_ERROR);
	assert_int_equal(dev.disk[0], before);
}

/* Completions of commands that there are not are passed over. */
static void test_nonsense(void **state)
{
	struct asked a;

	(void)state;
	dev.cid_xor = 0x1234;
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	machine.irq(machine.irq_arg);
	assert_int_equal(a.ended, 0);
	dev.cid_xor = 0;
	poll_until(&a, 20000);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.result, BLOCK_ERROR);
}

static void test_bad_controllers(void **state)
{
	(void)state;
	plug_in(9);
	dev.stuck = true;
	assert_int_not_equal(nvme_probe(&function, &fake_env), 0);
	plug_in(13);
	assert_int_not_equal(nvme_probe(&function, &fake_env), 0);
	plug_in(9);
	dev.gone = true;
	assert_int_not_equal(nvme_probe(&function, &fake_env), 0);
	assert_int_equal(machine.disks, 0);
}

/* Claim: doorbells that lie beyond what is mapped are not rung, however large the BAR is. */
static void test_far_doorbells(void **state)
{
	static const struct pci_device large = { .bar = { { 0xfe000000, 0x100000, false } } };

	(void)state;
	for (u8 stride = 10; stride <= 15; stride++) {
		plug_in(9);
		dev.regs[NVME_CAP + 4] |= stride; /* CAP.DSTRD */
		assert_int_not_equal(nvme_probe(&large, &fake_env), 0);
	}
	assert_int_equal(machine.disks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_geometry, start),
		cmocka_unit_test_setup(test_data, start),
		cmocka_unit_test(test_bounce),
		cmocka_unit_test_setup(test_status, start),
		cmocka_unit_test_setup(test_many, start),
		cmocka_unit_test_setup(test_timeout, start),
		cmocka_unit_test_setup(test_never_wakes, start),
		cmocka_unit_test_setup(test_stuck, start),
		cmocka_unit_test_setup(test_fatal, start),
		cmocka_unit_test_setup(test_pulled_out, start),
		cmocka_unit_test_setup(test_swapped, start),
		cmocka_unit_test_setup(test_nonsense, start),
		cmocka_unit_test(test_bad_controllers),
		cmocka_unit_test(test_far_doorbells),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	machine_reset(NULL);
	return failed;
}
