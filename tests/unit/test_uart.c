/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/uart.h"
#include "tests/unit/host_support.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * A model of the 16550. Its time is the number of accesses: a byte takes @byte_time of them to leave.
 * What is written to a full FIFO is an error here, where the real one drops it.
 */
struct chip {
	u8 ier, lcr, mcr, scr, divisor[2];
	u8 tx_fifo[16], rx_fifo[16];
	unsigned int tx_count, rx_count;
	int shifting; /* the byte in the shift register, -1 when empty */
	unsigned int byte_time, left;
	bool thre_event; /* the transmitter has become empty since IIR was last read */
	bool absent, stuck, no_loop, no_fifo;
	u8 absent_value;
	unsigned long accesses;
	char sent[1 << 17];
	size_t sent_len;
};

static struct chip chip;
static struct uart uart;

static void chip_tick(void)
{
	chip.accesses++;
	if (chip.stuck)
		return;
	if (chip.shifting >= 0 && --chip.left == 0) {
		assert_true(chip.sent_len < sizeof(chip.sent));
		chip.sent[chip.sent_len++] = (char)chip.shifting;
		chip.shifting = -1;
	}
	if (chip.shifting < 0 && chip.tx_count) {
		chip.shifting = chip.tx_fifo[0];
		memmove(chip.tx_fifo, chip.tx_fifo + 1, --chip.tx_count);
		chip.left = chip.byte_time;
		chip.thre_event |= !chip.tx_count;
	}
}

static u8 chip_iir(void)
{
	u8 fifo = chip.no_fifo ? 0 : 0xc0;

	if (chip.ier & 1 && chip.rx_count)
		return fifo | 4;
	if (chip.ier & 2 && chip.thre_event)
		return fifo | 2;
	return fifo | 1;
}

static u8 chip_lsr(void)
{
	u8 idle = chip.tx_count || chip.stuck ? 0 : chip.shifting >= 0 ? 0x20 : 0x60;

	return idle | (chip.rx_count ? 1 : 0);
}

static u8 chip_msr(void)
{
	if (!(chip.mcr & 0x10) || chip.no_loop)
		return 0xb0;
	return (u8)((chip.mcr & 0x0c) << 4 | (chip.mcr & 2) << 3 | (chip.mcr & 1) << 5);
}

static u8 chip_rbr(void)
{
	u8 byte = chip.rx_fifo[0];

	assert_true(chip.rx_count > 0);
	memmove(chip.rx_fifo, chip.rx_fifo + 1, --chip.rx_count);
	return byte;
}

static u8 chip_read(void *ctx, unsigned int reg)
{
	u8 iir;

	(void)ctx;
	chip_tick();
	if (chip.absent)
		return chip.absent_value;
	switch (reg) {
	case 0: return chip_rbr();
	case 1: return chip.ier;
	case 2:
		iir = chip_iir();
		if ((iir & 0xf) == 2)
			chip.thre_event = false;
		return iir;
	case 3: return chip.lcr;
	case 4: return chip.mcr;
	case 5: return chip_lsr();
	case 6: return chip_msr();
	default: return chip.scr;
	}
}

static void chip_thr(u8 value)
{
	assert_false(chip.mcr & 0x10);
	assert_true(chip.tx_count < (chip.no_fifo ? 1u : 16u));
	chip.tx_fifo[chip.tx_count++] = value;
	chip.thre_event = false;
}

static void chip_write(void *ctx, unsigned int reg, u8 value)
{
	(void)ctx;
	chip_tick();
	if (chip.absent)
		return;
	if (reg < 2 && chip.lcr & 0x80) {
		chip.divisor[reg] = value;
		return;
	}
	switch (reg) {
	case 0: chip_thr(value); break;
	case 1:
		chip.thre_event |= value & ~chip.ier & 2 && !chip.tx_count;
		chip.ier = value;
		break;
	case 2:
		if (value & 4)
			chip.tx_count = 0;
		break;
	case 3: chip.lcr = value; break;
	case 4:
		assert_true(!(value & 0x10) || (chip.shifting < 0 && !chip.tx_count));
		chip.mcr = value;
		break;
	case 7: chip.scr = value; break;
	}
}

static const struct uart_regs regs = { chip_read, chip_write, NULL };

static int setup(void **state)
{
	(void)state;
	memset(&chip, 0, sizeof(chip));
	chip.shifting = -1;
	chip.byte_time = 5;
	uart_init(&uart, regs);
	chip.accesses = 0;
	return 0;
}

static bool chip_feed(u8 byte)
{
	if (chip.rx_count == 16)
		return false;
	chip.rx_fifo[chip.rx_count++] = byte;
	return true;
}

static void expect_sent(const char *text, size_t len)
{
	uart_flush(&uart);
	assert_int_equal(chip.sent_len, len);
	assert_memory_equal(chip.sent, text, len);
}

/* A chip is found; empty sockets, memory and stuck lines are not, or do not hang the search. */
static void test_probe(void **state)
{
	(void)state;
	assert_true(uart_probe(&regs));
	chip.mcr = 3;
	assert_true(uart_probe(&regs));
	assert_int_equal(chip.mcr, 3);
	chip.stuck = true;
	assert_true(uart_probe(&regs));
	chip.stuck = false;
	chip.no_loop = true;
	assert_false(uart_probe(&regs));
	chip.absent = true;
	assert_false(uart_probe(&regs));
	chip.absent_value = 0xff;
	assert_false(uart_probe(&regs));
}

/* The search for a chip does not garble what the firmware is still sending. */
static void test_probe_drains(void **state)
{
	(void)state;
	chip.byte_time = 100;
	memcpy(chip.tx_fifo, "firmware", 8);
	chip.tx_count = 8;
	assert_true(uart_probe(&regs));
	memcpy(chip.tx_fifo, " again", 6);
	chip.tx_count = 6;
	uart_init(&uart, regs);
	expect_sent("firmware again", 14);
}

/* The line is set to 115200 8N1, modem outputs and interrupt gate on, interrupts off. */
static void test_init(void **state)
{
	(void)state;
	assert_int_equal(chip.divisor[0], 1);
	assert_int_equal(chip.divisor[1], 0);
	assert_int_equal(chip.lcr, 3);
	assert_int_equal(chip.mcr, 0xb);
	assert_int_equal(chip.ier, 0);
	assert_int_equal(uart.fifo_depth, 16);
}

static void random_writes(size_t total, void (*serve)(void))
{
	char *text = malloc(total);
	size_t done = 0;

	for (size_t i = 0; i < total; i++)
		text[i] = (char)rand();
	while (done < total) {
		size_t len = (size_t)rand() % 2000;

		done += uart_write(&uart, text + done, MIN(len, total - done));
		for (int i = rand() % 500; i > 0; i--)
			serve();
	}
	expect_sent(text, total);
	free(text);
}

static void serve_poll(void)
{
	uart_poll(&uart);
}

static void serve_irq(void)
{
	chip_tick();
	if (!(chip_iir() & 1))
		uart_irq(&uart);
}

/* Writes of any size against a slow chip: every byte leaves once and in order. */
static void test_write_polled(void **state)
{
	(void)state;
	random_writes(100000, serve_poll);
}

/* The same with nothing but the chip's interrupts to drive it. */
static void test_write_irq(void **state)
{
	(void)state;
	uart_enable_irq(&uart);
	random_writes(100000, serve_irq);
	assert_int_equal(chip.ier, 1);
}

/* A chip without FIFO gets one byte at a time. */
static void test_no_fifo(void **state)
{
	(void)state;
	chip.no_fifo = true;
	uart_init(&uart, regs);
	random_writes(3000, serve_poll);
}

/* uart_tx_room says what uart_write takes. */
static void test_room(void **state)
{
	static char text[UART_TX_SIZE + 100];

	(void)state;
	chip.byte_time = 1000000;
	assert_int_equal(uart_tx_room(&uart), UART_TX_SIZE);
	assert_int_equal(uart_write(&uart, text, sizeof(text)), UART_TX_SIZE);
	assert_int_equal(uart_tx_room(&uart), 16);
	assert_int_equal(uart_write(&uart, text, sizeof(text)), 16);
	assert_int_equal(uart_tx_room(&uart), 0);
}

static void receive_all(void (*serve)(void))
{
	u8 fed = 0, seen = 0;
	size_t total = 0;

	while (total < 50000) {
		u8 buf[512];
		size_t len;

		for (int i = rand() % 2000; i > 0; i--) {
			fed += chip_feed(fed);
			serve();
		}
		len = uart_read(&uart, buf, (size_t)rand() % sizeof(buf));
		for (size_t i = 0; i < len; i++)
			assert_int_equal(buf[i], seen++);
		total += len;
	}
}

/* Input waits in the chip while nobody reads: nothing is lost, whatever the pace. */
static void test_receive_polled(void **state)
{
	(void)state;
	receive_all(serve_poll);
}

/* The same by interrupts, which stop while there is no room (no storm) and start again. */
static void test_receive_irq(void **state)
{
	(void)state;
	uart_enable_irq(&uart);
	for (int i = 0; i < UART_RX_SIZE + 16; i++) {
		assert_true(chip_feed(0));
		serve_irq();
	}
	assert_int_equal(chip_iir() & 1, 1);
	assert_int_equal(uart_read(&uart, (u8[UART_RX_SIZE + 16]){ 0 }, UART_RX_SIZE + 16),
			 UART_RX_SIZE);
	assert_int_equal(chip_iir() & 1, 0);
	serve_irq();
	assert_int_equal(uart_read(&uart, (u8[32]){ 0 }, 32), 16);
	receive_all(serve_irq);
}

/* The log comes in order with other output, on lines of its own, with carriage returns. */
static void test_printk(void **state)
{
	static const char expected[] =
		"guest\r\nlintel: one\r\nlintel: two\r\n# \r\nlintel: three\r\n";

	(void)state;
	capture_nothing();
	uart_add_sink(&uart, LOG_INFO);
	assert_int_equal(uart_write(&uart, "guest\r\n", 7), 7);
	pr_info("one\ntwo\n");
	pr_debug("not shown\n");
	assert_int_equal(uart_write(&uart, "# ", 2), 2);
	pr_info("three\n");
	assert_int_equal(uart_tx_room(&uart), UART_TX_SIZE); /* shown, though nobody polls */
	printk_remove_sink(&uart.sink);
	capture_stop();
	expect_sent(expected, strlen(expected));
}

/* More log than the ring holds: it waits for the chip and loses nothing. */
static void test_printk_full(void **state)
{
	size_t len = 0;
	char line[64];

	(void)state;
	capture_nothing();
	uart_enable_irq(&uart);
	uart_add_sink(&uart, LOG_INFO);
	for (int i = 0; i < 3000; i++)
		pr_info("line %04d\n", i);
	assert_in_range(uart_tx_room(&uart), 0, 100);
	printk_remove_sink(&uart.sink);
	capture_stop();
	uart_flush(&uart);
	for (int i = 0; i < 3000; i++) {
		int n = snprintf(line, sizeof(line), "lintel: line %04d\r\n", i);

		assert_memory_equal(chip.sent + len, line, n);
		len += (size_t)n;
	}
	assert_int_equal(chip.sent_len, len);
	assert_int_equal(uart.lost, 0);
}

static void fill_dead_uart(void)
{
	static char text[UART_TX_SIZE];

	for (int i = 0; i < 4; i++)
		uart_write_wait(&uart, text, sizeof(text));
	uart_flush(&uart);
	/* One wait until it counts as stalled, and none any more after that. */
	assert_in_range(chip.accesses, 1000, 3000000);
	assert_true(uart.stalled);
	assert_int_equal(uart_tx_room(&uart), UART_TX_SIZE);
	assert_int_equal(uart_write(&uart, text, 100), 100);
}

/* A transmitter that is stuck holds nobody up for long, the loss is counted, and it may come back. */
static void test_stuck(void **state)
{
	(void)state;
	chip.stuck = true;
	fill_dead_uart();
	assert_int_equal(uart.lost, 3 * UART_TX_SIZE + 100);
	chip.stuck = false;
	uart_flush(&uart);
	uart_poll(&uart);
	assert_false(uart.stalled);
	uart_flush(&uart);
	assert_int_equal(chip.sent_len, UART_TX_SIZE);
}

/* A chip that vanishes neither hangs anybody nor floods the input. */
static void test_gone(void **state)
{
	u8 byte;

	(void)state;
	chip.absent = true;
	chip.absent_value = 0xff;
	fill_dead_uart();
	uart_irq(&uart);
	chip.absent_value = 0;
	uart_irq(&uart);
	assert_int_equal(uart_read(&uart, &byte, 1), 0);
}

/* Endless input, or an endless break, of a broken chip does not hang a poll. */
static void test_endless_input(void **state)
{
	(void)state;
	chip.absent = true;
	chip.absent_value = 0x61;
	uart_poll(&uart);
	setup(state);
	chip.absent = true;
	chip.absent_value = 0x71;
	uart_poll(&uart);
	assert_in_range(chip.accesses, 1, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_probe, setup),
		cmocka_unit_test_setup(test_probe_drains, setup),
		cmocka_unit_test_setup(test_init, setup),
		cmocka_unit_test_setup(test_write_polled, setup),
		cmocka_unit_test_setup(test_write_irq, setup),
		cmocka_unit_test_setup(test_no_fifo, setup),
		cmocka_unit_test_setup(test_room, setup),
		cmocka_unit_test_setup(test_receive_polled, setup),
		cmocka_unit_test_setup(test_receive_irq, setup),
		cmocka_unit_test_setup(test_printk, setup),
		cmocka_unit_test_setup(test_printk_full, setup),
		cmocka_unit_test_setup(test_stuck, setup),
		cmocka_unit_test_setup(test_gone, setup),
		cmocka_unit_test_setup(test_endless_input, setup),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
