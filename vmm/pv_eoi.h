/*
 * EOIs without an exit: with an interrupt the VMM may set a bit in the guest's memory; the
 * guest that clears it instead of writing the EOI register has ended the interrupt, and the VMM
 * learns it at the next exit.
 *
 * For interrupts that the VMM injects itself: where the processor delivers them
 * (virtual-interrupt delivery), it ends them without an exit, too, and nothing is offered. From
 * one exit to the next entry the bit is 0 and the local APIC is up to date.
 */
#ifndef VMM_PV_EOI_H
#define VMM_PV_EOI_H

#include "lib/types.h"

struct vcpu;

/* PV_MSR_EOI. False: #GP, and nothing has happened. */
bool pv_read_eoi(struct vcpu *vcpu, u32 msr, u64 *value) __must_check;
bool pv_write_eoi(struct vcpu *vcpu, u32 msr, u64 value) __must_check;

/*
 * @vector has been accepted, and the entry that now comes injects it: offer its end by memory,
 * if nobody needs to know of it. On the vCPU's CPU, with its mode "in the guest": what is
 * posted from now on kicks.
 */
void pv_eoi_offer(struct vcpu *vcpu, u8 vector);

/* First thing after an exit, where pv.eoi_offered: take the offer back, or do the EOI. */
void pv_eoi_collect(struct vcpu *vcpu);

#endif
