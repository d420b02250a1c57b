/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: segments and checksums made in software are those that a card would make; no header leads astray. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "lib/string.h"
#include "vswitch/gso.h"

static const u8 big_v4[] = { 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00,
			     0x01, 0x08, 0x00, 0x45, 0x00, 0x00, 0x3e, 0xff, 0xff, 0x40, 0x00,
			     0x40, 0x06, 0xbe, 0xef, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00,
			     0x02, 0x04, 0xd2, 0x00, 0x50, 0xff, 0xff, 0xff, 0xf0, 0x11, 0x22,
			     0x33, 0x44, 0x80, 0x99, 0x20, 0x00, 0xde, 0xad, 0x00, 0x00, 0x01,
			     0x01, 0x08, 0x0a, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
			     0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a };
static const u8 cut_v4_0[] = { 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00,
			       0x00, 0x01, 0x08, 0x00, 0x45, 0x00, 0x00, 0x38, 0xff, 0xff,
			       0x40, 0x00, 0x40, 0x06, 0x26, 0xbe, 0x0a, 0x00, 0x00, 0x01,
			       0x0a, 0x00, 0x00, 0x02, 0x04, 0xd2, 0x00, 0x50, 0xff, 0xff,
			       0xff, 0xf0, 0x11, 0x22, 0x33, 0x44, 0x80, 0x90, 0x20, 0x00,
			       0x23, 0xe3, 0x00, 0x00, 0x01, 0x01, 0x08, 0x0a, 0x01, 0x02,
			       0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x61, 0x62, 0x63, 0x64 };
static const u8 cut_v4_1[] = { 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00,
			       0x00, 0x01, 0x08, 0x00, 0x45, 0x00, 0x00, 0x38, 0x00, 0x00,
			       0x40, 0x00, 0x40, 0x06, 0x26, 0xbe, 0x0a, 0x00, 0x00, 0x01,
			       0x0a, 0x00, 0x00, 0x02, 0x04, 0xd2, 0x00, 0x50, 0xff, 0xff,
			       0xff, 0xf4, 0x11, 0x22, 0x33, 0x44, 0x80, 0x10, 0x20, 0x00,
			       0x1c, 0x57, 0x00, 0x00, 0x01, 0x01, 0x08, 0x0a, 0x01, 0x02,
			       0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x65, 0x66, 0x67, 0x68 };
static const u8 cut_v4_2[] = { 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00,
			       0x00, 0x01, 0x08, 0x00, 0x45, 0x00, 0x00, 0x36, 0x00, 0x01,
			       0x40, 0x00, 0x40, 0x06, 0x26, 0xbf, 0x0a, 0x00, 0x00, 0x01,
			       0x0a, 0x00, 0x00, 0x02, 0x04, 0xd2, 0x00, 0x50, 0xff, 0xff,
			       0xff, 0xf8, 0x11, 0x22, 0x33, 0x44, 0x80, 0x19, 0x20, 0x00,
			       0x7f, 0xb0, 0x00, 0x00, 0x01, 0x01, 0x08, 0x0a, 0x01, 0x02,
			       0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x69, 0x6a };

static struct {
	u8 frame[600][GSO_FRAME];
	u32 len[600];
	unsigned int frames, refuse_from;
	enum packet_verdict refusal;
} out;

static enum packet_verdict on_emit(void *ctx, const void *frame, u32 len)
{
	assert_ptr_equal(ctx, &out);
	if (out.frames >= out.refuse_from)
		return out.refusal;
	assert_true(len <= GSO_FRAME);
	memcpy(out.frame[out.frames], frame, len);
	out.len[out.frames++] = len;
	return PACKET_TAKEN;
}

static u8 room[GSO_FRAME];
static struct gso_out sink = { .frame = room, .emit = on_emit, .ctx = &out };

static void forget(void)
{
	out.frames = 0;
	out.refuse_from = 600;
	sink.refused = false;
}

static enum packet_verdict cut(const u8 *frame, u32 len, const struct packet_offload *offload)
{
	unsigned int next = 0;
	struct packet p;

	forget();
	packet_from_buffer(&p, frame, len);
	p.offload = *offload;
	return gso_send(&p, &sink, &next);
}

static struct packet_offload tcp_offload(bool ipv6, u16 size)
{
	return (struct packet_offload){ .needs_csum = true,
					.gso = ipv6 ? PACKET_GSO_TCPV6 : PACKET_GSO_TCPV4,
					.gso_size = size };
}

static void assert_frame(unsigned int i, const u8 *frame, u32 len)
{
	assert_int_equal(out.len[i], len);
	assert_memory_equal(out.frame[i], frame, len);
}

/* Claim: byte by byte what a program in Python makes of the same (RFC 791, RFC 9293). */
static void known_segments(void **state)
{
	struct packet_offload o = tcp_offload(false, 4);

	(void)state;
	assert_int_equal(cut(big_v4, sizeof(big_v4), &o), PACKET_TAKEN);
	assert_int_equal(out.frames, 3);
	assert_frame(0, cut_v4_0, sizeof(cut_v4_0));
	assert_frame(1, cut_v4_1, sizeof(cut_v4_1));
	assert_frame(2, cut_v4_2, sizeof(cut_v4_2));
}

/* Claim: a UDP checksum over what the driver has left, as the same program has it. */
static void known_checksum(void **state)
{
	u8 f[14 + 20 + 8 + 5] = { 0 };
	struct packet_offload o = { .needs_csum = true, .csum_start = 34, .csum_offset = 6 };

	(void)state;
	memcpy(f + 34, "\0\x35\0\x35\0\x0d\x00\x00hello", 13);
	be16_put(f + 40, 0x8172);
	assert_int_equal(cut(f, sizeof(f), &o), PACKET_TAKEN);
	assert_int_equal(out.frames, 1);
	assert_int_equal(be16_get(out.frame[0] + 40), 0x3a44);
	assert_memory_equal(out.frame[0], f, 40);
	assert_memory_equal(out.frame[0] + 42, f + 42, 5);
}

/* Claim: a sum that comes out as 0 is sent as 0xffff, since 0 is no checksum in UDP. */
static void no_zero(void **state)
{
	u8 f[60] = { 0 };
	struct packet_offload o = { .needs_csum = true, .csum_start = 34, .csum_offset = 6 };

	(void)state;
	be16_put(f + 34, 0xffff);
	assert_int_equal(cut(f, sizeof(f), &o), PACKET_TAKEN);
	assert_int_equal(be16_get(out.frame[0] + 40), 0xffff);
}

/* The sum of RFC 1071 in its plainest form. */
static u32 sum(const u8 *p, u32 len, u32 s)
{
	for (u32 i = 0; i < len; i++) {
		s += i & 1 ? p[i] : (u32)p[i] << 8;
		if (s > 0xffff)
			s -= 0xffff;
	}
	return s;
}

static void check_segment(const u8 *f, u32 len, bool ipv6, u32 ip, u32 tcp)
{
	u32 s = len - tcp + 6;

	if (ipv6) {
		assert_int_equal(be16_get(f + ip + 4), len - ip - 40);
		s = sum(f + ip + 8, 32, s);
	} else {
		assert_int_equal(be16_get(f + ip + 2), len - ip);
		assert_int_equal(sum(f + ip, tcp - ip, 0), 0xffff);
		s = sum(f + ip + 12, 8, s);
	}
	assert_int_equal(sum(f + tcp, len - tcp, s), 0xffff);
}

static u8 big[PACKET_MAX];

/* A frame with these headers and random bytes; where its payload begins. */
static u32 make(bool ipv6, bool tag, u32 ip_words, u32 tcp_words, u32 *ip, u32 *tcp)
{
	for (u32 i = 0; i < sizeof(big); i++)
		big[i] = (u8)rand();
	*ip = tag ? 18 : 14;
	*tcp = *ip + (ipv6 ? 40 : 4 * ip_words);
	if (tag)
		be16_put(big + 12, ETH_TYPE_VLAN);
	be16_put(big + *ip - 2, ipv6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
	big[*ip] = (u8)(ipv6 ? 0x60 : 0x40 | ip_words);
	big[*ip + 6] = ipv6 ? IP_PROTO_TCP : 0x40;
	if (!ipv6) {
		big[*ip + 7] = 0;
		big[*ip + 9] = IP_PROTO_TCP;
	}
	big[*tcp + 12] = (u8)(tcp_words << 4);
	return *tcp + 4 * tcp_words;
}

/* Claim: whatever the headers' lengths, each byte of payload is in one segment, and each segment is right. */
static void random_segments(void **state)
{
	(void)state;
	srand(2);
	for (unsigned int i = 0; i < 3000; i++) {
		bool ipv6 = i & 1, tag = i & 2;
		u32 ip, tcp, payload, done = 0;
		u32 start = make(ipv6, tag, 5 + (u32)rand() % 11, 5 + (u32)rand() % 11, &ip, &tcp);
		u16 size = (u16)(1 + (u32)rand() % (i % 3 ? 1460 : 30));
		struct packet_offload o = tcp_offload(ipv6, size);

		payload = 1 + (u32)rand() % MIN(size * 500u, (u32)PACKET_MAX - start - 1);
		assert_int_equal(cut(big, start + payload, &o), PACKET_TAKEN);
		assert_int_equal(out.frames, (payload + size - 1) / size);
		for (unsigned int k = 0; k < out.frames; k++) {
			const u8 *f = out.frame[k];
			u32 n = out.len[k] - start;

			assert_int_equal(n, MIN((u32)size, payload - done));
			check_segment(f, out.len[k], ipv6, ip, tcp);
			assert_memory_equal(f + start, big + start + done, n);
			assert_int_equal(be32_get(f + tcp + 4), be32_get(big + tcp + 4) + done);
			assert_memory_equal(f, big, ip);
			assert_memory_equal(f + tcp + 18, big + tcp + 18, start - tcp - 18);
			if (!ipv6)
				assert_int_equal(be16_get(f + ip + 4),
						 (u16)(be16_get(big + ip + 4) + k));
			done += n;
		}
		assert_int_equal(done, payload);
	}
}

/* Claim: a receiver that is busy gets the rest later, and nothing twice; one that drops ends it. */
static void resumes(void **state)
{
	struct packet_offload o = tcp_offload(false, 100);
	u32 ip, tcp, start = make(false, false, 5, 5, &ip, &tcp);
	unsigned int next = 0;
	struct packet p;

	(void)state;
	forget();
	packet_from_buffer(&p, big, start + 1000);
	p.offload = o;
	out.refusal = PACKET_BUSY;
	for (unsigned int i = 0; i < 10; i++) {
		out.refuse_from = i;
		assert_int_equal(gso_send(&p, &sink, &next), PACKET_BUSY);
		assert_int_equal(next, i);
		assert_int_equal(out.frames, i);
	}
	out.refuse_from = 600;
	assert_int_equal(gso_send(&p, &sink, &next), PACKET_TAKEN);
	assert_int_equal(out.frames, 10);
	for (u32 i = 0; i < 10; i++)
		assert_memory_equal(out.frame[i] + start, big + start + 100 * i, 100);
	forget();
	next = 0;
	out.refuse_from = 3;
	out.refusal = PACKET_DROPPED;
	assert_int_equal(gso_send(&p, &sink, &next), PACKET_DROPPED);
	assert_int_equal(out.frames, 3);
	assert_false(sink.refused);
}

/* Claim: what cannot be made into frames is refused, and nothing of it is sent. */
static void refuses(void **state)
{
	u32 ip, tcp, start = make(false, false, 5, 5, &ip, &tcp);
	struct packet_offload o;

	(void)state;
	const struct {
		u16 size;
		u32 payload;
		bool ipv6;
	} bad[] = {
		{ 0, 1000, false },    /* segments of nothing */
		{ 3000, 4000, false }, /* too large for a frame */
		{ 1, 1000, false },    /* too many */
		{ 100, 0, false },     /* of nothing */
		{ 100, 1000, true },   /* not what it says */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		o = tcp_offload(bad[i].ipv6, bad[i].size);
		assert_int_equal(cut(big, start + bad[i].payload, &o), PACKET_DROPPED);
		assert_true(sink.refused);
		assert_int_equal(out.frames, 0);
	}
	o = (struct packet_offload){ .needs_csum = true,
				     .csum_start = 0xffff,
				     .csum_offset = 0xffff };
	assert_int_equal(cut(big, 1000, &o), PACKET_DROPPED);
	o = (struct packet_offload){ .needs_csum = true, .csum_start = 500, .csum_offset = 499 };
	assert_int_equal(cut(big, 1000, &o), PACKET_DROPPED);
	o.csum_offset = 498;
	assert_int_equal(cut(big, 1000, &o), PACKET_TAKEN);
	o = (struct packet_offload){ .needs_csum = false };
	assert_int_equal(cut(big, GSO_FRAME + 1, &o), PACKET_DROPPED);
	assert_int_equal(cut(big, GSO_FRAME, &o), PACKET_TAKEN);
	assert_frame(0, big, GSO_FRAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_segments), cmocka_unit_test(known_checksum),
		cmocka_unit_test(no_zero),        cmocka_unit_test(random_segments),
		cmocka_unit_test(resumes),        cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
