/* SPDX-License-Identifier: BSD-2-Clause */
/* What a VM keeps for the paravirtual interface of its vCPUs (vmm/vcpu/pv.h). */
#ifndef VMM_VM_VM_PV_H
#define VMM_VM_VM_PV_H

#include <stdatomic.h>
#include "lib/types.h"

/* Ticks to nanoseconds without a division, in the form that the guest's clock has. */
struct pv_scale {
	u32 mul;
	s8 shift;
};

struct vm_pv {
	struct pv_scale scale;
	u32 wall_sec, wall_nsec; /* since 1970, at guest time 0 */
	_Atomic u64 wall_clock;  /* the MSR, one for all vCPUs */
};

#endif
