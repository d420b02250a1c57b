#include "vmx/vmx.h"
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmx/controls.h"

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

int vmx_on(const struct vmx_caps *caps, struct vmcs *region)
{
	u64 address = (u64)(uintptr_t)region;
	bool fail;

	region->revision = vmx_revision(caps);
	write_cr0((read_cr0() | caps->cr0_fixed0) & caps->cr0_fixed1);
	write_cr4((read_cr4() | caps->cr4_fixed0) & caps->cr4_fixed1);
	__asm__ volatile("vmxon %1" : "=@ccbe"(fail) : "m"(address) : "memory");
	if (!fail)
		return 0;
	pr_err("vmx: VMXON failed (CR0 0x%llx, CR4 0x%llx)\n", (unsigned long long)read_cr0(),
	       (unsigned long long)read_cr4());
	return -EIO;
}

void vmx_off(void)
{
	__asm__ volatile("vmxoff" : : : "cc", "memory");
	write_cr4(read_cr4() & ~CR4_VMXE);
}

void vmx_invept(const struct vmx_caps *caps, u64 eptp)
{
	struct {
		u64 eptp, reserved;
	} descriptor = { eptp, 0 };
	u64 type = caps->ept_vpid & EPT_CAP_INVEPT_SINGLE ? INVEPT_SINGLE : INVEPT_ALL;
	bool fail;

	__asm__ volatile("invept %1, %2" : "=@ccbe"(fail) : "m"(descriptor), "r"(type) : "memory");
	if (fail)
		panic("INVEPT of 0x%llx failed", (unsigned long long)eptp);
}

void vmx_invvpid(const struct vmx_caps *caps, u16 vpid)
{
	struct {
		u64 vpid, linear;
	} descriptor = { vpid, 0 };
	u64 type = caps->ept_vpid & EPT_CAP_INVVPID_SINGLE ? INVVPID_SINGLE : INVVPID_ALL;
	bool fail;

	__asm__ volatile("invvpid %1, %2" : "=@ccbe"(fail) : "m"(descriptor), "r"(type) : "memory");
	if (fail)
		panic("INVVPID of %u failed", vpid);
}
