#include "vmm/vm.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/console.h"
#include "vmm/dump.h"
#include "vmm/guest_image.h"
#include "vmm/host.h"
#include "vmm/msr.h"
#include "vmm/vacpi.h"
#include "vmm/vcpu.h"
#include "vmm/vm_memory.h"

struct vmm vmm;

/* --- what the guest's local APIC tells: struct vlapic_ops --- */

static void on_kick(void *ctx)
{
	(void)ctx; /* the vCPU's own CPU looks before each entry */
}

static void on_nmi(void *ctx)
{
	(void)ctx; /* no guest NMIs yet */
}

static void on_init(void *ctx)
{
	(void)ctx; /* one vCPU: an INIT to itself is dropped, as the SDM has it for x2APIC */
}

static void on_sipi(void *ctx, u8 vector)
{
	(void)ctx, (void)vector;
}

static void on_eoi(void *ctx, u8 vector)
{
	struct vcpu *vcpu = ctx;

	vioapic_eoi(&vcpu->vm->machine.ioapic, vector);
}

static const struct vlapic_ops lapic_ops = {
	.kick = on_kick,
	.nmi = on_nmi,
	.init = on_init,
	.sipi = on_sipi,
	.eoi = on_eoi,
};

static void *vm_pages(struct vm *vm, u64 bytes)
{
	hpa_t hpa = mem_alloc(bytes, PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));

	if (hpa)
		memset((void *)(uintptr_t)hpa, 0, ALIGN_UP(bytes, PAGE_SIZE));
	return (void *)(uintptr_t)hpa;
}

static int init_vcpu(struct vm *vm, const struct guest_entry *entry)
{
	struct vcpu *vcpu = vm_pages(vm, sizeof(*vcpu));
	void *apic_page = vm_pages(vm, PAGE_SIZE);
	int err;

	vm->io_bitmap = vm_pages(vm, 2 * PAGE_SIZE);
	vm->msr_bitmap = vm_pages(vm, PAGE_SIZE);
	if (!vcpu || !apic_page || !vm->io_bitmap || !vm->msr_bitmap)
		return -ENOMEM;
	memset(vm->io_bitmap, 0xff, 2 * PAGE_SIZE); /* no port of the host is a guest's */
	vm->vcpu = vcpu;
	vcpu->vm = vm;
	cpuid_build(&vcpu->cpuid, &vmm.caps, vm->config->hide, 0, 1, vmm.tsc_hz);
	msr_bitmap_build(vm->msr_bitmap, vcpu);

	vapic_bus_init(
		&vm->bus, vmm.tsc_hz,
		(cpuid_has(&vcpu->cpuid, 1, 0, CPUID_ECX, 21) ? VAPIC_X2APIC : 0) |
			(cpuid_has(&vcpu->cpuid, 1, 0, CPUID_ECX, 24) ? VAPIC_TSC_DEADLINE : 0));
	err = vlapic_init(&vcpu->lapic, &vm->bus, &vm->env, &lapic_ops, vcpu, apic_page, 0);
	if (err)
		return err;
	vlapic_virtual_wire(&vcpu->lapic);
	/*
	 * Linux finds the APIC as a modern firmware leaves it, in x2APIC mode: it then never touches
	 * the register page. Small images expect the mode that a reset leaves.
	 */
	if (entry->mode == GUEST_LONG64 &&
	    !vlapic_set_base(&vcpu->lapic, vlapic_base(&vcpu->lapic) | APIC_BASE_EXTD))
		pr_debug("vm %s: no x2APIC\n", vm->config->name);
	return vcpu_init(vcpu, entry);
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
	};
	struct image_error why;
	int err = guest_image_load(&vm->mem, &files, entry, &why);

	if (err)
		print_image_error(c, &why);
	return err ? err : vacpi_build(&vm->mem, &acpi);
}

static int check_config(const struct vm_config *c)
{
	if (c->bad)
		return -EINVAL; /* said when the file was read */
	if (c->cpus <= 1)
		return 0;
	if (c->cpus > vmm.host_cpus)
		pr_err("lintel.conf:%u: cpus = %u: this machine has %u\n", c->cpus_line, c->cpus,
		       vmm.host_cpus);
	else
		pr_err("lintel.conf:%u: cpus = %u: this version gives a VM one vCPU\n",
		       c->cpus_line, c->cpus);
	return -EINVAL;
}

int vm_start(struct vm *vm)
{
	struct guest_entry entry;
	int err = check_config(vm->config);

	if (err)
		return err;
	vm->tsc_base = rdtsc();
	vm->mtrr_def_type = BIT(11) | MEMTYPE_WB;
	err = vm_memory_init(vm);
	if (!err) {
		machine_init(vm, vmm.epoch + (vm->tsc_base - vmm.start_tsc) / vmm.tsc_hz);
		err = load_image(vm, &entry);
	}
	if (!err)
		err = init_vcpu(vm, &entry);
	if (!err && vmm.config->selftest && !vm_memory_selftest(vm))
		err = -EFAULT;
	if (err) {
		if (vm->vcpu)
			vcpu_destroy(vm->vcpu);
		vm_memory_free(vm);
		return err;
	}
	vm->starts++;
	vm->state = VM_RUNNING;
	pr_info("vm %s: started: %llu MiB, %u vCPU, %s\n", vm->config->name,
		(unsigned long long)(vm->config->memory >> 20), vm->config->cpus,
		vm->config->kernel);
	return 0;
}

void vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...)
{
	size_t n = 0;
	va_list args;

	if (vm->state != VM_RUNNING)
		return;
	vm->state = VM_ENDED;
	vm->end = end;
	if (end == VM_END_CRASH)
		n = scnprintf(vm->reason, sizeof(vm->reason), "crash: ");
	va_start(args, fmt);
	vscnprintf(vm->reason + n, sizeof(vm->reason) - n, fmt, args);
	va_end(args);
}

/* What the guest has sent and the line has not taken yet; a second is enough for a line that lives. */
static void drain_console(struct vm *vm)
{
	u64 end = rdtsc() + vmm.tsc_hz;

	while (vuart_tx_pending(&vm->machine.uart) && rdtsc() < end) {
		host_poll();
		vuart_tx_resume(&vm->machine.uart);
	}
}

void vm_finish(struct vm *vm)
{
	drain_console(vm);
	pr_info("vm %s: stopped: %s\n", vm->config->name, vm->reason);
	dump_exits(vm->vcpu);
	dump_devices(vm);
	vcpu_destroy(vm->vcpu);
	vm_memory_free(vm);
	vm->state = VM_OFF;
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

static void add_event(unsigned int id, unsigned int event)
{
	struct vm *vm = &vmm.vm[id];

	if (id >= vmm.vms || vm->state != VM_RUNNING)
		return;
	atomic_fetch_or(&vm->events, event);
	host_kick(vm->cpu);
}

void vm_console_input(unsigned int id)
{
	add_event(id, VM_EVENT_INPUT);
}

void vm_console_output(unsigned int id)
{
	add_event(id, VM_EVENT_OUTPUT);
}

void vm_handle_events(struct vm *vm)
{
	unsigned int events = atomic_exchange(&vm->events, 0);

	if (events & VM_EVENT_INPUT)
		machine_console_input(vm);
	if (events & VM_EVENT_OUTPUT)
		machine_console_output(vm);
}
