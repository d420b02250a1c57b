/* SPDX-License-Identifier: BSD-2-Clause */
#include "ept/ept.h"
#include "ept/table.h"

/* What leaves have to share to become one; flags of the processor and the size do not count. */
#define ENTRY_MEANING (ENTRY_FRAME | ENTRY_RIGHTS | ENTRY_TYPE | ENTRY_IGNORE_PAT)

/*
 * Does @table, of entries of @level, say what one entry of the level above could: one run of
 * frames with the same rights and type, or nothing? Then @meaning is that of its first leaf, or 0.
 */
static bool uniform(const struct ept *ept, hpa_t table, unsigned int level, u64 *meaning)
{
	const u64 *entries = ept_table(ept, table);

	for (unsigned int i = 0; i < EPT_ENTRIES; i++) {
		u64 entry = ept_load(&entries[i]);

		if (entry_is_table(entry, level)) {
			if (!uniform(ept, entry_frame(entry), level - 1, &entry))
				return false;
		}
		entry &= ENTRY_MEANING;
		if (i == 0)
			*meaning = entry;
		else if (entry != (*meaning ? *meaning + i * level_size(level) : 0))
			return false;
	}
	return true;
}

/* The entry of @level that can stand for the table that @entry refers to; false: there is none. */
static bool merged(const struct ept *ept, u64 entry, unsigned int level, u64 *value)
{
	u64 meaning;

	if (!uniform(ept, entry_frame(entry), level - 1, &meaning))
		return false;
	*value = 0;
	if (!meaning)
		return true;
	if (!leaf_allowed(&ept->features, level, meaning) ||
	    !IS_ALIGNED(entry_frame(meaning), level_size(level)))
		return false;
	*value = entry_leaf(&ept->features, level, entry_frame(meaning),
			    meaning & (ENTRY_RIGHTS | ENTRY_IGNORE_PAT),
			    (meaning & ENTRY_TYPE) >> ENTRY_TYPE_SHIFT);
	return true;
}

/* From the top, so that a whole tree of tables that says one thing is retired as one. */
static bool merge_table(struct ept *ept, hpa_t table, unsigned int level)
{
	u64 *entries = ept_table(ept, table);
	bool more = false;
	u64 value;

	for (unsigned int i = 0; !more && i < EPT_ENTRIES; i++) {
		u64 entry = ept_load(&entries[i]);

		if (!entry_is_table(entry, level))
			continue;
		if (merged(ept, entry, level, &value))
			more = !ept_replace(ept, &entries[i], level, value);
		else
			more = merge_table(ept, entry_frame(entry), level - 1);
	}
	return more;
}

bool ept_merge(struct ept *ept)
{
	return merge_table(ept, ept->root, EPT_LEVELS);
}
