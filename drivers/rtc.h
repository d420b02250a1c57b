/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock of a PC (MC146818 and its descendants), for the date. */
#ifndef DRIVERS_RTC_H
#define DRIVERS_RTC_H

#include "lib/types.h"

/*
 * Seconds since 1970-01-01 00:00, taking the clock's time as UTC; 0 when there is no clock that
 * answers with a date. @century is the FADT's index of the century register, 0 = none: then years
 * 70-99 are of the 20th century.
 */
u64 rtc_read(u8 century);

#endif
