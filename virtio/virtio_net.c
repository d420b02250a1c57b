/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/string.h"
#include "virtio/virtio_net_private.h"

#define DEVICE_ID    1
#define PCI_CLASS    0x020000 /* network controller, Ethernet */
#define QUEUE_SIZE   256
#define CONTROL_SIZE 64

#define HEADER       sizeof(struct virtio_net_hdr)

#define TX_BURST     KIB(256) /* sent in one go */
#define TX_LEAST     KIB(2)   /* that a frame counts as, however short it is */

/*
 * A busy sink is another VM whose devices are in use. Mostly that is over at once; if not, the guest goes
 * on, and the frame is offered again later. It is not sent if that goes on for 10 ms.
 */
#define TX_TRIES      32
#define TX_RETRY_HZ   50000
#define TX_MAX_ROUNDS 500

/*
 * Frames are sent when the kick returns, and Linux takes its buffers back when it sends the next ones, or
 * receives something. So whether it wants an interrupt for those that were sent is asked at the next kick,
 * or after a lull: by then its event index mostly says that it does not.
 */
#define LULL_HZ 1000

/* --- places in a chain's buffers --- */

void net_cursor_init(struct virtio_net_cursor *c, const struct guest_mem *mem,
		     const struct virtq_buf *buf, u16 bufs)
{
	*c = (struct virtio_net_cursor){ .mem = mem, .buf = buf, .bufs = bufs };
}

u64 net_cursor_host(struct virtio_net_cursor *c, u64 offset, u64 len, u8 **host)
{
	hpa_t hpa;
	u64 in;

	if (offset < c->base)
		c->at = 0, c->base = 0;
	while (c->at < c->bufs && offset - c->base >= c->buf[c->at].len)
		c->base += c->buf[c->at++].len;
	if (c->at == c->bufs)
		return 0;
	in = offset - c->base;
	len = guest_mem_host(c->mem, c->buf[c->at].gpa + in, MIN(len, c->buf[c->at].len - in),
			     &hpa);
	*host = (u8 *)(uintptr_t)hpa;
	return len;
}

/* Out of the sender's buffers. A guest may send from where it receives to: they may overlap. */
static void copy_out(const struct packet *packet, u32 offset, void *to, u32 len)
{
	struct virtio_net *n = container_of(packet, struct virtio_net, tx_packet);
	u8 *host;

	for (u32 done = 0; done < len;) {
		u64 run = net_cursor_host(&n->tx_cursor, HEADER + offset + done, len - done, &host);

		if (!run)
			return;
		memmove((u8 *)to + done, host, run);
		done += (u32)run;
	}
}

/* --- flows --- */

unsigned int net_flow(const struct packet *packet)
{
	struct packet_layers l;
	const u8 *p = packet->head;
	u32 mix = 0;

	if (!packet_find_layers(packet, &l))
		return 0;
	/* Addresses: 8 bytes of IPv4's header from 12 on, 32 of IPv6's from 8 on. */
	for (unsigned int i = 0; i < (l.ipv6 ? 8u : 2u); i++)
		mix ^= be32_get(p + l.ip + (l.ipv6 ? 8 : 12) + 4 * i);
	if ((l.protocol == IP_PROTO_TCP || l.protocol == IP_PROTO_UDP) &&
	    l.above + 4u <= packet->head_len)
		mix ^= be16_get(p + l.above) ^ (u32)be16_get(p + l.above + 2);
	return mix * 0x9e3779b1u >> 26;
}

_Static_assert(VIRTIO_NET_FLOWS == 64, "net_flow has six bits");

/* --- what the driver asks for --- */

static bool take_csum(struct virtio_net *n, const struct virtio_net_hdr *hdr)
{
	struct packet *p = &n->tx_packet;
	u32 field = (u32)hdr->csum_start + hdr->csum_offset;

	if (!(hdr->flags & VIRTIO_NET_HDR_NEEDS_CSUM))
		return true;
	if (!virtio_has_feature(&n->dev, VIRTIO_NET_F_CSUM) || hdr->csum_start < ETH_HEADER ||
	    field + 2 > p->len)
		return false;
	p->offload.needs_csum = true;
	p->offload.csum_start = hdr->csum_start;
	p->offload.csum_offset = hdr->csum_offset;
	return true;
}

/* hdr_len is a hint of the driver's, which may be wrong: what the headers say counts. */
static bool take_gso(struct virtio_net *n, const struct virtio_net_hdr *hdr)
{
	static const struct {
		u8 type;
		enum packet_gso gso;
		u64 feature;
	} kinds[] = {
		{ VIRTIO_NET_GSO_TCPV4, PACKET_GSO_TCPV4, VIRTIO_NET_F_HOST_TSO4 },
		{ VIRTIO_NET_GSO_TCPV6, PACKET_GSO_TCPV6, VIRTIO_NET_F_HOST_TSO6 },
	};
	struct packet *p = &n->tx_packet;
	u8 type = hdr->gso_type & (u8)~VIRTIO_NET_GSO_ECN;
	struct packet_layers l;
	u32 payload;

	p->offload.ecn = hdr->gso_type & VIRTIO_NET_GSO_ECN;
	if (p->offload.ecn && !virtio_has_feature(&n->dev, VIRTIO_NET_F_HOST_ECN))
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].type == type && virtio_has_feature(&n->dev, kinds[i].feature))
			p->offload.gso = kinds[i].gso;
	}
	if (p->offload.gso == PACKET_GSO_NONE || !p->offload.needs_csum ||
	    !packet_find_layers(p, &l) || l.ipv6 != (p->offload.gso == PACKET_GSO_TCPV6))
		return false;
	payload = packet_tcp_payload(p, &l);
	if (!payload || payload >= p->len || hdr->csum_start != l.above ||
	    hdr->csum_offset != TCP_OFF_CSUM)
		return false;
	p->offload.hdr_len = (u16)payload;
	p->offload.gso_size = hdr->gso_size;
	return hdr->gso_size && payload - l.ip + hdr->gso_size <= n->config.mtu;
}

/* The chain at hand as a packet: header and head are read once, here. False: what no driver may ask for. */
static bool prepare(struct virtio_net *n)
{
	const struct virtqueue *q = &n->queue[n->tx_queue];
	struct packet *p = &n->tx_packet;
	struct virtio_net_hdr hdr;

	if (n->tx.in || n->tx.out_bytes < HEADER + ETH_HEADER ||
	    n->tx.out_bytes > HEADER + PACKET_MAX)
		return false;
	p->len = (u32)(n->tx.out_bytes - HEADER);
	p->head_len = MIN(p->len, (u32)PACKET_HEAD);
	p->offload = (struct packet_offload){ .gso = PACKET_GSO_NONE };
	p->copy = copy_out;
	net_cursor_init(&n->tx_cursor, q->mem, n->tx.buf, n->tx.out);
	if (virtq_chain_read(q, &n->tx, 0, &hdr, HEADER) < HEADER ||
	    virtq_chain_read(q, &n->tx, HEADER, p->head, p->head_len) < p->head_len ||
	    !take_csum(n, &hdr))
		return false;
	if (hdr.gso_type != VIRTIO_NET_GSO_NONE)
		return take_gso(n, &hdr);
	return p->len <= n->config.mtu + (u32)ETH_HEADER;
}

/* --- sending --- */

static void set_timer(struct virtio_net *n, struct vdev_timer *timer, u64 hz)
{
	const struct vdev_env *env = n->dev.host->env;

	env->set_timer(env->ctx, timer, hz ? env->now(env->ctx) + env->tsc_hz / hz : VDEV_NEVER);
}

/* False: its sink is busy; it is offered again at the alarm. */
static bool offer(struct virtio_net *n)
{
	enum packet_verdict verdict = PACKET_BUSY;

	for (unsigned int i = 0; i < TX_TRIES && verdict == PACKET_BUSY; i++) {
		if (i)
			__asm__ volatile("pause");
		verdict = n->ops->send(n->ctx, &n->tx_packet);
	}
	if (verdict == PACKET_BUSY && n->tx_rounds++ < TX_MAX_ROUNDS) {
		set_timer(n, &n->retry, TX_RETRY_HZ);
		return false;
	}
	if (verdict == PACKET_BUSY)
		n->ops->give_up(n->ctx);
	return true;
}

/* Take a chain to be sent, unless one is at hand. False: there is none, and the driver kicks again. */
static bool next_tx(struct virtio_net *n, unsigned int q)
{
	while (!n->tx_held) {
		n->tx_queue = q;
		n->tx_rounds = 0;
		n->tx_held = virtio_pop(&n->dev, q, &n->tx);
		if (!n->tx_held) {
			if (!virtio_enable_kicks(&n->dev, q))
				return false;
			continue;
		}
		if (!prepare(n)) {
			n->tx_malformed++;
			n->tx_packet.len = 0;
		} else if (n->pairs > 1) {
			n->flow[net_flow(&n->tx_packet)] = (u8)(q / 2);
		}
	}
	return true;
}

static void interrupt_tx_later(struct virtio_net *n, unsigned int q)
{
	u16 unsignaled = virtqueue_unsignaled(&n->queue[q]);

	if (unsignaled >= n->queue[q].size / 2)
		virtio_interrupt(&n->dev, q);
	else if (unsignaled && n->lull.deadline == VDEV_NEVER)
		set_timer(n, &n->lull, LULL_HZ);
}

static void lull_over(void *ctx)
{
	struct virtio_net *n = ctx;

	for (unsigned int pair = 0; pair < net_usable_pairs(n); pair++)
		virtio_interrupt(&n->dev, net_tx_queue(pair));
}

/* Other queues that were kicked while a frame was held. */
static void wake_waiting(struct virtio_net *n)
{
	u64 waiting = n->tx_waiting;

	n->tx_waiting = 0;
	for (unsigned int q = 0; waiting && q < n->type.queues; q++) {
		if (waiting & BIT(q))
			virtio_defer(&n->dev, q);
	}
}

static void transmit(struct virtio_net *n, unsigned int q)
{
	if (n->tx_held && n->tx_queue != q) {
		n->tx_waiting |= BIT(q);
		return;
	}
	virtio_interrupt(&n->dev, q); /* for those before */
	virtio_disable_kicks(&n->dev, q);
	for (u64 left = TX_BURST; next_tx(n, q);) {
		u64 cost = MAX(n->tx_packet.len, TX_LEAST);

		if (!left) {
			virtio_defer(&n->dev, q);
			break;
		}
		if (n->tx_packet.len && !offer(n))
			break;
		left -= MIN(left, cost);
		n->tx_held = false;
		virtio_push(&n->dev, q, &n->tx, 0);
	}
	interrupt_tx_later(n, q);
	if (!n->tx_held)
		wake_waiting(n);
}

static void retry(void *ctx)
{
	struct virtio_net *n = ctx;

	if (virtio_live(&n->dev) && n->tx_held)
		transmit(n, n->tx_queue);
}

/* --- the device's life --- */

/* Buffers to receive into are looked for when a frame comes: nobody needs to be told of them. */
static void kick(void *ctx, unsigned int q)
{
	struct virtio_net *n = ctx;

	if (q == net_control_queue(n) && virtio_has_feature(&n->dev, VIRTIO_NET_F_CTRL_VQ))
		net_control(n);
	else if (q / 2 >= net_usable_pairs(n))
		return;
	else if (q & 1)
		transmit(n, q);
	else
		virtio_disable_kicks(&n->dev, q);
}

static void start(void *ctx)
{
	struct virtio_net *n = ctx;

	n->ops->takes(n->ctx, n->dev.driver_features);
	for (unsigned int q = 0; q < n->type.queues; q++)
		virtio_kick(&n->dev, q);
}

static void reset(void *ctx)
{
	struct virtio_net *n = ctx;

	if (n->tx_held)
		n->ops->give_up(n->ctx);
	n->tx_held = false;
	n->tx_waiting = 0;
	n->pairs = 1;
	memset(n->flow, NO_PAIR, sizeof(n->flow));
	net_filter_reset(n);
	set_timer(n, &n->retry, 0);
	set_timer(n, &n->lull, 0);
	n->ops->takes(n->ctx, 0);
}

#define FEATURES                                                                             \
	(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MTU | VIRTIO_NET_F_MAC | \
	 VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN |        \
	 VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN |           \
	 VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ |               \
	 VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_CTRL_MAC_ADDR)

/* Of as many pairs as there are; the control queue is the last one. */
static const u16 *queue_sizes(unsigned int pairs)
{
	static const u16 sizes[VIRTIO_NET_QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE,
						      QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE,
						      QUEUE_SIZE, QUEUE_SIZE, CONTROL_SIZE };

	return sizes + 2 * (VIRTIO_NET_MAX_PAIRS - pairs);
}

void virtio_net_init(struct virtio_net *n, const struct virtio_host *host, const u8 *mac, u16 mtu,
		     unsigned int pairs, const struct virtio_net_ops *ops, void *ctx)
{
	static const struct virtio_ops device_ops = {
		.start = start,
		.reset = reset,
		.kick = kick,
	};

	memset(n, 0, sizeof(*n));
	n->ops = ops;
	n->ctx = ctx;
	n->max_pairs = MIN(MAX(pairs, 1u), (unsigned int)VIRTIO_NET_MAX_PAIRS);
	n->pairs = 1;
	n->retry = (struct vdev_timer){ .fire = retry, .dev = n, .deadline = VDEV_NEVER };
	n->lull = (struct vdev_timer){ .fire = lull_over, .dev = n, .deadline = VDEV_NEVER };
	n->type = (struct virtio_type){
		.id = DEVICE_ID,
		.pci_class = PCI_CLASS,
		.ops = &device_ops,
		.queues = 2 * n->max_pairs + 1,
		.queue_size = queue_sizes(n->max_pairs),
	};
	memcpy(n->config.mac, mac, ETH_ALEN);
	n->config.status = VIRTIO_NET_S_LINK_UP;
	n->config.max_virtqueue_pairs = (u16)n->max_pairs;
	n->config.mtu = mtu;
	memset(n->flow, NO_PAIR, sizeof(n->flow));
	net_filter_reset(n);
	virtio_init(&n->dev, &n->type, host, n, n->queue,
		    FEATURES | (n->max_pairs > 1 ? VIRTIO_NET_F_MQ : 0));
	n->dev.config = &n->config;
	n->dev.config_size = sizeof(n->config);
}
