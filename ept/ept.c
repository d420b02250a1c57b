/* SPDX-License-Identifier: BSD-2-Clause */
#include "ept/ept.h"
#include "ept/table.h"
#include "lib/errno.h"

/* EPT pointer: "Extended-Page-Table Pointer (EPTP)". */
#define EPTP_TYPE              MEMTYPE_WB /* bits 2:0 */
#define EPTP_WALK_LENGTH_SHIFT 3          /* bits 5:3, one less than the length */
#define EPTP_ACCESSED_DIRTY    BIT(6)

/* One change of a range. */
struct change {
	gpa_t start, end;
	/*
	 * What @old, an entry of @level for @gpa that lies in the range as a whole, turns into.
	 * False: it cannot be said in one entry, but has to be in the table below.
	 */
	bool (*entry)(const struct ept *ept, const struct change *c, unsigned int level, gpa_t gpa,
		      u64 old, u64 *value);
	bool fills; /* also what is not present changes */
	hpa_t hpa;  /* of start */
	u64 rights;
	enum memtype type;
};

static bool map_entry(const struct ept *ept, const struct change *c, unsigned int level, gpa_t gpa,
		      u64 old, u64 *value)
{
	hpa_t hpa = c->hpa + (gpa - c->start);

	(void)old;
	if (!leaf_allowed(&ept->features, level, c->rights) || !IS_ALIGNED(hpa, level_size(level)))
		return false;
	*value = entry_leaf(&ept->features, level, hpa, c->rights, c->type);
	return true;
}

static bool unmap_entry(const struct ept *ept, const struct change *c, unsigned int level,
			gpa_t gpa, u64 old, u64 *value)
{
	(void)ept, (void)c, (void)level, (void)gpa, (void)old;
	*value = 0; /* No frame stays behind in what is not present: L1TF. */
	return true;
}

static bool protect_entry(const struct ept *ept, const struct change *c, unsigned int level,
			  gpa_t gpa, u64 old, u64 *value)
{
	(void)gpa;
	if (!entry_is_leaf(old, level) || !leaf_allowed(&ept->features, level, c->rights))
		return false;
	*value = entry_leaf(&ept->features, level, entry_frame(old),
			    c->rights | (old & ENTRY_IGNORE_PAT),
			    (old & ENTRY_TYPE) >> ENTRY_TYPE_SHIFT);
	return true;
}

static int change_table(struct ept *ept, const struct change *c, u64 *table, unsigned int level,
			gpa_t base);

static int change_entry(struct ept *ept, const struct change *c, u64 *entry, unsigned int level,
			gpa_t gpa)
{
	bool whole = gpa >= c->start && gpa + level_size(level) <= c->end;
	u64 old = ept_load(entry), value;
	u64 *below;

	if (!entry_present(old) && !c->fills)
		return 0;
	if (whole && c->entry(ept, c, level, gpa, old, &value) &&
	    ept_replace(ept, entry, level, value))
		return 0;
	/* Never at level 1, where every entry is whole, may be a leaf and is no table. */
	below = ept_table_below(ept, entry, level);
	if (!below)
		return -ENOMEM;
	return change_table(ept, c, below, level - 1, gpa);
}

/* Apply @c to the part of it that lies under @table, whose entries of @level begin at @base. */
static int change_table(struct ept *ept, const struct change *c, u64 *table, unsigned int level,
			gpa_t base)
{
	gpa_t last = MIN(c->end, base + EPT_ENTRIES * level_size(level)) - 1;
	unsigned int i = level_index(level, MAX(c->start, base));
	int err = 0;

	for (; !err && i <= level_index(level, last); i++)
		err = change_entry(ept, c, &table[i], level, base + i * level_size(level));
	return err;
}

static int change(struct ept *ept, const struct change *c)
{
	return change_table(ept, c, ept_table(ept, ept->root), EPT_LEVELS, 0);
}

static bool range_valid(u64 addr, u64 size, unsigned int bits)
{
	return size && IS_ALIGNED(addr | size, PAGE_SIZE) && size <= BIT(bits) &&
	       addr <= BIT(bits) - size;
}

int ept_map(struct ept *ept, gpa_t gpa, hpa_t hpa, u64 size, u32 rights, enum memtype type)
{
	const struct change map = {
		.start = gpa,
		.end = gpa + size,
		.entry = map_entry,
		.fills = true,
		.hpa = hpa,
		.rights = rights,
		.type = type,
	};

	if (!range_valid(gpa, size, EPT_GPA_BITS) ||
	    !range_valid(hpa, size, ept->features.phys_bits) ||
	    rights & ~(EPT_RWX | EPT_IGNORE_PAT) || !rights_valid(&ept->features, rights) ||
	    !memtype_valid(type))
		return -EINVAL;
	return change(ept, &map);
}

int ept_unmap(struct ept *ept, gpa_t gpa, u64 size)
{
	const struct change unmap = { .start = gpa, .end = gpa + size, .entry = unmap_entry };

	if (!range_valid(gpa, size, EPT_GPA_BITS))
		return -EINVAL;
	return change(ept, &unmap);
}

int ept_protect(struct ept *ept, gpa_t gpa, u64 size, u32 rights)
{
	const struct change protect = {
		.start = gpa,
		.end = gpa + size,
		.entry = protect_entry,
		.rights = rights,
	};

	if (!range_valid(gpa, size, EPT_GPA_BITS) || rights & ~EPT_RWX ||
	    !rights_valid(&ept->features, rights))
		return -EINVAL;
	return change(ept, &protect);
}

int ept_init(struct ept *ept, const struct ept_features *features, const struct ept_pages *pages)
{
	*ept = (struct ept){ .features = *features, .pages = pages };
	/* To cut a 1 GiB leaf takes 2 MiB ones. */
	ept->features.leaf_1g &= features->leaf_2m;
	if (features->phys_bits < 32 || features->phys_bits > 52)
		return -EINVAL;
	ept->root = ept_table_alloc(ept);
	return ept->root ? 0 : -ENOMEM;
}

void ept_destroy(struct ept *ept)
{
	ept_reclaim(ept);
	if (ept->root)
		ept_table_free(ept, ept->root, EPT_LEVELS);
	ept->root = 0;
}

void ept_reclaim(struct ept *ept)
{
	while (ept->retired_count) {
		const struct ept_retired *r = &ept->retired[--ept->retired_count];

		ept_table_free(ept, r->table, r->level);
	}
}

u64 ept_eptp(const struct ept *ept)
{
	return ept->root | EPTP_TYPE | (u64)(EPT_LEVELS - 1) << EPTP_WALK_LENGTH_SHIFT |
	       (ept->features.accessed_dirty ? EPTP_ACCESSED_DIRTY : 0);
}
