/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: virtio-net sends what its driver says, once, gives all buffers back, and shows no half of a frame. */
#include "tests/unit/fake_virtio.h"
#include "virtio/virtio_net.h"

#define SIZE    256
#define PAIRS   2
#define CONTROL 4
#define HEADER  sizeof(struct virtio_net_hdr)
#define HDRS    0x18000ULL /* headers and frames to send */
#define FRAMES  0x19000ULL
#define BUFFERS 0x2a000ULL /* to receive into */

enum { RX, TX, RX1, TX1 };

static struct virtio_net n;
static struct driver_queue q[5];
static unsigned int interrupts[5], changes;

static struct {
	u8 frame[PACKET_MAX];
	u32 len;
	struct packet_offload offload;
	unsigned int frames, offers, busy, given_up;
	u64 takes;
	gpa_t spoil; /* what the guest changes while its frame is under way */
} line;

static enum packet_verdict on_send(void *ctx, const struct packet *p)
{
	assert_ptr_equal(ctx, &line);
	line.offers++;
	if (line.busy) {
		line.busy--;
		return PACKET_BUSY;
	}
	if (line.spoil)
		memset(ram_low + line.spoil, 0xcc, PACKET_HEAD);
	packet_copy(p, 0, line.frame, p->len);
	line.len = p->len;
	line.offload = p->offload;
	line.frames++;
	return PACKET_TAKEN;
}

static void on_give_up(void *ctx)
{
	assert_ptr_equal(ctx, &line);
	line.given_up++;
}

static void on_takes(void *ctx, u64 features)
{
	assert_ptr_equal(ctx, &line);
	line.takes = features;
}

static const struct virtio_net_ops ops = { on_send, on_give_up, on_takes };
static const u8 mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 1 };

static void on_interrupt(void *transport, const struct virtqueue *queue)
{
	(void)transport;
	if (queue)
		interrupts[queue - n.queue]++;
	else
		changes++;
}

static void bring_up(u64 features)
{
	virtio_set_status(&n.dev, 0);
	virtio_set_status(&n.dev, 3);
	virtio_set_features(&n.dev, false, (u32)features);
	virtio_set_features(&n.dev, true, 1);
	virtio_set_status(&n.dev, 11);
	for (unsigned int i = 0; i < 5; i++) {
		driver_queue_init(&q[i], 0x1000 + 0x4000ULL * i, n.queue[i].size);
		memset(ram_low + q[i].desc, 0, 0x4000);
		n.queue[i].desc = q[i].desc;
		n.queue[i].avail = q[i].avail;
		n.queue[i].used = q[i].used;
		virtqueue_enable(&n.queue[i]);
	}
	virtio_set_status(&n.dev, 15);
	assert_true(virtio_live(&n.dev));
}

#define ALL                                                                           \
	(VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4 |            \
	 VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | \
	 VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX |       \
	 VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_MQ)

static int setup(void **state)
{
	(void)state;
	fake_virtio_start();
	memset(&line, 0, sizeof(line));
	memset(interrupts, 0, sizeof(interrupts));
	changes = 0;
	virtio_net_init(&n, &fake_host, mac, ETH_MTU, PAIRS, &ops, &line);
	n.dev.interrupt = on_interrupt;
	assert_int_equal(n.type.queues, 5);
	bring_up(ALL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_virtio_stop();
	return 0;
}

static u8 frame[PACKET_MAX];

static void make(u32 len)
{
	for (u32 i = 0; i < len; i++)
		frame[i] = (u8)(i * 11 + (i >> 8));
	memcpy(frame, mac, ETH_ALEN);
}

/* frame[] as a chain of pieces of @piece bytes each, header and all. */
static void post(unsigned int tx, const struct virtio_net_hdr *hdr, u32 len, u32 piece)
{
	struct driver_queue *d = &q[tx];
	u16 head = d->next % d->size;
	u32 all = (u32)HEADER + len;

	poke(HDRS, hdr, HEADER);
	poke(HDRS + HEADER, frame, len);
	for (u32 done = 0; done < all; done += piece) {
		u16 index = d->next++ % d->size;
		bool last = done + piece >= all;

		driver_desc(d, index, HDRS + done, MIN(piece, all - done),
			    last ? 0 : VIRTQ_DESC_NEXT, (u16)((index + 1) % d->size));
	}
	driver_avail(d, head);
}

static const struct virtio_net_hdr plain;

static void send(u32 len)
{
	post(TX, &plain, len, 1 << 20);
	virtio_kick(&n.dev, TX);
}

/* Claim: any length, in any pieces; the buffer is back when the kick returns. */
static void sends(void **state)
{
	unsigned int sent = 0;

	(void)state;
	for (u32 len = ETH_HEADER; len <= ETH_MTU + ETH_HEADER; len += 37) {
		static const u32 pieces[] = { 7, 12, 13, 100, 5000 };

		for (unsigned int i = 0; i < ARRAY_SIZE(pieces); i++) {
			make(len);
			post(TX, &plain, len, pieces[i]);
			virtio_kick(&n.dev, TX);
			assert_int_equal(line.frames, ++sent);
			assert_int_equal(line.len, len);
			assert_memory_equal(line.frame, frame, len);
			assert_true(driver_take(&q[TX]) >= 0);
		}
	}
	assert_int_equal(n.tx_malformed, 0);
}

/* Claim: what the switch has looked at is what is delivered, whatever the guest does meanwhile. */
static void read_once(void **state)
{
	(void)state;
	make(1000);
	line.spoil = HDRS + HEADER;
	send(1000);
	assert_int_equal(line.frames, 1);
	assert_memory_equal(line.frame, frame, 1000);
	assert_int_equal(ram_low[HDRS + HEADER], 0xcc);
}

/* Claim: a busy sink is asked again, soon and for a bounded time; then the guest goes on. */
static void busy(void **state)
{
	(void)state;
	make(100);
	line.busy = 10;
	send(100);
	assert_int_equal(line.frames, 1);
	line.busy = 100;
	send(100);
	post(TX1, &plain, 200, 1000);
	virtio_kick(&n.dev, TX1);
	assert_int_equal(line.frames, 1);
	assert_int_equal(driver_used_idx(&q[TX]), 1);
	fake_pass_us(1000);
	assert_int_equal(line.frames, 3);
	assert_int_equal(line.len, 200);
	assert_int_equal(driver_used_idx(&q[TX]), 2);
	assert_int_equal(driver_used_idx(&q[TX1]), 1);
	line.busy = 1 << 30;
	line.offers = 0;
	send(100);
	fake_pass_us(9000);
	assert_int_equal(driver_used_idx(&q[TX]), 2);
	fake_pass_us(2000);
	assert_int_equal(line.given_up, 1);
	assert_int_equal(driver_used_idx(&q[TX]), 3);
	assert_in_range(line.offers, 1000, 20000);
	line.busy = 0;
	send(100);
	assert_int_equal(line.frames, 4);
	line.busy = 1 << 30;
	send(100);
	virtio_set_status(&n.dev, 0);
	assert_int_equal(line.given_up, 2);
	fake_pass_us(100000);
	line.busy = 0;
	bring_up(ALL);
	send(100);
	assert_int_equal(line.frames, 5);
}

/* Claim: who sends on and on is not interrupted, who stops is, once; who fills the ring is, too. */
static void tx_interrupts(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		make(60);
		send(60);
		assert_true(driver_take(&q[TX]) >= 0);
		driver_want_interrupt(&q[TX], q[TX].seen);
	}
	assert_int_equal(interrupts[TX], 0);
	driver_want_interrupt(&q[TX], (u16)(q[TX].seen - 1));
	fake_pass_us(2000);
	assert_int_equal(interrupts[TX], 1);
	fake_pass_us(20000);
	assert_int_equal(interrupts[TX], 1);
	driver_want_interrupt(&q[TX], q[TX].seen);
	for (unsigned int i = 0; i < SIZE / 2; i++)
		post(TX, &plain, 60, 1000);
	virtio_kick(&n.dev, TX);
	assert_int_equal(line.frames, 1128);
	assert_int_equal(interrupts[TX], 2);
}

/* Claim: a kick is a bounded piece of work; the rest is done as well. */
static void burst(void **state)
{
	(void)state;
	make(60);
	for (unsigned int i = 0; i < SIZE; i++)
		post(TX, &plain, 60, 1000);
	virtio_kick(&n.dev, TX);
	assert_int_equal(line.frames, 128);
	fake_pass_us(0);
	assert_int_equal(line.frames, 256);
	fake_pass_us(1);
	assert_int_equal(driver_used_idx(&q[TX]), SIZE);
}

/* TCP with 1000 bytes of payload. */
static struct virtio_net_hdr make_tso(void)
{
	make(1054);
	be16_put(frame + 12, ETH_TYPE_IPV4);
	memset(frame + 14, 0, 40);
	frame[14] = 0x45;
	frame[23] = IP_PROTO_TCP;
	frame[46] = 0x50;
	return (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_NEEDS_CSUM,
					.gso_type = VIRTIO_NET_GSO_TCPV4,
					.hdr_len = 7,
					.gso_size = 100,
					.csum_start = 34,
					.csum_offset = 16 };
}

/* Claim: offloads are what the header says, as far as the frame bears it out; hdr_len is the frame's. */
static void offloads(void **state)
{
	struct virtio_net_hdr hdr = make_tso();

	(void)state;
	post(TX, &hdr, 1054, 5000);
	virtio_kick(&n.dev, TX);
	assert_int_equal(line.frames, 1);
	assert_int_equal(line.offload.gso, PACKET_GSO_TCPV4);
	assert_int_equal(line.offload.hdr_len, 54);
	assert_int_equal(line.offload.gso_size, 100);
	assert_true(line.offload.needs_csum);
	hdr.gso_type = VIRTIO_NET_GSO_NONE;
	post(TX, &hdr, 1054, 5000);
	virtio_kick(&n.dev, TX);
	assert_int_equal(line.offload.gso, PACKET_GSO_NONE);
	assert_int_equal(line.offload.csum_start, 34);
}

#define SPOIL(text)                                             \
	do {                                                    \
		hdr = make_tso();                               \
		len = 1054;                                     \
		text;                                           \
		post(TX, &hdr, len, 5000);                      \
		virtio_kick(&n.dev, TX);                        \
		bad++;                                          \
		assert_int_equal(line.frames, 0);               \
		assert_int_equal(n.tx_malformed, bad);          \
		assert_int_equal(driver_used_idx(&q[TX]), bad); \
	} while (0)

/* Claim: what no driver may ask for is dropped and counted, its buffer given back, and the device lives. */
static void malformed(void **state)
{
	struct virtio_net_hdr hdr;
	unsigned int bad = 0;
	u32 len;

	(void)state;
	SPOIL(len = 13);
	SPOIL(len = 0);
	SPOIL(hdr = plain; len = 1515);
	SPOIL(hdr.csum_start = 13);
	SPOIL(hdr.csum_start = 1054);
	SPOIL(hdr.csum_offset = 0xffff);
	SPOIL(hdr.gso_type = VIRTIO_NET_GSO_NONE; hdr.csum_offset = 1019);
	SPOIL(hdr.csum_start = 33);
	SPOIL(hdr.csum_offset = 6);
	SPOIL(hdr.flags = 0);
	SPOIL(hdr.gso_size = 0);
	SPOIL(hdr.gso_size = 1461);
	SPOIL(hdr.gso_type = VIRTIO_NET_GSO_TCPV6);
	SPOIL(hdr.gso_type = 3);
	SPOIL(hdr.gso_type = 0x7f);
	SPOIL(hdr.gso_type |= VIRTIO_NET_GSO_ECN);
	SPOIL(frame[23] = IP_PROTO_UDP);
	SPOIL(frame[20] = 0x20);
	SPOIL(frame[14] = 0x4f);
	SPOIL(frame[46] = 0x40);
	SPOIL(len = 54);
	SPOIL(len = 50);
	/* A buffer to be written to among those to be sent. */
	driver_add(&q[TX], FRAMES, 100, true);
	virtio_kick(&n.dev, TX);
	assert_int_equal(n.tx_malformed, ++bad);
	bring_up(VIRTIO_F_EVENT_IDX);
	hdr = make_tso();
	post(TX, &hdr, 1054, 5000);
	hdr.gso_type = VIRTIO_NET_GSO_NONE;
	post(TX, &hdr, 1054, 5000);
	virtio_kick(&n.dev, TX);
	assert_int_equal(n.tx_malformed, bad + 2);
	assert_int_equal(line.frames, 0);
	assert_int_equal(changes, 0);
	assert_true(virtio_live(&n.dev));
}

/* --- receiving --- */

static void give(unsigned int rx, unsigned int count, u32 len)
{
	for (unsigned int i = 0; i < count; i++) {
		u16 slot = q[rx].next % SIZE;

		driver_add(&q[rx], BUFFERS + 2048ULL * (slot % 32), len, true);
	}
}

static enum packet_verdict receive_offload(u32 len, const struct packet_offload *o)
{
	struct packet p;

	packet_from_buffer(&p, frame, len);
	if (o)
		p.offload = *o;
	return virtio_net_receive(&n, &p);
}

static enum packet_verdict receive(u32 len)
{
	return receive_offload(len, NULL);
}

/* The next frame of @rx: its header, and that its bytes are frame[]'s. */
static struct virtio_net_hdr take(unsigned int rx, u32 len)
{
	struct virtio_net_hdr hdr = { 0 };
	static u8 got[PACKET_MAX];
	u32 done = 0;

	for (unsigned int i = 0; !i || i < hdr.num_buffers; i++) {
		int head = driver_take(&q[rx]);
		gpa_t gpa = BUFFERS + 2048ULL * ((u32)head % 32);
		u32 skip = i ? 0 : (u32)HEADER;

		assert_true(head >= 0);
		if (!i)
			assert_true(guest_read(&ram, gpa, &hdr, HEADER));
		assert_true(guest_read(&ram, gpa + skip, got + done, q[rx].used_len - skip));
		done += q[rx].used_len - skip;
	}
	assert_int_equal(done, len);
	assert_memory_equal(got, frame, len);
	return hdr;
}

/* Claim: a frame fills as many buffers as it needs, and says how many. */
static void receives(void **state)
{
	(void)state;
	for (u32 len = ETH_HEADER; len < 1600; len += 5) {
		u32 size = 12 + len % 300;
		u32 buffers = ((u32)HEADER + len + size - 1) / size;

		if (buffers > 32)
			continue;
		make(len);
		give(RX, buffers, size);
		assert_int_equal(receive(len), PACKET_TAKEN);
		assert_int_equal(take(RX, len).num_buffers, buffers);
		assert_int_equal(driver_take(&q[RX]), -1);
	}
	make(60000);
	give(RX, 30, 2048);
	assert_int_equal(receive(60000), PACKET_TAKEN);
	assert_int_equal(take(RX, 60000).num_buffers, 30);
}

/* Claim: a frame for which there are not enough buffers has never been; the next one finds them all. */
static void no_room(void **state)
{
	(void)state;
	make(5000);
	assert_int_equal(receive(60), PACKET_DROPPED);
	give(RX, 2, 2000);
	assert_int_equal(receive(5000), PACKET_DROPPED);
	assert_int_equal(driver_used_idx(&q[RX]), 0);
	assert_int_equal(interrupts[RX], 0);
	assert_int_equal(n.rx_no_room, 2);
	assert_int_equal(receive(3000), PACKET_TAKEN);
	assert_int_equal(take(RX, 3000).num_buffers, 2);
	bring_up(VIRTIO_F_EVENT_IDX); /* not mergeable */
	give(RX, 3, 1000);
	assert_int_equal(receive(1000), PACKET_DROPPED);
	assert_int_equal(receive(988), PACKET_TAKEN);
	assert_int_equal(take(RX, 988).num_buffers, 1);
	virtio_set_status(&n.dev, 0);
	assert_int_equal(receive(60), PACKET_DROPPED);
}

/* Claim: interrupts are what the event index asks for. */
static void rx_interrupts(void **state)
{
	(void)state;
	make(60);
	give(RX, 100, 100);
	for (unsigned int i = 0; i < 50; i++)
		assert_int_equal(receive(60), PACKET_TAKEN);
	assert_int_equal(interrupts[RX], 1);
	driver_want_interrupt(&q[RX], 50);
	assert_int_equal(receive(60), PACKET_TAKEN);
	assert_int_equal(interrupts[RX], 2);
}

/* Claim: no driver gets what it has not agreed to; it is told what its sender has left to do. */
static void rx_offloads(void **state)
{
	struct packet_offload o = { .needs_csum = true,
				    .gso = PACKET_GSO_TCPV4,
				    .hdr_len = 54,
				    .gso_size = 100,
				    .csum_start = 34,
				    .csum_offset = 16 };
	struct virtio_net_hdr hdr;

	(void)state;
	assert_true(line.takes & VIRTIO_NET_F_GUEST_TSO4);
	make(2000);
	give(RX, 10, 2048);
	assert_int_equal(receive_offload(2000, &o), PACKET_TAKEN);
	hdr = take(RX, 2000);
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_GSO_TCPV4);
	assert_int_equal(hdr.gso_size, 100);
	assert_int_equal(hdr.hdr_len, 54);
	assert_int_equal(hdr.csum_start, 34);
	assert_int_equal(hdr.csum_offset, 16);
	o.ecn = true;
	assert_int_equal(receive_offload(2000, &o), PACKET_DROPPED);
	o.ecn = false;
	o.gso = PACKET_GSO_TCPV6;
	assert_int_equal(receive_offload(2000, &o), PACKET_DROPPED);
	o = (struct packet_offload){ .csum_valid = true };
	assert_int_equal(receive_offload(1000, &o), PACKET_TAKEN);
	assert_int_equal(take(RX, 1000).flags, VIRTIO_NET_HDR_DATA_VALID);
	bring_up(VIRTIO_NET_F_MRG_RXBUF);
	assert_int_equal(line.takes & VIRTIO_NET_F_GUEST_CSUM, 0);
	give(RX, 10, 2048);
	assert_int_equal(receive_offload(1000, &o), PACKET_TAKEN);
	assert_int_equal(take(RX, 1000).flags, 0);
	o.needs_csum = true;
	assert_int_equal(receive_offload(1000, &o), PACKET_DROPPED);
	assert_int_equal(n.rx_refused, 3);
	virtio_set_status(&n.dev, 0);
	assert_int_equal(line.takes, 0);
}

/* Claim: buffers that no driver may give end the device, and cost a bounded number of looks at them. */
static void bad_buffers(void **state)
{
	(void)state;
	make(60);
	give(RX, 1, 11);
	assert_int_equal(receive(60), PACKET_DROPPED);
	assert_false(virtio_live(&n.dev));
	assert_int_equal(changes, 1);
	bring_up(ALL);
	/* 60000 bytes for buffers of 12 bytes, each after 255 empty ones. */
	for (u16 i = 0; i < 255; i++)
		driver_desc(&q[RX], i, BUFFERS, 0, VIRTQ_DESC_WRITE | VIRTQ_DESC_NEXT,
			    (u16)(i + 1));
	driver_desc(&q[RX], 255, BUFFERS, 12, VIRTQ_DESC_WRITE, 0);
	for (unsigned int i = 0; i < 256; i++)
		driver_avail(&q[RX], 0);
	make(60000);
	assert_int_equal(receive(60000), PACKET_DROPPED);
	assert_true(virtio_live(&n.dev));
	assert_int_equal(n.queue[RX].last_avail, 0);
	assert_int_equal(n.used[1].len, 12);
	assert_int_equal(n.used[4].len, 0);
	bring_up(ALL);
	driver_add(&q[RX], 0xfee00000, 2048, true);
	assert_int_equal(receive(60), PACKET_DROPPED);
	assert_false(virtio_live(&n.dev));
}

/* --- control --- */

static u8 command(u8 class, u8 cmd, const void *data, u32 len)
{
	struct virtio_net_ctrl ctrl = { class, cmd };
	u8 ack = 0x55;

	poke(FRAMES, &ctrl, sizeof(ctrl));
	poke(FRAMES + 2, data, len);
	poke(FRAMES + 0x1000, &ack, 1);
	driver_desc(&q[CONTROL], 0, FRAMES, 2 + len, VIRTQ_DESC_NEXT, 1);
	driver_desc(&q[CONTROL], 1, FRAMES + 0x1000, 1, VIRTQ_DESC_WRITE, 0);
	driver_avail(&q[CONTROL], 0);
	virtio_kick(&n.dev, CONTROL);
	assert_int_equal(driver_take(&q[CONTROL]), 0);
	assert_int_equal(q[CONTROL].used_len, 1);
	return ram_low[FRAMES + 0x1000];
}

static u8 mode(u8 cmd, u8 on)
{
	return command(VIRTIO_NET_RX, cmd, &on, 1);
}

static void to(u8 first, u8 last)
{
	memset(frame, 0, ETH_ALEN);
	frame[0] = first;
	frame[5] = last;
}

/* Claim: the modes are those of the specification. */
static void modes(void **state)
{
	(void)state;
	make(60);
	give(RX, 100, 100);
	to(2, 9);
	assert_int_equal(receive(60), PACKET_TAKEN);
	assert_int_equal(mode(VIRTIO_NET_PROMISC, 0), VIRTIO_NET_OK);
	assert_int_equal(receive(60), PACKET_DROPPED);
	assert_int_equal(mode(VIRTIO_NET_ALLUNI, 1), VIRTIO_NET_OK);
	assert_int_equal(receive(60), PACKET_TAKEN);
	assert_int_equal(mode(VIRTIO_NET_NOUNI, 1), VIRTIO_NET_OK);
	assert_int_equal(receive(60), PACKET_DROPPED);
	to(3, 9);
	assert_int_equal(receive(60), PACKET_DROPPED);
	assert_int_equal(mode(VIRTIO_NET_ALLMULTI, 1), VIRTIO_NET_OK);
	assert_int_equal(receive(60), PACKET_TAKEN);
	assert_int_equal(mode(VIRTIO_NET_NOMULTI, 1), VIRTIO_NET_OK);
	assert_int_equal(receive(60), PACKET_DROPPED);
	memset(frame, 0xff, ETH_ALEN);
	assert_int_equal(receive(60), PACKET_TAKEN);
	assert_int_equal(mode(VIRTIO_NET_NOBCAST, 1), VIRTIO_NET_OK);
	assert_int_equal(receive(60), PACKET_DROPPED);
	assert_int_equal(mode(VIRTIO_NET_RX_MODES, 1), VIRTIO_NET_ERR);
	assert_int_equal(mode(VIRTIO_NET_PROMISC, 2), VIRTIO_NET_ERR);
	assert_int_equal(n.rx_filtered, 5);
	bring_up(ALL);
	give(RX, 1, 100);
	assert_int_equal(receive(60), PACKET_TAKEN);
}

/* Claim: a table of addresses lets these in, and all when it is too large; one that lies changes nothing. */
static void table(void **state)
{
	u8 data[8 + 400 * ETH_ALEN] = { 2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

	(void)state;
	make(60);
	give(RX, 100, 100);
	mode(VIRTIO_NET_PROMISC, 0);
	data[16] = 1; /* multicast: one, 01:00:00:00:00:07 */
	data[20] = 1;
	data[25] = 7;
	assert_int_equal(command(VIRTIO_NET_MAC, 0, data, 26), VIRTIO_NET_OK);
	to(2, 1);
	assert_int_equal(receive(60), PACKET_TAKEN);
	to(2, 2);
	assert_int_equal(receive(60), PACKET_TAKEN);
	to(2, 3);
	assert_int_equal(receive(60), PACKET_DROPPED);
	to(1, 7);
	assert_int_equal(receive(60), PACKET_TAKEN);
	to(1, 8);
	assert_int_equal(receive(60), PACKET_DROPPED);
	assert_int_equal(command(VIRTIO_NET_MAC, 0, data, 25), VIRTIO_NET_ERR);
	assert_int_equal(command(VIRTIO_NET_MAC, 0, data, 3), VIRTIO_NET_ERR);
	memset(data, 0xff, 4);
	assert_int_equal(command(VIRTIO_NET_MAC, 0, data, sizeof(data)), VIRTIO_NET_ERR);
	to(2, 1);
	assert_int_equal(receive(60), PACKET_TAKEN);
	memset(data, 0, sizeof(data));
	data[0] = 65;
	assert_int_equal(command(VIRTIO_NET_MAC, 0, data, 8 + 65 * 6), VIRTIO_NET_OK);
	to(2, 77);
	assert_int_equal(receive(60), PACKET_TAKEN);
	to(1, 7);
	assert_int_equal(receive(60), PACKET_DROPPED);
}

/* A UDP frame of flow @flow. */
static void make_flow(u8 flow, bool back)
{
	make(100);
	be16_put(frame + 12, ETH_TYPE_IPV4);
	memset(frame + 14, 0, 28);
	frame[14] = 0x45;
	frame[23] = IP_PROTO_UDP;
	be32_put(frame + (back ? 30 : 26), 0x0a000001);
	be32_put(frame + (back ? 26 : 30), 0x0a000002);
	be16_put(frame + (back ? 36 : 34), 1000u + flow);
	be16_put(frame + (back ? 34 : 36), 80);
}

/* Claim: pairs are used only when the driver has said so; a flow comes back on the pair that it went out on. */
static void pairs(void **state)
{
	static const u16 bad[] = { 0, PAIRS + 1, 0x8000 }, two = 2, one = 1;

	(void)state;
	assert_true(n.dev.features & VIRTIO_NET_F_MQ);
	assert_int_equal(n.config.max_virtqueue_pairs, PAIRS);
	give(RX, 100, 200);
	give(RX1, 100, 200);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(command(VIRTIO_NET_MQ, 0, &bad[i], 2), VIRTIO_NET_ERR);
	assert_int_equal(command(VIRTIO_NET_MQ, 1, &two, 2), VIRTIO_NET_ERR);
	for (u8 i = 0; i < 10; i++) {
		make_flow(i, true);
		assert_int_equal(receive(100), PACKET_TAKEN);
	}
	assert_int_equal(driver_used_idx(&q[RX]), 10);
	assert_int_equal(command(VIRTIO_NET_MQ, 0, &two, 2), VIRTIO_NET_OK);
	for (unsigned int i = 0; i < 20; i++) {
		unsigned int pair = i / 10;
		u16 before = driver_used_idx(&q[2 * pair]);

		make_flow((u8)(i % 10), false);
		post(2 * pair + 1, &plain, 100, 1000);
		virtio_kick(&n.dev, 2 * pair + 1);
		make_flow((u8)(i % 10), true);
		assert_int_equal(receive(100), PACKET_TAKEN);
		assert_int_equal(driver_used_idx(&q[2 * pair]), before + 1);
	}
	assert_int_equal(command(VIRTIO_NET_MQ, 0, &one, 2), VIRTIO_NET_OK);
	assert_int_equal(receive(100), PACKET_TAKEN);
	assert_int_equal(driver_used_idx(&q[RX1]), 10);
	bring_up(ALL & ~VIRTIO_NET_F_MQ);
	/* Queue 2 is the control queue now. */
	give(RX, 1, 200);
	poke(FRAMES, "\0\0\0", 3);
	driver_desc(&q[RX1], 0, FRAMES, 3, VIRTQ_DESC_NEXT, 1);
	driver_desc(&q[RX1], 1, FRAMES + 0x1000, 1, VIRTQ_DESC_WRITE, 0);
	driver_avail(&q[RX1], 0);
	virtio_kick(&n.dev, RX1);
	assert_int_equal(driver_take(&q[RX1]), 0);
	assert_false(n.mode[VIRTIO_NET_PROMISC]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sends),   TEST(read_once),     TEST(busy),        TEST(tx_interrupts),
		TEST(burst),   TEST(offloads),      TEST(malformed),   TEST(receives),
		TEST(no_room), TEST(rx_interrupts), TEST(rx_offloads), TEST(bad_buffers),
		TEST(modes),   TEST(table),         TEST(pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
