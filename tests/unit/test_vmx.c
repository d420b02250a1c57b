/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: whether VMX can be used is said exactly, for each state of IA32_FEATURE_CONTROL. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "lib/string.h"
#include "tests/unit/fake_x86.h"
#include "tests/unit/host_support.h"
#include "vmx/vmx.h"

static u32 leaf1_ecx;

static struct cpuid_regs made_up_cpuid(u32 leaf, u32 subleaf)
{
	(void)leaf, (void)subleaf;
	return (struct cpuid_regs){ .ecx = leaf1_ecx };
}

/* vmx_check_cpu on a CPU with these; what it says has to contain @text. */
static int check(u32 ecx, u64 feature_control, const char *text)
{
	int err;

	fake_x86_reset();
	fake_x86.cpuid = made_up_cpuid;
	leaf1_ecx = ecx;
	fake_msr_set(IA32_FEATURE_CONTROL, feature_control);
	capture_start();
	err = vmx_check_cpu(true);
	assert_non_null(strstr(capture_text(), text));
	capture_stop();
	return err;
}

#define VMX        ((u32)BIT(5))
#define HYPERVISOR ((u32)BIT(31))

/* Unlocked: it is set, and locked. */
static void test_unlocked(void **state)
{
	(void)state;
	assert_int_equal(check(VMX, 0, "was unlocked"), 0);
	assert_int_equal(fake_msr(IA32_FEATURE_CONTROL),
			 FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUT_SMX);
}

/* Locked with VMX on: used, and not written. */
static void test_locked_on(void **state)
{
	u64 value =
		FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUT_SMX | FEATURE_CONTROL_VMX_IN_SMX;

	(void)state;
	assert_int_equal(check(VMX, value, "is locked, with VMX enabled"), 0);
	assert_int_equal(fake_msr(IA32_FEATURE_CONTROL), value);
}

/* Locked with VMX off, or on in SMX operation only: refused, with what to do about it. */
static void test_locked_off(void **state)
{
	(void)state;
	assert_int_equal(check(VMX, FEATURE_CONTROL_LOCKED, "enable VT-x"), -EBUSY);
	assert_int_equal(
		check(VMX, FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_IN_SMX, "enable VT-x"),
		-EBUSY);
}

/* No VMX in CPUID: on a processor, and in a virtual machine. */
static void test_no_vmx(void **state)
{
	(void)state;
	assert_int_equal(check(0, 0, "this processor has none"), -ENODEV);
	assert_int_equal(check(HYPERVISOR, 0, "hypervisor does not offer VMX"), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unlocked),
		cmocka_unit_test(test_locked_on),
		cmocka_unit_test(test_locked_off),
		cmocka_unit_test(test_no_vmx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
