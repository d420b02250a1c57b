/* SPDX-License-Identifier: BSD-2-Clause */
/* When a guest has to exit, at the latest. */
#ifndef VMM_EXIT_ARM_H
#define VMM_EXIT_ARM_H

#include "vmm/host/host.h"
#include "vmm/host/vmm.h"
#include "vmx/vmcs.h"

/* The preemption timer has 32 bits: nothing is armed further ahead. */
#define ARM_MAX 0xffffffffULL

/*
 * Have the guest of the current VMCS exit at host TSC @deadline, at most ARM_MAX after @now. The timer counts
 * from the entry, so each entry needs it again. SDM, "VMX-Preemption Timer".
 */
static inline void arm(u64 now, u64 deadline)
{
	if (likely(vmx_uses(&vmm.caps, VMX_PREEMPTION_TIMER)))
		vmcs_write(VMX_PREEMPTION_TIMER_VALUE,
			   likely(deadline > now) ? (deadline - now) >> (vmm.caps.misc & 31) : 0);
	else
		host_timer(deadline);
}

#endif
