/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI power management timer: 3.579545 MHz on every machine, to calibrate other clocks by. */
#ifndef DRIVERS_PM_TIMER_H
#define DRIVERS_PM_TIMER_H

#include "lib/types.h"

#define PM_TIMER_HZ   3579545
#define PM_TIMER_MASK 0xffffffu

/* The counter at I/O port @port (from the FADT): 24 bits, whatever the chip has above. */
u32 pm_timer_read(u16 port);

#endif
