/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's PCI bus 0, by configuration mechanism #1 (address at 0xCF8, data at 0xCFC). There is
 * a host bridge at 00:00.0, by which Linux knows the mechanism for good at the first look; all else
 * is plugged in.
 */
#ifndef VMM_PC_VPCI_H
#define VMM_PC_VPCI_H

#include "lib/vdev.h"

#define VPCI_BASE                  0xcf8
#define VPCI_PORTS                 8
#define VPCI_CONFIG_BYTES          256

#define VPCI_DEVFN(slot, function) ((u8)((slot) << 3 | (function)))

/*
 * A function's configuration space. @size bytes (1 to 4) at @reg, all within one aligned dword.
 * It answers for its own header, the multi-function bit included.
 */
struct vpci_function {
	u32 (*read)(void *dev, u8 reg, u8 size);
	void (*write)(void *dev, u8 reg, u8 size, u32 value);
	void *dev;
};

struct vpci {
	u32 address;                               /* CONFIG_ADDRESS */
	const struct vpci_function *function[256]; /* by devfn; NULL: nobody there */
	/* Byte ports of others amid ours: only a dword access at 0xCF8 means CONFIG_ADDRESS. */
	const struct pio_ops *control_pio; /* at 0xCF9 */
	void *control_dev;
};

/* @control_pio (one port, usually vreset_control_pio) may be NULL. */
void vpci_init(struct vpci *v, const struct pio_ops *control_pio, void *control_dev);
void vpci_reset(struct vpci *v);

/* @f stays the caller's and must live as long as @v. -EBUSY when @devfn is taken. */
int vpci_plug(struct vpci *v, u8 devfn, const struct vpci_function *f) __must_check;

extern const struct pio_ops vpci_pio; /* VPCI_PORTS ports from VPCI_BASE; dev: struct vpci */

#endif
