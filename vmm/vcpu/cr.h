/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's CR0 and CR4: who owns which bit. */
#ifndef VMM_VCPU_CR_H
#define VMM_VCPU_CR_H

#include "lib/types.h"
#include "vmm/vcpu/outcome.h"
#include "vmm/vcpu/vcpu.h"

/* Masks, shadows and registers in the current VMCS, so that the guest sees @cr0 and @cr4. */
void cr_init(const struct vcpu *vcpu, u64 cr0, u64 cr4);

/* What the guest of the current VMCS reads from CR0 and CR4. */
u64 cr0_seen(void);
u64 cr4_seen(void);

/* Exits: control-register accesses, and XSETBV. */
enum outcome exit_cr_access(struct vcpu *vcpu);
enum outcome exit_xsetbv(struct vcpu *vcpu);

#endif
