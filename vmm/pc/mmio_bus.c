/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/pc/mmio_bus.h"
#include "lib/printk.h"

static bool overlap(const struct mmio_range *r, gpa_t base, u64 len)
{
	return r->base != MMIO_NOWHERE && base != MMIO_NOWHERE && base < r->base + r->len &&
	       r->base < base + len;
}

struct mmio_range *mmio_register(struct mmio_bus *bus, gpa_t base, u64 len,
				 const struct mmio_ops *ops, void *dev, const char *name)
{
	struct mmio_range *range = &bus->range[bus->ranges];

	for (unsigned int i = 0; i < bus->ranges; i++) {
		if (overlap(&bus->range[i], base, len))
			panic("registers of %s and %s overlap", name, bus->range[i].name);
	}
	if (bus->ranges == MMIO_RANGES)
		panic("no room for the registers of %s", name);
	*range = (struct mmio_range){ bus, base, len, ops, dev, name, 0 };
	bus->ranges++;
	return range;
}

void mmio_move(struct mmio_range *range, gpa_t base)
{
	range->base = base;
	range->bus->last = NULL;
}

/* An address below the base makes a difference that no length reaches. */
static bool answers(const struct mmio_range *r, gpa_t gpa, u8 size)
{
	u64 off = gpa - r->base;

	return r->base != MMIO_NOWHERE && off < r->len && size <= r->len - off;
}

static bool is_alone(const struct mmio_bus *bus, const struct mmio_range *range)
{
	for (unsigned int i = 0; i < bus->ranges; i++) {
		if (&bus->range[i] != range && overlap(&bus->range[i], range->base, range->len))
			return false;
	}
	return true;
}

static struct mmio_range *find_among_all(struct mmio_bus *bus, gpa_t gpa, u8 size)
{
	for (unsigned int i = 0; i < bus->ranges; i++) {
		struct mmio_range *r = &bus->range[i];

		if (!answers(r, gpa, size))
			continue;
		bus->last = is_alone(bus, r) ? r : NULL;
		return r;
	}
	return NULL;
}

static inline struct mmio_range *find(struct mmio_bus *bus, gpa_t gpa, u8 size)
{
	if (likely(bus->last && answers(bus->last, gpa, size)))
		return bus->last;
	return find_among_all(bus, gpa, size);
}

static u64 size_mask(u8 size)
{
	return ~0ULL >> (64 - 8 * size);
}

bool mmio_bus_read(struct mmio_bus *bus, gpa_t gpa, u8 size, u64 *value)
{
	struct mmio_range *r = find(bus, gpa, size);

	if (!r)
		return false;
	r->accesses++;
	*value = r->ops->read(r->dev, gpa - r->base, size) & size_mask(size);
	return true;
}

bool mmio_bus_write(struct mmio_bus *bus, gpa_t gpa, u8 size, u64 value)
{
	struct mmio_range *r = find(bus, gpa, size);

	if (!r)
		return false;
	r->accesses++;
	r->ops->write(r->dev, gpa - r->base, size, value & size_mask(size));
	return true;
}
