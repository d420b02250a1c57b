/* SPDX-License-Identifier: BSD-2-Clause */
/* The two 8259As, driven as Linux and as the data sheet do. */
#include "vioapic/vpic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MASTER, SLAVE };

static struct vpic pic;
static bool intr;
static unsigned int intr_changes;

static void on_intr(void *ctx, bool level)
{
	assert_ptr_equal(ctx, &pic);
	assert_int_not_equal(level, intr); /* told of changes only */
	intr = level;
	intr_changes++;
}

static void out(unsigned int port, u8 value)
{
	const struct pio_ops *ops = port < 0xa0    ? &vpic_master_ops
				    : port < 0x4d0 ? &vpic_slave_ops
						   : &vpic_elcr_ops;

	ops->write(&pic, port & 1, 1, value);
	assert_int_equal(vpic_pending(&pic), intr);
}

static u8 in(unsigned int port)
{
	const struct pio_ops *ops = port < 0xa0    ? &vpic_master_ops
				    : port < 0x4d0 ? &vpic_slave_ops
						   : &vpic_elcr_ops;
	u32 value = ops->read(&pic, port & 1, 1);

	assert_true(value <= 0xff);
	assert_int_equal(vpic_pending(&pic), intr);
	return (u8)value;
}

static void power_up(void)
{
	intr = false;
	intr_changes = 0;
	vpic_init(&pic, on_intr, &pic);
}

static void init_chip(unsigned int port, u8 base, u8 icw3, u8 icw4)
{
	out(port, 0x11);
	out(port + 1, base);
	out(port + 1, icw3);
	out(port + 1, icw4);
}

/* As Linux's init_8259A does, then everything unmasked: vectors 0x30 and 0x38. */
static void linux_init(u8 master_icw4)
{
	power_up();
	out(0x21, 0xff);
	init_chip(0x20, 0x30, 0x04, master_icw4);
	init_chip(0xa0, 0x38, 0x02, 0x01);
	out(0x21, 0x00);
	out(0xa1, 0x00);
}

static void pulse(unsigned int line)
{
	vpic_set_line(&pic, line, true);
	vpic_set_line(&pic, line, false);
}

static void take(int vector)
{
	assert_true(intr);
	assert_int_equal(vpic_ack(&pic), vector);
}

static void no_interrupt(void)
{
	assert_false(intr);
	assert_false(vpic_pending(&pic));
}

/* Linux finds the controllers by writing the mask and reading it back, before any ICW. */
static void test_probe(void **state)
{
	(void)state;
	power_up();
	assert_int_equal(in(0x21), 0xff);
	out(0xa1, 0xff);
	out(0x21, 0xfb);
	assert_int_equal(in(0x21), 0xfb);
	assert_int_equal(in(0xa1), 0xff);
}

/* Every line comes with its vector, through IRR and ISR, and ends by a specific EOI as Linux's. */
static void test_every_line(void **state)
{
	(void)state;
	linux_init(0x01);
	for (unsigned int line = 0; line < VPIC_LINES; line++) {
		if (line == 2)
			continue;
		pulse(line);
		assert_int_equal(in(line < 8 ? 0x20 : 0xa0), 1 << (line & 7));
		take(0x30 + (int)line);
		no_interrupt();
		out(line < 8 ? 0x20 : 0xa0, 0x0b); /* ISR */
		assert_int_equal(in(line < 8 ? 0x20 : 0xa0), 1 << (line & 7));
		out(line < 8 ? 0x20 : 0xa0, 0x0a);
		assert_int_equal(in(line < 8 ? 0x20 : 0xa0), 0);
		if (line >= 8) {
			out(0xa0, 0x60 + (line & 7));
			out(0x20, 0x62);
		} else {
			out(0x20, (u8)(0x60 + line));
		}
		out(0x20, 0x0b);
		out(0xa0, 0x0b);
		assert_int_equal(in(0x20) | in(0xa0), 0);
		out(0x20, 0x0a);
		out(0xa0, 0x0a);
	}
}

/* Line 0 first, then 1, the slave's, 3 to 7; one in service keeps those below waiting. */
static void test_priority(void **state)
{
	static const u8 order[] = { 0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7 };

	(void)state;
	linux_init(0x01);
	for (unsigned int i = ARRAY_SIZE(order); i-- > 0;)
		pulse(order[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++) {
		take(0x30 + order[i]);
		no_interrupt();
		if (order[i] >= 8)
			out(0xa0, 0x20);
		out(0x20, 0x20);
	}
	no_interrupt();
}

/* A higher line interrupts the service of a lower one; non-specific EOIs end the higher first. */
static void test_nesting(void **state)
{
	(void)state;
	linux_init(0x01);
	pulse(5);
	take(0x35);
	pulse(6);
	no_interrupt();
	pulse(1);
	take(0x31);
	out(0x20, 0x20);
	no_interrupt();
	out(0x20, 0x0b);
	assert_int_equal(in(0x20), 0x20);
	out(0x20, 0x20);
	take(0x36);
}

/* A masked line waits in the IRR and comes when it is unmasked. */
static void test_mask(void **state)
{
	(void)state;
	linux_init(0x01);
	out(0x21, 0x10);
	pulse(4);
	no_interrupt();
	assert_int_equal(in(0x20), 0x10);
	out(0x21, 0x00);
	take(0x34);
	out(0x20, 0x20);
	out(0x21, 0x04); /* the whole slave */
	pulse(9);
	no_interrupt();
	out(0x21, 0x00);
	take(0x39);
}

/* Edge-triggered: a line that stays up interrupts once. */
static void test_edge(void **state)
{
	(void)state;
	linux_init(0x01);
	vpic_set_line(&pic, 5, true);
	vpic_set_line(&pic, 5, true);
	take(0x35);
	out(0x20, 0x20);
	no_interrupt();
	vpic_set_line(&pic, 5, true);
	no_interrupt();
	vpic_set_line(&pic, 5, false);
	vpic_set_line(&pic, 5, true);
	take(0x35);
}

/* Level-triggered by the ELCR: again after each EOI while the line is up, gone when it falls. */
static void test_level(void **state)
{
	(void)state;
	linux_init(0x01);
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	assert_int_equal(in(0x4d0), 0xf8);
	assert_int_equal(in(0x4d1), 0xde);
	vpic_set_line(&pic, 11, true);
	for (int i = 0; i < 3; i++) {
		take(0x3b);
		no_interrupt();
		out(0xa0, 0x20);
		out(0x20, 0x20);
	}
	assert_true(intr);
	vpic_set_line(&pic, 11, false);
	no_interrupt();
	out(0x4d1, 0x00);
	vpic_set_line(&pic, 11, true);
	take(0x3b);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	no_interrupt();
	out(0x4d1, 0x08); /* the line is up: now that counts */
	take(0x3b);
}

/* A request that is gone when it is acknowledged gives IRQ 7, with nothing in service. */
static void test_spurious(void **state)
{
	(void)state;
	linux_init(0x01);
	out(0x4d0, 0x20);
	vpic_set_line(&pic, 5, true);
	assert_true(intr);
	vpic_set_line(&pic, 5, false);
	assert_int_equal(vpic_ack(&pic), 0x37);
	out(0x20, 0x0b);
	assert_int_equal(in(0x20), 0);
	pulse(4);
	out(0x21, 0x10); /* masked in the last moment */
	assert_int_equal(vpic_ack(&pic), 0x37);
	out(0x21, 0x00);
	take(0x34);
}

/* A second request of the slave comes although the first is being served by the master. */
static void test_slave_again(void **state)
{
	(void)state;
	linux_init(0x01);
	pulse(12);
	take(0x3c);
	pulse(8);
	no_interrupt(); /* the master is busy with its input 2 */
	out(0xa0, 0x20);
	out(0x20, 0x20);
	take(0x38);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	no_interrupt();
}

/* In special fully nested mode a higher line of the slave interrupts a lower one. */
static void test_special_nested(void **state)
{
	(void)state;
	linux_init(0x11);
	pulse(12);
	take(0x3c);
	pulse(14);
	no_interrupt();
	pulse(8);
	take(0x38);
	out(0xa0, 0x20);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	take(0x3e);
}

/* With automatic EOI nothing stays in service, on the slave neither. */
static void test_auto_eoi(void **state)
{
	(void)state;
	linux_init(0x03);
	init_chip(0xa0, 0x38, 0x02, 0x03);
	pulse(5);
	pulse(9);
	pulse(10);
	take(0x39);
	take(0x3a);
	take(0x35);
	no_interrupt();
	out(0x20, 0x0b);
	out(0xa0, 0x0b);
	assert_int_equal(in(0x20) | in(0xa0), 0);
}

/* Rotation: by EOI, by name, and automatic. */
static void test_rotation(void **state)
{
	(void)state;
	linux_init(0x01);
	pulse(3);
	take(0x33);
	out(0x20, 0xa0); /* rotate on non-specific EOI: 3 is the lowest, 4 the highest */
	pulse(3);
	pulse(1);
	pulse(4);
	take(0x34);
	out(0x20, 0xe4); /* rotate on specific EOI: 5 the highest */
	pulse(4);
	take(0x31);
	out(0x20, 0x20);
	take(0x33);
	out(0x20, 0x20);
	take(0x34);
	out(0x20, 0x20);
	out(0x20, 0xc7); /* set priority: 0 the highest again */
	pulse(7);
	pulse(0);
	take(0x30);
	out(0x20, 0x20);
	take(0x37);

	linux_init(0x03);
	out(0x20, 0x80); /* rotate in automatic EOI mode: whoever was served goes last */
	pulse(5);
	pulse(6);
	take(0x35);
	pulse(5);
	take(0x36);
	pulse(6);
	take(0x35);
	pulse(5);
	take(0x36);
	out(0x20, 0x00); /* and off: the order stays, 5 is served and does not go last */
	take(0x35);
	pulse(6);
	pulse(5);
	take(0x35);
}

/* Special mask mode: what is masked while in service does not keep others waiting. */
static void test_special_mask(void **state)
{
	(void)state;
	linux_init(0x01);
	pulse(1);
	take(0x31);
	pulse(5);
	no_interrupt();
	out(0x21, 0x02);
	no_interrupt();
	out(0x20, 0x68);
	take(0x35);
	out(0x20, 0x20); /* ends 5: masked 1 is only ended by name */
	out(0x20, 0x20);
	out(0x20, 0x0b);
	assert_int_equal(in(0x20), 0x02);
	out(0x20, 0x61);
	assert_int_equal(in(0x20), 0x00);
	out(0x20, 0x48); /* and off */
	out(0x21, 0x00);
	pulse(1);
	take(0x31);
	pulse(5);
	out(0x21, 0x02);
	no_interrupt();
}

/* Poll: the next read acknowledges and names the line; with nothing there bit 7 is clear. */
static void test_poll(void **state)
{
	(void)state;
	linux_init(0x01);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20) & 0x80, 0);
	pulse(6);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x86);
	no_interrupt();
	out(0x20, 0x0b);
	assert_int_equal(in(0x20), 0x40);
	assert_int_equal(in(0x21), 0x00);
	out(0x20, 0x66);
	pulse(0);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x80);
	out(0x20, 0x60);
	pulse(14);
	out(0xa0, 0x0c);
	assert_int_equal(in(0xa0), 0x86);
	no_interrupt();
}

/* Initialization: no interrupt until the last ICW, then an empty state; short forms work too. */
static void test_initialization(void **state)
{
	(void)state;
	linux_init(0x01);
	vpic_set_line(&pic, 4, true);
	out(0x20, 0x11);
	no_interrupt();
	out(0x21, 0x47); /* the lower three bits do not count */
	vpic_set_line(&pic, 5, true);
	no_interrupt();
	out(0x21, 0x04);
	no_interrupt();
	out(0x21, 0x01);
	take(0x45); /* the edge of 4 was forgotten */
	no_interrupt();
	assert_int_equal(in(0x21), 0x00);

	power_up();
	out(0x20, 0x12); /* single, no ICW4 */
	out(0x21, 0x50);
	out(0x21, 0xf0);
	assert_int_equal(in(0x21), 0xf0);
	out(0x20, 0x13); /* single, ICW4 */
	out(0x21, 0x50);
	out(0x21, 0x03);
	out(0x21, 0x0f);
	assert_int_equal(in(0x21), 0x0f);
	out(0x20, 0x10); /* cascade, no ICW4 */
	out(0x21, 0x50);
	out(0x21, 0x04);
	out(0x21, 0x33);
	assert_int_equal(in(0x21), 0x33);
	out(0x20, 0x19); /* all level-triggered */
	out(0x21, 0x50);
	out(0x21, 0x04);
	out(0x21, 0x01);
	vpic_set_line(&pic, 1, true);
	take(0x51);
	out(0x20, 0x20);
	take(0x51);
	out(0x20, 0x20);
	vpic_set_line(&pic, 1, false);
	no_interrupt();
}

/* ICW1 ends all that was in service and every special mode. */
static void test_initialize_again(void **state)
{
	(void)state;
	linux_init(0x11);
	pulse(3);
	take(0x33);
	out(0x20, 0xc3); /* 4 is the highest */
	out(0x20, 0x80); /* rotate */
	out(0x20, 0x6b); /* special mask, and show the ISR */
	init_chip(0x20, 0x30, 0x04, 0x01);
	assert_int_equal(in(0x20), 0); /* the IRR */
	out(0x20, 0x0b);
	assert_int_equal(in(0x20), 0);
	out(0x20, 0x0a);
	pulse(4);
	assert_int_equal(in(0x20), 0x10);
	pulse(1);
	take(0x31); /* 0 is the highest, and nothing in service */
	out(0x21, 0x02);
	no_interrupt(); /* no special mask */
	out(0x21, 0x00);
	out(0x20, 0x20);
	take(0x34);
	out(0x20, 0x20);
	pulse(12);
	take(0x3c);
	pulse(8);
	no_interrupt(); /* no special nesting */
	out(0xa0, 0x20);
	out(0x20, 0x20);
	take(0x38);
	out(0x20, 0x20);
	out(0xa0, 0x20);
	out(0x20, 0x0b);
	out(0x20, 0x0c); /* a poll that is not read */
	init_chip(0x20, 0x30, 0x04, 0x03);
	pulse(5);
	assert_int_equal(in(0x20), 0x20);
	take(0x35); /* automatic EOI, no rotation: 5 does not go last */
	pulse(6);
	pulse(5);
	take(0x35);
	out(0x20, 0x10);
	out(0x21, 0x30);
	out(0x21, 0x04);
	pulse(5);
	take(0x35);
	pulse(5);
	no_interrupt(); /* without ICW4 the EOI is not automatic */
}

/* After a reset all is masked and the lines are what they were. */
static void test_reset(void **state)
{
	(void)state;
	linux_init(0x01);
	out(0x4d0, 0x20);
	vpic_set_line(&pic, 5, true);
	vpic_reset(&pic);
	no_interrupt();
	assert_int_equal(in(0x21), 0xff);
	assert_int_equal(in(0x4d0), 0x00);
	out(0x4d0, 0x20);
	out(0x21, 0xdf);
	take(0x0d);
}

/* Lines that do not exist, and the one between the chips, are nobody's. */
static void test_no_such_line(void **state)
{
	(void)state;
	linux_init(0x01);
	pulse(2);
	pulse(16);
	pulse(~0u);
	assert_int_equal(intr_changes, 0);
}

/* A 16-bit access is two, to the command and the data port. */
static void test_wide_access(void **state)
{
	(void)state;
	linux_init(0x01);
	vpic_master_ops.write(&pic, 0, 2, 0xaa0a);
	assert_int_equal(in(0x21), 0xaa);
	pulse(1);
	assert_int_equal(vpic_master_ops.read(&pic, 0, 2), 0xaa02);
	vpic_elcr_ops.write(&pic, 0, 2, 0xffff);
	assert_int_equal(vpic_elcr_ops.read(&pic, 0, 2), 0xdef8);
}

/* Random ports, lines and acknowledges: no fault, and INTR is always what the callback said. */
static void test_random(void **state)
{
	static const unsigned int ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };

	(void)state;
	power_up();
	srand(3);
	for (unsigned int n = 0; n < 1000000; n++) {
		switch (rand() % 4) {
		case 0: out(ports[rand() % 6], (u8)rand()); break;
		case 1: in(ports[rand() % 6]); break;
		case 2: vpic_set_line(&pic, (unsigned int)rand() % 17, rand() & 1); break;
		case 3: assert_in_range(vpic_ack(&pic), 0, 255); break;
		}
		assert_int_equal(vpic_pending(&pic), intr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),          cmocka_unit_test(test_every_line),
		cmocka_unit_test(test_priority),       cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_mask),           cmocka_unit_test(test_edge),
		cmocka_unit_test(test_level),          cmocka_unit_test(test_spurious),
		cmocka_unit_test(test_slave_again),    cmocka_unit_test(test_special_nested),
		cmocka_unit_test(test_auto_eoi),       cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_special_mask),   cmocka_unit_test(test_poll),
		cmocka_unit_test(test_initialization), cmocka_unit_test(test_initialize_again),
		cmocka_unit_test(test_reset),          cmocka_unit_test(test_no_such_line),
		cmocka_unit_test(test_wide_access),    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("vpic", tests, NULL, NULL);
}
