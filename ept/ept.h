/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended page tables as a data structure: 4 levels, leaves of 4 KiB, 2 MiB and 1 GiB.
 * No instruction of VMX and no memory of its own: pages come from, and INVEPT is up to, the caller.
 *
 * Processors may walk the tables at any time, also while they are changed: after every single store
 * each guest-physical page shows what it showed before the call or what it shows after it.
 * Callers that change one EPT exclude each other.
 *
 * Sizes and addresses are bytes, multiples of PAGE_SIZE; guest-physical addresses have 48 bits.
 */
#ifndef EPT_EPT_H
#define EPT_EPT_H

#include "lib/types.h"
#include "ept/memtype.h"

#define EPT_GPA_BITS 48

/* Access rights of a leaf, as the bits of an entry. */
#define EPT_READ  ((u32)BIT(0))
#define EPT_WRITE ((u32)BIT(1))
#define EPT_EXEC  ((u32)BIT(2))
#define EPT_RWX   (EPT_READ | EPT_WRITE | EPT_EXEC)
/* Goes with the rights in ept_map: the guest's PAT has no say in the memory type. */
#define EPT_IGNORE_PAT ((u32)BIT(6))

/* Where table pages come from. */
struct ept_pages {
	void *ctx;
	/* One page of zeroes, 0 when there is none. (Page 0 is never a table.) */
	hpa_t (*alloc)(void *ctx);
	void (*free)(void *ctx, hpa_t page);
	/* Where we reach the page that alloc has returned. */
	void *(*access)(void *ctx, hpa_t page);
};

/* What may be used; all false is what every processor with EPT can do. */
struct ept_features {
	bool leaf_2m;
	bool leaf_1g;        /* no use without leaf_2m */
	bool exec_only;      /* EPT_EXEC alone is a legal right */
	bool accessed_dirty; /* the processor writes accessed and dirty flags */
	bool no_exec_large;  /* executable leaves are 4 KiB only: the iTLB multihit erratum */
	u8 phys_bits;        /* MAXPHYADDR, 32 to 52 */
};

/* Tables out of use that processors may still have cached, each with the tables below it. */
#define EPT_RETIRED_MAX 32

struct ept_retired {
	hpa_t table;
	unsigned int level;
};

/* The caller provides it, only ept/ writes it. */
struct ept {
	struct ept_features features;
	const struct ept_pages *pages;
	hpa_t root;
	/*
	 * Moves on with every store that cached translations may contradict: rights, frame or type of
	 * what was present. A processor that has not done an INVEPT at this value yet needs one before
	 * it enters the guest. What was not present is not cached, so mapping it moves nothing.
	 * ("Guidelines for Use of the INVEPT Instruction")
	 */
	u64 generation;
	u64 tables; /* table pages held, the root and retired ones included */
	struct ept_retired retired[EPT_RETIRED_MAX];
	unsigned int retired_count;
};

/* @pages stays the caller's and outlives @ept. -EINVAL: impossible width; -ENOMEM: no root. */
int ept_init(struct ept *ept, const struct ept_features *features,
	     const struct ept_pages *pages) __must_check;

/* Give every table page back. No processor may have cached anything of it any more. */
void ept_destroy(struct ept *ept);

/*
 * Map [gpa, gpa + size) to [hpa, hpa + size), in the largest leaves that features and alignment
 * allow, in place of what was there.
 *
 * -EINVAL: misaligned, empty, beyond the widths, impossible rights or type; nothing has changed.
 * -ENOMEM: no page for a table; [gpa, x) shows the new mapping and [x, gpa + size) the old one, for
 * some page x. The call can be repeated. The same holds for ept_unmap and ept_protect, which need
 * pages when they cut through a large leaf.
 */
int ept_map(struct ept *ept, gpa_t gpa, hpa_t hpa, u64 size, u32 rights,
	    enum memtype type) __must_check;

/* Make [gpa, gpa + size) not present. Holes in it are fine. */
int ept_unmap(struct ept *ept, gpa_t gpa, u64 size) __must_check;

/* Give what is present in [gpa, gpa + size) the rights @rights (not none: that is ept_unmap). */
int ept_protect(struct ept *ept, gpa_t gpa, u64 size, u32 rights) __must_check;

/*
 * Replace tables that say no more than one larger leaf would, or nothing, by that leaf or nothing.
 * No translation changes. True: more tables than can be retired; call it again after ept_reclaim.
 */
bool ept_merge(struct ept *ept) __must_check;

/*
 * Give retired tables back. Only after every processor that runs on @ept has done an INVEPT at the
 * present generation. While too many are retired, changes keep the tables and write their entries:
 * right, but less compact, until ept_merge.
 */
void ept_reclaim(struct ept *ept);

struct ept_leaf {
	gpa_t gpa; /* of the leaf's first byte */
	hpa_t hpa;
	u64 size;
	u32 rights; /* EPT_READ | EPT_WRITE | EPT_EXEC, and EPT_IGNORE_PAT */
	enum memtype type;
};

/* The leaf that maps @gpa; false when it is not present. */
bool ept_lookup(const struct ept *ept, gpa_t gpa, struct ept_leaf *leaf);

enum ept_kind {
	EPT_KIND_LEAF,
	EPT_KIND_TABLE, /* leaf.hpa is the table's page, leaf.size what it spans */
	EPT_KIND_FAULT, /* what nobody here wrote: not followed */
};

/* An entry that is not zero. */
struct ept_visit {
	enum ept_kind kind;
	unsigned int level; /* 4: in the root; 1: maps 4 KiB */
	u64 entry;
	struct ept_leaf leaf;
	const char *fault; /* for EPT_KIND_FAULT: what is wrong */
};

/*
 * Show every entry that is not zero, tables before what is in them, by rising guest-physical
 * address. A @visit that does not return 0 ends the walk; what it returned is returned.
 */
int ept_walk(const struct ept *ept, int (*visit)(void *ctx, const struct ept_visit *v), void *ctx);

struct ept_stats {
	u64 leaves_4k, leaves_2m, leaves_1g;
	u64 tables; /* in use, the root included */
	u64 faults; /* entries that nobody here wrote */
};

void ept_stats(const struct ept *ept, struct ept_stats *stats);

/* The EPT pointer of the VMCS: tables are write-back. */
u64 ept_eptp(const struct ept *ept);

#endif
