/* SPDX-License-Identifier: BSD-2-Clause */
/* From the guest's linear addresses to its physical ones, by its own page tables and their rights. */
#ifndef VMM_VCPU_GVA_H
#define VMM_VCPU_GVA_H

#include "lib/guest_mem.h"
#include "lib/types.h"

struct vcpu;

/* Who wants what: the bits of a page fault's error code. SDM, "Interrupt 14--Page-Fault Exception". */
enum gva_access {
	GVA_READ = 0,
	GVA_PRESENT = BIT(0), /* in an error code: it is the rights that are missing */
	GVA_WRITE = BIT(1),
	GVA_USER = BIT(2),
	GVA_FETCH = BIT(4), /* of code that the processor has already executed: not checked again */
};

/* The #PF that the guest is to get: vcpu_inject_page_fault. */
struct gva_fault {
	u64 address;
	u32 error;
};

/* The paging mode and the entries that a translation went by, to see later whether it still holds. */
struct gva_trail {
	const struct paging_mode *mode;
	gpa_t root;
	struct gva_step {
		struct guest_word word; /* where it is, if it has 8 bytes and is easily found */
		gpa_t where;
		u64 entry;
	} step[4];
};

/* GVA_USER if the vCPU is at privilege level 3, else 0: to be or-ed to the access. */
u32 gva_privilege(void);

/*
 * Translate @linear as the guest's current paging mode does, with the checks of SDM, "Access
 * Rights", and set accessed and dirty flags. @access: GVA_*. False, and @fault filled, when nothing
 * is mapped there, the rights are missing, or a table lies outside of RAM.
 */
bool gva_translate(struct vcpu *vcpu, u64 linear, u32 access, gpa_t *gpa,
		   struct gva_fault *fault) __must_check;

/*
 * The same for code that the processor has just executed, in 64-bit mode or, if not @long_mode, in any other; *@trail
 * is what it went by.
 */
bool gva_translate_code(struct vcpu *vcpu, bool long_mode, u64 linear, gpa_t *gpa,
			struct gva_trail *trail) __must_check;

/*
 * Would the translation that left @trail, of the same address, have the same result now? The tables are read
 * again, and nothing is derived from an old one: what a TLB might still hold does not matter.
 */
bool gva_trail_holds(struct vcpu *vcpu, bool long_mode, const struct gva_trail *trail) __must_check;

/* Copy @len bytes across pages. False at the first page that cannot be reached, or is not RAM. */
bool gva_read(struct vcpu *vcpu, u64 linear, u32 access, void *buf, size_t len,
	      struct gva_fault *fault) __must_check;
bool gva_write(struct vcpu *vcpu, u64 linear, u32 access, const void *buf, size_t len,
	       struct gva_fault *fault) __must_check;

#endif
