/* SPDX-License-Identifier: BSD-2-Clause */
/* How a guest resets its machine. */
#include "vmm/pc/vreset.h"

/*
 * All ones but for "input buffer full". A driver that waits to send a command (reset, above all)
 * may at once; one that empties the output buffer never gets to its end and finds no controller.
 */
#define I8042_STATUS            0xfd

#define I8042_WRITE_OUTPUT_PORT 0xd1
#define I8042_OUTPUT_NO_RESET   0x01

/* F0-FF pulse low those of the output port's lines 0-3 whose bit is clear; line 0 is reset. */
#define I8042_PULSE_MASK  0xf1
#define I8042_PULSE_RESET 0xf0

#define CONTROL_RESET_CPU 0x04 /* acts when it goes from 0 to 1 */
#define CONTROL_BITS      0x0e

static u32 i8042_data_read(void *dev, u16 off, u8 size)
{
	(void)dev, (void)off, (void)size;
	return ~0U;
}

static void i8042_data_write(void *dev, u16 off, u8 size, u32 value)
{
	struct vreset *v = dev;
	bool output_port = v->output_port;

	(void)off, (void)size;
	v->output_port = false;
	if (output_port && !(value & I8042_OUTPUT_NO_RESET))
		v->ops->reset(v->ctx);
}

static u32 i8042_command_read(void *dev, u16 off, u8 size)
{
	(void)dev, (void)off, (void)size;
	return ~0xffU | I8042_STATUS;
}

static void i8042_command_write(void *dev, u16 off, u8 size, u32 value)
{
	struct vreset *v = dev;

	(void)off, (void)size;
	v->output_port = (u8)value == I8042_WRITE_OUTPUT_PORT;
	if ((value & I8042_PULSE_MASK) == I8042_PULSE_RESET)
		v->ops->reset(v->ctx);
}

static u32 control_read(void *dev, u16 off, u8 size)
{
	const struct vreset *v = dev;

	(void)off, (void)size;
	return ~0xffU | v->control;
}

static void control_write(void *dev, u16 off, u8 size, u32 value)
{
	struct vreset *v = dev;
	u8 old = v->control;

	(void)off, (void)size;
	v->control = value & CONTROL_BITS;
	if (v->control & ~old & CONTROL_RESET_CPU)
		v->ops->reset(v->ctx);
}

const struct pio_ops vreset_i8042_data_pio = { i8042_data_read, i8042_data_write };
const struct pio_ops vreset_i8042_command_pio = { i8042_command_read, i8042_command_write };
const struct pio_ops vreset_control_pio = { control_read, control_write };

void vreset_reset(struct vreset *v)
{
	v->output_port = false;
	v->control = 0;
}

void vreset_init(struct vreset *v, const struct vreset_ops *ops, void *ctx)
{
	*v = (struct vreset){ .ops = ops, .ctx = ctx };
}
