/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any frame with any offloads, cut or with its checksum put in: no access out of bounds, no more frames than
 * there may be, none too long, and each byte of payload in one of them.
 *
 * The input: struct packet_offload, what to refuse, and the frame, lengthened by zeroes.
 */
#include <stdlib.h>
#include <string.h>

#include "vswitch/gso.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int frames, busy_at;
static u64 bytes;

static enum packet_verdict on_emit(void *ctx, const void *frame, u32 len)
{
	volatile u8 sum = 0;

	(void)ctx;
	if (len > GSO_FRAME)
		abort();
	for (u32 i = 0; i < len; i++)
		sum = (u8)(sum + ((const u8 *)frame)[i]);
	if (frames == busy_at) {
		busy_at = ~0u;
		return PACKET_BUSY;
	}
	if (++frames > GSO_SEGMENTS)
		abort();
	bytes += len;
	return PACKET_TAKEN;
}

struct input {
	u16 gso_size, csum_start, csum_offset, longer;
	u8 gso, needs_csum, busy_at;
} __packed;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet_layers l = { 0 };
	struct input in;
	struct packet p;
	unsigned int next = 0;
	u8 *frame, *room;
	u32 len;

	if (size < sizeof(in) + ETH_HEADER)
		return 0;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in), size -= sizeof(in);
	len = (u32)MIN(size + in.longer, (size_t)PACKET_MAX);
	frame = calloc(1, len);
	room = malloc(GSO_FRAME);
	memcpy(frame, data, MIN(size, len));
	packet_from_buffer(&p, frame, len);
	p.offload = (struct packet_offload){ .needs_csum = in.needs_csum & 1,
					     .gso = in.gso % 3,
					     .gso_size = in.gso_size,
					     .csum_start = in.csum_start,
					     .csum_offset = in.csum_offset };
	frames = 0;
	bytes = 0;
	busy_at = in.busy_at;
	struct gso_out out = { .frame = room, .emit = on_emit };
	enum packet_verdict verdict = gso_send(&p, &out, &next);

	if (verdict == PACKET_BUSY)
		verdict = gso_send(&p, &out, &next);
	if (verdict == PACKET_BUSY || (out.refused && frames) ||
	    (verdict == PACKET_TAKEN) == out.refused)
		abort();
	if (verdict == PACKET_TAKEN && p.offload.gso != PACKET_GSO_NONE) {
		u32 headers = packet_find_layers(&p, &l) ? packet_tcp_payload(&p, &l) : 0;

		if (!headers || bytes - (u64)frames * headers != len - headers)
			abort();
	}
	free(frame);
	free(room);
	return 0;
}
