/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMCS that runs a vCPU, with what is known of it: what the VMM has written there itself is never read again, and
 * written only when it changes; and what else goes with it: VPID, EPT, and what is done about its exits.
 *
 * It is not the vCPU. A vCPU has one of its own, for its guest; a guest that is a hypervisor has its own guests run
 * by another one, with another EPT, another VPID and another way to look at exits. One of them is in use, and the
 * way of an exit does not ask which.
 */
#ifndef VMM_VCPU_CONTEXT_H
#define VMM_VCPU_CONTEXT_H

#include "lib/types.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

struct cpu;
struct inside_view;
struct vcpu;

/* What is done about exits: the way of an exit, and the same while somebody looks at it (vmm/observe/inside.h). */
struct exit_ways {
	vmx_exit_fn *plain, *inside;
};

struct vcpu_context {
	struct vmcs *vmcs; /* a page of the VM's */
	u64 eptp;
	u16 vpid; /* VPID_NONE: the CPU has none */
	bool launched;
	u32 windows;       /* the CPU_*_WINDOW_EXITING that are on */
	u32 cpu_controls;  /* what PRIMARY_CONTROLS holds, less the windows */
	u32 cpu2_controls; /* what SECONDARY_CONTROLS holds */
	u32 tpr_threshold; /* what TPR_THRESHOLD holds */
	u32 pause_window;  /* what PLE_WINDOW holds */
	u64 eoi_exits[4];  /* what the EOI-exit bitmap holds */
	struct exit_ways exits;
	const struct cpu *last_on; /* whose TLB may hold translations of vpid and eptp */
	struct vcpu_context *next; /* all of the vCPU's */
};

/*
 * Give @vcpu the context @ctx, zeroed and of the same life as @vcpu: a VMCS in memory of its VM's, clear, and a VPID.
 * @eptp is the EPT that its guest runs in. -ENOMEM; -ENOSPC, and said: no VPID is left.
 */
int context_add(struct vcpu *vcpu, struct vcpu_context *ctx, u64 eptp,
		const struct exit_ways *exits) __must_check;

/*
 * @vcpu, which is loaded, is run by @ctx from now on, which is one of its own: the current VMCS is @ctx's, and its
 * host state is this CPU's. The one before stays active here, as it was, until vcpu_unload.
 */
void context_use(struct vcpu *vcpu, struct vcpu_context *ctx);

/*
 * What comes out of @vcpu's guest is looked at by @view, or by nobody (NULL), from now on, whichever context is in use.
 * @vcpu is loaded.
 */
void context_watch(struct vcpu *vcpu, struct inside_view *view);

/* The vCPU goes to another CPU, or nowhere: nothing of its contexts is cached on this one any more. */
void context_clear_all(struct vcpu *vcpu);

/* Its VPIDs may be given to others. The memory of VMCSs is the VM's, and goes with it. No CPU holds @vcpu. */
void context_end_all(struct vcpu *vcpu);

/* Drop cached linear translations of @ctx, on this CPU. */
void context_flush_tlb(const struct vcpu_context *ctx);

#endif
