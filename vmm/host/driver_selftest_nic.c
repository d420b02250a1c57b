/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network card, tried: who has 10.0.2.2, and does it answer echo requests of all lengths? Its link may go down
 * meanwhile: what was on its way is lost, and it goes on when the link is up again.
 */
#include "lib/packet.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/host/driver_selftest.h"
#include "vmm/host/tsc.h"

#define ECHOES        64u
#define ECHO_STEP     22u /* bytes that each is longer than the one before */
#define TRIES         5u
#define TRY_SECONDS   1u
#define LINK_SECONDS  10u

#define ETHERTYPE_IP  0x0800
#define ETHERTYPE_ARP 0x0806
#define ARP_REQUEST   1
#define ARP_REPLY     2
#define IP_ICMP       1
#define ICMP_ECHO     8
#define ICMP_REPLY    0

static const u8 own_ip[4] = { 10, 0, 2, 15 };
static const u8 gateway_ip[4] = { 10, 0, 2, 2 };

struct eth {
	u8 to[ETH_ALEN], from[ETH_ALEN];
	u8 type[2];
} __packed;

/* RFC 826. */
struct arp {
	struct eth eth;
	u8 hardware[2], protocol[2], hardware_len, protocol_len, operation[2];
	u8 sender_mac[ETH_ALEN], sender_ip[4], target_mac[ETH_ALEN], target_ip[4];
} __packed;

/* RFC 791, RFC 792. */
struct echo {
	struct eth eth;
	u8 version, tos, length[2], ident[2], fragment[2], ttl, protocol, checksum[2];
	u8 source[4], destination[4];
	u8 type, code, icmp_checksum[2], icmp_ident[2], sequence[2];
	u8 data[ECHOES * ECHO_STEP];
} __packed;

#define ECHO_HEADERS offsetof(struct echo, data)

_Static_assert(sizeof(struct arp) == 42 && ECHO_HEADERS == 42, "headers as they are on the wire");
_Static_assert(sizeof(struct echo) <= ETH_HEADER + ETH_MTU, "an echo is one frame");

struct trial {
	struct nic *nic;
	struct echo sent;
	u32 sent_len;
	u8 gateway[ETH_ALEN];
	bool resolved, answered;
	u64 frames, by_interrupt, next_poll;
	unsigned int downs, refused, again; /* the link's; frames not taken; sent once more */
};

/* --- frames --- */

static void put16(u8 *at, u32 value)
{
	at[0] = (u8)(value >> 8);
	at[1] = (u8)value;
}

static u32 get16(const u8 *at)
{
	return (u32)at[0] << 8 | at[1];
}

/* RFC 1071. */
static u32 checksum(const u8 *at, u32 len)
{
	u32 sum = 0;

	for (u32 i = 0; i + 1 < len; i += 2)
		sum += get16(at + i);
	if (len & 1)
		sum += (u32)at[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void build_arp(const struct trial *t, struct arp *arp)
{
	memset(arp, 0, sizeof(*arp));
	memset(arp->eth.to, 0xff, ETH_ALEN);
	memcpy(arp->eth.from, t->nic->mac, ETH_ALEN);
	put16(arp->eth.type, ETHERTYPE_ARP);
	put16(arp->hardware, 1);
	put16(arp->protocol, ETHERTYPE_IP);
	arp->hardware_len = ETH_ALEN;
	arp->protocol_len = sizeof(own_ip);
	put16(arp->operation, ARP_REQUEST);
	memcpy(arp->sender_mac, t->nic->mac, ETH_ALEN);
	memcpy(arp->sender_ip, own_ip, sizeof(own_ip));
	memcpy(arp->target_ip, gateway_ip, sizeof(gateway_ip));
}

static void build_echo(struct trial *t, u32 sequence)
{
	struct echo *e = &t->sent;
	u32 data = sequence * ECHO_STEP;

	memset(e, 0, sizeof(*e));
	memcpy(e->eth.to, t->gateway, ETH_ALEN);
	memcpy(e->eth.from, t->nic->mac, ETH_ALEN);
	put16(e->eth.type, ETHERTYPE_IP);
	e->version = 0x45;
	put16(e->length, (u32)ECHO_HEADERS - ETH_HEADER + data);
	put16(e->ident, sequence);
	e->ttl = 64;
	e->protocol = IP_ICMP;
	memcpy(e->source, own_ip, sizeof(own_ip));
	memcpy(e->destination, gateway_ip, sizeof(gateway_ip));
	put16(e->checksum, checksum(&e->version, 20));
	e->type = ICMP_ECHO;
	put16(e->sequence, sequence);
	for (u32 i = 0; i < data; i++)
		e->data[i] = (u8)(i * 7 + sequence);
	put16(e->icmp_checksum, checksum(&e->type, 8 + data));
	t->sent_len = (u32)ECHO_HEADERS + data;
}

static void take_arp(struct trial *t, const struct arp *arp)
{
	if (get16(arp->operation) != ARP_REPLY ||
	    memcmp(arp->sender_ip, gateway_ip, sizeof(gateway_ip)))
		return;
	memcpy(t->gateway, arp->sender_mac, ETH_ALEN);
	t->resolved = true;
}

/* The right one has the data that were sent; short frames are padded. */
static void take_echo(struct trial *t, const struct echo *e, u32 len)
{
	if (len < t->sent_len || e->protocol != IP_ICMP || e->type != ICMP_REPLY ||
	    memcmp(e->sequence, t->sent.sequence, sizeof(e->sequence)))
		return;
	if (!memcmp(e->data, t->sent.data, t->sent_len - ECHO_HEADERS))
		t->answered = true;
}

static void received(void *user, const void *frame, u32 len)
{
	struct trial *t = user;
	const struct eth *eth = frame;

	t->frames++;
	if (!driver_selftest_polls())
		t->by_interrupt++;
	if (memcmp(eth->to, t->nic->mac, ETH_ALEN))
		return;
	if (get16(eth->type) == ETHERTYPE_ARP && len >= sizeof(struct arp))
		take_arp(t, frame);
	else if (get16(eth->type) == ETHERTYPE_IP && len >= ECHO_HEADERS)
		take_echo(t, frame, len);
}

static void link_changed(void *user)
{
	struct trial *t = user;

	t->downs += !t->nic->link;
}

/* --- exchanges --- */

static void poll(void *ctx)
{
	struct nic *nic = ctx;

	if (nic->poll)
		nic->poll(nic->driver);
}

static void wait(struct trial *t, const bool *until, u64 seconds)
{
	u64 deadline = rdtsc() + seconds * tsc_hz();

	while (!*(const volatile bool *)until && rdtsc() < deadline)
		driver_selftest_wait(poll, t->nic, &t->next_poll);
}

static bool exchange(struct trial *t, const void *frame, u32 len, const bool *answered)
{
	for (unsigned int i = 0; i < TRIES && !*answered; i++) {
		t->again += !!i;
		if (t->nic->transmit(t->nic->driver, frame, len)) {
			wait(t, answered, TRY_SECONDS);
		} else {
			t->refused++;
			if (!t->nic->link)
				pr_info("selftest: nic %s: waits for its link\n", t->nic->name);
			wait(t, &t->nic->link, LINK_SECONDS);
		}
	}
	return *answered;
}

/* NULL, or what does not work. */
static const char *try(struct trial *t)
{
	struct arp arp;

	wait(t, &t->nic->link, LINK_SECONDS);
	if (!t->nic->link)
		return "no link";
	build_arp(t, &arp);
	if (!exchange(t, &arp, sizeof(arp), &t->resolved))
		return "nobody answers to ARP";
	pr_info("selftest: nic %s: the gateway has answered\n", t->nic->name);
	for (u32 i = 0; i < ECHOES; i++) {
		build_echo(t, i);
		t->answered = false;
		if (!exchange(t, &t->sent, t->sent_len, &t->answered))
			return "no echo";
	}
	return NULL;
}

void driver_selftest_nic(struct nic *nic)
{
	static struct trial trial;
	const char *wrong;

	trial = (struct trial){ .nic = nic };
	nic->user = &trial;
	nic->receive = received;
	nic->link_changed = link_changed;
	wrong = try(&trial);
	nic->receive = NULL;
	nic->link_changed = NULL;
	if (trial.downs)
		pr_info("selftest: nic %s: link lost %u times, %u frames refused, %u sent again\n",
			nic->name, trial.downs, trial.refused, trial.again);
	if (wrong)
		pr_err("selftest: nic %s: FAILED: %s\n", nic->name, wrong);
	else
		pr_info("selftest: nic %s: echo ok (%llu frames received, %llu by interrupt)\n",
			nic->name, (unsigned long long)trial.frames,
			(unsigned long long)trial.by_interrupt);
}
