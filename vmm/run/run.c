/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/run/run.h"
#include "lib/printk.h"
#include "vmm/host/ap.h"
#include "vmm/exit/arm.h"
#include "vmm/host/console.h"
#include "vmm/observe/dump.h"
#include "vmm/exit/exit.h"
#include "vmm/host/host.h"
#include "vmm/observe/inside.h"
#include "vmm/host/iocpu.h"
#include "vmm/host/hostdev.h"
#include "vmm/run/life.h"
#include "vmm/run/poll.h"
#include "vmm/run/steps.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

/* The CPUs may ask the scheduler from now on. */
static atomic_bool begun;

void run_quit(void)
{
	life_quit();
}

_Static_assert(SCHED_NEVER == VDEV_NEVER && SCHED_NEVER == TSC_NEVER,
	       "what never comes is nothing to wake for");

/* Fire the local APIC's timer if it is due. Returns the host TSC when it is, the next time. */
TWICE u64 run_timers(struct vcpu *vcpu, u64 now)
{
	u64 base = vcpu->vm->tsc_base, alarm = vtimer_next_host(&vcpu->timers, base);

	if (unlikely(now >= alarm)) {
		vtimer_run(&vcpu->timers, now - base);
		alarm = vtimer_next_host(&vcpu->timers, base);
	}
	return alarm;
}

/* Has the vCPU a next instruction to execute? */
TWICE bool can_go_on(struct vcpu *vcpu)
{
	if (vcpu->wait_sipi || atomic_load_explicit(&vcpu->held, memory_order_relaxed))
		return false;
	if (!vcpu->halted)
		return true;
	if (!vcpu_has_work(vcpu))
		return false;
	vcpu->halted = false;
	return true;
}

/*
 * True when the vCPU has nothing to do until somebody kicks it. It looks once more after it has said
 * so: see enum vcpu_mode.
 */
TWICE bool blocks(struct vcpu *vcpu)
{
	if (likely(can_go_on(vcpu)))
		return false;
	atomic_store(&vcpu->mode, VCPU_BLOCKED);
	if (likely(!atomic_load(&vcpu->requests) && !can_go_on(vcpu)))
		return true;
	atomic_store(&vcpu->mode, VCPU_OUT);
	return false;
}

static void entry_refused(struct vcpu *vcpu, enum vmx_entry_result result)
{
	unsigned int error = result == VMX_FAIL_VALID ? vmcs_read32(VM_INSTRUCTION_ERROR) : 0;

	vm_stop(vcpu->vm, VM_END_CRASH, "VM entry refused: %s",
		error ? vmx_instruction_error_name(error) : "no current VMCS");
	dump_vcpu(vcpu);
}

/*
 * Quiet: a priority of 15 keeps every interrupt in this CPU's local APIC as long as the guest runs. (With
 * the TPR shadow the guest's CR8 is not this one.)
 */
static enum vmx_entry_result run_quietly(struct vcpu *vcpu, bool launched)
{
	enum vmx_entry_result result;

	write_cr8(15);
	result = vmx_run(&vcpu->regs, launched);
	write_cr8(0);
	irq_window();
	return result;
}

/* Is the CPU that runs @vcpu its own, at all times? (With a cap, time asleep must not be counted.) */
static bool owns_cpu(const struct vcpu *vcpu)
{
	return vcpu->sched.pin != SCHED_NOBODY && !vcpu->vm->config->cap;
}

/*
 * Sleep until @deadline, or until somebody kicks @vcpu. Its CPU has nobody else to run, so that the
 * scheduler need not be asked: an interrupt ends this, as it would end the guest's turn.
 */
static void sleep_in_place(struct vcpu *vcpu, u64 deadline)
{
	atomic_store(&vcpu->mode, VCPU_IN_GUEST);
	if (!atomic_load(&vcpu->requests) && !can_go_on(vcpu))
		host_idle(deadline);
	atomic_store(&vcpu->mode, VCPU_OUT);
}

/*
 * Into the guest and out again, as often as an exit leaves nothing to be looked after (reenter.c). Returns the
 * host TSC after the last exit, at which @vcpu is out of the guest for whoever has something for it.
 */
TWICE u64 enter(struct vcpu *vcpu, u64 now, u64 alarm, u64 until, struct inside_view *view)
{
	struct vcpu_context *ctx = vcpu->ctx;
	bool launched = ctx->launched;
	enum vmx_entry_result result;
	u64 before = rdtsc();

	ctx->launched = true; /* from now on; or the VM ends, and the context with it */
	vcpu->until = MIN(until, now + ARM_MAX);
	vcpu->deadline = MIN(alarm, vcpu->until);
	arm(before, vcpu->deadline);
	vcpu->ticks[vcpu->exit_reason & EXIT_REASON_BASIC] += before - now;
	if (view)
		inside_entry(view, vcpu, now, before);
	result = unlikely(vmm.quiet) ? run_quietly(vcpu, launched) : vmx_run(&vcpu->regs, launched);
	if (unlikely(result != VMX_EXITED))
		entry_refused(vcpu, result);
	atomic_store_explicit(&vcpu->mode, VCPU_OUT, memory_order_relaxed);
	return vcpu->exited;
}

/*
 * At @look: let the machine's interrupts in that have not made the guest exit; one that matters kicks
 * this CPU. Returns when to look the next time.
 */
TWICE u64 look_around(u64 now, u64 look)
{
	if (likely(now < look))
		return look;
	irq_window();
	return now + vmm.look_ticks;
}

/*
 * Run @vcpu until @until, or the CPU is wanted, or the VM has stopped; true when it has nothing to do
 * before that.
 */
TWICE bool run_vcpu(struct cpu *cpu, struct vcpu *vcpu, u64 until, struct inside_view *view)
{
	u64 now = rdtsc(), look = now + vmm.look_ticks;

	atomic_store(&vcpu->mode, VCPU_OUT);
	vcpu_load(vcpu);
	context_watch(vcpu, view);
	pv_vcpu_loaded(vcpu, vcpu->sched.waited);
	while (now < until && !atomic_load_explicit(&cpu->kicked, memory_order_relaxed)) {
		u64 alarm = run_timers(vcpu, now);

		if (unlikely(vcpu->vm->state != VM_RUNNING))
			return true;
		if (unlikely(atomic_load_explicit(&vcpu->requests, memory_order_relaxed)))
			vcpu_obey_requests(vcpu);
		if (blocks(vcpu)) {
			if (!owns_cpu(vcpu))
				return true;
			if (view)
				inside_wait(view, vcpu, true);
			sleep_in_place(vcpu, MIN(alarm, until));
			if (view)
				inside_wait(view, vcpu, false);
			now = rdtsc();
			continue;
		}
		atomic_store(&vcpu->mode, VCPU_IN_GUEST);
		if (unlikely(atomic_load(&vcpu->requests))) {
			atomic_store(&vcpu->mode, VCPU_OUT);
			continue;
		}
		if (view)
			inside_inject(view, vcpu);
		else
			vcpu_inject(vcpu);
		now = enter(vcpu, now, alarm, MIN(until, look), view);
		look = look_around(now, look);
	}
	return vcpu->vm->state != VM_RUNNING;
}

/* --- the loop of a CPU --- */

static struct vcpu *vcpu_of(struct sched_entity *e)
{
	return (struct vcpu *)(void *)((u8 *)e - offsetof(struct vcpu, sched));
}

static void kick(int cpu)
{
	if (cpu != SCHED_NOBODY)
		host_kick(cpu_by_id((unsigned int)cpu));
}

/* Let go of the vCPU that @cpu holds, so that others can have it. */
static void let_go(struct cpu *cpu)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct vm *vm = vcpu->vm;

	pv_vcpu_unloaded(vcpu, atomic_load(&vcpu->mode) != VCPU_BLOCKED);
	vcpu_unload();
	kick(sched_release(&scheduler, &vcpu->sched, rdtsc()));
	/* From here on the vCPU may be another CPU's, or gone with its VM's memory. */
	if (vm->state != VM_RUNNING)
		host_kick(vm->cpu); /* which waits for it: life.c */
}

/* @cpu has something else to do for a while: clear and load a VM's memory, print a table. */
static void leave(struct cpu *cpu)
{
	if (cpu->vcpu)
		let_go(cpu);
	kick(sched_leave(&scheduler, cpu->id));
}

/* Host TSC at which a blocked vCPU wants to be looked at. */
static u64 wake_at(const struct vcpu *vcpu)
{
	return vcpu->vm->state == VM_RUNNING ? vtimer_next_host(&vcpu->timers, vcpu->vm->tsc_base)
					     : SCHED_NEVER;
}

/* A turn that is looked at. */
static bool run_vcpu_inside(struct cpu *cpu, struct vcpu *vcpu, u64 until)
{
	struct inside_view view;
	bool blocked;

	inside_turn_begin(&view, cpu, vcpu);
	blocked = run_vcpu(cpu, vcpu, until, &view);
	inside_turn_end(&view, cpu, vcpu, blocked);
	return blocked;
}

TWICE void run_choice(struct cpu *cpu, const struct sched_choice *choice, u64 deadline, bool view)
{
	struct vcpu *vcpu = vcpu_of(choice->entity);
	bool blocked;

	if (cpu->vcpu && cpu->vcpu != vcpu)
		let_go(cpu);
	deadline = MIN(choice->until, deadline);
	blocked = view ? run_vcpu_inside(cpu, vcpu, deadline) : run_vcpu(cpu, vcpu, deadline, NULL);
	sched_put(&scheduler, cpu->id, rdtsc(), blocked, blocked ? wake_at(vcpu) : SCHED_NEVER);
	/* Still this CPU's: what ends its VM waits for sched_release. */
	if (vcpu->vm->state != VM_RUNNING)
		let_go(cpu);
}

/* Look after what there is, then run a vCPU, or sleep. False: all VMs are off for good. */
TWICE bool go_round(struct cpu *cpu, bool view)
{
	struct sched_choice choice;
	u64 now, deadline, device;

	atomic_store(&cpu->kicked, false);
	host_poll();
	if (cpu->vcpu && cpu->vcpu->vm->state != VM_RUNNING)
		let_go(cpu);
	now = rdtsc();
	if (unlikely(life_is_due(cpu, now)))
		leave(cpu);
	deadline = life_tend(cpu, now);
	if (!cpu->id) {
		if (view)
			inside_tend();
		if (life_is_over())
			return false;
		device = hostdev_tend(); /* once: MIN evaluates twice */
		deadline = MIN(deadline, device);
	}
	choice = sched_pick(&scheduler, cpu->id, rdtsc());
	kick(choice.kick);
	if (choice.entity)
		run_choice(cpu, &choice, deadline, view);
	else if (!atomic_load(&cpu->kicked))
		host_idle(MIN(MIN(deadline, choice.until), rdtsc() + vmm.tsc_hz));
	return true;
}

static __noinline bool go_round_inside(struct cpu *cpu)
{
	return go_round(cpu, true);
}

static void run_cpu(struct cpu *cpu)
{
	while (inside_on() ? go_round_inside(cpu) : go_round(cpu, false))
		;
}

void run_ap(struct cpu *cpu)
{
	while (!atomic_load(&begun))
		host_idle(SCHED_NEVER);
	if (iocpu_is(cpu))
		poll_for_ever(cpu);
	run_cpu(cpu);
}

void run_vms(void)
{
	sched_init(&scheduler, vmm.host_cpus, vmm.tsc_hz);
	iocpu_choose(vmm.config, vmm.host_cpus);
	for (u64 mask = iocpu_mask(); mask; mask &= mask - 1)
		sched_reserve(&scheduler, (unsigned int)__builtin_ctzll(mask));
	steps_begin();
	life_begin();
	atomic_store(&begun, true);
	for (unsigned int i = 0; i < vmm.host_cpus; i++)
		host_kick(cpu_by_id(i));
	run_cpu(this_cpu());
}

void run_list(void)
{
	for (unsigned int i = 0; i < vmm.vms; i++) {
		const struct vm *vm = &vmm.vm[i];

		pr_info("%u %s: %s, %u vCPU%s%s\n", i + 1, vm->config->name, life_name(i),
			vm->config->cpus, vm->config->cpus > 1 ? "s" : "",
			console_focus() == i ? " (this console)" : "");
	}
}
