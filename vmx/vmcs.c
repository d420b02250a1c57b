/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/vmcs.h"
#include "lib/printk.h"

static void vmcs_must(bool fail, const char *what, const struct vmcs *vmcs)
{
	if (fail)
		panic("%s of the VMCS at %p failed", what, (const void *)vmcs);
}

void vmcs_clear(struct vmcs *vmcs)
{
	u64 address = (u64)(uintptr_t)vmcs;
	bool fail;

	__asm__ volatile("vmclear %1" : "=@ccbe"(fail) : "m"(address) : "memory");
	vmcs_must(fail, "VMCLEAR", vmcs);
}

void vmcs_init(struct vmcs *vmcs, u32 revision)
{
	vmcs->revision = revision;
	vmcs_clear(vmcs);
}

void vmcs_load(struct vmcs *vmcs)
{
	u64 address = (u64)(uintptr_t)vmcs;
	bool fail;

	__asm__ volatile("vmptrld %1" : "=@ccbe"(fail) : "m"(address) : "memory");
	vmcs_must(fail, "VMPTRLD", vmcs);
}

void vmcs_access_failed(const char *what, enum vmcs_field field)
{
	u64 error = 0;

	/* Not vmcs_read: that would come back here when there is no current VMCS. */
	__asm__ volatile("vmread %1, %0" : "+r"(error) : "r"((u64)VM_INSTRUCTION_ERROR) : "cc");
	panic("%s of %s (0x%x) failed: %s", what, vmcs_field_name(field), (unsigned int)field,
	      vmx_instruction_error_name((unsigned int)error));
}
