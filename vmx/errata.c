/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/errata.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmx/features.h"

#define EMULATOR "BOCHS"

/* A processor of family 6 by model and stepping, as CPUID.1:EAX has it. */
#define SIGNATURE(model, stepping) \
	(((u32)(model) >> 4) << 16 | 6u << 8 | ((u32)(model)&0xf) << 4 | (stepping))

/* The processor's specification updates: BA86, AAX65, AAT59, AAU65, AAO95, AAN92, AAP86, AAM126, AAJ124, AAK139. */
#define TIMER(name, of)                                                                      \
	{                                                                                    \
		.platform = (name), .signature = (of), .mask = BIT(VMX_PREEMPTION_TIMER),    \
		.what = "the VMX-preemption timer does not count down at the rate it should" \
	}

/* Likewise ("TSC-deadline timer interrupts may be lost or come early"), with the revisions that mend it. */
#define DEADLINE(name, of, steppings, revision)                                           \
	{                                                                                 \
		.platform = (name), .signature = (of), .all_steppings = (steppings),      \
		.mended_in = (revision), .no_deadline = true,                             \
		.what = "the local APIC's timer is wrong in TSC-deadline mode: it counts" \
	}
#define STEPPING(name, model, stepping, revision) \
	DEADLINE(name, SIGNATURE(model, stepping), false, revision)
#define MODEL(name, model, revision) DEADLINE(name, SIGNATURE(model, 0), true, revision)

static const struct vmx_erratum errata[] = {
	/*
	 * QEMU's tables carry Bochs's OEM id too, but QEMU names a hypervisor in CPUID unless told not to
	 * (and has no VMX without KVM).
	 */
	{ .platform = "Bochs",
	  .acpi_oem = EMULATOR,
	  .mask = BIT(VMX_VID) | BIT(VMX_POSTED_INTERRUPTS),
	  .what = "virtual interrupts are delivered with IF = 0, and lost by exits in "
		  "mid-delivery" },
	{ .platform = "Bochs",
	  .acpi_oem = EMULATOR,
	  .what = "after an entry with IF = 0 physical interrupts do not exit: time slices bound "
		  "it",
	  .late = true },

	TIMER("Nehalem-EX D0", 0x206e6),
	TIMER("Clarkdale C2", 0x20652),
	TIMER("Clarkdale K0", 0x20655),
	TIMER("Lynnfield B1", 0x106e5),
	TIMER("Nehalem-EP A0", 0x106a0),
	TIMER("Nehalem-EP A1", 0x106a1),
	TIMER("Nehalem-EP C0", 0x106a4),
	TIMER("Nehalem-EP D0", 0x106a5),
	TIMER("Ivy Bridge N0", 0x306a8),

	STEPPING("Haswell-EP", 0x3f, 2, 0x3a),
	STEPPING("Haswell-EX", 0x3f, 4, 0x0f),
	MODEL("Broadwell-EP", 0x4f, 0x0b000020),
	STEPPING("Broadwell-DE V1", 0x56, 2, 0x00000011),
	STEPPING("Broadwell-DE V2", 0x56, 3, 0x0700000e),
	STEPPING("Broadwell-DE Y0", 0x56, 4, 0x0f00000c),
	STEPPING("Broadwell-DE A1", 0x56, 5, 0x0e000003),
	STEPPING("Skylake-SP A0", 0x55, 3, 0x01000136),
	STEPPING("Skylake-SP", 0x55, 4, 0x02000014),
	MODEL("Haswell", 0x3c, 0x22),
	MODEL("Haswell-ULT", 0x45, 0x20),
	MODEL("Haswell with eDRAM", 0x46, 0x17),
	MODEL("Broadwell", 0x3d, 0x25),
	MODEL("Broadwell with eDRAM", 0x47, 0x17),
	MODEL("Skylake mobile", 0x4e, 0xb2),
	MODEL("Skylake", 0x5e, 0xb2),
	MODEL("Kaby Lake mobile", 0x8e, 0x52),
	MODEL("Kaby Lake", 0x9e, 0x52),
};

#define CPUID_HYPERVISOR BIT(31) /* 1 ECX */
#define SIGNATURE_MASK   0x0fff3fffu
#define SIGNATURE_STEP   0xfu

static bool is_intel(void)
{
	struct cpuid_regs r = cpuid(0, 0);

	return r.ebx == 0x756e6547 && r.edx == 0x49656e69 && r.ecx == 0x6c65746e;
}

/* SDM, "Determining the Signature": what CPUID leaves in the MSR after it was cleared. */
static u32 microcode(void)
{
	wrmsr(IA32_BIOS_SIGN_ID, 0);
	cpuid(1, 0);
	return upper_32(rdmsr(IA32_BIOS_SIGN_ID));
}

void vmx_platform_read(struct vmx_platform *platform, const char *acpi_oem)
{
	*platform = (struct vmx_platform){
		.acpi_oem = acpi_oem,
		.hypervisor = cpuid(1, 0).ecx & CPUID_HYPERVISOR,
	};
	/* An emulator shows signatures of processors whose errata it does not have. */
	if (platform->hypervisor || !strcmp(acpi_oem, EMULATOR) || !is_intel())
		return;
	platform->signature = cpuid(1, 0).eax & SIGNATURE_MASK;
	platform->microcode = microcode();
}

static bool applies(const struct vmx_erratum *e, const struct vmx_platform *platform)
{
	u32 differs = e->signature ^ platform->signature;

	if (platform->hypervisor)
		return false;
	if (e->acpi_oem)
		return !strcmp(e->acpi_oem, platform->acpi_oem);
	if (e->all_steppings)
		differs &= ~SIGNATURE_STEP;
	return !differs && (!e->mended_in || platform->microcode < e->mended_in);
}

const struct vmx_erratum *vmx_erratum_next(const struct vmx_platform *platform,
					   const struct vmx_erratum *prev)
{
	for (const struct vmx_erratum *e = prev ? prev + 1 : errata;
	     e < errata + ARRAY_SIZE(errata); e++) {
		if (applies(e, platform))
			return e;
	}
	return NULL;
}

bool vmx_erratum_no_deadline(const struct vmx_platform *platform)
{
	const struct vmx_erratum *e = NULL;

	while ((e = vmx_erratum_next(platform, e))) {
		if (e->no_deadline)
			return true;
	}
	return false;
}
