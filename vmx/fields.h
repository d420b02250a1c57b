/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fields of a VMCS by their encodings, in the order and the groups of the SDM, appendix "Field
 * Encoding in VMCS". The _HIGH halves are not named: Lintel runs in 64-bit mode only.
 */
#ifndef VMX_FIELDS_H
#define VMX_FIELDS_H

#define VMCS_FIELDS(F)                             \
	/* 16-bit control fields */                \
	F(VIRTUAL_PROCESSOR_ID, 0x0000)            \
	F(POSTED_INTERRUPT_VECTOR, 0x0002)         \
	F(EPTP_INDEX, 0x0004)                      \
	/* 16-bit guest-state fields */            \
	F(GUEST_ES_SELECTOR, 0x0800)               \
	F(GUEST_CS_SELECTOR, 0x0802)               \
	F(GUEST_SS_SELECTOR, 0x0804)               \
	F(GUEST_DS_SELECTOR, 0x0806)               \
	F(GUEST_FS_SELECTOR, 0x0808)               \
	F(GUEST_GS_SELECTOR, 0x080a)               \
	F(GUEST_LDTR_SELECTOR, 0x080c)             \
	F(GUEST_TR_SELECTOR, 0x080e)               \
	F(GUEST_INTERRUPT_STATUS, 0x0810)          \
	F(PML_INDEX, 0x0812)                       \
	/* 16-bit host-state fields */             \
	F(HOST_ES_SELECTOR, 0x0c00)                \
	F(HOST_CS_SELECTOR, 0x0c02)                \
	F(HOST_SS_SELECTOR, 0x0c04)                \
	F(HOST_DS_SELECTOR, 0x0c06)                \
	F(HOST_FS_SELECTOR, 0x0c08)                \
	F(HOST_GS_SELECTOR, 0x0c0a)                \
	F(HOST_TR_SELECTOR, 0x0c0c)                \
	/* 64-bit control fields */                \
	F(IO_BITMAP_A, 0x2000)                     \
	F(IO_BITMAP_B, 0x2002)                     \
	F(MSR_BITMAP, 0x2004)                      \
	F(VM_EXIT_MSR_STORE_ADDRESS, 0x2006)       \
	F(VM_EXIT_MSR_LOAD_ADDRESS, 0x2008)        \
	F(VM_ENTRY_MSR_LOAD_ADDRESS, 0x200a)       \
	F(EXECUTIVE_VMCS_POINTER, 0x200c)          \
	F(PML_ADDRESS, 0x200e)                     \
	F(TSC_OFFSET, 0x2010)                      \
	F(VIRTUAL_APIC_ADDRESS, 0x2012)            \
	F(APIC_ACCESS_ADDRESS, 0x2014)             \
	F(POSTED_INTERRUPT_DESCRIPTOR, 0x2016)     \
	F(VM_FUNCTION_CONTROLS, 0x2018)            \
	F(EPT_POINTER, 0x201a)                     \
	F(EOI_EXIT_BITMAP_0, 0x201c)               \
	F(EOI_EXIT_BITMAP_1, 0x201e)               \
	F(EOI_EXIT_BITMAP_2, 0x2020)               \
	F(EOI_EXIT_BITMAP_3, 0x2022)               \
	F(XSS_EXITING_BITMAP, 0x202c)              \
	F(TSC_MULTIPLIER, 0x2032)                  \
	/* 64-bit read-only data fields */         \
	F(GUEST_PHYSICAL_ADDRESS, 0x2400)          \
	/* 64-bit guest-state fields */            \
	F(VMCS_LINK_POINTER, 0x2800)               \
	F(GUEST_IA32_DEBUGCTL, 0x2802)             \
	F(GUEST_IA32_PAT, 0x2804)                  \
	F(GUEST_IA32_EFER, 0x2806)                 \
	F(GUEST_IA32_PERF_GLOBAL_CTRL, 0x2808)     \
	F(GUEST_PDPTE0, 0x280a)                    \
	F(GUEST_PDPTE1, 0x280c)                    \
	F(GUEST_PDPTE2, 0x280e)                    \
	F(GUEST_PDPTE3, 0x2810)                    \
	/* 64-bit host-state fields */             \
	F(HOST_IA32_PAT, 0x2c00)                   \
	F(HOST_IA32_EFER, 0x2c02)                  \
	F(HOST_IA32_PERF_GLOBAL_CTRL, 0x2c04)      \
	/* 32-bit control fields */                \
	F(PIN_BASED_CONTROLS, 0x4000)              \
	F(PRIMARY_CONTROLS, 0x4002)                \
	F(EXCEPTION_BITMAP, 0x4004)                \
	F(PAGE_FAULT_ERROR_CODE_MASK, 0x4006)      \
	F(PAGE_FAULT_ERROR_CODE_MATCH, 0x4008)     \
	F(CR3_TARGET_COUNT, 0x400a)                \
	F(VM_EXIT_CONTROLS, 0x400c)                \
	F(VM_EXIT_MSR_STORE_COUNT, 0x400e)         \
	F(VM_EXIT_MSR_LOAD_COUNT, 0x4010)          \
	F(VM_ENTRY_CONTROLS, 0x4012)               \
	F(VM_ENTRY_MSR_LOAD_COUNT, 0x4014)         \
	F(VM_ENTRY_INTERRUPTION_INFO, 0x4016)      \
	F(VM_ENTRY_EXCEPTION_ERROR_CODE, 0x4018)   \
	F(VM_ENTRY_INSTRUCTION_LENGTH, 0x401a)     \
	F(TPR_THRESHOLD, 0x401c)                   \
	F(SECONDARY_CONTROLS, 0x401e)              \
	F(PLE_GAP, 0x4020)                         \
	F(PLE_WINDOW, 0x4022)                      \
	/* 32-bit read-only data fields */         \
	F(VM_INSTRUCTION_ERROR, 0x4400)            \
	F(EXIT_REASON, 0x4402)                     \
	F(VM_EXIT_INTERRUPTION_INFO, 0x4404)       \
	F(VM_EXIT_INTERRUPTION_ERROR_CODE, 0x4406) \
	F(IDT_VECTORING_INFO, 0x4408)              \
	F(IDT_VECTORING_ERROR_CODE, 0x440a)        \
	F(VM_EXIT_INSTRUCTION_LENGTH, 0x440c)      \
	F(VM_EXIT_INSTRUCTION_INFO, 0x440e)        \
	/* 32-bit guest-state fields */            \
	F(GUEST_ES_LIMIT, 0x4800)                  \
	F(GUEST_CS_LIMIT, 0x4802)                  \
	F(GUEST_SS_LIMIT, 0x4804)                  \
	F(GUEST_DS_LIMIT, 0x4806)                  \
	F(GUEST_FS_LIMIT, 0x4808)                  \
	F(GUEST_GS_LIMIT, 0x480a)                  \
	F(GUEST_LDTR_LIMIT, 0x480c)                \
	F(GUEST_TR_LIMIT, 0x480e)                  \
	F(GUEST_GDTR_LIMIT, 0x4810)                \
	F(GUEST_IDTR_LIMIT, 0x4812)                \
	F(GUEST_ES_ACCESS_RIGHTS, 0x4814)          \
	F(GUEST_CS_ACCESS_RIGHTS, 0x4816)          \
	F(GUEST_SS_ACCESS_RIGHTS, 0x4818)          \
	F(GUEST_DS_ACCESS_RIGHTS, 0x481a)          \
	F(GUEST_FS_ACCESS_RIGHTS, 0x481c)          \
	F(GUEST_GS_ACCESS_RIGHTS, 0x481e)          \
	F(GUEST_LDTR_ACCESS_RIGHTS, 0x4820)        \
	F(GUEST_TR_ACCESS_RIGHTS, 0x4822)          \
	F(GUEST_INTERRUPTIBILITY_STATE, 0x4824)    \
	F(GUEST_ACTIVITY_STATE, 0x4826)            \
	F(GUEST_SMBASE, 0x4828)                    \
	F(GUEST_IA32_SYSENTER_CS, 0x482a)          \
	F(VMX_PREEMPTION_TIMER_VALUE, 0x482e)      \
	/* 32-bit host-state fields */             \
	F(HOST_IA32_SYSENTER_CS, 0x4c00)           \
	/* natural-width control fields */         \
	F(CR0_GUEST_HOST_MASK, 0x6000)             \
	F(CR4_GUEST_HOST_MASK, 0x6002)             \
	F(CR0_READ_SHADOW, 0x6004)                 \
	F(CR4_READ_SHADOW, 0x6006)                 \
	/* natural-width read-only data fields */  \
	F(EXIT_QUALIFICATION, 0x6400)              \
	F(GUEST_LINEAR_ADDRESS, 0x640a)            \
	/* natural-width guest-state fields */     \
	F(GUEST_CR0, 0x6800)                       \
	F(GUEST_CR3, 0x6802)                       \
	F(GUEST_CR4, 0x6804)                       \
	F(GUEST_ES_BASE, 0x6806)                   \
	F(GUEST_CS_BASE, 0x6808)                   \
	F(GUEST_SS_BASE, 0x680a)                   \
	F(GUEST_DS_BASE, 0x680c)                   \
	F(GUEST_FS_BASE, 0x680e)                   \
	F(GUEST_GS_BASE, 0x6810)                   \
	F(GUEST_LDTR_BASE, 0x6812)                 \
	F(GUEST_TR_BASE, 0x6814)                   \
	F(GUEST_GDTR_BASE, 0x6816)                 \
	F(GUEST_IDTR_BASE, 0x6818)                 \
	F(GUEST_DR7, 0x681a)                       \
	F(GUEST_RSP, 0x681c)                       \
	F(GUEST_RIP, 0x681e)                       \
	F(GUEST_RFLAGS, 0x6820)                    \
	F(GUEST_PENDING_DEBUG_EXCEPTIONS, 0x6822)  \
	F(GUEST_IA32_SYSENTER_ESP, 0x6824)         \
	F(GUEST_IA32_SYSENTER_EIP, 0x6826)         \
	/* natural-width host-state fields */      \
	F(HOST_CR0, 0x6c00)                        \
	F(HOST_CR3, 0x6c02)                        \
	F(HOST_CR4, 0x6c04)                        \
	F(HOST_FS_BASE, 0x6c06)                    \
	F(HOST_GS_BASE, 0x6c08)                    \
	F(HOST_TR_BASE, 0x6c0a)                    \
	F(HOST_GDTR_BASE, 0x6c0c)                  \
	F(HOST_IDTR_BASE, 0x6c0e)                  \
	F(HOST_IA32_SYSENTER_ESP, 0x6c10)          \
	F(HOST_IA32_SYSENTER_EIP, 0x6c12)          \
	F(HOST_RSP, 0x6c14)                        \
	F(HOST_RIP, 0x6c16)

#define VMCS_FIELD_ENUM(name, encoding) name = (encoding),
enum vmcs_field { VMCS_FIELDS(VMCS_FIELD_ENUM) };
#undef VMCS_FIELD_ENUM

/* Segment registers, in the order of their VMCS fields (the encodings are 2 apart). */
enum vmcs_segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEGMENTS };

#define GUEST_SEGMENT(first, seg) ((enum vmcs_field)((first) + 2 * (unsigned int)(seg)))

/* The name of @field as above, or "?" for an encoding that is not listed. */
const char *vmcs_field_name(enum vmcs_field field);

#endif
