/* SPDX-License-Identifier: BSD-2-Clause */
/* What a VM is asked and told while it lives: its end, its events, the alarms of its devices. */
#include "vmm/vm/vm.h"
#include "lib/print.h"
#include "vmm/host/host.h"
#include "vmm/vm/machine.h"

/*
 * The end's reason is written after the state: whoever reads it, in vm_finish, waits until the CPU
 * that runs this has let go of its vCPU, or is that CPU.
 */
void vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...)
{
	enum vm_state running = VM_RUNNING;
	size_t n = 0;
	va_list args;

	if (!atomic_compare_exchange_strong(&vm->state, &running, VM_ENDED))
		return;
	vm->end = end;
	if (end == VM_END_CRASH)
		n = scnprintf(vm->reason, sizeof(vm->reason), "crash: ");
	va_start(args, fmt);
	vscnprintf(vm->reason + n, sizeof(vm->reason) - n, fmt, args);
	va_end(args);
	vm->vcpu_ops->leave(vm);
	host_kick(vm->cpu);
}

void vm_triple_fault(struct vm *vm, int vector)
{
	bool reset = vm->config->on_triple_fault == TRIPLE_FAULT_RESETS;
	char how[48] = "";

	if (vector != VECTOR_UNKNOWN)
		scnprintf(how, sizeof(how), " (exception %d in the delivery of #DF)", vector);
	vm_stop(vm, reset ? VM_END_RESET : VM_END_CRASH, "%striple fault%s", reset ? "reset: " : "",
		how);
}

static void on_timeout(void *dev)
{
	struct vm *vm = dev;

	vm_stop(vm, VM_END_TIMEOUT, "timed out after %u s", vm->config->timeout);
}

/* Among the alarms of its devices: who has none pays nothing. */
void vm_arm_timeout(struct vm *vm)
{
	if (!vm->config->timeout)
		return;
	vm->timeout = (struct vdev_timer){ .fire = on_timeout, .dev = vm };
	spin_lock(&vm->lock);
	vtimer_set(&vm->timers, &vm->timeout, vm->config->timeout * vmm.tsc_hz);
	spin_unlock(&vm->lock);
}

/* A second is enough for a line that lives. */
void vm_drain_console(struct vm *vm)
{
	u64 end = rdtsc() + vmm.tsc_hz;

	while (machine_console_pending(vm) && rdtsc() < end) {
		host_poll();
		spin_lock(&vm->lock);
		machine_console_output(vm);
		spin_unlock(&vm->lock);
	}
}

bool vm_wants_restart(const struct vm *vm)
{
	if (vm->end == VM_END_RESET)
		return true; /* the guest's own wish, as on any PC */
	switch (vm->config->restart) {
	case RESTART_ALWAYS: return true;
	case RESTART_ON_CRASH: return vm->end == VM_END_CRASH;
	case RESTART_NEVER: break;
	}
	return false;
}

void vm_add_event(unsigned int id, unsigned int event)
{
	struct vm *vm = &vmm.vm[id];

	if (id >= vmm.vms || vm->state != VM_RUNNING)
		return;
	atomic_fetch_or(&vm->events, event);
	host_kick(vm->cpu);
}

void vm_console_input(unsigned int id)
{
	vm_add_event(id, VM_EVENT_INPUT);
}

void vm_console_output(unsigned int id)
{
	vm_add_event(id, VM_EVENT_OUTPUT);
}

static void fire_alarms(struct vm *vm, u64 now)
{
	if (vtimer_next(&vm->timers) <= now - vm->tsc_base)
		vtimer_run(&vm->timers, now - vm->tsc_base);
}

/* The last look gives the alarms back to the home CPU; a VM that has stopped is told nothing more (life.c). */
bool vm_poll(struct vm *vm, bool go_on)
{
	bool found = false, gives_back;

	if (vm->state != VM_RUNNING)
		return false;
	if (go_on && !spin_trylock(&vm->lock))
		return true;
	if (!go_on)
		spin_lock(&vm->lock);
	gives_back = vm->polled && !go_on;
	if (vm->state == VM_RUNNING) {
		vm->polled = go_on;
		fire_alarms(vm, rdtsc());
		found = machine_poll(vm, go_on);
	}
	spin_unlock(&vm->lock);
	if (gives_back)
		host_kick(vm->cpu);
	return found;
}

u64 vm_run_timers(struct vm *vm, u64 now)
{
	u64 next;

	spin_lock(&vm->lock);
	fire_alarms(vm, now);
	next = vtimer_next(&vm->timers);
	spin_unlock(&vm->lock);
	return next == VDEV_NEVER ? SCHED_NEVER : next + vm->tsc_base;
}
