/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs: all of them are read and written; what is not on the list of docs is #GP, and what is has
 * its defined effect. The guest goes on.
 */
#include "micro.h"
#include "lib/string.h"

/* The MSRs that a guest has. */
static const struct range {
	u32 first, last;
} there[] = {
	{ 0x10, 0x10 },
	{ 0x17, 0x17 },
	{ 0x1b, 0x1b },
	{ 0x3a, 0x3b },
	{ 0x8b, 0x8b },
	{ 0xfe, 0xfe },
	{ 0x174, 0x176 },
	{ 0x179, 0x17a },
	{ 0x1a0, 0x1a0 },
	{ 0x1d9, 0x1d9 },
	{ 0x277, 0x277 },
	{ 0x2ff, 0x2ff },
	{ 0x6e0, 0x6e0 },
	{ 0xda0, 0xda0 },
	{ 0xc0000080, 0xc0000084 },
	{ 0xc0000100, 0xc0000103 },
};

static const struct range swept[] = { { 0, 0x1fff },
				      { 0x40000000, 0x40000fff },
				      { 0xc0000000, 0xc0001fff } };

static bool has_xsaves(void)
{
	return cpuid(0xd, 1).eax & BIT(3);
}

static bool is_there(u32 msr)
{
	if (msr == IA32_XSS)
		return has_xsaves();
	for (unsigned int i = 0; i < ARRAY_SIZE(there); i++) {
		if (msr >= there[i].first && msr <= there[i].last)
			return true;
	}
	return false;
}

static void sweep_one(u32 msr)
{
	static const u64 values[] = { 0, ~0ULL, 0x8000000000000000 };
	u64 value = 0, ignored;
	bool readable = msr_try_read(msr, &value);

	if (readable != is_there(msr))
		report(false, "MSR %x: read gives %s", msr, readable ? "a value" : "#GP");
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		if (msr_try_write(msr, values[i]) && !is_there(msr))
			report(false, "MSR %x: a write of %lx gives no #GP", msr, values[i]);
	}
	if (!readable)
		return;
	if (!msr_try_read(msr, &ignored))
		report(false, "MSR %x: cannot be read any more", msr);
	if (msr != IA32_TIME_STAMP_COUNTER)
		(void)msr_try_write(msr, value);
}

static void sweep(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(swept); i++) {
		unsigned int before = failed;

		for (u32 msr = swept[i].first; msr <= swept[i].last; msr++)
			sweep_one(msr);
		report(failed == before, "sweep of MSRs %x to %x", swept[i].first, swept[i].last);
	}
}

static void check_tsc(void)
{
	u64 t, adjust;

	wrmsr(IA32_TSC_ADJUST, 0);
	t = rdtsc();
	wrmsr(IA32_TSC_ADJUST, GIB(1024));
	report(rdtsc() - t - GIB(1024) < GIB(1), "TSC_ADJUST moves the TSC");
	report(rdmsr(IA32_TSC_ADJUST) == GIB(1024), "TSC_ADJUST reads back");
	wrmsr(IA32_TSC_ADJUST, 0);
	report(rdtsc() - t < GIB(1), "TSC_ADJUST moves the TSC back");
	wrmsr(IA32_TIME_STAMP_COUNTER, 1000);
	report(rdtsc() - 1000 < GIB(1), "the TSC can be written");
	report(rdmsr(IA32_TIME_STAMP_COUNTER) - 1000 < GIB(1), "and read as an MSR");
	adjust = rdmsr(IA32_TSC_ADJUST);
	report(adjust && 1000 - t - adjust < GIB(1), "that is in TSC_ADJUST: %lx", adjust);
	wrmsr(IA32_TSC_ADJUST, 0);
}

static void check_apic_base(void)
{
	const u64 base = 0xfee00000 | APIC_BASE_BSP, x = APIC_BASE_EN,
		  x2 = APIC_BASE_EN | APIC_BASE_EXTD;

	report(rdmsr(IA32_APIC_BASE) == (base | x), "APIC_BASE: %lx", rdmsr(IA32_APIC_BASE));
	report(!msr_try_write(IA32_APIC_BASE, base | APIC_BASE_EXTD),
	       "xAPIC to EXTD without EN is #GP");
	report(!msr_try_write(IA32_APIC_BASE, (base | x) + 0x1000), "moving the page is #GP");
	report(!msr_try_write(IA32_APIC_BASE, base | x | 1), "a reserved low bit is #GP");
	report(!msr_try_write(IA32_APIC_BASE, base | x | BIT(60)), "a reserved high bit is #GP");
	report(msr_try_write(IA32_APIC_BASE, base | x2), "xAPIC to x2APIC");
	report(rdmsr(IA32_X2APIC(0x20)) == 0, "the x2APIC ID");
	report(!msr_try_write(IA32_APIC_BASE, base | x), "x2APIC to xAPIC is #GP");
	report(!msr_try_write(IA32_APIC_BASE, base | APIC_BASE_EXTD),
	       "x2APIC to EXTD without EN is #GP");
	report(msr_try_write(IA32_APIC_BASE, base), "x2APIC to disabled");
	report(!(cpuid(1, 0).edx & BIT(9)), "CPUID shows no APIC while it is disabled");
	report(!msr_try_write(IA32_APIC_BASE, base | x2), "disabled to x2APIC is #GP");
	report(*(volatile u32 *)(uintptr_t)0xfee00030 == ~0u, "no registers while disabled");
	report(msr_try_write(IA32_APIC_BASE, base | x), "disabled to xAPIC");
	report(*(volatile u32 *)(uintptr_t)0xfee00030 >> 16 == 0x0105, "its version register: %x",
	       *(volatile u32 *)(uintptr_t)0xfee00030);
	report(!msr_try_write(IA32_X2APIC(0x80), 0), "no x2APIC registers in xAPIC mode");
}

static void check_efer(void)
{
	u64 efer = rdmsr(IA32_EFER);

	report(efer == (EFER_LME | EFER_LMA), "EFER: %lx", efer);
	report(!msr_try_write(IA32_EFER, efer & ~EFER_LME),
	       "EFER.LME cannot change while paging is on");
	report(!msr_try_write(IA32_EFER, efer | BIT(1)), "EFER's reserved bit 1");
	report(!msr_try_write(IA32_EFER, efer | BIT(12)), "EFER.SVME");
	report(msr_try_write(IA32_EFER, efer | EFER_NXE | EFER_SCE), "EFER.NXE and SCE");
	report(rdmsr(IA32_EFER) == (efer | EFER_NXE | EFER_SCE), "EFER reads back: %lx",
	       rdmsr(IA32_EFER));
	report(msr_try_write(IA32_EFER, efer & ~EFER_LMA), "EFER.LMA is not writable");
	report(rdmsr(IA32_EFER) == efer, "EFER.LMA stays: %lx", rdmsr(IA32_EFER));
}

static void check_pat_and_mtrr(void)
{
	static const u8 bad[] = { 2, 3, 8, 0xff };
	u64 pat = rdmsr(IA32_PAT);

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		report(!msr_try_write(IA32_PAT, (pat & ~0xffULL) | bad[i]), "PAT type %u is #GP",
		       bad[i]);
		report(!msr_try_write(IA32_MTRR_DEF_TYPE, bad[i]), "MTRR default type %u is #GP",
		       bad[i]);
	}
	report(msr_try_write(IA32_PAT, 0x0605040100070406), "another PAT");
	report(rdmsr(IA32_PAT) == 0x0605040100070406, "PAT reads back: %lx", rdmsr(IA32_PAT));
	wrmsr(IA32_PAT, pat);
	report(rdmsr(IA32_MTRRCAP) == 0, "MTRRCAP: no ranges");
	report(!msr_try_write(IA32_MTRRCAP, 0), "MTRRCAP is read-only");
	report(rdmsr(IA32_MTRR_DEF_TYPE) == (BIT(11) | 6), "MTRR default type: write-back, on");
	report(msr_try_write(IA32_MTRR_DEF_TYPE, 0) && rdmsr(IA32_MTRR_DEF_TYPE) == 0, "MTRRs off");
	wrmsr(IA32_MTRR_DEF_TYPE, BIT(11) | 6);
}

static void check_addresses(void)
{
	static const u32 msrs[] = { IA32_SYSENTER_ESP,  IA32_SYSENTER_EIP, IA32_LSTAR,
				    IA32_CSTAR,         IA32_FS_BASE,      IA32_GS_BASE,
				    IA32_KERNEL_GS_BASE };

	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		u64 old = rdmsr(msrs[i]);

		report(!msr_try_write(msrs[i], BIT(47)), "MSR %x: a non-canonical address is #GP",
		       msrs[i]);
		report(msr_try_write(msrs[i], ~0ULL << 47), "MSR %x takes a canonical one",
		       msrs[i]);
		report(rdmsr(msrs[i]) == ~0ULL << 47, "MSR %x reads back", msrs[i]);
		wrmsr(msrs[i], old);
	}
}

static void check_rest(void)
{
	report(rdmsr(IA32_FEATURE_CONTROL) == 1, "FEATURE_CONTROL is locked, without VMX");
	report(!msr_try_write(IA32_FEATURE_CONTROL, 5), "FEATURE_CONTROL: locked is #GP");
	report(rdmsr(IA32_MCG_CAP) == 0, "MCG_CAP: no banks");
	report((rdmsr(IA32_MISC_ENABLE) & (BIT(0) | BIT(11) | BIT(12))) == 0x1801,
	       "MISC_ENABLE: %lx", rdmsr(IA32_MISC_ENABLE));
	report(!(rdmsr(IA32_MISC_ENABLE) & BIT(18)), "MISC_ENABLE without MONITOR");
	report(rdmsr(IA32_BIOS_SIGN_ID) >> 32, "a microcode revision");
	report(msr_try_write(IA32_DEBUGCTL, 2) && rdmsr(IA32_DEBUGCTL) == 2, "DEBUGCTL.BTF");
	report(!msr_try_write(IA32_DEBUGCTL, 1), "DEBUGCTL.LBR is #GP");
	report(!msr_try_write(IA32_DEBUGCTL, BIT(6)), "DEBUGCTL.TR is #GP");
	wrmsr(IA32_DEBUGCTL, 0);
	if (has_xsaves())
		report(msr_try_write(IA32_XSS, 0) && !msr_try_write(IA32_XSS, BIT(8)),
		       "XSS: 0 alone");
	report(msr_try_write(IA32_TSC_AUX, 0x1234), "TSC_AUX");
	report(TRY("rdtscp\n\tcmp $0x1234, %%ecx\n\tje 1f\n\tud2\n1:",
		   :
		   :
		   : "rax", "rcx", "rdx") == NONE,
	       "RDTSCP gives it");
	wrmsr(IA32_TSC_AUX, 0);
}

void guest_main(void)
{
	check_apic_base();
	check_tsc();
	check_efer();
	check_pat_and_mtrr();
	check_addresses();
	check_rest();
	sweep();
}
