/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory types, in the encoding that MTRRs, the PAT and EPT entries share. */
#ifndef EPT_MEMTYPE_H
#define EPT_MEMTYPE_H

#include "lib/types.h"

enum memtype {
	MEMTYPE_UC = 0, /* uncacheable */
	MEMTYPE_WC = 1, /* write combining */
	MEMTYPE_WT = 4, /* write through */
	MEMTYPE_WP = 5, /* write protected */
	MEMTYPE_WB = 6, /* write back */
};

/* 2, 3 and everything above 6 are reserved. */
static inline bool memtype_valid(u64 type)
{
	return type <= MEMTYPE_WB && type != 2 && type != 3;
}

#endif
