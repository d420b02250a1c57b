/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio entropy device. Virtio 1.2, "Entropy Device". How much it gives is limited: the source is
 * shared by all VMs.
 */
#ifndef VIRTIO_VIRTIO_RNG_H
#define VIRTIO_VIRTIO_RNG_H

#include "virtio/virtio.h"

#define VIRTIO_RNG_HZ    100 /* periods a second */
#define VIRTIO_RNG_BYTES 512 /* in a period, at most */

struct virtio_rng_ops {
	/* @len random bytes, at most; how many. 0: none now. */
	size_t (*fill)(void *ctx, u8 *data, size_t len);
};

struct virtio_rng {
	struct virtio_device dev;
	struct virtqueue queue;
	const struct virtio_rng_ops *ops;
	void *ctx;                /* of ops */
	bool held;                /* chain is a buffer of the driver's */
	size_t left;              /* bytes in this period */
	struct vdev_timer period; /* its end; not armed while nothing was given */
	struct virtq_chain chain;
};

/* @host and @ops stay the caller's. */
void virtio_rng_init(struct virtio_rng *r, const struct virtio_host *host,
		     const struct virtio_rng_ops *ops, void *ctx);

#endif
