/* From the guest's linear addresses to its physical ones, by its own page tables. */
#ifndef VMM_GVA_H
#define VMM_GVA_H

#include "lib/types.h"
#include "vmm/vcpu.h"

/*
 * Translate @linear as the guest's current paging mode does; permissions are not looked at (the
 * processor has already made the access, or what is read is code that it has fetched).
 * False when nothing is mapped there, or a table lies outside of RAM.
 */
bool gva_translate(struct vcpu *vcpu, u64 linear, gpa_t *gpa) __must_check;

/* Copy @len bytes across pages. False at the first page that is not mapped RAM (in @fault). */
bool gva_read(struct vcpu *vcpu, u64 linear, void *buf, size_t len, u64 *fault) __must_check;
bool gva_write(struct vcpu *vcpu, u64 linear, const void *buf, size_t len, u64 *fault) __must_check;

#endif
