/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_MSRS 128

struct fake_x86 fake_x86;

static struct {
	u32 msr;
	u64 value;
} msrs[FAKE_MSRS];
static unsigned int nr_msrs;

void fake_x86_reset(void)
{
	memset(&fake_x86, 0, sizeof(fake_x86));
	nr_msrs = 0;
}

static u64 *find_msr(u32 msr)
{
	for (unsigned int i = 0; i < nr_msrs; i++) {
		if (msrs[i].msr == msr)
			return &msrs[i].value;
	}
	return NULL;
}

static u64 *need_msr(u32 msr)
{
	u64 *value = find_msr(msr);

	if (!value) {
		fprintf(stderr, "the host's MSR 0x%x is not the VMM's business\n", msr);
		abort();
	}
	return value;
}

void fake_msr_set(u32 msr, u64 value)
{
	u64 *old = find_msr(msr);

	if (old) {
		*old = value;
		return;
	}
	if (nr_msrs == FAKE_MSRS)
		abort();
	msrs[nr_msrs].msr = msr;
	msrs[nr_msrs++].value = value;
}

u64 fake_msr(u32 msr)
{
	return *need_msr(msr);
}

u64 rdmsr(u32 msr)
{
	return *need_msr(msr);
}

void wrmsr(u32 msr, u64 value)
{
	*need_msr(msr) = value;
	if (fake_x86.wrmsr)
		fake_x86.wrmsr(msr, value);
}

/* All bits set, but for what describes sizes: of the vector state, of addresses. */
struct cpuid_regs fake_cpuid_full(u32 leaf, u32 subleaf)
{
	static const struct cpuid_regs component[] = { [2] = { 256, 576, 0, 0 },
						       [5] = { 64, 1088, 0, 0 },
						       [6] = { 512, 1152, 0, 0 },
						       [7] = { 1024, 1664, 0, 0 } };

	if (leaf == 0xd && subleaf >= 2)
		return subleaf < ARRAY_SIZE(component) ? component[subleaf]
						       : (struct cpuid_regs){ 0 };
	if (leaf == 0x80000008) /* address sizes: 46 and 57 bits */
		return (struct cpuid_regs){ 0xffff392e, ~0u, ~0u, ~0u };
	return (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
}

struct cpuid_regs cpuid(u32 leaf, u32 subleaf)
{
	return fake_x86.cpuid ? fake_x86.cpuid(leaf, subleaf) : fake_cpuid_full(leaf, subleaf);
}

u64 rdtsc(void)
{
	if (fake_x86.rdtsc)
		return fake_x86.rdtsc();
	return fake_x86.tsc ? fake_x86.tsc : __builtin_ia32_rdtsc();
}

void xsetbv(u32 xcr, u64 value)
{
	if (xcr)
		abort();
	fake_x86.xcr0 = value;
}

void irq_window(void)
{
	fake_x86.irq_windows++;
}

void raise_nmi(void)
{
	fake_x86.nmis++;
}

void raise_machine_check(void)
{
	fake_x86.machine_checks++;
}

#define FAKE_REGISTER(reg)           \
	u64 read_##reg(void)         \
	{                            \
		return fake_x86.reg; \
	}                            \
                                     \
	void write_##reg(u64 v)      \
	{                            \
		fake_x86.reg = v;    \
	}

FAKE_REGISTER(cr0)
FAKE_REGISTER(cr2)
FAKE_REGISTER(cr3)
FAKE_REGISTER(cr4)
FAKE_REGISTER(cr8)
FAKE_REGISTER(dr0)
FAKE_REGISTER(dr1)
FAKE_REGISTER(dr2)
FAKE_REGISTER(dr3)
FAKE_REGISTER(dr6)
FAKE_REGISTER(dr7)
