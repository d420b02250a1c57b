/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways of a PC to be reset by its software: the keyboard controller's command and the reset
 * control register. There is no keyboard, and no keyboard controller to be found either.
 */
#ifndef VMM_PC_VRESET_H
#define VMM_PC_VRESET_H

#include "lib/vdev.h"

#define VRESET_I8042_DATA    0x60
#define VRESET_I8042_COMMAND 0x64
#define VRESET_CONTROL       0xcf9 /* amid the PCI ports: see vpci.h */

#define VRESET_CONTROL_RESET 0x06 /* what to write there: hard reset, now */

struct vreset_ops {
	void (*reset)(void *ctx); /* the guest wants the VM reset; the write then returns */
};

struct vreset {
	const struct vreset_ops *ops;
	void *ctx;
	bool output_port; /* the next data byte goes to the 8042's output port */
	u8 control;
};

/* @ops stays the caller's and must outlive @v. */
void vreset_init(struct vreset *v, const struct vreset_ops *ops, void *ctx);
void vreset_reset(struct vreset *v);

/* One port each; dev: struct vreset. */
extern const struct pio_ops vreset_i8042_data_pio;
extern const struct pio_ops vreset_i8042_command_pio;
extern const struct pio_ops vreset_control_pio;

#endif
