/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC's two 8259A interrupt controllers, the second on input 2 of the first, with the edge/level
 * registers (ELCR) of PCI chipsets. Intel 8259A data sheet.
 * All calls of one VM happen one at a time.
 */
#ifndef VIOAPIC_VPIC_H
#define VIOAPIC_VPIC_H

#include "lib/types.h"
#include "lib/vdev.h"

#define VPIC_LINES 16

struct vpic_chip {
	u8 lines;  /* inputs as they are driven */
	u8 latch;  /* rising edges seen and not yet acknowledged */
	u8 isr;    /* in service */
	u8 imr;    /* masked */
	u8 elcr;   /* level-triggered inputs */
	u8 base;   /* vector of input 0 */
	u8 lowest; /* the input with the lowest priority; the next one up has the highest */
	u8 icw;    /* the initialization word expected at the data port next; 0: ready */
	u8 icw1;
	bool auto_eoi, rotate_auto_eoi;
	bool special_mask, special_nested;
	bool read_isr; /* what the command port shows: ISR or IRR */
	bool poll;     /* the next read is a poll */
};

struct vpic {
	struct vpic_chip chip[2]; /* master, slave */
	bool output;              /* INTR of the master */
	void (*intr)(void *ctx, bool level);
	void *ctx;
};

/* For ports 0x20-0x21, 0xa0-0xa1 and 0x4d0-0x4d1; the device is the struct vpic. */
extern const struct pio_ops vpic_master_ops;
extern const struct pio_ops vpic_slave_ops;
extern const struct pio_ops vpic_elcr_ops;

/* @intr is called when INTR changes; it must not call back. NULL: nobody wants to know. */
void vpic_init(struct vpic *pic, void (*intr)(void *ctx, bool level), void *ctx);

/* As firmware leaves it: vectors 0x08 and 0x70, everything masked. The lines stay as driven. */
void vpic_reset(struct vpic *pic);

/* Drive @line (0-15) to @level. Idempotent. Line 2 is the slave's and ignored. */
void vpic_set_line(struct vpic *pic, unsigned int line, bool level);

/* Is INTR up? On any CPU: a hint for the one that will ask by vpic_ack. */
static inline bool vpic_pending(const struct vpic *pic)
{
	return __atomic_load_n(&pic->output, __ATOMIC_RELAXED);
}

/* The CPU's interrupt acknowledge: the vector to take, the spurious one if nothing is left. */
int vpic_ack(struct vpic *pic);

#endif
