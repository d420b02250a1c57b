/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/observe/exit_stats.h"
#include "vmm/observe/inside.h"
#include "vmm/host/ap.h"
#include "vmm/host/host.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

/* What stands for the type of an event that the processor delivers by itself. */
#define TYPE_VIRTUAL 8

static u8 who(const struct vcpu *vcpu)
{
	return TRACE_WHO(vcpu->vm->id, vcpu->id);
}

static void end(struct cpu *cpu, unsigned int what)
{
	if (!what)
		return;
	atomic_fetch_sub(&cpu->looks, INSIDE_LOOKS(what));
	if (atomic_load(&inside_wanted) & INSIDE_DUE)
		host_kick(cpu_by_id(0)); /* which waits for that */
}

/* This CPU writes @what from now on, as far as that is wanted, which is returned. See anybody_writes. */
static unsigned int begin(struct cpu *cpu, unsigned int what)
{
	unsigned int wanted;

	atomic_fetch_add(&cpu->looks, INSIDE_LOOKS(what));
	wanted = atomic_load(&inside_wanted) & what;
	end(cpu, what & ~wanted);
	return wanted;
}

/* VMREADs and VMWRITEs since the last time are what the last exit has taken. */
static void account_vmcs(struct inside_view *view, const struct vcpu *vcpu)
{
	const struct cpu *cpu = this_cpu();

	if (!VMCS_COUNTS)
		return;
	exit_stats_add_vmcs(view->stats, vcpu->exit_reason & EXIT_REASON_BASIC,
			    cpu->vmreads - view->reads, cpu->vmwrites - view->writes);
	view->reads = cpu->vmreads;
	view->writes = cpu->vmwrites;
}

void inside_turn_begin(struct inside_view *view, struct cpu *cpu, struct vcpu *vcpu)
{
	*view = (struct inside_view){ .reads = cpu->vmreads, .writes = cpu->vmwrites };
	view->what = begin(cpu, INSIDE_TIMES | INSIDE_TRACE);
	if (view->what & INSIDE_TIMES)
		view->stats = atomic_load(&vcpu->stats);
	if (view->stats && view->stats->generation != inside_generation())
		exit_stats_begin(view->stats, inside_generation());
	if (view->what & INSIDE_TRACE) {
		view->ring = cpu->trace;
		trace_put(view->ring, rdtsc(), TRACE_IN, who(vcpu), 0, 0);
	}
}

void inside_turn_end(struct inside_view *view, struct cpu *cpu, struct vcpu *vcpu, bool blocked)
{
	if (view->stats)
		account_vmcs(view, vcpu);
	if (view->ring)
		trace_put(view->ring, rdtsc(), TRACE_OUT, who(vcpu), blocked, 0);
	end(cpu, view->what);
}

void inside_wait(struct inside_view *view, const struct vcpu *vcpu, bool waits)
{
	if (view->ring)
		trace_put(view->ring, rdtsc(), waits ? TRACE_OUT : TRACE_IN, who(vcpu), waits, 0);
}

static u8 requested_vector(const struct vcpu *vcpu)
{
	return vcpu->irq == &vcpu_irq_vid ? (u8)vmcs_read(GUEST_INTERRUPT_STATUS) : 0;
}

/* The field is valid only if something was injected: every exit clears that. */
void inside_inject(struct inside_view *view, struct vcpu *vcpu)
{
	u8 before, after;
	u32 info;

	if (!view->ring) {
		vcpu_inject(vcpu);
		return;
	}
	before = requested_vector(vcpu);
	vcpu_inject(vcpu);
	after = requested_vector(vcpu);
	info = vmcs_read32(VM_ENTRY_INTERRUPTION_INFO);
	if (info & INTR_INFO_VALID)
		trace_put(view->ring, rdtsc(), TRACE_INJECT, who(vcpu), info & INTR_INFO_VECTOR,
			  (info & INTR_INFO_TYPE) >> 8);
	if (after && after != before)
		trace_put(view->ring, rdtsc(), TRACE_INJECT, who(vcpu), after, TYPE_VIRTUAL);
}

void inside_entry(struct inside_view *view, const struct vcpu *vcpu, u64 left, u64 now)
{
	if (view->stats) {
		exit_stats_add(view->stats, vcpu->exit_reason & EXIT_REASON_BASIC, now - left);
		account_vmcs(view, vcpu);
	}
	if (view->ring)
		trace_put(view->ring, now, TRACE_ENTRY, who(vcpu), 0, 0);
}

/* What the instruction was about. */
static u32 detail(const struct vcpu *vcpu, unsigned int reason)
{
	switch (reason) {
	case EXIT_CPUID: return (u32)vcpu->regs.rax;
	case EXIT_RDMSR:
	case EXIT_WRMSR: return (u32)vcpu->regs.rcx;
	case EXIT_IO_INSTRUCTION: return (u16)(vmcs_read(EXIT_QUALIFICATION) >> 16);
	case EXIT_EPT_VIOLATION: return (u32)vmcs_read(GUEST_PHYSICAL_ADDRESS);
	default: return 0;
	}
}

void inside_exit(struct inside_view *view, const struct vcpu *vcpu, u64 now)
{
	u32 reason = vcpu->exit_reason & EXIT_REASON_BASIC;

	if (!view->ring)
		return;
	trace_put(view->ring, now, TRACE_EXIT, who(vcpu), reason, detail(vcpu, reason));
}

void inside_device(const struct vm *vm, enum trace_kind kind, u32 what, u32 arg)
{
	struct cpu *cpu = this_cpu();
	unsigned int wanted = begin(cpu, INSIDE_TRACE);

	if (wanted)
		trace_put(cpu->trace, rdtsc(), kind, TRACE_WHO(vm->id, 0), what, arg);
	end(cpu, wanted);
}
