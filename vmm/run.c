#include "vmm/run.h"
#include "lib/printk.h"
#include "lib/spinlock.h"
#include "vmm/ap.h"
#include "vmm/console.h"
#include "vmm/dump.h"
#include "vmm/exit.h"
#include "vmm/host.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmx/controls.h"

/* The longest that a vCPU runs before the VMM looks around: time slice, and net for lost wake-ups. */
#define SLICE_HZ 100

/* A VM that has lived for less than this has lived shortly; how often that counts at most. */
#define SHORT_LIFE_SECONDS 10
#define BACKOFF_MAX_SHIFT  6

static atomic_bool quit;

/* VMs start and end one at a time: memory, and the tables that are printed, are everybody's. */
static struct spinlock life_lock;

void run_quit(void)
{
	atomic_store(&quit, true);
	for (unsigned int i = 0; cpu_by_id(i); i++)
		host_kick(cpu_by_id(i));
}

/* Host TSC at which @vm's next alarm is due. */
static u64 next_alarm(const struct vm *vm)
{
	u64 next = vtimer_next(&vm->timers);

	return next == VDEV_NEVER ? ~0ULL : next + vm->tsc_base;
}

static u64 run_timers(struct vm *vm, u64 now)
{
	u64 alarm = next_alarm(vm);

	if (likely(now < alarm))
		return alarm;
	vtimer_run(&vm->timers, now - vm->tsc_base);
	return next_alarm(vm);
}

/* Have the guest exit at host TSC @deadline. */
static void arm(u64 now, u64 deadline)
{
	u64 ticks = deadline > now ? deadline - now : 0;

	if (vmx_uses(&vmm.caps, VMX_PREEMPTION_TIMER))
		vmcs_write(VMX_PREEMPTION_TIMER_VALUE,
			   MIN(ticks >> (vmm.caps.misc & 31), 0xffffffffULL));
	else
		host_timer(deadline);
}

/*
 * The guest has filled its transmitter, and the line is busy. It could be told so by LSR, but Linux's
 * console waits 10 ms and then writes all the same: the vCPU waits instead, and no byte is lost.
 */
static bool waits_for_console(const struct vm *vm)
{
	return vuart_tx_full(&vm->machine.uart);
}

static void entry_refused(struct vcpu *vcpu, enum vmx_entry_result result)
{
	unsigned int error = result == VMX_FAIL_VALID ? vmcs_read32(VM_INSTRUCTION_ERROR) : 0;

	vm_stop(vcpu->vm, VM_END_CRASH, "VM entry refused: %s",
		error ? vmx_instruction_error_name(error) : "no current VMCS");
	dump_vcpu(vcpu);
}

/* Run @vcpu until its time is up, it has nothing to do, or its VM has stopped. */
static void run_vcpu(struct vcpu *vcpu, u64 slice_end)
{
	struct vm *vm = vcpu->vm;
	const struct cpu *cpu = vm->cpu;
	u64 now = rdtsc();

	vcpu_load(vcpu);
	while (now < slice_end && !atomic_load_explicit(&cpu->kicked, memory_order_relaxed)) {
		u64 alarm = run_timers(vm, now), before;
		enum vmx_entry_result result;

		if (vcpu->halted) {
			if (!vcpu_has_work(vcpu))
				return;
			vcpu->halted = false;
		}
		vcpu_inject(vcpu);
		if (unlikely(vm->state != VM_RUNNING))
			return;
		before = rdtsc();
		arm(before, MIN(alarm, slice_end));
		if (likely(vcpu->entries++))
			vcpu->ticks[vcpu->exit_reason & EXIT_REASON_BASIC] += before - now;
		result = vmx_enter(&vcpu->regs, vcpu->launched);
		now = rdtsc();
		if (unlikely(result != VMX_EXITED)) {
			entry_refused(vcpu, result);
			return;
		}
		vcpu->launched = true;
		if (!exit_dispatch(vcpu) || unlikely(waits_for_console(vm)))
			return;
	}
}

/* --- the life of VMs --- */

static void try_start(struct vm *vm)
{
	int err;

	spin_lock(&life_lock);
	err = vm_start(vm);
	spin_unlock(&life_lock);
	if (!err) {
		console_vm_started(vm->id, vm->config->name);
		return;
	}
	pr_err("vm %s: not started\n", vm->config->name);
	if (vm->starts)
		console_vm_stopped(vm->id);
	vm->state = VM_OFF;
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
	unsigned int delay = restart_delay(vm);

	spin_lock(&life_lock);
	vm_finish(vm);
	spin_unlock(&life_lock);
	if (atomic_load(&quit) || !vm_wants_restart(vm)) {
		console_vm_stopped(vm->id);
		return;
	}
	vm->restart_at = now + delay * vmm.tsc_hz;
	vm->state = VM_WAITING;
	if (delay)
		pr_info("vm %s: starts again in %u s\n", vm->config->name, delay);
}

static void tend_vm(struct vm *vm, u64 now, u64 *deadline)
{
	if (atomic_load(&quit))
		vm_stop(vm, VM_END_POWEROFF, "quit by the operator");
	if (vm->state == VM_ENDED)
		reap(vm, now);
	if (atomic_load(&quit))
		vm->state = VM_OFF;
	if (vm->state == VM_STARTING || (vm->state == VM_WAITING && now >= vm->restart_at))
		try_start(vm);
	if (atomic_load_explicit(&vm->events, memory_order_relaxed))
		vm_handle_events(vm);
	if (vm->state == VM_RUNNING)
		*deadline = MIN(*deadline, run_timers(vm, now));
	else if (vm->state == VM_WAITING)
		*deadline = MIN(*deadline, vm->restart_at);
}

/* Bring the life of this CPU's VMs up to date. Returns when one wants a look again. */
static u64 tend(const struct cpu *cpu)
{
	u64 now = rdtsc(), deadline = ~0ULL;

	for (unsigned int i = 0; i < vmm.vms; i++) {
		struct vm *vm = &vmm.vm[i];

		if (vm->cpu != cpu || vm->state == VM_OFF)
			continue;
		tend_vm(vm, now, &deadline);
		if (vm->state == VM_OFF && cpu->id)
			host_kick(cpu_by_id(0)); /* which waits for the last one */
	}
	return deadline;
}

static bool all_off(void)
{
	for (unsigned int i = 0; i < vmm.vms; i++) {
		if (vmm.vm[i].state != VM_OFF)
			return false;
	}
	return true;
}

/* The next VM of this CPU whose vCPU can run, in turn, or NULL. */
static struct vm *pick(struct cpu *cpu)
{
	for (unsigned int i = 1; i <= vmm.vms; i++) {
		struct vm *vm = &vmm.vm[(cpu->last_vm + i) % vmm.vms];

		if (vm->cpu == cpu && vm->state == VM_RUNNING && !waits_for_console(vm) &&
		    (!vm->vcpu->halted || vcpu_has_work(vm->vcpu))) {
			cpu->last_vm = vm->id;
			return vm;
		}
	}
	return NULL;
}

static void run_cpu(struct cpu *cpu)
{
	for (;;) {
		u64 deadline;
		struct vm *vm;

		atomic_store(&cpu->kicked, false);
		host_poll();
		deadline = tend(cpu);
		if (!cpu->id && all_off())
			return;
		vm = pick(cpu);
		if (vm)
			run_vcpu(vm->vcpu, rdtsc() + vmm.tsc_hz / SLICE_HZ);
		else if (!atomic_load(
				 &cpu->kicked)) /* at most a second: nothing is lost for long */
			host_idle(MIN(deadline, rdtsc() + vmm.tsc_hz));
	}
}

void run_ap(struct cpu *cpu)
{
	run_cpu(cpu);
}

void run_vms(void)
{
	unsigned int cpus = 0;

	while (cpu_by_id(cpus))
		cpus++;
	for (unsigned int i = 0; i < vmm.vms; i++) {
		struct vm *vm = &vmm.vm[i];

		vm->cpu = cpu_by_id(i % cpus);
		vm->state = VM_STARTING;
		host_kick(vm->cpu);
	}
	run_cpu(this_cpu());
}

void run_list(void)
{
	static const char *const states[] = {
		[VM_OFF] = "off",         [VM_STARTING] = "starting",
		[VM_RUNNING] = "running", [VM_WAITING] = "waits to start again",
		[VM_ENDED] = "ending",
	};

	for (unsigned int i = 0; i < vmm.vms; i++) {
		const struct vm *vm = &vmm.vm[i];

		pr_info("%u %s: %s on CPU %u%s\n", i + 1, vm->config->name, states[vm->state],
			vm->cpu->id, console_focus() == i ? " (this console)" : "");
	}
}
