/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual clock: nanoseconds since the VM started, read by the guest from its TSC with
 * the factors that stand in memory; and the wall clock at that start.
 *
 * Guest time is the host's TSC less vm->tsc_base on all vCPUs, and the TSC never stops, so the
 * factors are the same for all vCPUs and for ever; only a guest that writes its TSC makes an
 * update necessary. As all vCPUs compute from the same two origins, not even their roundings
 * differ: none sees time go back.
 */
#ifndef VMM_VCPU_PV_CLOCK_H
#define VMM_VCPU_PV_CLOCK_H

#include "lib/types.h"
#include "vmm/vcpu/pv.h"

/* The factors for a TSC of @hz ticks a second, 1 MHz to 20 GHz. Divides. */
struct pv_scale pv_scale_make(u64 hz);

/* At the start of @vm, whose tsc_base is set. */
void pv_clock_init(struct vm *vm);

/* The offset of @vcpu's TSC has changed. */
void pv_clock_update(const struct vcpu *vcpu);

/* PV_MSR_CLOCK, PV_MSR_WALL_CLOCK. False: #GP, and nothing has happened. */
bool pv_read_clock(struct vcpu *vcpu, u32 msr, u64 *value) __must_check;
bool pv_write_clock(struct vcpu *vcpu, u32 msr, u64 value) __must_check;
bool pv_read_wall_clock(struct vcpu *vcpu, u32 msr, u64 *value) __must_check;
bool pv_write_wall_clock(struct vcpu *vcpu, u32 msr, u64 value) __must_check;

#endif
