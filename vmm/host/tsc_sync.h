/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One TSC for all CPUs: guest time is the host's TSC less a number of the VM's, on whichever CPU a vCPU runs. Firmware may
 * have moved a CPU's TSC (IA32_TSC_ADJUST), or started it late. SDM, "Time-Stamp Counter Adjustment".
 */
#ifndef VMM_HOST_TSC_SYNC_H
#define VMM_HOST_TSC_SYNC_H

#include <stdatomic.h>
#include "lib/types.h"

/* Between the boot CPU and one other. Zeroed before; both sides have it once. */
struct tsc_sync {
	atomic_uint asked; /* the round; or the verdict */
	_Alignas(CACHE_LINE) atomic_uint answered;
	atomic_ullong answer;
};

/* The other CPU's TSC less the boot CPU's, in ticks: it is one of these. */
struct tsc_skew {
	s64 low, high;
};

/* How far this CPU's TSC was moved; 0 where the CPU has no such MSR. */
u64 tsc_adjust_read(void);

/* Move this CPU's TSC as far as the boot CPU's was. */
void tsc_adjust_write(u64 adjust);

/*
 * On the boot CPU, while the other one is in tsc_sync_answer: true if the TSCs agree, as far as this can be seen from
 * outside of a round trip between the CPUs; the other one is told so. Else *@skew, or an empty range if it did not answer
 * in a second.
 */
bool tsc_sync_ask(struct tsc_sync *sync, u64 tsc_hz, struct tsc_skew *skew) __must_check;

/* On the other CPU: the boot CPU's verdict. False as well if it does not ask for two seconds. */
bool tsc_sync_answer(struct tsc_sync *sync, u64 tsc_hz) __must_check;

#endif
