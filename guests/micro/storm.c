/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt storms: all CPUs at all others, as fast as they can. Nothing is lost that was waited
 * for, nothing arrives that was not sent, and after each storm the machine works as before.
 */
#include "smp.h"

#define VECTOR(sender) ((u8)(0x40 + (sender)))
#define ROUNDS         60   /* broadcasts by each CPU that wait for an answer */
#define BLAST          2000 /* IPIs by each CPU that do not */
#define NMIS           300
#define RESTARTS       150

static u64 sent[SMP_CPUS]; /* to each of the others */
static u32 unanswered[SMP_CPUS];
static volatile u32 ready, finished;

/* Everybody sends at the same time, and takes interrupts until the last one has sent its last. */
static void meet(volatile u32 *where, u32 goal)
{
	__atomic_fetch_add(where, 1, __ATOMIC_SEQ_CST);
	while (*where < goal)
		cpu_pause();
}

static u32 random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static bool all_have(u8 vector, u64 n)
{
	for (unsigned int i = 0; i < cpu_count; i++) {
		if (i != this_cpu()->index && cpus[i].irqs[vector] != n)
			return false;
	}
	return true;
}

/* To all others by turns of the ways there are, and each time until all have it: no two become one. */
static void send_in_step(void *arg)
{
	unsigned int self = this_cpu()->index;
	u8 vector = VECTOR(self);

	(void)arg;
	irq_enable();
	meet(&ready, cpu_count);
	for (u32 n = 1; n <= ROUNDS; n++) {
		if (n % 3) {
			/* An interrupt between the two halves of the ICR would not harm: handlers send none. */
			send_ipi(ICR_OTHERS | ICR_ASSERT | vector, 0);
		} else {
			for (unsigned int i = 0; i < cpu_count; i++) {
				if (i != self)
					send_ipi(ICR_ASSERT | vector, cpus[i].apic_id);
			}
		}
		sent[self]++;
		if (!WAIT(all_have(vector, n), 20 * SECOND)) {
			unanswered[self]++;
			break;
		}
	}
	meet(&finished, cpu_count);
}

static void check_in_step(const char *mode)
{
	ready = finished = 0;
	smp_clear();
	for (unsigned int i = 0; i < cpu_count; i++)
		sent[i] = unanswered[i] = 0;
	run_on_all(send_in_step, NULL);
	smp_fence();
	for (unsigned int from = 0; from < cpu_count; from++) {
		unsigned int wrong = 0;

		for (unsigned int to = 0; to < cpu_count; to++)
			wrong += cpus[to].irqs[VECTOR(from)] != (from == to ? 0 : sent[from]);
		report(!wrong && !unanswered[from] && sent[from] == ROUNDS,
		       "%s: CPU %u has sent %lu to all others; wrong counts: %u", mode, from,
		       sent[from], wrong);
	}
}

/* Without waiting: several may become one, but no more arrive than were sent, and the last does. */
static void blast(void *arg)
{
	unsigned int self = this_cpu()->index;
	u32 seed = self;

	(void)arg;
	irq_enable();
	meet(&ready, cpu_count);
	for (u32 n = 0; n < BLAST; n++) {
		u32 r = random(&seed);
		u32 icr = ICR_ASSERT | VECTOR(self);

		if (r % 4 == 0)
			send_ipi(icr | ICR_ALL, 0);
		else if (r % 4 == 1)
			send_ipi(icr | ICR_OTHERS, 0);
		else
			send_ipi(icr, cpus[r / 4 % cpu_count].apic_id);
		sent[self]++;
	}
	send_ipi(ICR_ALL | ICR_ASSERT | VECTOR(self), 0);
	sent[self]++;
	meet(&finished, cpu_count);
}

static void check_blast(const char *mode)
{
	unsigned int too_many = 0, none = 0;
	u64 arrived = 0, all = 0;

	ready = finished = 0;
	smp_clear();
	for (unsigned int i = 0; i < cpu_count; i++)
		sent[i] = 0;
	run_on_all(blast, NULL);
	smp_fence();
	for (unsigned int from = 0; from < cpu_count; from++) {
		all += sent[from];
		for (unsigned int to = 0; to < cpu_count; to++) {
			u32 n = cpus[to].irqs[VECTOR(from)];

			arrived += n;
			too_many += n > sent[from];
			none += !n;
		}
	}
	report(!too_many && !none,
	       "%s: %lu IPIs sent in a storm, %lu taken; more than sent: %u, none: %u", mode, all,
	       arrived, too_many, none);
	say("%s: %lu IPIs sent in a storm, %lu taken", mode, all, arrived);
}

/* NMIs, and fixed interrupts between them. */
static void send_nmis(void *arg)
{
	unsigned int self = this_cpu()->index;

	(void)arg;
	irq_enable();
	meet(&ready, cpu_count);
	for (u32 n = 0; n < NMIS; n++) {
		send_ipi(ICR_OTHERS | ICR_ASSERT | ICR_NMI, 0);
		send_ipi(ICR_OTHERS | ICR_ASSERT | VECTOR(self), 0);
		sent[self]++;
	}
	meet(&finished, cpu_count);
}

static void check_nmis(const char *mode)
{
	u64 all = (u64)NMIS * (cpu_count - 1);

	ready = finished = 0;
	smp_clear();
	run_on_all(send_nmis, NULL);
	smp_fence();
	for (unsigned int i = 0; i < cpu_count; i++)
		report(cpus[i].irqs[NMI_VECTOR] && cpus[i].irqs[NMI_VECTOR] <= all,
		       "%s: CPU %u takes %u of %lu NMIs", mode, i, cpus[i].irqs[NMI_VECTOR], all);
}

/*
 * CPU 1 restarts all others but this, who get IPIs from each other and from here while they live. Each rests after a
 * broadcast, the longer the more they are: together they could else send faster than CPU 1 takes them, which then
 * would never get to its next restart.
 */
#define REST 50 /* microseconds for each CPU */

static volatile bool leave;

static void disturb(void *arg)
{
	unsigned int self = this_cpu()->index;

	(void)arg;
	irq_enable();
	while (!leave) {
		send_ipi(ICR_OTHERS | ICR_ASSERT | VECTOR(self), 0);
		WAIT(leave, REST * cpu_count);
	}
}

static void restart(void *arg)
{
	u32 seed = 1;

	(void)arg;
	irq_enable();
	for (u32 n = 0; n < RESTARTS; n++) {
		u32 r = random(&seed);
		unsigned int i = 2 + r / 4 % (cpu_count - 2);

		/* Not each INIT has its SIPI, not each SIPI its INIT. */
		if (r % 4)
			cpu_init(i);
		if (r % 3)
			cpu_sipi(i, r % 2 ? START_PAGE : OTHER_START_PAGE);
		if (r % 8 == 0)
			WAIT(false, 300);
	}
}

static void check_restarts(const char *mode)
{
	unsigned int came = 0;

	leave = false;
	for (unsigned int i = 2; i < cpu_count; i++)
		cpu_call(i, disturb, NULL);
	cpu_run(1, restart, NULL);
	leave = true;
	for (unsigned int i = 1; i < cpu_count; i++)
		came += cpu_start(i, START_PAGE);
	report(came == cpu_count - 1, "%s: after it %u of %u CPUs can be started", mode, came,
	       cpu_count - 1);
	smp_fence();
}

static void check_all(const char *mode)
{
	check_in_step(mode);
	check_blast(mode);
	if (cpu_count > 2)
		check_restarts(mode);
	if (!option("no-nmi"))
		check_nmis(mode);
	check_in_step(mode);
}

void guest_main(void)
{
	if (!smp_start() || cpu_count == 1)
		return;
	check_all("xAPIC");
	if (!smp_has_x2apic())
		return;
	smp_set_x2apic(true);
	check_all("x2APIC");
}
