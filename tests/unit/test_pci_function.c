/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a function's configuration space is what PCI says, and its BARs are where the guest puts them. */
#include "tests/unit/fake_vdev.h"
#include "virtio/msix.h"
#include "virtio/pci_function.h"

static struct pci_function f;
static struct {
	unsigned int moves, bar;
	u32 base;
} moved;

static void on_moved(void *ctx, unsigned int bar, u32 base)
{
	assert_ptr_equal(ctx, &f);
	moved.moves++;
	moved.bar = bar;
	moved.base = base;
}

static int setup(void **state)
{
	static const struct pci_identity id = { 0x1234, 0x5678, 0x9abc, 0xdef0, 0x078000, 3 };

	(void)state;
	memset(&moved, 0, sizeof(moved));
	pci_function_init(&f, &id);
	pci_function_add_bar(&f, 0, 16, true);
	pci_function_add_bar(&f, 1, 4096, false);
	f.bar_moved = on_moved;
	f.ctx = &f;
	return 0;
}

/* Claim: the identity is readable in every width, and nothing of it can be changed. */
static void identity(void **state)
{
	(void)state;
	assert_int_equal(pci_function_read(&f, 0, 4), 0x56781234);
	assert_int_equal(pci_function_read(&f, 8, 4), 0x07800003);
	assert_int_equal(pci_function_read(&f, 0x2c, 4), 0xdef09abc);
	assert_int_equal(pci_function_read(&f, 3, 1), 0x56);
	assert_int_equal(pci_function_read(&f, 0x0e, 1), 0);
	for (unsigned int reg = 0; reg < 256; reg += 4)
		pci_function_write(&f, (u8)reg, 4, 0);
	for (unsigned int reg = 0; reg < 256; reg += 4)
		pci_function_write(&f, (u8)reg, 4, ~0u);
	assert_int_equal(pci_function_read(&f, 0, 4), 0x56781234);
	assert_int_equal(pci_function_read(&f, 8, 4), 0x07800003);
	assert_int_equal(pci_function_read(&f, 0x2c, 4), 0xdef09abc);
	assert_int_equal(pci_function_read(&f, 4, 4), 0x0407);
	assert_int_equal(pci_function_read(&f, 0x18, 4), 0); /* no such BAR */
	assert_int_equal(pci_function_read(&f, 0x30, 4), 0); /* no expansion ROM */
	assert_int_equal(pci_function_read(&f, 0x3c, 1), 0xff);
}

/* Claim: the size of a BAR is found by writing ones, and what was there can be put back. */
static void sizing(void **state)
{
	(void)state;
	pci_function_place(&f, 0, 0xc020);
	pci_function_place(&f, 1, 0xe0001000);
	pci_function_write(&f, 0x10, 4, ~0u);
	assert_int_equal(pci_function_read(&f, 0x10, 4), 0xfffffff1);
	pci_function_write(&f, 0x10, 4, 0xc021);
	assert_int_equal(pci_function_read(&f, 0x10, 4), 0xc021);
	pci_function_write(&f, 0x14, 4, ~0u);
	assert_int_equal(pci_function_read(&f, 0x14, 4), 0xfffff000);
	pci_function_write(&f, 0x14, 4, 0xe0001000);
	assert_int_equal(pci_function_read(&f, 0x14, 4), 0xe0001000);
	assert_int_equal(moved.moves, 0); /* nothing decodes yet */
}

/* Claim: a BAR answers only where it is and while it is enabled, and each change is told once. */
static void decoding(void **state)
{
	(void)state;
	pci_function_place(&f, 0, 0xc020);
	pci_function_place(&f, 1, 0xe0001000);
	pci_function_write(&f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(moved.moves, 1);
	assert_int_equal(moved.bar, 1);
	assert_int_equal(moved.base, 0xe0001000);
	pci_function_write(&f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	assert_int_equal(moved.moves, 2);
	assert_int_equal(moved.bar, 0);
	assert_int_equal(moved.base, 0xc020);
	pci_function_write(&f, 0x16, 2, 0xe123); /* the upper half alone */
	assert_int_equal(moved.moves, 3);
	assert_int_equal(moved.base, 0xe1231000);
	pci_function_write(&f, 0x14, 4, 0xe1231fff);
	assert_int_equal(moved.moves, 3);
	pci_function_write(&f, PCI_COMMAND, 1, 0);
	assert_int_equal(moved.moves, 5);
	assert_int_equal(moved.base, PCI_NOWHERE);
	assert_int_equal(f.bar_at[0], PCI_NOWHERE);
}

/* Claim: capabilities are a list that a guest can walk, and the status register says that it is there. */
static void capabilities(void **state)
{
	u8 first, second;

	(void)state;
	assert_int_equal(pci_function_read(&f, PCI_STATUS, 2), 0);
	first = pci_function_add_cap(&f, PCI_CAP_VENDOR, 10);
	second = pci_function_add_cap(&f, PCI_CAP_MSIX, 12);
	assert_int_equal(pci_function_read(&f, PCI_STATUS, 2), PCI_STATUS_CAPABILITIES);
	assert_int_equal(pci_function_read(&f, PCI_CAPABILITIES, 1), first);
	assert_int_equal(pci_function_read(&f, first, 1), PCI_CAP_VENDOR);
	assert_int_equal(pci_function_read(&f, (u8)(first + 1), 1), second);
	assert_int_equal(pci_function_read(&f, second, 2), PCI_CAP_MSIX);
	assert_true(first % 4 == 0 && second % 4 == 0 && second >= first + 10);
}

/* --- MSI-X --- */

static struct msix m;
static struct {
	unsigned int messages;
	u64 address;
	u32 data;
} sent;

static void on_send(void *ctx, u64 address, u32 data)
{
	assert_ptr_equal(ctx, &sent);
	sent.messages++;
	sent.address = address;
	sent.data = data;
}

static int setup_msix(void **state)
{
	(void)state;
	memset(&sent, 0, sizeof(sent));
	msix_init(&m, 3, on_send, &sent);
	for (unsigned int i = 0; i < 3; i++) {
		msix_table_write(&m, 16 * i, 8, 0xfee01000 + i);
		msix_table_write(&m, 16 * i + 8, 4, 0x40 + i);
	}
	return 0;
}

/* Claim: an entry that is not masked sends what the driver wrote; one that does not exist sends nothing. */
static void messages(void **state)
{
	(void)state;
	msix_table_write(&m, 16 + 12, 4, 0);
	msix_raise(&m, 1);
	assert_int_equal(sent.messages, 0); /* not enabled */
	msix_control(&m, true, false);
	assert_int_equal(sent.messages, 0); /* and what came before does not count */
	msix_raise(&m, 1);
	assert_int_equal(sent.messages, 1);
	assert_int_equal(sent.address, 0xfee01001);
	assert_int_equal(sent.data, 0x41);
	msix_raise(&m, 3);
	msix_raise(&m, 0xffff);
	assert_int_equal(sent.messages, 1);
}

/* Claim: what is masked, by its entry or as a whole, is pending, and goes once when it is unmasked. */
static void masks(void **state)
{
	(void)state;
	msix_control(&m, true, false);
	msix_raise(&m, 2);
	msix_raise(&m, 2);
	assert_int_equal(sent.messages, 0);
	assert_int_equal(msix_pending_read(&m, 0, 8), 4);
	assert_int_equal(msix_pending_read(&m, 0, 4), 4);
	assert_int_equal(msix_pending_read(&m, 4, 4), 0);
	msix_table_write(&m, 32 + 8, 8, 0x77); /* data, and the mask with it */
	assert_int_equal(sent.messages, 1);
	assert_int_equal(sent.data, 0x77);
	assert_int_equal(msix_pending_read(&m, 0, 8), 0);
	msix_control(&m, true, true);
	msix_raise(&m, 2);
	assert_int_equal(sent.messages, 1);
	msix_control(&m, true, false);
	assert_int_equal(sent.messages, 2);
}

/* Claim: the registers are as wide as they are; what is not there reads as ones and ignores writes. */
static void registers(void **state)
{
	struct msix before = m;

	(void)state;
	assert_int_equal(msix_table_read(&m, 8, 4), 0x40);
	assert_int_equal(msix_table_read(&m, 12, 4), 1);
	assert_int_equal(msix_table_read(&m, 8, 8), 0x100000040);
	for (unsigned int off = 0; off < 0x800; off++) {
		for (u8 size = 1; size <= 8; size = (u8)(2 * size)) {
			if (off < 48 && size >= 4 && off % size == 0)
				continue;
			assert_true(msix_table_read(&m, off, size) == ~0ULL);
			msix_table_write(&m, off, size, 0x1234);
		}
	}
	assert_memory_equal(&before, &m, sizeof(m));
	assert_true(msix_pending_read(&m, 8, 4) == ~0ULL);
	msix_table_write(&m, 12, 4, ~0u);
	assert_int_equal(msix_table_read(&m, 12, 4), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(identity, setup),
		cmocka_unit_test_setup(sizing, setup),
		cmocka_unit_test_setup(decoding, setup),
		cmocka_unit_test_setup(capabilities, setup),
		cmocka_unit_test_setup(messages, setup_msix),
		cmocka_unit_test_setup(masks, setup_msix),
		cmocka_unit_test_setup(registers, setup_msix),
	};

	return cmocka_run_group_tests_name("pci_function", tests, NULL, NULL);
}
