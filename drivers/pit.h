/* SPDX-License-Identifier: BSD-2-Clause */
/* Channel 2 of the 8254, which has no interrupt: a counter to calibrate other clocks by, where there is no better one. */
#ifndef DRIVERS_PIT_H
#define DRIVERS_PIT_H

#include "lib/types.h"

#define PIT_HZ   1193182
#define PIT_MASK 0xffffu

/* Let it count from 0 on, without a sound. Returns what pit_stop needs. */
u8 pit_start(void);

/* How far it is: 16 bits, upwards. */
u32 pit_read(void);

void pit_stop(u8 gate);

#endif
