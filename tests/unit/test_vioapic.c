/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC: registers, edges and levels, and the EOIs that a local APIC sends it. */
#include "tests/unit/test_vlapic.h"

static struct vioapic io;

enum { INDEX = 0x00, DATA = 0x10, EOI = 0x40 };

static void start(unsigned int cpus)
{
	machine_start_enabled(cpus);
	vioapic_init(&io, &m.bus);
	m.ioapic = &io;
}

static u32 io_read(u32 reg)
{
	vioapic_mmio_write(&io, INDEX, 4, reg);
	return (u32)vioapic_mmio_read(&io, DATA, 4);
}

static void io_write(u32 reg, u32 value)
{
	vioapic_mmio_write(&io, INDEX, 4, reg);
	vioapic_mmio_write(&io, DATA, 4, value);
}

/* As Linux writes an entry: the destination first. */
static void set_entry(unsigned int pin, u32 low, u8 dest)
{
	io_write(0x11 + 2 * pin, (u32)dest << 24);
	io_write(0x10 + 2 * pin, low);
}

static u32 entry(unsigned int pin)
{
	return io_read(0x10 + 2 * pin);
}

static void take_and_end(unsigned int cpu, int vector)
{
	take(cpu, vector);
	wr(cpu, APIC_EOI, 0);
}

/* What Linux asks first: ID, version with 24 entries and an EOI register, all entries masked. */
static void test_registers(void **state)
{
	(void)state;
	start(1);
	assert_int_equal(io_read(1), 0x000f0020);
	io_write(1, ~0u);
	assert_int_equal(io_read(1), 0x000f0020);
	io_write(0, ~0u);
	assert_int_equal(io_read(0), 0x0f000000);
	assert_int_equal(io_read(2), 0x0f000000);
	assert_int_equal(vioapic_mmio_read(&io, INDEX, 4), 2);
	for (unsigned int pin = 0; pin < VIOAPIC_PINS; pin++) {
		assert_int_equal(entry(pin), APIC_MASKED);
		assert_int_equal(io_read(0x11 + 2 * pin), 0);
	}
	for (u32 reg = 0; reg < 0x200; reg++) {
		u32 i = reg & 0xff;

		if (i > 2 && (i < 0x10 || i >= 0x40)) {
			io_write(reg, 0);
			assert_int_equal(io_read(reg), ~0u);
		}
	}
}

/* Reserved and read-only bits of an entry do not take. */
static void test_entry_bits(void **state)
{
	(void)state;
	start(1);
	for (unsigned int pin = 0; pin < VIOAPIC_PINS; pin++) {
		set_entry(pin, 0x40 + pin, 0);
		assert_int_equal(entry(pin), 0x40 + pin);
	}
	set_entry(5, 0xffffffff, 0xff);
	assert_int_equal(entry(5), 0x0001afff);
	io_write(0x11 + 2 * 5, 0xffffffff);
	assert_int_equal(io_read(0x11 + 2 * 5), 0xff000000);
}

/* An edge: one interrupt for each rising one, none for a line that stays up. */
static void test_edge(void **state)
{
	(void)state;
	start(2);
	set_entry(4, 0x44, 1);
	vioapic_assert(&io, 4);
	take_and_end(1, 0x44);
	assert_int_equal(vlapic_pending(apic(1)), -1);
	assert_int_equal(m.cpu[1].eois, 0);
	vioapic_deassert(&io, 4);
	assert_int_equal(vlapic_pending(apic(1)), -1);
	vioapic_pulse(&io, 4);
	take_and_end(1, 0x44);
	assert_int_equal(m.cpu[0].kicks, 0);
}

/* An edge that came while the entry was masked is lost, as on the real one. */
static void test_masked_edge(void **state)
{
	(void)state;
	start(1);
	set_entry(4, APIC_MASKED | 0x44, 0);
	vioapic_assert(&io, 4);
	set_entry(4, 0x44, 0);
	assert_int_equal(vlapic_highest_irr(apic(0)), -1);
	vioapic_deassert(&io, 4);
	vioapic_assert(&io, 4);
	take_and_end(0, 0x44);
}

/* A level: again after each EOI while the line is up, Remote IRR between. */
static void test_level(void **state)
{
	(void)state;
	start(1);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 0);
	vioapic_assert(&io, 9);
	assert_int_equal(entry(9), APIC_REMOTE_IRR | APIC_LEVEL_TRIGGER | 0x59);
	for (int i = 0; i < 3; i++)
		take_and_end(0, 0x59);
	take(0, 0x59);
	vioapic_deassert(&io, 9);
	wr(0, APIC_EOI, 0);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	assert_int_equal(entry(9), APIC_LEVEL_TRIGGER | 0x59);
}

/* A level that came while the entry was masked is delivered when it is unmasked. */
static void test_masked_level(void **state)
{
	(void)state;
	start(1);
	set_entry(9, APIC_MASKED | APIC_LEVEL_TRIGGER | 0x59, 0);
	vioapic_assert(&io, 9);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 0);
	assert_int_equal(vlapic_pending(apic(0)), 0x59);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 0); /* Remote IRR is kept: not twice */
	take(0, 0x59);
	assert_int_equal(vlapic_highest_irr(apic(0)), -1);
	set_entry(9, APIC_MASKED | APIC_LEVEL_TRIGGER | 0x59, 0);
	wr(0, APIC_EOI, 0);
	assert_int_equal(vlapic_pending(apic(0)), -1); /* masked in between: ended, not repeated */
	assert_int_equal(entry(9), APIC_MASKED | APIC_LEVEL_TRIGGER | 0x59);
}

/* Two devices on one line: it is up while either asserts it. */
static void test_shared_line(void **state)
{
	(void)state;
	start(1);
	set_entry(11, APIC_LEVEL_TRIGGER | 0x5b, 0);
	vioapic_assert(&io, 11);
	vioapic_assert(&io, 11);
	take(0, 0x5b);
	vioapic_deassert(&io, 11);
	wr(0, APIC_EOI, 0);
	take(0, 0x5b);
	vioapic_deassert(&io, 11);
	wr(0, APIC_EOI, 0);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	vioapic_deassert(&io, 11); /* one too many changes nothing */
	vioapic_assert(&io, 11);
	take_and_end(0, 0x5b);
}

/* The EOI register ends by vector what a suppressed broadcast left; other vectors are left alone. */
static void test_eoi_register(void **state)
{
	(void)state;
	start(1);
	wr(0, APIC_SVR, APIC_SVR_SUPPRESS_EOI | APIC_SVR_ENABLE | 0xff);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 0);
	set_entry(10, APIC_LEVEL_TRIGGER | 0x5a, 0);
	vioapic_assert(&io, 9);
	vioapic_pulse(&io, 10);
	take_and_end(0, 0x5a);
	take_and_end(0, 0x59);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	vioapic_mmio_write(&io, EOI, 4, 0x59);
	assert_int_equal(vlapic_pending(apic(0)), 0x59);
	assert_true(entry(10) & APIC_REMOTE_IRR);
	vioapic_mmio_write(&io, EOI, 4, 0x5a);
	assert_false(entry(10) & APIC_REMOTE_IRR);
}

/* Mask and edge, then back: how Linux clears a stuck Remote IRR of an old I/O APIC. */
static void test_clear_remote_irr(void **state)
{
	(void)state;
	start(1);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 0);
	vioapic_assert(&io, 9);
	take(0, 0x59);
	assert_true(entry(9) & APIC_REMOTE_IRR);
	set_entry(9, APIC_MASKED | 0x59, 0);
	assert_false(entry(9) & APIC_REMOTE_IRR);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 0);
	assert_true(entry(9) & APIC_REMOTE_IRR); /* still asserted: sent again */
	assert_int_equal(vlapic_highest_irr(apic(0)), 0x59);
}

/* A level that no local APIC takes sets no Remote IRR, so that it is not stuck later. */
static void test_nobody_there(void **state)
{
	(void)state;
	start(1);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 7);
	vioapic_assert(&io, 9);
	assert_false(entry(9) & APIC_REMOTE_IRR);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 0);
	assert_int_equal(vlapic_pending(apic(0)), 0x59);
}

/* NMI and INIT entries go out once for an edge, also when they say level; SMI and ExtINT never. */
static void test_other_modes(void **state)
{
	(void)state;
	start(1);
	set_entry(3, ICR_MODE(VAPIC_NMI), 0);
	vioapic_pulse(&io, 3);
	assert_int_equal(m.cpu[0].nmis, 1);
	set_entry(3, APIC_LEVEL_TRIGGER | ICR_MODE(VAPIC_NMI), 0);
	vioapic_assert(&io, 3);
	assert_int_equal(m.cpu[0].nmis, 2);
	assert_false(entry(3) & APIC_REMOTE_IRR);
	set_entry(5, ICR_MODE(VAPIC_INIT), 0);
	vioapic_pulse(&io, 5);
	assert_int_equal(m.cpu[0].inits, 1);
	set_entry(6, ICR_MODE(VAPIC_EXTINT) | 0x40, 0);
	vioapic_pulse(&io, 6);
	set_entry(7, ICR_MODE(VAPIC_SMI), 0);
	vioapic_pulse(&io, 7);
	assert_int_equal(vlapic_highest_irr(apic(0)), -1);
}

/* Lowest priority reaches one CPU and is ended there. */
static void test_lowest_priority(void **state)
{
	unsigned int cpu;

	(void)state;
	start(2);
	wr(0, APIC_LDR, 0x01000000);
	wr(1, APIC_LDR, 0x02000000);
	set_entry(9, APIC_LEVEL_TRIGGER | APIC_LOGICAL | ICR_MODE(VAPIC_LOWEST) | 0x59, 3);
	vioapic_assert(&io, 9);
	assert_int_equal(m.cpu[0].kicks + m.cpu[1].kicks, 1);
	cpu = m.cpu[1].kicks;
	take(cpu, 0x59);
	vioapic_deassert(&io, 9);
	wr(cpu, APIC_EOI, 0);
	assert_false(entry(9) & APIC_REMOTE_IRR);
}

/* Reset masks everything but keeps the lines, which are the devices'. */
static void test_reset(void **state)
{
	(void)state;
	start(1);
	vioapic_assert(&io, 9);
	io_write(0, 0x05000000);
	io_read(1);
	vioapic_reset(&io);
	assert_int_equal(vioapic_mmio_read(&io, INDEX, 4), 0);
	assert_int_equal(io_read(0), 0);
	assert_int_equal(entry(9), APIC_MASKED);
	set_entry(9, APIC_LEVEL_TRIGGER | 0x59, 0);
	assert_int_equal(vlapic_pending(apic(0)), 0x59);
}

/* Pins that do not exist are nobody's. */
static void test_no_such_pin(void **state)
{
	(void)state;
	start(1);
	for (unsigned int pin = VIOAPIC_PINS; pin; pin *= 2) {
		vioapic_assert(&io, pin);
		vioapic_deassert(&io, pin);
		vioapic_pulse(&io, pin);
	}
	vioapic_pulse(&io, ~0u);
	assert_int_equal(m.cpu[0].kicks, 0);
}

/* Every offset, size and direction: ones or nothing where there is no register. */
static void test_mmio_sweep(void **state)
{
	(void)state;
	start(1);
	for (u8 size = 1; size <= 8; size *= 2) {
		u64 ones = size == 8 ? ~0ULL : BIT(size * 8) - 1;

		for (u32 off = 0; off < 0x1008; off++) {
			struct vioapic before = io;

			vioapic_mmio_write(&io, off, size, 0x10);
			vioapic_mmio_write(&io, off, size, ~0ULL);
			assert_true(vioapic_mmio_read(&io, off, size) <= ones);
			if (off != INDEX && off != DATA)
				assert_int_equal(vioapic_mmio_read(&io, off, size), ones);
			if (size != 4 || (off != INDEX && off != DATA && off != EOI))
				assert_memory_equal(&io, &before, sizeof(io));
		}
	}
}

/* Random entries, lines and EOIs: never out of bounds, bounded work, no interrupt below 16. */
static void test_random(void **state)
{
	(void)state;
	start(4);
	srand(2);
	for (unsigned int i = 0; i < 2; i++)
		to_x2apic(i);
	for (unsigned int n = 0; n < 300000; n++) {
		unsigned int cpu = (unsigned int)rand() % 4;
		unsigned int kicks =
			m.cpu[0].kicks + m.cpu[1].kicks + m.cpu[2].kicks + m.cpu[3].kicks;
		u32 value = (u32)rand() << 16 ^ (u32)rand();
		unsigned int pin = (unsigned int)rand() % (VIOAPIC_PINS + 1);
		int vector;

		switch (rand() % 6) {
		case 0: vioapic_assert(&io, pin); break;
		case 1: vioapic_deassert(&io, pin); break;
		case 2: io_write((u32)rand() % 0x50, value); break;
		case 3: vioapic_mmio_write(&io, EOI, 4, value); break;
		case 4: vlapic_eoi(apic(cpu)); break;
		case 5:
			vector = vlapic_pending(apic(cpu));
			assert_true(vector == -1 || vector >= 16);
			if (vector >= 0)
				vlapic_accept(apic(cpu), (u8)vector);
			break;
		}
		kicks = m.cpu[0].kicks + m.cpu[1].kicks + m.cpu[2].kicks + m.cpu[3].kicks - kicks;
		assert_true(kicks <= 4 * VIOAPIC_PINS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_entry_bits),
		cmocka_unit_test(test_edge),
		cmocka_unit_test(test_masked_edge),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_masked_level),
		cmocka_unit_test(test_shared_line),
		cmocka_unit_test(test_eoi_register),
		cmocka_unit_test(test_clear_remote_irr),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_other_modes),
		cmocka_unit_test(test_lowest_priority),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_no_such_pin),
		cmocka_unit_test(test_mmio_sweep),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("vioapic", tests, NULL, NULL);
}
