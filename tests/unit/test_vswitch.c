/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: each frame gets to whom it is for, once, to nobody else, and is counted where it ends. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "lib/string.h"
#include "vswitch/uplink.h"

#define HZ    1000000000ULL
#define PORTS 5

static struct vswitch sw;
static u64 now;

/* Behind a port: what came last, how often, and whether it is busy. */
static struct end {
	struct vswitch_port port;
	u8 got[PACKET_MAX + 4];
	u32 len;
	unsigned int frames, offers;
	struct packet_offload offload;
	unsigned int busy;  /* offers that it does not take */
	unsigned int every; /* and each of this number; 0: none */
	bool drops;
} end[PORTS];

static enum packet_verdict on_receive(void *ctx, const struct packet *p)
{
	struct end *e = ctx;

	e->offers++;
	if (e->busy || (e->every && e->offers % e->every == 0)) {
		e->busy -= e->busy > 0;
		return PACKET_BUSY;
	}
	if (e->drops)
		return PACKET_DROPPED;
	assert_int_equal(p->head_len, MIN(p->len, (u32)PACKET_HEAD));
	packet_copy(p, 0, e->got, p->len);
	assert_memory_equal(e->got, p->head, p->head_len);
	e->len = p->len;
	e->offload = p->offload;
	e->frames++;
	return PACKET_TAKEN;
}

static struct {
	u8 frame[100][GSO_FRAME];
	u32 len[100];
	unsigned int frames;
	bool full;
} wire;

static bool on_transmit(void *driver, const void *data, u32 len)
{
	assert_ptr_equal(driver, &wire);
	if (wire.full)
		return false;
	memcpy(wire.frame[wire.frames], data, len);
	wire.len[wire.frames++] = len;
	return true;
}

static u64 get_now(void)
{
	return now;
}

static struct vswitch_uplink up;
static const u8 remote[ETH_ALEN] = { 0x00, 0x1b, 0x21, 1, 2, 3 };
static u8 frame[PACKET_MAX];
static struct vswitch_transfer transfer;

static void add_end(unsigned int i, u16 vlan, u64 rate)
{
	struct vswitch_port_config config = { .mac = { 2, 0, 0, 0, 0, (u8)i },
					      .vlan = vlan,
					      .rate = rate };
	struct packet_sink sink = { on_receive, &end[i] };

	assert_int_equal(vswitch_add(&sw, &end[i].port, &config, &sink), 0);
	vswitch_set_up(&end[i].port, true);
}

/* Ports 0, 1 and 2 in no VLAN, 3 and 4 in VLAN 7, and an uplink. */
static int setup(void **state)
{
	(void)state;
	memset(end, 0, sizeof(end));
	memset(&up, 0, sizeof(up));
	wire.frames = 0;
	wire.full = false;
	now = 1000 * HZ;
	vswitch_init(&sw, HZ);
	for (unsigned int i = 0; i < PORTS; i++)
		add_end(i, i < 3 ? 0 : 7, 0);
	up.transmit = on_transmit;
	up.driver = &wire;
	up.now = get_now;
	up.max_frame = ETH_MTU + ETH_HEADER;
	assert_int_equal(vswitch_add_uplink(&sw, &up), 0);
	memset(&transfer, 0, sizeof(transfer));
	return 0;
}

static void make(const u8 *to, const u8 *from, u32 len)
{
	for (u32 i = 0; i < len; i++)
		frame[i] = (u8)(i * 13 + (i >> 8));
	memcpy(frame, to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, from, ETH_ALEN);
	be16_put(frame + ETH_TYPE, 0x88b5);
}

static const u8 *mac(unsigned int i)
{
	return end[i].port.config.mac;
}

static const u8 everybody[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* frame[] from port @i, to the end: how often it was offered. */
static unsigned int send_offload(unsigned int i, u32 len, const struct packet_offload *o)
{
	unsigned int offers = 0;
	enum packet_verdict verdict;
	struct packet p;

	packet_from_buffer(&p, frame, len);
	if (o)
		p.offload = *o;
	memset(&transfer, 0, sizeof(transfer));
	do {
		verdict = vswitch_send(&end[i].port, &p, now, &transfer);
		offers++;
	} while (verdict == PACKET_BUSY && offers < 100);
	return offers;
}

static void send(unsigned int i, u32 len)
{
	(void)send_offload(i, len, NULL);
}

static void assert_got(unsigned int i, unsigned int frames)
{
	assert_int_equal(end[i].frames, frames);
}

static u64 counted(unsigned int i, enum vswitch_count what)
{
	return vswitch_counted(&end[i].port, what);
}

/* Claim: a known address gets it alone; it is the same bytes. */
static void unicast(void **state)
{
	(void)state;
	for (u32 len = ETH_HEADER; len < 1600; len += 7) {
		make(mac(1), mac(0), len);
		send(0, len);
		assert_int_equal(end[1].len, len);
		assert_memory_equal(end[1].got, frame, len);
	}
	assert_got(1, 227);
	assert_int_equal(counted(0, VSWITCH_SENT), 227);
	assert_int_equal(counted(1, VSWITCH_RECEIVED), 227);
	assert_int_equal(counted(0, VSWITCH_SENT_BYTES), counted(1, VSWITCH_RECEIVED_BYTES));
	for (unsigned int i = 2; i < PORTS; i++)
		assert_int_equal(end[i].offers, 0);
	assert_int_equal(wire.frames, 0);
	make(mac(0), mac(0), 60); /* to itself */
	send(0, 60);
	assert_int_equal(end[0].offers, 0);
}

/* Claim: all of one's VLAN get what is for all, for a group, or for whom nobody knows; and the uplink. */
static void flood(void **state)
{
	static const u8 group[ETH_ALEN] = { 0x33, 0x33, 0, 0, 0, 1 };
	const u8 *to[] = { everybody, group, remote };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		make(to[i], mac(0), 60);
		send(0, 60);
		assert_got(0, 0);
		assert_got(1, i + 1);
		assert_got(2, i + 1);
		assert_got(3, 0);
		assert_int_equal(wire.frames, i + 1);
		assert_memory_equal(wire.frame[i], frame, 60);
	}
}

/* Claim: nobody sends from another's address, also not from a right one in another VLAN, or from beyond. */
static void spoofing(void **state)
{
	(void)state;
	make(mac(1), mac(2), 60);
	send(0, 60);
	make(mac(1), remote, 60);
	send(0, 60);
	assert_int_equal(counted(0, VSWITCH_SPOOFED), 2);
	make(mac(1), mac(2), 60);
	vswitch_nic_receive(&up, frame, 60);
	assert_int_equal(vswitch_counted(&up.port, VSWITCH_SPOOFED), 1);
	make(mac(1), everybody, 60);
	send(0, 60);
	assert_int_equal(counted(0, VSWITCH_MALFORMED), 1);
	for (unsigned int i = 0; i < PORTS; i++)
		assert_int_equal(end[i].offers, 0);
	assert_int_equal(counted(0, VSWITCH_SENT), 0);
}

/* Claim: where an address is behind the uplink is learned, and forgotten when it is quiet. */
static void learning(void **state)
{
	(void)state;
	make(mac(0), remote, 60);
	vswitch_nic_receive(&up, frame, 60);
	assert_got(0, 1);
	assert_memory_equal(end[0].got, frame, 60);
	make(remote, mac(0), 60);
	send(0, 60);
	assert_int_equal(wire.frames, 1);
	assert_int_equal(end[1].offers, 0);
	now += 301 * HZ;
	send(0, 60);
	assert_int_equal(wire.frames, 2);
	assert_got(1, 1);
}

/* Claim: however many addresses there are beyond the uplink, the last one is known, and memory is not taken. */
static void table_is_bounded(void **state)
{
	(void)state;
	for (u32 i = 0; i < 100000; i++) {
		u8 source[ETH_ALEN] = { 0, 0x11 };

		be32_put(source + 2, i);
		make(mac(0), source, 60);
		now += 1000;
		vswitch_nic_receive(&up, frame, 60);
		make(source, mac(0), 60);
		end[1].offers = wire.frames = 0;
		send(0, 60);
		assert_int_equal(wire.frames, 1);
		assert_int_equal(end[1].offers, 0);
	}
}

/* Claim: VLANs do not see each other; between ports there are no tags; the uplink sees them. */
static void vlans(void **state)
{
	u8 expected[1600];

	(void)state;
	make(mac(4), mac(3), 300);
	send(3, 300);
	assert_got(4, 1);
	assert_int_equal(end[4].len, 300);
	assert_memory_equal(end[4].got, frame, 300);
	assert_int_equal(wire.frames, 0);
	make(mac(0), mac(3),
	     60); /* known, but elsewhere: all of VLAN 7 get it, and port 0 does not */
	send(3, 60);
	assert_int_equal(end[0].offers, 0);
	wire.frames = 0;
	for (u32 len = ETH_HEADER; len <= ETH_MTU + ETH_HEADER; len++) {
		wire.frames = 0;
		make(everybody, mac(3), len);
		send(3, len);
		memset(expected, 0, sizeof(expected));
		memcpy(expected, frame, 12);
		be16_put(expected + 12, ETH_TYPE_VLAN);
		be16_put(expected + 14, 7);
		memcpy(expected + 16, frame + 12, len - 12);
		assert_int_equal(wire.frames, 1);
		assert_int_equal(wire.len[0], MAX(len + 4, 60u));
		assert_memory_equal(wire.frame[0], expected, wire.len[0]);
		memcpy(expected + ETH_ALEN, remote, ETH_ALEN);
		vswitch_nic_receive(&up, expected, len + 4);
		assert_int_equal(end[3].len, len);
		memcpy(frame + ETH_ALEN, remote, ETH_ALEN);
		assert_memory_equal(end[3].got, frame, len);
	}
	assert_int_equal(end[0].offers, 0);
}

/* Claim: a guest's own tags lead nowhere; nor do strange ones from the uplink. */
static void tags(void **state)
{
	static const u16 types[] = { ETH_TYPE_VLAN, ETH_TYPE_SVID };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		make(everybody, mac(0), 60);
		be16_put(frame + 12, types[i]);
		be16_put(frame + 14, 7);
		send(0, 60);
		make(everybody, mac(3), 60);
		be16_put(frame + 12, types[i]);
		be16_put(frame + 14, 7);
		send(3, 60);
	}
	assert_int_equal(counted(0, VSWITCH_MALFORMED), 2);
	assert_int_equal(counted(3, VSWITCH_MALFORMED), 2);
	make(everybody, remote, 60);
	be16_put(frame + 12, ETH_TYPE_VLAN);
	be16_put(frame + 14, 4095);
	vswitch_nic_receive(&up, frame, 60);
	be16_put(frame + 14, 7);
	vswitch_nic_receive(&up, frame, 16);
	be16_put(frame + 12, ETH_TYPE_SVID);
	vswitch_nic_receive(&up, frame, 60);
	assert_int_equal(vswitch_counted(&up.port, VSWITCH_MALFORMED), 3);
	for (unsigned int i = 0; i < PORTS; i++)
		assert_int_equal(end[i].offers, 0);
	be16_put(frame + 12, ETH_TYPE_VLAN);
	be16_put(frame + 14, 0xe000); /* a priority alone */
	vswitch_nic_receive(&up, frame, 60);
	assert_got(0, 1);
	assert_int_equal(end[0].len, 56);
	assert_int_equal(wire.frames, 0);
}

/* Claim: who is busy gets it later, the others once; it is not sent for ever. */
static void busy(void **state)
{
	(void)state;
	end[1].busy = 3;
	make(everybody, mac(0), 60);
	assert_int_equal(send_offload(0, 60, NULL), 4);
	assert_got(1, 1);
	assert_got(2, 1);
	assert_int_equal(wire.frames, 1);
	assert_int_equal(counted(0, VSWITCH_SENT), 1);
	end[1].busy = 1000;
	assert_int_equal(send_offload(0, 60, NULL), 100);
	vswitch_give_up(&end[0].port, &transfer);
	assert_int_equal(counted(0, VSWITCH_GIVEN_UP), 1);
	assert_got(1, 1);
	assert_got(2, 2);
	assert_false(transfer.begun);
	vswitch_give_up(&end[0].port, &transfer);
	assert_int_equal(counted(0, VSWITCH_GIVEN_UP), 1);
	end[0].busy = 1 << 30;
	make(mac(0), remote, 60);
	vswitch_nic_receive(&up, frame, 60);
	assert_int_equal(end[0].offers, UPLINK_TRIES);
	assert_int_equal(vswitch_counted(&up.port, VSWITCH_GIVEN_UP), 1);
}

/* Claim: who does not take it, or is not there, is not waited for; it is counted with him. */
static void not_taken(void **state)
{
	(void)state;
	end[1].drops = true;
	make(mac(1), mac(0), 60);
	assert_int_equal(send_offload(0, 60, NULL), 1);
	vswitch_set_up(&end[1].port, false);
	assert_int_equal(send_offload(0, 60, NULL), 1);
	assert_int_equal(counted(1, VSWITCH_NOT_TAKEN), 2);
	assert_int_equal(end[1].offers, 1);
	assert_int_equal(counted(1, VSWITCH_RECEIVED), 0);
	vswitch_set_up(&end[1].port, true); /* another life: counted anew */
	assert_int_equal(counted(1, VSWITCH_NOT_TAKEN), 0);
	wire.full = true;
	make(remote, mac(0), 60);
	send(0, 60);
	assert_int_equal(vswitch_counted(&up.port, VSWITCH_NOT_TAKEN), 1);
}

/* Claim: in the long run a port sends no more than its rate, in whatever sizes, and no less. */
static void rate(void **state)
{
	static const u64 rates[] = { 1000, 1000000, 1000000000, 100000000000ULL };
	static const u32 sizes[] = { 60, 1514, 65000 };

	(void)state;
	for (unsigned int r = 0; r < ARRAY_SIZE(rates); r++) {
		for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
			u64 bits = 8ULL * sizes[s], step = bits * HZ / rates[r] / 3 + 1;
			struct vswitch_port *p = &end[0].port;
			u64 sent, expected, n = 3000;

			setup(NULL);
			p->config.rate = rates[r];
			make(mac(1), mac(0), sizes[s]);
			for (u64 i = 0; i < n; i++, now += step)
				send(0, sizes[s]);
			sent = vswitch_counted(p, VSWITCH_SENT) * bits;
			expected = n * step / 1000 * rates[r] / (HZ / 1000);
			/* a burst of 50 ms, and a frame; rounding of a tick each */
			assert_true(sent <= expected + rates[r] / 20 + 2 * bits + expected / 100);
			assert_true(sent + 2 * bits >= expected - expected / 100);
			assert_int_equal(vswitch_counted(p, VSWITCH_SENT) +
						 vswitch_counted(p, VSWITCH_LIMITED),
					 n);
		}
	}
}

/* Claim: what was not used is saved up to the burst, and no further. */
static void burst(void **state)
{
	unsigned int first, later;

	(void)state;
	end[0].port.config.rate = 8000000; /* a megabyte a second: 50000 bytes in a burst */
	make(mac(1), mac(0), 1000);
	for (unsigned int i = 0; i < 1000; i++)
		send(0, 1000);
	first = end[1].frames;
	assert_in_range(first, 50, 51);
	now += 3600 * HZ;
	for (unsigned int i = 0; i < 1000; i++)
		send(0, 1000);
	later = end[1].frames - first;
	assert_int_equal(later, first);
}

static struct packet_offload make_tso(u32 len)
{
	make(mac(1), mac(0), len);
	be16_put(frame + 12, ETH_TYPE_IPV4);
	memset(frame + 14, 0, 40);
	frame[14] = 0x45;
	frame[14 + 9] = IP_PROTO_TCP;
	frame[34 + 12] = 0x50;
	return (struct packet_offload){ .needs_csum = true,
					.gso = PACKET_GSO_TCPV4,
					.hdr_len = 54,
					.gso_size = 1000,
					.csum_start = 34,
					.csum_offset = 16 };
}

/* Claim: offloads reach who takes them as they were, and are done for who does not, for each in his VLAN. */
static void offloads(void **state)
{
	struct packet_offload o = make_tso(10054);

	(void)state;
	vswitch_set_offloads(&end[1].port, VSWITCH_CSUM | VSWITCH_TSO4);
	memcpy(frame, everybody, ETH_ALEN);
	(void)send_offload(0, 10054, &o);
	assert_int_equal(end[1].frames, 1);
	assert_int_equal(end[1].len, 10054);
	assert_memory_equal(end[1].got, frame, 10054);
	assert_memory_equal(&end[1].offload, &o, sizeof(o));
	assert_int_equal(end[2].frames, 10);
	assert_int_equal(end[2].len, 1054);
	assert_int_equal(end[2].offload.needs_csum, false);
	assert_int_equal(wire.frames, 10);
	for (unsigned int i = 0; i < 10; i++)
		assert_memory_equal(wire.frame[i] + 54, frame + 54 + 1000 * i, 1000);
	o.ecn = true;
	(void)send_offload(0, 10054, &o);
	assert_int_equal(end[1].frames, 11);
	vswitch_set_offloads(&end[1].port, VSWITCH_CSUM | VSWITCH_TSO4 | VSWITCH_ECN);
	(void)send_offload(0, 10054, &o);
	assert_int_equal(end[1].frames, 12);

	wire.frames = 0;
	memcpy(frame + ETH_ALEN, mac(3), ETH_ALEN);
	vswitch_set_offloads(&end[4].port, VSWITCH_CSUM | VSWITCH_TSO4 | VSWITCH_ECN);
	(void)send_offload(3, 10054, &o);
	assert_int_equal(end[4].len, 10054);
	assert_int_equal(wire.frames, 10);
	assert_int_equal(wire.len[0], 1058);
	assert_int_equal(be16_get(wire.frame[3] + 14), 7);
	assert_memory_equal(wire.frame[9] + 58, frame + 54 + 9000, 1000);
}

/* Claim: one for whom it is cut may be busy in the middle: each segment once, for each of them. */
static void busy_in_the_middle(void **state)
{
	struct packet_offload o = make_tso(10054);
	struct packet p;
	enum packet_verdict verdict = PACKET_BUSY;
	unsigned int rounds;

	(void)state;
	memcpy(frame, everybody, ETH_ALEN);
	packet_from_buffer(&p, frame, 10054);
	p.offload = o;
	end[1].every = 3;
	end[2].every = 4;
	for (rounds = 1; rounds < 100; rounds++) {
		verdict = vswitch_send(&end[0].port, &p, now, &transfer);
		if (verdict == PACKET_TAKEN)
			break;
	}
	end[1].every = end[2].every = 0;
	assert_int_equal(rounds, 1 + 4 + 3); /* offers that were not taken: 14 for 10, 13 for 10 */
	assert_int_equal(verdict, PACKET_TAKEN);
	assert_int_equal(end[1].frames, 10);
	assert_int_equal(end[2].frames, 10);
	assert_int_equal(wire.frames, 10);
	for (unsigned int i = 0; i < 10; i++)
		assert_memory_equal(wire.frame[i] + 54, frame + 54 + 1000 * i, 1000);
	/* The bounce buffer may be another's. */
	memset(&transfer, 0, sizeof(transfer));
	spin_lock(&sw.bounce_lock);
	assert_int_equal(vswitch_send(&end[0].port, &p, now, &transfer), PACKET_BUSY);
	spin_unlock(&sw.bounce_lock);
	assert_int_equal(vswitch_send(&end[0].port, &p, now, &transfer), PACKET_TAKEN);
	assert_int_equal(end[1].frames, 20);
	o.gso_size = 0;
	memcpy(frame, mac(1), ETH_ALEN);
	(void)send_offload(0, 10054, &o);
	assert_int_equal(counted(1, VSWITCH_MALFORMED), 1);
	assert_int_equal(end[1].frames, 20);
}

/* Claim: what a card cannot send is not given to it. */
static void uplink_limits(void **state)
{
	(void)state;
	make(remote, mac(0), 2000);
	send(0, 1514);
	assert_int_equal(wire.frames, 1);
	send(0, 1515);
	assert_int_equal(wire.frames, 1);
	send(0, 20);
	assert_int_equal(wire.len[1], 60);
	assert_int_equal(wire.frame[1][59], 0);
	vswitch_nic_receive(&up, frame, 13);
	vswitch_nic_receive(&up, frame, 0);
}

/* Claim: an address is in a VLAN once, and there are as many ports as there are. */
static void adding(void **state)
{
	struct vswitch_port_config config = { .mac = { 2, 0, 0, 0, 0, 1 } };
	struct packet_sink sink = { on_receive, NULL };
	static struct vswitch_port more[VSWITCH_PORTS];
	unsigned int i = 0;

	(void)state;
	assert_int_equal(vswitch_add(&sw, &more[0], &config, &sink), -EEXIST);
	config.vlan = 7;
	config.mac[4] = 1;
	while (i < VSWITCH_PORTS && !vswitch_add(&sw, &more[i], &config, &sink)) {
		config.mac[5]++;
		i++;
	}
	assert_int_equal(i, VSWITCH_PORTS - PORTS - 1);
	assert_int_equal(vswitch_add(&sw, &more[i], &config, &sink), -ENOSPC);
	make(everybody, mac(3), 60);
	send(3, 60); /* to the last one, too, which is not up */
	assert_int_equal(vswitch_counted(&more[i - 1], VSWITCH_NOT_TAKEN), 1);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unicast),
		TEST(flood),
		TEST(spoofing),
		TEST(learning),
		TEST(table_is_bounded),
		TEST(vlans),
		TEST(tags),
		TEST(busy),
		TEST(not_taken),
		TEST(rate),
		TEST(burst),
		TEST(offloads),
		TEST(busy_in_the_middle),
		TEST(uplink_limits),
		TEST(adding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
