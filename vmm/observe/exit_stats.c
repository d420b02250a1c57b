/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/observe/exit_stats.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"

typedef unsigned long long ull;

#define NAME_WIDTH 26

void exit_stats_begin(struct exit_stats *stats, unsigned int generation)
{
	memset(stats, 0, sizeof(*stats));
	stats->generation = generation;
}

void exit_stats_add(struct exit_stats *stats, unsigned int reason, u64 ticks)
{
	struct exit_times *t;

	if (reason >= VMX_EXIT_REASON_COUNT)
		return;
	t = &stats->reason[reason];
	t->min = t->count ? MIN(t->min, ticks) : ticks;
	t->max = MAX(t->max, ticks);
	t->count++;
	t->total += ticks;
	t->bucket[exit_stats_bucket(ticks)]++;
}

void exit_stats_add_vmcs(struct exit_stats *stats, unsigned int reason, u64 reads, u64 writes)
{
	if (reason >= VMX_EXIT_REASON_COUNT)
		return;
	stats->reason[reason].reads += reads;
	stats->reason[reason].writes += writes;
}

size_t exit_stats_histogram(const struct exit_times *times, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (unsigned int i = 0; i < EXIT_STATS_BUCKETS; i++) {
		if (times->bucket[i])
			len += scnprintf(buf + len, size - len, "%s%u: %llu", len ? ", " : "", i,
					 (ull)times->bucket[i]);
	}
	return len;
}

/* A name comes first, so that no row looks like one of the table of exits. */
static void print_times(const struct exit_stats *stats, const char *who)
{
	char text[EXIT_STATS_BUCKETS * 26];

	pr_info("%s: TSC ticks from exit to entry; n: exits of 2^n to 2^(n+1)-1\n", who);
	pr_info("  %-*s  %10s  %12s  %8s  %8s  %8s  n: exits\n", NAME_WIDTH, "reason", "exits",
		"total", "min", "mean", "max");
	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++) {
		const struct exit_times *t = &stats->reason[i];

		if (!t->count)
			continue;
		exit_stats_histogram(t, text, sizeof(text));
		pr_info("  %-*s  %10llu  %12llu  %8llu  %8llu  %8llu  %s\n", NAME_WIDTH,
			vmx_exit_reason_name(i), (ull)t->count, (ull)t->total, (ull)t->min,
			(ull)(t->total / t->count), (ull)t->max, text);
	}
}

static void print_vmcs_row(const char *name, u64 count, u64 reads, u64 writes)
{
	u64 hundredths = count ? (reads + writes) * 100 / count : 0;

	pr_info("  %-*s  %10llu  %10llu  %10llu  %5llu.%02llu\n", NAME_WIDTH, name, (ull)count,
		(ull)reads, (ull)writes, (ull)(hundredths / 100), (ull)(hundredths % 100));
}

static void print_vmcs(const struct exit_stats *stats, const char *who)
{
	u64 count = 0, reads = 0, writes = 0;

	pr_info("%s: VMREADs and VMWRITEs\n", who);
	pr_info("  %-*s  %10s  %10s  %10s  %8s\n", NAME_WIDTH, "reason", "exits", "VMREADs",
		"VMWRITEs", "each");
	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++) {
		const struct exit_times *t = &stats->reason[i];

		if (t->count)
			print_vmcs_row(vmx_exit_reason_name(i), t->count, t->reads, t->writes);
		count += t->count;
		reads += t->reads;
		writes += t->writes;
	}
	print_vmcs_row("all", count, reads, writes);
}

void exit_stats_print(const struct exit_stats *stats, const char *who, bool vmcs)
{
	print_times(stats, who);
	if (vmcs)
		print_vmcs(stats, who);
}
