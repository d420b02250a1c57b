/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processor's own page tables as a data structure: an identity map with permissions.
 * No privileged instruction: whoever loads the tables also flushes after a change.
 */
#ifndef VMM_HOST_PAGETABLE_H
#define VMM_HOST_PAGETABLE_H

#include "lib/types.h"

/* Bits of an entry. SDM volume 3, "Paging-Structure Entries" of 4-level and 5-level paging. */
#define PT_PRESENT BIT(0)
#define PT_WRITE   BIT(1)
#define PT_USER    BIT(2)
#define PT_PWT     BIT(3)
#define PT_PCD     BIT(4)
#define PT_LARGE   BIT(7) /* a leaf above the lowest level */
#define PT_GLOBAL  BIT(8)
#define PT_NX      BIT(63)
#define PT_ADDR    GENMASK(51, 12)

/*
 * Memory types by the PAT entry that PCD and PWT choose (the PAT bit itself stays 0, because it
 * lies elsewhere in large entries). PAGETABLE_PAT is IA32_PAT to go with them: the values at reset
 * with WC, which no page of the firmware uses, in the place of WT.
 */
#define PT_WB         0
#define PT_WC         PT_PWT
#define PT_UC         (PT_PCD | PT_PWT)
#define PT_TYPE       (PT_PCD | PT_PWT)
#define PAGETABLE_PAT 0x0007040600070106ULL

struct pagetable {
	u64 *root;
	unsigned int levels;  /* 4 or 5 */
	unsigned int largest; /* highest level of a leaf: 1 = 4K, 2 = 2M, 3 = 1G */
	u64 valid;            /* entry bits that the CPU knows: without NX, PT_NX is left out */
	hpa_t (*alloc)(void); /* one zeroed page, or 0 */
};

/*
 * Map [base, base + size), page-aligned, one to one with the leaf bits @bits (PT_WRITE, PT_NX, memory
 * type ...; PT_PRESENT is included when the map is to be there: 0 unmaps). Large pages are used
 * where they fit and split where they no longer do.
 * -EINVAL: not aligned or beyond the address width; -ENOMEM: no page for a table, and the part of
 * the range that was done stays done.
 */
int pagetable_set(struct pagetable *pt, hpa_t base, u64 size, u64 bits) __must_check;

/* The leaf entry that maps @addr, 0 when none does. */
u64 pagetable_get(const struct pagetable *pt, hpa_t addr);

/* Calls @fn for each present leaf in rising order of address. */
typedef void pagetable_fn(void *ctx, u64 addr, u64 size, u64 entry);
void pagetable_walk(const struct pagetable *pt, pagetable_fn *fn, void *ctx);

#endif
