/* SPDX-License-Identifier: BSD-2-Clause */
/* The control queue: which frames the driver wants, and how many queues it uses. */
#include "lib/string.h"
#include "virtio/virtio_net_private.h"

#define CONTROL_BURST 16 /* commands in one go */

/* --- what is received: virtio, "Packet Receive Filtering", "Setting MAC Address Filtering" --- */

/* Until the driver has said something it gets everything, as one without a control queue has to. */
void net_filter_reset(struct virtio_net *n)
{
	memset(n->mode, 0, sizeof(n->mode));
	memset(&n->unicast, 0, sizeof(n->unicast));
	memset(&n->multicast, 0, sizeof(n->multicast));
	n->mode[VIRTIO_NET_PROMISC] = true;
}

static bool lets_in(const struct virtio_net_filter *f, const u8 *mac)
{
	for (u32 i = 0; i < f->macs; i++) {
		if (!memcmp(f->mac[i], mac, ETH_ALEN))
			return true;
	}
	return f->all;
}

bool net_wants(const struct virtio_net *n, const u8 *to)
{
	static const u8 broadcast[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (n->mode[VIRTIO_NET_PROMISC])
		return true;
	if (!memcmp(to, broadcast, ETH_ALEN))
		return !n->mode[VIRTIO_NET_NOBCAST];
	if (to[0] & 1)
		return !n->mode[VIRTIO_NET_NOMULTI] &&
		       (n->mode[VIRTIO_NET_ALLMULTI] || lets_in(&n->multicast, to));
	return !n->mode[VIRTIO_NET_NOUNI] &&
	       (n->mode[VIRTIO_NET_ALLUNI] || !memcmp(to, n->config.mac, ETH_ALEN) ||
		lets_in(&n->unicast, to));
}

/* --- commands --- */

static size_t read_at(const struct virtio_net *n, u64 offset, void *to, size_t len)
{
	return virtq_chain_read(&n->queue[net_control_queue(n)], &n->control, offset, to, len);
}

#define DATA sizeof(struct virtio_net_ctrl) /* where a command's data begins */

static bool set_mode(struct virtio_net *n, u8 command)
{
	u8 on;
	u64 feature =
		command > VIRTIO_NET_ALLMULTI ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX;

	if (command >= VIRTIO_NET_RX_MODES || !virtio_has_feature(&n->dev, feature) ||
	    read_at(n, DATA, &on, sizeof(on)) < sizeof(on) || on > 1)
		return false;
	n->mode[command] = on;
	return true;
}

/* One of the two lists of the command, at *@offset: how many, then each. */
static bool read_filter(const struct virtio_net *n, u64 *offset, struct virtio_net_filter *f)
{
	u32 macs;

	if (read_at(n, *offset, &macs, sizeof(macs)) < sizeof(macs))
		return false;
	*offset += sizeof(macs);
	if (n->control.out_bytes - *offset < (u64)macs * ETH_ALEN)
		return false;
	f->all = macs > VIRTIO_NET_MACS;
	f->macs = MIN(macs, (u32)VIRTIO_NET_MACS);
	if (read_at(n, *offset, f->mac, f->macs * (u64)ETH_ALEN) < f->macs * (u64)ETH_ALEN)
		return false;
	*offset += (u64)macs * ETH_ALEN;
	return true;
}

static bool set_table(struct virtio_net *n)
{
	struct virtio_net_filter unicast, multicast;
	u64 offset = DATA;

	if (!virtio_has_feature(&n->dev, VIRTIO_NET_F_CTRL_RX) ||
	    !read_filter(n, &offset, &unicast) || !read_filter(n, &offset, &multicast))
		return false;
	n->unicast = unicast;
	n->multicast = multicast;
	return true;
}

/* The address is the configuration's: no other one could send. */
static bool set_address(const struct virtio_net *n)
{
	u8 mac[ETH_ALEN];

	return read_at(n, DATA, mac, sizeof(mac)) == sizeof(mac) &&
	       !memcmp(mac, n->config.mac, sizeof(mac));
}

static bool set_pairs(struct virtio_net *n, u8 command)
{
	u16 pairs;

	if (command != VIRTIO_NET_MQ_VQ_PAIRS_SET ||
	    !virtio_has_feature(&n->dev, VIRTIO_NET_F_MQ) ||
	    read_at(n, DATA, &pairs, sizeof(pairs)) < sizeof(pairs) || !pairs ||
	    pairs > n->max_pairs)
		return false;
	n->pairs = pairs;
	return true;
}

static bool obey(struct virtio_net *n)
{
	struct virtio_net_ctrl ctrl;

	if (read_at(n, 0, &ctrl, sizeof(ctrl)) < sizeof(ctrl))
		return false;
	switch (ctrl.class) {
	case VIRTIO_NET_RX: return set_mode(n, ctrl.command);
	case VIRTIO_NET_MAC:
		if (ctrl.command == VIRTIO_NET_MAC_TABLE_SET)
			return set_table(n);
		return ctrl.command == VIRTIO_NET_MAC_ADDR_SET && set_address(n);
	case VIRTIO_NET_MQ: return set_pairs(n, ctrl.command);
	default: return false;
	}
}

void net_control(struct virtio_net *n)
{
	unsigned int q = net_control_queue(n), left = CONTROL_BURST;

	do {
		while (left && virtio_pop(&n->dev, q, &n->control)) {
			u8 ack = obey(n) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
			size_t written =
				virtq_chain_write(&n->queue[q], &n->control, 0, &ack, sizeof(ack));

			virtio_push(&n->dev, q, &n->control, (u32)written);
			left--;
		}
	} while (left && virtio_enable_kicks(&n->dev, q));
	virtio_interrupt(&n->dev, q);
	if (!left)
		virtio_defer(&n->dev, q);
}
