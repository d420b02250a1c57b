/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts on their way to a local APIC: any CPU requests vectors, the owner's takes them.
 *
 * The layout is that of SDM, "Posted-Interrupt Descriptor", so that a processor which can take them
 * without the VMM finds them; the protocol is the same without such a processor: the vector's bit
 * first, the flag second, and who takes them clears the flag first and looks at the bits second.
 * So whoever finds the flag clear and sets it has to tell the owner, and nobody else has to.
 */
#ifndef VIOAPIC_POSTED_H
#define VIOAPIC_POSTED_H

#include "lib/types.h"

#define POSTED_WORDS       4
#define POSTED_OUTSTANDING BIT(0)

struct posted_interrupts {
	_Alignas(64) u64 request[POSTED_WORDS]; /* a bit for each vector */
	u64 control;                            /* POSTED_OUTSTANDING; the rest is 0 */
	u64 reserved[3];
};
_Static_assert(sizeof(struct posted_interrupts) == 64, "the descriptor has 64 bytes");
_Static_assert(offsetof(struct posted_interrupts, control) * 8 == 256, "ON is bit 256");

/* Request @vector. True when the owner has to be told. Any CPU, at any time. */
static inline bool posted_request(struct posted_interrupts *p, u8 vector)
{
	__atomic_fetch_or(&p->request[vector / 64], BIT(vector % 64), __ATOMIC_SEQ_CST);
	return !(__atomic_fetch_or(&p->control, POSTED_OUTSTANDING, __ATOMIC_SEQ_CST) &
		 POSTED_OUTSTANDING);
}

/* Is anything requested? One load, for the way into the guest: see vcpu_kick for who is ordered. */
static inline bool posted_any(const struct posted_interrupts *p)
{
	return __atomic_load_n(&p->control, __ATOMIC_SEQ_CST) & POSTED_OUTSTANDING;
}

/* Take all requests: into @taken, in place of what was there. False: none. The owner's CPU. */
static inline bool posted_take(struct posted_interrupts *p, u64 taken[POSTED_WORDS])
{
	u64 all = 0;

	if (!posted_any(p))
		return false;
	__atomic_fetch_and(&p->control, ~POSTED_OUTSTANDING, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < POSTED_WORDS; i++) {
		taken[i] = __atomic_load_n(&p->request[i], __ATOMIC_SEQ_CST);
		if (taken[i])
			taken[i] = __atomic_exchange_n(&p->request[i], 0, __ATOMIC_SEQ_CST);
		all |= taken[i];
	}
	return all;
}

#endif
