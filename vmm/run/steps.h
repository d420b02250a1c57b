/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMs as steps: which one's turn it is (`after`), what a VM needs of the machine (`needs`), and, where
 * lintel.conf wants a summary, how each has ended.
 */
#ifndef VMM_RUN_STEPS_H
#define VMM_RUN_STEPS_H

#include "lib/types.h"
#include "vmm/vm/vm_note.h"

struct vm;

enum step_verdict {
	STEP_NOT_RUN,
	STEP_PASS, /* it has switched itself off, or written 0 to its debug exit */
	STEP_FAIL,
	STEP_TIMEOUT,
	STEP_SKIP, /* the machine lacks what it needs */
	STEP_VERDICTS
};

struct step {
	enum step_verdict verdict;
	u64 ticks, exits; /* of its last life */
	char reason[40];
	struct vm_note note;
};

/* Get ready to record, if a summary is wanted. Before a VM starts. */
void steps_begin(void);

/* Has the VM that @vm comes after, if any, ended for good, and those that this one comes after? */
bool steps_turn(const struct vm *vm);

/* What of its `needs` the machine does not have, or VT-x does not use: the first one's name, or NULL. */
const char *steps_lacks(const struct vm *vm);

/* @vm is skipped, for @why; has not started; has ended (its vCPUs are still there). Says so, if a summary is wanted. */
void steps_skipped(const struct vm *vm, const char *why);
void steps_not_started(const struct vm *vm);
void steps_ended(const struct vm *vm);

/* All of them, one to a line, and how many there are of each verdict. */
void steps_print(void);

/* In a panic: what was running. */
void steps_panic(void);

#endif
