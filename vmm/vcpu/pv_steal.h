/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steal time: how long a vCPU has been ready without a CPU, in memory that the guest registers;
 * whether it has none right now; and TLB flushes that others leave for it there in the
 * meantime.
 */
#ifndef VMM_VCPU_PV_STEAL_H
#define VMM_VCPU_PV_STEAL_H

#include "lib/types.h"

struct vcpu;

/* PV_MSR_STEAL_TIME. False: #GP, and nothing has happened. */
bool pv_read_steal(struct vcpu *vcpu, u32 msr, u64 *value) __must_check;
bool pv_write_steal(struct vcpu *vcpu, u32 msr, u64 value) __must_check;

/* It is registered. @vcpu has got a CPU, on which it is loaded; pv.waited is up to date. */
void pv_steal_loaded(struct vcpu *vcpu);

/* It is registered. @vcpu loses its CPU, and could go on. */
void pv_steal_preempted(struct vcpu *vcpu);

#endif
