/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory bus of a VM: which device's registers lie where. Local APICs are not on it: each vCPU
 * has its own (mmio.c).
 */
#ifndef VMM_PC_MMIO_BUS_H
#define VMM_PC_MMIO_BUS_H

#include "lib/types.h"
#include "lib/vdev.h"

#define MMIO_RANGES  40
#define MMIO_NOWHERE (~0ULL) /* the base of a range that answers nowhere */

struct mmio_range {
	struct mmio_bus *bus;
	gpa_t base;
	u64 len; /* bytes */
	const struct mmio_ops *ops;
	void *dev;
	const char *name;
	u64 accesses; /* for the table of exits */
};

struct mmio_bus {
	struct mmio_range range[MMIO_RANGES];
	unsigned int ranges;
	struct mmio_range *last; /* answered last, and no other range lies where it does; or NULL */
	u64 unclaimed; /* accesses where there is nothing: counted by whoever finds that out */
	u64 refused;   /* accesses that cannot be done: likewise */
};

/*
 * Set-up only. The range is the bus's; what is returned is for mmio_move. Overlapping or too many
 * ranges are our own mistake: panic.
 */
struct mmio_range *mmio_register(struct mmio_bus *bus, gpa_t base, u64 len,
				 const struct mmio_ops *ops, void *dev, const char *name);

/*
 * The guest has moved @range to @base, or to MMIO_NOWHERE. It may lie over others: of them the one
 * that was registered first answers.
 */
void mmio_move(struct mmio_range *range, gpa_t base);

/*
 * An access of @size bytes (1, 2, 4, 8). False when no device answers for all of them: then nothing
 * happened.
 */
bool mmio_bus_read(struct mmio_bus *bus, gpa_t gpa, u8 size, u64 *value);
bool mmio_bus_write(struct mmio_bus *bus, gpa_t gpa, u8 size, u64 value);

#endif
