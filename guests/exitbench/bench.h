/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An operation to be measured, and what the files of operations share. The names are those of KVM's
 * vmexit tests where there is such a test, so that results compare.
 */
#ifndef BENCH_H
#define BENCH_H

#include "smp.h"

/* An xAPIC can become an x2APIC; the way back is not open everywhere. So XAPIC comes first. */
enum apic_need { ANY_APIC, XAPIC, X2APIC };

struct op {
	const char *name;
	void (*run)(void);                /* once; or: */
	u64 (*timed)(void);               /* once; the ticks of the part that counts */
	const char *(*begin)(void);       /* NULL, or why it cannot be done here */
	const char *(*end)(u64 executed); /* NULL, or what went wrong */
	u32 most;                         /* repetitions, then without warm-up; 0: any number */
	enum apic_need apic;
};

/* Tables end with an operation that has no name. */
extern const struct op cpu_ops[], io_ops[], irq_ops[], ipi_ops[];

/* The TSC, when all that comes before has been done, and nothing that comes after. */
static inline u64 ticks(void)
{
	u32 lo, hi;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return make_64(hi, lo);
}

/* A register of the local APIC, in the mode that it is in: no question to the machine comes before. */
extern bool apic_by_msr;
static inline void apic_write(u32 reg, u32 value)
{
	if (apic_by_msr)
		wrmsr(IA32_X2APIC(reg), value);
	else
		*(volatile u32 *)(uintptr_t)(0xfee00000 + reg) = value;
}

/* CPU 0's interrupts (BENCH_VECTOR): how many came, and when the last handler began. */
#define BENCH_VECTOR 0x51
extern volatile u32 taken;
extern volatile u64 taken_at;
/* Called, and timed, in place of each EOI on CPU 0: by eoi_edge and eoi_level. NULL: just the EOI. */
extern void (*volatile before_eoi)(void);
extern volatile u64 eoi_took;

/* For begin(): nothing has been taken; for end(): one interrupt for each execution. */
const char *count_interrupts(void);
const char *one_interrupt_each(u64 executed);

#endif
