/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The APIC timers of all CPUs at once, each in every mode: none early, none lost, none after it was
 * masked, stopped or disarmed. Late is allowed: others may have the CPU.
 */
#include "smp.h"

#define VECTOR   0x51
#define ONE_SHOT 3000 /* microseconds */
#define PERIOD   4000
#define PERIODS  15
#define RACES    25

/* What one CPU has found: numbers of wrong results, and of all. */
struct found {
	u32 early, lost, extra, never, tried;
	u32 count_up, not_stopped;
	const char *volatile phase; /* where it is */
	u64 longest;                /* in ticks, how late */
};

static struct found found[SMP_CPUS];
static const char *mode;

static struct found *mine(void)
{
	return &found[this_cpu()->index];
}

static u32 taken(void)
{
	return this_cpu()->irqs[VECTOR];
}

static void halt(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void take_pending(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/*
 * What is done before a timer of ONE_SHOT expires: again, if others had the CPU in the middle of it for so long that
 * it has expired, as it should.
 */
static bool too_late(u64 start)
{
	if (rdtsc() - start < microseconds(ONE_SHOT))
		return false;
	take_pending();
	return true;
}

/* Halt until the timer's interrupt has come; how long it took since @start is judged. */
static void await(u32 before, u64 start, u64 least)
{
	struct found *f = mine();
	u64 took;

	while (taken() == before)
		halt();
	took = rdtsc() - start;
	f->tried++;
	f->early += took < least;
	f->longest = MAX(f->longest, took - MIN(took, least));
}

/* For some milliseconds nothing may come. */
static void expect_none(u32 *wrong)
{
	u32 before = taken();
	u64 end = rdtsc() + microseconds(2 * ONE_SHOT);

	irq_enable();
	while (rdtsc() < end)
		cpu_pause();
	irq_disable();
	mine()->tried++;
	*wrong += taken() != before;
}

static void one_shot(void)
{
	static const struct {
		u8 reg;
		u8 divide;
	} divides[] = { { 0xb, 1 }, { 0, 2 },  { 1, 4 },  { 2, 8 },
			{ 3, 16 },  { 8, 32 }, { 9, 64 }, { 0xa, 128 } };
	struct found *f = mine();

	lapic_write(LAPIC_LVT_TIMER, VECTOR);
	for (unsigned int i = 0; i < ARRAY_SIZE(divides); i++) {
		u32 ticks = (u32)microseconds(ONE_SHOT) / divides[i].divide, before = taken(), left;
		u64 start;

		lapic_write(LAPIC_DIVIDE, divides[i].reg);
		start = rdtsc();
		lapic_write(LAPIC_COUNT, ticks);
		left = lapic_read(LAPIC_CURRENT);
		f->count_up += left > ticks || lapic_read(LAPIC_CURRENT) > left;
		/* The first tick of the divided clock may come at once. */
		await(before, start, (u64)(ticks - 1) * divides[i].divide);
		f->never += lapic_read(LAPIC_CURRENT) != 0;
	}
	lapic_write(LAPIC_DIVIDE, 0xb);
	expect_none(&f->extra);
}

/* Each written count begins anew: only the last one expires. And a count of 0 stops. */
static void rearm(void)
{
	u64 first, start = 0;
	u32 before;

	do {
		before = taken();
		first = rdtsc();
		for (unsigned int n = 0; n < 10; n++) {
			start = rdtsc();
			lapic_write(LAPIC_COUNT, (u32)microseconds(ONE_SHOT));
		}
	} while (too_late(first));
	await(before, start, microseconds(ONE_SHOT) - 1);
	do {
		first = rdtsc();
		lapic_write(LAPIC_COUNT, (u32)microseconds(ONE_SHOT));
		lapic_write(LAPIC_COUNT, 0);
	} while (too_late(first));
	expect_none(&mine()->not_stopped);
}

static void masked(void)
{
	struct found *f = mine();
	u32 before = taken(), left;
	u64 first;

	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR);
	do {
		first = rdtsc();
		lapic_write(LAPIC_COUNT, (u32)microseconds(ONE_SHOT));
		left = lapic_read(LAPIC_CURRENT);
	} while (too_late(first));
	f->count_up += left == 0;
	expect_none(&f->not_stopped);
	/* It has expired while masked: that is not made up for. */
	lapic_write(LAPIC_LVT_TIMER, VECTOR);
	expect_none(&f->extra);
	f->extra += taken() != before;
}

/* N periods, in HLT: the n-th interrupt comes no earlier than n periods after the start. */
static void periodic(void)
{
	struct found *f = mine();
	u32 before = taken();
	u64 start, took, periods;

	lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | VECTOR);
	start = rdtsc();
	lapic_write(LAPIC_COUNT, (u32)microseconds(PERIOD));
	for (u32 n = 1; n <= PERIODS; n++) {
		while (taken() - before < n)
			halt();
		took = rdtsc() - start;
		f->tried++;
		f->early += took + n < n * microseconds(PERIOD);
	}
	took = rdtsc() - start;
	periods = took / microseconds(PERIOD);
	f->longest = MAX(f->longest, took % microseconds(PERIOD));
	/* Two that come while the CPU is another's are one request. Alone on a CPU none is lost. */
	if (!option("shared"))
		f->lost += periods > PERIODS;
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | LVT_PERIODIC | VECTOR);
	lapic_write(LAPIC_COUNT, 0);
	take_pending();
	expect_none(&f->not_stopped);
}

static void deadline(void)
{
	struct found *f = mine();
	u64 due, first;

	lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
	for (unsigned int n = 0; n < RACES; n++) {
		u32 before = taken();
		u64 start = rdtsc();

		/* From far ahead to so near that it is past when it is written. */
		due = start + microseconds(ONE_SHOT) / (1 + n * n * 4);
		wrmsr(IA32_TSC_DEADLINE, due);
		await(before, start, due - start);
		f->never += rdmsr(IA32_TSC_DEADLINE) != 0;
		f->extra += taken() != before + 1;
	}
	/* Moved: only the last counts. */
	due = rdtsc() + microseconds(ONE_SHOT);
	wrmsr(IA32_TSC_DEADLINE, due + microseconds(SECOND));
	wrmsr(IA32_TSC_DEADLINE, due);
	await(taken(), due - microseconds(ONE_SHOT), microseconds(ONE_SHOT));
	do {
		first = rdtsc();
		wrmsr(IA32_TSC_DEADLINE, first + microseconds(ONE_SHOT));
		wrmsr(IA32_TSC_DEADLINE, 0);
	} while (too_late(first));
	expect_none(&f->not_stopped);
	do {
		lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
		first = rdtsc();
		wrmsr(IA32_TSC_DEADLINE, first + microseconds(ONE_SHOT));
		lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR);
		lapic_write(LAPIC_LVT_TIMER, VECTOR);
	} while (too_late(first));
	expect_none(&f->not_stopped);
}

static void run_modes(void *arg)
{
	(void)arg;
	mine()->phase = "one_shot";
	one_shot();
	mine()->phase = "rearm";
	rearm();
	mine()->phase = "masked";
	masked();
	mine()->phase = "periodic";
	periodic();
	if (cpuid(1, 0).ecx & BIT(24))
		mine()->phase = "deadline";
	deadline();
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
}

/* Where a CPU waits for an interrupt that does not come. */
static void say_where(void)
{
	for (unsigned int i = 1; i < cpu_count; i++) {
		if (cpus[i].fn)
			say("%s: CPU %u is in %s, has tried %u, taken %u", mode, i, found[i].phase,
			    found[i].tried, cpus[i].irqs[VECTOR]);
	}
}

static void check_all(const char *name)
{
	mode = name;
	for (unsigned int i = 0; i < cpu_count; i++)
		found[i] = (struct found){ 0 };
	for (unsigned int i = 1; i < cpu_count; i++)
		cpu_call(i, run_modes, NULL);
	irq_disable();
	run_modes(NULL);
	irq_enable();
	for (unsigned int i = 1; i < cpu_count; i++) {
		if (cpu_wait(i))
			continue;
		report(false, "%s: CPU %u waits for ever", mode, i);
		say_where();
		finish(failed);
	}
	for (unsigned int i = 0; i < cpu_count; i++) {
		const struct found *f = &found[i];

		report(f->tried >= 8 + PERIODS, "%s: CPU %u has tried %u", mode, i, f->tried);
		report(!f->early, "%s: CPU %u: %u early", mode, i, f->early);
		report(!f->lost, "%s: CPU %u: %u lost", mode, i, f->lost);
		report(!f->extra, "%s: CPU %u: %u that nobody asked for", mode, i, f->extra);
		report(!f->never, "%s: CPU %u: %u still armed after they came", mode, i, f->never);
		report(!f->count_up, "%s: CPU %u: %u counts that do not go down", mode, i,
		       f->count_up);
		report(!f->not_stopped, "%s: CPU %u: %u that did not stop", mode, i,
		       f->not_stopped);
		say("%s: CPU %u: latest by %lu us", mode, i, f->longest / microseconds(1));
	}
}

void guest_main(void)
{
	if (!smp_start())
		return;
	check_all("xAPIC");
	if (!smp_has_x2apic())
		return;
	smp_set_x2apic(true);
	check_all("x2APIC");
}
