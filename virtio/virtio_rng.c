/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/virtio_rng.h"
#include "lib/string.h"

#define DEVICE_ID  4
#define PCI_CLASS  0x00ff00 /* no class; as others have it */
#define QUEUE_SIZE 8
#define CHUNK      64 /* bytes for a buffer: it need not be filled */
#define BURST      32 /* buffers in one go, with or without bytes */

static void arm(struct virtio_rng *r)
{
	const struct vdev_env *env = r->dev.host->env;

	if (r->period.deadline == VDEV_NEVER)
		env->set_timer(env->ctx, &r->period,
			       env->now(env->ctx) + env->tsc_hz / VIRTIO_RNG_HZ);
}

/* Is there a buffer at hand? */
static bool next(struct virtio_rng *r)
{
	while (!r->held) {
		r->held = virtio_pop(&r->dev, 0, &r->chain);
		if (!r->held && !virtio_enable_kicks(&r->dev, 0))
			return false;
	}
	return true;
}

/* The buffer at hand; false: it has to wait. */
static bool fill(struct virtio_rng *r)
{
	size_t len = MIN(r->chain.in_bytes, MIN((size_t)CHUNK, r->left));
	u8 data[CHUNK];

	if (r->chain.in_bytes) {
		len = len ? r->ops->fill(r->ctx, data, len) : 0;
		if (!len)
			return false;
		len = virtq_chain_write(&r->queue, &r->chain, 0, data, len);
		memset(data, 0, sizeof(data));
	}
	r->left -= len;
	r->held = false;
	virtio_push(&r->dev, 0, &r->chain, (u32)len);
	return true;
}

static void work(struct virtio_rng *r)
{
	unsigned int n = 0;

	while (n < BURST && next(r) && fill(r))
		n++;
	if (n || r->held)
		arm(r);
	if (n == BURST)
		virtio_defer(&r->dev, 0);
	virtio_interrupt(&r->dev, 0);
}

static void kick(void *ctx, unsigned int queue)
{
	struct virtio_rng *r = ctx;

	(void)queue;
	if (r->left)
		work(r);
}

static void start(void *ctx)
{
	kick(ctx, 0);
}

static void period_over(void *ctx)
{
	struct virtio_rng *r = ctx;

	r->left = VIRTIO_RNG_BYTES;
	if (virtio_live(&r->dev))
		work(r);
}

/* The period goes on: a reset is no way to get more. */
static void reset(void *ctx)
{
	struct virtio_rng *r = ctx;

	r->held = false;
}

void virtio_rng_init(struct virtio_rng *r, const struct virtio_host *host,
		     const struct virtio_rng_ops *ops, void *ctx)
{
	static const struct virtio_ops device_ops = {
		.start = start,
		.reset = reset,
		.kick = kick,
	};
	static const u16 sizes[] = { QUEUE_SIZE };
	static const struct virtio_type type = { DEVICE_ID, PCI_CLASS, &device_ops, 1, sizes };

	*r = (struct virtio_rng){
		.ops = ops,
		.ctx = ctx,
		.left = VIRTIO_RNG_BYTES,
		.period = { .fire = period_over, .dev = r, .deadline = VDEV_NEVER },
	};
	virtio_init(&r->dev, &type, host, r, &r->queue, 0);
}
