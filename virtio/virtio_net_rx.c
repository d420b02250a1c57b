/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames for the guest. */
#include "virtio/virtio_net_private.h"

#define HEADER          sizeof(struct virtio_net_hdr)
#define NUM_BUFFERS_OFF offsetof(struct virtio_net_hdr, num_buffers)

/* Descriptors that are looked at for one frame: Linux needs 45 at most, one for each page and more. */
#define RX_DESCRIPTORS 512

/* Where the flow's last frame was sent from, so that both directions are one vCPU's business. */
static unsigned int pair_for(const struct virtio_net *n, const struct packet *packet)
{
	unsigned int flow, pair;

	if (n->pairs == 1)
		return 0;
	flow = net_flow(packet);
	pair = n->flow[flow];
	return pair < n->pairs ? pair : flow % n->pairs;
}

/* Has the driver agreed to take it as it is? */
static bool agreed(const struct virtio_net *n, const struct packet_offload *o)
{
	u64 needs = 0;

	if (o->needs_csum)
		needs |= VIRTIO_NET_F_GUEST_CSUM;
	if (o->gso == PACKET_GSO_TCPV4)
		needs |= VIRTIO_NET_F_GUEST_TSO4;
	if (o->gso == PACKET_GSO_TCPV6)
		needs |= VIRTIO_NET_F_GUEST_TSO6;
	if (o->gso != PACKET_GSO_NONE && o->ecn)
		needs |= VIRTIO_NET_F_GUEST_ECN;
	return !(needs & ~n->dev.driver_features);
}

static struct virtio_net_hdr header_of(const struct virtio_net *n, const struct packet_offload *o)
{
	struct virtio_net_hdr hdr = { .num_buffers = 1 };

	if (o->needs_csum) {
		hdr.flags = VIRTIO_NET_HDR_NEEDS_CSUM;
		hdr.csum_start = o->csum_start;
		hdr.csum_offset = o->csum_offset;
	} else if (o->csum_valid && virtio_has_feature(&n->dev, VIRTIO_NET_F_GUEST_CSUM)) {
		hdr.flags = VIRTIO_NET_HDR_DATA_VALID;
	}
	if (o->gso == PACKET_GSO_NONE)
		return hdr;
	hdr.gso_type = o->gso == PACKET_GSO_TCPV4 ? VIRTIO_NET_GSO_TCPV4 : VIRTIO_NET_GSO_TCPV6;
	hdr.gso_type |= o->ecn ? VIRTIO_NET_GSO_ECN : 0;
	hdr.hdr_len = o->hdr_len;
	hdr.gso_size = o->gso_size;
	return hdr;
}

/* Bytes [from, from + len) of the frame go to the chain's buffers, behind @skip bytes. */
static void copy_in(const struct virtqueue *q, const struct virtq_chain *chain, u64 skip,
		    const struct packet *packet, u32 from, u32 len)
{
	struct virtio_net_cursor cursor;
	u8 *host;

	net_cursor_init(&cursor, q->mem, chain->buf + chain->out, chain->in);
	for (u32 done = 0; done < len;) {
		u64 run = net_cursor_host(&cursor, skip + done, len - done, &host);

		if (!run)
			return;
		packet_copy(packet, from + done, host, (u32)run);
		done += (u32)run;
	}
}

/* What has been taken for a frame. */
struct filling {
	u32 done;          /* bytes of the frame */
	u16 chains;        /* n->used, and the first of them in n->rx_first */
	unsigned int desc; /* descriptors in all of them */
};

/* Fill one more chain. False: there is none, or none may be used. */
static bool fill_chain(struct virtio_net *n, unsigned int q, const struct packet *packet,
		       struct filling *f)
{
	bool mergeable = virtio_has_feature(&n->dev, VIRTIO_NET_F_MRG_RXBUF);
	struct virtq_chain *chain = f->chains ? &n->rx_more : &n->rx_first;
	u64 skip = f->chains ? 0 : HEADER;
	u32 len;

	if ((f->chains && !mergeable) || f->chains == n->queue[q].size || f->desc > RX_DESCRIPTORS)
		return false;
	if (!virtio_pop(&n->dev, q, chain))
		return false;
	f->desc += chain->in + chain->out;
	/* "The driver ... each buffer MUST be at least the size of the struct virtio_net_hdr" */
	if (chain->in_bytes < HEADER) {
		virtio_fail(&n->dev);
		return false;
	}
	len = (u32)MIN(chain->in_bytes - skip, (u64)(packet->len - f->done));
	copy_in(&n->queue[q], chain, skip, packet, f->done, len);
	n->used[f->chains++] = (struct virtq_used_elem){ chain->head, (u32)skip + len };
	f->done += len;
	return true;
}

/* The driver sees nothing of a frame before all of it is there; one that does not fit has not been. */
static enum packet_verdict fill(struct virtio_net *n, unsigned int q, const struct packet *packet)
{
	struct virtio_net_hdr hdr = header_of(n, &packet->offload);
	struct filling f = { 0 };

	while (f.done < packet->len) {
		if (fill_chain(n, q, packet, &f))
			continue;
		virtio_unpop(&n->dev, q, f.chains);
		n->rx_no_room++;
		return PACKET_DROPPED;
	}
	hdr.num_buffers = f.chains;
	(void)virtq_chain_write(&n->queue[q], &n->rx_first, 0, &hdr, HEADER);
	virtio_push_all(&n->dev, q, n->used, f.chains);
	virtio_interrupt(&n->dev, q);
	return PACKET_TAKEN;
}

enum packet_verdict virtio_net_receive(struct virtio_net *n, const struct packet *packet)
{
	if (!virtio_live(&n->dev)) {
		n->rx_no_room++;
		return PACKET_DROPPED;
	}
	if (!net_wants(n, packet->head)) {
		n->rx_filtered++;
		return PACKET_DROPPED;
	}
	if (!agreed(n, &packet->offload)) {
		n->rx_refused++;
		return PACKET_DROPPED;
	}
	return fill(n, net_rx_queue(pair_for(n, packet)), packet);
}
