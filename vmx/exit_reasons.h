/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Basic exit reasons, SDM, appendix "VMX Basic Exit Reasons". The list is total: a reason that
 * has no number here cannot be told from RESERVED.
 */
#ifndef VMX_EXIT_REASONS_H
#define VMX_EXIT_REASONS_H

#include "lib/types.h"

#define VMX_EXIT_REASONS(R)                                        \
	R(EXCEPTION_OR_NMI, 0, "exception or NMI")                 \
	R(EXTERNAL_INTERRUPT, 1, "external interrupt")             \
	R(TRIPLE_FAULT, 2, "triple fault")                         \
	R(INIT, 3, "INIT signal")                                  \
	R(SIPI, 4, "start-up IPI")                                 \
	R(IO_SMI, 5, "I/O SMI")                                    \
	R(OTHER_SMI, 6, "other SMI")                               \
	R(INTERRUPT_WINDOW, 7, "interrupt window")                 \
	R(NMI_WINDOW, 8, "NMI window")                             \
	R(TASK_SWITCH, 9, "task switch")                           \
	R(CPUID, 10, "CPUID")                                      \
	R(GETSEC, 11, "GETSEC")                                    \
	R(HLT, 12, "HLT")                                          \
	R(INVD, 13, "INVD")                                        \
	R(INVLPG, 14, "INVLPG")                                    \
	R(RDPMC, 15, "RDPMC")                                      \
	R(RDTSC, 16, "RDTSC")                                      \
	R(RSM, 17, "RSM")                                          \
	R(VMCALL, 18, "VMCALL")                                    \
	R(VMCLEAR, 19, "VMCLEAR")                                  \
	R(VMLAUNCH, 20, "VMLAUNCH")                                \
	R(VMPTRLD, 21, "VMPTRLD")                                  \
	R(VMPTRST, 22, "VMPTRST")                                  \
	R(VMREAD, 23, "VMREAD")                                    \
	R(VMRESUME, 24, "VMRESUME")                                \
	R(VMWRITE, 25, "VMWRITE")                                  \
	R(VMXOFF, 26, "VMXOFF")                                    \
	R(VMXON, 27, "VMXON")                                      \
	R(CR_ACCESS, 28, "control-register access")                \
	R(MOV_DR, 29, "MOV DR")                                    \
	R(IO_INSTRUCTION, 30, "I/O instruction")                   \
	R(RDMSR, 31, "RDMSR")                                      \
	R(WRMSR, 32, "WRMSR")                                      \
	R(ENTRY_GUEST_STATE, 33, "entry failure: guest state")     \
	R(ENTRY_MSR_LOADING, 34, "entry failure: MSR loading")     \
	R(RESERVED_35, 35, "reserved 35")                          \
	R(MWAIT, 36, "MWAIT")                                      \
	R(MONITOR_TRAP_FLAG, 37, "monitor trap flag")              \
	R(RESERVED_38, 38, "reserved 38")                          \
	R(MONITOR, 39, "MONITOR")                                  \
	R(PAUSE, 40, "PAUSE")                                      \
	R(ENTRY_MACHINE_CHECK, 41, "entry failure: machine check") \
	R(RESERVED_42, 42, "reserved 42")                          \
	R(TPR_BELOW_THRESHOLD, 43, "TPR below threshold")          \
	R(APIC_ACCESS, 44, "APIC access")                          \
	R(VIRTUALIZED_EOI, 45, "virtualized EOI")                  \
	R(GDTR_IDTR_ACCESS, 46, "access to GDTR or IDTR")          \
	R(LDTR_TR_ACCESS, 47, "access to LDTR or TR")              \
	R(EPT_VIOLATION, 48, "EPT violation")                      \
	R(EPT_MISCONFIGURATION, 49, "EPT misconfiguration")        \
	R(INVEPT, 50, "INVEPT")                                    \
	R(RDTSCP, 51, "RDTSCP")                                    \
	R(PREEMPTION_TIMER, 52, "preemption timer")                \
	R(INVVPID, 53, "INVVPID")                                  \
	R(WBINVD, 54, "WBINVD or WBNOINVD")                        \
	R(XSETBV, 55, "XSETBV")                                    \
	R(APIC_WRITE, 56, "APIC write")                            \
	R(RDRAND, 57, "RDRAND")                                    \
	R(INVPCID, 58, "INVPCID")                                  \
	R(VMFUNC, 59, "VMFUNC")                                    \
	R(ENCLS, 60, "ENCLS")                                      \
	R(RDSEED, 61, "RDSEED")                                    \
	R(PML_FULL, 62, "page-modification log full")              \
	R(XSAVES, 63, "XSAVES")                                    \
	R(XRSTORS, 64, "XRSTORS")                                  \
	R(PCONFIG, 65, "PCONFIG")                                  \
	R(SPP, 66, "SPP-related event")                            \
	R(UMWAIT, 67, "UMWAIT")                                    \
	R(TPAUSE, 68, "TPAUSE")                                    \
	R(LOADIWKEY, 69, "LOADIWKEY")                              \
	R(ENCLV, 70, "ENCLV")                                      \
	R(RESERVED_71, 71, "reserved 71")                          \
	R(ENQCMD_PASID, 72, "ENQCMD PASID translation")            \
	R(ENQCMDS_PASID, 73, "ENQCMDS PASID translation")          \
	R(BUS_LOCK, 74, "bus lock")                                \
	R(INSTRUCTION_TIMEOUT, 75, "instruction timeout")          \
	R(SEAMCALL, 76, "SEAMCALL")                                \
	R(TDCALL, 77, "TDCALL")                                    \
	R(RDMSRLIST, 78, "RDMSRLIST")                              \
	R(WRMSRLIST, 79, "WRMSRLIST")

#define VMX_EXIT_ENUM(name, number, text) EXIT_##name = (number),
enum vmx_exit_reason { VMX_EXIT_REASONS(VMX_EXIT_ENUM) VMX_EXIT_REASON_COUNT };
#undef VMX_EXIT_ENUM

/* The 32-bit exit-reason field: the basic reason, and what VM entry itself says. */
#define EXIT_REASON_BASIC         0xffffu
#define EXIT_REASON_ENTRY_FAILURE (1u << 31)

/* What the manual calls @reason, "unknown" beyond the list. */
const char *vmx_exit_reason_name(unsigned int reason);

#endif
