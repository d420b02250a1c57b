/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One physical CPU as the VMM uses it: segments, stacks, traps. Reachable on the CPU itself
 * through %gs, whose base a VM exit loads from HOST_GS_BASE.
 */
#ifndef VMM_HOST_CPU_H
#define VMM_HOST_CPU_H

#include <stdatomic.h>
#include "lib/types.h"
#include "vmx/vmcs.h"

struct trace_ring;
struct vcpu;
struct vm;

/* Selectors of the GDT: also what the host-state area of a VMCS names. */
#define CPU_SEL_CODE 0x08
#define CPU_SEL_DATA 0x10
#define CPU_SEL_TSS  0x18

#define CPU_MAX \
	33 /* the boot CPU and others that are used; a page of stacks and tables each is not for free */
#define CPU_NO_ID ~0u

/* Every stack has an unmapped page below it. A panic from any of them needs some 6 KiB. */
#define CPU_STACK_SIZE KIB(16)

/* Stacks 1 and up are the TSS's interrupt stacks (IST) of the same number. */
enum cpu_stack { CPU_STACK_MAIN, CPU_STACK_NMI, CPU_STACK_DF, CPU_STACK_MC, CPU_STACKS };

/* SDM volume 3, "Task Management in 64-bit Mode". RSP0-2 stay 0: there is no user mode. */
struct cpu_tss {
	u32 reserved0;
	u64 rsp[3];
	u64 ist[8]; /* ist[0] is reserved */
	u64 reserved1;
	u16 reserved2;
	u16 iomap;
} __packed;
_Static_assert(sizeof(struct cpu_tss) == 104, "the least limit that LTR takes is 67h");

struct cpu {
	_Alignas(CACHE_LINE) struct cpu *self; /* at %gs:0 */
	u64 vmreads, vmwrites;                 /* if the build counts them: vmx/vmcs.h */
	unsigned int id; /* 0 = the boot CPU, then counted up; CPU_NO_ID: not ready yet */
	u32 apic_id;
	u64 nmis;           /* that came while the VMM ran */
	struct vcpu *vcpu;  /* whose registers it holds, or NULL (vcpu_state.c) */
	struct vm *last_vm; /* whose secrets its predictors may hold (vcpu_state.c) */
	u64 ibpbs;          /* branch predictor barriers for a change of VM */
	u64 timer_deadline; /* what its local APIC's timer is armed for (host.c) */
	u64 gdt[5];
	struct cpu_tss tss;
	hpa_t stack_top[CPU_STACKS];
	struct cpu *next; /* all prepared ones */
	struct trace_ring *trace;

	/* Other CPUs write to the first, and read the second. */
	_Alignas(CACHE_LINE) atomic_bool kicked; /* the run loop is to look around (host_kick) */
	atomic_uint
		looks; /* who may write to its ring and to a vCPU's exit_stats here (inside.h) */
};
_Static_assert(sizeof(struct cpu) % CACHE_LINE == 0 &&
		       offsetof(struct cpu, kicked) % CACHE_LINE == 0,
	       "no two CPUs share a line, nor a CPU's own fields one with what others write");
_Static_assert(offsetof(struct cpu, self) == 0, "this_cpu reads %gs:0");
_Static_assert(offsetof(struct cpu, vmreads) == VMCS_READS_GS, "vmcs_read counts there");
_Static_assert(offsetof(struct cpu, vmwrites) == VMCS_WRITES_GS, "vmcs_write counts there");

/*
 * Give @cpu (zeroed, for ever) its stacks with guard pages. Needs hostpt_init; on any CPU.
 * -ENOMEM or -ENOSPC, and said why.
 */
int cpu_prepare(struct cpu *cpu, unsigned int id) __must_check;

/* Make the CPU that runs this @cpu: GDT, TSS, %gs, IDT and page tables. Interrupts are off after. */
void cpu_init(struct cpu *cpu);

/* Both, for the CPU that runs this, as CPU 0. */
int cpu_init_boot(struct cpu *cpu) __must_check;

/* Go on with @fn(@arg), which must not return, on the stack that ends at @top. */
void cpu_switch_stack(hpa_t top, void (*fn)(void *arg), void *arg) __noreturn;

static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* this_cpu()->kicked, in one instruction. */
static inline bool this_cpu_kicked(void)
{
	bool kicked;

	__asm__ volatile("cmpb $0, %%gs:%c1"
			 : "=@ccne"(kicked)
			 : "i"(offsetof(struct cpu, kicked))
			 : "memory");
	return kicked;
}

/* this_cpu(), but NULL where cpu_init has not been yet. */
struct cpu *this_cpu_or_null(void);

/* The one that cpu_init_boot has made. */
struct cpu *cpu_boot(void);

/* Lowest and highest address + 1 of the stack that holds @addr; false when none of ours does. */
bool cpu_stack_bounds(hpa_t addr, hpa_t *bottom, hpa_t *top);

/* The name of the stack whose guard page @addr lies in ("main", "NMI" ...), or NULL. */
const char *cpu_guard_name(hpa_t addr);

/* The APIC ID of the CPU that runs this, all 32 bits where CPUID has them. */
u32 cpu_read_apic_id(void);

/* Stop this CPU for ever. */
void cpu_halt(void) __noreturn;

#endif
