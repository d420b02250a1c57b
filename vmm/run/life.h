/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of VMs: when each one starts, ends and starts again. */
#ifndef VMM_RUN_LIFE_H
#define VMM_RUN_LIFE_H

#include "lib/types.h"
#include "vmm/host/cpu.h"

/* Give every VM a home, and wish that it starts. Needs the scheduler. */
void life_begin(void);

/* Is a VM at home on @cpu about to start or to end at host TSC @now? That takes life_tend a while. */
bool life_is_due(const struct cpu *cpu, u64 now);

/*
 * Bring the life and the devices of the VMs at home on @cpu, which calls this, up to date at @now, or a
 * little later. Returns the host TSC at which one wants a look again.
 */
u64 life_tend(const struct cpu *cpu, u64 now);

/* The operator wants all to end. Any CPU. */
void life_quit(void);

/* Has the last VM stopped for good? */
bool life_is_over(void);

/* In a word or two, for the operator. */
const char *life_name(unsigned int vm);

#endif
