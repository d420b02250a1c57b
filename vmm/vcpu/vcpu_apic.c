/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU's local APIC in the machine: its clock, and what it tells the vCPU. */
#include "lib/spinlock.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"

/* --- what it asks for: struct vdev_env --- */

static u64 env_now(void *ctx)
{
	const struct vcpu *vcpu = ctx;

	return vm_now(vcpu->vm);
}

static void env_set_timer(void *ctx, struct vdev_timer *timer, u64 deadline)
{
	struct vcpu *vcpu = ctx;

	vtimer_set(&vcpu->timers, timer, deadline);
}

/* --- what it tells: struct vlapic_ops --- */

static void on_kick(void *ctx)
{
	struct vcpu *vcpu = ctx;

	vcpu->irq->notify(vcpu);
}

static void on_nmi(void *ctx)
{
	vcpu_request_nmi(ctx);
}

/*
 * A start-up IPI that it has not seen yet came before this INIT, when it did not wait for one. One
 * that comes from now on is for the state that INIT leaves: INIT is obeyed first.
 */
static void on_init(void *ctx)
{
	struct vcpu *vcpu = ctx;

	atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_SIPI);
	vcpu_request(vcpu, VCPU_REQ_INIT);
}

static void on_sipi(void *ctx, u8 vector)
{
	struct vcpu *vcpu = ctx;

	atomic_store(&vcpu->sipi_vector, vector);
	vcpu_request(vcpu, VCPU_REQ_SIPI);
}

static void on_eoi(void *ctx, u8 vector)
{
	struct vm *vm = ((struct vcpu *)ctx)->vm;

	spin_lock(&vm->lock);
	vioapic_eoi(&vm->ioapic, vector);
	spin_unlock(&vm->lock);
}

static const struct vlapic_ops ops = {
	.kick = on_kick,
	.nmi = on_nmi,
	.init = on_init,
	.sipi = on_sipi,
	.eoi = on_eoi,
};

int vcpu_apic_init(struct vcpu *vcpu, void *page)
{
	vcpu->env = (struct vdev_env){
		.ctx = vcpu,
		.tsc_hz = vmm.tsc_hz,
		.now = env_now,
		.set_timer = env_set_timer,
	};
	return vlapic_init(&vcpu->lapic, &vcpu->vm->bus, &vcpu->env, &ops, vcpu, page, vcpu->id);
}
