/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/alike.h"
#include "lib/x86.h"

static const char *const capability[] = {
	"IA32_VMX_BASIC",           "IA32_VMX_MISC",
	"IA32_VMX_EPT_VPID_CAP",    "pin-based controls",
	"processor-based controls", "secondary processor-based controls",
	"VM-exit controls",         "VM-entry controls",
	"IA32_VMX_CR0_FIXED0",      "IA32_VMX_CR0_FIXED1",
	"IA32_VMX_CR4_FIXED0",      "IA32_VMX_CR4_FIXED1",
};

static const enum vmx_control_group controls[] = { VMX_PIN, VMX_CPU, VMX_CPU2, VMX_EXIT,
						   VMX_ENTRY };

enum reg { EAX, EBX, ECX, EDX };

/*
 * HOST_CR4 has SMEP, SMAP and OSXSAVE by leaves 1 and 7; what a guest is told comes from all of them. Left out is what
 * follows registers: APIC by IA32_APIC_BASE, OSXSAVE and OSPKE by CR4.
 */
static const struct {
	const char *name;
	u32 leaf, subleaf;
	enum reg reg;
	u32 ignored;
} feature[] = {
	{ "CPUID.1:ECX", 1, 0, ECX, BIT(27) },
	{ "CPUID.1:EDX", 1, 0, EDX, BIT(9) },
	{ "CPUID.7:EBX", 7, 0, EBX, 0 },
	{ "CPUID.7:ECX", 7, 0, ECX, BIT(4) },
	{ "CPUID.7:EDX", 7, 0, EDX, 0 },
	{ "CPUID.DH:EAX (XCR0)", 0xd, 0, EAX, 0 },
	{ "CPUID.DH.1:EAX (XSAVE)", 0xd, 1, EAX, 0 },
	{ "CPUID.80000001H:ECX", 0x80000001, 0, ECX, 0 },
	{ "CPUID.80000001H:EDX", 0x80000001, 0, EDX, BIT(9) },
	{ "CPUID.80000008H:EAX (address widths)", 0x80000008, 0, EAX, 0 },
};
_Static_assert(ARRAY_SIZE(capability) + ARRAY_SIZE(feature) == CPU_TRAITS, "each has its place");

static u32 feature_word(unsigned int i)
{
	u32 max = cpuid(feature[i].leaf & 0x80000000, 0).eax;
	struct cpuid_regs r;
	u32 word[4];

	/* SDM, "CPUID": a leaf that is not there answers with another one's words. */
	if (feature[i].leaf > max)
		return 0;
	r = cpuid(feature[i].leaf, feature[i].subleaf);
	word[EAX] = r.eax;
	word[EBX] = r.ebx;
	word[ECX] = r.ecx;
	word[EDX] = r.edx;
	return word[feature[i].reg] & ~feature[i].ignored;
}

void cpu_traits_read(struct cpu_traits *traits, const struct vmx_caps *caps)
{
	u64 *v = traits->value;

	*v++ = caps->basic;
	*v++ = caps->misc;
	*v++ = caps->ept_vpid;
	for (unsigned int i = 0; i < ARRAY_SIZE(controls); i++) {
		const struct vmx_allowed *allowed = &caps->control[controls[i]];

		*v++ = (u64)allowed->may_be_1 << 32 | allowed->must_be_1;
	}
	*v++ = caps->cr0_fixed0;
	*v++ = caps->cr0_fixed1;
	*v++ = caps->cr4_fixed0;
	*v++ = caps->cr4_fixed1;
	for (unsigned int i = 0; i < ARRAY_SIZE(feature); i++)
		*v++ = feature_word(i);
}

const char *cpu_traits_differ(const struct cpu_traits *a, const struct cpu_traits *b,
			      unsigned int *which)
{
	for (unsigned int i = 0; i < CPU_TRAITS; i++) {
		if (a->value[i] == b->value[i])
			continue;
		*which = i;
		return i < ARRAY_SIZE(capability) ? capability[i]
						  : feature[i - ARRAY_SIZE(capability)].name;
	}
	return NULL;
}
