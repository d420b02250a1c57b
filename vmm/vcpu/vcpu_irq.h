/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How interrupts get into a vCPU. Two back ends stand behind one table, chosen once for each vCPU by
 * what the processor can do; nobody else asks which it is.
 *
 * Common to both: requests from anywhere wait in the vlapic's struct posted_interrupts, and a HLT
 * always exits, so that whether a vCPU has to wake is for vcpu_has_work alone to say.
 */
#ifndef VMM_VCPU_VCPU_IRQ_H
#define VMM_VCPU_VCPU_IRQ_H

#include "lib/types.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"

/* The VM entry that is being prepared: at most one event, and the exits that are to tell when more can be given. */
struct vcpu_entry {
	bool event;  /* there is one: VM_ENTRY_INTERRUPTION_INFO is written */
	u32 windows; /* CPU_INTERRUPT_WINDOW_EXITING, CPU_NMI_WINDOW_EXITING */
};

struct vcpu_irq_ops {
	/* The vCPU's VMCS, which is current, is new: write what the back end needs in it. */
	void (*init)(struct vcpu *vcpu);
	/* Before an entry: give what can be given, want a window for what has to wait. */
	void (*inject)(struct vcpu *vcpu, struct vcpu_entry *entry);
	/* The guest has touched its local APIC: may it go on without inject? */
	bool (*idle)(const struct vcpu *vcpu);
	/* The vlapic has requests (struct vlapic_ops.kick): have the vCPU take them. Any CPU. */
	void (*notify)(struct vcpu *vcpu);
};

/* By software: TPR shadow and threshold, interrupt window, event injection (irq_software.c). */
extern const struct vcpu_irq_ops vcpu_irq_software;
/* By the processor: virtual-interrupt delivery, and posted interrupts where there are (irq_vid.c). */
extern const struct vcpu_irq_ops vcpu_irq_vid;

/* Choose the back end and write all that concerns interrupts into the current VMCS, which is @vcpu's. */
void vcpu_irq_init(struct vcpu *vcpu);

/* --- for the back ends --- */

/* Could the guest take an interrupt now? Reads the current VMCS. */
bool vcpu_interruptible(void);

/* Does the PIC raise its interrupt at this vCPU? */
static inline bool vcpu_pic_pending(const struct vcpu *vcpu)
{
	return unlikely(vpic_pending(&vcpu->vm->pic)) && vlapic_accepts_pic(&vcpu->lapic);
}

/* It does: give it, or want a window. */
void vcpu_inject_pic(struct vcpu *vcpu, struct vcpu_entry *entry);

/* Event @type | @vector goes in with @entry, which has none yet. */
void vcpu_entry_event(struct vcpu_entry *entry, u32 type, u8 vector);

/* --- NMIs (vcpu_nmi.c) --- */

/*
 * @n NMIs have come. One is latched beside one in service; with none in service two can wait for their turn, the first
 * to be taken at once and the other one to be latched then. The rest are lost, as on any processor. @vcpu is loaded.
 */
void vcpu_nmi(struct vcpu *vcpu, unsigned int n);

/* An INIT: none is latched, none in service. */
void vcpu_nmi_forget(struct vcpu *vcpu);

/* One is latched, or in service: give it, or want the window that tells when it can be given, or has ended. */
void vcpu_inject_nmi(struct vcpu *vcpu, struct vcpu_entry *entry);

/* Does a latched NMI end this HLT? Noted by vcpu_nmi_halt when it began. */
bool vcpu_nmi_wakes(const struct vcpu *vcpu);
void vcpu_nmi_halt(struct vcpu *vcpu);

/*
 * An exit undoes an IRET that had unblocked NMIs and will be executed again: block them again.
 * SDM, "Information About NMI Unblocking Due to IRET".
 */
void vcpu_nmi_reblock(struct vcpu *vcpu);

#endif
