/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/vcpus.h"
#include "lib/errno.h"
#include "vmm/host/ap.h"
#include "vmm/host/host.h"
#include "vmm/vm/machine_console.h"
#include "vmm/vcpu/msr.h"
#include "vmm/sched/placement.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"

static void init_bus(struct vm *vm, const struct cpuid_table *cpuid)
{
	unsigned int features = 0;

	if (cpuid_has(cpuid, 1, 0, CPUID_ECX, 21))
		features |= VAPIC_X2APIC;
	if (cpuid_has(cpuid, 1, 0, CPUID_ECX, 24))
		features |= VAPIC_TSC_DEADLINE;
	vapic_bus_init(&vm->bus, vmm.tsc_hz, features);
}

/* vCPU @id, which waits for a start-up IPI. */
static int init_vcpu(struct vm *vm, unsigned int id, const struct exit_ways *exits)
{
	struct vcpu *vcpu = vm_pages(vm, sizeof(*vcpu));
	void *apic_page = vm_pages(vm, PAGE_SIZE);
	int err;

	if (!vcpu || !apic_page)
		return -ENOMEM;
	vm->vcpu[vm->vcpus++] = vcpu;
	vcpu->vm = vm;
	vcpu->id = id;
	cpuid_build(&vcpu->cpuid, &vmm.caps, vm->config->hide, id, vm->config->cpus, vmm.tsc_hz);
	if (placement_pin(vm->config, id) != SCHED_NOBODY && !vm->config->cap)
		cpuid_hint_realtime(&vcpu->cpuid);
	if (!id) {
		init_bus(vm, &vcpu->cpuid);
		msr_bitmap_build(vm->msr_bitmap[MSR_BITMAP_PLAIN], vcpu, false);
		msr_bitmap_build(vm->msr_bitmap[MSR_BITMAP_X2APIC], vcpu, true);
	}
	err = vcpu_apic_init(vcpu, apic_page);
	return err ? err : vcpu_init(vcpu, exits);
}

/*
 * The APICs are in xAPIC mode, as firmware hands them over where no ID needs more. Linux switches to x2APIC mode by
 * itself where the MADT tells it that there is an APIC; without ACPI it expects the register page.
 */
int vcpus_init(struct vm *vm, const struct guest_entry *entry, const struct exit_ways *exits)
{
	int err = vm_bitmaps_init(vm);

	for (unsigned int i = 0; i < vm->config->cpus && !err; i++)
		err = init_vcpu(vm, i, exits);
	if (err)
		return err;
	vcpu_load(vm->vcpu[0]);
	vlapic_virtual_wire(&vm->vcpu[0]->lapic);
	vcpu_reset(vm->vcpu[0], entry);
	vcpu_unload();
	return 0;
}

void vcpus_end(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpus; i++)
		context_end_all(vm->vcpu[i]);
}

void vcpus_unschedule(struct vm *vm)
{
	for (; vm->scheduled; vm->scheduled--) {
		int cpu = sched_remove(&scheduler, &vm->vcpu[vm->scheduled - 1]->sched);

		if (cpu != SCHED_NOBODY)
			host_kick(cpu_by_id((unsigned int)cpu));
	}
}

int vcpus_schedule(struct vm *vm)
{
	vm->sched = placement_group(vm->config);
	for (vm->scheduled = 0; vm->scheduled < vm->vcpus; vm->scheduled++) {
		int err = sched_add(&scheduler, &vm->vcpu[vm->scheduled]->sched, &vm->sched,
				    placement_pin(vm->config, vm->scheduled));

		if (err)
			return err;
	}
	return 0;
}

bool vcpus_have_left(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		if (atomic_load(&vm->vcpu[i]->on) ||
		    !sched_is_released(&scheduler, &vm->vcpu[i]->sched))
			return false;
	}
	return true;
}

void vcpu_hold(struct vcpu *vcpu)
{
	vcpu->vm->console_refused = false;
	if (machine_console_full(vcpu->vm))
		atomic_store(&vcpu->held, true);
}

/* --- what the VM asks of them: struct vm_vcpu_ops --- */

static void leave(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		struct cpu *cpu = atomic_load(&vm->vcpu[i]->on);

		if (cpu)
			host_kick(cpu);
	}
}

/* INTR goes to every vCPU whose local APIC lets it through. */
static void pic_raised(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		if (vlapic_accepts_pic(&vm->vcpu[i]->lapic))
			vcpu_kick(vm->vcpu[i]);
	}
}

static void let_go_on(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		if (atomic_exchange(&vm->vcpu[i]->held, false))
			vcpu_kick(vm->vcpu[i]);
	}
}

const struct vm_vcpu_ops vcpus_ops = {
	.leave = leave,
	.pic_raised = pic_raised,
	.let_go_on = let_go_on,
};
