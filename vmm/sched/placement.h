/* SPDX-License-Identifier: BSD-2-Clause */
/* Which CPUs a VM gets on this machine: what lintel.conf asks for (pin, weight, cap), checked. */
#ifndef VMM_SCHED_PLACEMENT_H
#define VMM_SCHED_PLACEMENT_H

#include "vmm/sched/sched.h"
#include "vmm/config.h"

struct placement {
	bool possible;     /* else it must not be started: why has been printed */
	unsigned int home; /* its home CPU: one that is pinned to none of the others, if possible */
};

/*
 * Fill @placement for each of the @vms VMs of @vm, on a machine of @cpus CPUs, those of
 * @reserved (a bit each) not for VMs. What cannot be had is told with its line. A VM whose section is bad is not possible, and nothing more is said.
 */
void placement_plan(const struct vm_config *vm, unsigned int vms, unsigned int cpus, u64 reserved,
		    struct placement *placement);

/* What sched_add wants to know: of the VM, and of one of its vCPUs. */
struct sched_group placement_group(const struct vm_config *vm);
int placement_pin(const struct vm_config *vm, unsigned int vcpu);

#endif
