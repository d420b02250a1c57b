/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/hostdev_irq: each device gets its interrupt by the best way it has, pins are shared, and a storm is ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "drivers/lapic.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "tests/unit/host_support.h"
#include "vmm/host/host.h"
#include "vmm/host/hostdev_irq.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/trap.h"

/* The machine below it. */
static struct {
	trap_fn *fn;
	void *arg;
} handler[256];
static struct {
	u32 gsi;
	struct ioapic_line line;
	u8 vector;
} route;
static unsigned int routes, eois, masked;
static u32 table[8 * 4] __attribute__((aligned(4096)));
static u8 regs[256];

u32 lapic_id(void)
{
	return 5;
}

void lapic_eoi(void)
{
	eois++;
}

void trap_set_handler(unsigned int vector, trap_fn *fn, void *arg)
{
	assert_in_range(vector, 0x40, 0x6f);
	handler[vector].fn = fn;
	handler[vector].arg = arg;
}

int hostpt_map(hpa_t hpa, u64 size, enum hostpt_flags flags)
{
	(void)hpa, (void)size, (void)flags;
	return 0;
}

u32 host_isa_gsi(const struct acpi_info *acpi, u8 irq, struct ioapic_line *line)
{
	(void)acpi;
	if (irq == 9)
		*line = (struct ioapic_line){ .active_low = false, .level = true };
	return irq == 9 ? 20 : irq;
}

int host_route(u32 gsi, struct ioapic_line line, u8 vector)
{
	if (gsi == 13)
		return -ENODEV;
	routes++;
	route.gsi = gsi;
	route.line = line;
	route.vector = vector;
	return 0;
}

void host_mask(u32 gsi)
{
	masked = gsi;
}

static u32 read_regs(u32 address, unsigned int offset, unsigned int len)
{
	u32 value = 0;

	memcpy(&value, &regs[(address & 0xfc) + offset], len);
	return value;
}

static void write_regs(u32 address, unsigned int offset, unsigned int len, u32 value)
{
	memcpy(&regs[(address & 0xfc) + offset], &value, len);
}

static u32 get(unsigned int at, unsigned int len)
{
	return read_regs(at & 0xfcu, at & 3, len);
}

static unsigned int calls[4];

static void on_irq(void *arg)
{
	++*(unsigned int *)arg;
}

static void raise(u8 vector)
{
	assert_non_null(handler[vector].fn);
	handler[vector].fn(handler[vector].arg, NULL);
}

static int setup(void **state)
{
	static const struct pci_ports ports = { read_regs, write_regs };
	static struct acpi_info acpi;

	(void)state;
	pci_use_ports(&ports);
	hostdev_irq_init(&acpi);
	memset(handler, 0, sizeof(handler));
	memset(calls, 0, sizeof(calls));
	memset(regs, 0, sizeof(regs));
	memset(table, 0, sizeof(table));
	routes = eois = masked = 0;
	return 0;
}

/* MSI-X: the entry that was asked for has its own vector and this CPU, all others stay masked, and it comes before MSI. */
static void test_msix(void **state)
{
	struct pci_device pci = { .msi = 0x50,
				  .msix = 0x70,
				  .irq_pin = 1,
				  .irq_line = 11,
				  .bar[2] = { (uintptr_t)table - 0x1000, 0x1000 + sizeof(table),
					      false } };

	(void)state;
	write_regs(0x70, 2, 2, 7);      /* 8 entries */
	write_regs(0x74, 0, 4, 0x1002); /* in BAR 2, at 0x1000 */
	assert_int_equal(hostdev_irq(&pci, 3, on_irq, &calls[0]), 0);
	assert_int_equal(table[12], 0xfee05000);
	assert_int_equal(table[13], 0);
	assert_int_equal(table[14], 0x40);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(table[4 * i + 3], i == 3 ? 0 : 1);
	assert_int_equal(get(0x72, 2), 0x8007);
	assert_int_equal(hostdev_irq(&pci, 7, on_irq, &calls[1]), 0);
	assert_int_equal(table[30], 0x41);
	assert_int_equal(table[15], 0);
	assert_int_equal(hostdev_irq(&pci, 8, on_irq, &calls[2]), -ENODEV);
	raise(0x41);
	raise(0x41);
	raise(0x40);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 2);
	assert_int_equal(eois, 3);
	assert_int_equal(routes, 0);
	assert_false(hostdev_irq_missing());
}

/* A table that is not within its BAR is not written to: MSI instead, in both of its layouts, one message. */
static void test_msi(void **state)
{
	struct pci_device pci = { .msi = 0x50,
				  .msix = 0x70,
				  .bar[2] = { (uintptr_t)table, sizeof(table), false } };

	(void)state;
	write_regs(0x70, 2, 2, 8); /* 9 entries: one too many for the BAR */
	write_regs(0x74, 0, 4, 2);
	write_regs(0x50, 2, 2, 0x00f0); /* 64 bits, 8 messages on */
	capture_start();
	assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[0]), 0);
	capture_stop();
	assert_non_null(strstr(capture_text(), "its MSI-X table cannot be reached"));
	assert_int_equal(table[3], 0);
	assert_int_equal(get(0x52, 2), 0x0081);
	assert_int_equal(get(0x54, 4), 0xfee05000);
	assert_int_equal(get(0x58, 4), 0);
	assert_int_equal(get(0x5c, 2), 0x40);
	assert_int_equal(hostdev_irq(&pci, 1, on_irq, &calls[0]), -ENODEV);
	write_regs(0x50, 2, 2, 0);
	pci.msix = 0;
	assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[1]), 0);
	assert_int_equal(get(0x58, 2), 0x41);
	raise(0x41);
	assert_int_equal(calls[1], 1);
}

/* Functions on one pin share its vector: all are called. Level and low, unless the firmware says otherwise; ISA: edge and high. */
static void test_pins(void **state)
{
	struct pci_device pci = { .irq_pin = 1, .irq_line = 11 };

	(void)state;
	assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[0]), 0);
	assert_int_equal(route.gsi, 11);
	assert_true(route.line.level && route.line.active_low);
	assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[1]), 0);
	assert_int_equal(routes, 1);
	raise(route.vector);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 1);
	assert_int_equal(eois, 1);
	pci.irq_line = 9;
	assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[2]), 0);
	assert_int_equal(route.gsi, 20);
	assert_true(route.line.level && !route.line.active_low);
	assert_int_equal(hostdev_isa_irq(14, on_irq, &calls[3]), 0);
	assert_int_equal(route.gsi, 14);
	assert_false(route.line.level || route.line.active_low);
	assert_false(hostdev_irq_missing());
}

/* Who has no interrupt is told, so that he is polled. */
static void test_none(void **state)
{
	struct pci_device pci = { .irq_pin = 1, .irq_line = 255 };

	(void)state;
	assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[0]), -ENODEV);
	assert_true(hostdev_irq_missing());
	setup(state);
	assert_false(hostdev_irq_missing());
	assert_int_equal(hostdev_isa_irq(13, on_irq, &calls[0]), -ENODEV);
	assert_true(hostdev_irq_missing());
}

/* A pin that asks without end is masked; one that asks as often, but over a longer time, is not. */
static void test_storm(void **state)
{
	struct pci_device pci = { .irq_pin = 1, .irq_line = 11 };

	(void)state;
	assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[0]), 0);
	for (int i = 0; i < 100000; i++) {
		if (i % 10000 == 0)
			hostdev_irq_tick();
		raise(route.vector);
	}
	assert_int_equal(masked, 0);
	hostdev_irq_tick();
	capture_start();
	for (int i = 0; i < 30000; i++)
		raise(route.vector);
	capture_stop();
	assert_int_equal(masked, 11);
	assert_true(hostdev_irq_missing());
	assert_string_equal(capture_text(),
			    "lintel: warning: irq: GSI 11 does not come to rest: it is masked, its "
			    "devices are polled\n");
}

/* There are as many vectors as there are: who comes late gets none. */
static void test_vectors(void **state)
{
	struct pci_device pci = { .msi = 0x50 };

	(void)state;
	for (unsigned int i = 0; i < HOST_DEVICE_VECTORS; i++)
		assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[0]), 0);
	assert_int_equal(hostdev_irq(&pci, 0, on_irq, &calls[0]), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_msix, setup),
		cmocka_unit_test_setup(test_msi, setup),
		cmocka_unit_test_setup(test_pins, setup),
		cmocka_unit_test_setup(test_none, setup),
		cmocka_unit_test_setup(test_storm, setup),
		cmocka_unit_test_setup(test_vectors, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
