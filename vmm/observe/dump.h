/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest looked like when its VM crashed, and what its exits were. */
#ifndef VMM_OBSERVE_DUMP_H
#define VMM_OBSERVE_DUMP_H

#include "vmm/vcpu/vcpu.h"

struct vm;

/* Print the guest state of the current VMCS, which is @vcpu's. */
void dump_vcpu(const struct vcpu *vcpu);

/* Print how @vm has ended, its exits by reason (all vCPUs together), and its accesses to devices. */
void dump_end(const struct vm *vm);

/* Print what the exits of each of its vCPUs took, in the measurement that goes on or was the last one. */
void dump_times(const struct vm *vm);

#endif
