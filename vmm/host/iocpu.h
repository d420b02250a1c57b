/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O CPU (`io-cpu`): a physical CPU that runs no guest but looks at the queues of all virtio disks and
 * network cards, and at the machine's own devices, again and again (vmm/run/poll.c). As long as it does, drivers
 * are asked not to kick, so that I/O costs guests no exit; what it completes reaches them as any interrupt does,
 * posted where the processor can.
 *
 * When nothing has happened for a while it asks for kicks again, and sleeps until one comes. Here is which CPU it
 * is, and how it sleeps and is woken.
 */
#ifndef VMM_HOST_IOCPU_H
#define VMM_HOST_IOCPU_H

#include "lib/types.h"
#include "vmm/host/cpu.h"

#define IOCPU_NONE (-1)

struct host_config;

/*
 * Which of @cpus CPUs it is, as @config asks; IOCPU_NONE when it asks for none, or for one that cannot be had,
 * which is said with its line. Once, before any VM starts.
 */
void iocpu_choose(const struct host_config *config, unsigned int cpus);

/* As BIT(CPU): not for vCPUs. 0: there is none. */
u64 iocpu_mask(void);

/* Is @cpu it? */
bool iocpu_is(const struct cpu *cpu);

/*
 * On the I/O CPU, which is @cpu: ask for kicks again and look for the last time, both by @last_look; then sleep,
 * unless somebody has kicked meanwhile.
 */
void iocpu_sleep(struct cpu *cpu, void (*last_look)(void));

/* A driver had to kick: there is something to be looked at from now on. On any CPU. */
void iocpu_wake(void);

#endif
