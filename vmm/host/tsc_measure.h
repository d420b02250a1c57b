/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast the TSC runs, by another clock. */
#ifndef VMM_HOST_TSC_MEASURE_H
#define VMM_HOST_TSC_MEASURE_H

#include "lib/types.h"

/* Good enough: clock daemons correct ten times as much. */
#define TSC_GOOD_PPM 50

/* A counter that goes up, at @hz, and wraps behind @mask. */
struct tsc_counter {
	u32 hz, mask;
	u32 (*read)(u16 port);
	u16 port;
};

/*
 * Ticks of the TSC in a second; 0 when the counter does not count. Rounds of 50 ms, until three of them agree within
 * 50 ppm: what a hypervisor or the firmware steals between two reads spoils a round, not the answer. @ppm is how far the
 * three that agree best are apart.
 */
u64 tsc_measure(const struct tsc_counter *counter, u32 *ppm);

#endif
