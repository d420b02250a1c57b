/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/images.h"
#include "boot/config.h"
#include "boot/volume.h"
#include "lib/print.h"
#include "lib/string.h"

#define IMAGE_MAX GIB(4)

/* A file that an earlier VM has loaded already: nobody writes to it, so it serves both. */
static const struct boot_file *loaded_before(const struct config *cfg, const char *path)
{
	for (unsigned int i = 0; i < cfg->vms; i++) {
		const struct vm_config *vm = &cfg->vm[i];

		if (vm->kernel_file.data && !strcmp(vm->kernel, path))
			return &vm->kernel_file;
		if (vm->initrd_file.data && !strcmp(vm->initrd, path))
			return &vm->initrd_file;
		for (unsigned int m = 0; m < vm->modules; m++) {
			if (vm->module[m].file.data && !strcmp(vm->module[m].path, path))
				return &vm->module[m].file;
		}
		for (unsigned int d = 0; d < vm->disks; d++) {
			if (vm->disk[d].file.data && !strcmp(vm->disk[d].what, path))
				return &vm->disk[d].file;
		}
	}
	return NULL;
}

static void load(struct config *cfg, struct vm_config *vm, unsigned int line, const char *key,
		 const char *path, struct boot_file *file)
{
	const struct boot_file *same = loaded_before(cfg, path);
	char who[CONFIG_NAME_LEN + 4];
	const char *problem;

	if (same) {
		*file = *same;
		return;
	}
	scnprintf(who, sizeof(who), "vm %s", vm->name);
	problem = volume_read(who, path, IMAGE_MAX, file);
	if (problem)
		config_vm_error(cfg, vm, line, "%s%s: %s", key, path, problem);
}

/* The VM gets a copy of its own each time that it starts: vmm/vm/disks.c. */
static void load_disks(struct config *cfg, struct vm_config *vm)
{
	for (unsigned int i = 0; i < vm->disks; i++) {
		struct disk_config *disk = &vm->disk[i];

		if (disk->kind == DISK_FILE)
			load(cfg, vm, disk->line, "disk = file:", disk->what, &disk->file);
	}
}

void images_load(struct config *cfg)
{
	for (unsigned int i = 0; i < cfg->vms; i++) {
		struct vm_config *vm = &cfg->vm[i];

		if (vm->bad)
			continue;
		load(cfg, vm, vm->kernel_line, "kernel = ", vm->kernel, &vm->kernel_file);
		if (vm->initrd_line)
			load(cfg, vm, vm->initrd_line, "initrd = ", vm->initrd, &vm->initrd_file);
		for (unsigned int m = 0; m < vm->modules; m++)
			load(cfg, vm, vm->module[m].line, "module = ", vm->module[m].path,
			     &vm->module[m].file);
		load_disks(cfg, vm);
	}
}
