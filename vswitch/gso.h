/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a sender has left for the receiver to do, done in software: checksums, and a TCP segment of up to
 * 64 KiB cut into frames. For uplinks, and for guests that have not agreed to take such frames.
 */
#ifndef VSWITCH_GSO_H
#define VSWITCH_GSO_H

#include "lib/packet.h"

#define GSO_FRAME    2048u /* room for a frame, with a tag; the largest that can be made */
#define GSO_SEGMENTS 512u  /* of one packet at most: 64 KiB of 128 bytes each */

struct gso_out {
	u8 *frame; /* GSO_FRAME bytes */
	enum packet_verdict (*emit)(void *ctx, const void *frame, u32 len);
	void *ctx;
	bool refused; /* set when the packet cannot be made into frames */
};

/*
 * Emit the frames that @packet is made into, in order, from number *@next on: what its headers ask for is
 * theirs, and is bounded here. PACKET_BUSY: frame number *@next was not taken, to be called again with
 * that. PACKET_DROPPED: it cannot be made into frames, or one was dropped: those behind it are not made.
 */
enum packet_verdict gso_send(const struct packet *packet, struct gso_out *out, unsigned int *next);

/* The one's complement sum of [data, data + len), added to @sum, not folded; big-endian. */
u64 csum_add(u64 sum, const u8 *data, u32 len);

/* The 16 bits that go into a header; 0 as 0xffff, which is the same to all but UDP, where 0 means none. */
u16 csum_fold(u64 sum);

#endif
