/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/observe/inside.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/host/ap.h"
#include "vmm/host/console.h"
#include "vmm/observe/dump.h"
#include "vmm/observe/exit_stats.h"
#include "vmm/host/host.h"
#include "vmm/host/mem.h"
#include "vmm/observe/trace_dump.h"
#include "vmm/observe/virtio_watch.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"

atomic_uint inside_wanted;

/*
 * The boot CPU's, which alone switches, but for ->generation, that others read. Each measurement has a
 * number, by which a vCPU's own CPU sees that it has to begin anew.
 */
static struct {
	unsigned int cpus;
	u64 ring_bytes;
	struct trace_ring ring[SCHED_CPUS];
	struct trace_dump dump;
	bool trace_due, times_due; /* to be printed */
	bool dumping;
	atomic_uint generation;
} inside;

/* Turns of the wrong kind end, and the boot CPU looks for what is due. */
static void kick_all(void)
{
	for (unsigned int i = 0; i < inside.cpus; i++)
		host_kick(cpu_by_id(i));
}

static void tell_vms(unsigned int event)
{
	for (unsigned int i = 0; i < vmm.vms; i++)
		vm_add_event(i, event);
}

/* What is wanted has changed. */
static void tell_all(void)
{
	tell_vms(VM_EVENT_INSIDE);
	kick_all();
}

/* @what no longer, and it is to be printed. */
static void stop(unsigned int what)
{
	atomic_store(&inside_wanted, (atomic_load(&inside_wanted) & ~what) | INSIDE_DUE);
	tell_all();
}

/* --- times --- */

unsigned int inside_generation(void)
{
	return atomic_load(&inside.generation);
}

static void begin_times(void)
{
	atomic_fetch_add(&inside.generation, 1);
	atomic_fetch_or(&inside_wanted, INSIDE_TIMES);
	pr_info("exits are measured from now on\n");
}

void inside_key_times(void)
{
	if (!(atomic_load(&inside_wanted) & INSIDE_TIMES)) {
		begin_times();
		tell_all();
		return;
	}
	inside.times_due = true;
	stop(INSIDE_TIMES);
	pr_info("exits are not measured any more\n");
}

/* --- trace --- */

static bool make_rings(void)
{
	for (unsigned int i = 0; i < inside.cpus; i++) {
		struct trace_ring *ring = &inside.ring[i];
		hpa_t hpa = (hpa_t)(uintptr_t)ring->event;

		if (!hpa)
			hpa = mem_alloc(inside.ring_bytes, PAGE_SIZE, MEM_OWNER_VMM);
		if (!hpa) {
			pr_warn("trace: no memory for %llu KiB for each CPU\n",
				(unsigned long long)(inside.ring_bytes >> 10));
			return false;
		}
		trace_ring_init(ring, (void *)(uintptr_t)hpa, inside.ring_bytes);
		cpu_by_id(i)->trace = ring;
	}
	return true;
}

static void begin_trace(void)
{
	if (!make_rings())
		return;
	atomic_fetch_or(&inside_wanted, INSIDE_TRACE);
	pr_info("trace: on: the last %llu events of each CPU\n",
		(unsigned long long)(inside.ring_bytes / sizeof(struct trace_event)));
}

void inside_key_trace(void)
{
	if (inside.trace_due || inside.dumping) {
		pr_info("trace: is being printed\n");
	} else if (!(atomic_load(&inside_wanted) & INSIDE_TRACE)) {
		begin_trace();
		tell_all();
	} else {
		inside.trace_due = true;
		stop(INSIDE_TRACE);
		pr_info("trace: off\n");
	}
}

/* --- printing --- */

/* To what is due. A CPU says so before it looks at what is wanted: who asks later than it has changed misses none. */
static bool anybody_writes(void)
{
	unsigned int due = (inside.times_due ? INSIDE_LOOKS_TIMES : 0) |
			   (inside.trace_due ? INSIDE_LOOKS_TRACE : 0);

	for (unsigned int i = 0; i < inside.cpus; i++) {
		if (atomic_load(&cpu_by_id(i)->looks) & due)
			return true;
	}
	return false;
}

static void print_trace(bool wait)
{
	while (inside.dumping && (wait || console_room() >= 2 * CONSOLE_RESERVE))
		inside.dumping = trace_dump_more(&inside.dump);
}

static void begin_printing(void)
{
	if (inside.times_due)
		tell_vms(VM_EVENT_TIMES);
	if (inside.trace_due)
		trace_dump_begin(&inside.dump, inside.ring, inside.cpus, vmm.tsc_hz);
	inside.dumping |= inside.trace_due;
	inside.times_due = false;
	inside.trace_due = false;
}

void inside_tend(void)
{
	if ((atomic_load(&inside_wanted) & INSIDE_DUE) && !anybody_writes()) {
		begin_printing();
		atomic_fetch_or(&inside_wanted, INSIDE_PRINTING);
		atomic_fetch_and(&inside_wanted, ~INSIDE_DUE);
	}
	if (!(atomic_load(&inside_wanted) & INSIDE_PRINTING))
		return;
	print_trace(false);
	if (!inside.dumping)
		atomic_fetch_and(&inside_wanted, ~INSIDE_PRINTING);
}

void inside_end(void)
{
	inside.trace_due |= atomic_exchange(&inside_wanted, 0) & INSIDE_TRACE;
	while (anybody_writes())
		cpu_pause();
	begin_printing();
	print_trace(true);
}

/* --- a VM's part --- */

static void make_stats(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		struct vcpu *vcpu = vm->vcpu[i];
		struct cpu *on;
		hpa_t hpa;

		if (atomic_load(&vcpu->stats))
			continue;
		hpa = mem_alloc(sizeof(struct exit_stats), PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));
		if (!hpa) {
			pr_warn("vm %s: no memory to measure its exits\n", vm->config->name);
			return;
		}
		exit_stats_begin((void *)(uintptr_t)hpa, 0);
		atomic_store(&vcpu->stats, (struct exit_stats *)(uintptr_t)hpa);
		on = atomic_load(&vcpu->on);
		if (on)
			host_kick(on); /* its turn began without */
	}
}

void inside_vm_update(struct vm *vm)
{
	unsigned int wanted = atomic_load(&inside_wanted);

	if (wanted & INSIDE_TIMES)
		make_stats(vm);
	spin_lock(&vm->lock);
	virtio_watch(vm, wanted & INSIDE_TRACE);
	spin_unlock(&vm->lock);
}

/* Nobody is told: CPUs that wait for the beginning must not be kicked before it (run_ap). */
void inside_init(const struct host_config *config, unsigned int cpus)
{
	memset(&inside, 0, sizeof(inside));
	inside.cpus = cpus;
	inside.ring_bytes = config->trace ? config->trace : TRACE_DEFAULT;
	if (config->exit_times)
		begin_times();
	if (config->trace)
		begin_trace();
}
