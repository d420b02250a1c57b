/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/exit_reasons.h"
#include "vmx/fields.h"
#include "vmx/vmcs.h"

const char *vmcs_field_name(enum vmcs_field field)
{
#define VMCS_FIELD_CASE(name, encoding) \
	case name: return #name;
	switch (field) {
		VMCS_FIELDS(VMCS_FIELD_CASE)
	}
#undef VMCS_FIELD_CASE
	return "?";
}

const char *vmx_exit_reason_name(unsigned int reason)
{
#define VMX_EXIT_NAME(name, number, text) [number] = text,
	static const char *const names[] = { VMX_EXIT_REASONS(VMX_EXIT_NAME) };
#undef VMX_EXIT_NAME

	return reason < ARRAY_SIZE(names) ? names[reason] : "unknown";
}

/* SDM, "VM Instruction Error Numbers". */
const char *vmx_instruction_error_name(unsigned int error)
{
	static const char *const names[] = {
		[1] = "VMCALL executed in VMX root operation",
		[2] = "VMCLEAR with invalid physical address",
		[3] = "VMCLEAR with VMXON pointer",
		[4] = "VMLAUNCH with non-clear VMCS",
		[5] = "VMRESUME with non-launched VMCS",
		[6] = "VMRESUME after VMXOFF",
		[7] = "VM entry with invalid control field(s)",
		[8] = "VM entry with invalid host-state field(s)",
		[9] = "VMPTRLD with invalid physical address",
		[10] = "VMPTRLD with VMXON pointer",
		[11] = "VMPTRLD with incorrect VMCS revision identifier",
		[12] = "VMREAD or VMWRITE of an unsupported VMCS component",
		[13] = "VMWRITE to a read-only VMCS component",
		[15] = "VMXON executed in VMX root operation",
		[16] = "VM entry with invalid executive-VMCS pointer",
		[17] = "VM entry with non-launched executive VMCS",
		[18] = "VM entry with executive-VMCS pointer not VMXON pointer",
		[19] = "VMCALL with non-clear VMCS",
		[20] = "VMCALL with invalid VM-exit control fields",
		[22] = "VMCALL with incorrect MSEG revision identifier",
		[23] = "VMXOFF under dual-monitor treatment",
		[24] = "VMCALL with invalid SMM-monitor features",
		[25] = "VM entry with invalid VM-execution control fields in executive VMCS",
		[26] = "VM entry with events blocked by MOV SS",
		[28] = "invalid operand to INVEPT or INVVPID",
	};

	if (error < ARRAY_SIZE(names) && names[error])
		return names[error];
	return "unknown";
}
