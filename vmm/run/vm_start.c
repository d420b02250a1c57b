/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/run/vm_start.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/exit/exit.h"
#include "vmm/load/guest_image.h"
#include "vmm/observe/inside.h"
#include "vmm/vm/machine.h"
#include "vmm/vm/machine_net.h"
#include "vmm/pc/vacpi.h"
#include "vmm/vcpu/vcpus.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"

static unsigned int key_line(const struct vm_config *c, const char *key)
{
	unsigned int line = 0;

	if (!strcmp(key, "kernel"))
		line = c->kernel_line;
	else if (!strcmp(key, "initrd"))
		line = c->initrd_line;
	else if (!strcmp(key, "module"))
		line = c->module[0].line;
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
		.module = c->module,
		.modules = c->modules,
		.cmdline = c->cmdline,
		.acpi_rsdp = VACPI_BASE,
	};
	struct vacpi_config acpi = {
		.cpus = c->cpus,
		.ioapic_id = (u8)(vm->ioapic.id >> 24 & 0xf),
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
		err = vcpus_init(vm, &entry, &exit_ways);
	if (!err && vmm.config->selftest == SELFTEST_YES && !vm_memory_selftest(vm))
		err = -EFAULT;
	return err ? err : vcpus_schedule(vm);
}

int vm_start(struct vm *vm)
{
	int err;

	vm->tsc_base = rdtsc();
	pv_vm_init(vm);
	vm->vcpu_ops = &vcpus_ops;
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
	vm_arm_timeout(vm);
	vm->state = VM_RUNNING;
	if (inside_on()) /* who changes that later sees that it runs, and tells it */
		inside_vm_update(vm);
	vcpu_kick(vm->vcpu[0]);
}

void vm_finish(struct vm *vm)
{
	vcpus_unschedule(vm);
	vcpus_end(vm);
	machine_disks_forget(vm);
	machine_net_end(vm);
	vm_memory_free(vm);
}
