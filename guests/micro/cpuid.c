/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID: nothing is offered that then faults, nothing that is hidden works where the processor can
 * refuse it, and the hypervisor says what it is. "hidden=NAME,NAME" on the command line: these
 * features must not be offered.
 */
#include "micro.h"
#include "lib/string.h"

enum reg { EAX, EBX, ECX, EDX };

static u32 leaf(u32 n, u32 sub, enum reg reg)
{
	struct cpuid_regs r = cpuid(n, sub);

	return reg == EAX ? r.eax : reg == EBX ? r.ebx : reg == ECX ? r.ecx : r.edx;
}

static u8 memory[4096] __attribute__((aligned(64)));

/* --- one use of each feature: the vector, or NONE --- */

#define USE(name, text)                                                  \
	static int name(void)                                            \
	{                                                                \
		return TRY(text,                                         \
			   :                                             \
			   : "D"(memory), "a"(0), "b"(0), "c"(0), "d"(0) \
			   : "memory", "cc");                            \
	}

USE(use_sse3, "haddps %%xmm0, %%xmm0")
USE(use_pclmul, "pclmulqdq $0, %%xmm0, %%xmm0")
USE(use_ssse3, "pshufb %%xmm0, %%xmm0")
USE(use_fma, "vfmadd132ps %%ymm0, %%ymm0, %%ymm0")
USE(use_cx16, "cmpxchg16b (%%rdi)")
USE(use_sse41, "pminsd %%xmm0, %%xmm0")
USE(use_sse42, "crc32q (%%rdi), %%r8")
USE(use_movbe, "movbe (%%rdi), %%r8")
USE(use_popcnt, "popcnt (%%rdi), %%r8")
USE(use_aes, "aesenc %%xmm0, %%xmm0")
USE(use_xsave, "xgetbv")
USE(use_avx, "vaddps %%ymm0, %%ymm0, %%ymm0")
USE(use_f16c, "vcvtph2ps %%xmm0, %%ymm0")
USE(use_rdrand, "rdrand %%r8")
USE(use_tsc, "rdtsc")
USE(use_cx8, "cmpxchg8b (%%rdi)")
USE(use_cmov, "cmove %%eax, %%eax")
USE(use_clfsh, "clflush (%%rdi)")
USE(use_mmx, "paddb %%mm0, %%mm0\n\temms")
USE(use_fxsr, "fxsave64 (%%rdi)")
USE(use_sse, "addps %%xmm0, %%xmm0")
USE(use_sse2, "paddq %%xmm0, %%xmm0")
USE(use_bmi1, "andn %%r8, %%r8, %%r8")
USE(use_avx2, "vpaddd %%ymm0, %%ymm0, %%ymm0")
USE(use_bmi2, "pdep %%r8, %%r8, %%r8")
USE(use_erms, "rep stosb")
USE(use_avx512f, "vpaddd %%zmm0, %%zmm0, %%zmm0")
USE(use_avx512dq, "vpmullq %%zmm0, %%zmm0, %%zmm0")
USE(use_rdseed, "rdseed %%r8")
USE(use_adx, "adcx %%r8, %%r8")
USE(use_clflushopt, "clflushopt (%%rdi)")
USE(use_clwb, "clwb (%%rdi)")
USE(use_avx512cd, "vplzcntd %%zmm0, %%zmm0")
USE(use_sha, "sha1msg1 %%xmm0, %%xmm0")
USE(use_avx512bw, "vpaddb %%zmm0, %%zmm0, %%zmm0")
USE(use_avx512vl, "vpaddd %%ymm16, %%ymm16, %%ymm16")
USE(use_rdpid, "rdpid %%r8")
USE(use_gfni, "gf2p8mulb %%xmm0, %%xmm0")
USE(use_vaes, "vaesenc %%ymm0, %%ymm0, %%ymm0")
USE(use_verw, "sub $8, %%rsp\n\tmovw %%ds, (%%rsp)\n\tverw (%%rsp)\n\tadd $8, %%rsp")
USE(use_lahf, "lahf")
USE(use_lzcnt, "lzcnt %%r8, %%r8")
USE(use_prefetchw, "prefetchw (%%rdi)")
USE(use_rdtscp, "rdtscp")
USE(use_xsaveopt, "xsaveopt64 (%%rdi)")
USE(use_xsavec, "xsavec64 (%%rdi)")
USE(use_xgetbv1, "mov $1, %%ecx\n\txgetbv")
USE(use_xsaves, "xsaves64 (%%rdi)")
USE(use_invpcid, "mov $2, %%eax\n\tinvpcid (%%rdi), %%rax")
USE(use_clac, "clac")

/* Set bits of CR4 and take them back. */
static int try_cr4(u64 bits)
{
	u64 old = read_cr4();
	int vector = TRY("mov %0, %%cr4", : : "r"(old | bits) : "memory");

	if (vector == NONE && (read_cr4() & bits) != bits)
		report(false, "CR4 reads %lx after %lx was set", read_cr4(), bits);
	write_cr4(old & ~bits);
	if (!(~old & bits))
		write_cr4(old);
	return vector;
}

static int use_de(void)
{
	return try_cr4(CR4_DE);
}
static int use_pse(void)
{
	return try_cr4(CR4_PSE);
}
static int use_mce(void)
{
	return try_cr4(CR4_MCE);
}
static int use_pge(void)
{
	return try_cr4(CR4_PGE);
}
static int use_vme(void)
{
	return try_cr4(CR4_VME | 2);
}
static int use_pcid(void)
{
	return try_cr4(CR4_PCIDE);
}
static int use_umip(void)
{
	return try_cr4(CR4_UMIP);
}

static int use_smep(void)
{
	int vector;

	/* The image's own pages are user pages: supervisor code must not be among them meanwhile. */
	for (unsigned int i = 0; i < 8; i++)
		page_dirs[0][i] &= ~PTE_U;
	write_cr3(read_cr3());
	vector = try_cr4(CR4_SMEP);
	for (unsigned int i = 0; i < 8; i++)
		page_dirs[0][i] |= PTE_U;
	write_cr3(read_cr3());
	return vector;
}

static int use_smap(void)
{
	int vector;

	for (unsigned int i = 0; i < 8; i++)
		page_dirs[0][i] &= ~PTE_U;
	write_cr3(read_cr3());
	vector = try_cr4(CR4_SMAP);
	if (vector == NONE)
		vector = use_clac();
	for (unsigned int i = 0; i < 8; i++)
		page_dirs[0][i] |= PTE_U;
	write_cr3(read_cr3());
	return vector;
}

static int use_fsgsbase(void)
{
	int vector = try_cr4(CR4_FSGSBASE);

	if (vector != NONE)
		return vector;
	write_cr4(read_cr4() | CR4_FSGSBASE);
	vector = TRY("rdfsbase %%r8\n\twrgsbase %%r8", : : : "r8");
	write_cr4(read_cr4() & ~CR4_FSGSBASE);
	return vector;
}

static int try_msr(u32 msr)
{
	u64 value;

	return msr_try_read(msr, &value) && msr_try_write(msr, value) ? NONE : GP;
}

static int use_x2apic(void)
{
	u64 base = rdmsr(IA32_APIC_BASE);

	if (!msr_try_write(IA32_APIC_BASE, base | APIC_BASE_EXTD))
		return GP;
	wrmsr(IA32_APIC_BASE, base & ~(APIC_BASE_EN | APIC_BASE_EXTD));
	wrmsr(IA32_APIC_BASE, base);
	return NONE;
}

static int use_tsc_deadline(void)
{
	return try_msr(IA32_TSC_DEADLINE);
}
static int use_tsc_adjust(void)
{
	return try_msr(IA32_TSC_ADJUST);
}
static int use_mtrr(void)
{
	return try_msr(IA32_MTRR_DEF_TYPE);
}
static int use_pat(void)
{
	return try_msr(IA32_PAT);
}
static int use_mca(void)
{
	return try_msr(IA32_MCG_STATUS);
}
static int use_sep(void)
{
	return try_msr(IA32_SYSENTER_EIP);
}
static int use_apic(void)
{
	return lapic_read(0x30) & 0xff ? NONE : GP;
}

static int try_efer(u64 bit)
{
	u64 old = rdmsr(IA32_EFER);

	if (!msr_try_write(IA32_EFER, old | bit))
		return GP;
	wrmsr(IA32_EFER, old);
	return NONE;
}

static int use_syscall(void)
{
	return try_efer(EFER_SCE);
}
static int use_nx(void)
{
	return try_efer(EFER_NXE);
}

static int use_1g(void)
{
	volatile u64 *p = (volatile u64 *)(uintptr_t)(GIB(4) + 0x100000);
	int vector;

	pdpt[4] = 0 | 1 << 7 | PTE_W | PTE_P;
	invlpg(p);
	vector = TRY("mov (%0), %%rax", : : "r"(p) : "rax");
	pdpt[4] = 0;
	invlpg(p);
	return vector;
}

/* --- the features --- */

static const struct feature {
	const char *name;
	u32 leaf, sub;
	enum reg reg;
	u32 bit;
	int (*use)(void);
	bool refusable; /* when it is not offered, its use must fault */
} features[] = {
	{ "sse3", 1, 0, ECX, 0, use_sse3 },
	{ "pclmul", 1, 0, ECX, 1, use_pclmul },
	{ "ssse3", 1, 0, ECX, 9, use_ssse3 },
	{ "fma", 1, 0, ECX, 12, use_fma },
	{ "cx16", 1, 0, ECX, 13, use_cx16 },
	{ "pcid", 1, 0, ECX, 17, use_pcid, true },
	{ "sse4.1", 1, 0, ECX, 19, use_sse41 },
	{ "sse4.2", 1, 0, ECX, 20, use_sse42 },
	{ "x2apic", 1, 0, ECX, 21, use_x2apic, true },
	{ "movbe", 1, 0, ECX, 22, use_movbe },
	{ "popcnt", 1, 0, ECX, 23, use_popcnt },
	{ "tsc-deadline", 1, 0, ECX, 24, use_tsc_deadline, true },
	{ "aes", 1, 0, ECX, 25, use_aes },
	{ "xsave", 1, 0, ECX, 26, use_xsave, true },
	{ "avx", 1, 0, ECX, 28, use_avx, true },
	{ "f16c", 1, 0, ECX, 29, use_f16c },
	{ "rdrand", 1, 0, ECX, 30, use_rdrand },
	{ "vme", 1, 0, EDX, 1, use_vme, true },
	{ "de", 1, 0, EDX, 2, use_de, true },
	{ "pse", 1, 0, EDX, 3, use_pse, true },
	{ "tsc", 1, 0, EDX, 4, use_tsc },
	{ "mce", 1, 0, EDX, 7, use_mce, true },
	{ "cx8", 1, 0, EDX, 8, use_cx8 },
	{ "apic", 1, 0, EDX, 9, use_apic },
	{ "sep", 1, 0, EDX, 11, use_sep },
	{ "mtrr", 1, 0, EDX, 12, use_mtrr, true },
	{ "pge", 1, 0, EDX, 13, use_pge, true },
	{ "mca", 1, 0, EDX, 14, use_mca },
	{ "cmov", 1, 0, EDX, 15, use_cmov },
	{ "pat", 1, 0, EDX, 16, use_pat },
	{ "clfsh", 1, 0, EDX, 19, use_clfsh },
	{ "mmx", 1, 0, EDX, 23, use_mmx },
	{ "fxsr", 1, 0, EDX, 24, use_fxsr },
	{ "sse", 1, 0, EDX, 25, use_sse },
	{ "sse2", 1, 0, EDX, 26, use_sse2 },
	{ "fsgsbase", 7, 0, EBX, 0, use_fsgsbase, true },
	{ "tsc-adjust", 7, 0, EBX, 1, use_tsc_adjust, true },
	{ "bmi1", 7, 0, EBX, 3, use_bmi1 },
	{ "avx2", 7, 0, EBX, 5, use_avx2 },
	{ "smep", 7, 0, EBX, 7, use_smep, true },
	{ "bmi2", 7, 0, EBX, 8, use_bmi2 },
	{ "erms", 7, 0, EBX, 9, use_erms },
	{ "invpcid", 7, 0, EBX, 10, use_invpcid, true },
	{ "avx512f", 7, 0, EBX, 16, use_avx512f, true },
	{ "avx512dq", 7, 0, EBX, 17, use_avx512dq },
	{ "rdseed", 7, 0, EBX, 18, use_rdseed },
	{ "adx", 7, 0, EBX, 19, use_adx },
	{ "smap", 7, 0, EBX, 20, use_smap, true },
	{ "clflushopt", 7, 0, EBX, 23, use_clflushopt },
	{ "clwb", 7, 0, EBX, 24, use_clwb },
	{ "avx512cd", 7, 0, EBX, 28, use_avx512cd },
	{ "sha", 7, 0, EBX, 29, use_sha },
	{ "avx512bw", 7, 0, EBX, 30, use_avx512bw },
	{ "avx512vl", 7, 0, EBX, 31, use_avx512vl },
	{ "umip", 7, 0, ECX, 2, use_umip, true },
	{ "gfni", 7, 0, ECX, 8, use_gfni },
	{ "vaes", 7, 0, ECX, 9, use_vaes },
	{ "rdpid", 7, 0, ECX, 22, use_rdpid },
	{ "md-clear", 7, 0, EDX, 10, use_verw },
	{ "xsaveopt", 0xd, 1, EAX, 0, use_xsaveopt },
	{ "xsavec", 0xd, 1, EAX, 1, use_xsavec },
	{ "xgetbv1", 0xd, 1, EAX, 2, use_xgetbv1 },
	{ "xsaves", 0xd, 1, EAX, 3, use_xsaves, true },
	{ "lahf", 0x80000001, 0, ECX, 0, use_lahf },
	{ "lzcnt", 0x80000001, 0, ECX, 5, use_lzcnt },
	{ "prefetchw", 0x80000001, 0, ECX, 8, use_prefetchw },
	{ "syscall", 0x80000001, 0, EDX, 11, use_syscall },
	{ "nx", 0x80000001, 0, EDX, 20, use_nx },
	{ "1g-pages", 0x80000001, 0, EDX, 26, use_1g },
	{ "rdtscp", 0x80000001, 0, EDX, 27, use_rdtscp, true },
};

/* Bits that no guest may see, each of which would promise what Lintel does not keep. */
static const struct {
	const char *name;
	u32 leaf, sub;
	enum reg reg;
	u32 bit;
} withheld[] = {
	{ "MONITOR", 1, 0, ECX, 3 },
	{ "VMX", 1, 0, ECX, 5 },
	{ "SMX", 1, 0, ECX, 6 },
	{ "PDCM", 1, 0, ECX, 15 },
	{ "DS", 1, 0, EDX, 21 },
	{ "TM", 1, 0, EDX, 29 },
	{ "SGX", 7, 0, EBX, 2 },
	{ "HLE", 7, 0, EBX, 4 },
	{ "RTM", 7, 0, EBX, 11 },
	{ "PQM", 7, 0, EBX, 12 },
	{ "MPX", 7, 0, EBX, 14 },
	{ "PT", 7, 0, EBX, 25 },
	{ "PKU", 7, 0, ECX, 3 },
	{ "OSPKE", 7, 0, ECX, 4 },
	{ "WAITPKG", 7, 0, ECX, 5 },
	{ "CET_SS", 7, 0, ECX, 7 },
	{ "LA57", 7, 0, ECX, 16 },
	{ "PKS", 7, 0, ECX, 31 },
	{ "UINTR", 7, 0, EDX, 5 },
	{ "IBT", 7, 0, EDX, 20 },
	{ "AMX", 7, 0, EDX, 24 },
	{ "IBRS", 7, 0, EDX, 26 },
	{ "STIBP", 7, 0, EDX, 27 },
	{ "L1D_FLUSH", 7, 0, EDX, 28 },
	{ "ARCH_CAPABILITIES", 7, 0, EDX, 29 },
	{ "SSBD", 7, 0, EDX, 31 },
	{ "SVM", 0x80000001, 0, ECX, 2 },
};

static bool named(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list && *list && *list != ' ') {
		const char *end = list;

		while (*end && *end != ',' && *end != ' ')
			end++;
		if ((size_t)(end - list) == len && !memcmp(list, name, len))
			return true;
		list = *end == ',' ? end + 1 : end;
	}
	return false;
}

static void check_features(void)
{
	const char *hidden = option_value("hidden");
	unsigned int offered = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];
		bool there = leaf(f->leaf, f->sub, f->reg) >> f->bit & 1;
		int vector;

		if (named(hidden, f->name))
			report(!there, "%s is hidden from CPUID", f->name);
		else if (!hidden && f->refusable && f->leaf == 1)
			report(there, "%s is offered", f->name); /* every VT-x processor has it */
		offered += there;
		if (!there && !f->refusable)
			continue;
		vector = f->use();
		if (there)
			report(vector == NONE, "%s is offered, its use gives exception %d", f->name,
			       vector);
		else
			report(vector != NONE, "%s is not offered, its use gives no exception",
			       f->name);
	}
	report(offered >= 40, "%u features are offered", offered);
	for (unsigned int i = 0; i < ARRAY_SIZE(withheld); i++)
		report(!(leaf(withheld[i].leaf, withheld[i].sub, withheld[i].reg) >>
				 withheld[i].bit &
			 1),
		       "%s is not offered", withheld[i].name);
}

/* --- XSAVE --- */

static void check_xsave(void)
{
	struct cpuid_regs r;
	u64 mask;
	u32 size_x87;

	report(!(leaf(1, 0, ECX) & BIT(27)), "OSXSAVE is clear while CR4.OSXSAVE is");
	write_cr4(read_cr4() | CR4_OSXSAVE);
	report(leaf(1, 0, ECX) & BIT(27), "OSXSAVE is set when CR4.OSXSAVE is");
	r = cpuid(0xd, 0);
	mask = make_64(r.edx, r.eax);
	size_x87 = r.ebx;
	report(size_x87 == 576, "XSAVE area for x87 alone: %u", size_x87);
	for (unsigned int i = 1; i < 64; i++) {
		u64 value = BIT(i) | 3;
		int vector = TRY("xsetbv", : : "c"(0), "a"(lower_32(value)), "d"(upper_32(value)));

		if (!(mask & BIT(i)))
			report(vector == GP, "XCR0 bit %u is not offered: exception %d", i, vector);
	}
	report(TRY("xsetbv",
		   :
		   : "c"(0), "a"(lower_32(mask)), "d"(upper_32(mask))) == NONE,
	       "XSETBV of all that is offered, %lx", mask);
	r = cpuid(0xd, 0);
	report(r.ebx == r.ecx, "with all components on, the area has its full size: %u, %u", r.ebx,
	       r.ecx);
	for (unsigned int i = 2; i < 63; i++) {
		struct cpuid_regs c = cpuid(0xd, i);

		report(!!c.eax == !!(mask & BIT(i)), "component %u: %u bytes", i, c.eax);
		report(c.eax + c.ebx <= r.ecx, "component %u lies in the area", i);
	}
}

/* --- identity and time --- */

/* The frequency that CPUID tells, against the PIT's channel 2 over 10 ms. */
static void check_frequency(void)
{
	struct cpuid_regs r = cpuid(0x15, 0);
	u64 start, ticks, hz;

	report(r.eax && r.ebx && r.ecx, "leaf 15H: %u/%u of %u Hz", r.ebx, r.eax, r.ecx);
	if (!r.eax)
		return;
	hz = (u64)r.ecx * r.ebx / r.eax;
	outb(0x61, (u8)((inb(0x61) & ~2) | 1));
	outb(0x43, 0xb0);
	outb(0x42, 11932 & 0xff);
	outb(0x42, 11932 >> 8);
	start = rdtsc();
	while (!(inb(0x61) & 0x20) && rdtsc() - start < hz)
		;
	ticks = (rdtsc() - start) * 100;
	report(ticks > hz - hz / 50, "leaf 15H says %lu Hz, the PIT at least %lu", hz, ticks);
	if (!option("shared")) /* others may have run in between */
		report(ticks < hz + hz / 50, "leaf 15H says %lu Hz, the PIT at most %lu", hz,
		       ticks);
	report(cpuid(0x16, 0).eax == hz / 1000000, "leaf 16H: %u MHz", cpuid(0x16, 0).eax);
}

static void check_hypervisor(void)
{
	struct cpuid_regs r = cpuid(0x40000000, 0);

	if (named(option_value("hidden"), "pv")) {
		report(!(leaf(1, 0, ECX) & BIT(31)), "the hypervisor bit is hidden");
		report(!r.eax && !r.ebx && !r.ecx && !r.edx, "leaf 40000000H is empty");
		report(!leaf(0x40000100, 0, EBX), "leaf 40000100H is empty");
		return;
	}
	report(leaf(1, 0, ECX) & BIT(31), "the hypervisor bit");
	report(r.ebx == 0x4b4d564b && r.ecx == 0x564b4d56 && r.edx == 0x4d, "KVM's signature");
	report(r.eax >= 0x40000010 && r.eax < 0x40000100, "the last leaf of KVM's: %x", r.eax);
	r = cpuid(0x40000001, 0);
	report((r.eax & ~BIT(24)) == 0x3aea, "the paravirtual features: %x", r.eax);
	report(!(r.eax & BIT(24)) == !(leaf(0x80000007, 0, EDX) & BIT(8)),
	       "a stable clock with an invariant TSC, and only then");
	report(!r.ebx && !r.ecx && !(r.edx & ~1u), "no hint but realtime: %x", r.edx);
	report(cpuid(0x40000010, 0).eax == tsc_hz / 1000, "leaf 40000010H: %u kHz",
	       cpuid(0x40000010, 0).eax);
	r = cpuid(0x40000100, 0);
	report(!memcmp(&r.ebx, "LintelLintel", 12), "Lintel's own signature");
}

static void check_identity(void)
{
	struct cpuid_regs r = cpuid(0, 0);

	report(r.eax == 0x16, "the last basic leaf: %x", r.eax);
	report(r.ebx == 0x756e6547 && r.edx == 0x49656e69 && r.ecx == 0x6c65746e,
	       "the vendor is Intel");
	report(cpuid(0x80000000, 0).eax == 0x80000008, "the last extended leaf");
	report((leaf(0x80000008, 0, EAX) & 0xff) >= 36, "physical address bits");
	report((leaf(0x80000008, 0, EAX) >> 8 & 0xff) == 48, "linear address bits");
	/* A hypervisor below ours may keep it back. */
	report((leaf(0x80000007, 0, EDX) & BIT(8)) || option("variant-tsc"), "an invariant TSC");
	report(leaf(6, 0, EAX) == BIT(2), "leaf 6: ARAT alone");
	r = cpuid(0xa, 0);
	report(!r.eax && !r.ebx && !r.ecx && !r.edx, "leaf 0AH: no PMU");
	report((leaf(1, 0, EBX) >> 16 & 0xff) <= 1 && !(leaf(1, 0, EDX) & BIT(28)),
	       "one logical processor");
	report(leaf(1, 0, EBX) >> 24 == 0, "initial APIC ID");
	report((leaf(0xb, 0, EBX) & 0xffff) == 1 && (leaf(0xb, 1, EBX) & 0xffff) == 1,
	       "leaf 0BH: one processor");
	report(leaf(0xb, 0, EDX) == 0, "leaf 0BH: x2APIC ID");
	for (u32 n = 0xe; n < 0x15; n++) {
		r = cpuid(n, 0);
		report(!r.eax && !r.ebx && !r.ecx && !r.edx, "leaf %x is empty", n);
	}
	for (u32 n = 0x80000009; n < 0x80000020; n++) {
		r = cpuid(n, 0);
		report(!r.eax && !r.ebx && !r.ecx && !r.edx, "leaf %x is empty", n);
	}
	for (u32 sub = 1; sub < 4; sub++) {
		r = cpuid(7, sub);
		report(!r.eax && !r.ebx && !r.ecx && !r.edx, "leaf 7.%u is empty", sub);
	}
}

void guest_main(void)
{
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	check_identity();
	check_hypervisor();
	if (leaf(1, 0, ECX) & BIT(26))
		check_xsave();
	check_features();
	check_frequency();
}
