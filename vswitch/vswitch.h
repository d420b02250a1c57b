/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual switch: gives each frame to the port or ports that it is for. Copies nothing but where a tag
 * or a checksum has to be put in for somebody, queues nothing: a receiver takes a frame, drops it, or is
 * busy; then its sender, who still has it, offers it again.
 *
 * A port with a MAC address of its own is known by it and may use no other. Behind a port without one (the
 * uplink) there may be any: which ones is learned from what they send, and forgotten after a while.
 *
 * Ports are there from the start to the end of the machine, whether a VM runs or not. The locks of the table
 * and of a port's rate are short, and not held while a sink is called. The one of the bounce buffer is, but
 * nobody waits for it.
 */
#ifndef VSWITCH_VSWITCH_H
#define VSWITCH_VSWITCH_H

#include "lib/packet.h"
#include "lib/spinlock.h"
#include "vswitch/gso.h"

#define VSWITCH_PORTS     65 /* one for each virtio-net device that there can be, and the uplink */
#define VSWITCH_MACS      256
#define VSWITCH_WAYS      4 /* places that an address can have in the table: the oldest one gives way */
#define VSWITCH_AGE       300 /* seconds until an address is forgotten that sends nothing */
#define VSWITCH_BURST_MS  50  /* of a port with a rate: what it may have saved */
#define VSWITCH_VLAN_NONE 0

/* What a sink takes of what senders leave to be done: struct packet_offload. */
#define VSWITCH_CSUM 0x1u
#define VSWITCH_TSO4 0x2u
#define VSWITCH_TSO6 0x4u
#define VSWITCH_ECN  0x8u

struct vswitch;

struct vswitch_port_config {
	u8 mac[ETH_ALEN]; /* the only source address that it may use; zeroes: any */
	bool trunk; /* it carries all VLANs, tagged; untagged frames are those of none (the uplink) */
	u16 vlan;   /* else: what it sends belongs to it, untagged; 0: to none */
	u64 rate;   /* bits a second that it may send; 0: no limit */
};

/* Frames and bytes, and frames that were dropped. Any CPU adds to them. */
enum vswitch_count {
	VSWITCH_SENT, /* by who is behind the port, and allowed */
	VSWITCH_SENT_BYTES,
	VSWITCH_RECEIVED, /* by the sink */
	VSWITCH_RECEIVED_BYTES,
	VSWITCH_SPOOFED,   /* with a source address that is not its own */
	VSWITCH_MALFORMED, /* no Ethernet frame; a tag where none may be; nothing that can be cut */
	VSWITCH_LIMITED,   /* over its rate */
	VSWITCH_GIVEN_UP,  /* a receiver was busy for too long */
	VSWITCH_NOT_TAKEN, /* the sink had no room, or did not want it */
	VSWITCH_COUNTS
};

struct vswitch_port {
	struct vswitch *sw;
	unsigned int index;
	struct vswitch_port_config config;
	struct packet_sink sink;
	u64 key;        /* its address and VLAN as one number; 0: any */
	u64 ticks_full; /* TSC at which its bucket is full again; under lock */
	struct spinlock lock;
	atomic_bool up;       /* a hint: is there anybody behind the sink? */
	atomic_uint offloads; /* VSWITCH_CSUM ... that its sink takes */
	_Atomic u64 count[VSWITCH_COUNTS];
};

struct vswitch_mac {
	u64 key;  /* address and VLAN; 0: free */
	u64 seen; /* TSC */
	unsigned int port;
};

struct vswitch {
	u64 tsc_hz;
	struct vswitch_port *port[VSWITCH_PORTS];
	unsigned int ports;
	struct spinlock lock; /* of mac */
	struct vswitch_mac mac[VSWITCH_MACS];
	struct spinlock bounce_lock; /* of frame */
	u8 frame[GSO_FRAME];
};

/* How far a frame has got. Zeroed before it is sent for the first time; nobody gets it twice. */
struct vswitch_transfer {
	bool begun;
	u16 vlan;
	bool tagged; /* as it came */
	unsigned int
		segment; /* of the first port in `to' for which it is cut: those before it are through */
	u64 to[(VSWITCH_PORTS + 63) / 64]; /* ports that have not answered yet */
};

/* A switch without ports. */
void vswitch_init(struct vswitch *sw, u64 tsc_hz);

/*
 * Add @port, which stays the caller's, for ever. Before any frame is sent. -EEXIST when a port of this VLAN has
 * this address; -ENOSPC.
 */
int vswitch_add(struct vswitch *sw, struct vswitch_port *port,
		const struct vswitch_port_config *config,
		const struct packet_sink *sink) __must_check;

/*
 * Is there anybody behind @port's sink? It must stand a call all the same. The counters begin anew when
 * somebody comes.
 */
void vswitch_set_up(struct vswitch_port *port, bool up);
void vswitch_set_offloads(struct vswitch_port *port, unsigned int offloads);

/*
 * The frame @packet from @from, at TSC @now. PACKET_BUSY: not all have answered; to be called again, with the
 * same packet and @transfer. Else it is over: PACKET_TAKEN by the switch, whoever got it, or PACKET_DROPPED.
 */
enum packet_verdict vswitch_send(struct vswitch_port *from, const struct packet *packet, u64 now,
				 struct vswitch_transfer *transfer);

/* It was busy for too long, and is not offered again: @transfer is as before the first time. */
void vswitch_give_up(struct vswitch_port *from, struct vswitch_transfer *transfer);

static inline u64 vswitch_counted(const struct vswitch_port *port, enum vswitch_count what)
{
	return atomic_load_explicit(&port->count[what], memory_order_relaxed);
}

#endif
