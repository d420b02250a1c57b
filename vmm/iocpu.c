#include "vmm/iocpu.h"
#include "lib/printk.h"
#include "vmm/ap.h"
#include "vmm/host.h"
#include "vmm/hostdev.h"
#include "vmm/vm.h"

/*
 * It sleeps after so long without work: long enough for a guest that has got the answers to a batch of requests
 * to look at them all and send the next batch, also if it computes a little in between. The CPU has nothing else
 * to do: only power is at stake.
 */
#define PATIENCE_HZ 100

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

static bool poll_vms(bool go_on)
{
	bool found = false;

	for (unsigned int i = 0; i < vmm.vms; i++)
		found |= vm_poll(&vmm.vm[i], go_on);
	return found;
}

/*
 * Kicks are asked for again first, and what has been added without one is looked at; "asleep" comes before, so
 * that the kick which follows is not missed.
 */
static void sleep(struct cpu *cpu)
{
	atomic_store(&cpu->kicked, false);
	atomic_store(&asleep, true);
	poll_vms(false);
	if (atomic_load(&asleep) && !atomic_load(&cpu->kicked))
		host_idle(~0ULL);
	atomic_store(&asleep, false);
}

void iocpu_run(struct cpu *cpu)
{
	u64 busy = 0;

	pr_info("cpu: CPU %u polls queues and devices\n", cpu->id);
	for (;;) {
		u64 now = rdtsc();

		irq_window();
		hostdev_poll();
		if (poll_vms(true))
			busy = now;
		else if (now - busy > vmm.tsc_hz / PATIENCE_HZ)
			sleep(cpu);
		else
			cpu_pause();
	}
}
