/* What a guest looked like when its VM crashed, and what its exits were. */
#ifndef VMM_DUMP_H
#define VMM_DUMP_H

#include "vmm/vcpu.h"

struct vm;

/* Print the guest state of the current VMCS, which is @vcpu's. */
void dump_vcpu(const struct vcpu *vcpu);

/* Print the table of exits by reason, of all vCPUs together. */
void dump_exits(const struct vm *vm);

/* Print how often each device was accessed. */
void dump_devices(const struct vm *vm);

#endif
