/*
 * VM exits: one total table, one handler a reason. A handler takes the vCPU and says how to go on.
 */
#ifndef VMM_EXIT_H
#define VMM_EXIT_H

#include "lib/types.h"
#include "vmm/vcpu.h"

enum outcome {
	OUTCOME_RESUME,  /* enter the guest again as it is */
	OUTCOME_ADVANCE, /* the instruction is done: go on behind it */
	OUTCOME_STOP,    /* vm_stop has been called */
};

/*
 * Handle the exit that the current VMCS tells of. True when the guest may be entered again,
 * false when its VM has stopped.
 */
bool exit_dispatch(struct vcpu *vcpu);

/*
 * The vCPU on this CPU waits for another of its VM, spinning: let those that wait for a CPU go
 * first.
 */
void exit_yield(void);

/* The table itself, for the test that it is total. */
struct exit_handler {
	enum outcome (*handle)(struct vcpu *vcpu);
	bool qualification; /* the handler reads vcpu->exit_qualification */
	bool in_event;      /* can strike in the middle of an event delivery */
};
extern const struct exit_handler exit_table[VMX_EXIT_REASON_COUNT];

/* Print the last exits of the vCPU on this CPU, newest last: for panic. */
void exit_log_dump(void);

/* Handlers that live in files of their own. */
enum outcome exit_msr_read(struct vcpu *vcpu);
enum outcome exit_msr_write(struct vcpu *vcpu);
enum outcome exit_cr_access(struct vcpu *vcpu);
enum outcome exit_io(struct vcpu *vcpu);
enum outcome exit_ept_violation(struct vcpu *vcpu);
enum outcome exit_vmcall(struct vcpu *vcpu);
enum outcome exit_xsetbv(struct vcpu *vcpu);
enum outcome exit_apic_access(struct vcpu *vcpu);
enum outcome exit_apic_write(struct vcpu *vcpu);
enum outcome exit_virtualized_eoi(struct vcpu *vcpu);

/*
 * Do the guest's present instruction, which accesses the device memory at @gpa, in place of the
 * processor. RIP moves on when it is done.
 */
enum outcome mmio_emulate(struct vcpu *vcpu, gpa_t gpa, bool write);

#endif
