/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vdev.h"
#include "vmm/pc/vuart.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR  IIR
#define LINE 4

static struct vuart v;
static u8 sent[1 << 20];
static size_t sent_len, sink_room;
static u8 text[100000];
static const u8 *input = text; /* what is still to be received */
static size_t input_len;

static size_t sink(void *ctx, const u8 *data, size_t len)
{
	size_t n = MIN(len, sink_room);

	assert_ptr_equal(ctx, sent);
	assert_in_range(len, 1, VUART_FIFO);
	assert_true(sent_len + n <= sizeof(sent));
	memcpy(sent + sent_len, data, n);
	sent_len += n;
	sink_room -= n;
	return n;
}

static void feed(void *ctx)
{
	size_t n;

	(void)ctx;
	n = vuart_rx(&v, input, input_len);
	input += n;
	input_len -= n;
}

static const struct vuart_ops ops = { sink, feed };

static int setup(void **state)
{
	(void)state;
	fake_reset();
	sent_len = input_len = 0;
	input = text;
	sink_room = sizeof(sent);
	vuart_init(&v, &fake.env, &ops, sent, LINE);
	return 0;
}

static u8 in(u16 reg)
{
	return (u8)fake_in(&vuart_pio, &v, reg, 1);
}

static void out(u16 reg, u8 value)
{
	fake_out(&vuart_pio, &v, reg, 1, value);
}

/* Linux's autoconfig finds a port, its loopback, and of all chips the 16550A. */
static void test_linux_autoconfig(void **state)
{
	u8 mcr;

	(void)state;
	out(IER, 0);
	assert_int_equal(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	assert_int_equal(in(IER), 0x0f);
	out(IER, 0);

	mcr = in(MCR);
	out(MCR, 0x10 | 0x0a);
	assert_int_equal(in(MSR)&0xf0, 0x90);
	out(MCR, mcr);

	/* No extended feature register, in any of the places where a better chip has it. */
	out(LCR, 0xbf);
	(void)in(FCR);
	out(LCR, 0);
	out(FCR, 0x01);
	assert_int_equal(in(IIR) >> 6, 3);
	out(LCR, 0x80);
	assert_int_not_equal(in(2), 0);
	out(LCR, 0xbf);
	assert_int_not_equal(in(2), 0);

	/* Not National's either: its bank register would follow MCR's loop bit. */
	out(LCR, 0);
	mcr = in(MCR);
	out(LCR, 0xe0);
	assert_int_equal((in(2) ^ mcr) & 0x10, 0);
	out(LCR, 0);
	out(MCR, mcr ^ 0x10);
	out(LCR, 0xe0);
	assert_int_equal((in(2) ^ mcr) & 0x10, 0);
	out(LCR, 0);
	out(MCR, mcr);

	out(IER, 0x40);
	assert_int_equal(in(IER)&0x40, 0); /* no XScale */
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	assert_int_equal(sent_len, 0);
}

/* Linux's start-up finds that the transmitter interrupt comes anew each time it is enabled. */
static void test_linux_startup(void **state)
{
	(void)state;
	out(FCR, 0x01);
	out(FCR, 0x07);
	out(FCR, 0x00);
	assert_int_equal(in(LSR), 0x60);
	for (int i = 0; i < 2; i++) {
		out(IER, 0x02);
		assert_true(fake.line[LINE]);
		assert_int_equal(in(IIR)&0x0f, 0x02);
		assert_int_equal(in(IIR)&0x0f, 0x01); /* reading it was the answer */
		assert_false(fake.line[LINE]);
		out(IER, 0);
	}
}

/* The divisor latch hides under DLAB and is kept. */
static void test_divisor(void **state)
{
	(void)state;
	out(LCR, 0x83);
	assert_int_equal(in(0) | in(1) << 8, 12);
	out(0, 1);
	out(1, 2);
	assert_int_equal(in(0) | in(1) << 8, 0x201);
	out(LCR, 0x03);
	assert_int_equal(in(LCR), 0x03);
	assert_int_equal(in(IER), 0);
	assert_int_equal(sent_len, 0);
	assert_int_equal(fake_in(&vuart_pio, &v, LCR, 2), 0x0003);
}

/* What the handler of Linux's 8250 driver does, with a buffer of its own on each side. */
struct tty {
	const u8 *out;
	size_t out_len;
	u8 in[1 << 18];
	size_t in_len;
	unsigned int interrupts;
};

static struct tty tty;

static void tty_open(void)
{
	memset(&tty, 0, sizeof(tty));
	out(FCR, 0x01);
	out(FCR, 0x07);
	out(FCR, 0x81); /* trigger at 8 */
	out(LCR, 0x03);
	out(MCR, 0x0b);
	out(IER, 0x05);
}

static void tty_interrupt(void)
{
	tty.interrupts++;
	while (!(in(IIR)&1)) {
		u8 lsr = in(LSR);

		while (lsr & 1) {
			assert_true(tty.in_len < sizeof(tty.in));
			tty.in[tty.in_len++] = in(DATA);
			lsr = in(LSR);
		}
		(void)in(MSR);
		if (!(lsr & 0x20) || !(v.ier & 0x02))
			continue;
		for (int i = 0; i < VUART_FIFO && tty.out_len; i++, tty.out_len--)
			out(DATA, *tty.out++);
		if (!tty.out_len)
			out(IER, 0x05);
	}
}

/* An edge-triggered interrupt controller: it knows rises only. */
static void tty_run(void)
{
	static unsigned int seen;

	if (fake.rises[LINE] < seen)
		seen = 0;
	while (fake.rises[LINE] != seen) {
		seen = fake.rises[LINE];
		tty_interrupt();
	}
}

static void fill_text(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (u8)(i * 2654435761u >> 24);
}

/* Interrupt-driven output: every byte arrives, in order, and edges alone keep it going. */
static void test_tty_output(void **state)
{
	(void)state;
	fill_text();
	tty_open();
	tty.out = text;
	tty.out_len = sizeof(text);
	out(IER, 0x07);
	tty_run();
	assert_int_equal(sent_len, sizeof(text));
	assert_memory_equal(sent, text, sizeof(text));
	assert_int_equal(in(IER), 0x05);
	assert_false(fake.line[LINE]);
}

/* A sink that is full now and then stops the guest at its FIFO, and no byte is lost. */
static void test_tty_output_stalled(void **state)
{
	(void)state;
	fill_text();
	tty_open();
	sink_room = 0;
	tty.out = text;
	tty.out_len = sizeof(text);
	out(IER, 0x07);
	for (unsigned int round = 0; sent_len < sizeof(text); round++) {
		tty_run();
		if (sent_len < sizeof(text)) {
			assert_true(v.tx.len > 0);
			assert_int_equal(in(LSR)&0x60, 0);
			assert_false(fake.line[LINE]);
		}
		sink_room = round % 37;
		vuart_tx_resume(&v);
	}
	assert_memory_equal(sent, text, sizeof(text));
	assert_int_equal(in(LSR)&0x60, 0x60);
}

/* A console that polls LSR loses nothing either, whoever resumes the sink in between. */
static void test_console_output(void **state)
{
	(void)state;
	fill_text();
	for (size_t i = 0; i < sizeof(text); i++) {
		sink_room = i % 3 == 0;
		while (!(in(LSR)&0x20)) {
			sink_room = 1;
			vuart_tx_resume(&v);
		}
		out(DATA, text[i]);
	}
	sink_room = VUART_FIFO;
	vuart_tx_resume(&v);
	assert_int_equal(sent_len, sizeof(text));
	assert_memory_equal(sent, text, sizeof(text));
}

/* Without FIFOs the guest still finds room for 16 bytes, says when there is none, and keeps them. */
static void test_full(void **state)
{
	(void)state;
	sink_room = 0;
	for (u8 i = 0; i < VUART_FIFO; i++) {
		assert_false(vuart_tx_full(&v));
		out(DATA, i);
	}
	assert_true(vuart_tx_full(&v));
	out(DATA, 0xee); /* nobody looked */
	out(FCR, 0x07);
	vuart_reset(&v);
	assert_true(vuart_tx_full(&v));
	sink_room = 100;
	vuart_tx_resume(&v);
	assert_int_equal(sent_len, VUART_FIFO);
	for (u8 i = 0; i < VUART_FIFO; i++)
		assert_int_equal(sent[i], i);
}

/* Input of any length gets through a FIFO of 16 without overrun, refilled as the guest reads. */
static void test_tty_input(void **state)
{
	(void)state;
	fill_text();
	tty_open();
	input = text;
	input_len = sizeof(text);
	feed(NULL);
	assert_int_equal(input_len, sizeof(text) - VUART_FIFO);
	tty_run();
	assert_int_equal(tty.in_len, sizeof(text));
	assert_memory_equal(tty.in, text, sizeof(text));
	assert_false(fake.line[LINE]);
	assert_int_equal(tty.interrupts, 1);
}

/* One byte interrupts at once (as a time-out), as many as the trigger level as data. */
static void test_rx_interrupt(void **state)
{
	static const u8 byte[VUART_FIFO] = "0123456789abcdef";

	(void)state;
	out(FCR, 0x81);
	out(IER, 0x01);
	assert_int_equal(vuart_rx(&v, byte, 1), 1);
	assert_true(fake.line[LINE]);
	assert_int_equal(in(IIR), 0xcc);
	assert_int_equal(in(IIR), 0xcc); /* reading IIR does not answer this one */
	assert_int_equal(vuart_rx(&v, byte, 7), 7);
	assert_int_equal(in(IIR), 0xc4);
	assert_int_equal(vuart_rx_room(&v), 8);
	assert_int_equal(vuart_rx(&v, byte, 100), 8);
	assert_int_equal(vuart_rx_room(&v), 0);
	assert_int_equal(vuart_rx(&v, byte, 100), 0);
	assert_int_equal(in(LSR)&0x03, 0x01); /* data, no overrun */
	for (int i = 0; i < VUART_FIFO; i++)
		(void)in(DATA);
	assert_int_equal(in(IIR), 0xc1);
	assert_false(fake.line[LINE]);

	out(FCR, 0);
	assert_int_equal(vuart_rx(&v, byte, 100), 1); /* no FIFO: one byte */
	assert_int_equal(in(IIR), 0x04);
}

/* Clearing or switching the receive FIFO empties it, and asks for more input. */
static void test_rx_clear(void **state)
{
	static const u8 byte[40];

	(void)state;
	out(FCR, 0x01);
	input = byte;
	input_len = sizeof(byte);
	feed(NULL);
	assert_int_equal(input_len, 24);
	out(FCR, 0x03);
	assert_int_equal(input_len, 8);
	out(FCR, 0x00);
	assert_int_equal(input_len, 7);
	vuart_reset(&v);
	assert_int_equal(input_len, 6);
}

/* Of several interrupts that are due, IIR names the most urgent. */
static void test_priority(void **state)
{
	(void)state;
	out(MCR, 0x10);
	(void)in(MSR);
	out(MCR, 0x13); /* modem status */
	out(DATA, 'a'); /* data; the transmitter is empty again */
	out(DATA, 'b'); /* overrun: no FIFO */
	out(IER, 0x0f);
	assert_int_equal(in(IIR), 0x06);
	assert_int_equal(in(LSR), 0x63);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(DATA), 'a');
	assert_int_equal(in(IIR), 0x02);
	assert_int_equal(in(IIR), 0x00);
	assert_int_equal(in(MSR), 0x33);
	assert_int_equal(in(IIR), 0x01);
	assert_false(fake.line[LINE]);
	assert_int_equal(sent_len, 0);
}

/* Loopback leads the modem outputs to the inputs, notes their changes, and keeps the world out. */
static void test_loopback(void **state)
{
	static const u8 byte[1];

	(void)state;
	assert_int_equal(in(MSR), 0xb0);
	out(MCR, 0x1f);
	assert_int_equal(in(MSR), 0xf0);
	out(MCR, 0x1b);
	assert_int_equal(in(MSR), 0xb4); /* the end of the ring */
	assert_int_equal(in(MSR), 0xb0);
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0x0b);
	assert_int_equal(vuart_rx_room(&v), 0);
	assert_int_equal(vuart_rx(&v, byte, 1), 0);
	input = byte;
	input_len = 1;
	out(MCR, 0x00);
	assert_int_equal(input_len, 0); /* asked for again */
}

/* No access of any size upsets it, whatever the sink takes. */
static void test_sweep(void **state)
{
	(void)state;
	sink_room = 1000;
	input = text;
	input_len = sizeof(text);
	fake_sweep(&vuart_pio, &v, VUART_PORTS);
	assert_true(v.rx.len <= VUART_FIFO && v.tx.len <= VUART_FIFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_linux_autoconfig, setup),
		cmocka_unit_test_setup(test_linux_startup, setup),
		cmocka_unit_test_setup(test_divisor, setup),
		cmocka_unit_test_setup(test_tty_output, setup),
		cmocka_unit_test_setup(test_tty_output_stalled, setup),
		cmocka_unit_test_setup(test_console_output, setup),
		cmocka_unit_test_setup(test_full, setup),
		cmocka_unit_test_setup(test_tty_input, setup),
		cmocka_unit_test_setup(test_rx_interrupt, setup),
		cmocka_unit_test_setup(test_rx_clear, setup),
		cmocka_unit_test_setup(test_priority, setup),
		cmocka_unit_test_setup(test_loopback, setup),
		cmocka_unit_test_setup(test_sweep, setup),
	};

	return cmocka_run_group_tests_name("vuart", tests, NULL, NULL);
}
