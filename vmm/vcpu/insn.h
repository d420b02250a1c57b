/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction with which a vCPU has touched a device: fetched from its memory by its own page tables, and
 * decoded; or remembered, if nothing of that has changed.
 */
#ifndef VMM_VCPU_INSN_H
#define VMM_VCPU_INSN_H

#include "vmm/vcpu/decode.h"
#include "vmm/vcpu/gva.h"

struct vcpu;

/* Drivers touch devices from few places, again and again. */
#define INSN_CACHE_SIZE 8 /* a power of two */

struct insn_cached {
	struct mmio_insn insn; /* a length of 0: nothing is remembered */
	enum insn_mode mode;
	u64 linear;
	gpa_t gpa;
	struct guest_word code; /* at gpa, if the instruction has no more than 8 bytes */
	u64 bytes[2];           /* insn.length of them, then zeros */
	struct gva_trail trail;
};

struct insn_cache {
	struct insn_cached entry[INSN_CACHE_SIZE];
};

/* As it was fetched, for a message. */
struct insn_bytes {
	u8 byte[INSN_MAX_LENGTH];
	size_t len;
};

/* The mode of the vCPU's code, from CS and CR0. */
enum insn_mode insn_mode(void);

/*
 * The instruction at RIP of @vcpu, in @mode; NULL if it is none of mmio_decode's: then *@bytes is what there is. It
 * is the vCPU's until the next call. The bytes may have changed since they were executed.
 */
const struct mmio_insn *insn_current(struct vcpu *vcpu, enum insn_mode mode,
				     struct insn_bytes *bytes);

#endif
