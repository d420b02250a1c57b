/* SPDX-License-Identifier: BSD-2-Clause */
/* Can VMX be used at all? What the processor says, and what the firmware has locked. */
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmx/vmx.h"

#define CPUID_1_ECX_VMX        BIT(5)
#define CPUID_1_ECX_HYPERVISOR BIT(31)

/* SDM, "Enabling and Entering VMX Operation": the lock bit decides once per reset. */
static int feature_control_check(bool say)
{
	u64 v = rdmsr(IA32_FEATURE_CONTROL);

	if (!(v & FEATURE_CONTROL_LOCKED)) {
		wrmsr(IA32_FEATURE_CONTROL,
		      v | FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUT_SMX);
		v = rdmsr(IA32_FEATURE_CONTROL);
		if (say)
			pr_info("vmx: IA32_FEATURE_CONTROL was unlocked: VMX enabled, and "
				"locked\n");
	} else if (say && (v & FEATURE_CONTROL_VMX_OUT_SMX)) {
		pr_info("vmx: IA32_FEATURE_CONTROL is locked, with VMX enabled\n");
	}
	if (v & FEATURE_CONTROL_VMX_OUT_SMX)
		return 0;
	pr_err("vmx: IA32_FEATURE_CONTROL = 0x%llx: the firmware has switched VMX off and locked "
	       "it; "
	       "enable VT-x (Intel Virtualization Technology) in the firmware's set-up\n",
	       (unsigned long long)v);
	return -EBUSY;
}

int vmx_check_cpu(bool say)
{
	struct cpuid_regs id = cpuid(1, 0);

	if (id.ecx & CPUID_1_ECX_VMX)
		return feature_control_check(say);
	if (id.ecx & CPUID_1_ECX_HYPERVISOR)
		pr_err("vmx: no VT-x: CPUID.1:ECX.VMX is 0, and this is a virtual machine: its "
		       "hypervisor does not offer VMX (for KVM: kvm_intel nested=1 and -cpu "
		       "host)\n");
	else
		pr_err("vmx: no VT-x: CPUID.1:ECX.VMX is 0: this processor has none\n");
	return -ENODEV;
}
