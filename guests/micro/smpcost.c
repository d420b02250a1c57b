/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does one thing n times (work=NAME, n=N), in x2APIC mode: the VM's table of exits, divided by n, is
 * what that thing costs. tests/machine/test_smp_cost.py does so.
 */
#include "smp.h"

#define VECTOR 0x51
#define PERIOD 250 /* microseconds */

/* PV EOI, as KVM documents it: when the bit is set, clearing it is the EOI. */
#define MSR_KVM_PV_EOI_EN 0x4b564d04
#define PV_EOI_ENABLED    1
static volatile u32 pv_eoi __attribute__((aligned(4)));
static bool use_pv_eoi;

static volatile u32 taken;

static bool take(struct frame *f)
{
	u8 pending = 0;

	if (f->vector < 32)
		return false;
	taken++;
	if (use_pv_eoi)
		__asm__ volatile("btrl $0, %1\n\tsetc %0" : "+r"(pending), "+m"(pv_eoi) : : "cc");
	if (!pending)
		wrmsr(IA32_X2APIC(LAPIC_EOI), 0);
	return true;
}

static void set_timer(u32 lvt, u32 count)
{
	wrmsr(IA32_X2APIC(LAPIC_DIVIDE), 0xb);
	wrmsr(IA32_X2APIC(LAPIC_LVT_TIMER), lvt);
	wrmsr(IA32_X2APIC(LAPIC_COUNT), count);
}

static void await(u32 n, bool halt)
{
	if (halt) {
		irq_disable();
		while (taken < n)
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		return;
	}
	irq_enable();
	while (taken < n)
		;
}

/* A tick that is armed anew each time, as Linux does, and one that repeats itself. */
static void deadlines(u32 n, bool halt)
{
	set_timer(LVT_DEADLINE | VECTOR, 0);
	for (u32 i = 1; i <= n; i++) {
		wrmsr(IA32_TSC_DEADLINE, rdtsc() + microseconds(PERIOD));
		await(i, halt);
	}
}

static void periods(u32 n, bool halt)
{
	set_timer(LVT_PERIODIC | VECTOR, (u32)microseconds(PERIOD));
	await(n, halt);
	set_timer(LVT_MASKED, 0);
}

static void tick(u32 n)
{
	deadlines(n, false);
}

static void tick_periodic(u32 n)
{
	periods(n, false);
}

static void idle(u32 n)
{
	deadlines(n, true);
}

static void idle_periodic(u32 n)
{
	periods(n, true);
}

/* An interrupt that the VMM's devices make: here by an IPI to itself, one exit of its own. */
static void interrupt(u32 n)
{
	for (u32 i = 1; i <= n; i++) {
		wrmsr(IA32_X2APIC(LAPIC_SELF_IPI), VECTOR);
		while (taken < i)
			;
	}
}

/* --- with other CPUs --- */

static volatile bool leave;

static void spin(void *arg)
{
	(void)arg;
	irq_enable();
	while (!leave)
		;
}

/* To a CPU that executes. The sender does not wait for it. */
static void ipi(u32 n)
{
	cpu_call(1, spin, NULL);
	WAIT(cpus[1].irqs[CALL_VECTOR] >= 1, SECOND);
	for (u32 i = 0; i < n; i++)
		wrmsr(IA32_X2APIC(LAPIC_ICR), make_64(cpus[1].apic_id, ICR_ASSERT | VECTOR));
	leave = true;
	cpu_wait(1);
	say("%u IPIs sent, %u taken", n, cpus[1].irqs[VECTOR]);
}

/*
 * All CPUs compute for n milliseconds. Told is how many ticks of work they have done in the middle
 * half of that, when VMs that have started together all do so. What a chunk of work takes is the
 * least of some measurements, that nobody has interrupted.
 */
#define CHUNK 50000u
static volatile u64 turns[SMP_CPUS];

static void compute_some(void)
{
	volatile u64 *mine = &turns[this_cpu()->index];
	u32 n = CHUNK;

	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc");
	*mine = *mine + CHUNK;
}

static void compute(void *arg)
{
	(void)arg;
	irq_enable();
	while (!leave)
		compute_some();
}

static u64 compute_until(u64 tsc, u64 *done)
{
	u64 now;

	while ((now = rdtsc()) < tsc)
		compute_some();
	*done = 0;
	for (unsigned int i = 0; i < cpu_count; i++)
		*done += turns[i];
	return now;
}

static u64 ticks_per_chunk(void)
{
	u64 best = ~0ULL, none;

	for (unsigned int i = 0; i < 10; i++) {
		u64 start = rdtsc(), before = turns[0];
		u64 end = compute_until(start + 4 * CHUNK, &none);

		best = MIN(best, (end - start) * CHUNK / (turns[0] - before));
	}
	return best;
}

static void compute_on_all(u32 n)
{
	u64 chunk = ticks_per_chunk();
	u64 quarter = microseconds(n * 250ULL), start = rdtsc(), from, to, before, after;

	for (unsigned int i = 1; i < cpu_count; i++)
		cpu_call(i, compute, NULL);
	from = compute_until(start + quarter, &before);
	to = compute_until(start + 3 * quarter, &after);
	compute_until(start + 4 * quarter, &start);
	leave = true;
	for (unsigned int i = 1; i < cpu_count; i++)
		cpu_wait(i);
	say("computed %lu in %lu ticks", (after - before) / CHUNK * chunk, to - from);
}

static const struct {
	const char *name;
	void (*fn)(u32 n);
	unsigned int cpus;
} works[] = {
	{ "tick", tick, 1 },
	{ "tick-periodic", tick_periodic, 1 },
	{ "idle", idle, 1 },
	{ "idle-periodic", idle_periodic, 1 },
	{ "interrupt", interrupt, 1 },
	{ "ipi", ipi, 2 },
	{ "compute", compute_on_all, 1 },
};

static bool is_chosen(const char *name)
{
	const char *value = option_value("work");

	while (*name && *value == *name) {
		value++;
		name++;
	}
	return !*name && (*value == ' ' || !*value);
}

void guest_main(void)
{
	u32 n = (u32)option_number("n", 1000);

	if (!smp_start())
		return;
	smp_set_x2apic(true);
	if (option("pv-eoi")) {
		use_pv_eoi = true;
		wrmsr(MSR_KVM_PV_EOI_EN, (u64)(uintptr_t)&pv_eoi | PV_EOI_ENABLED);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(works); i++) {
		if (!is_chosen(works[i].name) || cpu_count < works[i].cpus)
			continue;
		if (cpu_count == 1)
			trap_hook = take;
		works[i].fn(n);
		report(true, "%s, %u times", works[i].name, n);
	}
	report(passed, "there is such a work");
}
