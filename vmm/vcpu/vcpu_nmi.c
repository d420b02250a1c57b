/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NMIs for the guest. With virtual NMIs the processor keeps the guest's blocking by NMI: from the
 * delivery to the next IRET. SDM, "Changes to Event Blocking" and "NMI-Window Exiting".
 *
 * Without them nobody tells when the handler returns. It runs with IF = 0, so the next one is held back
 * until the guest's interrupts are on: late where the first had struck a stretch with IF = 0, but
 * never inside a handler.
 */
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

static bool has_virtual_nmis(void)
{
	return vmx_uses(&vmm.caps, VMX_VIRTUAL_NMIS);
}

/* One that is to be delivered again was taken, too. */
static bool one_in_service(const struct vcpu *vcpu)
{
	const u32 info = vcpu->event.info & (INTR_INFO_VALID | INTR_INFO_TYPE);

	if (info == (INTR_INFO_VALID | INTR_TYPE_NMI))
		return true;
	return has_virtual_nmis() ? vmcs_read(GUEST_INTERRUPTIBILITY_STATE) & BLOCKING_BY_NMI
				  : vcpu->nmi_in_service && !vcpu_interruptible();
}

/* SDM, "Handling Multiple NMIs". */
void vcpu_nmi(struct vcpu *vcpu, unsigned int n)
{
	vcpu->nmi_pending = (u8)MIN(vcpu->nmi_pending + n, one_in_service(vcpu) ? 1u : 2u);
}

void vcpu_nmi_forget(struct vcpu *vcpu)
{
	vcpu->nmi_pending = 0;
	vcpu->nmi_in_service = false;
}

static void give(struct vcpu *vcpu, struct vcpu_entry *entry)
{
	vcpu->nmi_pending--;
	vcpu_entry_event(entry, INTR_TYPE_NMI, VECTOR_NMI);
}

/* In service is what was given, until the interrupt window opens: so that has to be seen. */
static void inject_without_virtual_nmis(struct vcpu *vcpu, struct vcpu_entry *entry)
{
	u64 blocking = vmcs_read(GUEST_INTERRUPTIBILITY_STATE);

	if (vcpu->nmi_in_service && vcpu_interruptible())
		vcpu->nmi_in_service = false;
	if (vcpu->nmi_pending && !vcpu->nmi_in_service && !entry->event &&
	    !(blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) &&
	    !vcpu_trap_pending(vmcs_read(GUEST_RFLAGS))) {
		give(vcpu, entry);
		vcpu->nmi_in_service = true;
	}
	if (vcpu->nmi_pending || vcpu->nmi_in_service)
		entry->windows |= CPU_INTERRUPT_WINDOW_EXITING;
}

void vcpu_inject_nmi(struct vcpu *vcpu, struct vcpu_entry *entry)
{
	u64 blocking;

	if (!has_virtual_nmis()) {
		inject_without_virtual_nmis(vcpu, entry);
		return;
	}
	blocking = vmcs_read(GUEST_INTERRUPTIBILITY_STATE);
	/*
	 * Processors differ on whether blocking by STI holds an NMI window back: an exit with nothing
	 * to do for it could repeat for ever. It implies IF = 1, so an interrupt window ends it as well.
	 */
	if (blocking & BLOCKING_BY_STI) {
		entry->windows |= CPU_INTERRUPT_WINDOW_EXITING;
		return;
	}
	if (!entry->event && !(blocking & (BLOCKING_BY_MOV_SS | BLOCKING_BY_NMI)) &&
	    !vcpu_trap_pending(vmcs_read(GUEST_RFLAGS)))
		give(vcpu, entry);
	if (vcpu->nmi_pending)
		entry->windows |= CPU_NMI_WINDOW_EXITING;
}

void vcpu_nmi_halt(struct vcpu *vcpu)
{
	vcpu->halted_nmi_blocked =
		has_virtual_nmis() ? !!(vmcs_read(GUEST_INTERRUPTIBILITY_STATE) & BLOCKING_BY_NMI)
				   : vcpu->nmi_in_service && !vcpu->halted_if;
}

bool vcpu_nmi_wakes(const struct vcpu *vcpu)
{
	return vcpu->nmi_pending && !vcpu->halted_nmi_blocked;
}

void vcpu_nmi_reblock(struct vcpu *vcpu)
{
	if (!has_virtual_nmis())
		return; /* then the bit says nothing, and blocking would be that of the machine's NMIs */
	if (vcpu->event.info & INTR_INFO_VALID)
		return; /* the exit came from a delivery, and what it says of an IRET is not defined */
	vmcs_write(GUEST_INTERRUPTIBILITY_STATE,
		   vmcs_read(GUEST_INTERRUPTIBILITY_STATE) | BLOCKING_BY_NMI);
}
