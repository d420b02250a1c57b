/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual interface that Linux knows from KVM, on all CPUs: every MSR and hypercall,
 * and what happens to addresses that no guest should register. "processors=N": the VM's CPUs
 * share N of the machine's. "pinned": each has one to itself.
 */
#include "kvm.h"
#include "lib/string.h"
#include "smp.h"

#define VECTOR 0x61

static struct cpu_areas {
	_Alignas(64) struct steal_time steal;
	struct time_info time;
	u32 eoi;
	struct wall_clock wall;
} areas[SMP_CPUS];
static u8 page[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static struct cpu_areas *mine(void)
{
	return &areas[this_cpu()->index];
}

static void window(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/* --- MSRs --- */

static void check_range(void)
{
	u64 value;
	u32 wrong = 0;

	for (u32 msr = 0x4b564d00; msr < 0x4b564e00; msr++) {
		bool there = msr <= MSR_POLL_CONTROL && msr != 0x4b564d02;

		wrong += msr_try_read(msr, &value) != there || msr_try_write(msr, 0) != there;
	}
	report(!wrong, "of KVM's MSRs those that are announced are there: %u are wrong", wrong);
	report(msr_try_write(MSR_POLL_CONTROL, 1) && rdmsr(MSR_POLL_CONTROL) == 1, "poll control");
	report(!msr_try_write(MSR_POLL_CONTROL, 2) && !msr_try_write(MSR_POLL_CONTROL, BIT(63)),
	       "poll control has one bit");
}

/* Where no area may be: beyond the RAM, in devices' registers, at the end of the address space. */
static void check_addresses(void)
{
	static const u64 nowhere[] = { 0x40000000, 0xfee00000, 0xfec00000,  1ULL << 40,
				       1ULL << 52, 1ULL << 63, ~0ULL << 12, ~63ULL };
	static const struct {
		u32 msr, align, size;
		u64 enable;
	} kinds[] = { { MSR_WALL_CLOCK, 4, 12, 0 },
		      { MSR_SYSTEM_TIME, 4, 32, 1 },
		      { MSR_STEAL_TIME, 64, 64, 1 },
		      { MSR_PV_EOI, 4, 4, 1 } };

	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++) {
		u32 msr = kinds[k].msr;
		u64 good = physical(page), enable = kinds[k].enable;

		memset(page, 0, sizeof(page));
		report(msr_try_write(msr, good | enable) && rdmsr(msr) == (good | enable),
		       "MSR %x takes an area of RAM", msr);
		for (unsigned int i = 0; i < ARRAY_SIZE(nowhere); i++)
			report(!msr_try_write(msr, nowhere[i] | enable), "MSR %x: %lx is #GP", msr,
			       nowhere[i]);
		for (u32 off = 2; off < kinds[k].align; off *= 2)
			report(!msr_try_write(msr, (good + off) | enable),
			       "MSR %x: an area at %x is #GP", msr, off);
		report(rdmsr(msr) == (good | enable), "MSR %x has kept what was good", msr);
		report(msr_try_write(msr, 0) && rdmsr(msr) == 0, "MSR %x: given back", msr);
		for (u32 i = kinds[k].size; i < sizeof(page); i++) {
			if (page[i]) {
				report(false, "MSR %x: byte %u was written", msr, i);
				break;
			}
		}
	}
	report(!msr_try_write(MSR_SYSTEM_TIME, (physical(page) + PAGE_SIZE - 28) | 1),
	       "a clock on two pages is #GP");
}

/* --- the clock --- */

static volatile u64 latest; /* that any CPU has read */
static volatile u32 went_back, not_fresh;

static void register_all(void *arg)
{
	struct cpu_areas *a = mine();

	(void)arg;
	wrmsr(MSR_SYSTEM_TIME, physical(&a->time) | MSR_ENABLED);
	wrmsr(MSR_STEAL_TIME, physical(&a->steal) | MSR_ENABLED);
}

/* Whoever reads the clock after another has told what he read, reads no less. */
static void watch_clock(void *arg)
{
	u64 end = rdtsc() + microseconds(200000);

	(void)arg;
	while (rdtsc() < end) {
		u64 before = __atomic_load_n(&latest, __ATOMIC_SEQ_CST);
		u64 now = kvm_clock(&mine()->time);

		if (now < before)
			__atomic_fetch_add(&went_back, 1, __ATOMIC_SEQ_CST);
		while (before < now &&
		       !__atomic_compare_exchange_n(&latest, &before, now, false, __ATOMIC_SEQ_CST,
						    __ATOMIC_SEQ_CST))
			;
	}
}

static void check_clock(void)
{
	struct time_info *t = &areas[0].time;
	struct wall_clock *w = &areas[0].wall;
	u64 tsc, ns, adjusted;
	u32 version;

	run_on_all(register_all, NULL);
	for (unsigned int i = 0; i < cpu_count; i++)
		report(areas[i].time.version && !(areas[i].time.version & 1) &&
			       areas[i].time.flags ==
				       !!(cpuid(KVM_FEATURES, 0).eax & KVM_HAS_STABLE),
		       "CPU %u: version %u, flags %x", i, areas[i].time.version,
		       areas[i].time.flags);
	tsc = rdtsc();
	ns = kvm_clock(t);
	WAIT(false, 50000);
	ns = kvm_clock(t) - ns;
	tsc = rdtsc() - tsc;
	report(ns >= 50000000 && tsc * 1000000000 / tsc_hz - ns < 50000,
	       "50 ms and more are %lu ns, and %lu ticks", ns, tsc);
	version = t->version;
	ns = kvm_clock(t);
	wrmsr(IA32_TSC_ADJUST, GIB(1024));
	adjusted = kvm_clock(t);
	wrmsr(IA32_TSC_ADJUST, 0);
	report(adjusted - ns < 100000000 && kvm_clock(t) - adjusted < 100000000,
	       "a TSC that is moved moves no clock: %lu, %lu", ns, adjusted);
	report(t->version - version == 4, "which took two updates: %u", t->version - version);
	run_on_all(watch_clock, NULL);
	report(latest > ns && !went_back, "on no CPU does the clock go back: %u", went_back);

	wrmsr(MSR_WALL_CLOCK, physical(w));
	report(w->version == 2 && w->sec > 946684800 && w->nsec < 1000000000,
	       "the wall clock at the start: %u.%u", w->sec, w->nsec);
}

/* --- steal time --- */

static volatile u32 saw_preempted, own_preempted;
static u64 span[SMP_CPUS], stolen[SMP_CPUS];

static void be_busy(void *arg)
{
	unsigned int self = this_cpu()->index;
	struct steal_time *st = &mine()->steal;
	u64 start = kvm_clock(&mine()->time), steal = st->steal;

	(void)arg;
	do {
		for (unsigned int i = 0; i < cpu_count; i++) {
			if (i != self && areas[i].steal.preempted)
				__atomic_store_n(&saw_preempted, 1, __ATOMIC_RELAXED);
		}
		if (st->preempted)
			__atomic_fetch_add(&own_preempted, 1, __ATOMIC_RELAXED);
		span[self] = kvm_clock(&mine()->time) - start;
	} while (span[self] < 400000000);
	stolen[self] = st->steal - steal;
}

static void check_steal(void)
{
	const char *n = option_value("processors");
	unsigned int processors = n ? (unsigned int)(*n - '0') : cpu_count;
	u64 sum = 0, most = 0;

	run_on_all(be_busy, NULL);
	for (unsigned int i = 0; i < cpu_count; i++) {
		report(!(areas[i].steal.version & 1) && areas[i].steal.version,
		       "CPU %u: version %u", i, areas[i].steal.version);
		report(stolen[i] <= span[i], "CPU %u: of %lu ns %lu were stolen", i, span[i],
		       stolen[i]);
		sum += stolen[i];
		most += span[i];
	}
	say("steal: %lu of %lu us", sum / 1000, most / 1000);
	report(!own_preempted, "no CPU sees itself without one: %u", own_preempted);
	if (processors >= cpu_count)
		return;
	/* Of all the time that they wanted, the part that there were no processors for; roughly. */
	most = most / cpu_count * (cpu_count - processors);
	report(sum > most / 2, "%lu us were stolen of about %lu that had to be", sum / 1000,
	       most / 1000);
	report(saw_preempted, "that another CPU has no processor is seen");
}

/* --- a TLB flush left for a CPU that has no processor --- */

#define PREEMPTED 1
#define FLUSH     2
#define ROUNDS    40

static volatile u32 round_done, stale, left;
static volatile bool stop;
static u8 *shared;

static void follow(void *arg)
{
	(void)arg;
	irq_enable();
	while (!stop) {
		u32 n = __atomic_load_n(&round_done, __ATOMIC_ACQUIRE);
		u32 value = *(volatile u32 *)(void *)shared;

		/* At least the round that had been announced before the read. */
		if (value < n)
			__atomic_fetch_add(&stale, 1, __ATOMIC_RELAXED);
	}
	irq_disable();
}

static void flush_hook(struct smp_cpu *me, struct frame *f)
{
	(void)me;
	if (f->vector == VECTOR)
		invlpg(shared);
}

/* As Linux does: whoever has no processor is marked, the others get an interrupt. */
static void flush_others(void)
{
	for (unsigned int i = 1; i < cpu_count; i++) {
		u8 *flags = (u8 *)(uintptr_t)&areas[i].steal.preempted, expected = PREEMPTED;
		u32 before = cpus[i].irqs[VECTOR];

		if (__atomic_compare_exchange_n(flags, &expected, PREEMPTED | FLUSH, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			left++;
			continue;
		}
		send_ipi(VECTOR, cpus[i].apic_id);
		if (!WAIT(cpus[i].irqs[VECTOR] != before, SECOND))
			report(false, "CPU %u takes no interrupt", i);
	}
	invlpg(shared);
}

static void check_flush(void)
{
	static u32 frames[2][1024] __attribute__((aligned(4096)));

	shared = window_map(0, physical(frames[0]) | PTE_P | PTE_W);
	irq_hook = flush_hook;
	for (unsigned int i = 1; i < cpu_count; i++)
		cpu_call(i, follow, NULL);
	for (u32 n = 1; n <= ROUNDS; n++) {
		u64 end = rdtsc() + microseconds(3000);

		while (rdtsc() < end)
			cpu_pause();
		frames[n & 1][0] = n;
		window_pt[0] = physical(frames[n & 1]) | PTE_P | PTE_W;
		flush_others();
		__atomic_store_n(&round_done, n, __ATOMIC_RELEASE);
	}
	stop = true;
	for (unsigned int i = 1; i < cpu_count; i++)
		cpu_wait(i);
	irq_hook = NULL;
	report(!stale, "no CPU reads through an old translation: %u", stale);
	say("flushes: %u of %u were left for later", left, ROUNDS * (cpu_count - 1));
	report(left || option_value("processors") == NULL, "some were left for later: %u", left);
}

/* --- EOIs by memory --- */

static volatile u32 eois_by_memory, eois_by_register;

static bool end_by_memory(struct smp_cpu *me)
{
	u8 was;

	__asm__ volatile("btrl $0, %0; setc %1"
			 : "+m"(areas[me->index].eoi), "=r"(was)
			 :
			 : "memory", "cc");
	__atomic_fetch_add(was ? &eois_by_memory : &eois_by_register, 1, __ATOMIC_RELAXED);
	return was;
}

static void enable_eoi(void *arg)
{
	wrmsr(MSR_PV_EOI, arg ? physical(&mine()->eoi) | MSR_ENABLED : 0);
}

static void register_eoi(void *arg)
{
	(void)arg;
	enable_eoi(&areas);
}

static void unregister_eoi(void *arg)
{
	(void)arg;
	enable_eoi(NULL);
}

/* Where the processor delivers interrupts by itself an EOI is no exit, and none need end by memory. */
static bool eoi_is_free(void)
{
	u64 least = ~0ULL;

	for (unsigned int n = 0; n < 16; n++) {
		u64 start = rdtsc();

		lapic_write(LAPIC_EOI, 0);
		least = MIN(least, rdtsc() - start);
	}
	return 2 * least < exit_ticks();
}

static void check_eoi(void)
{
	u32 before;

	run_on_all(register_eoi, NULL);
	eoi_hook = end_by_memory;
	smp_clear();
	for (unsigned int n = 0; n < 100; n++) {
		send_ipi(ICR_SELF | VECTOR, 0);
		window();
	}
	report(cpus[0].irqs[VECTOR] == 100, "of 100 interrupts %u came", cpus[0].irqs[VECTOR]);
	if (eoi_is_free())
		say("eoi: the processor ends interrupts by itself; by memory: %u", eois_by_memory);
	else
		report(eois_by_memory >= 90, "most end by memory: %u; by the register: %u",
		       eois_by_memory, eois_by_register);
	/* A read of the register page is no exit: what has ended is there until the VMM looks. */
	enable_eoi(&areas);
	report(lapic_read(LAPIC_ISR + VECTOR / 32 * 16) == 0, "none is in service after it");

	/*
	 * Two at once, and one on top of the other: the order is that of the priorities, none is
	 * lost.
	 */
	before = cpus[0].irqs[VECTOR];
	for (unsigned int n = 0; n < 20; n++) {
		send_ipi(ICR_SELF | VECTOR, 0);
		send_ipi(ICR_SELF | (VECTOR + 1), 0);
		send_ipi(ICR_SELF | (VECTOR + 32), 0);
		window();
		window();
		window();
	}
	report(cpus[0].irqs[VECTOR] - before == 20 && cpus[0].irqs[VECTOR + 1] == 20 &&
		       cpus[0].irqs[VECTOR + 32] == 20,
	       "three at once: %u, %u and %u of 20", cpus[0].irqs[VECTOR] - before,
	       cpus[0].irqs[VECTOR + 1], cpus[0].irqs[VECTOR + 32]);
	for (unsigned int i = 1; i < cpu_count; i++) {
		for (u32 n = 0; n < 50; n++) {
			send_ipi(VECTOR, cpus[i].apic_id);
			if (!WAIT(cpus[i].irqs[VECTOR] == n + 1, SECOND))
				break;
		}
		report(cpus[i].irqs[VECTOR] == 50, "CPU %u has taken %u of 50", i,
		       cpus[i].irqs[VECTOR]);
	}
	eoi_hook = NULL;
	run_on_all(unregister_eoi, NULL);
	before = areas[0].eoi;
	send_ipi(ICR_SELF | VECTOR, 0);
	window();
	report(areas[0].eoi == before && !before, "nothing is offered any more: %x", areas[0].eoi);
}

/* --- hypercalls --- */

static void check_send_ipi(void)
{
	u64 all = BIT(cpu_count) - 1;

	smp_clear();
	report(hypercall(KVM_HC_SEND_IPI, all, 0, 0, VECTOR) == cpu_count, "an interrupt to all");
	window();
	for (unsigned int i = 0; i < cpu_count; i++)
		report(WAIT(cpus[i].irqs[VECTOR] == 1, SECOND), "CPU %u has got it: %u", i,
		       cpus[i].irqs[VECTOR]);
	report(hypercall(KVM_HC_SEND_IPI, all & ~1ULL, ~0ULL, 0, VECTOR) == cpu_count - 1,
	       "and to the others, and many that are not there");
	report(hypercall(KVM_HC_SEND_IPI, ~0ULL, ~0ULL, 1000, VECTOR) == 0, "and to none");
	for (unsigned int i = 1; i < cpu_count; i++)
		report(WAIT(cpus[i].irqs[VECTOR] == 2, SECOND), "CPU %u has got it: %u", i,
		       cpus[i].irqs[VECTOR]);
	window();
	report(cpus[0].irqs[VECTOR] == 1, "the sender has not: %u", cpus[0].irqs[VECTOR]);
	report(hypercall(KVM_HC_SEND_IPI, all, 0, 0, ICR_LOGICAL | VECTOR) == KVM_EINVAL &&
		       hypercall(KVM_HC_SEND_IPI, all, 0, 0, ICR_SELF | VECTOR) == KVM_EINVAL &&
		       hypercall(KVM_HC_SEND_IPI, all, 0, 0, ICR_INIT) == KVM_EINVAL &&
		       hypercall(KVM_HC_SEND_IPI, all, 0, 0, 3) == KVM_EINVAL,
	       "what names its destination by itself, is no interrupt or no vector");
	report(hypercall(99, 0, 0, 0, 0) == KVM_ENOSYS &&
		       hypercall(~0ULL, 0, 0, 0, 0) == KVM_ENOSYS,
	       "numbers that are none");
}

static volatile u32 halts;

/* Interrupts are off: nothing but a kick ends these. */
static void halt_twice(void *arg)
{
	(void)arg;
	for (unsigned int n = 0; n < 2; n++) {
		__asm__ volatile("cli; hlt" : : : "memory");
		__atomic_fetch_add(&halts, 1, __ATOMIC_RELEASE);
	}
}

static void check_kick(void)
{
	/* A kick is not lost on who does not halt yet. */
	hypercall(KVM_HC_KICK_CPU, 0, cpus[0].apic_id, 0, 0);
	__asm__ volatile("cli; hlt" : : : "memory");
	report(true, "a HLT after a kick ends at once");
	report(hypercall(KVM_HC_KICK_CPU, 0, 1000, 0, 0) == 0 &&
		       hypercall(KVM_HC_SCHED_YIELD, 1000, 0, 0, 0) == 0,
	       "CPUs that are not there can be kicked, and yielded to");
	for (unsigned int i = 1; i < cpu_count; i++) {
		halts = 0;
		cpu_call(i, halt_twice, NULL);
		WAIT(false, 20000);
		report(!halts, "CPU %u halts", i);
		for (u32 n = 1; n <= 2; n++) {
			hypercall(KVM_HC_KICK_CPU, 0, cpus[i].apic_id, 0, 0);
			report(WAIT(halts == n, SECOND), "kick %u ends a HLT of CPU %u", n, i);
			WAIT(false, 20000);
			report(halts == n, "and no more: %u", halts);
		}
		cpu_wait(i);
	}
}

static volatile u32 turns[2];

static void take_turns(void *arg)
{
	unsigned int self = this_cpu()->index;

	(void)arg;
	while (turns[0] < 50) {
		if (self)
			__atomic_store_n(&turns[1], turns[0], __ATOMIC_RELEASE);
		cpu_pause();
	}
}

/* Each turn needs the other CPU once; with a yield that costs no time slice. */
static void check_yield(void)
{
	u64 start = rdtsc();

	if (cpu_count < 2)
		return;
	cpu_call(1, take_turns, NULL);
	while (turns[0] < 50) {
		while (__atomic_load_n(&turns[1], __ATOMIC_ACQUIRE) != turns[0])
			hypercall(KVM_HC_SCHED_YIELD, cpus[1].apic_id, 0, 0, 0);
		turns[0]++;
	}
	cpu_wait(1);
	say("yields: 50 turns in %lu us", (rdtsc() - start) / microseconds(1));
	report(true, "turns by giving way");
}

/* After INIT a CPU has nothing registered, and the memory is the guest's again. */
static void check_init(void)
{
	static struct steal_time *st;
	u32 version;

	if (cpu_count < 2)
		return;
	st = &areas[1].steal;
	report(cpu_start(1, START_PAGE), "CPU 1 starts again");
	version = st->version;
	cpu_run(1, watch_clock, NULL);
	report(st->version == version && !st->preempted, "its old area is left alone");
	cpu_run(1, register_all, NULL);
	report(st->version > version && !(st->version & 1), "until it registers it again");
}

void guest_main(void)
{
	if (!(cpuid(KVM_FEATURES, 0).eax & KVM_HAS_CLOCK)) {
		report(false, "no paravirtual interface");
		return;
	}
	report((cpuid(KVM_FEATURES, 0).edx & 1) == option("pinned"),
	       "the hint that each CPU has a processor: %x", cpuid(KVM_FEATURES, 0).edx);
	check_range();
	check_addresses();
	if (!smp_start())
		return;
	check_clock();
	check_steal();
	check_flush();
	check_eoi();
	check_send_ipi();
	check_kick();
	check_yield();
	check_init();
}
