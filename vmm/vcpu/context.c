/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/context.h"
#include "lib/errno.h"
#include "lib/printk.h"
#include "vmm/host/cpu.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"
#include "vmx/vpid.h"

int context_add(struct vcpu *vcpu, struct vcpu_context *ctx, u64 eptp,
		const struct exit_ways *exits)
{
	const struct vm *vm = vcpu->vm;

	ctx->eptp = eptp;
	ctx->exits = *exits;
	ctx->vmcs = (struct vmcs *)(uintptr_t)mem_alloc_page(VM_OWNER_OVERHEAD(vm->id));
	if (!ctx->vmcs)
		return -ENOMEM;
	if (vmx_uses(&vmm.caps, VMX_VPID)) {
		ctx->vpid = vpid_alloc();
		if (ctx->vpid == VPID_NONE) {
			pr_err("vm %s: all %u VPIDs are in use: run fewer VMs, or use mask = "
			       "vpid\n",
			       vm->config->name, VPID_COUNT - 1);
			return -ENOSPC;
		}
	}
	vmcs_init(ctx->vmcs, vmx_revision(&vmm.caps));
	ctx->next = vcpu->contexts;
	vcpu->contexts = ctx;
	return 0;
}

void context_flush_tlb(const struct vcpu_context *ctx)
{
	if (ctx->vpid != VPID_NONE)
		vmx_invvpid(&vmm.caps, ctx->vpid);
}

/*
 * Translations of its VPID and its EPT that are left here may be older than its last flush, or those of the VPID's
 * last owner.
 */
static void change_cpu(struct vcpu_context *ctx, struct cpu *cpu)
{
	vcpu_host_state();
	vmx_invept(&vmm.caps, ctx->eptp);
	context_flush_tlb(ctx);
	ctx->last_on = cpu;
}

void context_watch(struct vcpu *vcpu, struct inside_view *view)
{
	const struct exit_ways *exits = &vcpu->ctx->exits;

	vcpu->view = view;
	vcpu->regs.on_exit = view ? exits->inside : exits->plain;
}

void context_use(struct vcpu *vcpu, struct vcpu_context *ctx)
{
	struct cpu *cpu = this_cpu();

	vcpu->ctx = ctx;
	vmcs_load(ctx->vmcs);
	if (ctx->last_on != cpu)
		change_cpu(ctx, cpu);
	context_watch(vcpu, vcpu->view);
}

void context_clear_all(struct vcpu *vcpu)
{
	for (struct vcpu_context *ctx = vcpu->contexts; ctx; ctx = ctx->next) {
		vmcs_clear(ctx->vmcs);
		ctx->launched = false;
	}
}

void context_end_all(struct vcpu *vcpu)
{
	for (struct vcpu_context *ctx = vcpu->contexts; ctx; ctx = ctx->next) {
		vpid_free(ctx->vpid);
		ctx->vpid = VPID_NONE;
	}
}
