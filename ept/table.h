/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables and single stores, the steps that changes of an EPT are made of. Within ept/ only. */
#ifndef EPT_TABLE_H
#define EPT_TABLE_H

#include "lib/types.h"
#include "ept/entry.h"

/*
 * The one way to write an entry that a processor can reach. A file of its own, so that a test can
 * link another one and look at the tables after every store.
 */
void ept_store(u64 *entry, u64 value);

/* A processor may set accessed and dirty flags meanwhile. */
static inline u64 ept_load(const u64 *entry)
{
	return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

static inline u64 *ept_table(const struct ept *ept, hpa_t table)
{
	return ept->pages->access(ept->pages->ctx, table);
}

/* A page of zeroes, or 0. */
hpa_t ept_table_alloc(struct ept *ept);

/* Free @table, of entries of @level, and all tables below it. */
void ept_table_free(struct ept *ept, hpa_t table, unsigned int level);

/*
 * The table below @entry, made when there is none: empty in place of what was not present, or the
 * same mapping in smaller leaves in place of a leaf. NULL: no page.
 */
u64 *ept_table_below(struct ept *ept, u64 *entry, unsigned int level);

/*
 * Put @value, a leaf or 0, in place of @entry. A table that it replaces is retired; false, and
 * nothing done, when too many are.
 */
bool ept_replace(struct ept *ept, u64 *entry, unsigned int level, u64 value) __must_check;

#endif
