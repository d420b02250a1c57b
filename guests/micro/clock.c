/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: for "seconds=N" each CPU keeps one of the APIC timer's modes going, and all read the
 * paravirtual clock. None of the ticks is early or lost, none is later than the neighbours
 * explain, the clock goes back on no CPU, and at the end it agrees with the VMM's own idea of
 * time, the PM timer. "busy": without HLT.
 */
#include "kvm.h"
#include "lib/string.h"
#include "smp.h"

#define VECTOR        0x61
#define PM_TIMER      0x608
#define PM_TIMER_HZ   3579545
#define PM_TIMER_BITS 24

/*
 * In microseconds. The period, and how late the last tick may be: longer than a CPU has to wait for a
 * processor, even while the end of a VM is reported on a serial line, so that no two ticks become one.
 */
#define PERIOD 1000000
#define LATE   1000000
#define SHORT  20000

struct cpu_clock {
	struct time_info time;
	u32 ticks, wanted, early, back;
	u64 latest_tick; /* in ticks of the TSC: how late, at most */
	u64 last_late;
};

static struct cpu_clock clocks[SMP_CPUS];
static volatile u64 latest; /* that any CPU has read of the clock */
static u64 seconds;

static struct cpu_clock *mine(void)
{
	return &clocks[this_cpu()->index];
}

/* The clock reads no less than what another CPU has read before. */
static void look(void)
{
	u64 before = __atomic_load_n(&latest, __ATOMIC_SEQ_CST), now = kvm_clock(&mine()->time);

	mine()->back += now < before;
	while (before < now && !__atomic_compare_exchange_n(&latest, &before, now, false,
							    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static void wait_tick(u32 n)
{
	struct smp_cpu *me = this_cpu();

	while (me->irqs[VECTOR] < n) {
		if (option("busy"))
			__asm__ volatile("sti; nop; nop; cli" : : : "memory");
		else
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		look();
	}
}

static void judge(u64 due)
{
	struct cpu_clock *c = mine();
	u64 now = rdtsc();

	c->ticks++;
	c->early += now < due;
	c->last_late = now - MIN(now, due);
	c->latest_tick = MAX(c->latest_tick, c->last_late);
}

/* The n-th tick is due n periods after the start, however late the ones before have been. */
static void keep_deadlines(void)
{
	u64 due = rdtsc();

	lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
	mine()->wanted = (u32)(seconds * SECOND / SHORT);
	for (u32 n = 1; n <= mine()->wanted; n++) {
		due += microseconds(SHORT);
		wrmsr(IA32_TSC_DEADLINE, due);
		wait_tick(n);
		judge(due);
	}
}

static void keep_periods(void)
{
	u64 start = rdtsc();

	mine()->wanted = (u32)(seconds * SECOND / PERIOD);
	lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | VECTOR);
	lapic_write(LAPIC_COUNT, (u32)microseconds(PERIOD));
	for (u32 n = 1; n <= mine()->wanted; n++) {
		wait_tick(n);
		judge(start + n * microseconds(PERIOD));
	}
	lapic_write(LAPIC_COUNT, 0);
}

static void keep_shots(void)
{
	u64 end = rdtsc() + seconds * microseconds(SECOND);

	lapic_write(LAPIC_LVT_TIMER, VECTOR);
	for (u32 n = 1; rdtsc() < end; n++) {
		u64 start = rdtsc();

		mine()->wanted = n;
		lapic_write(LAPIC_COUNT, (u32)microseconds(SHORT));
		wait_tick(n);
		judge(start + microseconds(SHORT));
	}
}

static void keep_time(void *arg)
{
	static void (*const modes[])(void) = { keep_deadlines, keep_periods, keep_shots };

	(void)arg;
	wrmsr(MSR_SYSTEM_TIME, physical(&mine()->time) | MSR_ENABLED);
	lapic_write(LAPIC_DIVIDE, 0xb);
	modes[this_cpu()->index % ARRAY_SIZE(modes)]();
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
}

/* --- against the VMM's time --- */

struct moment {
	u64 tsc, ns;
	u32 pm;
};

/* The three at once, as near as nobody comes in between. */
static struct moment now(void)
{
	struct moment m, best = { 0 };
	u64 least = ~0ULL;

	for (unsigned int n = 0; n < 200; n++) {
		u64 before = rdtsc(), took;

		m.pm = inl(PM_TIMER);
		m.tsc = rdtsc();
		m.ns = kvm_clock(&clocks[0].time);
		took = rdtsc() - before;
		if (took < least) {
			least = took;
			best = m;
		}
	}
	return best;
}

/* How far @a is from @b, in millionths of @b. */
static u64 ppm(u64 a, u64 b)
{
	return (a > b ? a - b : b - a) * 1000000 / b;
}

/*
 * How many turns of the PM timer have passed is known from the others; what is in between is
 * compared.
 */
static void compare(const struct moment *a, const struct moment *b)
{
	const u64 turn = BIT(PM_TIMER_BITS);
	u64 ns = b->ns - a->ns, tsc = (b->tsc - a->tsc) * 1000 / (tsc_hz / 1000000);
	u64 ticks = ns / 1000 * (PM_TIMER_HZ / 5) / (SECOND / 5);
	u64 pm = (b->pm - a->pm) & (turn - 1), pm_ns;

	pm += (ticks + turn / 2 - pm) / turn * turn;
	pm_ns = pm * SECOND / PM_TIMER_HZ * 1000;
	say("%lu us by the PM timer: TSC %lu ppm off, clock %lu ppm", pm_ns / 1000, ppm(tsc, pm_ns),
	    ppm(ns, pm_ns));
	report(pm_ns / 999 >= seconds * SECOND, "%lu s have passed: %lu us", seconds, pm_ns / 1000);
	report(ppm(ns, pm_ns) < 100, "clock and PM timer agree to 0.01 %%");
	report(ppm(tsc, pm_ns) < 100, "TSC and PM timer agree to 0.01 %%");
	report(ppm(ns, tsc) < 10, "clock and TSC agree to 0.001 %%");
}

static u64 number(const char *text)
{
	u64 n = 0;

	for (; text && *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (u64)(*text - '0');
	return n;
}

void guest_main(void)
{
	static const char *const names[] = { "deadline", "periodic", "one-shot" };
	struct moment start, end;

	seconds = MAX(number(option_value("seconds")), 1UL);
	if (!(cpuid(KVM_FEATURES, 0).eax & KVM_HAS_CLOCK)) {
		report(false, "no paravirtual clock");
		return;
	}
	if (!smp_start())
		return;
	if (smp_has_x2apic())
		smp_set_x2apic(true);
	wrmsr(MSR_SYSTEM_TIME, physical(&clocks[0].time) | MSR_ENABLED);
	start = now();
	run_on_all(keep_time, NULL);
	for (unsigned int i = 1; i < cpu_count; i++)
		while (__atomic_load_n(&cpus[i].fn, __ATOMIC_ACQUIRE))
			__asm__ volatile("sti; pause; cli" : : : "memory");
	end = now();
	compare(&start, &end);
	for (unsigned int i = 0; i < cpu_count; i++) {
		const struct cpu_clock *c = &clocks[i];
		const char *name = names[i % ARRAY_SIZE(names)];

		say("CPU %u: %s: %u ticks, latest by %lu us", i, name, c->ticks,
		    c->latest_tick / microseconds(1));
		report(c->ticks == c->wanted && cpus[i].irqs[VECTOR] == c->wanted,
		       "CPU %u: %s: %u ticks, %u wanted", i, name, cpus[i].irqs[VECTOR], c->wanted);
		report(c->ticks >= seconds, "CPU %u: %s: %u ticks are some", i, name, c->ticks);
		report(!c->early, "CPU %u: %s: %u early", i, name, c->early);
		report(c->last_late < microseconds(LATE), "CPU %u: %s: the last is late by %lu us",
		       i, name, c->last_late / microseconds(1));
		report(!c->back, "CPU %u: the clock went back %u times", i, c->back);
	}
}
