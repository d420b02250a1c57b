/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs of several CPUs rely on: atomic operations, locks, the order of stores, code that
 * another CPU has changed, translations that another has changed, one TSC for all, and that each
 * CPU gets its time.
 */
#include "smp.h"
#include "lib/string.h"

#define ADDITIONS 20000
#define LOCKINGS  300
#define CHANGES   40
#define FAULTS    20000
#define RUN       400000 /* microseconds that all CPUs count */

static volatile u32 ready;

static void meet(void)
{
	irq_enable();
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (ready < cpu_count)
		cpu_pause();
}

static void all_do(void (*fn)(void *arg))
{
	ready = 0;
	run_on_all(fn, NULL);
}

/* --- who they are --- */

static unsigned int wrong_ids;

static void check_id(void *arg)
{
	struct cpuid_regs topology = cpuid(0xb, 0);
	u32 id = this_cpu()->apic_id;

	(void)arg;
	wrong_ids += cpuid(1, 0).ebx >> 24 != id || topology.edx != id || cpuid(0xb, 1).edx != id;
	wrong_ids += !(rdmsr(IA32_APIC_BASE) & APIC_BASE_BSP) != !!this_cpu()->index;
}

static void check_identity(void)
{
	u32 first = cpuid(1, 0).ebx >> 16 & 0xff;

	for (unsigned int i = 0; i < cpu_count; i++) {
		if (i)
			cpu_run(i, check_id, NULL);
		else
			check_id(NULL);
	}
	report(!wrong_ids, "leaves 1 and 0BH, the APIC and the MADT agree on IDs: %u do not",
	       wrong_ids);
	report(first >= cpu_count || cpu_count == 1,
	       "leaf 1 counts at least %u logical processors: %u", cpu_count, first);
}

/* --- atomic operations and locks --- */

static volatile u64 locked_sum, plain_sum;
static volatile u32 ticket, serving;

static void add(void *arg)
{
	(void)arg;
	meet();
	for (u32 n = 0; n < ADDITIONS; n++)
		__asm__ volatile("lock incq %0" : "+m"(locked_sum) : : "cc");
}

static void take_turns(void *arg)
{
	(void)arg;
	meet();
	for (u32 n = 0; n < LOCKINGS; n++) {
		u32 mine = __atomic_fetch_add(&ticket, 1, __ATOMIC_ACQUIRE);

		while (__atomic_load_n(&serving, __ATOMIC_ACQUIRE) != mine)
			cpu_pause();
		plain_sum = plain_sum + 1;
		__atomic_store_n(&serving, mine + 1, __ATOMIC_RELEASE);
	}
}

static void check_locks(void)
{
	u64 start = rdtsc();

	all_do(add);
	report(locked_sum == (u64)ADDITIONS * cpu_count, "%lu of %u additions with LOCK",
	       locked_sum, ADDITIONS * cpu_count);
	all_do(take_turns);
	report(plain_sum == (u64)LOCKINGS * cpu_count,
	       "%lu of %u additions under a ticket lock, that CPUs get in turn", plain_sum,
	       LOCKINGS * cpu_count);
	say("locks: %lu us", (rdtsc() - start) / microseconds(1));
}

/* --- code and translations that another CPU changes --- */

static volatile u32 generation;
static u32 seen[SMP_CPUS], stale[SMP_CPUS];
static u8 changing_code[16] __attribute__((aligned(64))) = { 0xb8, 0, 0, 0, 0, 0xc3 };

static void set_code(u32 value)
{
	/* MOV EAX, value */
	for (unsigned int i = 0; i < 4; i++)
		((volatile u8 *)changing_code)[1 + i] = (u8)(value >> i * 8);
}

static u32 run_code_now(void)
{
	u32 value;

	/* A serializing instruction between the news and the execution: SDM, "Handling Self- and Cross-Modifying Code". */
	cpuid(0, 0);
	__asm__ volatile("call *%1" : "=a"(value) : "r"(changing_code) : "memory", "cc");
	return value;
}

static void follow_code(void *arg)
{
	unsigned int self = this_cpu()->index;

	(void)arg;
	irq_enable();
	for (u32 n = 1; n <= CHANGES; n++) {
		while (__atomic_load_n(&generation, __ATOMIC_ACQUIRE) < n)
			cpu_pause();
		stale[self] += run_code_now() != n;
		__atomic_store_n(&seen[self], n, __ATOMIC_RELEASE);
	}
}

static bool all_saw(u32 n)
{
	for (unsigned int i = 1; i < cpu_count; i++) {
		if (__atomic_load_n(&seen[i], __ATOMIC_ACQUIRE) < n)
			return false;
	}
	return true;
}

static void start_followers(void (*fn)(void *arg))
{
	generation = 0;
	memset(seen, 0, sizeof(seen));
	memset(stale, 0, sizeof(stale));
	for (unsigned int i = 1; i < cpu_count; i++)
		cpu_call(i, fn, NULL);
}

static void end_followers(const char *what)
{
	unsigned int all = 0;

	for (unsigned int i = 1; i < cpu_count; i++) {
		report(cpu_wait(i), "%s: CPU %u ends", what, i);
		all += stale[i];
	}
	report(!all, "%s: %u times stale", what, all);
}

static void check_code(void)
{
	start_followers(follow_code);
	for (u32 n = 1; n <= CHANGES; n++) {
		set_code(n);
		__atomic_store_n(&generation, n, __ATOMIC_RELEASE);
		if (!WAIT(all_saw(n), 10 * SECOND))
			break;
	}
	end_followers("code that another CPU changes");
}

/* A TLB shootdown by IPI: whoever has answered no longer uses the old translation. */
#define SHOOTDOWN 0x55
static u64 frames[2][512] __attribute__((aligned(4096)));
static volatile u64 *window;

static void shoot_down(struct smp_cpu *me, struct frame *f)
{
	if (f->vector != SHOOTDOWN)
		return;
	invlpg(window);
	__atomic_store_n(&seen[me->index], generation, __ATOMIC_RELEASE);
}

static void use_translation(void *arg)
{
	unsigned int self = this_cpu()->index;

	(void)arg;
	irq_enable();
	while (generation < CHANGES) {
		/* Two looks at the generation around the read: it has not changed meanwhile. */
		u32 before = __atomic_load_n(&seen[self], __ATOMIC_ACQUIRE);
		u64 value = *window;

		if (before && before == __atomic_load_n(&generation, __ATOMIC_ACQUIRE))
			stale[self] += value != before % 2;
	}
}

static void check_translations(void)
{
	for (unsigned int i = 0; i < 2; i++)
		frames[i][0] = i;
	window = (u64 *)(void *)window_map(7, (u64)(uintptr_t)frames[0] | PTE_P | PTE_W);
	irq_hook = shoot_down;
	start_followers(use_translation);
	for (u32 n = 1; n <= CHANGES; n++) {
		window_map(7, (u64)(uintptr_t)frames[n % 2] | PTE_P | PTE_W);
		__atomic_store_n(&generation, n, __ATOMIC_SEQ_CST);
		send_ipi(ICR_OTHERS | ICR_ASSERT | SHOOTDOWN, 0);
		report(WAIT(all_saw(n), 10 * SECOND), "shootdown %u is answered by all", n);
		WAIT(false, 100);
	}
	end_followers("a translation that another CPU changes");
	irq_hook = NULL;
	window_map(7, 0);
}

/* --- exceptions between interrupts: each is taken once, where it is, on its own stack --- */

static u64 faulting_rsp;
static volatile u32 faults, misplaced;
static volatile bool faulting;

static bool take_fault(struct frame *f)
{
	if (f->vector != UD)
		return false;
	faults++;
	misplaced += f->rsp != faulting_rsp || !(f->rflags & RFLAGS_IF);
	f->rsp = faulting_rsp;
	f->rflags |= RFLAGS_IF;
	f->rip += 2;
	return true;
}

static void fault(void *arg)
{
	(void)arg;
	irq_enable();
	faulting = true;
	for (u32 n = 0; n < FAULTS; n++)
		__asm__ volatile("mov %%rsp, %0\n\tud2" : "=m"(faulting_rsp) : : "memory");
	faulting = false;
}

static bool (*interrupts)(struct frame *f);

static bool take_either(struct frame *f)
{
	return take_fault(f) || interrupts(f);
}

/*
 * One interrupt after some exception: interrupts sent as fast as they can be are all that the other CPU would ever
 * see, since the next one waits at the end of each handler.
 */
static void check_exceptions(void)
{
	interrupts = trap_hook;
	trap_hook = take_either;
	cpu_call(1, fault, NULL);
	WAIT(faulting, SECOND);
	while (faulting) {
		u32 before = faults;

		send_ipi(ICR_ASSERT | SHOOTDOWN, cpus[1].apic_id);
		while (faulting && faults == before)
			cpu_pause();
	}
	report(cpu_wait(1) && faults == FAULTS && !misplaced,
	       "%u exceptions between interrupts: %u taken, %u misplaced", FAULTS, faults,
	       misplaced);
	trap_hook = interrupts;
}

/* --- the order of stores: Intel SDM, "Memory Ordering" --- */

static volatile u32 flag[2] __attribute__((aligned(64)));
static volatile u32 inside, overlaps;

/* Peterson's lock works with one MFENCE, and only if loads and stores are ordered as promised. */
static volatile u32 turn;

static void exclude(void *arg)
{
	unsigned int self = this_cpu()->index;

	(void)arg;
	irq_enable();
	for (u32 n = 0; n < LOCKINGS; n++) {
		flag[self] = 1;
		turn = 1 - self;
		__asm__ volatile("mfence" : : : "memory");
		while (flag[1 - self] && turn == 1 - self)
			cpu_pause();
		overlaps += inside != 0;
		inside = inside + 1;
		cpu_pause();
		inside = inside - 1;
		flag[self] = 0;
	}
}

static void check_order(void)
{
	cpu_call(1, exclude, NULL);
	exclude(NULL);
	report(cpu_wait(1) && !overlaps && !inside, "Peterson's lock: %u overlaps", overlaps);
}

/* --- time --- */

static volatile u64 last_tsc;
static volatile u32 backwards;

/* Each reads after the one before it: the shared value may never be ahead. */
static void compare_tsc(void *arg)
{
	(void)arg;
	meet();
	for (u32 n = 0; n < ADDITIONS / 4; n++) {
		u64 seen_before = __atomic_load_n(&last_tsc, __ATOMIC_ACQUIRE);
		u64 now;

		__asm__ volatile("lfence" : : : "memory");
		now = rdtsc();
		if (now < seen_before)
			__atomic_fetch_add(&backwards, 1, __ATOMIC_SEQ_CST);
		else
			__atomic_compare_exchange_n(&last_tsc, &seen_before, now, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

/* --- each gets its time --- */

static volatile u64 work[SMP_CPUS];
static volatile bool leave;

static void count(void *arg)
{
	volatile u64 *mine = &work[this_cpu()->index];

	(void)arg;
	meet();
	while (!leave)
		*mine = *mine + 1;
}

static void count_and_stop(void *arg)
{
	u64 end;

	if (this_cpu()->index) {
		count(arg);
		return;
	}
	meet();
	end = rdtsc() + microseconds(RUN);
	while (rdtsc() < end)
		cpu_pause();
	leave = true;
}

static void check_fairness(void)
{
	u64 least = ~0ULL, most = 0;

	all_do(count_and_stop);
	for (unsigned int i = 1; i < cpu_count; i++) {
		least = MIN(least, work[i]);
		most = MAX(most, work[i]);
	}
	report(least > most / 2, "all CPUs get their time: between %lu and %lu", least, most);
	say("work done by each CPU: %lu to %lu", least, most);
}

void guest_main(void)
{
	if (!smp_start())
		return;
	check_identity();
	check_locks();
	all_do(compare_tsc);
	report(!backwards, "the TSC never goes back from one CPU to another: %u times", backwards);
	if (cpu_count == 1)
		return;
	check_order();
	check_code();
	check_translations();
	check_exceptions();
	if (!option("shared"))
		check_fairness();
}
