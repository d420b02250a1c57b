/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM whose work must go on while its neighbours misbehave: it computes, sleeps by its timer, and
 * counts how long the others kept it from the CPU.
 */
#include "micro.h"

#define ROUNDS 20

void guest_main(void)
{
	u64 start = rdtsc(), longest = 0, sum = 0;

	irq_end = END_LAPIC;
	lapic_write(0x3e0, 0xb);
	lapic_write(0x320, 0x50);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		u64 asked = rdtsc(), late;

		irq_clear();
		lapic_write(0x380, (u32)microseconds(1000));
		while (!irq_count[0x50])
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		late = rdtsc() - asked - microseconds(1000);
		longest = MAX(longest, late);
		for (u64 n = 0; n < 1000; n++)
			sum += n * i;
	}
	report(sum == 999ULL * 1000 / 2 * (ROUNDS * (ROUNDS - 1) / 2), "the sum is right: %lu",
	       sum);
	/* Each of up to 15 others may have a time slice of 10 ms before it. */
	report(longest < microseconds(15 * 11000), "the longest delay: %lu ticks", longest);
	say("%u rounds in %lu ticks, longest delay %lu", ROUNDS, rdtsc() - start, longest);
}
