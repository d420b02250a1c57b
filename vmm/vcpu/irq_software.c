/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts without the processor's help but the TPR shadow: the highest request is injected as an
 * event as soon as the guest can take it. What tells when it can: the interrupt window, and the TPR
 * threshold.
 */
#include "vmm/vcpu/pv_eoi.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmx/controls.h"

static void software_init(struct vcpu *vcpu)
{
	if (vcpu->ctx->cpu_controls & CPU_TPR_SHADOW)
		vmcs_write(TPR_THRESHOLD, 0);
	vcpu->ctx->tpr_threshold = 0;
}

/* With the TPR shadow the guest lowers its TPR without an exit, unless we name a threshold. */
static void update_tpr_threshold(struct vcpu *vcpu)
{
	u32 threshold = vlapic_tpr_threshold(&vcpu->lapic);

	if (threshold == vcpu->ctx->tpr_threshold)
		return;
	vcpu->ctx->tpr_threshold = threshold;
	vmcs_write(TPR_THRESHOLD, threshold);
}

static void software_inject(struct vcpu *vcpu, struct vcpu_entry *entry)
{
	struct vlapic *v = &vcpu->lapic;
	int vector;

	/* Most entries: nothing to give, and no threshold left from when there was. */
	if (likely(vlapic_idle(v) && !vcpu->ctx->tpr_threshold && !vcpu_pic_pending(vcpu)))
		return;
	vector = vlapic_pending(v);
	if (vcpu->ctx->cpu_controls & CPU_TPR_SHADOW)
		update_tpr_threshold(vcpu);
	if (vcpu_pic_pending(vcpu))
		vcpu_inject_pic(vcpu, entry);
	if (vector < 0)
		return;
	if (entry->event || !vcpu_interruptible()) {
		entry->windows |= CPU_INTERRUPT_WINDOW_EXITING;
		return;
	}
	vlapic_accept(v, (u8)vector);
	pv_eoi_offer(vcpu, (u8)vector);
	vcpu_entry_event(entry, INTR_TYPE_EXTERNAL, (u8)vector);
	if (vlapic_pending(v) >= 0)
		entry->windows |= CPU_INTERRUPT_WINDOW_EXITING;
}

static bool software_idle(const struct vcpu *vcpu)
{
	return vlapic_idle(&vcpu->lapic);
}

static void software_notify(struct vcpu *vcpu)
{
	vcpu_kick(vcpu);
}

const struct vcpu_irq_ops vcpu_irq_software = {
	.init = software_init,
	.inject = software_inject,
	.idle = software_idle,
	.notify = software_notify,
};
