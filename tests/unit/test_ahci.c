/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers/ahci against a controller with a disk that obeys, fails, falls asleep, or is pulled out. */
#include "drivers/ahci.h"
#include "drivers/ahci_private.h"
#include "tests/unit/fake_hostdev.h"
#include "tests/unit/fake_iomem.h"

#define SECTORS 4096u
#define PORT    1u
#define BASE    AHCI_PORT(PORT)

static struct {
	u8 regs[0x200];
	u8 disk[SECTORS * 512];
	const char *serial;
	unsigned int depth; /* of its queue; 0: no queued commands */
	unsigned int commands, queued, resets, flushes, trims;
	u32 bad_sector; /* cannot be read; 0: none */
	/* What is wrong with it. */
	bool gone, asleep, absent, stuck;
	u64 link_at; /* until then the disk is there and does not talk; 0: it does from the start */
	unsigned int reads; /* of registers */
} dev;

static u32 get(unsigned int reg)
{
	u32 v;

	memcpy(&v, dev.regs + reg, 4);
	return v;
}

static void set(unsigned int reg, u32 v)
{
	memcpy(dev.regs + reg, &v, 4);
}

static void raise(u32 bits)
{
	set(BASE + AHCI_PxIS, get(BASE + AHCI_PxIS) | bits);
	set(AHCI_IS, get(AHCI_IS) | 1u << PORT);
}

static void ata_text(u16 *words, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		u16 c = (u16)(i < strlen(text) ? text[i] : ' ');

		words[i / 2] |= (u16)(i % 2 ? c : c << 8);
	}
}

static void identify(u16 *words)
{
	u64 sectors = SECTORS;

	memset(words, 0, 512);
	ata_text(words + ATA_ID_SERIAL, dev.serial, ATA_ID_SERIAL_LEN);
	ata_text(words + ATA_ID_MODEL, "A disk", ATA_ID_MODEL_LEN);
	words[ATA_ID_COMMANDS] = 0x4000 | BIT(10) | BIT(13);
	memcpy(words + ATA_ID_SECTORS, &sectors, 8);
	words[ATA_ID_ENABLED] = BIT(5);
	words[ATA_ID_DSM] = 1;
	if (dev.depth) {
		words[ATA_ID_SATA] = BIT(8);
		words[ATA_ID_QUEUE_DEPTH] = (u16)(dev.depth - 1);
	}
}

static void move(const struct ahci_header *h, const struct ahci_table *t, u64 sector, bool write)
{
	u8 *at = dev.disk + sector * 512;

	for (unsigned int i = 0; i < h->prdt_entries; i++) {
		u32 len = t->prd[i].bytes_less_one + 1;

		assert_true(at + len <= dev.disk + sizeof(dev.disk));
		if (write)
			memcpy(at, (void *)(uintptr_t)t->prd[i].base, len);
		else
			memcpy((void *)(uintptr_t)t->prd[i].base, at, len);
		at += len;
	}
}

static void trim(const u64 *range)
{
	for (unsigned int i = 0; i < ATA_TRIM_RANGES; i++)
		memset(dev.disk + (range[i] & ((1ULL << 48) - 1)) * 512, 0xdd,
		       (range[i] >> 48) * 512);
	dev.trims++;
}

/* False: it has failed. */
static bool obey(unsigned int slot)
{
	const struct ahci_header *h = (const struct ahci_header *)(uintptr_t)make_64(
		get(BASE + AHCI_PxCLB + 4), get(BASE + AHCI_PxCLB));
	const struct ahci_table *t = (const struct ahci_table *)(uintptr_t)h[slot].table;
	u64 lba = t->fis.lba0 | t->fis.lba1 << 8 | t->fis.lba2 << 16;
	bool queued = t->fis.command == ATA_READ_FPDMA || t->fis.command == ATA_WRITE_FPDMA;
	u32 count = queued ? t->fis.feature | t->fis.feature_high << 8 : t->fis.count;

	assert_int_equal(h[slot].flags & 31, 5);
	if (t->fis.command == ATA_IDENTIFY) {
		identify((u16 *)(uintptr_t)t->prd[0].base);
		return true;
	}
	dev.commands++;
	dev.queued += queued;
	/* Queued commands and others never at once. */
	assert_true(queued == !!(get(BASE + AHCI_PxSACT) & 1u << slot));
	assert_true(queued ? get(BASE + AHCI_PxCI) == get(BASE + AHCI_PxSACT)
			   : get(BASE + AHCI_PxCI) == 1u << slot && !get(BASE + AHCI_PxSACT));
	if (queued)
		assert_int_equal(t->fis.count >> 3, slot);
	switch (t->fis.command) {
	case ATA_READ_FPDMA:
	case ATA_READ_DMA_EXT:
		if (dev.bad_sector && lba <= dev.bad_sector && dev.bad_sector < lba + count)
			return false;
		move(&h[slot], t, lba, false);
		return true;
	case ATA_WRITE_FPDMA:
	case ATA_WRITE_DMA_EXT:
		assert_true(h[slot].flags & AHCI_HEADER_WRITE);
		move(&h[slot], t, lba, true);
		return true;
	case ATA_FLUSH_CACHE_EXT: dev.flushes++; return true;
	case ATA_DSM: trim((const u64 *)(uintptr_t)t->prd[0].base); return true;
	}
	fail_msg("command 0x%x", t->fis.command);
	return false;
}

static void run(void)
{
	for (unsigned int slot = 0; slot < 32 && !dev.asleep; slot++) {
		bool ok;

		if (!(get(BASE + AHCI_PxCI) & 1u << slot) ||
		    !(get(BASE + AHCI_PxCMD) & AHCI_CMD_START))
			continue;
		ok = obey(slot);
		if (!ok) { /* and nothing more until it is reset or started anew */
			set(BASE + AHCI_PxTFD, AHCI_TFD_ERR | 0x40);
			raise(AHCI_INT_TASK_FILE);
			return;
		}
		set(BASE + AHCI_PxCI, get(BASE + AHCI_PxCI) & ~(1u << slot));
		set(BASE + AHCI_PxSACT, get(BASE + AHCI_PxSACT) & ~(1u << slot));
		raise(AHCI_INT_D2H);
	}
}

static void connect_disk(bool there)
{
	set(BASE + AHCI_PxSSTS, there ? 0x123 : 0);
	set(BASE + AHCI_PxSIG, there ? AHCI_SIG_DISK : 0);
	set(BASE + AHCI_PxTFD, there ? 0x50 : 0x7f);
}

static u64 dev_read(const void *at, unsigned int size)
{
	u64 v = 0;

	dev.reads++;
	if (dev.link_at && machine.now >= dev.link_at) {
		dev.link_at = 0;
		connect_disk(true);
	}
	memcpy(&v, at, size);
	return dev.gone ? ~0ULL : v;
}

static void write_command(u32 value)
{
	bool was = get(BASE + AHCI_PxCMD) & AHCI_CMD_RUNNING;

	if (value & AHCI_CMD_START || (dev.stuck && was))
		value |= AHCI_CMD_RUNNING;
	else
		value &= ~AHCI_CMD_RUNNING;
	set(BASE + AHCI_PxCMD, value);
	if (!(value & AHCI_CMD_START)) {
		set(BASE + AHCI_PxCI, 0);
		set(BASE + AHCI_PxSACT, 0);
	}
}

static void dev_write(void *at, u64 value, unsigned int size)
{
	unsigned int reg = (unsigned int)((u8 *)at - dev.regs);
	u32 v = (u32)value;

	assert_int_equal(size, 4);
	assert_true(reg + size <= sizeof(dev.regs));
	if (dev.gone)
		return;
	switch (reg) {
	case AHCI_GHC: set(reg, v & ~AHCI_GHC_RESET); break;
	case AHCI_IS: /* a latch of what ports want to say, and they may still want to */
		set(reg, get(reg) & ~v);
		if (get(BASE + AHCI_PxIS) & get(BASE + AHCI_PxIE))
			raise(0);
		break;
	case BASE + AHCI_PxIS:
	case BASE + AHCI_PxSERR: set(reg, get(reg) & ~v); break;
	case BASE + AHCI_PxSACT: set(reg, get(reg) | v); break;
	case BASE + AHCI_PxCI:
		assert_true(get(BASE + AHCI_PxCMD) & AHCI_CMD_START);
		set(reg, get(reg) | v);
		run();
		break;
	case BASE + AHCI_PxCMD: write_command(v); break;
	case BASE + AHCI_PxSCTL:
		if (v & AHCI_SCTL_RESET)
			dev.resets++;
		set(reg, v);
		connect_disk(!dev.absent && !dev.link_at);
		if (dev.link_at)
			set(BASE + AHCI_PxSSTS, AHCI_DET_DEVICE);
		break;
	default: set(reg, v);
	}
}

static const struct pci_device function = { .bar = { [5] = { 0xfe000000, 0x200, false } } };

static void make_controller(unsigned int depth)
{
	memset(&dev, 0, sizeof(dev));
	for (unsigned int i = 0; i < sizeof(dev.disk); i++)
		dev.disk[i] = (u8)(i / 512 * 3 + i);
	dev.serial = "SN 1";
	dev.depth = depth;
	set(AHCI_CAP, AHCI_CAP_NCQ | AHCI_CAP_64BIT | 31 << 8);
	set(AHCI_PI, 1u << PORT);
	connect_disk(true);
	fake_iomem = (struct fake_iomem){ dev_read, dev_write };
	machine_reset(dev.regs);
}

static void plug_in(unsigned int depth)
{
	make_controller(depth);
	assert_int_equal(ahci_probe(&function, &fake_env), 0);
	assert_int_equal(machine.disks, 1);
}

static int start(void **state)
{
	(void)state;
	plug_in(32);
	return 0;
}

static u8 data[1 << 20];

static void poll_until(struct asked *a, u64 ms)
{
	for (u64 i = 0; i < ms / 100 && !a->ended; i++) {
		pass_ms(100);
		block_poll(machine.disk);
	}
}

/* Asleep, it has taken nothing yet; awake, it does all. */
static void wake(void)
{
	dev.asleep = false;
	run();
	machine.irq(machine.irq_arg);
}

static void test_geometry(void **state)
{
	(void)state;
	assert_string_equal(machine.disk->name, "ahci0.1");
	assert_string_equal(machine.disk->serial, "SN_1");
	assert_int_equal(machine.disk->sectors, SECTORS);
	assert_true(machine.disk->write_cache && machine.disk->can_discard);
	assert_false(machine.disk->can_write_zeroes);
}

/* Data, a flush, and a TRIM of all the disk, with and without queued commands. */
static void test_data(void **state)
{
	struct asked a;

	(void)state;
	for (unsigned int depth = 0; depth <= 32; depth += 32) {
		plug_in(depth);
		assert_int_equal(ask(&a, BLOCK_READ, 5, 100, data), BLOCK_PENDING);
		assert_int_equal(a.ended, 0);
		machine.irq(machine.irq_arg);
		assert_int_equal(a.ended, 1);
		assert_int_equal(a.result, BLOCK_OK);
		assert_memory_equal(data, dev.disk + 5 * 512, 100 * 512);
		memset(data, 0x5a, sizeof(data));
		assert_int_equal(ask(&a, BLOCK_WRITE, 7, 3, data), BLOCK_PENDING);
		machine.irq(machine.irq_arg);
		assert_memory_equal(data, dev.disk + 7 * 512, 3 * 512);
		assert_int_equal(dev.queued, depth ? 2 : 0);
		assert_int_equal(ask(&a, BLOCK_FLUSH, 0, 0, NULL), BLOCK_PENDING);
		machine.irq(machine.irq_arg);
		assert_int_equal(dev.flushes, 1);
		assert_int_equal(ask(&a, BLOCK_DISCARD, 8, SECTORS - 8, NULL), BLOCK_PENDING);
		machine.irq(machine.irq_arg);
		assert_int_equal(dev.disk[8 * 512 - 1], 0x5a);
		assert_int_equal(dev.disk[8 * 512] & dev.disk[sizeof(dev.disk) - 1], 0xdd);
	}
}

/* Commands of the two kinds do not mix (the device above looks), and all end, once each. */
static void test_many(void **state)
{
	static struct asked a[100];

	(void)state;
	dev.asleep = true;
	for (unsigned int i = 0; i < 100; i++) {
		enum block_op op = i % 7 == 3 ? BLOCK_FLUSH : BLOCK_READ;
		u64 sectors = op == BLOCK_READ ? 8 : 0;

		assert_int_equal(ask(&a[i], op, op == BLOCK_READ ? i : 0, sectors,
				     sectors ? data + i * 4096 : NULL),
				 BLOCK_PENDING);
	}
	assert_int_equal(dev.commands, 0);
	wake();
	for (unsigned int i = 0; i < 100; i++)
		machine.irq(machine.irq_arg);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(a[i].ended, 1);
		assert_int_equal(a[i].result, BLOCK_OK);
		if (a[i].request.op == BLOCK_READ)
			assert_memory_equal(data + i * 4096, dev.disk + i * 512, 4096);
	}
	assert_int_equal(dev.flushes, 14);
}

/* Of many queued commands the one that fails is BLOCK_ERROR, and it alone. */
static void test_read_error(void **state)
{
	static struct asked a[10];

	(void)state;
	for (unsigned int depth = 0; depth <= 32; depth += 32) {
		plug_in(depth);
		dev.bad_sector = 35;
		dev.asleep = true;
		for (unsigned int i = 0; i < 10; i++)
			assert_int_equal(ask(&a[i], BLOCK_READ, i * 10, 10, data), BLOCK_PENDING);
		wake();
		for (unsigned int i = 0; i < 10; i++)
			poll_until(&a[i], 3000);
		for (unsigned int i = 0; i < 10; i++) {
			assert_int_equal(a[i].ended, 1);
			assert_int_equal(a[i].result, i == 3 ? BLOCK_ERROR : BLOCK_OK);
		}
		assert_int_equal(dev.resets, depth ? 1 : 0);
	}
}

static void test_timeout(void **state)
{
	struct asked late, other;

	(void)state;
	dev.asleep = true;
	assert_int_equal(ask(&late, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	pass_ms(5000);
	assert_int_equal(ask(&other, BLOCK_READ, 8, 8, data + 4096), BLOCK_PENDING);
	pass_ms(4900);
	block_poll(machine.disk);
	assert_int_equal(dev.resets, 0);
	pass_ms(200);
	block_poll(machine.disk);
	dev.asleep = false;
	poll_until(&other, 3000);
	assert_int_equal(dev.resets, 1);
	assert_int_equal(late.result, BLOCK_ERROR);
	assert_int_equal(other.ended, 1);
	assert_int_equal(other.result, BLOCK_OK);
	assert_memory_equal(data + 4096, dev.disk + 4096, 4096);
}

/* An engine that does not stop could still write to memory: the controller loses the bus before that is given back. */
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
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_ERROR);
}

static void test_pulled_out(void **state)
{
	struct asked a;

	(void)state;
	dev.asleep = dev.absent = true;
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	connect_disk(false);
	raise(AHCI_INT_PHY);
	machine.irq(machine.irq_arg);
	assert_int_equal(get(BASE + AHCI_PxIE), 0); /* a line would stay up until time has passed */
	poll_until(&a, 5000);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.result, BLOCK_ERROR);
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_ERROR);
}

/* After a loss of the link the same disk goes on, and another one gets nothing that was meant for it. */
static void test_link_lost(void **state)
{
	struct asked a;
	u8 before = dev.disk[0];

	(void)state;
	memset(data, ~before, 4096);
	for (unsigned int i = 0; i < 2; i++) {
		dev.asleep = true;
		dev.serial = i ? "SN 2" : "SN 1";
		assert_int_equal(ask(&a, BLOCK_WRITE, i * 8, 8, data), BLOCK_PENDING);
		raise(AHCI_INT_PHY);
		block_poll(machine.disk);
		dev.asleep = false;
		poll_until(&a, 5000);
		assert_int_equal(a.result, i ? BLOCK_ERROR : BLOCK_OK);
	}
	assert_memory_equal(dev.disk, data, 4096);
	assert_int_equal(dev.disk[4096], (u8)(8 * 3 + 4096));
}

static void test_controller_gone(void **state)
{
	struct asked a;

	(void)state;
	dev.asleep = true;
	assert_int_equal(ask(&a, BLOCK_READ, 0, 8, data), BLOCK_PENDING);
	dev.gone = true;
	machine.irq(machine.irq_arg);
	poll_until(&a, 5000);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.result, BLOCK_ERROR);
}

static void test_identity(void **state)
{
	u16 words[ATA_ID_WORDS];
	struct ahci_identity id;

	(void)state;
	dev.serial = "  X";
	identify(words);
	words[ATA_ID_SIZES] = 0x4000 | BIT(12) | BIT(13) | 1;
	words[ATA_ID_LOGICAL_SIZE] = 2048;
	assert_null(ahci_identity(words, &id));
	assert_string_equal(id.serial, "X");
	assert_int_equal(id.block_size, 4096);
	assert_int_equal(id.physical_block_size, 8192);
	assert_int_equal(id.sectors, SECTORS * 8);
	words[ATA_ID_LOGICAL_SIZE] = 3000;
	assert_non_null(ahci_identity(words, &id));
	identify(words);
	words[ATA_ID_COMMANDS] = 0xffff; /* not valid */
	assert_non_null(ahci_identity(words, &id));
	memset(words, 0, sizeof(words));
	assert_non_null(ahci_identity(words, &id));
}

/* A port without a device is looked at now and then, for a fifth of a second, and nothing is shown. */
static void test_empty_port(void **state)
{
	(void)state;
	make_controller(32);
	dev.absent = true;
	connect_disk(false);
	assert_int_equal(ahci_probe(&function, &fake_env), 0);
	assert_int_equal(machine.disks, 0);
	assert_in_range(machine.now, FAKE_HZ / 5, FAKE_HZ / 4);
	assert_in_range(dev.reads, 10, 100);
}

/* A device that has said that it is there is waited for longer. */
static void test_slow_link(void **state)
{
	(void)state;
	make_controller(32);
	dev.link_at = FAKE_HZ;
	assert_int_equal(ahci_probe(&function, &fake_env), 0);
	assert_int_equal(machine.disks, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_geometry, start),
		cmocka_unit_test(test_data),
		cmocka_unit_test_setup(test_many, start),
		cmocka_unit_test(test_read_error),
		cmocka_unit_test_setup(test_timeout, start),
		cmocka_unit_test_setup(test_stuck, start),
		cmocka_unit_test_setup(test_pulled_out, start),
		cmocka_unit_test_setup(test_link_lost, start),
		cmocka_unit_test_setup(test_controller_gone, start),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_empty_port),
		cmocka_unit_test(test_slow_link),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	machine_reset(NULL);
	return failed;
}
