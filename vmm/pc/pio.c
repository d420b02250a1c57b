/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/pc/pio.h"
#include "lib/printk.h"

struct pio_range *pio_register(struct pio_bus *bus, u16 base, u16 len, const struct pio_ops *ops,
			       void *dev, const char *name)
{
	struct pio_range *range = &bus->range[bus->ranges];

	for (unsigned int i = 0; i < bus->ranges; i++) {
		const struct pio_range *r = &bus->range[i];

		if (base < r->base + r->len && r->base < base + len)
			panic("ports of %s and %s overlap", name, r->name);
	}
	if (bus->ranges == PIO_RANGES)
		panic("no room for the ports of %s", name);
	*range = (struct pio_range){
		.base = base, .len = len, .ops = ops, .dev = dev, .name = name
	};
	bus->ranges++;
	return range;
}

void pio_move(struct pio_bus *bus, struct pio_range *range, u16 base, u16 len)
{
	bus->last = NULL;
	range->base = base;
	range->len = len;
}

static struct pio_range *pio_find(struct pio_bus *bus, u16 port)
{
	struct pio_range *r = bus->last;

	if (likely(r && (u16)(port - r->base) < r->len))
		return r;
	for (r = bus->range; r < &bus->range[bus->ranges]; r++) {
		if ((u16)(port - r->base) < r->len)
			return bus->last = r;
	}
	return NULL;
}

static u32 size_mask(u8 size)
{
	return (u32)(0xffffffffu >> (32 - 8 * size));
}

u32 pio_read(struct pio_bus *bus, u16 port, u8 size)
{
	struct pio_range *r = pio_find(bus, port);
	u32 value = 0;

	if (r && (u32)port - r->base + size <= r->len) {
		r->accesses++;
		return r->ops->read(r->dev, (u16)(port - r->base), size) & size_mask(size);
	}
	if (size == 1) {
		bus->unclaimed++;
		return 0xff;
	}
	for (u8 i = 0; i < size; i++)
		value |= pio_read(bus, (u16)(port + i), 1) << (8 * i);
	return value;
}

void pio_write(struct pio_bus *bus, u16 port, u8 size, u32 value)
{
	struct pio_range *r = pio_find(bus, port);

	if (r && ((u32)port - r->base + size <= r->len || r->whole)) {
		r->accesses++;
		r->ops->write(r->dev, (u16)(port - r->base), size, value & size_mask(size));
		return;
	}
	if (size == 1)
		bus->unclaimed++;
	for (u8 i = 0; i < size && size > 1; i++)
		pio_write(bus, (u16)(port + i), 1, value >> (8 * i));
}
