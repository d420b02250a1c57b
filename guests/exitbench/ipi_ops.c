/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts to another CPU. On one physical CPU, which both must share, only the sender's part and
 * the exchange of two that both sleep have a meaning of their own; with "parallel" on the command
 * line a sender may also wait for the other one.
 */
#include "bench.h"

#define OTHER             1
#define PATIENCE          1000000000 /* ticks */
#define ICR_FIXED_TO(cpu) make_64(cpus[cpu].apic_id, ICR_ASSERT | BENCH_VECTOR)

static volatile bool leave;
static u32 before;

static void spin(void *arg)
{
	(void)arg;
	irq_enable();
	while (!leave)
		;
}

/* It sleeps between interrupts; each is answered by one when @arg says so. */
static void sleep_and_answer(void *arg)
{
	u32 seen = cpus[OTHER].irqs[BENCH_VECTOR];

	while (!leave) {
		__asm__ volatile("sti; hlt; cli" : : : "memory");
		if (arg && cpus[OTHER].irqs[BENCH_VECTOR] != seen) {
			seen = cpus[OTHER].irqs[BENCH_VECTOR];
			wrmsr(IA32_X2APIC(LAPIC_ICR), ICR_FIXED_TO(0));
		}
	}
}

static void send(void)
{
	wrmsr(IA32_X2APIC(LAPIC_ICR), ICR_FIXED_TO(OTHER));
}

static const char *begin_other(void (*fn)(void *arg), void *arg)
{
	if (cpu_count < 2)
		return "one CPU";
	leave = false;
	count_interrupts();
	irq_enable();
	cpu_call(OTHER, fn, arg);
	/* It has begun, and has had the time to fall asleep, when it has taken an interrupt. */
	before = cpus[OTHER].irqs[BENCH_VECTOR];
	send();
	if (!WAIT(cpus[OTHER].irqs[BENCH_VECTOR] != before, SECOND))
		return "the other CPU takes no interrupt";
	irq_disable();
	before = cpus[OTHER].irqs[BENCH_VECTOR];
	taken = cpus[0].irqs[BENCH_VECTOR];
	return NULL;
}

static const char *end_other(u64 executed)
{
	bool back;

	leave = true;
	irq_enable();
	send();
	back = cpu_wait(OTHER);
	irq_disable();
	(void)executed;
	return back ? NULL : "the other CPU does not come back";
}

static const char *begin_spin(void)
{
	return begin_other(spin, NULL);
}

static const char *begin_exchange(void)
{
	return begin_other(sleep_and_answer, &before);
}

static const char *begin_parallel_spin(void)
{
	return option("parallel") ? begin_other(spin, NULL) : "the CPUs share a physical one";
}

static const char *begin_parallel_sleep(void)
{
	return option("parallel") ? begin_other(sleep_and_answer, NULL)
				  : "the CPUs share a physical one";
}

static void send_and_wait(void)
{
	u32 next = cpus[OTHER].irqs[BENCH_VECTOR] + 1;
	u64 end = rdtsc() + PATIENCE;

	send();
	while (cpus[OTHER].irqs[BENCH_VECTOR] != next && rdtsc() < end)
		cpu_pause();
}

/* The other one shall be asleep again. */
static u64 send_and_wake(void)
{
	u64 start = ticks(), took;

	send_and_wait();
	took = ticks() - start;
	for (u64 end = rdtsc() + 20000; rdtsc() < end;)
		cpu_pause();
	return took;
}

/* There and back, both asleep while the other one has the word. */
static void exchange(void)
{
	u32 seen = taken;

	send();
	while (taken == seen)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static const char *end_parallel(u64 executed)
{
	bool all = cpus[OTHER].irqs[BENCH_VECTOR] - before == executed;
	const char *problem = end_other(executed);

	return problem ? problem : all ? NULL : "not one interrupt for each";
}

const struct op ipi_ops[] = {
	{ "ipi_send", send, .begin = begin_spin, .end = end_other, .apic = X2APIC },
	{ "ipi_exchange_halted", exchange, .begin = begin_exchange, .end = end_other,
	  .apic = X2APIC },
	{ "ipi", send_and_wait, .begin = begin_parallel_spin, .end = end_parallel, .apic = X2APIC },
	{ "ipi_halt", .timed = send_and_wake, .begin = begin_parallel_sleep, .end = end_parallel,
	  .apic = X2APIC },
	{ 0 },
};
