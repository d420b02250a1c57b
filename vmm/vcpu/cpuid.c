/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/cpuid.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/vcpu/pv_abi.h"
#include "vmx/caps.h"

/* The bits of one register of one leaf that guests may see. */
struct cpuid_allow {
	u32 leaf, subleaf;
	enum cpuid_reg reg;
	u32 host;   /* offered when the processor has it */
	u32 always; /* offered in any case: Lintel emulates it */
};

#define B(n) (1u << (n))

/*
 * Left out on purpose, because a guest must not have it or nothing stands behind it: MONITOR,
 * DS, TM, PBE, VMX, SMX, PDCM, xTPR, DCA, SDBG (leaf 1); SGX, RTM, HLE, MPX, PQM, PT, PKU, OSPKE,
 * LA57, WAITPKG, CET, UINTR, AMX, SPEC_CTRL, ARCH_CAPABILITIES (leaf 7); the PMU (leaf 0AH).
 */
static const struct cpuid_allow allow[] = {
	/* SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
	{ 1, 0, CPUID_ECX,
	  B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) |
		  B(26) | B(28) | B(29) | B(30),
	  B(21) | B(24) | B(31) /* x2APIC, TSC deadline, hypervisor */ },
	/* FPU VME DE PSE TSC MSR PAE MCE CX8 SEP PGE CMOV PSE36 CLFSH MMX FXSR SSE SSE2 SS */
	{ 1, 0, CPUID_EDX,
	  B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(11) | B(13) | B(15) |
		  B(17) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27),
	  B(9) | B(12) | B(14) | B(16) /* APIC, MTRR, MCA, PAT */ },
	{ 6, 0, CPUID_EAX, 0, B(2) /* ARAT: the TSC-deadline timer does not stop */ },
	/* FSGSBASE BMI1 AVX2 FDP SMEP BMI2 ERMS INVPCID FCSDS AVX512F,DQ RDSEED ADX SMAP IFMA
	 * CLFLUSHOPT CLWB AVX512CD SHA AVX512BW,VL */
	{ 7, 0, CPUID_EBX,
	  B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) | B(17) | B(18) |
		  B(19) | B(20) | B(21) | B(23) | B(24) | B(28) | B(29) | B(30) | B(31),
	  B(1) /* TSC_ADJUST */ },
	/* VBMI UMIP VBMI2 GFNI VAES VPCLMUL VNNI BITALG VPOPCNTDQ RDPID */
	{ 7, 0, CPUID_ECX, B(1) | B(2) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22),
	  0 },
	/* FSRM, MD_CLEAR (VERW clears buffers, no MSR needed) */
	{ 7, 0, CPUID_EDX, B(4) | B(10), 0 },
	/* XSAVEOPT XSAVEC XGETBV1 XSAVES */
	{ 0xd, 1, CPUID_EAX, B(0) | B(1) | B(2) | B(3), 0 },
	/* LAHF LZCNT PREFETCHW */
	{ 0x80000001, 0, CPUID_ECX, B(0) | B(5) | B(8), 0 },
	/* SYSCALL NX 1G pages RDTSCP long mode */
	{ 0x80000001, 0, CPUID_EDX, B(11) | B(20) | B(26) | B(27) | B(29), 0 },
	{ 0x80000007, 0, CPUID_EDX, B(8) /* invariant TSC */, 0 },
};

/* Names for `hide`, and where their bits are. */
static const struct {
	const char *name;
	u32 leaf, subleaf;
	enum cpuid_reg reg;
	u32 bits;
} features[] = {
	{ "x2apic", 1, 0, CPUID_ECX, B(21) },
	{ "tsc-deadline", 1, 0, CPUID_ECX, B(24) },
	{ "pcid", 1, 0, CPUID_ECX, B(17) },
	{ "aes", 1, 0, CPUID_ECX, B(25) | B(1) },
	{ "xsave", 1, 0, CPUID_ECX, B(26) | B(28) | B(29) | B(12) },
	{ "avx", 1, 0, CPUID_ECX, B(28) | B(29) | B(12) },
	{ "rdrand", 1, 0, CPUID_ECX, B(30) },
	{ "mtrr", 1, 0, CPUID_EDX, B(12) },
	{ "pge", 1, 0, CPUID_EDX, B(13) },
	{ "fsgsbase", 7, 0, CPUID_EBX, B(0) },
	{ "tsc-adjust", 7, 0, CPUID_EBX, B(1) },
	{ "avx2", 7, 0, CPUID_EBX, B(5) },
	{ "smep", 7, 0, CPUID_EBX, B(7) },
	{ "smap", 7, 0, CPUID_EBX, B(20) },
	{ "invpcid", 7, 0, CPUID_EBX, B(10) },
	{ "rdseed", 7, 0, CPUID_EBX, B(18) },
	{ "avx512", 7, 0, CPUID_EBX, B(16) | B(17) | B(21) | B(28) | B(30) | B(31) },
	{ "umip", 7, 0, CPUID_ECX, B(2) },
	{ "rdpid", 7, 0, CPUID_ECX, B(22) },
	{ "xsaves", 0xd, 1, CPUID_EAX, B(3) },
	{ "nx", 0x80000001, 0, CPUID_EDX, B(20) },
	{ "1g-pages", 0x80000001, 0, CPUID_EDX, B(26) },
	{ "rdtscp", 0x80000001, 0, CPUID_EDX, B(27) },
	{ "invariant-tsc", 0x80000007, 0, CPUID_EDX, B(8) },
	{ "pv", 0x40000000, 0, CPUID_EAX, ~0u }, /* all leaves from 40000000H: see add_hypervisor */
};
_Static_assert(ARRAY_SIZE(features) <= 32, "a feature is a bit of the low half: vmm/vcpu/hide.h");

/*
 * Features that need others: what is left out by the first is left out in the second too. In this
 * order, so that it goes on from the second to a third.
 */
static const struct {
	u32 leaf, subleaf;
	enum cpuid_reg reg;
	u32 without;
	u32 leaf2;
	enum cpuid_reg reg2;
	u32 then_without;
} implied[] = {
	{ 1, 0, CPUID_ECX, B(26), 0xd, CPUID_EAX, ~0u },
	/* AVX, FMA and F16C need XSAVE */
	{ 1, 0, CPUID_ECX, B(26), 1, CPUID_ECX, B(28) | B(29) | B(12) },
	/* FMA, F16C, AVX2, VAES, VPCLMULQDQ and AVX-512 need AVX */
	{ 1, 0, CPUID_ECX, B(28), 1, CPUID_ECX, B(29) | B(12) },
	{ 1, 0, CPUID_ECX, B(28), 7, CPUID_EBX, B(5) | B(16) },
	{ 1, 0, CPUID_ECX, B(28), 7, CPUID_ECX, B(9) | B(10) },
	/* the parts of AVX-512 need AVX512F */
	{ 7, 0, CPUID_EBX, B(16), 7, CPUID_EBX, B(17) | B(21) | B(28) | B(30) | B(31) },
	{ 7, 0, CPUID_EBX, B(16), 7, CPUID_ECX, B(1) | B(6) | B(11) | B(12) | B(14) },
	/* one VMX control enables both RDTSCP and RDPID */
	{ 0x80000001, 0, CPUID_EDX, B(27), 7, CPUID_ECX, B(22) },
};

/* CR4 bits that exist for a guest only with a feature. */
static const struct {
	u64 cr4;
	u32 leaf;
	enum cpuid_reg reg;
	u32 bit;
} cr4_features[] = {
	{ CR4_VME | CR4_PVI, 1, CPUID_EDX, B(1) },
	{ CR4_TSD, 1, CPUID_EDX, B(4) },
	{ CR4_DE, 1, CPUID_EDX, B(2) },
	{ CR4_PSE, 1, CPUID_EDX, B(3) },
	{ CR4_PAE, 1, CPUID_EDX, B(6) },
	{ CR4_MCE, 1, CPUID_EDX, B(7) },
	{ CR4_PGE, 1, CPUID_EDX, B(13) },
	{ CR4_PCE | CR4_OSFXSR, 1, CPUID_EDX, B(24) },
	{ CR4_OSXMMEXCPT, 1, CPUID_EDX, B(25) },
	{ CR4_UMIP, 7, CPUID_ECX, B(2) },
	{ CR4_FSGSBASE, 7, CPUID_EBX, B(0) },
	{ CR4_PCIDE, 1, CPUID_ECX, B(17) },
	{ CR4_OSXSAVE, 1, CPUID_ECX, B(26) },
	{ CR4_SMEP, 7, CPUID_EBX, B(7) },
	{ CR4_SMAP, 7, CPUID_EBX, B(20) },
};

/* XSAVE state components, by the feature that they come with. */
static const struct {
	u64 components;
	u32 leaf;
	enum cpuid_reg reg;
	u32 bit;
} xcr0_features[] = {
	{ BIT(0) | BIT(1), 1, CPUID_ECX, B(26) },
	{ BIT(2), 1, CPUID_ECX, B(28) },
	{ BIT(5) | BIT(6) | BIT(7), 7, CPUID_EBX, B(16) },
};

u64 cpuid_hide_bits(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++) {
		if (!strcmp(name, features[i].name))
			return BIT(i);
	}
	return 0;
}

static bool is_hidden(u64 hide, const char *name)
{
	return hide & cpuid_hide_bits(name);
}

static u32 *reg_of(struct cpuid_regs *r, enum cpuid_reg reg)
{
	u32 *const regs[] = { &r->eax, &r->ebx, &r->ecx, &r->edx };

	return regs[reg];
}

const struct cpuid_entry *cpuid_find(const struct cpuid_table *table, u32 leaf, u32 subleaf)
{
	u32 offset = leaf & 0x3fffffff;
	unsigned int i = 1;

	if (offset < CPUID_RANGE_LEAVES) {
		i = table->first[leaf >> 30][offset];
		if (!i)
			return NULL;
	}
	for (; i < table->entries; i++) {
		const struct cpuid_entry *e = &table->entry[i];

		if (e->leaf == leaf && (!(e->flags & CPUID_BY_SUBLEAF) || e->subleaf == subleaf))
			return e;
	}
	return NULL;
}

/* The same while the table is being made. */
static struct cpuid_entry *find(struct cpuid_table *table, u32 leaf, u32 subleaf)
{
	return (struct cpuid_entry *)(uintptr_t)cpuid_find(table, leaf, subleaf);
}

static struct cpuid_regs *add(struct cpuid_table *table, u32 leaf, u32 subleaf, bool by_subleaf)
{
	u32 offset = leaf & 0x3fffffff;
	struct cpuid_entry *e;

	if (table->entries == CPUID_ENTRIES)
		panic("more CPUID leaves than CPUID_ENTRIES");
	if (offset < CPUID_RANGE_LEAVES && !table->first[leaf >> 30][offset])
		table->first[leaf >> 30][offset] = (u8)table->entries;
	e = &table->entry[table->entries++];
	*e = (struct cpuid_entry){ .leaf = leaf,
				   .subleaf = subleaf,
				   .flags = by_subleaf ? CPUID_BY_SUBLEAF : 0 };
	return &e->regs;
}

bool cpuid_has(const struct cpuid_table *table, u32 leaf, u32 subleaf, unsigned int reg,
	       unsigned int bit)
{
	const struct cpuid_entry *e = cpuid_find(table, leaf, subleaf);
	const struct cpuid_regs *r = e ? &e->regs : NULL;

	return r && (*reg_of((struct cpuid_regs *)(uintptr_t)r, (enum cpuid_reg)reg) >> bit & 1);
}

static void apply_allow_list(struct cpuid_table *table, u64 hide)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(allow); i++) {
		const struct cpuid_allow *a = &allow[i];
		struct cpuid_entry *e = find(table, a->leaf, a->subleaf);
		struct cpuid_regs host = cpuid(a->leaf, a->subleaf);

		*reg_of(&e->regs, a->reg) = (*reg_of(&host, a->reg) & a->host) | a->always;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++) {
		struct cpuid_entry *e = find(table, features[i].leaf, features[i].subleaf);

		if (e && (hide & BIT(i)))
			*reg_of(&e->regs, features[i].reg) &= ~features[i].bits;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(implied); i++) {
		struct cpuid_entry *first = find(table, implied[i].leaf, implied[i].subleaf);
		u32 sub = implied[i].leaf2 == 0xd;
		struct cpuid_entry *second = find(table, implied[i].leaf2, sub);

		if (first && second &&
		    !(*reg_of(&first->regs, implied[i].reg) & implied[i].without))
			*reg_of(&second->regs, implied[i].reg2) &= ~implied[i].then_without;
	}
}

/* What only works when the VMX control behind it is on. */
static void apply_controls(struct cpuid_table *table, const struct vmx_caps *caps)
{
	struct cpuid_regs *r7 = &find(table, 7, 0)->regs;

	if (!vmx_uses(caps, VMX_INVPCID))
		r7->ebx &= ~B(10);
	if (!vmx_uses(caps, VMX_XSAVES))
		find(table, 0xd, 1)->regs.eax &= ~B(3);
	if (!vmx_uses(caps, VMX_RDTSCP)) {
		r7->ecx &= ~B(22);
		find(table, 0x80000001, 0)->regs.edx &= ~B(27);
	}
}

/* Leaf 0DH: sizes and offsets of the components that are allowed. */
static void add_xsave(struct cpuid_table *table)
{
	struct cpuid_regs *r = &find(table, 0xd, 0)->regs;

	for (unsigned int i = 0; i < ARRAY_SIZE(xcr0_features); i++) {
		struct cpuid_entry *e = find(table, xcr0_features[i].leaf, 0);

		if (*reg_of(&e->regs, xcr0_features[i].reg) & xcr0_features[i].bit)
			table->xcr0_allowed |= xcr0_features[i].components;
	}
	table->xcr0_allowed &= make_64(cpuid(0xd, 0).edx, cpuid(0xd, 0).eax) | BIT(0) | BIT(1);
	if (!table->xcr0_allowed)
		return;
	r->eax = lower_32(table->xcr0_allowed);
	r->ecx = 576; /* legacy area and XSAVE header */
	for (u32 c = 2; c < 8; c++) {
		struct cpuid_regs host = cpuid(0xd, c);

		if (!(table->xcr0_allowed & BIT(c)))
			continue;
		*add(table, 0xd, c, true) = host;
		r->ecx = MAX(r->ecx, host.ebx + host.eax);
	}
	find(table, 0xd, 0)->flags |= CPUID_DYNAMIC;
	find(table, 0xd, 1)->flags |= CPUID_DYNAMIC;
}

static void add_topology(struct cpuid_table *table, unsigned int id, unsigned int cpus)
{
	u32 shift = 0;

	while ((1u << shift) < cpus)
		shift++;
	/* One thread a core, all cores in one package. Level types: 1 SMT, 2 core. */
	*add(table, 0xb, 0, true) = (struct cpuid_regs){ 0, 1, 1 << 8, id };
	*add(table, 0xb, 1, true) = (struct cpuid_regs){ shift, cpus, 2 << 8 | 1, id };

	/* Deterministic cache parameters: the host's caches, shared by nobody. */
	for (u32 i = 0; i < 5; i++) {
		struct cpuid_regs r = cpuid(4, i);

		r.eax &= GENMASK(13, 0);
		*add(table, 4, i, true) = r;
		if (!(r.eax & 0x1f))
			break;
	}
}

static void add_frequency(struct cpuid_table *table, u64 tsc_hz)
{
	/* The "crystal" is the TSC itself, halved until it fits the register. */
	u32 ratio = 1 + (u32)(tsc_hz >> 32);
	u32 mhz = (u32)(tsc_hz / 1000000);

	*add(table, 0x15, 0, false) = (struct cpuid_regs){ 1, ratio, (u32)(tsc_hz / ratio), 0 };
	*add(table, 0x16, 0, false) = (struct cpuid_regs){ mhz, mhz, 100, 0 };
}

/* What pv.h and its parts do. Not: asynchronous page faults, APIC IDs above 254 in MSIs. */
#define PV_FEATURES                                                                    \
	(B(PV_FEATURE_NOP_IO_DELAY) | B(PV_FEATURE_CLOCK) | B(PV_FEATURE_STEAL_TIME) | \
	 B(PV_FEATURE_EOI) | B(PV_FEATURE_UNHALT) | B(PV_FEATURE_TLB_FLUSH) |          \
	 B(PV_FEATURE_SEND_IPI) | B(PV_FEATURE_POLL_CONTROL) | B(PV_FEATURE_SCHED_YIELD))

/*
 * The hypervisor leaves. KVM's signature and features, because stock Linux knows them; the signature
 * alone makes it use the x2APIC without interrupt remapping. 40000010H tells the TSC and APIC timer
 * frequencies in kHz. 40000100H says who is really here.
 */
static void add_hypervisor(struct cpuid_table *table, u64 tsc_hz)
{
	u32 khz = (u32)(tsc_hz / 1000);
	struct cpuid_regs kvm = { 0x40000010, 0, 0, 0 }, lintel = { 0x40000100, 0, 0, 0 };

	struct cpuid_regs pv = { PV_FEATURES, 0, 0, 0 };

	if (cpuid_has(table, 0x80000007, 0, CPUID_EDX, 8))
		pv.eax |= B(PV_FEATURE_CLOCK_STABLE);
	memcpy(&kvm.ebx, "KVMKVMKVM\0\0\0", 12);
	memcpy(&lintel.ebx, "LintelLintel", 12);
	*add(table, 0x40000000, 0, false) = kvm;
	*add(table, PV_CPUID_FEATURES, 0, false) = pv;
	*add(table, 0x40000010, 0, false) = (struct cpuid_regs){ khz, khz, 0, 0 };
	*add(table, 0x40000100, 0, false) = lintel;
}

/* Leaf 80000008H: physical addresses as the processor has them, and linear ones as it has them without LA57. */
static u32 address_sizes(void)
{
	u32 eax = cpuid(0x80000008, 0).eax;

	return (eax & 0xff) | MIN(eax >> 8 & 0xff, 48u) << 8;
}

/* What leaves 0 and 80000000H say. */
#define MAX_LEAF          0x16
#define MAX_EXTENDED_LEAF 0x80000008

static void add_identity(struct cpuid_table *table, unsigned int id, unsigned int cpus)
{
	struct cpuid_regs host0 = cpuid(0, 0), host1 = cpuid(1, 0);
	struct cpuid_regs *r;

	r = add(table, 0, 0, false);
	*r = host0;
	r->eax = MAX_LEAF;
	r = add(table, 1, 0, false);
	r->eax = host1.eax;
	r->ebx = (host1.ebx & 0xff00) | cpus << 16 | id << 24;
	*add(table, 2, 0, false) = cpuid(2, 0);
	add(table, 6, 0, false);
	add(table, 7, 0, true);
	add(table, 0xd, 0, true);
	add(table, 0xd, 1, true);
	add(table, 0x80000000, 0, false)->eax = MAX_EXTENDED_LEAF;
	add(table, 0x80000001, 0, false);
	for (u32 leaf = 0x80000002; leaf <= 0x80000006; leaf++)
		*add(table, leaf, 0, false) = cpuid(leaf, 0);
	add(table, 0x80000007, 0, false);
	add(table, 0x80000008, 0, false)->eax = address_sizes();
}

void cpuid_build(struct cpuid_table *table, const struct vmx_caps *caps, u64 hide, unsigned int id,
		 unsigned int cpus, u64 tsc_hz)
{
	*table = (struct cpuid_table){ .entries = 1 };
	add_identity(table, id, cpus);
	apply_allow_list(table, hide);
	apply_controls(table, caps);
	if (cpus > 1)
		find(table, 1, 0)->regs.edx |= B(28); /* HTT: leaf 0BH describes several */
	add_xsave(table);
	add_topology(table, id, cpus);
	add_frequency(table, tsc_hz);
	if (!is_hidden(hide, "pv"))
		add_hypervisor(table, tsc_hz);
	else
		find(table, 1, 0)->regs.ecx &= ~B(31);
	find(table, 1, 0)->flags |= CPUID_DYNAMIC;
	for (unsigned int i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		struct cpuid_entry *e = find(table, cr4_features[i].leaf, 0);

		if (*reg_of(&e->regs, cr4_features[i].reg) & cr4_features[i].bit)
			table->cr4_allowed |= cr4_features[i].cr4;
	}
}

void cpuid_hint_realtime(struct cpuid_table *table)
{
	struct cpuid_entry *e = find(table, PV_CPUID_FEATURES, 0);

	if (e)
		e->regs.edx |= PV_HINT_REALTIME;
}

struct cpuid_regs cpuid_dynamic(const struct cpuid_entry *entry, u64 (*cr4)(void))
{
	struct cpuid_regs r = entry->regs;

	if (entry->leaf == 1 && (cr4() & CR4_OSXSAVE))
		r.ecx |= B(27);
	if (entry->leaf == 0xd) /* the size of what XCR0 enables: only the processor knows */
		r.ebx = cpuid(entry->leaf, entry->subleaf).ebx;
	return r;
}
