#include "vmm/vm.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/console.h"
#include "vmm/ap.h"
#include "vmm/dump.h"
#include "vmm/guest_image.h"
#include "vmm/host.h"
#include "vmm/inside.h"
#include "vmm/machine_net.h"
#include "vmm/msr.h"
#include "vmm/placement.h"
#include "vmm/vacpi.h"
#include "vmm/vcpu.h"
#include "vmm/vm_memory.h"

struct vmm vmm;

static void *vm_pages(struct vm *vm, u64 bytes)
{
	hpa_t hpa = mem_alloc(bytes, PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));

	if (hpa)
		memset((void *)(uintptr_t)hpa, 0, ALIGN_UP(bytes, PAGE_SIZE));
	return (void *)(uintptr_t)hpa;
}

static int init_bitmaps(struct vm *vm)
{
	vm->io_bitmap = vm_pages(vm, 2 * PAGE_SIZE);
	if (!vm->io_bitmap)
		return -ENOMEM;
	memset(vm->io_bitmap, 0xff, 2 * PAGE_SIZE); /* no port of the host is a guest's */
	for (unsigned int i = 0; i < MSR_BITMAPS; i++) {
		vm->msr_bitmap[i] = vm_pages(vm, PAGE_SIZE);
		if (!vm->msr_bitmap[i])
			return -ENOMEM;
	}
	return 0;
}

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
static int init_vcpu(struct vm *vm, unsigned int id, bool x2apic)
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
	err = vcpu_apic_init(vcpu, apic_page, x2apic);
	return err ? err : vcpu_init(vcpu);
}

/*
 * Linux finds the APICs as a modern firmware leaves them, in x2APIC mode: it then never touches the
 * register page. Small images expect the mode that a reset leaves.
 */
static int init_vcpus(struct vm *vm, const struct guest_entry *entry)
{
	int err = init_bitmaps(vm);

	for (unsigned int i = 0; i < vm->config->cpus && !err; i++)
		err = init_vcpu(vm, i, entry->mode == GUEST_LONG64);
	if (err)
		return err;
	vcpu_load(vm->vcpu[0]);
	vlapic_virtual_wire(&vm->vcpu[0]->lapic);
	vcpu_reset(vm->vcpu[0], entry);
	vcpu_unload();
	return 0;
}

static void unschedule_vcpus(struct vm *vm)
{
	for (; vm->scheduled; vm->scheduled--) {
		int cpu = sched_remove(&vmm.sched, &vm->vcpu[vm->scheduled - 1]->sched);

		if (cpu != SCHED_NOBODY)
			host_kick(cpu_by_id((unsigned int)cpu));
	}
}

/* Hand the vCPUs to the scheduler, which leaves them alone until they are woken. */
static int schedule_vcpus(struct vm *vm)
{
	vm->sched = placement_group(vm->config);
	for (vm->scheduled = 0; vm->scheduled < vm->vcpus; vm->scheduled++) {
		int err = sched_add(&vmm.sched, &vm->vcpu[vm->scheduled]->sched, &vm->sched,
				    placement_pin(vm->config, vm->scheduled));

		if (err)
			return err;
	}
	return 0;
}

static unsigned int key_line(const struct vm_config *c, const char *key)
{
	unsigned int line = 0;

	if (!strcmp(key, "kernel"))
		line = c->kernel_line;
	else if (!strcmp(key, "initrd"))
		line = c->initrd_line;
	else if (!strcmp(key, "memory"))
		line = c->memory_line;
	return line ? line : c->line;
}

/* Why an image cannot be started, with the setting at fault as the user wrote it. */
static void print_image_error(const struct vm_config *c, const struct image_error *why)
{
	char memory[24];
	const char *value = "..."; /* a command line is long */

	scnprintf(memory, sizeof(memory), "%lluM", (unsigned long long)(c->memory >> 20));
	if (!strcmp(why->key, "kernel"))
		value = c->kernel;
	else if (!strcmp(why->key, "initrd"))
		value = c->initrd;
	else if (!strcmp(why->key, "memory"))
		value = memory;
	pr_err("lintel.conf:%u: %s = %s: %s\n", key_line(c, why->key), why->key, value, why->text);
}

static int load_image(struct vm *vm, struct guest_entry *entry)
{
	const struct vm_config *c = vm->config;
	struct guest_files files = {
		.kernel = c->kernel_file,
		.initrd = c->initrd_file,
		.cmdline = c->cmdline,
		.acpi_rsdp = VACPI_BASE,
	};
	struct vacpi_config acpi = {
		.cpus = c->cpus,
		.ioapic_id = (u8)(vm->machine.ioapic.id >> 24 & 0xf),
		.pm_base = MACHINE_PM_BASE,
		.pci = machine_has_pci(c),
	};
	struct image_error why;
	int err = guest_image_load(&vm->mem, &files, entry, &why);

	if (err)
		print_image_error(c, &why);
	return err ? err : vacpi_build(&vm->mem, &acpi);
}

/* What of @vm its configuration asks for, in the order in which it needs one another. */
static int build(struct vm *vm)
{
	struct guest_entry entry;
	int err = vm_memory_init(vm);

	if (err)
		return err;
	err = machine_init(vm, vmm.epoch + (vm->tsc_base - vmm.start_tsc) / vmm.tsc_hz);
	if (!err)
		err = load_image(vm, &entry);
	if (!err)
		err = init_vcpus(vm, &entry);
	if (!err && vmm.config->selftest == SELFTEST_YES && !vm_memory_selftest(vm))
		err = -EFAULT;
	return err ? err : schedule_vcpus(vm);
}

int vm_start(struct vm *vm)
{
	int err;

	vm->tsc_base = rdtsc();
	pv_vm_init(vm);
	vm->vcpus = 0;
	err = build(vm);
	if (err) {
		vcpu_unload();
		vm_finish(vm);
		return err;
	}
	vm->starts++;
	pr_info("vm %s: started: %llu MiB, %u vCPU%s, %s\n", vm->config->name,
		(unsigned long long)(vm->config->memory >> 20), vm->vcpus, vm->vcpus > 1 ? "s" : "",
		vm->config->kernel);
	return 0;
}

void vm_run(struct vm *vm)
{
	vm->state = VM_RUNNING;
	if (inside_on()) /* who changes that later sees that it runs, and tells it */
		inside_vm_update(vm);
	vcpu_kick(vm->vcpu[0]);
}

/* The CPUs that hold vCPUs of @vm are to look around, and so is its home. */
static void kick_all(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		struct cpu *cpu = atomic_load(&vm->vcpu[i]->on);

		if (cpu)
			host_kick(cpu);
	}
	host_kick(vm->cpu);
}

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
	kick_all(vm);
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

bool vm_has_left_cpus(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->vcpus; i++) {
		if (atomic_load(&vm->vcpu[i]->on) ||
		    !sched_is_blocked(&vmm.sched, &vm->vcpu[i]->sched))
			return false;
	}
	return true;
}

void vm_finish(struct vm *vm)
{
	unschedule_vcpus(vm);
	machine_disks_forget(vm);
	machine_net_end(vm);
	vm_memory_free(vm);
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

void vm_handle_events(struct vm *vm)
{
	unsigned int events = atomic_exchange(&vm->events, 0);

	if ((events & VM_EVENT_INSIDE) && vm->state == VM_RUNNING)
		inside_vm_update(vm);
	if ((events & VM_EVENT_TIMES) && vm->state == VM_RUNNING)
		dump_times(vm);
	spin_lock(&vm->lock);
	if (events & VM_EVENT_INPUT)
		machine_console_input(vm);
	if (events & VM_EVENT_OUTPUT)
		machine_console_output(vm);
	spin_unlock(&vm->lock);
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
