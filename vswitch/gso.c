/* SPDX-License-Identifier: BSD-2-Clause */
#include "vswitch/gso.h"
#include "lib/string.h"

/* RFC 791, "Internet Header Format"; RFC 9293, "Header Format" */
#define IPV4_LENGTH  2
#define IPV4_ID      4
#define IPV4_CSUM    10
#define IPV4_SOURCE  12 /* and the destination behind it */
#define IPV6_LENGTH  4
#define IPV6_SOURCE  8
#define IPV6_HEADER  40
#define TCP_SEQUENCE 4
#define TCP_FLAGS    13
#define TCP_FIN      0x01
#define TCP_PSH      0x08
#define TCP_CWR      0x80

_Static_assert(PACKET_HEADERS < GSO_FRAME, "headers fit");

/* RFC 1071: carries are kept above, and come back in csum_fold. */
u64 csum_add(u64 sum, const u8 *data, u32 len)
{
	for (; len >= 2; data += 2, len -= 2)
		sum += be16_get(data);
	return len ? sum + (u64)(data[0] << 8) : sum;
}

u16 csum_fold(u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum ^= 0xffff;
	return sum ? (u16)sum : 0xffff;
}

/* --- a checksum alone --- */

static enum packet_verdict refuse(struct gso_out *out)
{
	out->refused = true;
	return PACKET_DROPPED;
}

static enum packet_verdict send_whole(const struct packet *packet, struct gso_out *out)
{
	const struct packet_offload *o = &packet->offload;
	u32 field = (u32)o->csum_start + o->csum_offset;

	if (packet->len > GSO_FRAME || (o->needs_csum && field + 2 > packet->len))
		return refuse(out);
	packet_copy(packet, 0, out->frame, packet->len);
	if (o->needs_csum) {
		/* The field holds the sum of the pseudo header, and counts as it is. */
		be16_put(out->frame + field, csum_fold(csum_add(0, out->frame + o->csum_start,
								packet->len - o->csum_start)));
	}
	return out->emit(out->ctx, out->frame, packet->len);
}

/* --- segments --- */

struct cutter {
	struct packet_layers at;
	u32 headers; /* bytes */
	u32 payload; /* bytes, of the packet */
	u32 size;    /* bytes of payload in each segment but the last */
	u32 segments;
	u8 header[PACKET_HEADERS + 128]; /* of the packet; IPv6 may have extensions */
};

static bool prepare(struct cutter *c, const struct packet *packet)
{
	const struct packet_offload *o = &packet->offload;

	if (!packet_find_layers(packet, &c->at))
		return false;
	c->headers = packet_tcp_payload(packet, &c->at);
	if (!c->headers || c->headers > sizeof(c->header) ||
	    c->at.ipv6 != (o->gso == PACKET_GSO_TCPV6))
		return false;
	c->payload = packet->len - c->headers;
	c->size = o->gso_size;
	if (!c->size || !c->payload || c->headers + MIN(c->size, c->payload) > GSO_FRAME)
		return false;
	c->segments = (c->payload + c->size - 1) / c->size;
	packet_copy(packet, 0, c->header, c->headers);
	return c->segments <= GSO_SEGMENTS;
}

static void set_ipv4(const struct cutter *c, u8 *frame, u32 len, unsigned int number)
{
	u8 *ip = frame + c->at.ip;

	be16_put(ip + IPV4_LENGTH, len - c->at.ip);
	be16_put(ip + IPV4_ID, be16_get(ip + IPV4_ID) + number);
	be16_put(ip + IPV4_CSUM, 0);
	be16_put(ip + IPV4_CSUM, csum_fold(csum_add(0, ip, (u32)(c->at.above - c->at.ip))));
}

static void set_tcp(const struct cutter *c, u8 *frame, u32 len, unsigned int number)
{
	u8 *ip = frame + c->at.ip, *tcp = frame + c->at.above;
	u32 tcp_len = len - c->at.above;
	u64 sum = (u64)tcp_len + IP_PROTO_TCP;

	be32_put(tcp + TCP_SEQUENCE, be32_get(tcp + TCP_SEQUENCE) + number * c->size);
	if (number)
		tcp[TCP_FLAGS] &= (u8)~TCP_CWR;
	if (number + 1 < c->segments)
		tcp[TCP_FLAGS] &= (u8) ~(TCP_FIN | TCP_PSH);
	if (c->at.ipv6)
		sum = csum_add(sum, ip + IPV6_SOURCE, 32);
	else
		sum = csum_add(sum, ip + IPV4_SOURCE, 8);
	be16_put(tcp + TCP_OFF_CSUM, 0);
	be16_put(tcp + TCP_OFF_CSUM, csum_fold(csum_add(sum, tcp, tcp_len)));
}

/* Segment @number into @frame; its length. */
static u32 cut(const struct cutter *c, const struct packet *packet, unsigned int number, u8 *frame)
{
	u32 offset = number * c->size, bytes = MIN(c->size, c->payload - offset);
	u32 len = c->headers + bytes;

	memcpy(frame, c->header, c->headers);
	packet_copy(packet, c->headers + offset, frame + c->headers, bytes);
	if (c->at.ipv6)
		be16_put(frame + c->at.ip + IPV6_LENGTH, len - c->at.ip - IPV6_HEADER);
	else
		set_ipv4(c, frame, len, number);
	set_tcp(c, frame, len, number);
	return len;
}

static enum packet_verdict send_segments(const struct packet *packet, struct gso_out *out,
					 unsigned int *next)
{
	struct cutter c;

	if (!prepare(&c, packet))
		return refuse(out);
	for (; *next < c.segments; ++*next) {
		u32 len = cut(&c, packet, *next, out->frame);
		enum packet_verdict verdict = out->emit(out->ctx, out->frame, len);

		if (verdict != PACKET_TAKEN)
			return verdict;
	}
	return PACKET_TAKEN;
}

enum packet_verdict gso_send(const struct packet *packet, struct gso_out *out, unsigned int *next)
{
	return packet->offload.gso == PACKET_GSO_NONE ? send_whole(packet, out)
						      : send_segments(packet, out, next);
}
