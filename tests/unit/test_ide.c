/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers/ide: disks are found and do what they are asked, by a fake controller that can also fail, hang and vanish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "drivers/ide_private.h"
#include "drivers/pci.h"
#include "lib/string.h"
#include "tests/unit/host_support.h"

#define SECTORS 4096u
#define MASTER  0xc000

/* One drive, as its registers and its data; count and LBA remember what they were before. */
static struct {
	bool there, lba48, hang, vanished, no_interrupt;
	u8 error; /* of the next transfers */
	u8 data[SECTORS * 512];
} drive[2];

static struct {
	u8 regs[8], before[8]; /* of the command block */
	u8 status, error, control, master_command, master_status;
	u32 prds;
	u16 identify[256];
	unsigned int identify_at, resets, interrupts, flushes, commands, dma;
} chan;

static u64 clock_now;
static void (*irq_fn)(void *arg);
static void *irq_arg;
static struct block_device *found[4];
static unsigned int nr_found;

static unsigned int selected(void)
{
	return chan.regs[IDE_DEVICE] & IDE_DEVICE_1 ? 1 : 0;
}

static void raise(void)
{
	if (drive[selected()].no_interrupt)
		return;
	chan.master_status |= 4;
	if (!(chan.control & IDE_CONTROL_NIEN))
		chan.interrupts++;
}

static void put_text(u16 *at, const char *text, size_t words)
{
	for (size_t i = 0; i < 2 * words; i++) {
		char c = i < strlen(text) ? text[i] : ' ';

		at[i / 2] = (u16)(i & 1 ? at[i / 2] | c : c << 8);
	}
}

static void identify(unsigned int n)
{
	memset(chan.identify, 0, sizeof(chan.identify));
	put_text(&chan.identify[10], "  SN42", 10);
	put_text(&chan.identify[27], "A disk\x1b of its own", 20);
	chan.identify[49] = 0x0300;
	chan.identify[60] = SECTORS;
	chan.identify[83] = drive[n].lba48 ? 0x7400 : 0x5000;
	chan.identify[100] = SECTORS;
	chan.identify_at = 0;
	chan.status = 0x58;
}

static u32 lba_of(bool wide)
{
	u32 lba = chan.regs[3] | (u32)chan.regs[4] << 8 | (u32)chan.regs[5] << 16;

	return lba | (wide ? (u32)chan.before[3] : (u32)(chan.regs[6] & 0xf)) << 24;
}

/* The transfer, once the bus master is on: over the PRDs, whose rules are checked. */
static void run_dma(void)
{
	u8 command = chan.regs[7];
	bool wide = command == 0x25 || command == 0x35, read = command == 0x25 || command == 0xc8;
	u32 count = chan.regs[2] | (wide ? (u32)chan.before[2] << 8 : 0), done = 0;
	const struct ide_prd *prd = (const void *)(uintptr_t)chan.prds;
	u8 *data = drive[selected()].data + lba_of(wide) * 512ULL;

	count = (count ? count : wide ? 65536 : 256) * 512;
	assert_int_equal(chan.master_command, read ? 9 : 1);
	assert_false(chan.prds & 3);
	chan.dma++;
	if (drive[selected()].error) {
		chan.error = drive[selected()].error;
		chan.status = 0x51;
		raise();
		return;
	}
	do {
		u32 len = prd->bytes ? prd->bytes : 0x10000;
		void *at = (void *)(uintptr_t)prd->address;

		assert_false(prd->address & 1);
		assert_in_range((prd->address & 0xffff) + len, 1, 0x10000);
		if (read)
			memcpy(at, data + done, len);
		else
			memcpy(data + done, at, len);
		done += len;
	} while (!(prd++->flags & IDE_PRD_LAST));
	assert_int_equal(done, count);
	chan.status = 0x50;
	raise();
}

static void command(u8 value)
{
	chan.commands++;
	if (!drive[selected()].there || drive[selected()].vanished)
		return;
	switch (value) {
	case 0xec: identify(selected()); break;
	case 0xe7:
	case 0xea:
		chan.flushes++;
		chan.status = 0x50;
		raise();
		break;
	case 0xc8:
	case 0xca:
	case 0x25:
	case 0x35: chan.status = 0xd0; break;
	default: fail();
	}
}

static u8 status(void)
{
	if (!drive[selected()].there)
		return 0;
	return drive[selected()].vanished ? 0xff : chan.status;
}

static u8 fake_read8(u16 port)
{
	clock_now += 10;
	if (port >= 0x170 && port < 0x1f0)
		return 0xff; /* the other channel: nothing there */
	if (port == 0x376)
		return 0xff;
	switch (port) {
	case 0x1f1: return chan.error;
	case 0x1f7: return status();
	case 0x3f6: return status();
	case MASTER: return chan.master_command;
	case MASTER + 2: return chan.master_status;
	}
	fail();
	return 0;
}

static u16 fake_read16(u16 port)
{
	u16 word;

	assert_int_equal(port, 0x1f0);
	word = chan.identify[chan.identify_at++];
	if (chan.identify_at == 256)
		chan.status = 0x50;
	return word;
}

static void fake_write8(u16 port, u8 value)
{
	if (port == 0x3f6) {
		chan.resets += value & IDE_CONTROL_SRST ? 1 : 0;
		chan.control = value;
		if (value & IDE_CONTROL_SRST) {
			chan.status = 0x50;
			chan.regs[IDE_DEVICE] = 0;
		}
	} else if (port >= 0x1f0 && port < 0x1f8) {
		chan.before[port & 7] = chan.regs[port & 7];
		chan.regs[port & 7] = value;
		if (port == 0x1f7)
			command(value);
	} else if (port == MASTER) {
		chan.master_command = value;
		if ((value & 1) && !drive[selected()].hang && !drive[selected()].vanished)
			run_dma();
	} else if (port == MASTER + 2) {
		chan.master_status &= (u8) ~(value & 6);
	}
}

static void fake_write32(u16 port, u32 value)
{
	assert_int_equal(port, MASTER + 4);
	chan.prds = value;
}

static const struct ide_ports fake_ports = { fake_read8, fake_read16, fake_write8, fake_write32 };

static u64 now(void)
{
	return clock_now;
}

/* Below 4 GiB, as promised. */
static void *dma_alloc(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		       -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int isa_irq(unsigned int irq, void (*fn)(void *arg), void *arg)
{
	assert_int_equal(irq, 14);
	irq_fn = fn;
	irq_arg = arg;
	return 0;
}

static void add_disk(struct block_device *dev)
{
	found[nr_found++] = dev;
}

static const struct hostdev_env env = {
	.tsc_hz = 1000000,
	.now = now,
	.dma_alloc = dma_alloc,
	.isa_irq = isa_irq,
	.add_disk = add_disk,
};

static u32 no_ports_read(u32 address, unsigned int offset, unsigned int len)
{
	(void)address, (void)offset, (void)len;
	return 0;
}

static void no_ports_write(u32 address, unsigned int offset, unsigned int len, u32 value)
{
	(void)address, (void)offset, (void)len, (void)value;
}

static void probe(void)
{
	static const struct pci_ports ports = { no_ports_read, no_ports_write };
	static struct pci_device pci = { .class = 0x010180, .bar[4] = { MASTER, 16, true } };

	nr_found = 0;
	ide_use_ports(&fake_ports);
	pci_use_ports(&ports);
	assert_int_equal(ide_probe(&pci, &env), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(drive, 0, sizeof(drive));
	memset(&chan, 0, sizeof(chan));
	chan.status = 0x50;
	clock_now = 1;
	drive[0].there = drive[1].there = true;
	drive[1].lba48 = true;
	for (unsigned int i = 0; i < SECTORS * 512; i++)
		drive[1].data[i] = (u8)(i / 512 * 7 + i);
	capture_start();
	probe();
	return 0;
}

static struct block_request request[8];
static struct block_segment segment[8][BLOCK_SEGMENTS];
static enum block_result result[8];
static unsigned int ended;

static void done(struct block_request *r, enum block_result how)
{
	result[r - request] = how;
	ended++;
}

static enum block_result ask(unsigned int n, unsigned int disk, enum block_op op, u64 sector,
			     u64 sectors, void *data)
{
	segment[n][0] = (struct block_segment){ (uintptr_t)data, (u32)sectors * 512 };
	request[n] = (struct block_request){ .op = op,
					     .sector = sector,
					     .sectors = sectors,
					     .segments = 1,
					     .segment = segment[n],
					     .done = done };
	result[n] = BLOCK_PENDING;
	return block_submit(found[disk], &request[n]);
}

static void interrupt(void)
{
	while (chan.interrupts) {
		chan.interrupts--;
		irq_fn(irq_arg);
	}
}

/* Time goes by, with a poll each tenth of a second. */
static void wait(unsigned int seconds)
{
	for (unsigned int i = 0; i < 10 * seconds; i++) {
		clock_now += env.tsc_hz / 10;
		block_poll(found[0]);
	}
}

/* Both drives: names, sizes, text that a terminal may see. The absent channel is none. */
static void test_identify(void **state)
{
	(void)state;
	assert_int_equal(nr_found, 2);
	assert_string_equal(found[0]->name, "ide0.0");
	assert_string_equal(found[1]->name, "ide0.1");
	assert_string_equal(found[1]->model, "A disk  of its own");
	assert_string_equal(found[1]->serial, "  SN42");
	assert_int_equal(found[1]->sectors, SECTORS);
	assert_int_equal(found[0]->max_sectors, 256);
	assert_int_equal(found[1]->max_sectors, 1024);
	assert_int_equal(found[1]->block_size, 512);
	assert_true(found[1]->write_cache);
	assert_false(chan.control & IDE_CONTROL_NIEN);
}

/* What was written by one command is read by another, with 28-bit and with 48-bit addresses, as large as can be. */
static void test_transfer(void **state)
{
	u8 *data = dma_alloc(1024 * 512), *back = dma_alloc(1024 * 512);

	(void)state;
	ended = 0;
	for (unsigned int d = 0; d < 2; d++) {
		u32 sectors = found[d]->max_sectors;

		for (u32 i = 0; i < sectors * 512; i++)
			data[i] = (u8)rand();
		memset(back, 0, sectors * 512);
		assert_int_equal(ask(0, d, BLOCK_WRITE, SECTORS - sectors, sectors, data),
				 BLOCK_PENDING);
		interrupt();
		assert_int_equal(result[0], BLOCK_OK);
		assert_int_equal(ask(0, d, BLOCK_READ, SECTORS - sectors, sectors, back),
				 BLOCK_PENDING);
		interrupt();
		assert_int_equal(result[0], BLOCK_OK);
		assert_memory_equal(data, back, sectors * 512);
		assert_memory_equal(data, drive[d].data + (SECTORS - sectors) * 512, sectors * 512);
	}
	assert_int_equal(ended, 4);
}

/* Requests are served one by one, in their order, each with its own memory; a flush too. Nobody is called from submit. */
static void test_queue(void **state)
{
	u8 *data = dma_alloc(8 * 512);

	(void)state;
	ended = 0;
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(ask(i, 1, BLOCK_READ, i, 1, data + i * 512), BLOCK_PENDING);
	assert_int_equal(ask(7, 1, BLOCK_FLUSH, 0, 0, NULL), BLOCK_PENDING);
	assert_int_equal(ended, 0);
	assert_int_equal(chan.dma, 1);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(ended, i);
		chan.interrupts = 0;
		irq_fn(irq_arg);
	}
	assert_int_equal(ended, 8);
	assert_int_equal(chan.flushes, 1);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(result[i], BLOCK_OK);
	assert_memory_equal(data, drive[1].data, 7 * 512);
	irq_fn(irq_arg); /* in vain */
	assert_int_equal(ended, 8);
}

/* Memory that the controller cannot reach is copied through some that it can. */
static void test_bounce(void **state)
{
	u8 *high = mmap((void *)0x7000000000, 1 << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true((uintptr_t)high >> 32);
	ask(0, 1, BLOCK_READ, 10, 1000, high);
	interrupt();
	assert_int_equal(result[0], BLOCK_OK);
	assert_memory_equal(high, drive[1].data + 10 * 512, 1000 * 512);
	ask(0, 0, BLOCK_WRITE, 20, 200, high);
	interrupt();
	assert_int_equal(result[0], BLOCK_OK);
	assert_memory_equal(high, drive[0].data + 20 * 512, 200 * 512);
}

/* PRDs: no piece crosses 64 KiB, all of the data is there, the last one is marked; above 4 GiB there are none. */
static void test_prds(void **state)
{
	static struct ide_prd prd[IDE_PRDS];
	struct block_segment s[BLOCK_SEGMENTS];
	struct block_request r = { .segments = 3, .segment = s };

	(void)state;
	s[0] = (struct block_segment){ 0x1fe00, 0x400 };
	s[1] = (struct block_segment){ 0x30000, 0x10000 };
	s[2] = (struct block_segment){ 0xfffffe00, 0x200 };
	assert_int_equal(ide_build_prds(&r, prd), 4);
	assert_int_equal(prd[0].address, 0x1fe00);
	assert_int_equal(prd[0].bytes, 0x200);
	assert_int_equal(prd[1].address, 0x20000);
	assert_int_equal(prd[2].bytes, 0);
	assert_int_equal(prd[2].flags, 0);
	assert_int_equal(prd[3].address, 0xfffffe00);
	assert_int_equal(prd[3].flags, IDE_PRD_LAST);
	s[2].len = 0x400;
	assert_int_equal(ide_build_prds(&r, prd), 0);
	s[2].hpa = 0x100000000;
	assert_int_equal(ide_build_prds(&r, prd), 0);
	/* The most that a request can take fits. */
	r.segments = BLOCK_SEGMENTS;
	for (unsigned int i = 0; i < BLOCK_SEGMENTS; i++)
		s[i] = (struct block_segment){ 0xfe00 + 0x100000ULL * i, 0x2000 };
	assert_int_equal(ide_build_prds(&r, prd), 2 * BLOCK_SEGMENTS);
}

/* An error of the medium is told at once, and the next request is none the worse for it. */
static void test_medium_error(void **state)
{
	u8 *data = dma_alloc(512);

	(void)state;
	drive[1].error = 0x40;
	ask(0, 1, BLOCK_READ, 3, 1, data);
	interrupt();
	assert_int_equal(result[0], BLOCK_ERROR);
	assert_int_equal(chan.resets, 0);
	drive[1].error = 0;
	ask(0, 1, BLOCK_READ, 3, 1, data);
	interrupt();
	assert_int_equal(result[0], BLOCK_OK);
}

/* A bad transfer is tried once more, after a reset; not a third time. */
static void test_transfer_error(void **state)
{
	u8 *data = dma_alloc(512);

	(void)state;
	drive[1].error = 0x84;
	ask(0, 1, BLOCK_READ, 3, 1, data);
	interrupt();
	assert_int_equal(result[0], BLOCK_PENDING);
	drive[1].error = 0;
	wait(1);
	interrupt();
	assert_int_equal(result[0], BLOCK_OK);
	assert_int_equal(chan.resets, 1);
	assert_memory_equal(data, drive[1].data + 3 * 512, 512);
	drive[1].error = 0x84;
	ask(0, 1, BLOCK_READ, 3, 1, data);
	wait(2);
	assert_int_equal(result[0], BLOCK_ERROR);
	assert_int_equal(chan.resets, 3);
}

/* An interrupt that gets lost is found by the poll. */
static void test_lost_interrupt(void **state)
{
	u8 *data = dma_alloc(512);

	(void)state;
	ask(0, 1, BLOCK_READ, 3, 1, data);
	chan.interrupts = 0;
	wait(1);
	assert_int_equal(result[0], BLOCK_OK);
	assert_int_equal(chan.resets, 0);
}

/* A drive that hangs: a time-out, a reset, another try; then it and all that waits behind it are errors. It may come back. */
static void test_hang(void **state)
{
	u8 *data = dma_alloc(4 * 512);

	(void)state;
	ended = 0;
	drive[1].hang = true;
	for (unsigned int i = 0; i < 3; i++)
		ask(i, 1, BLOCK_READ, i, 1, data);
	wait(9);
	assert_int_equal(ended, 0);
	assert_true(found[0]->ops->busy(found[0]->ctx));
	wait(13);
	assert_int_equal(ended, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(result[i], BLOCK_ERROR);
	assert_int_equal(chan.resets, 2);
	assert_false(found[0]->ops->busy(found[0]->ctx));
	drive[1].hang = false;
	ask(0, 1, BLOCK_READ, 0, 1, data);
	interrupt();
	assert_int_equal(result[0], BLOCK_OK);
}

/* A drive that vanishes: errors, at once from then on, however many requests there are. */
static void test_vanish(void **state)
{
	u8 *data = dma_alloc(4 * 512);

	(void)state;
	ended = 0;
	drive[1].vanished = true;
	for (unsigned int i = 0; i < 3; i++)
		ask(i, 1, BLOCK_READ, i, 1, data);
	wait(60);
	assert_int_equal(ended, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(result[i], BLOCK_ERROR);
	assert_int_equal(ask(3, 1, BLOCK_READ, 0, 1, data), BLOCK_ERROR);
	assert_non_null(strstr(capture_text(), "disk: ide0.1: it does not answer any more"));
	/* The other one is none the worse for it. */
	ask(0, 0, BLOCK_READ, 0, 1, data);
	interrupt();
	assert_int_equal(result[0], BLOCK_OK);
}

/* A disk that fails for a long time does not fill the log. */
static void test_log(void **state)
{
	u8 *data = dma_alloc(512);
	unsigned int lines = 0;

	(void)state;
	drive[1].error = 0x40;
	for (int i = 0; i < 100; i++) {
		ask(0, 1, BLOCK_READ, 3, 1, data);
		interrupt();
		assert_int_equal(result[0], BLOCK_ERROR);
	}
	for (const char *c = capture_text(); *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 10);
}

static int teardown(void **state)
{
	(void)state;
	capture_stop();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identify),
		TEST(test_transfer),
		TEST(test_queue),
		TEST(test_bounce),
		TEST(test_prds),
		TEST(test_medium_error),
		TEST(test_transfer_error),
		TEST(test_lost_interrupt),
		TEST(test_hang),
		TEST(test_vanish),
		TEST(test_log),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
