/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/packet.h"
#include "lib/string.h"

void packet_copy(const struct packet *packet, u32 offset, void *to, u32 len)
{
	u32 from_head = 0;

	if (offset < packet->head_len) {
		from_head = MIN(len, packet->head_len - offset);
		memcpy(to, packet->head + offset, from_head);
	}
	if (len > from_head)
		packet->copy(packet, offset + from_head, (u8 *)to + from_head, len - from_head);
}

static void copy_buffer(const struct packet *packet, u32 offset, void *to, u32 len)
{
	memcpy(to, (const u8 *)packet->ctx + offset, len);
}

void packet_from_buffer(struct packet *packet, const void *data, u32 len)
{
	packet->len = len;
	packet->head_len = MIN(len, (u32)PACKET_HEAD);
	memcpy(packet->head, data, packet->head_len);
	packet->offload = (struct packet_offload){ .gso = PACKET_GSO_NONE };
	packet->copy = copy_buffer;
	packet->ctx = data;
}

const void *packet_buffer(const struct packet *packet)
{
	return packet->copy == copy_buffer ? packet->ctx : NULL;
}

/* --- headers --- */

#define IPV4_HEADER   20u
#define IPV4_FRAGMENT 6
#define IPV4_MORE_OFF 0x3fffu /* more fragments, and the offset of this one */
#define IPV4_PROTOCOL 9
#define IPV6_HEADER   40u
#define IPV6_NEXT     6

static bool find_ipv4(const struct packet *p, struct packet_layers *l)
{
	const u8 *ip = p->head + l->ip;
	u32 len;

	if (l->ip + IPV4_HEADER > p->head_len || ip[0] >> 4 != 4)
		return false;
	len = (ip[0] & 15u) * 4;
	if (len < IPV4_HEADER || be16_get(ip + IPV4_FRAGMENT) & IPV4_MORE_OFF)
		return false;
	l->ipv6 = false;
	l->protocol = ip[IPV4_PROTOCOL];
	l->above = (u16)(l->ip + len);
	return l->above <= p->head_len;
}

/* RFC 8200, "IPv6 Extension Headers": those that may come before TCP, but for fragments. */
static bool is_extension(u8 next)
{
	return next == 0 || next == 43 || next == 60;
}

static bool find_ipv6(const struct packet *p, struct packet_layers *l)
{
	const u8 *ip = p->head + l->ip;
	u32 at = l->ip + IPV6_HEADER;

	if (at > p->head_len || ip[0] >> 4 != 6)
		return false;
	l->protocol = ip[IPV6_NEXT];
	/* Each is 8 bytes or more, and the head ends. */
	while (is_extension(l->protocol)) {
		if (at + 8 > p->head_len)
			return false;
		l->protocol = p->head[at];
		at += (p->head[at + 1] + 1u) * 8;
	}
	l->ipv6 = true;
	l->above = (u16)at;
	return at <= p->head_len;
}

bool packet_find_layers(const struct packet *packet, struct packet_layers *layers)
{
	u32 at = ETH_TYPE, type;

	if (packet->head_len < ETH_HEADER)
		return false;
	type = be16_get(packet->head + at);
	if (type == ETH_TYPE_VLAN && packet->head_len >= ETH_HEADER + ETH_VLAN) {
		at += ETH_VLAN;
		type = be16_get(packet->head + at);
	}
	layers->ip = (u16)(at + 2);
	switch (type) {
	case ETH_TYPE_IPV4: return find_ipv4(packet, layers);
	case ETH_TYPE_IPV6: return find_ipv6(packet, layers);
	default: return false;
	}
}

u32 packet_tcp_payload(const struct packet *packet, const struct packet_layers *layers)
{
	u32 len;

	if (layers->protocol != IP_PROTO_TCP || layers->above + TCP_HEADER > packet->head_len)
		return 0;
	len = (u32)(packet->head[layers->above + 12] >> 4) * 4;
	if (len < TCP_HEADER || layers->above + len > packet->len)
		return 0;
	return layers->above + len;
}
