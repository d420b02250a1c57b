/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSR policy: an allow-list, and the MSR bitmap that lets some of it pass without an exit. */
#ifndef VMM_VCPU_MSR_H
#define VMM_VCPU_MSR_H

#include "lib/types.h"
#include "vmm/vcpu/outcome.h"
#include "vmm/vcpu/vcpu.h"

/*
 * Fill the page @bitmap for the VM of @vcpu, whose CPUID table must be built. With @x2apic what
 * the processor virtualizes of the x2APIC's MSRs passes: only with "virtualize x2APIC mode" on are they
 * those of the virtual-APIC page; otherwise the guest would reach the host's.
 */
void msr_bitmap_build(u64 *bitmap, const struct vcpu *vcpu, bool x2apic);

/* Which MSRs @vcpu is offered, by its CPUID table, which must be built. */
void msr_init(struct vcpu *vcpu);

/* Exits: RDMSR and WRMSR of what does not pass. */
enum outcome exit_msr_read(struct vcpu *vcpu);
enum outcome exit_msr_write(struct vcpu *vcpu);

#endif
