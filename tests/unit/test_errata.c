/* SPDX-License-Identifier: BSD-2-Clause */
/* vmx/errata: processors with a broken timer are known by signature and microcode revision, and only those. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/x86.h"
#include "tests/unit/fake_x86.h"
#include "vmx/errata.h"
#include "vmx/features.h"

/* The processor that CPUID shows. */
static struct {
	u32 signature, microcode, hypervisor;
	const char *vendor;
} cpu;

static struct cpuid_regs cpuid_of(u32 leaf, u32 subleaf)
{
	const u32 *vendor = (const void *)cpu.vendor;

	(void)subleaf;
	if (leaf == 0)
		return (struct cpuid_regs){ 0x16, vendor[0], vendor[2], vendor[1] };
	/* "Determining the Signature": CPUID fills the MSR if it was cleared. */
	if (leaf == 1 && !fake_msr(IA32_BIOS_SIGN_ID))
		fake_msr_set(IA32_BIOS_SIGN_ID, (u64)cpu.microcode << 32);
	return (struct cpuid_regs){ cpu.signature, 0, cpu.hypervisor ? BIT(31) : 0, 0 };
}

static struct vmx_platform platform(u32 signature, u32 microcode)
{
	struct vmx_platform p;

	fake_x86_reset();
	fake_x86.cpuid = cpuid_of;
	fake_msr_set(IA32_BIOS_SIGN_ID, 0x12345678ULL << 32);
	cpu.signature = signature;
	cpu.microcode = microcode;
	vmx_platform_read(&p, "INTEL");
	return p;
}

static int setup(void **state)
{
	(void)state;
	cpu.hypervisor = 0;
	cpu.vendor = "GenuineIntel";
	return 0;
}

static u64 masked(const struct vmx_platform *p)
{
	const struct vmx_erratum *e = NULL;
	u64 mask = 0;

	while ((e = vmx_erratum_next(p, e)))
		mask |= e->mask;
	return mask;
}

/* Claim: the preemption timer is left alone on each stepping on which it is broken; whatever reserved bits say. */
static void preemption_timer(void **state)
{
	static const u32 broken[] = { 0x206e6, 0x20652, 0x20655, 0x106e5, 0x106a0,
				      0x106a1, 0x106a4, 0x106a5, 0x306a8 };
	static const u32 right[] = { 0x206e5, 0x306a9, 0x206a7, 0x106a2, 0x206c2, 0x306c3, 0 };
	struct vmx_platform p;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(broken); i++) {
		p = platform(broken[i] | 0xf000c000, 0x7fffffff);
		assert_int_equal(p.signature, broken[i]);
		assert_int_equal(masked(&p), BIT(VMX_PREEMPTION_TIMER));
		assert_false(vmx_erratum_no_deadline(&p));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(right); i++) {
		p = platform(right[i], 0x7fffffff);
		assert_int_equal(masked(&p), 0);
	}
}

/* Claim: TSC-deadline mode is used from the microcode on that has mended it. */
static void deadline(void **state)
{
	static const struct {
		u32 signature, mended_in;
	} broken[] = {
		{ 0x306f2, 0x3a },       { 0x306f4, 0x0f },       { 0x406f1, 0x0b000020 },
		{ 0x50662, 0x11 },       { 0x50663, 0x0700000e }, { 0x50664, 0x0f00000c },
		{ 0x50665, 0x0e000003 }, { 0x50653, 0x01000136 }, { 0x50654, 0x02000014 },
		{ 0x306c3, 0x22 },       { 0x40651, 0x20 },       { 0x40661, 0x17 },
		{ 0x306d4, 0x25 },       { 0x40671, 0x17 },       { 0x406e3, 0xb2 },
		{ 0x506e3, 0xb2 },       { 0x806e9, 0x52 },       { 0x906e9, 0x52 },
	};
	static const u32 right[] = { 0x50657, 0x306a9, 0x706e5, 0xa0655, 0x806f8, 0x506f4 };
	struct vmx_platform p;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(broken); i++) {
		p = platform(broken[i].signature, broken[i].mended_in - 1);
		assert_int_equal(p.microcode, broken[i].mended_in - 1);
		assert_true(vmx_erratum_no_deadline(&p));
		assert_int_equal(masked(&p), 0);
		p = platform(broken[i].signature, broken[i].mended_in);
		assert_false(vmx_erratum_no_deadline(&p));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(right); i++) {
		p = platform(right[i], 0);
		assert_false(vmx_erratum_no_deadline(&p));
	}
}

/* Claim: in a virtual machine, on an emulator and on others' processors the signature says nothing. */
static void elsewhere(void **state)
{
	struct vmx_platform p;

	(void)state;
	cpu.hypervisor = 1;
	p = platform(0x306c3, 0);
	assert_true(p.hypervisor);
	assert_false(vmx_erratum_no_deadline(&p));
	cpu.hypervisor = 0;
	vmx_platform_read(&p, "BOCHS");
	assert_false(vmx_erratum_no_deadline(&p));
	assert_true(masked(&p) & BIT(VMX_VID));
	cpu.vendor = "CentaurHauls";
	p = platform(0x306c3, 0);
	assert_false(vmx_erratum_no_deadline(&p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(preemption_timer, setup),
		cmocka_unit_test_setup(deadline, setup),
		cmocka_unit_test_setup(elsewhere, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
