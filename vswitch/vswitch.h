/*
 * The virtual switch: learns which MAC addresses are behind which port, and gives each frame to the port or
 * ports that it is for. Copies nothing but for uplinks, queues nothing: a receiver takes a frame or drops it.
 *
 * Ports are there from the start to the end of the machine, whether a VM runs or not. Their locks are short
 * and never held while a sink is called.
 */
#ifndef VSWITCH_VSWITCH_H
#define VSWITCH_VSWITCH_H

#include "lib/packet.h"
#include "lib/spinlock.h"

#define VSWITCH_PORTS 65 /* one for each virtio-net device that there can be, and the uplink */
#define VSWITCH_MACS  256

struct vswitch;

struct vswitch_port_config {
	u8 mac[ETH_ALEN]; /* the only source address that it may use; zeroes: any (the uplink) */
	u16 vlan; /* untagged frames from here belong to it, frames to here lose their tag; 0: none */
	u64 rate; /* bits a second that it may send; 0: no limit */
};

struct vswitch_counters {
	u64 sent, received, bytes_sent, bytes_received;
	u64 spoofed, malformed, limited, not_taken; /* frames that were dropped, and why */
};

#endif
