/* SPDX-License-Identifier: BSD-2-Clause */
#include "vswitch/vswitch.h"
#include "lib/errno.h"
#include "lib/math.h"
#include "lib/string.h"

#define VLAN_ID  0x0fffu
#define VLAN_MAX 4094u

static void add(struct vswitch_port *port, enum vswitch_count what, u64 n)
{
	atomic_fetch_add_explicit(&port->count[what], n, memory_order_relaxed);
}

static enum packet_verdict drop(struct vswitch_port *port, enum vswitch_count why)
{
	add(port, why, 1);
	return PACKET_DROPPED;
}

/* 0 for the address of zeroes in no VLAN alone, which nobody has: it is found nowhere. */
static u64 key_of(const u8 *mac, u16 vlan)
{
	return (u64)be16_get(mac) << 48 | (u64)be32_get(mac + 2) << 16 | vlan;
}

static bool is_group(const u8 *mac)
{
	return mac[0] & 1;
}

/* --- ports --- */

void vswitch_init(struct vswitch *sw, u64 tsc_hz)
{
	memset(sw, 0, sizeof(*sw));
	sw->tsc_hz = tsc_hz;
}

/* The port that has this address for its own. */
static struct vswitch_port *owner(const struct vswitch *sw, u64 key)
{
	for (unsigned int i = 0; i < sw->ports; i++) {
		if (key && sw->port[i]->key == key)
			return sw->port[i];
	}
	return NULL;
}

int vswitch_add(struct vswitch *sw, struct vswitch_port *port,
		const struct vswitch_port_config *config, const struct packet_sink *sink)
{
	static const u8 any[ETH_ALEN];

	memset(port, 0, sizeof(*port));
	port->sw = sw;
	port->index = sw->ports;
	port->config = *config;
	port->sink = *sink;
	if (memcmp(config->mac, any, sizeof(any)))
		port->key = key_of(config->mac, config->vlan);
	if (port->key && owner(sw, port->key))
		return -EEXIST;
	if (sw->ports == VSWITCH_PORTS)
		return -ENOSPC;
	sw->port[sw->ports++] = port;
	return 0;
}

void vswitch_set_up(struct vswitch_port *port, bool up)
{
	for (unsigned int i = 0; up && i < VSWITCH_COUNTS; i++)
		atomic_store_explicit(&port->count[i], 0, memory_order_relaxed);
	atomic_store(&port->up, up);
}

void vswitch_set_offloads(struct vswitch_port *port, unsigned int offloads)
{
	atomic_store(&port->offloads, offloads);
}

/* --- the table of what was learned --- */

static bool is_old(const struct vswitch *sw, const struct vswitch_mac *m, u64 now)
{
	return now - m->seen > VSWITCH_AGE * sw->tsc_hz;
}

/* The places that @key can have: a product's upper bits depend on all of it. */
static struct vswitch_mac *set_of(struct vswitch *sw, u64 key)
{
	_Static_assert(VSWITCH_MACS / VSWITCH_WAYS == 64, "six bits");
	return &sw->mac[(key * 0x9e3779b97f4a7c15ULL >> 58) * VSWITCH_WAYS];
}

static void learn(struct vswitch *sw, u64 key, unsigned int port, u64 now)
{
	struct vswitch_mac *set = set_of(sw, key), *place = set;

	spin_lock(&sw->lock);
	for (unsigned int i = 0; i < VSWITCH_WAYS; i++) {
		if (set[i].key == key) {
			place = &set[i];
			break;
		}
		if (set[i].seen < place->seen)
			place = &set[i];
	}
	*place = (struct vswitch_mac){ key, now, port };
	spin_unlock(&sw->lock);
}

static struct vswitch_port *learned(struct vswitch *sw, u64 key, u64 now)
{
	struct vswitch_mac *set = set_of(sw, key);
	struct vswitch_port *port = NULL;

	spin_lock(&sw->lock);
	for (unsigned int i = 0; i < VSWITCH_WAYS; i++) {
		if (key && set[i].key == key && !is_old(sw, &set[i], now))
			port = sw->port[set[i].port];
	}
	spin_unlock(&sw->lock);
	return port;
}

/* --- may it be sent? --- */

/* Which VLAN it belongs to; false when it may not come like this. */
static bool classify(const struct vswitch_port *from, const struct packet *packet,
		     struct vswitch_transfer *t)
{
	u16 type = be16_get(packet->head + ETH_TYPE);

	t->vlan = from->config.vlan;
	t->tagged = false;
	if (type != ETH_TYPE_VLAN && type != ETH_TYPE_SVID)
		return true;
	/* From a guest a tag would be a way into another VLAN; two of them are none of our business. */
	if (!from->config.trunk || type == ETH_TYPE_SVID || packet->len < ETH_HEADER + ETH_VLAN)
		return false;
	t->tagged = true;
	t->vlan = be16_get(packet->head + ETH_TYPE + 2) & VLAN_ID;
	return t->vlan <= VLAN_MAX;
}

/* A port's own address is nobody else's, not even beyond the uplink. */
static bool spoofed(const struct vswitch_port *from, u64 key)
{
	const struct vswitch_port *has = owner(from->sw, key);

	return from->key ? key != from->key : has && has != from;
}

/*
 * A bucket of tokens, as the time at which it would be full: a frame needs some token, not all that it costs, so
 * that the largest one passes at any rate; what it owes has to be earned before the next one.
 */
static bool within_rate(struct vswitch_port *from, u32 len, u64 now)
{
	u64 hz = from->sw->tsc_hz, cost, burst = hz * VSWITCH_BURST_MS / 1000;
	bool within;

	if (!from->config.rate)
		return true;
	cost = mul_div(len * 8ULL, hz, from->config.rate);
	cost = MIN(cost, ~0ULL >> 2); /* it may be late, but time does not wrap */
	spin_lock(&from->lock);
	if (from->ticks_full < now)
		from->ticks_full = now;
	within = from->ticks_full - now < burst;
	if (within)
		from->ticks_full += cost;
	spin_unlock(&from->lock);
	return within;
}

/* --- who gets it? --- */

static bool carries(const struct vswitch_port *port, u16 vlan)
{
	return port->config.trunk || port->config.vlan == vlan;
}

static void choose(struct vswitch_port *from, const u8 *to, u64 now, struct vswitch_transfer *t)
{
	struct vswitch *sw = from->sw;
	const struct vswitch_port *one = NULL;

	if (!is_group(to)) {
		u64 key = key_of(to, t->vlan);

		one = owner(sw, key);
		if (!one)
			one = learned(sw, key, now);
	}
	for (unsigned int i = 0; i < sw->ports; i++) {
		const struct vswitch_port *port = sw->port[i];

		if (port != from && (!one || port == one) && carries(port, t->vlan))
			t->to[i / 64] |= BIT(i % 64);
	}
}

/* All that happens once to a frame. */
static enum packet_verdict begin(struct vswitch_port *from, const struct packet *packet, u64 now,
				 struct vswitch_transfer *t)
{
	const u8 *source = packet->head + ETH_ALEN;
	u64 key;

	t->begun = true;
	if (packet->len < ETH_HEADER || is_group(source) || !classify(from, packet, t))
		return drop(from, VSWITCH_MALFORMED);
	key = key_of(source, t->vlan);
	if (spoofed(from, key))
		return drop(from, VSWITCH_SPOOFED);
	if (!within_rate(from, packet->len, now))
		return drop(from, VSWITCH_LIMITED);
	add(from, VSWITCH_SENT, 1);
	add(from, VSWITCH_SENT_BYTES, packet->len);
	if (!from->key && key)
		learn(from->sw, key, from->index, now);
	choose(from, packet->head, now, t);
	return PACKET_TAKEN;
}

/* --- tags --- */

static void copy_tagged(const struct packet *packet, u32 offset, void *to, u32 len)
{
	packet_copy(packet->ctx, offset - ETH_VLAN, to, len);
}

static void copy_untagged(const struct packet *packet, u32 offset, void *to, u32 len)
{
	packet_copy(packet->ctx, offset + ETH_VLAN, to, len);
}

static void move_offload(struct packet_offload *o, int delta)
{
	o->csum_start = (u16)(o->csum_start + delta);
	o->hdr_len = (u16)(o->hdr_len + delta);
}

static const struct packet *with_tag(struct packet *p, const struct packet *of, u16 vlan)
{
	p->len = of->len + ETH_VLAN;
	p->head_len = MIN(p->len, (u32)PACKET_HEAD);
	memcpy(p->head, of->head, ETH_TYPE);
	be16_put(p->head + ETH_TYPE, ETH_TYPE_VLAN);
	be16_put(p->head + ETH_TYPE + 2, vlan);
	memcpy(p->head + ETH_TYPE + ETH_VLAN, of->head + ETH_TYPE,
	       p->head_len - ETH_TYPE - ETH_VLAN);
	p->offload = of->offload;
	move_offload(&p->offload, ETH_VLAN);
	p->copy = copy_tagged;
	p->ctx = of;
	return p;
}

static const struct packet *without_tag(struct packet *p, const struct packet *of)
{
	p->len = of->len - ETH_VLAN;
	p->head_len = MIN(p->len, (u32)PACKET_HEAD);
	memcpy(p->head, of->head, ETH_TYPE);
	packet_copy(of, ETH_TYPE + ETH_VLAN, p->head + ETH_TYPE, p->head_len - ETH_TYPE);
	p->offload = of->offload;
	move_offload(&p->offload, -ETH_VLAN);
	p->copy = copy_untagged;
	p->ctx = of;
	return p;
}

/* --- delivery --- */

static bool takes_as_it_is(const struct vswitch_port *port, const struct packet_offload *o)
{
	unsigned int needs = 0;

	if (o->needs_csum)
		needs |= VSWITCH_CSUM;
	if (o->gso != PACKET_GSO_NONE)
		needs |= o->gso == PACKET_GSO_TCPV4 ? VSWITCH_TSO4 : VSWITCH_TSO6;
	if (o->gso != PACKET_GSO_NONE && o->ecn)
		needs |= VSWITCH_ECN;
	return !(needs & ~atomic_load_explicit(&port->offloads, memory_order_relaxed));
}

static enum packet_verdict give(struct vswitch_port *port, const struct packet *packet)
{
	enum packet_verdict verdict = port->sink.receive(port->sink.ctx, packet);

	if (verdict == PACKET_TAKEN) {
		add(port, VSWITCH_RECEIVED, 1);
		add(port, VSWITCH_RECEIVED_BYTES, packet->len);
	} else if (verdict == PACKET_DROPPED) {
		add(port, VSWITCH_NOT_TAKEN, 1);
	}
	return verdict;
}

static enum packet_verdict give_frame(void *ctx, const void *frame, u32 len)
{
	struct packet packet;

	packet_from_buffer(&packet, frame, len);
	return give(ctx, &packet);
}

/* Cut, or with its checksum put in. The next port of the same packet begins with segment 0 again. */
static enum packet_verdict give_cut(struct vswitch_port *port, const struct packet *packet,
				    struct vswitch_transfer *t)
{
	struct vswitch *sw = port->sw;
	struct gso_out out = { .frame = sw->frame, .emit = give_frame, .ctx = port };
	enum packet_verdict verdict;

	if (!spin_trylock(&sw->bounce_lock))
		return PACKET_BUSY;
	verdict = gso_send(packet, &out, &t->segment);
	spin_unlock(&sw->bounce_lock);
	if (out.refused)
		add(port, VSWITCH_MALFORMED, 1);
	if (verdict != PACKET_BUSY)
		t->segment = 0;
	return verdict;
}

/* *@cutting: a port for which the packet is cut waits already; the other ones have to wait for it. */
static enum packet_verdict deliver(struct vswitch_port *port, const struct packet *packet,
				   struct vswitch_transfer *t, bool *cutting)
{
	bool wants_tag = port->config.trunk && t->vlan != VSWITCH_VLAN_NONE;
	enum packet_verdict verdict;
	struct packet changed;

	if (!atomic_load_explicit(&port->up, memory_order_relaxed)) {
		add(port, VSWITCH_NOT_TAKEN, 1);
		return PACKET_DROPPED;
	}
	if (wants_tag && !t->tagged)
		packet = with_tag(&changed, packet, t->vlan);
	else if (!wants_tag && t->tagged)
		packet = without_tag(&changed, packet);
	if (takes_as_it_is(port, &packet->offload))
		return give(port, packet);
	if (*cutting)
		return PACKET_BUSY;
	verdict = give_cut(port, packet, t);
	*cutting = verdict == PACKET_BUSY;
	return verdict;
}

enum packet_verdict vswitch_send(struct vswitch_port *from, const struct packet *packet, u64 now,
				 struct vswitch_transfer *t)
{
	struct vswitch *sw = from->sw;
	bool busy = false, cutting = false;

	if (!t->begun && begin(from, packet, now, t) == PACKET_DROPPED)
		return PACKET_DROPPED;
	for (unsigned int i = 0; i < sw->ports; i++) {
		if (!(t->to[i / 64] & BIT(i % 64)))
			continue;
		if (deliver(sw->port[i], packet, t, &cutting) == PACKET_BUSY)
			busy = true;
		else
			t->to[i / 64] &= ~BIT(i % 64);
	}
	return busy ? PACKET_BUSY : PACKET_TAKEN;
}

void vswitch_give_up(struct vswitch_port *from, struct vswitch_transfer *t)
{
	if (t->begun)
		add(from, VSWITCH_GIVEN_UP, 1);
	*t = (struct vswitch_transfer){ .begun = false };
}
