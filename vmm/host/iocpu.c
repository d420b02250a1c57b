/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/iocpu.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmm/host/ap.h"
#include "vmm/host/host.h"
#include "vmm/config.h"

static int io_cpu = IOCPU_NONE;
static atomic_bool asleep;

void iocpu_choose(const struct host_config *config, unsigned int cpus)
{
	if (config->io_cpu < 0)
		return;
	if (!config->io_cpu)
		pr_err("lintel.conf:%u: io-cpu = 0: it is the CPU that the machine started on, "
		       "which "
		       "moves the console's bytes: expected another one: nobody polls\n",
		       config->io_cpu_line);
	else if ((unsigned int)config->io_cpu >= cpus)
		pr_err("lintel.conf:%u: io-cpu = %d: there is no CPU %d: expected at most %u: "
		       "nobody "
		       "polls\n",
		       config->io_cpu_line, config->io_cpu, config->io_cpu, cpus - 1);
	else
		io_cpu = config->io_cpu;
}

u64 iocpu_mask(void)
{
	return io_cpu == IOCPU_NONE ? 0 : BIT(io_cpu);
}

bool iocpu_is(const struct cpu *cpu)
{
	return (int)cpu->id == io_cpu;
}

/* Only the first kick after it has gone to sleep sends an interrupt. */
void iocpu_wake(void)
{
	if (unlikely(atomic_load(&asleep)) && atomic_exchange(&asleep, false))
		host_kick(cpu_by_id((unsigned int)io_cpu));
}

/*
 * Kicks are asked for again first, and what has been added without one is looked at; "asleep" comes before, so
 * that the kick which follows is not missed.
 */
void iocpu_sleep(struct cpu *cpu, void (*last_look)(void))
{
	atomic_store(&cpu->kicked, false);
	atomic_store(&asleep, true);
	last_look();
	if (atomic_load(&asleep) && !atomic_load(&cpu->kicked))
		host_idle(TSC_NEVER);
	atomic_store(&asleep, false);
}
