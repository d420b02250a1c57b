/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt messages: whom they name, and what each delivery mode does there.
 * Intel SDM, "Determining IPI Destination". A set of local APICs is a mask of places on the bus.
 */
#include "vioapic/vlapic_private.h"

_Static_assert(VAPIC_MAX < 32, "a set of local APICs is a u32");

void vapic_bus_init(struct vapic_bus *bus, u64 timer_hz, unsigned int features)
{
	*bus = (struct vapic_bus){ .timer_hz = timer_hz, .features = features };
}

bool vapic_bus_join(struct vapic_bus *bus, struct vlapic *v)
{
	if (bus->count == VAPIC_MAX)
		return false;
	bus->apic[bus->count++] = v;
	return true;
}

static bool matches_logical(const struct vlapic *v, u32 mda)
{
	u32 ldr = vlapic_get(v, APIC_LDR);

	if (vlapic_is_x2apic(v))
		return ldr >> 16 == mda >> 16 && ldr & mda & 0xffff;
	if (mda > 0xff)
		return false;
	ldr >>= 24;
	switch (vlapic_get(v, APIC_DFR) >> 28) {
	case APIC_DFR_FLAT: return ldr & mda;
	case APIC_DFR_CLUSTER: return ldr >> 4 == mda >> 4 && ldr & mda & 0xf;
	default: return false;
	}
}

static bool matches(const struct vlapic *v, const struct vapic_msg *msg)
{
	if (!(vlapic_get_base(v) & APIC_BASE_EN))
		return false;
	if (msg->dest == VAPIC_BROADCAST)
		return true;
	return msg->logical ? matches_logical(v, msg->dest) : v->id == msg->dest;
}

static u32 place_of(const struct vapic_bus *bus, const struct vlapic *v)
{
	u32 set = 0;

	for (unsigned int i = 0; i < bus->count; i++) {
		if (bus->apic[i] == v)
			set = 1u << i;
	}
	return set;
}

static u32 destinations(const struct vapic_bus *bus, const struct vapic_msg *msg)
{
	u32 set = 0;

	for (unsigned int i = 0; i < bus->count; i++) {
		if (matches(bus->apic[i], msg))
			set |= 1u << i;
	}
	return set;
}

/* Of @set the one with the lowest processor priority; equals take turns. */
static u32 arbitrate(struct vapic_bus *bus, u32 set)
{
	unsigned int first = __atomic_load_n(&bus->next, __ATOMIC_RELAXED);
	unsigned int best = bus->count;
	unsigned int best_class = ~0u;

	for (unsigned int n = 0; n < bus->count; n++) {
		unsigned int i = (first + n) % bus->count;
		unsigned int class;

		if (!(set >> i & 1) || !vlapic_is_enabled(bus->apic[i]))
			continue;
		class = vlapic_ppr(bus->apic[i]) >> 4;
		if (class < best_class) {
			best_class = class;
			best = i;
		}
	}
	if (best == bus->count)
		return 0;
	__atomic_store_n(&bus->next, (best + 1) % bus->count, __ATOMIC_RELAXED);
	return 1u << best;
}

static bool deliver_to(struct vlapic *v, const struct vapic_msg *msg)
{
	switch (msg->mode) {
	case VAPIC_FIXED:
	case VAPIC_LOWEST: return vlapic_post(v, msg->vector, msg->level);
	case VAPIC_NMI: v->ops->nmi(v->ops_ctx); return true;
	case VAPIC_INIT: v->ops->init(v->ops_ctx); return true;
	case VAPIC_SIPI: v->ops->sipi(v->ops_ctx, msg->vector); return true;
	default: return false; /* SMI: there is no SMM. ExtINT: see vlapic_accepts_pic */
	}
}

static bool deliver_to_set(struct vapic_bus *bus, u32 set, const struct vapic_msg *msg)
{
	bool taken = false;

	if (msg->mode == VAPIC_LOWEST)
		set = arbitrate(bus, set);
	for (; set; set &= set - 1)
		taken |= deliver_to(bus->apic[__builtin_ctz(set)], msg);
	return taken;
}

bool vapic_bus_deliver(struct vapic_bus *bus, const struct vapic_msg *msg)
{
	return deliver_to_set(bus, destinations(bus, msg), msg);
}

unsigned int vapic_bus_multicast(struct vapic_bus *bus, const struct vapic_msg *msg, u32 first,
				 const u64 ids[2])
{
	unsigned int taken = 0;

	for (unsigned int i = 0; i < bus->count; i++) {
		struct vlapic *v = bus->apic[i];
		u32 bit = v->id - first; /* IDs below the first wrap: they are in no set */

		if (bit < 128 && (ids[bit / 64] >> (bit % 64) & 1) && (v->base & APIC_BASE_EN))
			taken += deliver_to(v, msg);
	}
	return taken;
}

static struct vapic_msg make_msg(u32 low, u32 dest)
{
	return (struct vapic_msg){ .dest = dest,
				   .vector = low & APIC_VECTOR,
				   .mode = APIC_MODE(low),
				   .logical = low & APIC_LOGICAL,
				   .level = low & APIC_LEVEL_TRIGGER };
}

struct vapic_msg vapic_msg_short(u32 low, u8 dest)
{
	return make_msg(low, dest == 0xff ? VAPIC_BROADCAST : dest);
}

/*
 * IPIs are always edge-triggered, and INIT level de-assert does nothing: of the ICR's trigger mode
 * and level bits nothing else is left. Intel SDM, "Interrupt Command Register (ICR)".
 */
void vlapic_send_ipi(struct vlapic *v, u32 icr_low, u32 dest)
{
	struct vapic_bus *bus = v->bus;
	struct vapic_msg msg = make_msg(icr_low, dest);
	struct vapic_msg all = { .dest = VAPIC_BROADCAST };
	u32 set = 0;

	if (msg.mode == VAPIC_INIT && msg.level && !(icr_low & APIC_ICR_ASSERT))
		return;
	if (msg.mode <= VAPIC_LOWEST && msg.vector < APIC_FIRST_VECTOR) {
		vlapic_error(v, APIC_ESR_SEND_ILLEGAL_VECTOR);
		return;
	}
	msg.level = false;
	switch (APIC_ICR_SHORTHAND(icr_low)) {
	case SHORTHAND_NONE: set = destinations(bus, &msg); break;
	case SHORTHAND_SELF: set = place_of(bus, v); break;
	case SHORTHAND_ALL: set = destinations(bus, &all); break;
	case SHORTHAND_OTHERS: set = destinations(bus, &all) & ~place_of(bus, v); break;
	}
	deliver_to_set(bus, set, &msg);
}

/* IDs are places on the bus as a rule. */
bool vlapic_icr_plain(struct vlapic *v, u64 icr)
{
	u32 low = lower_32(icr), dest = upper_32(icr);
	struct vlapic *to;

	if ((low & ~(APIC_VECTOR | APIC_ICR_ASSERT)) || (low & APIC_VECTOR) < APIC_FIRST_VECTOR ||
	    dest >= v->bus->count || !vlapic_is_x2apic(v))
		return false;
	to = v->bus->apic[dest];
	if (to->id != dest)
		return false;
	vlapic_set(v, APIC_ICR, low);
	vlapic_set(v, APIC_ICR_HIGH, dest);
	if (vlapic_get_base(to) & APIC_BASE_EN)
		(void)vlapic_post(to, low & APIC_VECTOR, false);
	return true;
}
