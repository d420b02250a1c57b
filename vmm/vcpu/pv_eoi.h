/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EOIs without an exit: with an interrupt the VMM may set a bit in the guest's memory; the
 * guest that clears it instead of writing the EOI register has ended the interrupt, and the VMM
 * learns it at a later exit.
 *
 * For interrupts that the VMM injects itself: where the processor delivers them
 * (virtual-interrupt delivery), it ends them without an exit, too, and nothing is offered. An exit
 * that is followed by an entry at once leaves the offer alone: it stands only while nothing waits for
 * the EOI, and what comes meanwhile kicks. Before anybody looks at the vCPU's local APIC (the run
 * loop, a handler) pv_eoi_settle brings that up to date.
 */
#ifndef VMM_VCPU_PV_EOI_H
#define VMM_VCPU_PV_EOI_H

#include "lib/types.h"
#include "vmm/vcpu/vcpu.h"

/* PV_MSR_EOI. False: #GP, and nothing has happened. */
bool pv_read_eoi(struct vcpu *vcpu, u32 msr, u64 *value) __must_check;
bool pv_write_eoi(struct vcpu *vcpu, u32 msr, u64 value) __must_check;

/*
 * @vector has been accepted, and the entry that now comes injects it: offer its end by memory,
 * if nobody needs to know of it. On the vCPU's CPU, with its mode "in the guest": what is
 * posted from now on kicks.
 */
void pv_eoi_offer(struct vcpu *vcpu, u8 vector);

/* There is an offer: take it back, or do the EOI. On the vCPU's CPU, after an exit. */
void pv_eoi_collect(struct vcpu *vcpu);

/* The same, if there is one. */
static inline void pv_eoi_settle(struct vcpu *vcpu)
{
	if (unlikely(vcpu->pv.eoi_offered))
		pv_eoi_collect(vcpu);
}

#endif
