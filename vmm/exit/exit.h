/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM exits: one total table, one handler a reason. A handler takes the vCPU and says how to go on.
 */
#ifndef VMM_EXIT_EXIT_H
#define VMM_EXIT_EXIT_H

#include "lib/types.h"
#include "vmm/vcpu/outcome.h"
#include "vmm/vcpu/vcpu.h"

/*
 * For vmx_run: handle the exit of the vCPU that @regs belong to, whose VMCS is the current one. @regs: enter it
 * again, which has been prepared; NULL: look first for what there is for it (it may have stopped). The second
 * one also writes to vcpu->view.
 */
vmx_exit_fn exit_reenter, exit_reenter_inside;

/* These two, as the ways of a vCPU's own context. */
extern const struct exit_ways exit_ways;

/*
 * The vCPU on this CPU waits for another of its VM, spinning: let those that wait for a CPU go
 * first. False: there is none.
 */
bool exit_yield(void);

/* What a handler needs, and what it leaves. */
enum {
	EXIT_QUALIFIED = 1 << 0, /* it reads vcpu->exit_qualification */
	EXIT_IN_EVENT = 1 << 1,  /* can strike in the middle of an event delivery */
	EXIT_MAY_REENTER =
		1
		<< 2, /* may answer OUTCOME_DONE or OUTCOME_REENTER: the vCPU stays "in the guest" */
};

/* The table itself, for the test that it is total. */
struct exit_handler {
	enum outcome (*handle)(struct vcpu *vcpu);
	unsigned int flags; /* EXIT_* */
};
extern const struct exit_handler exit_table[VMX_EXIT_REASON_COUNT];

/* Print the last exits of the vCPU on this CPU, newest last: for panic. */
void exit_log_dump(void);

/* For what no handler can be named in the table. */
enum outcome exit_unexpected(struct vcpu *vcpu);
enum outcome exit_entry_failure(struct vcpu *vcpu);

/* Handlers in files of their own. Those of MSRs and control registers are the vCPU's: msr.h, cr.h. */
enum outcome exit_io(struct vcpu *vcpu);
enum outcome exit_ept_violation(struct vcpu *vcpu);
enum outcome exit_vmcall(struct vcpu *vcpu);
enum outcome exit_apic_access(struct vcpu *vcpu);
enum outcome exit_apic_write(struct vcpu *vcpu);
enum outcome exit_virtualized_eoi(struct vcpu *vcpu);

/* The instruction of @length bytes at RIP is done: go on behind it. */
void exit_advance(u64 length);

/*
 * Do the guest's present instruction, which accesses the device memory at @gpa, in place of the
 * processor. RIP moves on when it is done.
 */
enum outcome mmio_emulate(struct vcpu *vcpu, gpa_t gpa, bool write);

#endif
