/* SPDX-License-Identifier: BSD-2-Clause */
/* The processor's instructions and registers that C cannot say. Freestanding image code only. */
#ifndef LIB_X86_H
#define LIB_X86_H

#include "lib/types.h"

struct cpuid_regs {
	u32 eax, ebx, ecx, edx;
};

/* A deadline in TSC ticks that never comes. */
#define TSC_NEVER (~0ULL)

#if __STDC_HOSTED__

/* Host tests bring a processor of their own: tests/unit/fake_x86.h. */
struct cpuid_regs cpuid(u32 leaf, u32 subleaf);
u64 rdtsc(void);
u64 rdmsr(u32 msr);
void wrmsr(u32 msr, u64 value);
void xsetbv(u32 xcr, u64 value);
void irq_window(void);
void raise_nmi(void);
void raise_machine_check(void);
#	define X86_READ_WRITE(reg)   \
		u64 read_##reg(void); \
		void write_##reg(u64 v);

#else

static inline struct cpuid_regs cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "0"(leaf), "2"(subleaf));
	return r;
}

static inline u64 rdtsc(void)
{
	u64 lo, hi; /* whose upper halves it clears: SDM, "RDTSC" */

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return hi << 32 | lo;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return make_64(hi, lo);
}

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"(lower_32(value)), "d"(upper_32(value))
			 : "memory");
}

static inline void xsetbv(u32 xcr, u64 value)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(xcr), "a"(lower_32(value)), "d"(upper_32(value))
			 : "memory");
}

/* Take what is pending in the local APIC through the IDT; interrupts are off before and after. */
static inline void irq_window(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

static inline void raise_nmi(void)
{
	__asm__ volatile("int $2" : : : "memory");
}

static inline void raise_machine_check(void)
{
	__asm__ volatile("int $18" : : : "memory");
}

#	define X86_READ_WRITE(reg)                                                    \
		static inline u64 read_##reg(void)                                     \
		{                                                                      \
			u64 v;                                                         \
                                                                                       \
			__asm__ volatile("mov %%" #reg ", %0" : "=r"(v) : : "memory"); \
			return v;                                                      \
		}                                                                      \
                                                                                       \
		static inline void write_##reg(u64 v)                                  \
		{                                                                      \
			__asm__ volatile("mov %0, %%" #reg : : "r"(v) : "memory");     \
		}

#endif

X86_READ_WRITE(cr0)
X86_READ_WRITE(cr2)
X86_READ_WRITE(cr3)
X86_READ_WRITE(cr4)
X86_READ_WRITE(cr8)
X86_READ_WRITE(dr0)
X86_READ_WRITE(dr1)
X86_READ_WRITE(dr2)
X86_READ_WRITE(dr3)
X86_READ_WRITE(dr6)
X86_READ_WRITE(dr7)
#undef X86_READ_WRITE

static inline u64 xgetbv(u32 xcr)
{
	u32 lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(xcr));
	return make_64(hi, lo);
}

#define X86_IN_OUT(suffix, type)                                                             \
	static inline type in##suffix(u16 port)                                              \
	{                                                                                    \
		type v;                                                                      \
                                                                                             \
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(v) : "Nd"(port) : "memory");  \
		return v;                                                                    \
	}                                                                                    \
                                                                                             \
	static inline void out##suffix(u16 port, type v)                                     \
	{                                                                                    \
		__asm__ volatile("out" #suffix " %0, %1" : : "a"(v), "Nd"(port) : "memory"); \
	}

X86_IN_OUT(b, u8)
X86_IN_OUT(w, u16)
X86_IN_OUT(l, u32)
#undef X86_IN_OUT

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline bool irq_enabled(void)
{
	u64 flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
	return flags & 0x200;
}

/* Is @address one that 4-level paging can translate: bits 63:47 all alike? */
static inline bool is_canonical(u64 address)
{
	return (s64)(address << 16) >> 16 == (s64)address;
}

/* Model-specific registers, by the names of the SDM, volume 4. */
#define IA32_TIME_STAMP_COUNTER     0x010
#define IA32_PLATFORM_ID            0x017
#define IA32_APIC_BASE              0x01b
#define IA32_FEATURE_CONTROL        0x03a
#define IA32_TSC_ADJUST             0x03b
#define IA32_SPEC_CTRL              0x048
#define IA32_PRED_CMD               0x049
#define PRED_CMD_IBPB               BIT(0)
#define IA32_BIOS_SIGN_ID           0x08b
#define IA32_MTRRCAP                0x0fe
#define IA32_ARCH_CAPABILITIES      0x10a
#define IA32_SYSENTER_CS            0x174
#define IA32_SYSENTER_ESP           0x175
#define IA32_SYSENTER_EIP           0x176
#define IA32_MCG_CAP                0x179
#define IA32_MCG_STATUS             0x17a
#define IA32_MISC_ENABLE            0x1a0
#define IA32_DEBUGCTL               0x1d9
#define IA32_MTRR_PHYSBASE(n)       (0x200u + 2 * (n))
#define IA32_MTRR_PHYSMASK(n)       (0x201u + 2 * (n))
#define IA32_MTRR_FIX64K_00000      0x250
#define IA32_MTRR_FIX16K_80000      0x258
#define IA32_MTRR_FIX16K_A0000      0x259
#define IA32_MTRR_FIX4K(n)          (0x268u + (n))
#define IA32_PAT                    0x277
#define IA32_MTRR_DEF_TYPE          0x2ff
#define IA32_PERF_GLOBAL_CTRL       0x38f
#define IA32_VMX_BASIC              0x480
#define IA32_TSC_DEADLINE           0x6e0
#define IA32_X2APIC(reg)            (0x800u + ((reg) >> 4)) /* reg: offset in the xAPIC page */
#define IA32_XSS                    0xda0
#define IA32_EFER                   0xc0000080
#define IA32_STAR                   0xc0000081
#define IA32_LSTAR                  0xc0000082
#define IA32_CSTAR                  0xc0000083
#define IA32_FMASK                  0xc0000084
#define IA32_FS_BASE                0xc0000100
#define IA32_GS_BASE                0xc0000101
#define IA32_KERNEL_GS_BASE         0xc0000102
#define IA32_TSC_AUX                0xc0000103

#define APIC_BASE_BSP               BIT(8)
#define APIC_BASE_EXTD              BIT(10)
#define APIC_BASE_EN                BIT(11)

#define DEBUGCTL_BTF                BIT(1) /* single-step on branches */

#define FEATURE_CONTROL_LOCKED      BIT(0)
#define FEATURE_CONTROL_VMX_IN_SMX  BIT(1)
#define FEATURE_CONTROL_VMX_OUT_SMX BIT(2)

#define EFER_SCE                    BIT(0)
#define EFER_LME                    BIT(8)
#define EFER_LMA                    BIT(10)
#define EFER_NXE                    BIT(11)

#define CR0_PE                      BIT(0)
#define CR0_MP                      BIT(1)
#define CR0_EM                      BIT(2)
#define CR0_TS                      BIT(3)
#define CR0_ET                      BIT(4)
#define CR0_NE                      BIT(5)
#define CR0_WP                      BIT(16)
#define CR0_AM                      BIT(18)
#define CR0_NW                      BIT(29)
#define CR0_CD                      BIT(30)
#define CR0_PG                      BIT(31)

#define CR4_VME                     BIT(0)
#define CR4_PVI                     BIT(1)
#define CR4_TSD                     BIT(2)
#define CR4_DE                      BIT(3)
#define CR4_PSE                     BIT(4)
#define CR4_PAE                     BIT(5)
#define CR4_MCE                     BIT(6)
#define CR4_PGE                     BIT(7)
#define CR4_PCE                     BIT(8)
#define CR4_OSFXSR                  BIT(9)
#define CR4_OSXMMEXCPT              BIT(10)
#define CR4_UMIP                    BIT(11)
#define CR4_LA57                    BIT(12)
#define CR4_VMXE                    BIT(13)
#define CR4_SMXE                    BIT(14)
#define CR4_FSGSBASE                BIT(16)
#define CR4_PCIDE                   BIT(17)
#define CR4_OSXSAVE                 BIT(18)
#define CR4_SMEP                    BIT(20)
#define CR4_SMAP                    BIT(21)
#define CR4_PKE                     BIT(22)
#define CR4_CET                     BIT(23)
#define CR4_PKS                     BIT(24)

#define RFLAGS_FIXED                BIT(1)
#define RFLAGS_TF                   BIT(8)
#define RFLAGS_IF                   BIT(9)
#define RFLAGS_RF                   BIT(16) /* no instruction breakpoint at the next one */
#define RFLAGS_VM                   BIT(17)

/* Exception vectors. */
enum x86_vector {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_BP = 3,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_TS = 10,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_AC = 17,
	VECTOR_MC = 18,
};

#endif
