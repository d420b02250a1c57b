/* SPDX-License-Identifier: BSD-2-Clause */
/* What all VMs share: the machine as it was found, and what was chosen for it. */
#ifndef VMM_HOST_VMM_H
#define VMM_HOST_VMM_H

#include "ept/mtrr.h"
#include "lib/types.h"
#include "vmx/caps.h"

struct host_config;
struct vm;

#define LOOK_NEVER BIT(62) /* may be added to any time */

/* Filled once at start, by the boot CPU. Read by all of them at each exit: nothing that changes is among it. */
struct vmm {
	_Alignas(CACHE_LINE) struct vmx_caps caps;
	struct vmx_controls controls;
	bool quiet;       /* `interrupts = quiet`: see run/run.c */
	struct mtrr mtrr; /* of the boot CPU: the firmware keeps all CPUs alike */
	u64 tsc_hz;
	u64 look_ticks; /* the longest that a guest runs without an exit, or LOOK_NEVER */
	u64 start_tsc;
	u64 epoch; /* seconds since 1970, at start_tsc */
	unsigned int host_cpus;
	bool ibpb; /* the CPUs have the barrier */
	struct vmx_platform platform;
	struct vm *vm; /* of vms: as many as lintel.conf names (vmm/vm/vm.h) */
	unsigned int vms;
	const struct host_config *config;
};

_Static_assert(sizeof(struct vmm) % CACHE_LINE == 0, "nothing that is written lies in its lines");

extern struct vmm vmm;

/* Fill ibpb and mtrr from the CPU that runs this. */
void vmm_read_cpu(void);

#endif
