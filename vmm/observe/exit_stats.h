/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long the exits of one vCPU took, by reason: from right after the exit to right before the next
 * entry, as in the table of exits (vcpu->ticks). A data structure: who runs the vCPU fills it.
 */
#ifndef VMM_OBSERVE_EXIT_STATS_H
#define VMM_OBSERVE_EXIT_STATS_H

#include "lib/types.h"
#include "vmx/exit_reasons.h"

/* Bucket n counts those of 2^n to 2^(n+1) - 1 ticks, the first one also 0, the last one all that are longer. */
#define EXIT_STATS_BUCKETS 32

struct exit_times {
	u64 count, total, min, max; /* of ticks; min and max are valid if there are any */
	u64 bucket[EXIT_STATS_BUCKETS];
	u64 reads, writes; /* VMREADs and VMWRITEs, where the build counts them */
};

struct exit_stats {
	unsigned int generation; /* of the measurement that it belongs to */
	struct exit_times reason[VMX_EXIT_REASON_COUNT];
};

static inline unsigned int exit_stats_bucket(u64 ticks)
{
	unsigned int n = 63 - (unsigned int)__builtin_clzll(ticks | 1);

	return MIN(n, EXIT_STATS_BUCKETS - 1u);
}

/* Forget all, and belong to @generation. */
void exit_stats_begin(struct exit_stats *stats, unsigned int generation);

/* An exit for @reason, whatever that is, took @ticks. What the table does not name is not counted. */
void exit_stats_add(struct exit_stats *stats, unsigned int reason, u64 ticks);

/* VMREADs and VMWRITEs after an exit for @reason, likewise. */
void exit_stats_add_vmcs(struct exit_stats *stats, unsigned int reason, u64 reads, u64 writes);

/* The buckets of @times that are not empty as text, "7: 1900, 8: 78", in @buf of @size bytes. */
size_t exit_stats_histogram(const struct exit_times *times, char *buf, size_t size);

/* Print the rows of a table. @vmcs: and another one of VMREADs and VMWRITEs. @who: "vm debian: vcpu 0". */
void exit_stats_print(const struct exit_stats *stats, const char *who, bool vmcs);

#endif
