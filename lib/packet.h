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
