/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net and the virtual switch. Alone it has two cards on one switch (slots 6 and 7): frames of all
 * sizes, offloads, filters, queues, and what no driver may do. "case=pong" gives back what it gets, "case=ping"
 * sends to it, from another VM.
 */
#include "virtio.h"
#include "lib/string.h"
#include "virtio/virtio_net.h"

#define SLOT_A   6
#define SLOT_B   7

#define SIZE     64
#define ROOM     2048 /* of a buffer to receive into */
#define PAIRS    2
#define QUEUES   (2 * PAIRS + 1)
#define HEADER   sizeof(struct virtio_net_hdr)
#define BIG      60000

#define OFFLOADS (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6)
#define TAKES    (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6)
#define CONTROL  (VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR)

struct ring VIO_RING(SIZE);

static struct nic {
	struct vio vio;
	u64 features;
	unsigned int control; /* the queue */
	u16 seen[QUEUES];
	struct ring ring[QUEUES];
	u8 buffer[SIZE][ROOM];
} a, b;

static u8 frame[PACKET_MAX], got[PACKET_MAX];
static struct virtio_net_hdr hdr, got_hdr;

/* --- a driver --- */

#define STATUS(n)   VIO_STATUS(&(n)->vio)
#define C8(n, off)  (*(volatile u8 *)((n)->vio.config + (off)))
#define C16(n, off) (*(volatile u16 *)((n)->vio.config + (off)))

static void kick(const struct nic *n, unsigned int q)
{
	vio_kick(&n->vio, q);
}

static void add(struct nic *n, unsigned int q, u16 head)
{
	VIO_MAKE_AVAILABLE(&n->ring[q], head);
}

static void give(struct nic *n, unsigned int q, u16 count, u32 len)
{
	for (u16 i = 0; i < count; i++) {
		u16 slot = n->ring[q].avail.idx % SIZE;

		n->ring[q].desc[slot] = (struct virtq_desc){ (u64)(uintptr_t)n->buffer[slot], len,
							     VIRTQ_DESC_WRITE, 0 };
		add(n, q, slot);
	}
}

/* Without buffers to receive into. */
static void bring_up(struct nic *n, u64 features)
{
	memset(n->ring, 0, sizeof(n->ring));
	memset(n->seen, 0, sizeof(n->seen));
	n->features = features;
	n->control = features & VIRTIO_NET_F_MQ ? 2 * C16(n, 8) : 2;
	vio_begin(&n->vio, features);
	for (u16 q = 0; q < QUEUES; q++) {
		VIO_R16(&n->vio, 22) = q;
		if (VIO_R16(&n->vio, 24) < SIZE || (q > 1 && !(features & VIRTIO_NET_F_CTRL_VQ)))
			break;
		VIO_QUEUE(&n->vio, q, &n->ring[q]);
	}
	vio_live(&n->vio);
}

static void mac_of(const struct nic *n, u8 *mac)
{
	for (unsigned int i = 0; i < ETH_ALEN; i++)
		mac[i] = C8(n, i);
}

static void post(struct nic *n, unsigned int q, u32 len)
{
	struct ring *r = &n->ring[q];
	u16 slot = (u16)(r->avail.idx * 2 % SIZE);

	r->desc[slot] = (struct virtq_desc){ (u64)(uintptr_t)&hdr, HEADER, VIRTQ_DESC_NEXT,
					     (u16)(slot + 1) };
	r->desc[slot + 1] = (struct virtq_desc){ (u64)(uintptr_t)frame, len, 0, 0 };
	add(n, q, slot);
}

static void send(struct nic *n, u32 len)
{
	post(n, 1, len);
	kick(n, 1);
}

static bool used(struct nic *n, unsigned int q, u64 us)
{
	u64 end = rdtsc() + microseconds(us);

	do {
		if (*(volatile u16 *)&n->ring[q].used.idx != n->seen[q])
			return true;
		__asm__ volatile("pause");
	} while (rdtsc() < end);
	return false;
}

/* The next frame of queue @q into got, its buffers given again; its length, 0 when there is none. */
static u32 take(struct nic *n, unsigned int q, u64 us)
{
	u32 len = 0;
	u16 left = 1;

	if (!used(n, q, us))
		return 0;
	for (bool first = true; left; left--, first = false) {
		struct ring *r = &n->ring[q];
		struct virtq_used_elem e = r->used.ring[n->seen[q]++ % SIZE];
		u32 skip = first ? HEADER : 0;

		if (first) {
			memcpy(&got_hdr, n->buffer[e.id], HEADER);
			left = got_hdr.num_buffers;
		}
		if (e.len < skip || len + e.len - skip > sizeof(got) || !left)
			return ~0u;
		memcpy(got + len, n->buffer[e.id] + skip, e.len - skip);
		len += e.len - skip;
		add(n, q, (u16)e.id);
	}
	return len;
}

static void drain(struct nic *n)
{
	while (take(n, 0, 0))
		;
}

/* A frame from @from to @to, of bytes that can be told apart. */
static void make(const struct nic *from, const struct nic *to, u32 len)
{
	memset(&hdr, 0, sizeof(hdr));
	for (u32 i = 0; i < len; i++)
		frame[i] = (u8)(i * 7 + (i >> 8) + len);
	mac_of(to, frame);
	mac_of(from, frame + ETH_ALEN);
	be16_put(frame + ETH_TYPE, 0x88b5);
}

static bool arrives(u32 len)
{
	u32 n;

	send(&a, len);
	n = take(&b, 0, 1000);
	return n == len && !memcmp(got, frame, len);
}

static bool is_dropped(u32 len)
{
	send(&a, len);
	return !take(&b, 0, 1000) && STATUS(&a) == 15 && STATUS(&b) == 15;
}

/* --- claims: finding it --- */

static void check_discovery(void)
{
	u8 mac_a[ETH_ALEN], mac_b[ETH_ALEN];

	mac_of(&a, mac_a);
	mac_of(&b, mac_b);
	report(vio_pci_read(&a.vio, 0) == 0x10411af4, "a network device: %x",
	       vio_pci_read(&a.vio, 0));
	report(vio_pci_read(&a.vio, 8) >> 8 == 0x020000, "its class: %x", vio_pci_read(&a.vio, 8));
	report(vio_pci_read(&b.vio, 0) == 0x10411af4, "and another one");
	report(memcmp(mac_a, mac_b, ETH_ALEN) && !(mac_a[0] & 1), "addresses of their own");
	report(C16(&a, 6) == VIRTIO_NET_S_LINK_UP, "the link is up");
	report(C16(&a, 10) == ETH_MTU, "MTU: %u", C16(&a, 10));
}

/* --- claims: frames --- */

static void check_sizes(void)
{
	unsigned int good = 0, merged = 0;

	bring_up(&a, 0);
	bring_up(&b, 0);
	report(STATUS(&a) == 15 && STATUS(&b) == 15, "both live");
	give(&b, 0, SIZE, ROOM);
	for (u32 len = ETH_HEADER; len <= ETH_MTU + ETH_HEADER; len++) {
		make(&a, &b, len);
		good += arrives(len) && got_hdr.num_buffers == 1;
	}
	report(good == ETH_MTU + 1, "frames of all sizes arrive as they were sent: %u", good);
	make(&a, &b, 2000);
	report(is_dropped(ETH_MTU + ETH_HEADER + 1), "one too long does not");
	report(is_dropped(ETH_HEADER - 1), "nor one too short");
	bring_up(&b, VIRTIO_NET_F_MRG_RXBUF);
	give(&b, 0, SIZE, 100);
	for (u32 len = ETH_HEADER; len <= ETH_MTU + ETH_HEADER; len += 11) {
		make(&a, &b, len);
		merged += arrives(len) && got_hdr.num_buffers == (len + HEADER + 99) / 100;
	}
	report(merged == 137, "in several buffers as well: %u", merged);
	report(a.ring[1].used.idx == a.ring[1].avail.idx, "all that was sent is given back");
}

static void check_no_room(void)
{
	bring_up(&a, 0);
	bring_up(&b, 0);
	make(&a, &b, 100);
	report(is_dropped(100), "without a buffer a frame is dropped");
	report(a.ring[1].used.idx == 1, "and its sender does not wait");
	give(&b, 0, 1, 50);
	report(is_dropped(100), "likewise with one that is too small");
	report(arrives(30), "which a smaller one can have");
	STATUS(&b) = 0;
	send(&a, 100);
	report(a.ring[1].used.idx == 4, "nobody there: given back");
}

static void check_addresses(void)
{
	u8 other[ETH_ALEN] = { 2, 2, 2, 2, 2, 2 };

	bring_up(&a, 0);
	bring_up(&b, 0);
	give(&b, 0, SIZE, ROOM);
	make(&a, &b, 100);
	memcpy(frame + ETH_ALEN, other, ETH_ALEN);
	report(is_dropped(100), "a frame from another's address is dropped");
	mac_of(&b, frame + ETH_ALEN);
	report(is_dropped(100), "also from the receiver's own");
	frame[ETH_ALEN] |= 1;
	report(is_dropped(100), "and from a group");
	make(&a, &b, 100);
	be16_put(frame + ETH_TYPE, ETH_TYPE_VLAN);
	report(is_dropped(100), "a tag is not let through");
	make(&a, &b, 100);
	memset(frame, 0xff, ETH_ALEN);
	report(arrives(100), "broadcast is for all");
	memcpy(frame, other, ETH_ALEN);
	report(arrives(100), "so is an address that nobody knows");
	mac_of(&a, frame);
	give(&a, 0, SIZE, ROOM);
	send(&a, 100);
	report(!take(&a, 0, 1000) && !take(&b, 0, 0), "nobody gets his own");
}

/* --- claims: offloads --- */

static u32 sum16(const u8 *p, u32 len, u32 sum)
{
	for (u32 i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (u32)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void make_tcp(bool ipv6, u32 len)
{
	u8 *ip = frame + ETH_HEADER, *tcp = ip + (ipv6 ? 40 : 20);

	make(&a, &b, len);
	be16_put(frame + ETH_TYPE, ipv6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
	memset(ip, 0, (size_t)(tcp + 20 - ip));
	if (ipv6) {
		ip[0] = 0x60;
		ip[6] = 6;
		ip[8] = 0xfe;
		ip[24] = 0xfe;
	} else {
		ip[0] = 0x45;
		be16_put(ip + 2, len - ETH_HEADER);
		be16_put(ip + 4, 0xfffe);
		ip[8] = 64;
		ip[9] = 6;
		be32_put(ip + 12, 0x0a000001);
		be32_put(ip + 16, 0x0a000002);
	}
	be32_put(tcp + 4, 0xffffff00);
	tcp[12] = 0x50;
	tcp[13] = 0x18;
	be16_put(tcp + 16,
		 sum16(ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8, len - (u32)(tcp - frame) + 6));
	hdr.flags = VIRTIO_NET_HDR_NEEDS_CSUM;
	hdr.csum_start = (u16)(tcp - frame);
	hdr.csum_offset = 16;
}

static void make_tso(bool ipv6, u32 len)
{
	make_tcp(ipv6, len);
	hdr.gso_type = ipv6 ? VIRTIO_NET_GSO_TCPV6 : VIRTIO_NET_GSO_TCPV4;
	hdr.gso_size = 1400;
	hdr.hdr_len = (u16)(hdr.csum_start + 20);
}

/* Does TCP's checksum hold in got? */
static bool tcp_sum_ok(bool ipv6, u32 len)
{
	const u8 *ip = got + ETH_HEADER, *tcp = ip + (ipv6 ? 40 : 20);
	u32 bytes = len - (u32)(tcp - got);
	u32 sum = sum16(ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8, bytes + 6);

	return sum16(tcp, bytes, sum) == 0xffff;
}

/* What is cut arrives in order: each byte of the payload once. */
static bool cut_arrives(bool ipv6, u32 len)
{
	u32 headers = hdr.hdr_len, done = headers, n;

	send(&a, len);
	while (done < len && (n = take(&b, 0, 1000)) != 0) {
		u32 tcp = headers - 20, sequence = be32_get(got + tcp + 4);
		bool last = done + n - headers == len;

		if (n <= headers || n > headers + 1400 || done + n - headers > len ||
		    memcmp(got + headers, frame + done, n - headers) ||
		    sequence != 0xffffff00 + (done - headers) || !tcp_sum_ok(ipv6, n) ||
		    got_hdr.gso_type || got_hdr.flags || !!(got[tcp + 13] & 8) != last)
			return false;
		if (!ipv6 && (sum16(got + ETH_HEADER, 20, 0) != 0xffff ||
			      be16_get(got + ETH_HEADER + 2) != n - ETH_HEADER))
			return false;
		done += n - headers;
	}
	return done == len;
}

static void check_offloads(void)
{
	bring_up(&a, OFFLOADS);
	bring_up(&b, TAKES | VIRTIO_NET_F_MRG_RXBUF);
	give(&b, 0, SIZE, ROOM);
	make_tcp(false, 200);
	report(arrives(200) && got_hdr.flags == VIRTIO_NET_HDR_NEEDS_CSUM &&
		       got_hdr.csum_start == 34 && got_hdr.csum_offset == 16,
	       "a checksum that is to be made is left to who agrees");
	for (unsigned int ipv6 = 0; ipv6 < 2; ipv6++) {
		make_tso(ipv6, BIG);
		report(arrives(BIG), "60000 bytes of TCP/IPv%u arrive as one frame", ipv6 ? 6 : 4);
		report(got_hdr.num_buffers == (BIG + HEADER + ROOM - 1) / ROOM,
		       "in as few buffers as they need: %u", got_hdr.num_buffers);
		report(got_hdr.gso_type == hdr.gso_type && got_hdr.gso_size == 1400 &&
			       got_hdr.hdr_len == hdr.hdr_len,
		       "with what their sender said");
	}
	bring_up(&b, 0);
	give(&b, 0, SIZE, ROOM);
	make_tcp(false, 200);
	send(&a, 200);
	report(take(&b, 0, 1000) == 200 && got_hdr.flags == 0 && tcp_sum_ok(false, 200),
	       "for one that does not it is made");
	make_tso(false, BIG);
	report(cut_arrives(false, BIG), "and TCP/IPv4 is cut");
	make_tso(true, BIG);
	report(cut_arrives(true, BIG), "and TCP/IPv6");
}

static void bad_csum_start(void)
{
	hdr.csum_start = 300;
}

static void bad_csum_offset(void)
{
	hdr.csum_offset = 0xffff;
}

static void bad_csum_early(void)
{
	hdr.csum_start = 2;
}

static void bad_type(void)
{
	hdr.gso_type = 3;
}

static void bad_size(void)
{
	hdr.gso_size = 0;
}

static void bad_large_size(void)
{
	hdr.gso_size = 0xffff;
}

static void bad_version(void)
{
	hdr.gso_type = VIRTIO_NET_GSO_TCPV6;
}

static void bad_no_csum(void)
{
	hdr.flags = 0;
}

static void bad_protocol(void)
{
	frame[ETH_HEADER + 9] = 17;
}

static void bad_ip_length(void)
{
	frame[ETH_HEADER] = 0x4f;
}

static void bad_tcp_length(void)
{
	frame[ETH_HEADER + 32] = 0xf0;
}

static void bad_ecn(void)
{
	hdr.gso_type |= VIRTIO_NET_GSO_ECN;
}

static void check_headers(void)
{
	static const struct {
		void (*spoil)(void);
		const char *what;
	} ways[] = {
		{ bad_csum_start, "a checksum from behind the frame" },
		{ bad_csum_offset, "a checksum into what is behind the frame" },
		{ bad_csum_early, "a checksum of addresses" },
		{ bad_type, "segmentation of UDP" },
		{ bad_size, "segments of no bytes" },
		{ bad_large_size, "segments that no card sends" },
		{ bad_version, "IPv4 called IPv6" },
		{ bad_no_csum, "segments without checksums" },
		{ bad_protocol, "TCP segments of UDP" },
		{ bad_ip_length, "an IP header that reaches over TCP's" },
		{ bad_tcp_length, "a TCP header that reaches over the frame" },
		{ bad_ecn, "ECN that was not agreed on" },
	};

	bring_up(&a, OFFLOADS);
	bring_up(&b, TAKES | VIRTIO_NET_F_MRG_RXBUF);
	give(&b, 0, SIZE, ROOM);
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		make_tso(false, 90);
		hdr.gso_size = 20;
		ways[i].spoil();
		report(is_dropped(90), "%s: dropped", ways[i].what);
	}
	make_tso(false, 90);
	hdr.gso_size = 20;
	report(arrives(90), "without any of that: not");
	bring_up(&a, 0);
	report(is_dropped(90), "nor may one ask for what was not agreed on");
}

/* --- claims: control --- */

static u8 command(struct nic *n, u8 class, u8 cmd, const void *data, u32 len)
{
	static u8 out[2048];
	static volatile u8 ack;
	struct ring *r = &n->ring[n->control];

	out[0] = class;
	out[1] = cmd;
	memcpy(out + 2, data, len);
	ack = 0x55;
	r->desc[0] = (struct virtq_desc){ (u64)(uintptr_t)out, 2 + len, VIRTQ_DESC_NEXT, 1 };
	r->desc[1] = (struct virtq_desc){ (u64)(uintptr_t)&ack, 1, VIRTQ_DESC_WRITE, 0 };
	add(n, n->control, 0);
	kick(n, n->control);
	return ack;
}

static u8 set_mode(u8 mode, u8 on)
{
	return command(&b, VIRTIO_NET_RX, mode, &on, 1);
}

static void check_filter(void)
{
	static const u8 group[ETH_ALEN] = { 1, 0, 0x5e, 1, 2, 3 };
	static const u8 other[ETH_ALEN] = { 2, 2, 2, 2, 2, 2 };
	u8 table[8 + ETH_ALEN] = { 0, 0, 0, 0, 1 }, mac[ETH_ALEN];
	u32 lie = 1000;

	memcpy(table + 8, group, ETH_ALEN);
	bring_up(&a, 0);
	bring_up(&b, CONTROL);
	give(&b, 0, SIZE, ROOM);
	make(&a, &b, 100);
	memcpy(frame, other, ETH_ALEN);
	report(arrives(100), "without a filter all is received");
	report(set_mode(VIRTIO_NET_PROMISC, 0) == 0, "a filter can be set");
	report(is_dropped(100), "then another's frames are not");
	memcpy(frame, group, ETH_ALEN);
	report(is_dropped(100), "nor a group's");
	report(command(&b, VIRTIO_NET_MAC, 0, table, sizeof(table)) == 0, "a table can be set");
	report(arrives(100), "then that group's are");
	frame[5]++;
	report(is_dropped(100), "another group's are not");
	report(set_mode(VIRTIO_NET_ALLMULTI, 1) == 0 && arrives(100), "until all are wanted");
	memset(frame, 0xff, ETH_ALEN);
	report(arrives(100), "broadcast is");
	make(&a, &b, 100);
	report(arrives(100), "and what is for us");
	mac_of(&b, mac);
	report(command(&b, VIRTIO_NET_MAC, 1, mac, ETH_ALEN) == 0, "its address may be said");
	mac[5]++;
	report(command(&b, VIRTIO_NET_MAC, 1, mac, ETH_ALEN) == 1, "and not be changed");
	report(command(&b, VIRTIO_NET_MAC, 0, &lie, 4) == 1, "a table that is not there");
	report(command(&b, VIRTIO_NET_RX, 3, &lie, 1) == 1, "a mode that was not agreed on");
	report(command(&b, 77, 0, &lie, 1) == 1, "a class that is not there");
	report(command(&b, VIRTIO_NET_RX, 0, &lie, 0) == 1, "half a command");
	report(arrives(100) && STATUS(&b) == 15, "none of it does any harm");
}

static void check_pairs(void)
{
	u16 pairs;

	if (C16(&b, 8) != PAIRS) {
		report(C16(&b, 8) == 1, "one pair of queues for one CPU");
		return;
	}
	bring_up(&a, 0);
	bring_up(&b, CONTROL | VIRTIO_NET_F_MQ);
	give(&b, 0, 8, ROOM);
	give(&b, 2, 8, ROOM);
	for (unsigned int i = 0; i < 5; i++) {
		static const u16 tries[] = { 0, 3, 0xffff, 2, 1 };

		pairs = tries[i];
		report(command(&b, VIRTIO_NET_MQ, 0, &pairs, 2) == (i < 3), "%u pairs of 2", pairs);
	}
	make(&a, &b, 100);
	report(arrives(100), "with one pair, the first queue is used");
	pairs = 2;
	(void)command(&b, VIRTIO_NET_MQ, 0, &pairs, 2);
	/* A flow that B sends on its second queue comes back on that one. */
	give(&a, 0, 8, ROOM);
	make_tcp(false, 100);
	memset(&hdr, 0, sizeof(hdr));
	mac_of(&a, frame);
	mac_of(&b, frame + ETH_ALEN);
	post(&b, 3, 100);
	kick(&b, 3);
	report(take(&a, 0, 1000) == 100, "the second pair sends");
	make_tcp(false, 100);
	memset(&hdr, 0, sizeof(hdr));
	send(&a, 100);
	report(take(&b, 2, 1000) == 100, "and receives its flow");
	report(!take(&b, 0, 0), "which the first does not");
}

/* --- claims: interrupts --- */

static void check_interrupts(void)
{
	irq_end = END_LAPIC;
	vio_msix_entry(&b.vio, 0, 0x61);
	vio_msix_enable(&b.vio, true);
	bring_up(&a, 0);
	bring_up(&b, BIT(29));
	give(&b, 0, SIZE, ROOM);
	irq_clear();
	make(&a, &b, 100);
	for (unsigned int i = 0; i < 20; i++)
		post(&a, 1, 100);
	kick(&a, 1);
	report(wait_irq(0x61, 1, 1000), "a frame that comes is an interrupt");
	report(!wait_irq(0x61, 2, 1000) && b.ring[0].used.idx == 20,
	       "20 of them are one, until the driver asks again: %u", irq_total);
	b.ring[0].avail.event = 20;
	send(&a, 100);
	report(wait_irq(0x61, 2, 1000), "then the next one is another");
	vio_msix_enable(&b.vio, false);
}

/* --- claims: hostile queues --- */

static void loop(void)
{
	a.ring[1].desc[0] = (struct virtq_desc){ (u64)(uintptr_t)frame, 20, VIRTQ_DESC_NEXT, 0 };
	add(&a, 1, 0);
}

static void beyond_ram(void)
{
	a.ring[1].desc[0] = (struct virtq_desc){ 0xfffff000, 100, 0, 0 };
	add(&a, 1, 0);
}

static void jump(void)
{
	a.ring[1].avail.idx += 1000;
}

static void check_queues(void)
{
	static void (*const ways[])(void) = { loop, beyond_ram, jump };
	unsigned int alive = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		bring_up(&a, 0);
		bring_up(&b, 0);
		ways[i]();
		kick(&a, 1);
		report(STATUS(&a) == 0x4f && STATUS(&b) == 15,
		       "bad queue %u: a reset is needed: %x", i, STATUS(&a));
	}
	/* B's buffers: what A sends finds them. */
	bring_up(&a, 0);
	bring_up(&b, 0);
	b.ring[0].desc[0] = (struct virtq_desc){ 0xfee00000, ROOM, VIRTQ_DESC_WRITE, 0 };
	add(&b, 0, 0);
	make(&a, &b, 100);
	send(&a, 100);
	report(STATUS(&b) == 0x4f && STATUS(&a) == 15, "bad buffers are their driver's fault: %x",
	       STATUS(&b));
	bring_up(&b, 0);
	give(&b, 0, 1, 4);
	send(&a, 100);
	report(STATUS(&b) == 0x4f, "so is one that does not hold a header");
	for (unsigned int i = 0; i < 1000; i++) {
		bring_up(&a, i & 1 ? BIT(29) : 0);
		bring_up(&b, i & 2 ? VIRTIO_NET_F_MRG_RXBUF : 0);
		give(&b, 0, (u16)(i % SIZE), ROOM);
		make(&a, &b, 60);
		for (unsigned int k = 0; k < i % 5; k++)
			send(&a, 60);
		alive += STATUS(&a) == 15 && STATUS(&b) == 15;
	}
	report(alive == 1000, "1000 resets under way: %u", alive);
	drain(&b);
}

/* --- two VMs --- */

#define ETHER_PING 0x88b6
#define SIZES      200

static void pong(void)
{
	u8 mac[ETH_ALEN];
	unsigned int n = 0;
	u32 len;

	mac_of(&a, mac);
	bring_up(&a, TAKES | OFFLOADS | VIRTIO_NET_F_MRG_RXBUF | BIT(29));
	give(&a, 0, SIZE, ROOM);
	say("waits for frames");
	while ((len = take(&a, 0, 20000000)) != 0 && len != ~0u) {
		memcpy(frame, got, len);
		memcpy(frame, got + ETH_ALEN, ETH_ALEN);
		memcpy(frame + ETH_ALEN, mac, ETH_ALEN);
		hdr = got_hdr;
		hdr.num_buffers = 0;
		send(&a, len);
		n++;
		if (frame[ETH_HEADER] == 'e')
			break;
	}
	report(n > SIZES, "gave %u frames back", n);
}

/* One of @len bytes there and back. */
static bool there_and_back(u32 len)
{
	u32 n;

	send(&a, len);
	n = take(&a, 0, 1000000);
	return n == len && !memcmp(got + 2 * ETH_ALEN, frame + 2 * ETH_ALEN, len - 2 * ETH_ALEN);
}

static void ping(void)
{
	unsigned int tries = 0, good = 0;

	bring_up(&a, TAKES | OFFLOADS | VIRTIO_NET_F_MRG_RXBUF | BIT(29));
	give(&a, 0, SIZE, ROOM);
	make(&a, &a, 1000);
	frame[5] ^= 3; /* 02:..:01 and 02:..:02 */
	frame[ETH_HEADER] = 'p';
	while (!there_and_back(60) && ++tries < 60)
		;
	report(tries < 60, "the other VM answers");
	for (unsigned int i = 0; i < SIZES; i++)
		good += there_and_back(60 + i * 4);
	report(good == SIZES, "frames of all sizes: %u of %u", good, SIZES);
	make_tso(false, BIG);
	mac_of(&a, frame);
	mac_of(&a, frame + ETH_ALEN);
	frame[5] ^= 3;
	report(there_and_back(BIG) && got_hdr.gso_size == 1400, "a segment of 60000 bytes");
	memset(&hdr, 0, sizeof(hdr));
	be16_put(frame + ETH_TYPE, ETHER_PING);
	frame[ETH_HEADER] = 'e';
	report(there_and_back(60), "the end");
}

void guest_main(void)
{
	const char *what = option_value("case");

	vio_find(&a.vio, SLOT_A);
	if (what) {
		if (!strncmp(what, "ping", 4))
			ping();
		else
			pong();
		STATUS(&a) = 0;
		return;
	}
	vio_find(&b.vio, SLOT_B);
	check_discovery();
	check_sizes();
	check_no_room();
	check_addresses();
	check_offloads();
	check_headers();
	check_filter();
	check_pairs();
	check_interrupts();
	check_queues();
	STATUS(&a) = 0;
	STATUS(&b) = 0;
}
