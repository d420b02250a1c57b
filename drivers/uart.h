/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 16550 UART: the host's serial line. Output and input go through rings, so that nobody waits
 * for the line; the log waits for room, for a bounded time, and never hangs on a dead chip.
 *
 * Everything here may be called on any CPU with interrupts off.
 */
#ifndef DRIVERS_UART_H
#define DRIVERS_UART_H

#include "lib/byte_ring.h"
#include "lib/output_lock.h"
#include "lib/printk.h"
#include "lib/types.h"

#define UART_COM1    0x3f8
#define UART_COM2    0x2f8

#define UART_TX_SIZE 16384
#define UART_RX_SIZE 4096

/* How the chip's eight registers are reached. */
struct uart_regs {
	u8 (*read)(void *chip, unsigned int reg);
	void (*write)(void *chip, unsigned int reg, u8 value);
	void *chip;
};

/* All fields are the driver's. */
struct uart {
	struct uart_regs regs;
	struct output_lock lock;
	struct byte_ring tx, rx;
	u8 tx_data[UART_TX_SIZE];
	u8 rx_data[UART_RX_SIZE];
	unsigned int fifo_depth; /* bytes that an empty transmitter takes */
	bool irq;                /* interrupts are wanted */
	u8 ier;                  /* what the register of that name holds */
	unsigned int idle;       /* reads of LSR since the transmitter last took something */
	bool stalled;            /* it has taken nothing for so long that nobody waits any more */
	u64 lost;                /* bytes of output thrown away because of that */
	bool line_open;          /* the last byte of output was not a newline */
	struct printk_sink sink;
};

/* The registers at @port of the I/O space. */
struct uart_regs uart_at_port(u16 port);

/* Is there a chip? Harmless for what else may be there, and to output that is under way. */
bool uart_probe(const struct uart_regs *regs);

/* 115200 baud, 8N1, FIFOs on, interrupts off, rings empty. */
void uart_init(struct uart *u, struct uart_regs regs);

/* Interrupts on receive, and on transmit while there is something to send. */
void uart_enable_irq(struct uart *u);

/* Move what can be moved in both directions without waiting. */
void uart_poll(struct uart *u);

/* The handler of its interrupt: poll until the chip asks for nothing more. */
void uart_irq(struct uart *u);

/* Bytes that uart_write takes now. */
size_t uart_tx_room(struct uart *u);

/* Queue @data and start to send; returns the bytes taken, which may be fewer than @len. */
size_t uart_write(struct uart *u, const void *data, size_t len);

/* Queue all of @data, waiting for room; it is lost only where the chip has stalled. */
void uart_write_wait(struct uart *u, const void *data, size_t len);

/* Take at most @len received bytes; returns how many. */
size_t uart_read(struct uart *u, void *buf, size_t len);

/* Wait until the last byte has left the chip. For the end of the machine, and panic. */
void uart_flush(struct uart *u);

/*
 * Make it a sink of printk: in order with uart_write, always beginning on a new line. Without
 * interrupts printk waits until its text is in the chip, with them only for room in the ring.
 */
void uart_add_sink(struct uart *u, enum log_level level);

#endif
