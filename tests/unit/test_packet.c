/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: headers are found where they are, and never outside of the frame's head; copies are the frame's bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "lib/packet.h"
#include "lib/string.h"

static u8 frame[1000];

static struct packet packet_of(u32 len)
{
	struct packet p;

	packet_from_buffer(&p, frame, len);
	return p;
}

/* Claim: any part of a frame, from head and from behind it. */
static void copies(void **state)
{
	struct packet p;
	u8 got[1000];

	(void)state;
	for (u32 i = 0; i < sizeof(frame); i++)
		frame[i] = (u8)(i * 31 + (i >> 8));
	p = packet_of(sizeof(frame));
	assert_int_equal(p.head_len, PACKET_HEAD);
	assert_ptr_equal(packet_buffer(&p), frame);
	for (u32 from = 0; from < sizeof(frame); from += 9) {
		for (u32 len = 1; len <= sizeof(frame) - from; len += 13) {
			memset(got, 0xee, sizeof(got));
			packet_copy(&p, from, got, len);
			assert_memory_equal(got, frame + from, len);
			if (len < sizeof(got))
				assert_int_equal(got[len], 0xee);
		}
	}
}

static void ipv4(u32 at, u8 words, u8 protocol)
{
	memset(frame, 0, sizeof(frame));
	be16_put(frame + at - 2, ETH_TYPE_IPV4);
	frame[at] = 0x40 | words;
	frame[at + 9] = protocol;
}

/* Claim: IPv4 with and without options and tag, and TCP behind it with its options. */
static void finds_ipv4(void **state)
{
	struct packet_layers l;
	struct packet p;

	(void)state;
	ipv4(14, 5, IP_PROTO_TCP);
	frame[34 + 12] = 0x80;
	p = packet_of(100);
	assert_true(packet_find_layers(&p, &l));
	assert_false(l.ipv6);
	assert_int_equal(l.ip, 14);
	assert_int_equal(l.above, 34);
	assert_int_equal(packet_tcp_payload(&p, &l), 34 + 32);

	ipv4(18, 15, IP_PROTO_TCP);
	be16_put(frame + 12, ETH_TYPE_VLAN);
	frame[78 + 12] = 0xf0;
	p = packet_of(200);
	assert_true(packet_find_layers(&p, &l));
	assert_int_equal(l.above, 78);
	assert_int_equal(packet_tcp_payload(&p, &l), 78 + 60);
	p = packet_of(130);
	assert_true(packet_find_layers(&p, &l));
	assert_int_equal(packet_tcp_payload(&p, &l), 0);

	ipv4(14, 5, IP_PROTO_UDP);
	p = packet_of(100);
	assert_true(packet_find_layers(&p, &l));
	assert_int_equal(packet_tcp_payload(&p, &l), 0);
}

/* Claim: what is not IP, is a part of it, or is too short, is not taken for it. */
static void refuses(void **state)
{
	struct packet_layers l;
	struct packet p;

	(void)state;
	ipv4(14, 4, IP_PROTO_TCP);
	p = packet_of(100);
	assert_false(packet_find_layers(&p, &l));
	ipv4(14, 5, IP_PROTO_TCP);
	frame[14 + 6] = 0x20;
	p = packet_of(100);
	assert_false(packet_find_layers(&p, &l));
	frame[14 + 6] = 0;
	frame[14 + 7] = 1;
	p = packet_of(100);
	assert_false(packet_find_layers(&p, &l));
	frame[14 + 7] = 0;
	for (u32 len = 0; len < 34; len++) {
		p = packet_of(len);
		assert_false(packet_find_layers(&p, &l));
	}
	p = packet_of(34);
	assert_true(packet_find_layers(&p, &l));
	assert_int_equal(packet_tcp_payload(&p, &l), 0);
	frame[34 + 12] = 0x40;
	p = packet_of(100);
	assert_true(packet_find_layers(&p, &l));
	assert_int_equal(packet_tcp_payload(&p, &l), 0);
	be16_put(frame + 12, 0x0806);
	p = packet_of(100);
	assert_false(packet_find_layers(&p, &l));
}

/* Claim: IPv6 with headers between, but for fragments; a chain of them ends with the head. */
static void finds_ipv6(void **state)
{
	struct packet_layers l;
	struct packet p;

	(void)state;
	memset(frame, 0, sizeof(frame));
	be16_put(frame + 12, ETH_TYPE_IPV6);
	frame[14] = 0x60;
	frame[14 + 6] = IP_PROTO_TCP;
	frame[54 + 12] = 0x50;
	p = packet_of(100);
	assert_true(packet_find_layers(&p, &l));
	assert_true(l.ipv6);
	assert_int_equal(packet_tcp_payload(&p, &l), 74);

	frame[14 + 6] = 60;
	frame[54] = 43;
	frame[55] = 1;
	frame[70] = IP_PROTO_TCP;
	frame[78 + 12] = 0x50;
	p = packet_of(200);
	assert_true(packet_find_layers(&p, &l));
	assert_int_equal(l.above, 78);
	assert_int_equal(packet_tcp_payload(&p, &l), 98);

	frame[70] = 44;
	p = packet_of(200);
	assert_true(packet_find_layers(&p, &l));
	assert_int_equal(packet_tcp_payload(&p, &l), 0);
	frame[55] = 255;
	p = packet_of(1000);
	assert_false(packet_find_layers(&p, &l));
	memset(frame + 54, 0, 200); /* hop by hop in hop by hop ... */
	p = packet_of(1000);
	assert_false(packet_find_layers(&p, &l));
}

/* Claim: whatever the bytes are, what is found lies in the head and the frame. */
static void any_bytes(void **state)
{
	unsigned int found = 0;

	(void)state;
	srand(1);
	for (unsigned int i = 0; i < 200000; i++) {
		u32 len = ETH_HEADER + (u32)rand() % 150;
		u8 *exact = malloc(len);
		struct packet_layers l;
		struct packet p;

		for (u32 k = 0; k < len; k++)
			exact[k] = (u8)(rand() % 4 ? rand() % 7 : rand());
		be16_put(exact + 12, i % 2 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6);
		if (len > 20)
			exact[14] = (u8)(i % 2 ? 0x40 | rand() % 16 : 0x60);
		packet_from_buffer(&p, exact, len);
		if (packet_find_layers(&p, &l)) {
			u32 payload = packet_tcp_payload(&p, &l);

			found++;
			assert_true(l.above <= p.head_len);
			assert_true(payload <= len);
			assert_true(!payload || payload >= l.above + TCP_HEADER);
		}
		free(exact);
	}
	assert_true(found > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies),    cmocka_unit_test(finds_ipv4),
		cmocka_unit_test(refuses),   cmocka_unit_test(finds_ipv6),
		cmocka_unit_test(any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
