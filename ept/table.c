/* SPDX-License-Identifier: BSD-2-Clause */
#include "ept/table.h"

hpa_t ept_table_alloc(struct ept *ept)
{
	hpa_t table = ept->pages->alloc(ept->pages->ctx);

	if (table)
		ept->tables++;
	return table;
}

void ept_table_free(struct ept *ept, hpa_t table, unsigned int level)
{
	const u64 *entries = ept_table(ept, table);

	for (unsigned int i = 0; level > 1 && i < EPT_ENTRIES; i++) {
		if (entry_is_table(entries[i], level))
			ept_table_free(ept, entry_frame(entries[i]), level - 1);
	}
	ept->pages->free(ept->pages->ctx, table);
	ept->tables--;
}

/* Fill @table, of entries of @level, with what one leaf of the level above, @leaf, says. */
static void split(const struct ept *ept, u64 *table, unsigned int level, u64 leaf)
{
	u64 rights = leaf & (ENTRY_RIGHTS | ENTRY_IGNORE_PAT);
	u64 type = (leaf & ENTRY_TYPE) >> ENTRY_TYPE_SHIFT;
	hpa_t frame = entry_frame(leaf);

	for (unsigned int i = 0; i < EPT_ENTRIES; i++, frame += level_size(level))
		table[i] = entry_leaf(&ept->features, level, frame, rights, type);
}

u64 *ept_table_below(struct ept *ept, u64 *entry, unsigned int level)
{
	u64 old = ept_load(entry);
	hpa_t below;

	if (entry_is_table(old, level))
		return ept_table(ept, entry_frame(old));
	below = ept_table_alloc(ept);
	if (!below)
		return NULL;
	/* Nobody sees the table before the store. A split changes no translation: no INVEPT. */
	if (entry_present(old))
		split(ept, ept_table(ept, below), level - 1, old);
	ept_store(entry, entry_table(&ept->features, below));
	return ept_table(ept, below);
}

bool ept_replace(struct ept *ept, u64 *entry, unsigned int level, u64 value)
{
	u64 old = ept_load(entry);

	if (!((old ^ value) & ~(ENTRY_ACCESSED | ENTRY_DIRTY)))
		return true;
	if (entry_is_table(old, level)) {
		if (ept->retired_count == EPT_RETIRED_MAX)
			return false;
		ept->retired[ept->retired_count++] =
			(struct ept_retired){ .table = entry_frame(old), .level = level - 1 };
	}
	ept_store(entry, value);
	/* After the store: who reads the new generation and then does INVEPT caches the new entry. */
	if (entry_present(old))
		__atomic_store_n(&ept->generation, ept->generation + 1, __ATOMIC_RELEASE);
	return true;
}
