/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/virtio_console.h"

#define DEVICE_ID 3
#define PCI_CLASS 0x078000 /* communication controller, other */

enum { RX, TX };

#define QUEUE_SIZE 64
#define CHUNK      256
#define RX_BURST   16   /* buffers filled in one go */
#define TX_BURST   4096 /* bytes sent in one go; a buffer without any counts as one */

/*
 * Linux waits for each buffer that it sends, with interrupts off, until it has it back; an interrupt
 * afterwards would tell it nothing, and cost three exits. So whether one is wanted is asked at the
 * next kick, or after a lull: of a driver that has its buffers back, the event index says by then
 * that it is not. One that does wait for interrupts gets them, if a bit later.
 */
#define LULL_HZ 50

static void interrupt_tx_later(struct virtio_console *c)
{
	const struct vdev_env *env = c->dev.host->env;
	u16 unsignaled = virtqueue_unsignaled(&c->queue[TX]);

	if (unsignaled >= c->queue[TX].size / 2)
		virtio_interrupt(&c->dev, TX);
	else if (unsignaled && c->lull.deadline == VDEV_NEVER)
		env->set_timer(env->ctx, &c->lull, env->now(env->ctx) + env->tsc_hz / LULL_HZ);
}

static void lull_over(void *ctx)
{
	struct virtio_console *c = ctx;

	virtio_interrupt(&c->dev, TX);
}

static bool next_tx(struct virtio_console *c)
{
	while (!c->tx_held) {
		c->tx_held = virtio_pop(&c->dev, TX, &c->tx);
		c->tx_done = 0;
		if (!c->tx_held && !virtio_enable_kicks(&c->dev, TX))
			return false;
	}
	return true;
}

/* Offer a part of the buffer at hand; 0: the sink is full. */
static size_t send_chunk(struct virtio_console *c)
{
	u8 data[CHUNK];
	size_t len = virtq_chain_read(&c->queue[TX], &c->tx, c->tx_done, data, sizeof(data));
	size_t taken = c->ops->tx(c->ctx, data, len);

	c->tx_done += taken;
	c->sent = true;
	c->tx_full = taken < len;
	return taken;
}

static void transmit(struct virtio_console *c)
{
	virtio_interrupt(&c->dev, TX); /* for those before */
	c->tx_full = false;
	for (size_t left = TX_BURST; next_tx(c);) {
		size_t used = 1;

		if (!left) {
			virtio_defer(&c->dev, TX);
			break;
		}
		if (c->tx_done < c->tx.out_bytes)
			used = send_chunk(c);
		if (c->tx_full)
			break;
		left -= MIN(left, used);
		if (c->tx_done < c->tx.out_bytes)
			continue;
		c->tx_held = false;
		virtio_push(&c->dev, TX, &c->tx, 0);
	}
	interrupt_tx_later(c);
}

/* While a buffer is at hand the driver need not tell of others. */
static bool next_rx(struct virtio_console *c)
{
	while (!c->rx_held) {
		c->rx_held = virtio_pop(&c->dev, RX, &c->rx);
		c->listens |= c->rx_held;
		if (c->rx_held)
			virtio_disable_kicks(&c->dev, RX);
		else if (!virtio_enable_kicks(&c->dev, RX))
			return false;
	}
	return true;
}

static void receive(struct virtio_console *c)
{
	unsigned int n = 0;
	u8 data[CHUNK];

	for (; n < RX_BURST && next_rx(c); n++) {
		size_t room = MIN(sizeof(data), c->rx.in_bytes), len = 0;

		if (room) {
			len = c->ops->rx(c->ctx, data, room);
			if (!len)
				break;
			len = virtq_chain_write(&c->queue[RX], &c->rx, 0, data, len);
		}
		c->rx_held = false;
		virtio_push(&c->dev, RX, &c->rx, (u32)len);
	}
	virtio_interrupt(&c->dev, RX);
	if (n == RX_BURST)
		virtio_defer(&c->dev, RX);
}

static void kick(void *ctx, unsigned int queue)
{
	struct virtio_console *c = ctx;
	bool sent = c->sent;

	if (queue == TX)
		transmit(c);
	/* What the first output changes is for the source to know: input may come here from now on. */
	if (queue == RX || c->sent != sent)
		receive(c);
}

static void start(void *ctx)
{
	struct virtio_console *c = ctx;

	receive(c);
	transmit(c);
}

static void reset(void *ctx)
{
	struct virtio_console *c = ctx;
	const struct vdev_env *env = c->dev.host->env;

	c->rx_held = c->tx_held = c->tx_full = c->sent = c->listens = false;
	env->set_timer(env->ctx, &c->lull, VDEV_NEVER);
}

void virtio_console_input(struct virtio_console *c)
{
	if (virtio_live(&c->dev))
		receive(c);
}

void virtio_console_output(struct virtio_console *c)
{
	if (virtio_live(&c->dev) && c->tx_held)
		transmit(c);
}

void virtio_console_init(struct virtio_console *c, const struct virtio_host *host,
			 const struct virtio_console_ops *ops, void *ctx)
{
	static const struct virtio_ops device_ops = {
		.start = start,
		.reset = reset,
		.kick = kick,
	};
	static const u16 sizes[VIRTIO_CONSOLE_QUEUES] = { QUEUE_SIZE, QUEUE_SIZE };
	static const struct virtio_type type = {
		.id = DEVICE_ID,
		.pci_class = PCI_CLASS,
		.ops = &device_ops,
		.queues = VIRTIO_CONSOLE_QUEUES,
		.queue_size = sizes,
	};

	*c = (struct virtio_console){
		.ops = ops,
		.ctx = ctx,
		.lull = { .fire = lull_over, .dev = c, .deadline = VDEV_NEVER },
	};
	virtio_init(&c->dev, &type, host, c, c->queue, 0);
}
