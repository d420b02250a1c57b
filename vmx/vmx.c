/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/vmx.h"
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/x86.h"

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
