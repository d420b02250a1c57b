/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What interrupts cost in exits: 500 of the timer, and 100 sent from the first CPU to all
 * others. The VMM's table at the end tells. "pv": EOIs by memory, and one hypercall for all
 * destinations; else by registers.
 */
#include "kvm.h"
#include "smp.h"

#define VECTOR     0x61
#define TICKS      500
#define BROADCASTS 100

static u32 eoi_words[SMP_CPUS];

static bool end_by_memory(struct smp_cpu *me)
{
	u8 was;

	__asm__ volatile("btrl $0, %0; setc %1"
			 : "+m"(eoi_words[me->index]), "=r"(was)
			 :
			 : "memory", "cc");
	return was;
}

static void enable_eoi(void *arg)
{
	(void)arg;
	wrmsr(MSR_PV_EOI, physical(&eoi_words[this_cpu()->index]) | MSR_ENABLED);
}

/* Nothing but the timer's own exits: no HLT, and IF is 1 when it comes. */
static void tick(void)
{
	lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
	irq_enable();
	for (u32 n = 1; n <= TICKS; n++) {
		wrmsr(IA32_TSC_DEADLINE, rdtsc() + microseconds(30));
		while (cpus[0].irqs[VECTOR] < n)
			;
	}
	irq_disable();
	report(cpus[0].irqs[VECTOR] == TICKS, "%u ticks came", cpus[0].irqs[VECTOR]);
}

static bool all_took(u32 n)
{
	for (unsigned int i = 1; i < cpu_count; i++) {
		if (cpus[i].irqs[VECTOR] < n)
			return false;
	}
	return true;
}

static void broadcast(bool pv)
{
	for (u32 n = 1; n <= BROADCASTS; n++) {
		if (pv)
			hypercall(KVM_HC_SEND_IPI, ALL_CPUS & ~1ULL, 0, 0, VECTOR);
		for (unsigned int i = 1; i < cpu_count && !pv; i++)
			send_ipi(VECTOR, cpus[i].apic_id);
		if (!WAIT(all_took(n), SECOND))
			break;
	}
	report(all_took(BROADCASTS), "all have got all");
}

void guest_main(void)
{
	bool pv = option("pv");

	if (!smp_start())
		return;
	smp_set_x2apic(true);
	if (pv) {
		run_on_all(enable_eoi, NULL);
		eoi_hook = end_by_memory;
	}
	tick();
	broadcast(pv);
}
