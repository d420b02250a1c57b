/* SPDX-License-Identifier: BSD-2-Clause */
/* Events for the guest: exceptions that handlers raise, and interrupts before an entry. */
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

#define VECTORS_WITH_ERROR_CODE                                                               \
	(BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP) | \
	 BIT(VECTOR_PF) | BIT(VECTOR_AC))

/* SDM, "Interrupt 8--Double Fault Exception (#DF)": the classes of the two exceptions. */
#define VECTORS_CONTRIBUTORY \
	(BIT(VECTOR_DE) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP))

static bool makes_double_fault(unsigned int first, unsigned int second)
{
	if (BIT(first) & VECTORS_CONTRIBUTORY)
		return BIT(second) & VECTORS_CONTRIBUTORY;
	return first == VECTOR_PF && (second == VECTOR_PF || (BIT(second) & VECTORS_CONTRIBUTORY));
}

static __always_inline void queue_exception(struct vcpu *vcpu, u8 vector, u32 error)
{
	struct vcpu_event *e = &vcpu->event;
	bool nested =
		(e->info & INTR_INFO_VALID) && (e->info & INTR_INFO_TYPE) == INTR_TYPE_HW_EXCEPTION;
	unsigned int first = e->info & 31;

	if (nested && first == VECTOR_DF) {
		vm_triple_fault(vcpu->vm, vector);
		return;
	}
	if (nested && makes_double_fault(first, vector)) {
		vector = VECTOR_DF;
		error = 0;
	}
	e->info = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | vector;
	/* In real mode exceptions have no error code, and VM entry insists on that. */
	if ((BIT(vector) & VECTORS_WITH_ERROR_CODE) && (vmcs_read(GUEST_CR0) & CR0_PE))
		e->info |= INTR_INFO_ERROR_CODE;
	e->error = error;
}

/*
 * A fault's handler returns to its instruction, whose breakpoint has been dealt with. SDM, "Instruction-Breakpoint
 * Exception Condition".
 */
void vcpu_inject_exception(struct vcpu *vcpu, u8 vector, u32 error)
{
	queue_exception(vcpu, vector, error);
	vmcs_write(GUEST_RFLAGS, vmcs_read(GUEST_RFLAGS) | RFLAGS_RF);
}

/* Of RF in the image of a #DB only the processor knows: it is as the exit has saved it. */
void vcpu_inject_debug(struct vcpu *vcpu)
{
	queue_exception(vcpu, VECTOR_DB, 0);
}

void vcpu_inject_gp(struct vcpu *vcpu)
{
	vcpu_inject_exception(vcpu, VECTOR_GP, 0);
}

void vcpu_inject_ud(struct vcpu *vcpu)
{
	vcpu_inject_exception(vcpu, VECTOR_UD, 0);
}

void vcpu_inject_page_fault(struct vcpu *vcpu, u64 address, u32 error)
{
	write_cr2(
		address); /* CR2 is not switched at exits: what is in the register is the guest's */
	vcpu_inject_exception(vcpu, VECTOR_PF, error);
}

/* Another vCPU may have taken it since: then this is the spurious vector, as on a PC. */
static int pic_ack(struct vm *vm)
{
	int vector;

	spin_lock(&vm->lock);
	vector = vpic_ack(&vm->pic);
	spin_unlock(&vm->lock);
	return vector;
}

bool vcpu_has_work(struct vcpu *vcpu)
{
	if ((vcpu->event.info & INTR_INFO_VALID) || vcpu_nmi_wakes(vcpu))
		return true;
	return vcpu->halted_if && (vcpu_pic_pending(vcpu) || vlapic_pending(&vcpu->lapic) >= 0);
}

/* IF, and no shadow of an STI or MOV SS. */
static inline bool unblocked(u64 rflags)
{
	return (rflags & RFLAGS_IF) &&
	       !(vmcs_read(GUEST_INTERRUPTIBILITY_STATE) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
}

static __noinline bool unblocked_stepping(u64 rflags)
{
	return unblocked(rflags) && !vcpu_trap_pending(rflags);
}

bool vcpu_interruptible(void)
{
	u64 rflags = vmcs_read(GUEST_RFLAGS);

	return unlikely(rflags & RFLAGS_TF) ? unblocked_stepping(rflags) : unblocked(rflags);
}

void vcpu_entry_event(struct vcpu_entry *entry, u32 type, u8 vector)
{
	vmcs_write(VM_ENTRY_INTERRUPTION_INFO, INTR_INFO_VALID | type | vector);
	entry->event = true;
}

void vcpu_inject_pic(struct vcpu *vcpu, struct vcpu_entry *entry)
{
	if (entry->event || !vcpu_interruptible()) {
		entry->windows |= CPU_INTERRUPT_WINDOW_EXITING;
		return;
	}
	vcpu_entry_event(entry, INTR_TYPE_EXTERNAL, (u8)pic_ack(vcpu->vm));
	if (vcpu_pic_pending(vcpu))
		entry->windows |= CPU_INTERRUPT_WINDOW_EXITING;
}

static void inject_queued(struct vcpu_event *e, struct vcpu_entry *entry)
{
	vmcs_write(VM_ENTRY_INTERRUPTION_INFO, e->info);
	if (e->info & INTR_INFO_ERROR_CODE)
		vmcs_write(VM_ENTRY_EXCEPTION_ERROR_CODE, e->error);
	if ((e->info & INTR_INFO_TYPE) >= INTR_TYPE_SW_INTERRUPT)
		vmcs_write(VM_ENTRY_INSTRUCTION_LENGTH, e->length);
	e->info = 0;
	entry->event = true;
}

static void set_windows(struct vcpu *vcpu, u32 windows)
{
	vcpu->ctx->windows = windows;
	vmcs_write(PRIMARY_CONTROLS, vcpu->ctx->cpu_controls | windows);
}

/* An entry takes one event, by priority: SDM, "Priority Among Concurrent Events". The rest waits. */
void vcpu_inject(struct vcpu *vcpu)
{
	struct vcpu_entry entry = { 0 };

	if (unlikely(vcpu->event.info & INTR_INFO_VALID))
		inject_queued(&vcpu->event, &entry);
	if (unlikely(vcpu->nmi_pending || vcpu->nmi_in_service))
		vcpu_inject_nmi(vcpu, &entry);
	vcpu->irq->inject(vcpu, &entry);
	if (unlikely(entry.windows != vcpu->ctx->windows))
		set_windows(vcpu, entry.windows);
}
