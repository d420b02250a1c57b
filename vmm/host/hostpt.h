/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMM's own address space: physical memory one to one, W^X. Only what Lintel needs is there:
 *
 *   image text                     r-x
 *   image constants, files of the guests, ACPI tables, memory of the firmware   r--
 *   image data, free memory (page tables, stacks, guests)                       rw-
 *   device registers               rw-, uncached, as drivers ask for them with hostpt_map
 *   start code of other CPUs       r-x, a page below 1 MiB
 *   page 0, guard pages, all else  not present
 *
 * Start-up only: changes are not announced to other CPUs.
 */
#ifndef VMM_HOST_HOSTPT_H
#define VMM_HOST_HOSTPT_H

#include "lib/types.h"
#include "vmm/boot_info.h"

enum hostpt_flags {
	HOSTPT_R = 0,
	HOSTPT_W = 1,
	HOSTPT_X = 2,
	HOSTPT_UC = 4, /* device registers */
	HOSTPT_WC = 8, /* framebuffers */
	HOSTPT_MMIO = HOSTPT_W | HOSTPT_UC,
};

/*
 * Build the map from the boot map; does not load it. Needs mem_init. 0 or -errno, and said why.
 *
 * Before it allocates it sets the firmware's page tables, GDT, IDT and stack apart as
 * MEM_OWNER_BOOT, so that nothing overwrites them while we use them. Once on a stack of our own
 * (cpu_switch_stack), vmm_main gives them back with mem_free_owner(MEM_OWNER_BOOT). Until cpu_init
 * has loaded the map nobody else may write to what mem_alloc gives: the firmware need not have
 * mapped it.
 */
int hostpt_init(const struct boot_info *info) __must_check;

/* The part of hostpt_init that needs no privilege: what the CPU can do is told. */
struct hostpt_cpu {
	unsigned int levels; /* 4 or 5 */
	bool gib_pages, nx;
};
int hostpt_build(const struct boot_info *info, const struct hostpt_cpu *cpu) __must_check;

/*
 * Make this CPU use it: CR3, and the registers that its permissions hang on (CR0.WP, EFER.NXE,
 * SMEP and SMAP where there, IA32_PAT). Each CPU calls it once. Interrupts are off.
 */
void hostpt_load(void);

/*
 * Map the pages that [hpa, hpa + size) touches. Neither W with X, nor anything that would change
 * how the image or RAM is mapped, is possible: -EINVAL. -ENOMEM without memory for tables.
 */
int hostpt_map(hpa_t hpa, u64 size, enum hostpt_flags flags) __must_check;

/* Take the page at @hpa out of the map for ever: what lies above it is a stack. */
int hostpt_guard(hpa_t hpa) __must_check;

/*
 * Make the page of data at @hpa one of code (r-x) for ever: for the start of other CPUs, which cannot
 * begin in the image. One page at most. -EINVAL for what is no free memory below 1 MiB.
 */
int hostpt_set_code(hpa_t hpa) __must_check;

/* May the VMM read all of [hpa, hpa + size)? For tables whose addresses others have written. */
bool hostpt_readable(hpa_t hpa, u64 size);

/* Check every entry against the rules above; prints each violation, returns their number. */
unsigned int hostpt_check(void);

/* Print the map, one line a range: "pt: 0000000000100000-0000000000200000 rw- wb". */
void hostpt_dump(void);

#endif
