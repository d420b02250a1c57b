/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/i8259.h"
#include "lib/x86.h"

enum { MASTER = 0x20, SLAVE = 0xa0 }; /* the command ports; data is the next one */

#define ICW1_INIT   0x11 /* edge-triggered, cascaded, ICW4 follows */
#define ICW3_MASTER 0x04 /* the slave is on line 2 */
#define ICW3_SLAVE  0x02
#define ICW4_8086   0x01
#define MASK_ALL    0xff

/* A write to an unused port takes as long as an old 8259 needs between two commands. */
static void write_slowly(u16 port, u8 value)
{
	outb(port, value);
	outb(0x80, 0);
}

static void program(u16 port, u8 vector_base, u8 icw3)
{
	write_slowly(port, ICW1_INIT);
	write_slowly(port + 1, vector_base);
	write_slowly(port + 1, icw3);
	write_slowly(port + 1, ICW4_8086);
	write_slowly(port + 1, MASK_ALL);
}

void i8259_disable(u8 vector_base)
{
	program(MASTER, vector_base, ICW3_MASTER);
	program(SLAVE, (u8)(vector_base + 8), ICW3_SLAVE);
}
