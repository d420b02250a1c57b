/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rings of all CPUs as lines of the log, piece by piece: the line to the operator is slow. tools/trace
 * reads them; docs/performance.md says what they look like.
 */
#ifndef VMM_OBSERVE_TRACE_DUMP_H
#define VMM_OBSERVE_TRACE_DUMP_H

#include "vmm/observe/trace.h"

struct trace_dump {
	const struct trace_ring *ring; /* of each CPU */
	unsigned int cpus, cpu;        /* how many, and which is next */
	u64 at;                        /* the next event of that one */
	u64 events;                    /* printed */
	bool begun;                    /* that CPU's events: its head line is printed */
	u64 reasons[2];                /* that were named by an exit: bits */
};

/* Nobody writes to @ring, the rings of @cpus CPUs, before the end. Prints what comes before the events. */
void trace_dump_begin(struct trace_dump *d, const struct trace_ring *ring, unsigned int cpus,
		      u64 tsc_hz);

/* Print the next line of events, or the end. False: that was it. */
bool trace_dump_more(struct trace_dump *d);

#endif
