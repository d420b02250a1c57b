/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/sched/placement.h"
#include "lib/printk.h"

_Static_assert(CPU_LIST_CPUS <= SCHED_CPUS, "the scheduler knows every CPU of a list");
_Static_assert(CPU_LIST_MAX == CONFIG_MAX_CPUS, "a list holds a CPU for each vCPU");
_Static_assert(CONFIG_WEIGHT_DEFAULT == SCHED_WEIGHT_DEFAULT &&
		       CONFIG_WEIGHT_MAX == SCHED_WEIGHT_MAX,
	       "weights are the scheduler's");

/* Does the machine have the CPUs that @vm is pinned to? */
static bool are_there(const struct vm_config *vm, unsigned int cpus)
{
	char text[CPU_LIST_TEXT_MAX];

	for (unsigned int i = 0; i < vm->pin.count; i++) {
		if (vm->pin.cpu[i] < cpus)
			continue;
		pr_err("lintel.conf:%u: pin = %s: there is no CPU %u: expected %s%u\n",
		       vm->pin_line, cpu_list_text(&vm->pin, text, sizeof(text)), vm->pin.cpu[i],
		       cpus > 1 ? "0 to " : "", cpus - 1);
		return false;
	}
	return true;
}

/* The CPUs that the VMs which can be had are pinned to, and in *@line the first line that says so. */
static u64 pinned_cpus(const struct vm_config *vm, unsigned int vms,
		       const struct placement *placement, unsigned int *line)
{
	u64 pinned = 0;

	*line = 0;
	for (unsigned int i = 0; i < vms; i++) {
		if (!placement[i].possible || !vm[i].pin.count)
			continue;
		if (!*line)
			*line = vm[i].pin_line;
		for (unsigned int j = 0; j < vm[i].pin.count; j++)
			pinned |= BIT(vm[i].pin.cpu[j]);
	}
	return pinned;
}

/* The @n-th CPU of @pool, which goes round. */
static unsigned int nth_cpu(u64 pool, unsigned int n)
{
	u64 left = pool;

	while (n--) {
		left &= left - 1;
		if (!left)
			left = pool;
	}
	return (unsigned int)__builtin_ctzll(left);
}

void placement_plan(const struct vm_config *vm, unsigned int vms, unsigned int cpus, u64 reserved,
		    struct placement *placement)
{
	unsigned int line, shared = 0;
	u64 pool;

	for (unsigned int i = 0; i < vms; i++)
		placement[i] =
			(struct placement){ .possible = !vm[i].bad && are_there(&vm[i], cpus) };
	pool = GENMASK(cpus - 1, 0) & ~pinned_cpus(vm, vms, placement, &line) & ~reserved;
	for (unsigned int i = 0; i < vms; i++) {
		if (!placement[i].possible)
			continue;
		if (vm[i].pin.count) {
			placement[i].home = vm[i].pin.cpu[0];
		} else if (pool) {
			placement[i].home = nth_cpu(pool, shared++);
		} else {
			pr_err("lintel.conf:%u: [vm %s]: no CPU is left for it, all %u are pinned "
			       "(line %u)%s: expected one without a pin\n",
			       vm[i].line, vm[i].name, cpus, line, reserved ? ", or io-cpu" : "");
			placement[i].possible = false;
		}
	}
}

struct sched_group placement_group(const struct vm_config *vm)
{
	return (struct sched_group){ .weight = vm->weight, .cap = vm->cap };
}

int placement_pin(const struct vm_config *vm, unsigned int vcpu)
{
	return vcpu < vm->pin.count ? vm->pin.cpu[vcpu] : SCHED_NOBODY;
}
