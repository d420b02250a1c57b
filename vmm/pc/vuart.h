/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's serial port: a 16550A with FIFOs of 16 bytes. It has no baud rate: a byte is on its
 * way as soon as the sink takes it.
 */
#ifndef VMM_PC_VUART_H
#define VMM_PC_VUART_H

#include "lib/vdev.h"

#define VUART_PORTS 8
#define VUART_FIFO  16

struct vuart_ops {
	/* The guest sends; returns how many of @len bytes were taken (the rest is offered again). */
	size_t (*tx)(void *ctx, const u8 *data, size_t len);
	/* The receive FIFO has room again: vuart_rx may be called, also from here. */
	void (*rx_room)(void *ctx);
};

struct vuart_fifo {
	u8 data[VUART_FIFO]; /* the oldest byte first */
	u8 len;
};

struct vuart {
	const struct vdev_env *env;
	const struct vuart_ops *ops;
	void *ctx;         /* of ops */
	unsigned int line; /* interrupt */
	bool level;        /* what the line was last driven to */
	bool thr_emptied;  /* the THRE interrupt is due */
	u8 ier, fcr, lcr, mcr, msr, scr, dll, dlm;
	u8 lsr_errors; /* LSR bits that a read clears */
	struct vuart_fifo rx, tx;
};

/* @env and @ops stay the caller's and must outlive @v. */
void vuart_init(struct vuart *v, const struct vdev_env *env, const struct vuart_ops *ops, void *ctx,
		unsigned int line);

/* As at power-on, but for bytes that the guest has sent and the sink not yet taken. */
void vuart_reset(struct vuart *v);

/* The sink has room again: offer it what waits in the transmit FIFO. */
void vuart_tx_resume(struct vuart *v);

/*
 * One more byte of the guest's would have no place. The guest knows from LSR, but Linux's console
 * waits 10 ms only: whoever wants no byte lost keeps the vCPU waiting while this is true.
 */
static inline bool vuart_tx_full(const struct vuart *v)
{
	return v->tx.len == VUART_FIFO;
}

/* Is there anything that the guest has sent and the sink not taken? */
static inline bool vuart_tx_pending(const struct vuart *v)
{
	return v->tx.len;
}

/* Has the guest asked for interrupts of received bytes? Linux does while a program has the port open. */
bool vuart_rx_wanted(const struct vuart *v);

/* Bytes that vuart_rx would take now. */
size_t vuart_rx_room(const struct vuart *v);

/* Input for the guest: returns how many of @len bytes fitted, at once and without overrun. */
size_t vuart_rx(struct vuart *v, const u8 *data, size_t len);

extern const struct pio_ops vuart_pio; /* VUART_PORTS ports; dev: struct vuart */

#endif
