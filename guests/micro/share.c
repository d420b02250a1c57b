/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of the machine a VM gets: all its CPUs count for a second of the VM's time. VMs that
 * run this side by side start about together; each is busy for longer than it counts, on both sides.
 */
#include "smp.h"

static u64 begin, end, leave;
static u64 work[SMP_CPUS];

static u64 milliseconds(const char *key, u64 otherwise)
{
	return microseconds(1000 * option_number(key, otherwise));
}

static void count(void *arg)
{
	u64 mine = 0, now;

	(void)arg;
	irq_enable();
	do {
		now = rdtsc();
		mine += now >= begin && now < end;
	} while (now < leave);
	work[this_cpu()->index] = mine;
}

void guest_main(void)
{
	u64 least = ~0ULL, most = 0, all = 0;

	begin = milliseconds("begin", 2000);
	end = begin + milliseconds("count", 1000);
	leave = end + microseconds(SECOND) / 2;
	if (!smp_start())
		return;
	report(rdtsc() < begin, "is ready in time");
	run_on_all(count, NULL);
	leave += milliseconds("wait", 0);
	while (rdtsc() < leave)
		cpu_pause(); /* so that not all tell at once */
	for (unsigned int i = 0; i < cpu_count; i++) {
		all += work[i];
		least = MIN(least, work[i]);
		most = MAX(most, work[i]);
	}
	say("work %lu, of each CPU %lu to %lu", all, least, most);
}
