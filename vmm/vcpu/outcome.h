/* SPDX-License-Identifier: BSD-2-Clause */
/* How to go on after an exit: what its handler answers. */
#ifndef VMM_VCPU_OUTCOME_H
#define VMM_VCPU_OUTCOME_H

/* OUTCOME_* in bits, so that each question about it is one test. */
#define OUTCOME_AT_ONCE_BIT 0x1u
#define OUTCOME_ADVANCE_BIT 0x2u

enum outcome {
	OUTCOME_RESUME = 0, /* enter the guest again as it is */
	/*
	 * The same, and nothing that the run loop looks after has changed (events, local APIC, timers, HLT),
	 * but for what has kicked the vCPU or its CPU: the guest may be entered again at once.
	 */
	OUTCOME_REENTER = OUTCOME_AT_ONCE_BIT,
	OUTCOME_ADVANCE = OUTCOME_ADVANCE_BIT, /* the instruction is done: go on behind it */
	OUTCOME_DONE = OUTCOME_ADVANCE_BIT | OUTCOME_AT_ONCE_BIT, /* both */
	OUTCOME_STOP = 0x4u,                                      /* vm_stop has been called */
};

#endif
