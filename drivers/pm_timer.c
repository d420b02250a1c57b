/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/pm_timer.h"
#include "lib/x86.h"

u32 pm_timer_read(u16 port)
{
	return inl(port) & PM_TIMER_MASK;
}
