/* How a guest's first instruction finds the processor: what a loader leaves to the vCPU's set-up. */
#ifndef VMM_GUEST_ENTRY_H
#define VMM_GUEST_ENTRY_H

#include "lib/types.h"

enum guest_mode {
	/* Paging on: CR0.PE PG ET, CR4.PAE, EFER.LME LMA; CS.L = 1. */
	GUEST_LONG64,
	/* Paging off: CR0.PE ET; CS.D = 1. */
	GUEST_PROT32,
};

/*
 * In both modes: RFLAGS = 2 (interrupts off), all segments flat (base 0, limit 4 GiB, privilege
 * level 0), no LDT, an empty IDT, every register that is not named here 0.
 */
struct guest_entry {
	enum guest_mode mode;
	u64 rip;
	u64 rax, rbx, rsi;
	u64 cr3; /* LONG64: the first 4 GiB one to one */
	gpa_t gdt_base;
	u16 gdt_limit;
	u16 cs, ds; /* selectors of this GDT; ds is for DS, ES, SS, FS and GS */
};

#endif
