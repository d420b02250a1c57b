/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an exit costs: instructions (in Bochs, ticks) for each of N operations, the loop included.
 * The best of some runs: one that no time slice's end has disturbed.
 */
#include "micro.h"
#include "lib/print.h"

#define N    200
#define RUNS 6

/* What Lintel's summary keeps of it: a line of the machine's own. */
static char note[80];
static size_t noted;

static void keep(const char *name, u64 ticks)
{
	noted += scnprintf(note + noted, sizeof(note) - noted, " %s %lu", name, ticks);
}

#define MEASURE(in_note, name, text)                                                            \
	do {                                                                                    \
		u64 best = ~0ULL;                                                               \
		for (unsigned int run = 0; run < RUNS; run++) {                                 \
			u64 start = rdtsc();                                                    \
			__asm__ volatile("mov %0, %%esi\n1:\n\t" text "\n\tdec %%esi\n\tjnz 1b" \
					 :                                                      \
					 : "i"(N)                                               \
					 : "rax", "rbx", "rcx", "rdx", "rsi", "memory", "cc");  \
			best = MIN(best, rdtsc() - start);                                      \
		}                                                                               \
		say(name " %lu", best / N);                                                     \
		if (in_note)                                                                    \
			keep(name, best / N);                                                   \
	} while (0)

void guest_main(void)
{
	/* The loop alone, then one exit each. */
	MEASURE(false, "nothing", "nop");
	MEASURE(true, "cpuid", "xor %%eax, %%eax\n\tcpuid");
	MEASURE(true, "vmcall", "vmcall");
	MEASURE(true, "rdmsr", "mov $0x1b, %%ecx\n\trdmsr");
	MEASURE(false, "wrmsr",
		"mov $0x6e0, %%ecx\n\txor %%eax, %%eax\n\txor %%edx, %%edx\n\twrmsr");
	MEASURE(true, "out", "out %%al, $0x80");
	MEASURE(false, "in", "in $0x80, %%al");
	MEASURE(true, "mmio", "mov 0xfec00000, %%eax");
	MEASURE(false, "xsetbv",
		"mov %%cr4, %%rax\n\tbts $18, %%rax\n\tmov %%rax, %%cr4\n\txor %%ecx, %%ecx\n\t"
		"xor %%edx, %%edx\n\tmov $1, %%eax\n\txsetbv");
	say("note: cycles%s", note);
	report(true, "all of them came back");
}
