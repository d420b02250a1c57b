/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory type that the MTRRs give to physical memory, computed from a copy of the registers.
 * ("Memory Type Range Registers (MTRRs)")
 */
#ifndef EPT_MTRR_H
#define EPT_MTRR_H

#include "lib/types.h"
#include "ept/memtype.h"

#define MTRR_FIXED        11 /* registers of 8 ranges each, as in mtrr_fixed_msr */
#define MTRR_VARIABLE_MAX 40 /* pairs from MSR 0x200 on; at 0x250 the fixed ones begin */

/* The registers, as read. */
struct mtrr {
	u64 cap;      /* IA32_MTRRCAP */
	u64 def_type; /* IA32_MTRR_DEF_TYPE */
	u64 fixed[MTRR_FIXED];
	struct {
		u64 base; /* IA32_MTRR_PHYSBASEn */
		u64 mask; /* IA32_MTRR_PHYSMASKn */
	} variable[MTRR_VARIABLE_MAX];
};

/* The MSR number of each fixed[], which exist where mtrr_has_fixed(). */
extern const u32 mtrr_fixed_msr[MTRR_FIXED];

static inline bool mtrr_has_fixed(const struct mtrr *mtrr)
{
	return mtrr->cap & BIT(8); /* IA32_MTRRCAP.FIX */
}

/* How many variable[] pairs there are. */
static inline unsigned int mtrr_variable_count(const struct mtrr *mtrr)
{
	return (unsigned int)MIN(mtrr->cap & 0xff, MTRR_VARIABLE_MAX); /* IA32_MTRRCAP.VCNT */
}

/*
 * The memory type of [hpa, hpa + n), in @type, for the largest n <= @size (> 0) for which it is
 * one. Returns n: the range is uniform when that is @size. Multiples of PAGE_SIZE give one.
 */
u64 mtrr_run(const struct mtrr *mtrr, hpa_t hpa, u64 size, enum memtype *type);

#endif
