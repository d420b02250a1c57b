/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM-execution, VM-exit and VM-entry controls and the other bit fields of a VMCS.
 * SDM, "VM-Execution Control Fields", "VM-Exit Control Fields", "VM-Entry Control Fields".
 */
#ifndef VMX_CONTROLS_H
#define VMX_CONTROLS_H

#include "lib/types.h"

/* Pin-based VM-execution controls */
#define PIN_EXTERNAL_INTERRUPT_EXITING BIT(0)
#define PIN_NMI_EXITING                BIT(3)
#define PIN_VIRTUAL_NMIS               BIT(5)
#define PIN_PREEMPTION_TIMER           BIT(6)
#define PIN_POSTED_INTERRUPTS          BIT(7)

/* Primary processor-based VM-execution controls */
#define CPU_INTERRUPT_WINDOW_EXITING BIT(2)
#define CPU_USE_TSC_OFFSETTING       BIT(3)
#define CPU_HLT_EXITING              BIT(7)
#define CPU_INVLPG_EXITING           BIT(9)
#define CPU_MWAIT_EXITING            BIT(10)
#define CPU_RDPMC_EXITING            BIT(11)
#define CPU_RDTSC_EXITING            BIT(12)
#define CPU_CR3_LOAD_EXITING         BIT(15)
#define CPU_CR3_STORE_EXITING        BIT(16)
#define CPU_TERTIARY_CONTROLS        BIT(17)
#define CPU_CR8_LOAD_EXITING         BIT(19)
#define CPU_CR8_STORE_EXITING        BIT(20)
#define CPU_TPR_SHADOW               BIT(21)
#define CPU_NMI_WINDOW_EXITING       BIT(22)
#define CPU_MOV_DR_EXITING           BIT(23)
#define CPU_UNCONDITIONAL_IO_EXITING BIT(24)
#define CPU_USE_IO_BITMAPS           BIT(25)
#define CPU_MONITOR_TRAP_FLAG        BIT(27)
#define CPU_USE_MSR_BITMAPS          BIT(28)
#define CPU_MONITOR_EXITING          BIT(29)
#define CPU_PAUSE_EXITING            BIT(30)
#define CPU_SECONDARY_CONTROLS       BIT(31)

/* Secondary processor-based VM-execution controls */
#define CPU2_VIRTUALIZE_APIC_ACCESSES     BIT(0)
#define CPU2_ENABLE_EPT                   BIT(1)
#define CPU2_DESCRIPTOR_TABLE_EXITING     BIT(2)
#define CPU2_ENABLE_RDTSCP                BIT(3)
#define CPU2_VIRTUALIZE_X2APIC_MODE       BIT(4)
#define CPU2_ENABLE_VPID                  BIT(5)
#define CPU2_WBINVD_EXITING               BIT(6)
#define CPU2_UNRESTRICTED_GUEST           BIT(7)
#define CPU2_APIC_REGISTER_VIRTUALIZATION BIT(8)
#define CPU2_VIRTUAL_INTERRUPT_DELIVERY   BIT(9)
#define CPU2_PAUSE_LOOP_EXITING           BIT(10)
#define CPU2_RDRAND_EXITING               BIT(11)
#define CPU2_ENABLE_INVPCID               BIT(12)
#define CPU2_ENABLE_VM_FUNCTIONS          BIT(13)
#define CPU2_VMCS_SHADOWING               BIT(14)
#define CPU2_ENABLE_ENCLS_EXITING         BIT(15)
#define CPU2_RDSEED_EXITING               BIT(16)
#define CPU2_ENABLE_PML                   BIT(17)
#define CPU2_EPT_VIOLATION_VE             BIT(18)
#define CPU2_ENABLE_XSAVES                BIT(20)
#define CPU2_MODE_BASED_EXECUTE           BIT(22)
#define CPU2_USE_TSC_SCALING              BIT(25)
#define CPU2_ENABLE_USER_WAIT_PAUSE       BIT(26)

/* Primary VM-exit controls */
#define EXIT_SAVE_DEBUG_CONTROLS     BIT(2)
#define EXIT_HOST_ADDRESS_SPACE_SIZE BIT(9)
#define EXIT_LOAD_PERF_GLOBAL_CTRL   BIT(12)
#define EXIT_ACK_INTERRUPT           BIT(15)
#define EXIT_SAVE_PAT                BIT(18)
#define EXIT_LOAD_PAT                BIT(19)
#define EXIT_SAVE_EFER               BIT(20)
#define EXIT_LOAD_EFER               BIT(21)
#define EXIT_SAVE_PREEMPTION_TIMER   BIT(22)

/* VM-entry controls */
#define ENTRY_LOAD_DEBUG_CONTROLS   BIT(2)
#define ENTRY_IA32E_MODE_GUEST      BIT(9)
#define ENTRY_LOAD_PERF_GLOBAL_CTRL BIT(13)
#define ENTRY_LOAD_PAT              BIT(14)
#define ENTRY_LOAD_EFER             BIT(15)

/* Interruption-information fields: VM entry, VM exit and IDT vectoring agree on these bits. */
#define INTR_INFO_VECTOR              0xffu
#define INTR_INFO_TYPE                (7u << 8)
#define INTR_INFO_ERROR_CODE          (1u << 11)
#define INTR_INFO_NMI_UNBLOCKING_IRET (1u << 12)
#define INTR_INFO_VALID               (1u << 31)

#define INTR_TYPE_EXTERNAL            (0u << 8)
#define INTR_TYPE_NMI                 (2u << 8)
#define INTR_TYPE_HW_EXCEPTION        (3u << 8)
#define INTR_TYPE_SW_INTERRUPT        (4u << 8)
#define INTR_TYPE_PRIV_SW_EXCEPTION   (5u << 8)
#define INTR_TYPE_SW_EXCEPTION        (6u << 8)

/* Guest interruptibility state */
#define BLOCKING_BY_STI    BIT(0)
#define BLOCKING_BY_MOV_SS BIT(1)
#define BLOCKING_BY_SMI    BIT(2)
#define BLOCKING_BY_NMI    BIT(3)

/* Guest activity state */
#define ACTIVITY_ACTIVE 0
#define ACTIVITY_HLT    1

/* Guest pending debug exceptions */
#define PENDING_DEBUG_BREAKPOINT BIT(12) /* one that is enabled: B0-B3 alone only tell which */
#define PENDING_DEBUG_BS         BIT(14) /* single step */
#define PENDING_DEBUG_DUE        (PENDING_DEBUG_BREAKPOINT | PENDING_DEBUG_BS)

/* Exit qualification of an EPT violation */
#define EPT_VIOLATION_READ           BIT(0)
#define EPT_VIOLATION_WRITE          BIT(1)
#define EPT_VIOLATION_FETCH          BIT(2)
#define EPT_VIOLATION_PERMISSIONS    GENMASK(5, 3)
#define EPT_VIOLATION_LINEAR_VALID   BIT(7)
#define EPT_VIOLATION_TRANSLATED     BIT(8) /* clear: the access was the guest's own page walk */
#define EPT_VIOLATION_NMI_UNBLOCKING BIT(12)

/* Exit qualification of an APIC access */
#define APIC_ACCESS_OFFSET  0xfffu
#define APIC_ACCESS_TYPE(q) ((unsigned int)((q) >> 12 & 0xf))
#define APIC_ACCESS_READ    0 /* these two: by linear address, and not while an event is delivered */
#define APIC_ACCESS_WRITE   1

/* Guest interrupt status */
#define INTERRUPT_STATUS(rvi, svi) ((u32)(rvi) | (u32)(svi) << 8)

/* Segment access rights, as in a VMCS */
#define AR_TYPE_CODE_RA  0xbu /* execute/read, accessed */
#define AR_TYPE_DATA_WA  0x3u /* read/write, accessed */
#define AR_TYPE_TSS_BUSY 0xbu
#define AR_TYPE_LDT      0x2u
#define AR_S             (1u << 4)
#define AR_DPL(n)        ((unsigned int)(n) << 5)
#define AR_P             (1u << 7)
#define AR_L             (1u << 13)
#define AR_DB            (1u << 14)
#define AR_G             (1u << 15)
#define AR_UNUSABLE      (1u << 16)

#endif
