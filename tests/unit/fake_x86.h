/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processor's privileged instructions for host tests: registers that are just variables, a
 * clock that can be stopped, and a CPUID that a test may make up.
 */
#ifndef TESTS_UNIT_FAKE_X86_H
#define TESTS_UNIT_FAKE_X86_H

#include "lib/types.h"
#include "lib/x86.h"

struct fake_x86 {
	u64 cr0, cr2, cr3, cr4, cr8;
	u64 dr0, dr1, dr2, dr3, dr6, dr7;
	u64 xcr0;
	u64 tsc;                                           /* what RDTSC reads; 0: the real one */
	u64 (*rdtsc)(void);                                /* NULL: tsc */
	void (*wrmsr)(u32 msr, u64 value);                 /* after a WRMSR, if not NULL */
	struct cpuid_regs (*cpuid)(u32 leaf, u32 subleaf); /* NULL: fake_cpuid_full */
	unsigned int irq_windows, nmis, machine_checks;    /* taken or raised */
};
extern struct fake_x86 fake_x86;

/* A processor that has whatever can be asked for, the same on every machine that runs the tests. */
struct cpuid_regs fake_cpuid_full(u32 leaf, u32 subleaf);

/* Forget all of the above, and all MSRs. */
void fake_x86_reset(void);

/* RDMSR and WRMSR of an MSR that no test has given a value end the test: here they get one. */
void fake_msr_set(u32 msr, u64 value);
u64 fake_msr(u32 msr);

#endif
