/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/pm_timer.h"
#include "lib/x86.h"

#define COUNTER_MASK 0xffffffu

/* Reads without a change after which it counts as stopped: one tick is 280 ns. */
#define STOPPED_READS 1000000u

u32 pm_timer_read(u16 port)
{
	return inl(port) & COUNTER_MASK;
}

bool pm_timer_wait(u16 port, u32 ticks)
{
	u32 last = pm_timer_read(port);
	u32 passed = 0;

	for (unsigned int idle = 0; passed < ticks; idle++) {
		u32 now = pm_timer_read(port);

		if (now != last)
			idle = 0;
		else if (idle > STOPPED_READS)
			return false;
		passed += (now - last) & COUNTER_MASK;
		last = now;
	}
	return true;
}
