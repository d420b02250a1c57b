/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as lintel.conf: no crash, and what is called good can be used as it is. */
#include "boot/config.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "tests/unit/host_support.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static u64 bits_of(const char *name)
{
	return strlen(name) & 3; /* lengths that are a multiple of 4 are unknown */
}

static const struct config_names names = { bits_of, bits_of };
static struct config cfg;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_vm(const struct vm_config *vm)
{
	require(memchr(vm->name, 0, sizeof(vm->name)) && vm->name[0]);
	require(memchr(vm->kernel, 0, sizeof(vm->kernel)));
	require(memchr(vm->initrd, 0, sizeof(vm->initrd)));
	require(strlen(vm->cmdline) < CONFIG_CMD_LEN && vm->modules <= CONFIG_MAX_MODULES);
	for (unsigned int i = 0; i < vm->modules; i++)
		require(vm->module[i].path[0] && !strncmp(vm->module[i].path, vm->module[i].text,
							  strlen(vm->module[i].path)));
	require(vm->line > 0);
	if (vm->bad)
		return;
	require(vm->kernel[0] && vm->kernel_line > vm->line);
	require(!vm->initrd_line == !vm->initrd[0]);
	require(vm->cpus >= 1 && vm->cpus <= CONFIG_MAX_CPUS);
	require(vm->memory >= MIB(16) && IS_ALIGNED(vm->memory, MIB(2)));
	require(vm->restart <= RESTART_ALWAYS);
	require(vm->weight >= 1 && vm->weight <= CONFIG_WEIGHT_MAX);
	require(vm->cap <= 100 * vm->cpus);
	require(!vm->pin.count || vm->pin.count == vm->cpus);
	for (unsigned int i = 0; i < vm->pin.count; i++)
		require(vm->pin.cpu[i] < CPU_LIST_CPUS);
}

static void check_devices(const struct vm_config *vm)
{
	require(vm->disks <= CONFIG_MAX_DISKS && vm->nets <= CONFIG_MAX_NETS);
	for (unsigned int i = 0; i < vm->disks; i++) {
		require(memchr(vm->disk[i].what, 0, sizeof(vm->disk[i].what)));
		require(!vm->disk[i].what[0] == (vm->disk[i].kind == DISK_RAM));
		require(IS_ALIGNED(vm->disk[i].size, 512ULL) && vm->disk[i].line > vm->line);
	}
	for (unsigned int i = 0; i < vm->nets; i++) {
		require(vm->bad || vm->net[i].index < cfg.switches);
		require(!(vm->net[i].mac[0] & 1) && vm->net[i].vlan <= 4094);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int errors;

	capture_nothing();
	errors = config_parse(&cfg, (const char *)data, size, &names);
	require(errors == cfg.errors && cfg.vms <= CONFIG_MAX_VMS);
	require(cfg.vms || errors);
	require(cfg.host.console <= CONSOLE_FRAMEBUFFER && cfg.host.idle <= IDLE_STAY);
	require(cfg.host.log_level <= LOG_DEBUG && cfg.host.selftest <= SELFTEST_DRIVERS);
	require(cfg.host.io_cpu >= -1 && cfg.host.io_cpu < CPU_LIST_CPUS);
	require(cfg.switches <= CONFIG_MAX_SWITCHES);
	for (unsigned int i = 0; i < cfg.vms; i++) {
		check_vm(&cfg.vm[i]);
		check_devices(&cfg.vm[i]);
		require(errors || !cfg.vm[i].bad);
	}
	return 0;
}
