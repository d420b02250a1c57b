/*
 * NMIs for the guest. With virtual NMIs the processor keeps the guest's blocking by NMI: from the
 * delivery to the next IRET. SDM, "Changes to Event Blocking" and "NMI-Window Exiting".
 *
 * Without them nobody tells when the handler returns. It runs with IF = 0, so the next one is held back
 * until the guest's interrupts are on: late where the first had struck a stretch with IF = 0, but
 * never inside a handler.
 */
#include "vmm/vcpu_irq.h"
#include "vmm/vm.h"
#include "vmx/controls.h"

static bool has_virtual_nmis(void)
{
	return vmx_uses(&vmm.caps, VMX_VIRTUAL_NMIS);
}

void vcpu_nmi(struct vcpu *vcpu)
{
	vcpu->nmi_pending = true;
}

void vcpu_nmi_forget(struct vcpu *vcpu)
{
	vcpu->nmi_pending = false;
	vcpu->nmi_in_service = false;
}

/* Is the handler of the last NMI still running, as far as can be told? */
static bool in_service(struct vcpu *vcpu)
{
	if (vcpu->nmi_in_service && vcpu_interruptible())
		vcpu->nmi_in_service = false;
	return vcpu->nmi_in_service;
}

/* The window whose exit tells that the NMI can be given; 0: now. */
static u32 window_to_wait_for(struct vcpu *vcpu)
{
	u64 blocking = vmcs_read(GUEST_INTERRUPTIBILITY_STATE);

	/*
	 * Processors differ on whether blocking by STI holds an NMI window back: an exit with nothing
	 * to do for it could repeat for ever. It implies IF = 1, so an interrupt window ends it as well.
	 */
	if (blocking & BLOCKING_BY_STI)
		return CPU_INTERRUPT_WINDOW_EXITING;
	if (!has_virtual_nmis())
		return in_service(vcpu) || (blocking & BLOCKING_BY_MOV_SS)
			       ? (u32)CPU_INTERRUPT_WINDOW_EXITING
			       : 0;
	return blocking & (BLOCKING_BY_MOV_SS | BLOCKING_BY_NMI) ? (u32)CPU_NMI_WINDOW_EXITING : 0;
}

void vcpu_inject_nmi(struct vcpu *vcpu, struct vcpu_entry *entry)
{
	u32 window = window_to_wait_for(vcpu);

	if (!window && entry->event)
		window = has_virtual_nmis() ? (u32)CPU_NMI_WINDOW_EXITING
					    : (u32)CPU_INTERRUPT_WINDOW_EXITING;
	if (window) {
		entry->windows |= window;
		return;
	}
	vcpu->nmi_pending = false;
	vcpu->nmi_in_service = !has_virtual_nmis();
	vcpu_entry_event(entry, INTR_TYPE_NMI, VECTOR_NMI);
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
	if (vcpu->event.info & INTR_INFO_VALID)
		return; /* the exit came from a delivery, and what it says of an IRET is not defined */
	vmcs_write(GUEST_INTERRUPTIBILITY_STATE,
		   vmcs_read(GUEST_INTERRUPTIBILITY_STATE) | BLOCKING_BY_NMI);
}
