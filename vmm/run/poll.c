/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/run/poll.h"
#include "lib/printk.h"
#include "vmm/host/hostdev.h"
#include "vmm/host/iocpu.h"
#include "vmm/vm/vm.h"

/*
 * It sleeps after so long without work: long enough for a guest that has got the answers to a batch of requests
 * to look at them all and send the next batch, also if it computes a little in between. The CPU has nothing else
 * to do: only power is at stake.
 */
#define PATIENCE_HZ 100

static bool poll_vms(bool go_on)
{
	bool found = false;

	for (unsigned int i = 0; i < vmm.vms; i++)
		found |= vm_poll(&vmm.vm[i], go_on);
	return found;
}

static void last_look(void)
{
	poll_vms(false);
}

void poll_for_ever(struct cpu *cpu)
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
			iocpu_sleep(cpu, last_look);
		else
			cpu_pause();
	}
}
