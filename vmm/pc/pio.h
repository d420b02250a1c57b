/* SPDX-License-Identifier: BSD-2-Clause */
/* The port bus of a VM: which device answers where. What nobody registered reads as all ones. */
#ifndef VMM_PC_PIO_H
#define VMM_PC_PIO_H

#include "lib/types.h"
#include "lib/vdev.h"

#define PIO_RANGES 32

struct pio_range {
	u16 base;
	u16 len; /* ports; 0: it answers nowhere */
	const struct pio_ops *ops;
	void *dev;
	const char *name;
	bool whole;   /* a write that begins in it is not split, however far it goes */
	u64 accesses; /* for the table of exits */
};

struct pio_bus {
	struct pio_range range[PIO_RANGES];
	unsigned int ranges;
	struct pio_range
		*last; /* that was found: the next access is often to it again; NULL: none */
	u64 unclaimed; /* accesses to ports where there is nothing */
};

/*
 * Set-up only. Overlapping or too many ranges are our own mistake: panic. The range is the bus's;
 * what is returned is for pio_move.
 */
struct pio_range *pio_register(struct pio_bus *bus, u16 base, u16 len, const struct pio_ops *ops,
			       void *dev, const char *name);

/*
 * The guest has moved @range to @len ports from @base on, or nowhere if @len is 0. It may lie over
 * others: of them the one that was registered first answers.
 */
void pio_move(struct pio_bus *bus, struct pio_range *range, u16 base, u16 len);

/* An access of @size bytes (1, 2, 4). One that leaves its device's range is split into bytes (but see whole). */
u32 pio_read(struct pio_bus *bus, u16 port, u8 size);
void pio_write(struct pio_bus *bus, u16 port, u8 size, u32 value);

#endif
