#include "vmm/mmio_bus.h"
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
	*range = (struct mmio_range){ base, len, ops, dev, name, 0 };
	bus->ranges++;
	return range;
}

void mmio_move(struct mmio_range *range, gpa_t base)
{
	range->base = base;
}

/* An address below the base makes a difference that no length reaches. */
static struct mmio_range *find(struct mmio_bus *bus, gpa_t gpa, u8 size)
{
	for (unsigned int i = 0; i < bus->ranges; i++) {
		struct mmio_range *r = &bus->range[i];
		u64 off = gpa - r->base;

		if (r->base != MMIO_NOWHERE && off < r->len && size <= r->len - off)
			return r;
	}
	return NULL;
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
