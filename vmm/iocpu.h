/*
 * The I/O CPU (`io-cpu`): a physical CPU that runs no guest but looks at the queues of all virtio disks and
 * network cards, and at the machine's own devices, again and again. As long as it does, drivers are asked not
 * to kick, so that I/O costs guests no exit; what it completes reaches them as any interrupt does, posted
 * where the processor can.
 *
 * When nothing has happened for a while it asks for kicks again, and sleeps until one comes.
 */
#ifndef VMM_IOCPU_H
#define VMM_IOCPU_H

#include "lib/types.h"
#include "vmm/cpu.h"

#define IOCPU_NONE (-1)

struct host_config;

/*
 * Which of @cpus CPUs it is, as @config asks; IOCPU_NONE when it asks for none, or for one that cannot be had,
 * which is said with its line. Once, before any VM starts.
 */
void iocpu_choose(const struct host_config *config, unsigned int cpus);

/* As BIT(CPU): not for vCPUs. 0: there is none. */
u64 iocpu_mask(void);

/* Is @cpu it? Then it is to call iocpu_run, which does not come back. */
bool iocpu_is(const struct cpu *cpu);
void iocpu_run(struct cpu *cpu) __noreturn;

/* A driver had to kick: there is something to be looked at from now on. On any CPU. */
void iocpu_wake(void);

#endif
