/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio console: one port, which Linux calls hvc0. Virtio 1.2, "Console Device".
 *
 * What the guest sends is offered to a sink, and its buffer is given back when all of it was taken:
 * while the sink is full the buffer is held, so no byte gets lost. Input is drawn from a source
 * when the guest has a buffer for it.
 */
#ifndef VIRTIO_VIRTIO_CONSOLE_H
#define VIRTIO_VIRTIO_CONSOLE_H

#include "virtio/virtio.h"

#define VIRTIO_CONSOLE_QUEUES 2

struct virtio_console_ops {
	/* The guest sends; returns how many of @len bytes were taken (the rest is offered again). */
	size_t (*tx)(void *ctx, const u8 *data, size_t len);
	/* Input for the guest; returns how many bytes there were, at most @len. */
	size_t (*rx)(void *ctx, u8 *data, size_t len);
};

struct virtio_console {
	struct virtio_device dev;
	struct virtqueue queue[VIRTIO_CONSOLE_QUEUES];
	const struct virtio_console_ops *ops;
	void *ctx;              /* of ops */
	bool rx_held;           /* rx is a chain of the driver's, to be filled */
	bool tx_held;           /* tx is one, of which tx_done bytes were taken */
	bool tx_full;           /* and the sink takes no more now */
	bool sent;              /* something was, since the driver started */
	bool listens;           /* it has given buffers for input */
	u64 tx_done;            /* bytes */
	struct vdev_timer lull; /* when interrupts for what was sent are due at the latest */
	struct virtq_chain rx, tx;
};

/* @host and @ops stay the caller's. The transport is for the caller to add. */
void virtio_console_init(struct virtio_console *c, const struct virtio_host *host,
			 const struct virtio_console_ops *ops, void *ctx);

/* The source may have something; the sink has room again. */
void virtio_console_input(struct virtio_console *c);
void virtio_console_output(struct virtio_console *c);

/* Is there a driver, and has it given buffers for input since it started? */
static inline bool virtio_console_listens(const struct virtio_console *c)
{
	return virtio_live(&c->dev) && c->listens;
}

/* Has the driver sent anything since it started? */
static inline bool virtio_console_has_sent(const struct virtio_console *c)
{
	return c->sent;
}

/*
 * The sink is full and a buffer is held. Linux spins with interrupts off until it gets the buffer
 * back: whoever runs the vCPU that sends may as well let it wait.
 */
static inline bool virtio_console_tx_full(const struct virtio_console *c)
{
	return virtio_live(&c->dev) && c->tx_full;
}

/* Is there anything that the guest has sent and the sink not taken? */
static inline bool virtio_console_tx_pending(const struct virtio_console *c)
{
	return virtio_live(&c->dev) && c->tx_held;
}

#endif
