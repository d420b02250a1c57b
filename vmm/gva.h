/* From the guest's linear addresses to its physical ones, by its own page tables and their rights. */
#ifndef VMM_GVA_H
#define VMM_GVA_H

#include "lib/types.h"
#include "vmm/vcpu.h"

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

/* GVA_USER if the vCPU is at privilege level 3, else 0: to be or-ed to the access. */
u32 gva_privilege(void);

/*
 * Translate @linear as the guest's current paging mode does, with the checks of SDM, "Access
 * Rights", and set accessed and dirty flags. @access: GVA_*. False, and @fault filled, when nothing
 * is mapped there, the rights are missing, or a table lies outside of RAM.
 */
bool gva_translate(struct vcpu *vcpu, u64 linear, u32 access, gpa_t *gpa,
		   struct gva_fault *fault) __must_check;

/* Copy @len bytes across pages. False at the first page that cannot be reached, or is not RAM. */
bool gva_read(struct vcpu *vcpu, u64 linear, u32 access, void *buf, size_t len,
	      struct gva_fault *fault) __must_check;
bool gva_write(struct vcpu *vcpu, u64 linear, u32 access, const void *buf, size_t len,
	       struct gva_fault *fault) __must_check;

#endif
