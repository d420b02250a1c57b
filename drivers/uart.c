/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/uart.h"
#include "lib/string.h"
#include "lib/x86.h"

/* Registers of the 16550; DLL and DLM take the place of the first two while LCR.DLAB is set. */
enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { DLL = 0, DLM = 1 };

#define IER_RX         0x01
#define IER_TX         0x02

#define IIR_NONE       0x01 /* no interrupt is pending */
#define IIR_FIFO       0xc0 /* both set: the FIFOs are there and on */

#define FCR_ENABLE     0x01
#define FCR_CLEAR_RX   0x02
#define FCR_CLEAR_TX   0x04
#define FCR_LEVEL_8    0x80 /* interrupt when 8 of 16 bytes are received: time for 8 more */

#define LCR_8N1        0x03
#define LCR_DLAB       0x80

#define MCR_DTR        0x01
#define MCR_RTS        0x02
#define MCR_OUT2       0x08 /* on a PC: lets the interrupt out of the chip */
#define MCR_LOOP       0x10

#define LSR_DR         0x01 /* data received */
#define LSR_BREAK      0x10
#define LSR_THRE       0x20 /* the transmitter's FIFO is empty */
#define LSR_TEMT       0x40 /* and so is its shift register */

#define MSR_CTS        0x10
#define MSR_DCD        0x80

#define FIFO_DEPTH     16
#define DIVISOR_115200 1
#define ABSENT         0xff /* what is read where no chip answers */

/*
 * Reads of LSR after which the transmitter counts as stuck. A read takes a microsecond on a real
 * machine and some ten nanoseconds in a fast emulator; a full FIFO drains in 1.4 ms.
 */
#define STALL_READS 1000000u

static u8 port_read(void *chip, unsigned int reg)
{
	return inb((u16)((uintptr_t)chip + reg));
}

static void port_write(void *chip, unsigned int reg, u8 value)
{
	outb((u16)((uintptr_t)chip + reg), value);
}

struct uart_regs uart_at_port(u16 port)
{
	return (struct uart_regs){ .read = port_read,
				   .write = port_write,
				   .chip = (void *)(uintptr_t)port };
}

static u8 reg_read(const struct uart_regs *regs, unsigned int reg)
{
	return regs->read(regs->chip, reg);
}

static void reg_write(const struct uart_regs *regs, unsigned int reg, u8 value)
{
	regs->write(regs->chip, reg, value);
}

static void wait_idle(const struct uart_regs *regs)
{
	for (unsigned int i = 0; i < STALL_READS && !(reg_read(regs, LSR) & LSR_TEMT); i++)
		;
}

static bool scratch_holds(const struct uart_regs *regs, u8 value)
{
	reg_write(regs, SCR, value);
	return reg_read(regs, SCR) == value;
}

/* In loopback mode the modem's inputs are the outputs, which nothing but a UART does. */
static bool loops_back(const struct uart_regs *regs)
{
	u8 mcr = reg_read(regs, MCR);
	u8 both, none;

	reg_write(regs, MCR, MCR_LOOP | MCR_OUT2 | MCR_RTS);
	both = reg_read(regs, MSR) & 0xf0;
	reg_write(regs, MCR, MCR_LOOP);
	none = reg_read(regs, MSR) & 0xf0;
	reg_write(regs, MCR, mcr);
	return both == (MSR_DCD | MSR_CTS) && none == 0;
}

bool uart_probe(const struct uart_regs *regs)
{
	if (reg_read(regs, LSR) == ABSENT || !scratch_holds(regs, 0x55) ||
	    !scratch_holds(regs, 0xaa))
		return false;
	wait_idle(regs); /* what is being sent would go to the loop */
	return loops_back(regs);
}

void uart_init(struct uart *u, struct uart_regs regs)
{
	memset(u, 0, sizeof(*u));
	u->regs = regs;
	u->tx = BYTE_RING(u->tx_data);
	u->rx = BYTE_RING(u->rx_data);

	wait_idle(&regs); /* the firmware's last words */
	reg_write(&regs, IER, 0);
	reg_write(&regs, LCR, LCR_DLAB | LCR_8N1);
	reg_write(&regs, DLL, DIVISOR_115200);
	reg_write(&regs, DLM, 0);
	reg_write(&regs, LCR, LCR_8N1);
	reg_write(&regs, FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX | FCR_LEVEL_8);
	reg_write(&regs, MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	u->fifo_depth = (reg_read(&regs, IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_DEPTH : 1;
}

/*
 * Ask for exactly the interrupts that something can be done about. Received bytes that find no
 * room stay in the chip, where they hold the sender back instead of being lost.
 */
static void update_ier(struct uart *u)
{
	u8 ier = 0;

	if (u->irq && byte_ring_room(&u->rx))
		ier |= IER_RX;
	if (u->irq && byte_ring_used(&u->tx) && !u->stalled)
		ier |= IER_TX;
	if (ier != u->ier) {
		u->ier = ier;
		reg_write(&u->regs, IER, ier);
	}
}

static void receive(struct uart *u, u8 lsr)
{
	/* Bounded: a broken chip may have data without end. One that has gone away reads as ABSENT. */
	for (unsigned int i = 0; i < UART_RX_SIZE; i++) {
		u8 byte;

		if (lsr == ABSENT || !(lsr & LSR_DR) || !byte_ring_room(&u->rx))
			return;
		byte = reg_read(&u->regs, RBR);
		if (!(lsr & LSR_BREAK)) /* a break comes as a byte of 0 that nobody sent */
			byte_ring_put(&u->rx, &byte, 1);
		lsr = reg_read(&u->regs, LSR);
	}
}

static void transmit(struct uart *u, u8 lsr)
{
	u8 bytes[FIFO_DEPTH];
	u32 count;

	if (!byte_ring_used(&u->tx))
		return;
	if (lsr == ABSENT || !(lsr & LSR_THRE)) {
		if (u->idle < STALL_READS)
			u->idle++;
		else
			u->stalled = true;
		return;
	}
	u->idle = 0;
	u->stalled = false;
	count = byte_ring_get(&u->tx, bytes, u->fifo_depth);
	for (u32 i = 0; i < count; i++)
		reg_write(&u->regs, THR, bytes[i]);
}

static void poll(struct uart *u)
{
	u8 lsr = reg_read(&u->regs, LSR);

	transmit(u, lsr);
	receive(u, lsr);
	update_ier(u);
}

/* Queue what there is room for. Only a stalled chip's output is thrown away, and counted. */
static size_t queue(struct uart *u, const u8 *data, size_t len)
{
	size_t taken = byte_ring_put(&u->tx, data, len);

	if (u->stalled) {
		u->lost += len - taken;
		taken = len;
	}
	if (taken)
		u->line_open = data[taken - 1] != '\n';
	return taken;
}

static void queue_wait(struct uart *u, const void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		done += queue(u, (const u8 *)data + done, len - done);
		if (done < len)
			poll(u);
	}
}

void uart_enable_irq(struct uart *u)
{
	output_lock(&u->lock);
	u->irq = true;
	update_ier(u);
	output_unlock(&u->lock);
}

void uart_poll(struct uart *u)
{
	output_lock(&u->lock);
	poll(u);
	output_unlock(&u->lock);
}

void uart_irq(struct uart *u)
{
	output_lock(&u->lock);
	/* An edge is seen only when the chip has come to rest; a broken one never does. */
	for (unsigned int i = 0; i < 64 && !(reg_read(&u->regs, IIR) & IIR_NONE); i++) {
		(void)reg_read(&u->regs, MSR);
		poll(u);
	}
	output_unlock(&u->lock);
}

size_t uart_tx_room(struct uart *u)
{
	size_t room;

	output_lock(&u->lock);
	room = u->stalled ? u->tx.size : byte_ring_room(&u->tx);
	output_unlock(&u->lock);
	return room;
}

size_t uart_write(struct uart *u, const void *data, size_t len)
{
	size_t taken;

	output_lock(&u->lock);
	taken = queue(u, data, len);
	if (!(u->ier & IER_TX)) /* else its interrupt is on its way: save an access to the chip */
		poll(u);
	output_unlock(&u->lock);
	return taken;
}

void uart_write_wait(struct uart *u, const void *data, size_t len)
{
	output_lock(&u->lock);
	queue_wait(u, data, len);
	poll(u);
	output_unlock(&u->lock);
}

size_t uart_read(struct uart *u, void *buf, size_t len)
{
	size_t count;

	output_lock(&u->lock);
	count = byte_ring_get(&u->rx, buf, len);
	update_ier(u); /* there may be room again */
	output_unlock(&u->lock);
	return count;
}

/* Until all is in the chip. */
static void drain(struct uart *u)
{
	while (byte_ring_used(&u->tx) && !u->stalled)
		poll(u);
}

void uart_flush(struct uart *u)
{
	output_lock(&u->lock);
	drain(u);
	if (!u->stalled)
		wait_idle(&u->regs);
	output_unlock(&u->lock);
}

/* The log has Unix lines and a terminal wants both characters. */
static void sink_write(struct printk_sink *sink, const char *text, size_t len)
{
	struct uart *u = container_of(sink, struct uart, sink);
	const char *end = text + len;

	output_lock(&u->lock);
	if (u->line_open)
		queue_wait(u, "\r\n", 2);
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end;

		queue_wait(u, text, (size_t)(stop - text));
		if (nl)
			queue_wait(u, "\r\n", 2);
		text = nl ? nl + 1 : end;
	}
	poll(u);
	if (!u->irq) /* nobody serves the ring yet, and the next line may never come */
		drain(u);
	output_unlock(&u->lock);
}

void uart_add_sink(struct uart *u, enum log_level level)
{
	u->sink.write = sink_write;
	u->sink.level = level;
	printk_add_sink(&u->sink);
}
