/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions, NMIs and interrupts that strike the VMM itself.
 *
 * The IDT has all 256 gates: a VM exit sets its limit to 0xffff, and without a hole no vector can
 * meet memory behind it. Interrupts do not nest; there is no user mode.
 */
#ifndef VMM_HOST_TRAP_H
#define VMM_HOST_TRAP_H

#include "lib/types.h"

#define TRAP_FIRST_INTERRUPT 32
#define TRAP_VECTORS         256

/* What trap.asm pushes, lowest address first, then what the CPU does. */
struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error; /* error: 0 where the CPU pushes none */
	u64 rip, cs, rflags, rsp, ss;
};

_Static_assert(offsetof(struct trap_frame, rax) == 14 * 8, "trap.asm pushes 15 registers");
_Static_assert(offsetof(struct trap_frame, rip) == 17 * 8, "then comes what the CPU pushed");
_Static_assert(sizeof(struct trap_frame) == 22 * 8, "");

/* Fill the IDT and load it on this CPU. */
void trap_load_idt(void);

/*
 * @fn handles interrupt @vector (32 and above) from now on, on every CPU, with interrupts off; @frame
 * is NULL where it interrupted a guest (trap_acknowledged). It also ends the interrupt (EOI). One without a handler counts as spurious, and is ended if
 * it is in service.
 */
typedef void trap_fn(void *arg, struct trap_frame *frame);
void trap_set_handler(unsigned int vector, trap_fn *fn, void *arg);

/*
 * Interrupt @vector has been acknowledged by a VM exit: call its handler, with no frame, as if it had
 * come through the IDT.
 */
void trap_acknowledged(unsigned int vector);

/* Interrupts that nobody handled. */
u64 trap_spurious(void);

/*
 * Called on each NMI in the VMM, after it is counted (struct cpu), on the NMI's own stack. It may
 * interrupt anything, so it must take no lock and not print.
 */
void trap_set_nmi_hook(void (*hook)(struct trap_frame *frame));

/* The instruction, or false where the CPU refuses it with #GP or #UD. */
bool rdmsr_safe(u32 msr, u64 *value) __must_check;
bool wrmsr_safe(u32 msr, u64 value) __must_check;
bool xsetbv_safe(u32 xcr, u64 value) __must_check;

/* "page fault", "general protection", ...; never NULL. */
const char *trap_name(unsigned int vector);

#endif
