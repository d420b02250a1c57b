/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/gva.h"
#include "lib/errno.h"
#include "lib/guest_mem.h"
#include "lib/x86.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"

#define PTE_PRESENT  BIT(0)
#define PTE_WRITE    BIT(1)
#define PTE_USER     BIT(2)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_LARGE    BIT(7)
#define PTE_FRAME    GENMASK(51, 12)

#define RFLAGS_AC    BIT(18)

/* One way of paging: SDM, "Hierarchical Paging Structures: an Overview". */
struct paging_mode {
	unsigned int levels;
	unsigned int bits;       /* of the address that a level translates */
	unsigned int entry_size; /* bytes */
	unsigned int large_max;  /* the highest level that may hold a large page; the lowest is 2 */
	unsigned int rights_max; /* the highest level whose entries have rights and flags */
};

static const struct paging_mode mode_32 = { 2, 10, 4, 1, 2 };
static const struct paging_mode mode_32_pse = { 2, 10, 4, 2, 2 };
static const struct paging_mode mode_pae = { 3, 9, 8, 2, 2 };
static const struct paging_mode mode_4level = { 4, 9, 8, 3, 4 };

/* How the guest translates now. */
struct paging {
	const struct paging_mode *mode; /* NULL: it does not */
	gpa_t root;
};

/* A walk under way. */
struct walk {
	struct vcpu *vcpu;
	const struct paging_mode *mode;
	u64 linear;
	u32 access;
	u64 rights;              /* PTE_WRITE and PTE_USER, as far as all levels so far give them */
	struct gva_trail *trail; /* what is to be remembered of it, or NULL */
};

static struct paging paging_now(void)
{
	u64 cr3, cr4;

	if (likely(vcpu_long_mode()))
		return (struct paging){ &mode_4level, vmcs_read(GUEST_CR3) & PTE_FRAME };
	if (!(vmcs_read(GUEST_CR0) & CR0_PG))
		return (struct paging){ NULL, 0 };
	cr3 = vmcs_read(GUEST_CR3);
	/* Compatibility mode has the same paging. */
	if (vmcs_read(GUEST_IA32_EFER) & EFER_LMA)
		return (struct paging){ &mode_4level, cr3 & PTE_FRAME };
	cr4 = vmcs_read(GUEST_CR4);
	if (cr4 & CR4_PAE)
		return (struct paging){ &mode_pae, cr3 & GENMASK(31, 5) };
	return (struct paging){ cr4 & CR4_PSE ? &mode_32_pse : &mode_32, cr3 & GENMASK(31, 12) };
}

u32 gva_privilege(void)
{
	return vcpu_cpl() == 3 ? GVA_USER : 0;
}

static bool is_leaf(const struct paging_mode *m, unsigned int level, u64 entry)
{
	return level == 1 || ((entry & PTE_LARGE) && level <= m->large_max);
}

/* SDM, "Access Rights": may an access as this one use a page with @rights? */
static bool allowed(u32 access, u64 rights)
{
	bool smap;

	if (access & GVA_FETCH)
		return true;
	if (access & GVA_USER)
		return (rights & PTE_USER) && (!(access & GVA_WRITE) || (rights & PTE_WRITE));
	if ((access & GVA_WRITE) && !(rights & PTE_WRITE) && (vmcs_read(GUEST_CR0) & CR0_WP))
		return false;
	smap = (rights & PTE_USER) && (vmcs_read(GUEST_CR4) & CR4_SMAP);
	return !smap || (vmcs_read(GUEST_RFLAGS) & RFLAGS_AC);
}

/*
 * As the processor does in a walk: only in an entry that still is what the walk has read, because
 * another vCPU may change it meanwhile. -EAGAIN where one did; -EFAULT where there is no RAM.
 */
static int set_flags(const struct walk *w, gpa_t where, u64 entry, bool leaf)
{
	u64 flags = PTE_ACCESSED | (leaf && (w->access & GVA_WRITE) ? PTE_DIRTY : 0);

	if ((w->access & GVA_FETCH) || (entry & flags) == flags)
		return 0;
	return guest_cmpxchg(&w->vcpu->vm->mem, where, &entry, entry | flags, w->mode->entry_size);
}

/* The page that the leaf @entry at @level maps. */
static gpa_t leaf_gpa(const struct walk *w, unsigned int level, u64 entry)
{
	u64 mask = BIT(12 + w->mode->bits * (level - 1)) - 1;

	/* A 4 MiB page keeps address bits 39:32 in bits 20:13 (PSE-36). */
	if (w->mode->entry_size == 4 && level == 2)
		entry = (entry & GENMASK(31, 22)) | (entry & GENMASK(20, 13)) << 19;
	return (entry & PTE_FRAME & ~mask) | (w->linear & mask);
}

static inline bool read_entry(const struct vcpu *vcpu, const struct paging_mode *mode, gpa_t where,
			      u64 *entry)
{
	if (likely(mode->entry_size == sizeof(*entry)))
		return guest_read_u64(&vcpu->vm->mem, where, entry);
	*entry = 0;
	return guest_read(&vcpu->vm->mem, where, entry, mode->entry_size);
}

static struct gva_step step_at(const struct walk *w, gpa_t where, u64 entry)
{
	struct gva_step step = { .where = where, .entry = entry };

	if (w->mode->entry_size == sizeof(entry))
		step.word = guest_word_at(&w->vcpu->vm->mem, where);
	return step;
}

/* 0; -EFAULT: a page fault with *@error; -EAGAIN: an entry was changed under the walk. */
static int walk_once(struct walk *w, gpa_t table, gpa_t *gpa, u32 *error)
{
	const struct paging_mode *m = w->mode;

	*error = w->access;
	w->rights = PTE_WRITE | PTE_USER;
	for (unsigned int level = m->levels; level; level--) {
		u64 index = w->linear >> (12 + m->bits * (level - 1)) & ((1u << m->bits) - 1);
		gpa_t where = table + index * m->entry_size;
		u64 entry;
		bool leaf;
		int err = 0;

		if (!read_entry(w->vcpu, m, where, &entry) || !(entry & PTE_PRESENT))
			return -EFAULT;
		if (w->trail)
			w->trail->step[m->levels - level] = step_at(w, where, entry);
		leaf = is_leaf(m, level, entry);
		if (level <= m->rights_max)
			w->rights &= entry;
		if (leaf && !allowed(w->access, w->rights)) {
			*error |= GVA_PRESENT;
			return -EFAULT;
		}
		if (level <= m->rights_max)
			err = set_flags(w, where, entry, leaf);
		if (err)
			return err;
		if (leaf) {
			*gpa = leaf_gpa(w, level, entry);
			return 0;
		}
		table = entry & PTE_FRAME;
	}
	return -EFAULT;
}

/*
 * How often a walk begins again because an entry has changed under it. The processor would never
 * give up; a guest that changes the entries of one address that fast gets a page fault instead.
 */
#define WALKS_MAX 4

static bool walk(struct walk *w, gpa_t table, gpa_t *gpa, u32 *error)
{
	int err = -EAGAIN;

	for (unsigned int n = 0; n < WALKS_MAX && err == -EAGAIN; n++)
		err = walk_once(w, table, gpa, error);
	return !err;
}

static bool translate(struct walk *w, struct paging paging, gpa_t *gpa, struct gva_fault *fault)
{
	if (w->trail)
		*w->trail = (struct gva_trail){ .mode = paging.mode, .root = paging.root };
	if (!paging.mode) {
		*gpa = w->linear & 0xffffffff;
		return true;
	}
	if (paging.mode != &mode_4level)
		w->linear = (u32)w->linear;
	w->mode = paging.mode;
	fault->address = w->linear;
	return walk(w, paging.root, gpa, &fault->error);
}

bool gva_translate(struct vcpu *vcpu, u64 linear, u32 access, gpa_t *gpa, struct gva_fault *fault)
{
	struct walk w = { .vcpu = vcpu, .linear = linear, .access = access };

	return translate(&w, paging_now(), gpa, fault);
}

/* 64-bit code is paged in one way only. */
static inline struct paging paging_of_code(bool long_mode)
{
	return likely(long_mode) ? (struct paging){ &mode_4level, vmcs_read(GUEST_CR3) & PTE_FRAME }
				 : paging_now();
}

bool gva_translate_code(struct vcpu *vcpu, bool long_mode, u64 linear, gpa_t *gpa,
			struct gva_trail *trail)
{
	struct walk w = { .vcpu = vcpu, .linear = linear, .access = GVA_FETCH, .trail = trail };
	struct gva_fault fault;

	return translate(&w, paging_of_code(long_mode), gpa, &fault);
}

/* The same for an entry of another kind, or elsewhere. */
static __noinline bool step_found(const struct vcpu *vcpu, const struct gva_trail *trail,
				  const struct gva_step *step)
{
	u64 entry;

	return read_entry(vcpu, trail->mode, step->where, &entry) && entry == step->entry;
}

/* An entry of 0 is of no step: those have PTE_PRESENT. */
bool gva_trail_holds(struct vcpu *vcpu, bool long_mode, const struct gva_trail *trail)
{
	struct paging paging = paging_of_code(long_mode);
	const struct gva_step *step = trail->step;

	if (paging.mode != trail->mode || paging.root != trail->root)
		return false;
	for (; step < trail->step + ARRAY_SIZE(trail->step) && step->entry; step++) {
		if (likely(step->word.at) ? guest_word_read(step->word) != step->entry
					  : !step_found(vcpu, trail, step))
			return false;
	}
	return true;
}

static size_t to_page_end(u64 linear, size_t len)
{
	return MIN(len, PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
}

bool gva_read(struct vcpu *vcpu, u64 linear, u32 access, void *buf, size_t len,
	      struct gva_fault *fault)
{
	u8 *dst = buf;
	gpa_t gpa;

	for (size_t n; len; len -= n, linear += n, dst += n) {
		n = to_page_end(linear, len);
		*fault = (struct gva_fault){ linear, access };
		if (!gva_translate(vcpu, linear, access, &gpa, fault) ||
		    !guest_read(&vcpu->vm->mem, gpa, dst, n))
			return false;
	}
	return true;
}

bool gva_write(struct vcpu *vcpu, u64 linear, u32 access, const void *buf, size_t len,
	       struct gva_fault *fault)
{
	const u8 *src = buf;
	gpa_t gpa;

	access |= GVA_WRITE;
	for (size_t n; len; len -= n, linear += n, src += n) {
		n = to_page_end(linear, len);
		*fault = (struct gva_fault){ linear, access };
		if (!gva_translate(vcpu, linear, access, &gpa, fault) ||
		    !guest_write(&vcpu->vm->mem, gpa, src, n))
			return false;
	}
	return true;
}
