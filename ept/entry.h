/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The format of an entry of the extended page tables: "EPT Translation Mechanism", the tables
 * "Format of an EPT ... Entry". Within ept/ only.
 *
 * Levels count from the bottom: 1 = EPT page table (4 KiB each), 2 = page directory (2 MiB),
 * 3 = page-directory-pointer table (1 GiB), 4 = PML4 table.
 */
#ifndef EPT_ENTRY_H
#define EPT_ENTRY_H

#include "lib/types.h"
#include "ept/ept.h"

#define EPT_LEVELS       4u
#define EPT_ENTRIES      512u

#define ENTRY_RIGHTS     ((u64)EPT_RWX)
#define ENTRY_TYPE_SHIFT 3
#define ENTRY_TYPE       GENMASK(5, 3)         /* of a leaf: EPT memory type */
#define ENTRY_IGNORE_PAT ((u64)EPT_IGNORE_PAT) /* of a leaf: ignore PAT memory type */
#define ENTRY_LARGE      BIT(7)                /* levels 2 and 3: a leaf; level 1: ignored */
#define ENTRY_ACCESSED   BIT(8)
#define ENTRY_DIRTY      BIT(9) /* of a leaf */
#define ENTRY_FRAME      GENMASK(51, 12)

_Static_assert(EPT_ENTRIES * sizeof(u64) == PAGE_SIZE, "a table is one page");
_Static_assert(EPT_READ == 1 && EPT_WRITE == 2 && EPT_EXEC == 4, "rights are the entry's bits 2:0");
_Static_assert(EPT_IGNORE_PAT == 0x40, "the ignore-PAT flag is the entry's bit 6");

static inline unsigned int level_shift(unsigned int level)
{
	return 12 + 9 * (level - 1);
}

/* What one entry of @level spans, in bytes. */
static inline u64 level_size(unsigned int level)
{
	return BIT(level_shift(level));
}

_Static_assert(12 + 9 * EPT_LEVELS == EPT_GPA_BITS, "four levels translate all 48 bits");

static inline unsigned int level_index(unsigned int level, gpa_t gpa)
{
	return (unsigned int)(gpa >> level_shift(level)) % EPT_ENTRIES;
}

/* Present is what allows anything: "EPT Translation Mechanism". */
static inline bool entry_present(u64 entry)
{
	return entry & ENTRY_RIGHTS;
}

static inline bool entry_is_leaf(u64 entry, unsigned int level)
{
	return entry_present(entry) && (level == 1 || entry & ENTRY_LARGE);
}

static inline bool entry_is_table(u64 entry, unsigned int level)
{
	return entry_present(entry) && !entry_is_leaf(entry, level);
}

static inline hpa_t entry_frame(u64 entry)
{
	return entry & ENTRY_FRAME;
}

/*
 * What we write is accessed and dirty from the start where there are such flags: one too many makes
 * a page be copied once more, one lost in a split or merge would lose the page.
 */
static inline u64 entry_table(const struct ept_features *f, hpa_t table)
{
	return table | ENTRY_RIGHTS | (f->accessed_dirty ? ENTRY_ACCESSED : 0);
}

static inline u64 entry_leaf(const struct ept_features *f, unsigned int level, hpa_t frame,
			     u64 rights, u64 type)
{
	return frame | rights | type << ENTRY_TYPE_SHIFT | (level > 1 ? ENTRY_LARGE : 0) |
	       (f->accessed_dirty ? ENTRY_ACCESSED | ENTRY_DIRTY : 0);
}

/* May a leaf of @level have these rights? */
static inline bool leaf_allowed(const struct ept_features *f, unsigned int level, u64 rights)
{
	const bool leaves[EPT_LEVELS + 1] = {
		[1] = true,
		[2] = f->leaf_2m,
		[3] = f->leaf_1g,
	};

	return leaves[level] && !(level > 1 && f->no_exec_large && rights & EPT_EXEC);
}

/* "EPT Misconfigurations": writable but not readable, and execute-only where that is missing. */
static inline bool rights_valid(const struct ept_features *f, u64 rights)
{
	switch (rights & ENTRY_RIGHTS) {
	case EPT_READ:
	case EPT_READ | EPT_WRITE:
	case EPT_READ | EPT_EXEC:
	case EPT_RWX: return true;
	case EPT_EXEC: return f->exec_only;
	default: return false;
	}
}

#endif
