/* SPDX-License-Identifier: BSD-2-Clause */
#include "ept/ept.h"
#include "ept/table.h"

struct walk {
	const struct ept *ept;
	int (*visit)(void *ctx, const struct ept_visit *v);
	void *ctx;
};

/* The bits that an entry of @level may have: everything else is reserved or never written by us. */
static u64 known_bits(const struct ept_features *f, u64 entry, unsigned int level)
{
	u64 frame = GENMASK(f->phys_bits - 1u, 12);
	u64 accessed = f->accessed_dirty ? ENTRY_ACCESSED : 0;

	if (entry_is_table(entry, level))
		return frame | ENTRY_RIGHTS | accessed;
	return (frame & ~(level_size(level) - 1)) | ENTRY_RIGHTS | ENTRY_TYPE | ENTRY_IGNORE_PAT |
	       (level > 1 ? ENTRY_LARGE : 0) | accessed | (f->accessed_dirty ? ENTRY_DIRTY : 0);
}

/* What is wrong with an entry that is not zero, or NULL. "EPT Misconfigurations", and more. */
static const char *entry_fault(const struct ept_features *f, u64 entry, unsigned int level)
{
	u64 type = (entry & ENTRY_TYPE) >> ENTRY_TYPE_SHIFT;

	if (!entry_present(entry))
		return "not present, but not zero";
	if (!rights_valid(f, entry))
		return "impossible rights";
	if (entry & ~known_bits(f, entry, level))
		return "unknown bits";
	if (entry_is_table(entry, level))
		return (entry & ENTRY_RIGHTS) == ENTRY_RIGHTS ? NULL : "table without all rights";
	if (!memtype_valid(type))
		return "reserved memory type";
	return leaf_allowed(f, level, entry) ? NULL : "leaf too large";
}

static void describe(const struct ept *ept, u64 entry, unsigned int level, gpa_t gpa,
		     struct ept_visit *v)
{
	*v = (struct ept_visit){
		.level = level,
		.entry = entry,
		.leaf = {
			.gpa = gpa,
			.hpa = entry_frame(entry),
			.size = level_size(level),
			.rights = (u32)(entry & (ENTRY_RIGHTS | ENTRY_IGNORE_PAT)),
			.type = (enum memtype)((entry & ENTRY_TYPE) >> ENTRY_TYPE_SHIFT),
		},
		.fault = entry_fault(&ept->features, entry, level),
	};
	if (v->fault)
		v->kind = EPT_KIND_FAULT;
	else
		v->kind = entry_is_table(entry, level) ? EPT_KIND_TABLE : EPT_KIND_LEAF;
}

static int walk_table(const struct walk *w, hpa_t table, unsigned int level, gpa_t base)
{
	const u64 *entries = ept_table(w->ept, table);
	struct ept_visit v;
	int stop = 0;

	for (unsigned int i = 0; !stop && i < EPT_ENTRIES; i++) {
		u64 entry = ept_load(&entries[i]);
		gpa_t gpa = base + i * level_size(level);

		if (!entry)
			continue;
		describe(w->ept, entry, level, gpa, &v);
		stop = w->visit(w->ctx, &v);
		if (!stop && v.kind == EPT_KIND_TABLE)
			stop = walk_table(w, entry_frame(entry), level - 1, gpa);
	}
	return stop;
}

int ept_walk(const struct ept *ept, int (*visit)(void *ctx, const struct ept_visit *v), void *ctx)
{
	const struct walk w = { ept, visit, ctx };

	return walk_table(&w, ept->root, EPT_LEVELS, 0);
}

bool ept_lookup(const struct ept *ept, gpa_t gpa, struct ept_leaf *leaf)
{
	unsigned int level = EPT_LEVELS;
	hpa_t table = ept->root;
	struct ept_visit v;

	if (gpa >> EPT_GPA_BITS)
		return false;
	for (;;) {
		u64 entry = ept_load(&ept_table(ept, table)[level_index(level, gpa)]);

		describe(ept, entry, level, ALIGN_DOWN(gpa, level_size(level)), &v);
		if (v.kind != EPT_KIND_TABLE)
			break;
		table = entry_frame(entry);
		level--;
	}
	if (v.kind == EPT_KIND_LEAF)
		*leaf = v.leaf;
	return v.kind == EPT_KIND_LEAF;
}

static int count(void *ctx, const struct ept_visit *v)
{
	struct ept_stats *stats = ctx;
	u64 *leaves[EPT_LEVELS + 1] = {
		[1] = &stats->leaves_4k,
		[2] = &stats->leaves_2m,
		[3] = &stats->leaves_1g,
	};

	switch (v->kind) {
	case EPT_KIND_LEAF: ++*leaves[v->level]; break;
	case EPT_KIND_TABLE: stats->tables++; break;
	case EPT_KIND_FAULT: stats->faults++; break;
	}
	return 0;
}

void ept_stats(const struct ept *ept, struct ept_stats *stats)
{
	*stats = (struct ept_stats){ .tables = 1 };
	ept_walk(ept, count, stats);
}
