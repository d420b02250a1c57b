/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a guest sees only what the allow-list, the controls, the host and `hide` all agree on. */
#include "tests/unit/vcpu_rig.h"

enum { EAX = CPUID_EAX, EBX = CPUID_EBX, ECX = CPUID_ECX, EDX = CPUID_EDX };

/* What may ever be seen, written down once more and apart from the table in cpuid.c. */
static const struct {
	u32 leaf, subleaf;
	unsigned int reg;
	u32 bits;
} allowed[] = {
	{ 1, 0, ECX, 0xf7fa3203 },
	{ 1, 0, EDX, 0x1f8bfbff },
	{ 6, 0, EAX, 0x00000004 },
	{ 6, 0, EBX, 0 },
	{ 6, 0, ECX, 0 },
	{ 6, 0, EDX, 0 },
	{ 7, 0, EAX, 0 },
	{ 7, 0, EBX, 0xf1bf27eb },
	{ 7, 0, ECX, 0x00405f46 },
	{ 7, 0, EDX, 0x00000410 },
	{ 0xd, 1, EAX, 0x0000000f },
	{ 0xd, 1, ECX, 0 },
	{ 0xd, 1, EDX, 0 },
	{ 0xd, 0, EAX, 0x000000e7 },
	{ 0xd, 0, EDX, 0 },
	{ 0x80000001, 0, ECX, 0x00000121 },
	{ 0x80000001, 0, EDX, 0x2c100800 },
	{ 0x80000007, 0, EAX, 0 },
	{ 0x80000007, 0, EBX, 0 },
	{ 0x80000007, 0, ECX, 0 },
	{ 0x80000007, 0, EDX, 0x00000100 },
	{ 0x80000008, 0, EBX, 0 },
	{ 0x80000008, 0, ECX, 0 },
	{ 0x80000008, 0, EDX, 0 },
};

static struct cpuid_table table;
static struct vmx_caps caps;
static u64 seed;

/* A made-up processor: the same answer to the same question. */
static struct cpuid_regs random_cpuid(u32 leaf, u32 subleaf)
{
	u64 x = seed ^ (u64)leaf << 32 ^ subleaf * 0x9e3779b97f4a7c15ULL;
	u32 r[4];

	for (unsigned int i = 0; i < 4; i++) {
		x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ULL + i;
		x ^= x >> 32;
		r[i] = (u32)x | (seed % 3 ? 0 : (u32)(x >> 16));
	}
	return (struct cpuid_regs){ r[0], r[1], r[2], r[3] };
}

static void build(u64 hide, unsigned int cpus)
{
	cpuid_build(&table, &caps, hide, 0, cpus, 2345678901ULL);
}

static u64 cr4;
static unsigned int cr4_reads;

static u64 read_cr4_of_guest(void)
{
	cr4_reads++;
	return cr4;
}

static struct cpuid_regs answer_of(u32 leaf, u32 subleaf)
{
	const struct cpuid_entry *e = cpuid_find(&table, leaf, subleaf);

	if (!e)
		return (struct cpuid_regs){ 0 };
	return e->flags & CPUID_DYNAMIC ? cpuid_dynamic(e, read_cr4_of_guest) : e->regs;
}

static u32 answer(u32 leaf, u32 subleaf, unsigned int reg)
{
	struct cpuid_regs r = answer_of(leaf, subleaf);
	u32 regs[] = { r.eax, r.ebx, r.ecx, r.edx };

	return regs[reg];
}

static bool has(u32 leaf, u32 subleaf, unsigned int reg, unsigned int bit)
{
	bool yes = answer(leaf, subleaf, reg) >> bit & 1;

	assert_int_equal(cpuid_has(&table, leaf, subleaf, reg, bit), yes);
	return yes;
}

static int setup(void **state)
{
	(void)state;
	fake_x86_reset();
	fake_x86.cpuid = fake_cpuid_full;
	memset(&caps, 0, sizeof(caps));
	caps.used = ~0ULL;
	return 0;
}

/* Claim: on any processor whatever, no bit is seen that is not in the list; tables never overflow. */
static void only_allowed_bits(void **state)
{
	(void)state;
	for (seed = 1; seed < 3000; seed++) {
		fake_x86.cpuid = seed == 1 ? fake_cpuid_full : random_cpuid;
		caps.used = seed % 2 ? ~0ULL : rig_random();
		build(seed % 5 ? 0 : rig_random(), 1 + seed % 16);
		assert_in_range(table.entries, 20, CPUID_ENTRIES - 1);
		for (unsigned int i = 0; i < ARRAY_SIZE(allowed); i++) {
			u32 got = answer(allowed[i].leaf, allowed[i].subleaf, allowed[i].reg);

			if (got & ~allowed[i].bits) {
				print_error("leaf %x.%u register %u: %08x\n", allowed[i].leaf,
					    allowed[i].subleaf, allowed[i].reg,
					    got & ~allowed[i].bits);
				fail();
			}
		}
		assert_false(table.xcr0_allowed & ~0xe7ULL);
		assert_false(table.cr4_allowed &
			     (CR4_VMXE | CR4_SMXE | CR4_LA57 | CR4_PKE | CR4_CET));
	}
}

/* Claim: a processor that has everything shows the list whole: it is not longer than what is seen. */
static void the_whole_list(void **state)
{
	(void)state;
	build(0, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(allowed); i++)
		assert_int_equal(answer(allowed[i].leaf, allowed[i].subleaf, allowed[i].reg),
				 allowed[i].bits);
}

/* Claim: features that build upon others are not there without them, on any processor. */
static void implications(void **state)
{
	(void)state;
	fake_x86.cpuid = random_cpuid;
	for (seed = 1; seed < 3000; seed++) {
		bool xsave, avx, avx512;

		build(seed % 2 ? 0 : rig_random(), 1);
		xsave = has(1, 0, ECX, 26);
		avx = has(1, 0, ECX, 28);
		avx512 = has(7, 0, EBX, 16);
		if (!xsave)
			assert_false(avx || table.xcr0_allowed || answer(0xd, 1, EAX));
		if (!avx) { /* FMA, F16C, AVX2, AVX-512F, VAES, VPCLMULQDQ */
			assert_false(answer(1, 0, ECX) & (BIT(12) | BIT(29)));
			assert_false(answer(7, 0, EBX) & (BIT(5) | BIT(16)));
			assert_false(answer(7, 0, ECX) & (BIT(9) | BIT(10)));
			assert_false(table.xcr0_allowed & 4);
		}
		if (!avx512) {
			assert_false(answer(7, 0, EBX) &
				     (BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31)));
			assert_false(answer(7, 0, ECX) &
				     (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)));
			assert_false(table.xcr0_allowed & 0xe0);
		}
		assert_int_equal(!!(table.xcr0_allowed & 1), xsave);
	}
}

/* Claim: a feature whose control is off is gone, and the CR4 bits of what is hidden too. */
static void controls_behind(void **state)
{
	static const struct {
		enum vmx_feature feature;
		u32 leaf, subleaf;
		unsigned int reg, bit;
	} behind[] = {
		{ VMX_INVPCID, 7, 0, EBX, 10 },
		{ VMX_XSAVES, 0xd, 1, EAX, 3 },
		{ VMX_RDTSCP, 7, 0, ECX, 22 },
		{ VMX_RDTSCP, 0x80000001, 0, EDX, 27 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(behind); i++) {
		caps.used = ~0ULL;
		build(0, 1);
		assert_true(has(behind[i].leaf, behind[i].subleaf, behind[i].reg, behind[i].bit));
		caps.used = ~BIT(behind[i].feature);
		build(0, 1);
		assert_false(has(behind[i].leaf, behind[i].subleaf, behind[i].reg, behind[i].bit));
	}
}

static const struct {
	const char *name;
	u32 leaf, subleaf;
	unsigned int reg;
	u32 bits;
	u64 cr4;
} hides[] = {
	{ "x2apic", 1, 0, ECX, BIT(21), 0 },
	{ "tsc-deadline", 1, 0, ECX, BIT(24), 0 },
	{ "pcid", 1, 0, ECX, BIT(17), CR4_PCIDE },
	{ "aes", 1, 0, ECX, BIT(25) | BIT(1), 0 },
	{ "xsave", 1, 0, ECX, BIT(26) | BIT(28) | BIT(29) | BIT(12), CR4_OSXSAVE },
	{ "avx", 1, 0, ECX, BIT(28) | BIT(29) | BIT(12), 0 },
	{ "rdrand", 1, 0, ECX, BIT(30), 0 },
	{ "mtrr", 1, 0, EDX, BIT(12), 0 },
	{ "pge", 1, 0, EDX, BIT(13), CR4_PGE },
	{ "fsgsbase", 7, 0, EBX, BIT(0), CR4_FSGSBASE },
	{ "tsc-adjust", 7, 0, EBX, BIT(1), 0 },
	{ "avx2", 7, 0, EBX, BIT(5), 0 },
	{ "smep", 7, 0, EBX, BIT(7), CR4_SMEP },
	{ "smap", 7, 0, EBX, BIT(20), CR4_SMAP },
	{ "invpcid", 7, 0, EBX, BIT(10), 0 },
	{ "rdseed", 7, 0, EBX, BIT(18), 0 },
	{ "avx512", 7, 0, EBX, BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31), 0 },
	{ "umip", 7, 0, ECX, BIT(2), CR4_UMIP },
	{ "rdpid", 7, 0, ECX, BIT(22), 0 },
	{ "xsaves", 0xd, 1, EAX, BIT(3), 0 },
	{ "nx", 0x80000001, 0, EDX, BIT(20), 0 },
	{ "1g-pages", 0x80000001, 0, EDX, BIT(26), 0 },
	{ "rdtscp", 0x80000001, 0, EDX, BIT(27), 0 },
	{ "invariant-tsc", 0x80000007, 0, EDX, BIT(8), 0 },
};

/* Claim: each name hides its bits of its register, all of them and nothing else of it. */
static void hiding(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(hides); i++) {
		u32 before, after;
		u64 cr4;

		build(0, 1);
		before = answer(hides[i].leaf, hides[i].subleaf, hides[i].reg);
		cr4 = table.cr4_allowed;
		assert_int_equal(before & hides[i].bits, hides[i].bits);
		build(cpuid_hide_bits(hides[i].name), 1);
		after = answer(hides[i].leaf, hides[i].subleaf, hides[i].reg);
		assert_int_equal(after, before & ~hides[i].bits);
		assert_int_equal(table.cr4_allowed, cr4 & ~hides[i].cr4);
	}
	assert_int_equal(cpuid_hide_bits("vmx"), 0);
	assert_int_equal(cpuid_hide_bits(""), 0);
	assert_int_equal(cpuid_hide_bits("X2APIC"), 0);
}

/* Claim: `hide = pv` takes the hypervisor leaves and the bit that announces them. */
static void hypervisor(void **state)
{
	(void)state;
	build(0, 1);
	assert_true(has(1, 0, ECX, 31));
	assert_memory_equal(&(u32){ answer(0x40000000, 0, EBX) }, "KVMK", 4);
	assert_int_equal(answer(0x40000001, 0, EAX), 0x1003aea); /* see vmm/vcpu/pv_abi.h */
	assert_int_equal(answer(0x40000001, 0, EDX), 0);
	assert_int_equal(answer(0x40000010, 0, EAX), 2345678);
	cpuid_hint_realtime(&table);
	assert_int_equal(answer(0x40000001, 0, EDX), 1);
	build(cpuid_hide_bits("invariant-tsc"), 1);
	assert_int_equal(answer(0x40000001, 0, EAX), 0x3aea);
	assert_int_equal(answer(0x40000001, 0, EDX), 0);
	build(cpuid_hide_bits("pv"), 1);
	cpuid_hint_realtime(&table); /* there is nothing to hint at */
	assert_false(has(1, 0, ECX, 31));
	for (u32 leaf = 0x40000000; leaf <= 0x40000100; leaf++)
		assert_int_equal(answer(leaf, 0, EAX) | answer(leaf, 0, EBX), 0);
}

/* Claim: a leaf that is not in the table is zeroes, wherever it is. */
static void unknown_leaves(void **state)
{
	static const u32 unknown[] = { 3,          5,          8,          9,          0xa,
				       0xc,        0xe,        0xf,        0x10,       0x12,
				       0x14,       0x17,       0x1f,       0x20,       0x3fffffff,
				       0x40000002, 0x80000009, 0x8000001f, 0xc0000000, 0xffffffff };

	(void)state;
	build(0, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(unknown); i++) {
		for (unsigned int reg = EAX; reg <= EDX; reg++)
			assert_int_equal(answer(unknown[i], 0, reg), 0);
	}
	for (u32 sub = 8; sub < 70; sub++)
		assert_int_equal(answer(0xd, sub, EAX) | answer(0xd, sub, EBX), 0);
	for (u32 sub = 1; sub < 70; sub++)
		assert_int_equal(answer(7, sub, EAX) | answer(7, sub, EDX), 0);
}

/* Claim: leaf 0DH's size is that of the components that are allowed. */
static void xsave_sizes(void **state)
{
	static const struct {
		const char *hide;
		u64 xcr0;
		u32 size;
	} cases[] = {
		{ "none", 0xe7, 1664 + 1024 },
		{ "avx512", 7, 576 + 256 },
		{ "avx", 3, 576 },
		{ "xsave", 0, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		build(cpuid_hide_bits(cases[i].hide), 1);
		assert_int_equal(table.xcr0_allowed, cases[i].xcr0);
		assert_int_equal(answer(0xd, 0, EAX), cases[i].xcr0);
		assert_int_equal(answer(0xd, 0, ECX), cases[i].size);
		assert_int_equal(answer(0xd, 2, EAX), cases[i].xcr0 & 4 ? 256 : 0);
		assert_int_equal(answer(0xd, 7, EBX), cases[i].xcr0 & 0x80 ? 1664 : 0);
		assert_int_equal(answer(0xd, 3, EAX), 0);
	}
}

/* Claim: OSXSAVE of leaf 1 follows CR4, and that is the only leaf for which CR4 is looked at. */
static void osxsave(void **state)
{
	(void)state;
	build(0, 1);
	cr4 = 0;
	assert_false(answer_of(1, 0).ecx & BIT(27));
	cr4 = CR4_OSXSAVE;
	assert_true(answer_of(1, 0).ecx & BIT(27));
	for (u32 leaf = 0; leaf < 0x20; leaf++) {
		cr4_reads = 0;
		answer_of(leaf, 0);
		assert_int_equal(cr4_reads, leaf == 1);
	}
}

/* Claim: the topology tells as many CPUs as there are, one thread a core, and nobody's caches. */
static void topology(void **state)
{
	(void)state;
	for (unsigned int cpus = 1; cpus <= 16; cpus++) {
		cpuid_build(&table, &caps, 0, cpus - 1, cpus, 1000000000);
		assert_int_equal(answer(1, 0, EBX) >> 24, cpus - 1);
		assert_int_equal(answer(1, 0, EBX) >> 16 & 0xff, cpus);
		assert_int_equal(has(1, 0, EDX, 28), cpus > 1);
		assert_int_equal(answer(0xb, 0, EBX), 1);
		assert_int_equal(answer(0xb, 1, EBX), cpus);
		assert_true(1u << answer(0xb, 1, EAX) >= cpus);
		assert_int_equal(answer(0xb, 1, EDX), cpus - 1);
		assert_int_equal(answer(0xb, 2, EBX), 0);
		for (u32 i = 0; i < 5; i++)
			assert_false(answer(4, i, EAX) >> 14);
	}
}

/* Claim: the frequency can be computed from leaf 15H without losing a kHz, from 100 MHz to 10 GHz. */
static void frequency(void **state)
{
	(void)state;
	for (u64 hz = 100000000; hz < 10000000000ULL; hz += 33333333) {
		u64 got;

		cpuid_build(&table, &caps, 0, 0, 1, hz);
		got = (u64)answer(0x15, 0, ECX) * answer(0x15, 0, EBX) / answer(0x15, 0, EAX);
		assert_in_range(hz - got, 0, 3);
		assert_int_equal(answer(0x16, 0, EAX), hz / 1000000);
	}
}

/*
 * Claim: leaves 0 and 80000000H name the last ones that answer, and the short way to an answer, for leaves that
 * depend on nothing, is the long one's.
 */
static void last_leaves(void **state)
{
	static const u32 ranges[] = { 0, 0x40000000, 0x80000000, 0xc0000000 };

	(void)state;
	assert_int_equal(answer(0, 0, EAX), 0x16);
	assert_non_null(cpuid_find(&table, 0x16, 0));
	assert_int_equal(answer(0x80000000, 0, EAX), 0x80000008);
	assert_non_null(cpuid_find(&table, 0x80000008, 0));
	assert_int_equal(answer(0x80000008, 0, EAX),
			 46 | 48 << 8); /* not the processor's 57: there is no LA57 */
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (u32 leaf = ranges[i]; leaf < ranges[i] + 0x200; leaf++) {
			const struct cpuid_entry *e = cpuid_fixed(&table, leaf);
			struct cpuid_regs r = answer_of(leaf, 0);

			if (leaf - ranges[i] > 0x16 && ranges[i] != 0x40000000)
				assert_null(cpuid_find(&table, leaf, 0));
			if (e)
				assert_memory_equal(&e->regs, &r, sizeof(r));
			else
				assert_true(leaf - ranges[i] >= CPUID_RANGE_LEAVES ||
					    cpuid_find(&table, leaf, 0)->flags);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_allowed_bits, setup),
		cmocka_unit_test_setup(the_whole_list, setup),
		cmocka_unit_test_setup(last_leaves, setup),
		cmocka_unit_test_setup(implications, setup),
		cmocka_unit_test_setup(controls_behind, setup),
		cmocka_unit_test_setup(hiding, setup),
		cmocka_unit_test_setup(hypervisor, setup),
		cmocka_unit_test_setup(unknown_leaves, setup),
		cmocka_unit_test_setup(xsave_sizes, setup),
		cmocka_unit_test_setup(osxsave, setup),
		cmocka_unit_test_setup(topology, setup),
		cmocka_unit_test_setup(frequency, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
