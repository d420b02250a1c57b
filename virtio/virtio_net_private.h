/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the virtio network device have in common. For virtio_net*.c only. */
#ifndef VIRTIO_VIRTIO_NET_PRIVATE_H
#define VIRTIO_VIRTIO_NET_PRIVATE_H

#include "virtio/virtio_net.h"

#define NO_PAIR 0xff

/* Queues come in pairs, the control queue behind those that there are: "Virtqueues". */
static inline unsigned int net_rx_queue(unsigned int pair)
{
	return 2 * pair;
}

static inline unsigned int net_tx_queue(unsigned int pair)
{
	return 2 * pair + 1;
}

/* Pairs that there are for the driver. */
static inline unsigned int net_usable_pairs(const struct virtio_net *n)
{
	return virtio_has_feature(&n->dev, VIRTIO_NET_F_MQ) ? n->max_pairs : 1;
}

static inline unsigned int net_control_queue(const struct virtio_net *n)
{
	return 2 * net_usable_pairs(n);
}

/* Over buf[0 .. bufs). */
void net_cursor_init(struct virtio_net_cursor *c, const struct guest_mem *mem,
		     const struct virtq_buf *buf, u16 bufs);

/* Memory at byte @offset of them: its address in *@host, and how many of @len bytes lie there in a row. */
u64 net_cursor_host(struct virtio_net_cursor *c, u64 offset, u64 len, u8 **host);

/* Both directions of a flow have the same: 0 to VIRTIO_NET_FLOWS - 1. */
unsigned int net_flow(const struct packet *packet);

/* virtio_net_ctrl.c: a bounded number of commands; what the driver wants to receive, as after a reset. */
void net_control(struct virtio_net *n);
void net_filter_reset(struct virtio_net *n);
bool net_wants(const struct virtio_net *n, const u8 *to);

#endif
