/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VM keeps in registers that exits do not switch stays its own while other VMs run: two or
 * more of these, with different seeds, run in turn for a while. "nosse": this one has no XSAVE.
 */
#include "micro.h"
#include "lib/string.h"

static const u32 msrs[] = { IA32_STAR,           IA32_LSTAR,        IA32_CSTAR,        IA32_FMASK,
			    IA32_KERNEL_GS_BASE, IA32_TSC_AUX,      IA32_FS_BASE,      IA32_GS_BASE,
			    IA32_SYSENTER_CS,    IA32_SYSENTER_ESP, IA32_SYSENTER_EIP, IA32_PAT,
			    IA32_DEBUGCTL };

static u8 area[4096] __attribute__((aligned(64))), again[4096] __attribute__((aligned(64)));
static bool xsave;
static u64 xcr0;

static u64 value_of(unsigned int i, u8 seed)
{
	switch (msrs[i]) {
	case IA32_PAT: return seed % 2 ? 0x0706050400000000 : 0x0007040600070406;
	case IA32_DEBUGCTL: return seed % 2 ? 2 : 0;
	case IA32_TSC_AUX:
	case IA32_SYSENTER_CS:
	case IA32_FMASK: return seed * 0x100u;
	case IA32_STAR: return (u64)seed << 48;
	default: return seed * 0x1000u + i;
	}
}

static void restore_fpu(const u8 *from)
{
	if (xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(from), "a"(~0u), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(from) : "memory");
}

static void save_fpu(u8 *to)
{
	memset(to, 0, sizeof(area));
	if (xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(to), "a"(~0u), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(to) : "memory");
}

static void fill(u8 seed)
{
	memset(area, seed, 512);
	*(u16 *)(void *)area = 0x37f;
	*(u32 *)(void *)(area + 24) = 0x1f80 | (seed & 0x3f);
	memset(area + 512, 0, 64);
	area[512] = (u8)xcr0;
	if (xsave)
		memset(area + 576, seed, cpuid(0xd, 0).ebx - 576);
	restore_fpu(area);
	save_fpu(area);
	write_dr0(seed * 0x10000u);
	write_dr1(seed * 0x20000u);
	write_dr2(seed * 0x30000u);
	write_dr3(seed * 0x40000u);
	write_dr6(seed % 2 ? 0xffff0ff1 : 0xffff0ff2);
	write_cr2(seed * 0x50000u);
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++)
		wrmsr(msrs[i], value_of(i, seed));
}

static void check(u8 seed)
{
	u64 bad = 0;

	save_fpu(again);
	for (unsigned int i = 0; i < sizeof(area); i++) {
		if (area[i] != again[i] && !bad)
			bad = i + 1;
	}
	report(!bad, "x87, SSE, AVX state: byte %lu of the area has become %x", bad - 1,
	       bad ? again[bad - 1] : 0);
	report(!xsave || xgetbv(0) == xcr0, "XCR0");
	report(read_dr0() == seed * 0x10000u && read_dr1() == seed * 0x20000u &&
		       read_dr2() == seed * 0x30000u && read_dr3() == seed * 0x40000u,
	       "DR0 to DR3");
	report(read_dr6() == (seed % 2 ? 0xffff0ff1 : 0xffff0ff2), "DR6: %lx", read_dr6());
	report(read_cr2() == seed * 0x50000u, "CR2: %lx", read_cr2());
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++)
		report(rdmsr(msrs[i]) == value_of(i, seed), "MSR %x: %lx", msrs[i], rdmsr(msrs[i]));
}

static unsigned int slices_seen;

/* A gap in the TSC that no exit explains: somebody else has run. */
static void let_others_run(void)
{
	u64 last = rdtsc(), end = last + microseconds(15000);

	while (last < end) {
		u64 now = rdtsc();

		if (now - last > microseconds(1000))
			slices_seen++;
		last = now;
	}
}

void guest_main(void)
{
	const char *text = option_value("seed");
	u8 seed = (u8)(text ? *text : 'A');

	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	xsave = cpuid(1, 0).ecx & BIT(26);
	if (xsave) {
		struct cpuid_regs r = cpuid(0xd, 0);

		write_cr4(read_cr4() | CR4_OSXSAVE);
		/* One VM without AVX: its neighbours' YMM registers are not to be touched by that. */
		xcr0 = option("sse-only") ? 3 : make_64(r.edx, r.eax);
		xsetbv(0, xcr0);
	}
	fill(seed);
	for (unsigned int round = 0; round < 20; round++) {
		let_others_run();
		check(seed);
		seed ^= 3;
		fill(seed);
	}
	report(slices_seen >= 5 || option("alone"), "other VMs ran in between, %u times at least",
	       slices_seen);
}
