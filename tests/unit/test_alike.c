/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/host/alike: a CPU that differs from the boot CPU in anything that a guest or VM entry would notice is found out, by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/fake_x86.h"
#include "vmm/host/alike.h"

/* What the other CPU's CPUID has otherwise. */
static struct {
	u32 leaf, subleaf;
	struct cpuid_regs flip;
} other;

static struct cpuid_regs cpuid_of(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r = fake_cpuid_full(leaf, subleaf);

	if (leaf == other.leaf && subleaf == other.subleaf) {
		r.eax ^= other.flip.eax;
		r.ebx ^= other.flip.ebx;
		r.ecx ^= other.flip.ecx;
		r.edx ^= other.flip.edx;
	}
	return r;
}

static const char *differ(const struct vmx_caps *a, const struct vmx_caps *b)
{
	struct cpu_traits first, second;
	unsigned int which = CPU_TRAITS;
	const char *name;

	fake_x86_reset();
	cpu_traits_read(&first, a);
	fake_x86.cpuid = cpuid_of;
	cpu_traits_read(&second, b);
	name = cpu_traits_differ(&first, &second, &which);
	assert_int_equal(!!name, which < CPU_TRAITS);
	if (name)
		assert_int_not_equal(first.value[which], second.value[which]);
	return name;
}

/* Claim: every word that the processor reports of its VT-x counts; what Lintel has chosen does not. */
static void capabilities(void **state)
{
	const struct vmx_caps a = { .basic = 1, .used = 1, .masked = 2 };
	struct vmx_caps b = a;

	(void)state;
	other.leaf = ~0U;
	b.used = b.masked = 0;
	assert_null(differ(&a, &b));
	b = a, b.basic ^= 1;
	assert_string_equal(differ(&a, &b), "IA32_VMX_BASIC");
	b = a, b.misc ^= 1;
	assert_string_equal(differ(&a, &b), "IA32_VMX_MISC");
	b = a, b.ept_vpid ^= 1;
	assert_string_equal(differ(&a, &b), "IA32_VMX_EPT_VPID_CAP");
	b = a, b.control[VMX_PIN].must_be_1 ^= 1;
	assert_string_equal(differ(&a, &b), "pin-based controls");
	b = a, b.control[VMX_CPU2].may_be_1 ^= 1;
	assert_string_equal(differ(&a, &b), "secondary processor-based controls");
	b = a, b.control[VMX_ENTRY].may_be_1 ^= BIT(31);
	assert_string_equal(differ(&a, &b), "VM-entry controls");
	b = a, b.cr0_fixed0 ^= 1;
	assert_string_equal(differ(&a, &b), "IA32_VMX_CR0_FIXED0");
	b = a, b.cr4_fixed1 ^= 1;
	assert_string_equal(differ(&a, &b), "IA32_VMX_CR4_FIXED1");
}

/* Claim: so does CPUID, but for what follows registers that the VMM sets itself. */
static void features(void **state)
{
	static const struct {
		u32 leaf, subleaf;
		struct cpuid_regs flip;
		const char *name;
	} cases[] = {
		{ 1, 0, { 0, 0, BIT(26), 0 }, "CPUID.1:ECX" },
		{ 1, 0, { 0, 0, BIT(27), 0 }, NULL },
		{ 1, 0, { 0, 0xff000000, 0, 0 }, NULL }, /* its APIC ID */
		{ 1, 0, { 0, 0, 0, BIT(9) }, NULL },
		{ 7, 0, { 0, BIT(20), 0, 0 }, "CPUID.7:EBX" },
		{ 7, 0, { 0, 0, BIT(4), 0 }, NULL },
		{ 7, 0, { 0, 0, 0, BIT(26) }, "CPUID.7:EDX" },
		{ 0xd, 0, { BIT(5), 0, 0, 0 }, "CPUID.DH:EAX (XCR0)" },
		{ 0xd, 1, { BIT(3), 0, 0, 0 }, "CPUID.DH.1:EAX (XSAVE)" },
		{ 0x80000001, 0, { 0, 0, 0, BIT(27) }, "CPUID.80000001H:EDX" },
		{ 0x80000008, 0, { 1, 0, 0, 0 }, "CPUID.80000008H:EAX (address widths)" },
	};
	const struct vmx_caps caps = { 0 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *name;

		other.leaf = cases[i].leaf;
		other.subleaf = cases[i].subleaf;
		other.flip = cases[i].flip;
		name = differ(&caps, &caps);
		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
		else
			assert_null(name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities),
		cmocka_unit_test(features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
