/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPIs to a CPU that runs: each is taken once and at once. What they cost is in the table of exits; with posted
 * interrupts the receiver has none.
 */
#include "smp.h"

#define VECTOR 0x61
#define IPIS   500

static volatile bool spins, stop;

/* Without the library's look at IA32_APIC_BASE, which is an exit. */
static bool end_by_msr(struct smp_cpu *me)
{
	(void)me;
	wrmsr(IA32_X2APIC(0xb0), 0);
	return true;
}

static void spin(void *arg)
{
	(void)arg;
	irq_enable();
	spins = true;
	while (!stop)
		cpu_pause();
}

void guest_main(void)
{
	volatile u32 *taken = &cpus[1].irqs[VECTOR];
	u32 late = 0;

	if (!smp_start() || cpu_count < 2)
		return;
	smp_set_x2apic(true);
	cpu_call(1, spin, NULL);
	report(WAIT(spins, SECOND), "CPU 1 spins");
	eoi_hook = end_by_msr;
	for (u32 n = 1; n <= IPIS; n++) {
		wrmsr(IA32_X2APIC(0x300), (u64)cpus[1].apic_id << 32 | VECTOR);
		if (!WAIT(*taken == n, SECOND))
			late++;
	}
	report(late == 0, "each in time: %u late", late);
	report(*taken == IPIS, "each once: %u of %u", *taken, IPIS);
	for (u32 v = 0x32; v < 256; v++) {
		if (v != VECTOR && cpus[1].irqs[v])
			report(false, "vector %x, which nobody sent, came %u times", v,
			       cpus[1].irqs[v]);
	}
	stop = true;
	report(cpu_wait(1), "and goes on");
}
