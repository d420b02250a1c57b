/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drivers/e1000 against a card made of a register file and rings: frames go in and out whole and in order,
 * whatever the rings' state, and nothing that a broken or hostile card writes is believed.
 */
#include "drivers/e1000.h"
#include "drivers/pci.h"
#include "lib/errno.h"
#include "tests/unit/host_support.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TSC_HZ  1000000000ULL
#define WORD(r) ((r) / 4)

/* The card. Registers hold what was written, but for those that do something. */
static struct {
	u32 reg[E1000_BAR_SIZE / 4];
	u32 ims, icr, phy;
	u16 eeprom[3];
	unsigned int resets;
	bool absent, stuck_in_reset, tx_stuck, no_eeprom, phy_asleep, late_irq;
	u8 sent[4096][2048];
	u16 sent_len[4096];
	unsigned int sent_count;
} card;

static struct pci_device pci;
static u16 msix_control;
static unsigned int silenced;
static bool no_irq;
static u64 tsc;
static void (*irq_fn)(void *arg);
static void *irq_arg;
static struct nic *nic;
static struct e1000 *e;

/* --- the machine, as the driver asks for it */

static void *allocated[16];
static unsigned int allocations, allocations_left;

static u64 fake_now(void)
{
	return tsc += 100;
}

/* Sanitizers watch each piece; addresses above 4 GiB do here, since the card takes 64 bits. */
static void *fake_dma_alloc(u64 bytes)
{
	void *p;

	if (!allocations_left)
		return NULL;
	allocations_left--;
	assert_int_equal(posix_memalign(&p, 4096, bytes), 0);
	memset(p, 0, bytes);
	allocated[allocations++] = p;
	return p;
}

static int fake_irq(const struct pci_device *dev, unsigned int entry, void (*fn)(void *arg),
		    void *arg)
{
	assert_ptr_equal(dev, &pci);
	assert_int_equal(entry, 0);
	irq_fn = fn;
	irq_arg = arg;
	return no_irq ? -ENODEV : 0;
}

static void fake_add_nic(struct nic *found)
{
	nic = found;
}

void pci_enable(const struct pci_device *dev, bool intx)
{
	assert_ptr_equal(dev, &pci);
	assert_true(intx);
}

u16 pci_read16(const struct pci_device *dev, u16 reg)
{
	(void)dev;
	assert_int_equal(reg, pci.msix + 2);
	return msix_control;
}

void pci_silence(const struct pci_device *dev)
{
	assert_ptr_equal(dev, &pci);
	silenced++;
}

const char *pci_name(const struct pci_device *dev, char *text, size_t size)
{
	(void)dev;
	snprintf(text, size, "00:02.0");
	return text;
}

static struct hostdev_env env = {
	.tsc_hz = TSC_HZ,
	.now = fake_now,
	.dma_alloc = fake_dma_alloc,
	.irq = fake_irq,
	.add_nic = fake_add_nic,
};

/* --- the card */

static void card_cause(u32 bits)
{
	card.icr |= bits;
	if (card.icr & card.ims && !card.late_irq && irq_fn)
		card.late_irq = true; /* runs when the test says so: never within the driver */
}

static void card_send_all(void)
{
	u64 base = make_64(card.reg[WORD(E1000_TDBAH)], card.reg[WORD(E1000_TDBAL)]);
	struct e1000_tx_desc *ring = (void *)(uintptr_t)base;
	unsigned int count = card.reg[WORD(E1000_TDLEN)] / sizeof(*ring);
	u32 *head = &card.reg[WORD(E1000_TDH)];

	if (!(card.reg[WORD(E1000_TCTL)] & E1000_TCTL_EN) || card.tx_stuck)
		return;
	assert_true(card.reg[WORD(E1000_TDT)] < count);
	while (*head != card.reg[WORD(E1000_TDT)]) {
		struct e1000_tx_desc *d = &ring[*head];

		assert_int_equal(d->cmd, 0xb);
		assert_false(d->status & E1000_TXD_DD);
		assert_in_range(d->length, 60, E1000_MAX_FRAME);
		memcpy(card.sent[card.sent_count % 4096], (void *)(uintptr_t)d->address, d->length);
		card.sent_len[card.sent_count++ % 4096] = d->length;
		d->status |= E1000_TXD_DD;
		*head = (*head + 1) % count;
	}
}

/* One descriptor for what came from the wire; false: the card has none. */
static bool card_fill(const void *data, u16 length, u8 status, u8 errors)
{
	u64 base = make_64(card.reg[WORD(E1000_RDBAH)], card.reg[WORD(E1000_RDBAL)]);
	struct e1000_rx_desc *ring = (void *)(uintptr_t)base;
	unsigned int count = card.reg[WORD(E1000_RDLEN)] / sizeof(*ring);
	u32 *head = &card.reg[WORD(E1000_RDH)];

	assert_true(card.reg[WORD(E1000_RCTL)] & E1000_RCTL_EN);
	assert_true(card.reg[WORD(E1000_RDT)] < count);
	if (*head == card.reg[WORD(E1000_RDT)]) {
		card_cause(E1000_INT_RXO);
		return false;
	}
	assert_int_equal(ring[*head].status, 0);
	assert_int_equal(ring[*head].errors, 0);
	if (data)
		memcpy((void *)(uintptr_t)ring[*head].address, data, MIN(length, (u16)2048));
	ring[*head].length = length;
	ring[*head].errors = errors;
	ring[*head].status = status;
	*head = (*head + 1) % count;
	card_cause(e && e->msix ? E1000_INT_RXQ0 : E1000_INT_RXT0);
	return true;
}

static void card_reset(void)
{
	card.resets++;
	memset(card.reg, 0, sizeof(card.reg));
	card.reg[WORD(E1000_STATUS)] = E1000_STATUS_LU | E1000_STATUS_FD;
	card.reg[WORD(E1000_CTRL)] = card.stuck_in_reset ? (u32)E1000_CTRL_RST : 0;
	card.ims = card.icr = 0;
	card.tx_stuck = false;
}

static u32 card_read(void *chip, u32 reg)
{
	u32 value;

	assert_ptr_equal(chip, &card);
	assert_true(reg % 4 == 0 && reg < E1000_BAR_SIZE);
	if (card.absent)
		return 0xffffffff;
	if (reg == E1000_ICR) {
		value = card.icr;
		if (!(msix_control & 0x8000))
			card.icr = 0;
		return value;
	}
	return card.reg[WORD(reg)];
}

static void card_eerd(u32 value)
{
	bool express = pci.device == 0x10d3;
	u32 word = (value & 0xffff) >> (express ? 2 : 8);

	assert_true(value & E1000_EERD_START && word < 3);
	if (!card.no_eeprom)
		card.reg[WORD(E1000_EERD)] = (u32)card.eeprom[word] << 16 | (express ? 2 : 16);
}

static void card_mdic(u32 value)
{
	assert_int_equal(value >> 16 & 0x3ff, 1 << 5); /* PHY 1, register 0 */
	if (value & E1000_MDIC_WRITE)
		card.phy = value & 0xffff;
	card.reg[WORD(E1000_MDIC)] = (value & 0xffff0000) | (card.phy & 0xffff) | E1000_MDIC_READY;
}

static void card_write(void *chip, u32 reg, u32 value)
{
	assert_ptr_equal(chip, &card);
	if (card.absent)
		return;
	switch (reg) {
	case E1000_ICR: card.icr &= ~value; return;
	case E1000_ICS: card_cause(value); return;
	case E1000_IMS:
		card.ims |= value;
		card_cause(0);
		return;
	case E1000_IMC: card.ims &= ~value; return;
	case E1000_EERD: card_eerd(value); return;
	case E1000_MDIC: card_mdic(value); return;
	case E1000_CTRL:
		card.reg[WORD(reg)] = value;
		if (value & E1000_CTRL_RST)
			card_reset();
		return;
	}
	card.reg[WORD(reg)] = value;
	if (reg == E1000_TDT)
		card_send_all();
}

static const struct e1000_regs regs = { card_read, card_write, &card };

/* The interrupts that are pending, until the card wants no more; how many. */
static unsigned int interrupts(void)
{
	unsigned int count = 0;

	while (card.late_irq) {
		assert_true(count < 1000);
		card.late_irq = false;
		irq_fn(irq_arg);
		count++;
		if (card.icr & card.ims && !(msix_control & 0x8000))
			card.late_irq = true;
	}
	return count;
}

/* --- the card's user */

static u8 got[4096][2048];
static u16 got_len[4096];
static unsigned int got_count, link_changes;
static bool bounce;

static void user_receive(void *user, const void *frame, u32 len)
{
	assert_ptr_equal(user, &got);
	assert_in_range(len, 14, 2048);
	memcpy(got[got_count % 4096], frame, len);
	got_len[got_count++ % 4096] = (u16)len;
	if (bounce)
		nic->transmit(nic->driver, frame, len);
	/* What the driver must survive: to be called again from here. */
	nic->poll(nic->driver);
}

static void user_ignore(void *user, const void *frame, u32 len)
{
	(void)user;
	(void)frame;
	(void)len;
}

static void user_link_changed(void *user)
{
	assert_ptr_equal(user, &got);
	link_changes++;
	assert_true(atomic_load(&e->lock.taken) == false);
}

static void attach(void)
{
	assert_int_equal(e1000_attach(&pci, &env, regs), 0);
	assert_non_null(nic);
	e = nic->driver;
	nic->user = &got;
	nic->receive = user_receive;
	nic->link_changed = user_link_changed;
	nic->poll(nic->driver);
}

static int setup(void **state)
{
	(void)state;
	memset(&card, 0, sizeof(card));
	card.reg[WORD(E1000_STATUS)] = E1000_STATUS_LU;
	memcpy(card.eeprom, "\x52\x54\x00\x12\x34\x56", 6);
	card.phy = 0x1140;
	pci = (struct pci_device){ .vendor = 0x8086, .device = 0x100e };
	msix_control = 0;
	no_irq = bounce = false;
	tsc = 0;
	irq_fn = NULL;
	nic = NULL;
	e = NULL;
	got_count = link_changes = silenced = 0;
	allocations = 0;
	allocations_left = ARRAY_SIZE(allocated);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < allocations; i++)
		free(allocated[i]);
	return 0;
}

static int setup_attached(void **state)
{
	setup(state);
	attach();
	return 0;
}

static void make_frame(u8 *frame, unsigned int number, u32 len)
{
	for (u32 i = 0; i < len; i++)
		frame[i] = (u8)(number * 7 + i + number / 256);
}

static bool wire(unsigned int number, u32 len)
{
	u8 frame[2048];

	make_frame(frame, number, len);
	return card_fill(frame, (u16)len, E1000_RXD_DD | E1000_RXD_EOP, 0);
}

static void expect_got(unsigned int index, unsigned int number, u32 len)
{
	u8 frame[2048];

	make_frame(frame, number, len);
	assert_int_equal(got_len[index], len);
	assert_memory_equal(got[index], frame, len);
}

static bool transmit(unsigned int number, u32 len)
{
	u8 frame[2048];

	make_frame(frame, number, MIN(len, 2048u));
	return nic->transmit(nic->driver, frame, len);
}

static void pass(u64 ms)
{
	tsc += TSC_HZ / 1000 * ms;
	nic->poll(nic->driver);
}

/* --- set-up */

/* The card was reset, and is set up to receive everything without its CRC into a ring that it may fill. */
static void test_attach(void **state)
{
	(void)state;
	assert_int_equal(card.resets, 1);
	assert_memory_equal(nic->mac, "\x52\x54\x00\x12\x34\x56", 6);
	assert_int_equal(card.reg[WORD(E1000_RAL0)], 0x12005452);
	assert_int_equal(card.reg[WORD(E1000_RAH0)], 0x80005634);
	assert_int_equal(nic->mtu, 1500);
	assert_true(nic->link);
	assert_string_equal(nic->name, "e1000 00:02.0");
	assert_int_equal(card.reg[WORD(E1000_RCTL)], E1000_RCTL_EN | E1000_RCTL_UPE |
							     E1000_RCTL_MPE | E1000_RCTL_BAM |
							     E1000_RCTL_SECRC);
	assert_int_equal(card.reg[WORD(E1000_RDT)], 255);
	assert_int_equal(card.reg[WORD(E1000_RDLEN)], 4096);
	assert_true(card.reg[WORD(E1000_CTRL)] & E1000_CTRL_SLU);
	assert_int_equal(card.ims, 0xd4);
	assert_true(card.reg[WORD(E1000_ITR)] > 0);
}

/* Other cards, even of the same maker, are not touched, but for their interrupt pins. */
static void test_not_ours(void **state)
{
	(void)state;
	pci.device = 0x1533;
	assert_int_equal(e1000_probe(&pci, &env), -ENODEV);
	pci.device = 0x100e;
	pci.vendor = 0x1af4;
	assert_int_equal(e1000_probe(&pci, &env), -ENODEV);
	assert_int_equal(allocations, 0);
	assert_int_equal(silenced, 2);
}

/* A BAR that is not there, is of ports or too short is no place for registers. */
static void test_bad_bar(void **state)
{
	(void)state;
	assert_int_equal(e1000_probe(&pci, &env), -EIO);
	pci.bar[0] = (struct pci_bar){ .base = 0xc000, .size = 64, .io = true };
	assert_int_equal(e1000_probe(&pci, &env), -EIO);
	pci.bar[0] = (struct pci_bar){ .base = 0xe0000000, .size = 0x1000 };
	assert_int_equal(e1000_probe(&pci, &env), -EIO);
	assert_null(nic);
}

/* A card that is not there, does not leave its reset, or has no address is given up, in bounded time. */
static void test_dead_cards(void **state)
{
	(void)state;
	card.absent = true;
	assert_int_equal(e1000_attach(&pci, &env, regs), -EIO);
	card.absent = false;
	card.stuck_in_reset = true;
	assert_int_equal(e1000_attach(&pci, &env, regs), -EIO);
	card.stuck_in_reset = false;
	card.no_eeprom = true;
	assert_int_equal(e1000_attach(&pci, &env, regs), -EIO);
	card.no_eeprom = false;
	memset(card.eeprom, 0xff, 6); /* a multicast address */
	assert_int_equal(e1000_attach(&pci, &env, regs), -EIO);
	memset(card.eeprom, 0, 6);
	assert_int_equal(e1000_attach(&pci, &env, regs), -EIO);
	assert_true(tsc < TSC_HZ);
	assert_null(nic);
}

/* Without memory for all rings and buffers there is no card. */
static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 5; n++) {
		allocations_left = n;
		assert_int_equal(e1000_attach(&pci, &env, regs), -ENOMEM);
	}
	assert_null(nic);
}

/* A PHY that was put to sleep is woken; one that is awake is not disturbed. */
static void test_phy(void **state)
{
	(void)state;
	attach();
	assert_int_equal(card.phy, 0x1140);
	card.phy = 0x1940;
	attach();
	assert_int_equal(card.phy, 0x1200);
}

/* The 82574 in MSI-X mode: all causes are entry 0's, and are cleared by writing. */
static void test_msix(void **state)
{
	(void)state;
	pci.device = 0x10d3;
	pci.msix = 0xa0;
	msix_control = 0x8004;
	attach();
	assert_int_equal(card.ims, E1000_INT_RXQ0 | E1000_INT_OTHER | E1000_INT_LSC);
	assert_int_equal(card.reg[WORD(E1000_IVAR)], 0x80808);
	assert_true(card.reg[WORD(E1000_TXDCTL)] & E1000_TXDCTL_COUNT_DESC);
	for (unsigned int i = 0; i < 1000; i++) {
		assert_true(wire(i, 100));
		assert_int_equal(interrupts(), 1);
		assert_int_equal(card.icr, 0);
		expect_got(i, i, 100);
	}
}

/* --- receive */

/* Frames of all lengths arrive whole, once and in order, many times around the ring. */
static void test_receive(void **state)
{
	u32 len[2000];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(len); i++) {
		len[i] = 60 + (u32)rand() % 1459;
		assert_true(wire(i, len[i]));
		if (rand() % 40 == 0)
			interrupts();
	}
	interrupts();
	assert_int_equal(got_count, ARRAY_SIZE(len));
	for (unsigned int i = 0; i < ARRAY_SIZE(len); i++)
		expect_got(i, i, len[i]);
	assert_int_equal(e->counters.rx_broken, 0);
}

/* A ring that runs full drops frames on the wire, and goes on where it was: 255 descriptors are the card's. */
static void test_receive_full(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		unsigned int taken = 0;

		got_count = 0;
		while (wire(taken, 64))
			taken++;
		assert_int_equal(taken, 255);
		interrupts();
		assert_int_equal(got_count, 255);
		for (unsigned int i = 0; i < 255; i++)
			expect_got(i, i, 64);
	}
}

/* One interrupt hands out a bounded number of frames; the rest come by the next ones, without new frames. */
static void test_budget(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 200; i++)
		assert_true(wire(i, 64));
	card.late_irq = false;
	nic->receive = user_ignore; /* which does not poll */
	irq_fn(irq_arg);
	assert_int_equal(e->counters.received, E1000_RX_BUDGET);
	assert_true(card.late_irq);
	assert_int_equal(interrupts(), 3);
	assert_int_equal(e->counters.received, 200);
}

/* Without a user it does not interrupt, however much comes; a user gets nothing that has come before him. */
static void test_no_user(void **state)
{
	(void)state;
	assert_int_equal(e1000_attach(&pci, &env, regs), 0);
	e = nic->driver;
	for (unsigned int round = 0; round < 2; round++) {
		assert_int_equal(card.ims, 0);
		for (unsigned int i = 0; i < 300; i++)
			(void)wire(i, 64);
		assert_int_equal(interrupts(), 0);
		nic->user = &got;
		nic->receive = user_receive;
		got_count = 0;
		if (round)
			nic->poll(nic->driver);
		else
			assert_true(transmit(0, 64));
		interrupts();
		assert_int_equal(got_count, 0);
		assert_int_equal(card.ims, 0xd4);
		assert_true(wire(7, 64));
		interrupts();
		assert_int_equal(got_count, 1);
		expect_got(0, 7, 64);
		nic->receive = NULL; /* the next interrupt is the last */
		assert_true(wire(8, 64));
		assert_int_equal(interrupts(), 1);
	}
}

/* A card without interrupts is served by poll alone. */
static void test_polled(void **state)
{
	(void)state;
	no_irq = true;
	attach();
	assert_int_equal(card.ims, 0);
	for (unsigned int i = 0; i < 1000; i++) {
		assert_true(wire(i, 64));
		if (i % 200 == 0)
			nic->poll(nic->driver);
	}
	nic->poll(nic->driver);
	assert_int_equal(got_count, 1000);
	expect_got(999, 999, 64);
}

/* Descriptors with impossible lengths or errors are dropped and counted, and their buffers used again. */
static void test_hostile_descriptors(void **state)
{
	static const struct {
		u16 length;
		u8 status, errors;
		bool good;
	} cases[] = {
		{ 0, 3, 0, false },      { 1, 3, 0, false },     { 13, 3, 0, false },
		{ 14, 3, 0, true },      { 2048, 3, 0, true },   { 2049, 3, 0, false },
		{ 0xffff, 3, 0, false }, { 64, 3, 0x01, false }, { 64, 3, 0x02, false },
		{ 64, 3, 0x04, false },  { 64, 3, 0x10, false }, { 64, 3, 0x80, false },
		{ 64, 3, 0xff, false },  { 64, 3, 0x60, true },  { 64, 0xff, 0, true },
	};
	u8 frame[2048] = { 1 };
	unsigned int good = 0, bad = 0;

	(void)state;
	for (unsigned int round = 0; round < 100; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			assert_true(card_fill(frame, cases[i].length, cases[i].status,
					      cases[i].errors));
			if (cases[i].good)
				good++;
			else
				bad++;
			interrupts();
			assert_int_equal(got_count, good);
			assert_int_equal(e->counters.rx_broken, bad);
		}
	}
}

/* A frame over several descriptors, which cannot be, is dropped to its end and not a byte further. */
static void test_long_frame(void **state)
{
	u8 frame[2048] = { 1 };

	(void)state;
	assert_true(card_fill(frame, 2048, E1000_RXD_DD, 0));
	assert_true(card_fill(frame, 2048, E1000_RXD_DD, 0));
	assert_true(card_fill(frame, 700, E1000_RXD_DD | E1000_RXD_EOP, 0));
	assert_true(wire(5, 64));
	interrupts();
	assert_int_equal(got_count, 1);
	expect_got(0, 5, 64);
	assert_int_equal(e->counters.rx_broken, 3);
}

/* A card that says of each descriptor, always, that it is done costs a bounded number of frames a call. */
static void test_endless(void **state)
{
	(void)state;
	nic->receive = user_ignore;
	for (unsigned int i = 0; i < 50; i++) {
		for (unsigned int k = 0; k < E1000_RING; k++) {
			e->rx_ring[k].status = 3;
			e->rx_ring[k].length = 60;
		}
		u64 before = e->counters.received;

		nic->poll(nic->driver);
		assert_int_equal(e->counters.received - before, E1000_RING);
	}
}

/* --- transmit */

/* Frames leave whole and in order, short ones padded with zeroes. */
static void test_transmit(void **state)
{
	u8 frame[2048];
	u32 len[2000];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(len); i++) {
		len[i] = 14 + (u32)rand() % (E1000_MAX_FRAME - 13);
		assert_true(transmit(i, len[i]));
	}
	assert_int_equal(card.sent_count, ARRAY_SIZE(len));
	for (unsigned int i = 0; i < ARRAY_SIZE(len); i++) {
		memset(frame, 0, sizeof(frame));
		make_frame(frame, i, len[i]);
		assert_int_equal(card.sent_len[i], MAX(len[i], 60u));
		assert_memory_equal(card.sent[i], frame, card.sent_len[i]);
	}
	nic->poll(nic->driver);
	assert_int_equal(e->counters.sent, ARRAY_SIZE(len));
}

/* What is no Ethernet frame is refused. */
static void test_transmit_length(void **state)
{
	(void)state;
	assert_false(transmit(0, 0));
	assert_false(transmit(0, 13));
	assert_false(transmit(0, E1000_MAX_FRAME + 1));
	assert_false(transmit(0, 0xffffffff));
	assert_true(transmit(0, E1000_MAX_FRAME));
	assert_int_equal(card.sent_count, 1);
}

/* A full ring takes no frame, and overwrites none that is waiting; when it drains it takes frames again. */
static void test_transmit_full(void **state)
{
	unsigned int taken = 0;

	(void)state;
	card.tx_stuck = true;
	while (transmit(taken, 100))
		taken++;
	assert_int_equal(taken, 255);
	assert_int_equal(e->counters.tx_refused, 1);
	card.tx_stuck = false;
	card_send_all();
	assert_int_equal(card.sent_count, 255);
	for (unsigned int i = 0; i < 255; i++)
		assert_int_equal(card.sent[i][0], (u8)(i * 7));
	assert_true(transmit(255, 100));
	assert_int_equal(card.sent_count, 256);
}

/* Frames may be sent from within the receiver. */
static void test_bounce(void **state)
{
	(void)state;
	bounce = true;
	for (unsigned int i = 0; i < 600; i++) {
		assert_true(wire(i, 64));
		interrupts();
	}
	assert_int_equal(card.sent_count, 600);
}

/* --- link, hang, removal */

/* The link's changes are seen by interrupt and, where that is lost, by poll; told once each. */
static void test_link(void **state)
{
	(void)state;
	card.reg[WORD(E1000_STATUS)] = 0;
	card_cause(E1000_INT_LSC);
	interrupts();
	assert_false(nic->link);
	assert_int_equal(link_changes, 1);
	assert_false(transmit(0, 64));
	card.reg[WORD(E1000_STATUS)] = E1000_STATUS_LU;
	pass(200);
	assert_true(nic->link);
	assert_int_equal(link_changes, 2);
	assert_true(transmit(0, 64));
	pass(200);
	assert_int_equal(link_changes, 2);
}

/* A link that flaps does not flood the log, and how it is in the end is said. */
static void test_link_flaps(void **state)
{
	unsigned int lines = 0;
	const char *last = "";

	(void)state;
	capture_start();
	for (unsigned int i = 0; i < 1000; i++) {
		card.reg[WORD(E1000_STATUS)] ^= E1000_STATUS_LU;
		card_cause(E1000_INT_LSC);
		interrupts();
		if (i == 0)
			pass(1500);
	}
	assert_int_equal(link_changes, 1000);
	for (unsigned int i = 0; i < 100; i++)
		pass(20);
	capture_stop();
	for (const char *p = capture_text(); (p = strchr(p, '\n')); p++) {
		lines++;
		last = p - 2;
	}
	assert_int_equal(lines, 2);
	assert_int_equal(strncmp(last, "up", 2), 0);
}

/* A card that sends nothing for two seconds is reset, counted, and works again; what waited is lost. */
static void test_hang(void **state)
{
	(void)state;
	assert_true(transmit(0, 64));
	card.tx_stuck = true;
	assert_true(transmit(1, 64));
	pass(1900);
	assert_int_equal(e->counters.resets, 0);
	pass(200);
	assert_int_equal(e->counters.resets, 1);
	assert_int_equal(card.resets, 2);
	assert_int_equal(card.ims, 0xd4);
	assert_true(transmit(2, 64));
	assert_int_equal(card.sent_count, 2);
	assert_true(wire(3, 64));
	interrupts();
	assert_int_equal(got_count, 1);
	for (unsigned int i = 0; i < 100; i++)
		pass(1000);
	assert_int_equal(e->counters.resets, 1);
}

/* With nothing to send, with the link down, or as long as it goes on, nothing hangs. */
static void test_no_hang(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 20; i++)
		pass(1000);
	card.tx_stuck = true;
	assert_true(transmit(0, 64));
	pass(1000);
	card.reg[WORD(E1000_STATUS)] = 0;
	for (unsigned int i = 0; i < 20; i++)
		pass(1000);
	card.reg[WORD(E1000_STATUS)] = E1000_STATUS_LU;
	pass(1000);
	pass(1000);
	assert_int_equal(e->counters.resets, 0);
	card.tx_stuck = false;
	card_send_all();
	for (unsigned int i = 0; i < 20; i++)
		pass(1000);
	assert_int_equal(e->counters.resets, 0);
}

/* A card that hangs for ever is reset every other second, no more often, and does not come back by that. */
static void test_hangs_for_ever(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		card.tx_stuck = true;
		transmit(0, 64);
		card.stuck_in_reset = i > 50;
		pass(1000);
	}
	assert_in_range(e->counters.resets, 25, 50);
	card.stuck_in_reset = card.tx_stuck = false;
	pass(3000);
	assert_true(transmit(0, 64));
}

/* Pulled out: all ones. The link is down, said once, and nothing else happens, whatever is called. */
static void test_removal(void **state)
{
	(void)state;
	assert_true(wire(0, 64));
	capture_start();
	card.absent = true;
	for (unsigned int i = 0; i < 10; i++) {
		irq_fn(irq_arg);
		pass(1000);
		assert_false(transmit(0, 64));
	}
	assert_false(nic->link);
	assert_int_equal(link_changes, 1);
	assert_non_null(strstr(capture_text(), "e1000 00:02.0: the device is gone"));
	assert_int_equal(e->counters.resets, 0);
}

/* The same, noticed by poll. */
static void test_removal_polled(void **state)
{
	(void)state;
	card.tx_stuck = true;
	transmit(0, 64);
	card.absent = true;
	pass(5000);
	assert_false(nic->link);
	assert_int_equal(link_changes, 1);
	assert_int_equal(e->counters.resets, 0);
}

#define ATTACHED(test) cmocka_unit_test_setup_teardown(test, setup_attached, teardown)
#define BARE(test)     cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ATTACHED(test_attach),
		BARE(test_not_ours),
		BARE(test_bad_bar),
		BARE(test_dead_cards),
		BARE(test_no_memory),
		BARE(test_phy),
		BARE(test_msix),
		ATTACHED(test_receive),
		ATTACHED(test_receive_full),
		ATTACHED(test_budget),
		BARE(test_no_user),
		BARE(test_polled),
		ATTACHED(test_hostile_descriptors),
		ATTACHED(test_long_frame),
		ATTACHED(test_endless),
		ATTACHED(test_transmit),
		ATTACHED(test_transmit_length),
		ATTACHED(test_transmit_full),
		ATTACHED(test_bounce),
		ATTACHED(test_link),
		ATTACHED(test_link_flaps),
		ATTACHED(test_hang),
		ATTACHED(test_no_hang),
		ATTACHED(test_hangs_for_ever),
		ATTACHED(test_removal),
		ATTACHED(test_removal_polled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
