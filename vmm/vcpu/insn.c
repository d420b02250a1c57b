/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/insn.h"
#include "lib/guest_mem.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

enum insn_mode insn_mode(void)
{
	u64 rights = vmcs_read(GUEST_CS_ACCESS_RIGHTS);

	/* As vcpu_long_mode. */
	if (rights & AR_L)
		return INSN_MODE_64;
	if (!(vmcs_read(GUEST_CR0) & CR0_PE))
		return INSN_MODE_16;
	return rights & AR_DB ? INSN_MODE_32 : INSN_MODE_16;
}

static struct insn_cached *entry_of(struct vcpu *vcpu, u64 linear)
{
	/* Fibonacci hashing: the upper bits of the product depend on all of the address. */
	return &vcpu->insns.entry[linear * 0x9e3779b97f4a7c15ULL >> 32 & (INSN_CACHE_SIZE - 1)];
}

static __noinline bool same_long(const struct vcpu *vcpu, const struct insn_cached *e)
{
	u64 bytes[2] = { 0 };

	return guest_read(&vcpu->vm->mem, e->gpa, bytes, e->insn.length) &&
	       bytes[0] == e->bytes[0] && bytes[1] == e->bytes[1];
}

/* Are the bytes at @e->gpa the ones that were decoded? */
static inline bool same_bytes(const struct vcpu *vcpu, const struct insn_cached *e)
{
	if (likely(e->code.at))
		return !((guest_word_read(e->code) ^ e->bytes[0]) << (64 - 8 * e->insn.length));
	return same_long(vcpu, e);
}

/* Is @e what would be found at @linear now: by the same tables, in the same bytes? */
static bool holds(struct vcpu *vcpu, const struct insn_cached *e, u64 linear, enum insn_mode mode)
{
	return e->linear == linear && e->insn.length && e->mode == mode &&
	       gva_trail_holds(vcpu, mode == INSN_MODE_64, &e->trail) && same_bytes(vcpu, e);
}

/* Up to 15 bytes, fewer when the next page is not there. */
static void fetch(struct vcpu *vcpu, u64 linear, enum insn_mode mode, struct insn_cached *e,
		  struct insn_bytes *b)
{
	size_t first = MIN((size_t)INSN_MAX_LENGTH, PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
	struct gva_fault fault;

	b->len = 0;
	if (!gva_translate_code(vcpu, mode == INSN_MODE_64, linear, &e->gpa, &e->trail) ||
	    !guest_read(&vcpu->vm->mem, e->gpa, b->byte, first))
		return;
	b->len = first;
	if (first < INSN_MAX_LENGTH && gva_read(vcpu, linear + first, GVA_FETCH, b->byte + first,
						INSN_MAX_LENGTH - first, &fault))
		b->len = INSN_MAX_LENGTH;
}

/* Fetch, decode and remember it in @e. */
static __noinline const struct mmio_insn *decode(struct vcpu *vcpu, u64 linear, enum insn_mode mode,
						 struct insn_cached *e, struct insn_bytes *b)
{
	fetch(vcpu, linear, mode, e, b);
	if (!mmio_decode(&e->insn, mode, b->byte, b->len)) {
		e->insn.length = 0;
		return NULL;
	}
	e->mode = mode;
	/* One that goes on in the next page is not remembered: it has two translations. */
	e->linear = (linear & (PAGE_SIZE - 1)) + e->insn.length <= PAGE_SIZE ? linear : ~linear;
	memset(e->bytes, 0, sizeof(e->bytes));
	memcpy(e->bytes, b->byte, e->insn.length);
	e->code = e->insn.length <= sizeof(u64) ? guest_word_at(&vcpu->vm->mem, e->gpa)
						: (struct guest_word){ NULL };
	return &e->insn;
}

const struct mmio_insn *insn_current(struct vcpu *vcpu, enum insn_mode mode, struct insn_bytes *b)
{
	u64 rip = vmcs_read(GUEST_RIP);
	u64 linear = mode == INSN_MODE_64 ? rip : (u32)(rip + vmcs_read(GUEST_CS_BASE));
	struct insn_cached *e = entry_of(vcpu, linear);

	return likely(holds(vcpu, e, linear, mode)) ? &e->insn : decode(vcpu, linear, mode, e, b);
}
