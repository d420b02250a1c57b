#include "vmm/gva.h"
#include "lib/guest_mem.h"
#include "lib/x86.h"
#include "vmm/vm.h"

#define PTE_PRESENT BIT(0)
#define PTE_LARGE   BIT(7)
#define PTE_FRAME   GENMASK(51, 12)

/* One way of paging: SDM, "Hierarchical Paging Structures: an Overview". */
struct paging_mode {
	unsigned int levels;
	unsigned int bits;       /* of the address that a level translates */
	unsigned int entry_size; /* bytes */
	unsigned int large_from; /* the lowest level that may hold a large page is 2 */
	unsigned int large_to;   /* and this is the highest */
};

static const struct paging_mode mode_32 = { 2, 10, 4, 2, 2 };
static const struct paging_mode mode_pae = { 3, 9, 8, 2, 2 };
static const struct paging_mode mode_4level = { 4, 9, 8, 2, 3 };

static bool walk(struct vcpu *vcpu, const struct paging_mode *m, gpa_t table, u64 linear,
		 gpa_t *gpa)
{
	for (unsigned int level = m->levels; level; level--) {
		unsigned int shift = 12 + m->bits * (level - 1);
		u64 index = linear >> shift & ((1u << m->bits) - 1);
		u64 entry = 0;

		if (!guest_read(&vcpu->vm->mem, table + index * m->entry_size, &entry,
				m->entry_size))
			return false;
		if (!(entry & PTE_PRESENT))
			return false;
		if (level == 1 ||
		    ((entry & PTE_LARGE) && level >= m->large_from && level <= m->large_to)) {
			u64 mask = BIT(shift) - 1;

			/* A 4 MiB page keeps address bits 39:32 in bits 20:13 (PSE-36). */
			if (m->entry_size == 4 && level == 2)
				entry = (entry & GENMASK(31, 22)) | (entry & GENMASK(20, 13)) << 19;
			*gpa = (entry & PTE_FRAME & ~mask) | (linear & mask);
			return true;
		}
		table = entry & PTE_FRAME;
	}
	return false;
}

bool gva_translate(struct vcpu *vcpu, u64 linear, gpa_t *gpa)
{
	u64 cr4, cr3;

	if (!(vmcs_read(GUEST_CR0) & CR0_PG)) {
		*gpa = linear & 0xffffffff;
		return true;
	}
	cr3 = vmcs_read(GUEST_CR3);
	cr4 = vmcs_read(GUEST_CR4);
	if (vmcs_read(GUEST_IA32_EFER) & EFER_LMA)
		return walk(vcpu, &mode_4level, cr3 & PTE_FRAME, linear, gpa);
	if (cr4 & CR4_PAE)
		return walk(vcpu, &mode_pae, cr3 & GENMASK(31, 5), linear & 0xffffffff, gpa);
	return walk(vcpu, &mode_32, cr3 & GENMASK(31, 12), linear & 0xffffffff, gpa);
}

static size_t to_page_end(u64 linear, size_t len)
{
	return MIN(len, PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
}

bool gva_read(struct vcpu *vcpu, u64 linear, void *buf, size_t len, u64 *fault)
{
	u8 *dst = buf;
	gpa_t gpa;

	for (size_t n; len; len -= n, linear += n, dst += n) {
		n = to_page_end(linear, len);
		*fault = linear;
		if (!gva_translate(vcpu, linear, &gpa) || !guest_read(&vcpu->vm->mem, gpa, dst, n))
			return false;
	}
	return true;
}

bool gva_write(struct vcpu *vcpu, u64 linear, const void *buf, size_t len, u64 *fault)
{
	const u8 *src = buf;
	gpa_t gpa;

	for (size_t n; len; len -= n, linear += n, src += n) {
		n = to_page_end(linear, len);
		*fault = linear;
		if (!gva_translate(vcpu, linear, &gpa) || !guest_write(&vcpu->vm->mem, gpa, src, n))
			return false;
	}
	return true;
}
