/* SPDX-License-Identifier: BSD-2-Clause */
/* How a guest's first instruction finds the processor: what a loader leaves to the vCPU's set-up. */
#ifndef VMM_LOAD_GUEST_ENTRY_H
#define VMM_LOAD_GUEST_ENTRY_H

#include "lib/types.h"

enum guest_mode {
	/* Paging on: CR0.PE PG ET, CR4.PAE, EFER.LME LMA; CS.L = 1. */
	GUEST_LONG64,
	/* Paging off: CR0.PE ET; CS.D = 1. */
	GUEST_PROT32,
	/* After a start-up IPI: real mode; CS is @cs with base @cs * 16, the other segments are 0. */
	GUEST_REAL16,
};

/*
 * In all modes: RFLAGS = 2 (interrupts off), no LDT, every register that is not named here 0. In the
 * first two: all segments flat (base 0, limit 4 GiB, privilege level 0), an empty IDT.
 */
struct guest_entry {
	enum guest_mode mode;
	u64 rip;
	u64 rax, rbx, rdx, rsi;
	u64 cr3; /* LONG64: the first 4 GiB one to one */
	gpa_t gdt_base;
	u16 gdt_limit;
	u16 cs, ds; /* selectors of this GDT; ds is for DS, ES, SS, FS and GS */
};

#endif
