/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/run/life.h"
#include "lib/printk.h"
#include "vmm/host/ap.h"
#include "vmm/host/console.h"
#include "vmm/vm/disks.h"
#include "vmm/observe/dump.h"
#include "vmm/host/host.h"
#include "vmm/host/iocpu.h"
#include "vmm/sched/placement.h"
#include "vmm/vcpu/vcpus.h"
#include "vmm/vm/machine_disk.h"
#include "vmm/vm/vm.h"
#include "vmm/run/vm_events.h"
#include "vmm/vm/vm_memory.h"
#include "vmm/run/vm_start.h"
#include "vmm/run/steps.h"

/* A VM that has lived for less than this has lived shortly; how often that counts at most. */
#define SHORT_LIFE_SECONDS 10
#define BACKOFF_MAX_SHIFT  6

static atomic_bool quit;

static void not_started(struct vm *vm)
{
	pr_err("vm %s: not started\n", vm->config->name);
	steps_not_started(vm);
	if (vm->starts)
		console_vm_stopped(vm->id);
	vm->state = VM_OFF;
}

static void try_start(struct vm *vm)
{
	if (vm_start(vm)) {
		not_started(vm);
		return;
	}
	console_vm_started(vm->id, vm->config->name);
	vm_run(vm);
}

/*
 * In how many seconds a VM that has just ended starts again. One that lives shortly again and again
 * waits longer and longer, because to clear its memory and to load its image holds the CPU that
 * others want: after a crash 1, 2, 4 ... 64 seconds; after a reset, which is nothing bad the first
 * time, 0, 1, 2 ... 32.
 */
static unsigned int restart_delay(struct vm *vm)
{
	unsigned int before;

	if (vm_now(vm) >= SHORT_LIFE_SECONDS * vmm.tsc_hz)
		vm->short_lives = 0;
	before = vm->short_lives;
	vm->short_lives = MIN(before + 1, (unsigned int)BACKOFF_MAX_SHIFT);
	return vm->end == VM_END_CRASH ? 1u << before : (1u << before) >> 1;
}

static void reap(struct vm *vm, u64 now)
{
	unsigned int delay;

	/*
	 * The CPU that lets go of its last vCPU kicks this one, and so does the one that sees to the last request
	 * of a disk. That may have woken a vCPU before the disks were stopped: so that is looked at again.
	 */
	if (!vcpus_have_left(vm) || !machine_disks_stop(vm) || !vcpus_have_left(vm))
		return;
	vm_drain_console(vm);
	dump_end(vm);
	steps_ended(vm);
	vm_finish(vm);
	delay = restart_delay(vm);
	if (atomic_load(&quit) || !vm_wants_restart(vm)) {
		vm->state = VM_OFF;
		console_vm_stopped(vm->id);
		return;
	}
	vm->restart_at = now + delay * vmm.tsc_hz;
	vm->state = VM_WAITING;
	if (delay)
		pr_info("vm %s: starts again in %u s\n", vm->config->name, delay);
}

static void obey_quit(struct vm *vm)
{
	if (vm->state == VM_RUNNING)
		vm_stop(vm, VM_END_QUIT, "quit by the operator");
	else if (vm->state != VM_ENDED)
		vm->state = VM_OFF;
}

static bool starts_now(const struct vm *vm, u64 now)
{
	return (vm->state == VM_STARTING && steps_turn(vm)) ||
	       (vm->state == VM_WAITING && now >= vm->restart_at);
}

bool life_is_due(const struct cpu *cpu, u64 now)
{
	for (unsigned int i = 0; i < vmm.vms; i++) {
		const struct vm *vm = &vmm.vm[i];

		if (vm->cpu == cpu && (vm->state == VM_ENDED || starts_now(vm, now)))
			return true;
	}
	return false;
}

static u64 tend_vm(struct vm *vm, u64 now)
{
	if (unlikely(atomic_load(&quit)))
		obey_quit(vm);
	if (vm->state == VM_ENDED)
		reap(vm, now);
	if (starts_now(vm, now)) {
		try_start(vm);
		return rdtsc(); /* and again at once: its time begins later than @now */
	}
	if (atomic_load_explicit(&vm->events, memory_order_relaxed))
		vm_handle_events(vm);
	if (vm->state == VM_RUNNING)
		return vm_run_timers(vm, now);
	return vm->state == VM_WAITING ? vm->restart_at : SCHED_NEVER;
}

/* The boot CPU waits for the last one, and others may have one that comes after it. */
static void tell_off(void)
{
	host_kick(cpu_by_id(0));
	for (unsigned int i = 0; i < vmm.vms; i++) {
		if (vmm.vm[i].state == VM_STARTING && vmm.vm[i].cpu)
			host_kick(vmm.vm[i].cpu);
	}
}

u64 life_tend(const struct cpu *cpu, u64 now)
{
	u64 deadline = SCHED_NEVER;

	for (unsigned int i = 0; i < vmm.vms; i++) {
		struct vm *vm = &vmm.vm[i];
		u64 next;

		if (vm->cpu != cpu || vm->state == VM_OFF)
			continue;
		next = tend_vm(vm, now); /* once: MIN evaluates twice */
		deadline = MIN(deadline, next);
		if (vm->state == VM_OFF)
			tell_off();
	}
	return deadline;
}

bool life_is_over(void)
{
	for (unsigned int i = 0; i < vmm.vms; i++) {
		if (vmm.vm[i].state != VM_OFF)
			return false;
	}
	return true;
}

void life_begin(void)
{
	struct placement placement[VM_MAX];

	placement_plan(vmm.vm[0].config, vmm.vms, vmm.host_cpus, iocpu_mask(), placement);
	for (unsigned int i = 0; i < vmm.vms; i++) {
		struct vm *vm = &vmm.vm[i];
		const char *lacks = steps_lacks(vm);

		vm->cpu = cpu_by_id(placement[i].home);
		if (lacks)
			steps_skipped(vm, lacks);
		else if (!placement[i].possible || !disks_possible(vm) || vm_memory_alloc(vm))
			not_started(vm);
		else
			vm->state = VM_STARTING;
	}
}

void life_quit(void)
{
	atomic_store(&quit, true);
	for (unsigned int i = 0; i < vmm.host_cpus; i++)
		host_kick(cpu_by_id(i));
}

const char *life_name(unsigned int vm)
{
	static const char *const names[] = {
		[VM_OFF] = "off",         [VM_STARTING] = "starting",
		[VM_RUNNING] = "running", [VM_WAITING] = "waits to start again",
		[VM_ENDED] = "ending",
	};

	return names[vmm.vm[vm].state];
}
