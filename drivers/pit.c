/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/pit.h"
#include "lib/x86.h"

#define PIT_CHANNEL2 0x42
#define PIT_MODE     0x43
#define PIT_GATE     0x61 /* its gate and the speaker are bits of this port */
#define GATE_ON      BIT(0)
#define GATE_SPEAKER BIT(1)

#define MODE_RATE    0xb4 /* channel 2, low then high byte, mode 2: counts down, and begins again */
#define MODE_LATCH   0x80

u8 pit_start(void)
{
	u8 gate = inb(PIT_GATE);

	outb(PIT_GATE, (u8)((gate & ~GATE_SPEAKER) | GATE_ON));
	outb(PIT_MODE, MODE_RATE);
	outb(PIT_CHANNEL2, 0); /* 0: all of 65536 */
	outb(PIT_CHANNEL2, 0);
	return gate;
}

u32 pit_read(void)
{
	u32 low, high;

	outb(PIT_MODE, MODE_LATCH);
	low = inb(PIT_CHANNEL2);
	high = inb(PIT_CHANNEL2);
	return (0 - (high << 8 | low)) & PIT_MASK;
}

void pit_stop(u8 gate)
{
	outb(PIT_GATE, gate);
}
