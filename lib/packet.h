/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An Ethernet frame on its way from one who sends to those who receive: virtio-net devices, a NIC, and the
 * virtual switch between them. A frame is not copied to be switched: its first bytes are read once, for the
 * switch to look at, and whoever receives it copies the rest out of the sender's memory.
 */
#ifndef LIB_PACKET_H
#define LIB_PACKET_H

#include "lib/types.h"

#define ETH_ALEN      6
#define ETH_HEADER    14
#define ETH_TYPE      12 /* its offset */
#define ETH_VLAN      4  /* bytes of a tag, which stands there */
#define ETH_MIN_FRAME 60 /* without the frame check sequence, which nobody sees here */
#define ETH_MTU       1500
#define PACKET_HEAD   128 /* Ethernet with a VLAN tag, IPv6, TCP with options, in most cases */
#define PACKET_MAX    (65535u + ETH_HEADER + 4) /* with segmentation left to the receiver */

/* What the sender has left for others to do. As in the virtio-net header: virtio, "Packet Transmission". */
enum packet_gso { PACKET_GSO_NONE, PACKET_GSO_TCPV4, PACKET_GSO_TCPV6 };

struct packet_offload {
	bool needs_csum; /* one's complement sum from csum_start on goes to csum_start + csum_offset */
	bool csum_valid; /* was checked by somebody: the receiver need not */
	bool ecn;        /* of gso: TCP has ECN set */
	enum packet_gso gso;
	u16 hdr_len, gso_size; /* of gso: bytes of headers; TCP payload of each segment */
	u16 csum_start, csum_offset;
};

/* All of it is the sender's, and valid during the call that passes it. */
struct packet {
	u32 len;      /* of the frame: ETH_HEADER to PACKET_MAX, as the sender has checked */
	u32 head_len; /* of head: MIN(len, PACKET_HEAD) */
	u8 head[PACKET_HEAD]; /* the frame's first bytes, read once: what was looked at is what is delivered */
	struct packet_offload offload;
	/* Copy [offset, offset + len), which lies within the frame and behind head, to @to. Each byte once. */
	void (*copy)(const struct packet *packet, u32 offset, void *to, u32 len);
	const void *ctx; /* of copy */
};

/* Copy [offset, offset + len) of the frame, from head and from behind it. */
void packet_copy(const struct packet *packet, u32 offset, void *to, u32 len);

/* The frame of @len bytes at @data, which may not be NULL, as a packet: it stays the caller's. */
void packet_from_buffer(struct packet *packet, const void *data, u32 len);

/* Where a packet lies as a whole, if it was made by packet_from_buffer; else NULL. */
const void *packet_buffer(const struct packet *packet);

/* Big-endian words, as frames have them. */
static inline u16 be16_get(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static inline void be16_put(u8 *p, u32 value)
{
	p[0] = (u8)(value >> 8);
	p[1] = (u8)value;
}

static inline u32 be32_get(const u8 *p)
{
	return (u32)be16_get(p) << 16 | be16_get(p + 2);
}

static inline void be32_put(u8 *p, u32 value)
{
	be16_put(p, value >> 16);
	be16_put(p + 2, value);
}

#define ETH_TYPE_IPV4 0x0800u
#define ETH_TYPE_VLAN 0x8100u /* IEEE 802.1Q, the customer's tag */
#define ETH_TYPE_IPV6 0x86ddu
#define ETH_TYPE_SVID 0x88a8u /* the service provider's tag */

/* Where IP and what is above it lie in a frame: offsets. */
struct packet_layers {
	bool ipv6;
	u8 protocol; /* of what is above, as IP calls it */
	u16 ip, above;
};

#define IP_PROTO_TCP   6u
#define IP_PROTO_UDP   17u
#define TCP_HEADER     20u /* without options */
#define TCP_OFF_CSUM   16
#define PACKET_HEADERS (ETH_HEADER + ETH_VLAN + 60 + 60) /* the longest of IPv4 with TCP */

/*
 * Look into the head, behind a tag if there is one. False: no IP, not the first fragment, or headers that
 * do not lie in the head and the frame.
 */
bool packet_find_layers(const struct packet *packet, struct packet_layers *layers);

/* Of TCP as well: where its payload begins; 0 when it is none, or its header does not fit. */
u32 packet_tcp_payload(const struct packet *packet, const struct packet_layers *layers);

enum packet_verdict {
	PACKET_TAKEN,
	PACKET_DROPPED, /* no buffer, not for it, link down: counted by who drops it */
	PACKET_BUSY,    /* another CPU is using the receiver: offer it again in a moment */
};

/* Who can be given frames: the other side of a switch port. */
struct packet_sink {
	/* On any CPU, with interrupts off; the caller may hold the lock of another VM. Bounded, never waits. */
	enum packet_verdict (*receive)(void *ctx, const struct packet *packet);
	void *ctx;
};

#endif
