/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPIs: each delivery mode and shorthand, physical and logical destinations, in xAPIC and x2APIC
 * mode. Each arrives once, at those that it is for, and nowhere else.
 */
#include "smp.h"

#define VECTOR      0x51
#define HIGH_VECTOR 0x62
#define FLAT        (~0u)
#define CLUSTER     0x0fffffffu

static const char *mode;

/* Which CPUs have taken @vector, each once; with @many also those that have taken it more often. */
static u64 takers(u8 vector, u64 *many)
{
	u64 set = 0;

	*many = 0;
	for (unsigned int i = 0; i < cpu_count; i++) {
		if (cpus[i].irqs[vector])
			set |= BIT(i);
		if (cpus[i].irqs[vector] > 1)
			*many |= BIT(i);
	}
	return set;
}

/* Send, let everybody take what is theirs, and see who has. */
static u64 send(u32 icr, u32 dest, u8 vector)
{
	u64 many, set;

	smp_clear();
	send_ipi(icr, dest);
	smp_fence();
	set = takers(vector, &many);
	report(!many, "%s: ICR %x to %x: no CPU takes it twice: %lx", mode, icr, dest, many);
	return set;
}

static void expect(const char *what, u32 icr, u32 dest, u64 expected)
{
	u64 set = send(icr | ICR_ASSERT | VECTOR, dest, VECTOR);

	report(set == expected, "%s: %s, ICR %x to %x: taken by %lx, expected %lx", mode, what, icr,
	       dest, set, expected);
}

static u32 broadcast(void)
{
	return lapic_is_x2apic() ? ~0u : 0xff;
}

static void check_physical(void)
{
	for (unsigned int i = 0; i < cpu_count; i++)
		expect("physical", 0, cpus[i].apic_id, BIT(i));
	expect("to nobody", 0, 0xc5, 0);
	expect("to everybody", 0, broadcast(), ALL_CPUS);
	expect("shorthand self", ICR_SELF, 0, BIT(0));
	expect("shorthand self, whatever the destination", ICR_SELF, cpus[cpu_count - 1].apic_id,
	       BIT(0));
	expect("shorthand all", ICR_ALL, 0, ALL_CPUS);
	expect("shorthand others", ICR_OTHERS, 0, ALL_CPUS & ~1ULL);
}

/* --- logical destinations --- */

static u32 model; /* DFR */

/* The logical ID of this CPU: in flat mode a bit for each of eight, else four to a cluster. */
static u32 logical_id(unsigned int i)
{
	if (lapic_is_x2apic())
		return cpus[i].apic_id >> 4 << 16 | 1u << (cpus[i].apic_id & 0xf);
	return model == FLAT ? 1u << (i & 7) : (i / 4) << 4 | 1u << (i % 4);
}

static void take_logical_id(void *arg)
{
	(void)arg;
	lapic_write(LAPIC_DFR, model);
	lapic_write(LAPIC_LDR, logical_id(this_cpu()->index) << 24);
}

static void check_x2apic_ids(void *arg)
{
	bool *same = arg;

	if (lapic_read(LAPIC_LDR) != logical_id(this_cpu()->index) ||
	    lapic_read(LAPIC_ID) != this_cpu()->apic_id)
		*same = false;
}

static void check_logical(const char *what)
{
	u32 both;

	for (unsigned int i = 0; i < cpu_count; i++) {
		if (i < 8 || model != FLAT || lapic_is_x2apic())
			expect(what, ICR_LOGICAL, logical_id(i),
			       cpu_count > 8 && model == FLAT && !lapic_is_x2apic()
				       ? BIT(i) | (BIT(i + 8) & ALL_CPUS)
				       : BIT(i));
	}
	expect(what, ICR_LOGICAL, 0, 0);
	expect(what, ICR_LOGICAL, broadcast(), ALL_CPUS);
	if (cpu_count < 3 || cpu_count > 8)
		return;
	both = logical_id(1) | logical_id(2);
	expect(what, ICR_LOGICAL, both, BIT(1) | BIT(2));
	expect(what, ICR_LOGICAL, both | logical_id(0), BIT(0) | BIT(1) | BIT(2));
	if (cpu_count < 8)
		return;
	expect(what, ICR_LOGICAL, logical_id(5) | logical_id(7), BIT(5) | BIT(7));
}

static void check_lowest(void)
{
	u32 all = lapic_is_x2apic() ? (u32)(BIT(MIN(cpu_count, 8u)) - 1) : 0xf;
	unsigned int taken[SMP_CPUS] = { 0 };

	for (unsigned int n = 0; n < 8; n++) {
		u64 set = send(ICR_LOWEST | ICR_LOGICAL | ICR_ASSERT | VECTOR, all, VECTOR);

		report(set && !(set & (set - 1)), "%s: lowest priority: one takes it: %lx", mode,
		       set);
		if (set)
			taken[__builtin_ctzll(set)]++;
	}
	say("%s: lowest priority: taken by CPUs 0 to 3: %u %u %u %u", mode, taken[0], taken[1],
	    taken[2], taken[3]);
	if (cpu_count > 1)
		expect("lowest priority, to one", ICR_LOWEST, cpus[1].apic_id, BIT(1));
}

/* --- what is no fixed interrupt --- */

static void check_nmi(void)
{
	for (unsigned int i = 1; i < cpu_count; i++) {
		u64 set = send(ICR_NMI | ICR_ASSERT, cpus[i].apic_id, NMI_VECTOR);

		report(set == BIT(i), "%s: NMI to CPU %u: taken by %lx", mode, i, set);
	}
	report(send(ICR_NMI | ICR_ASSERT | ICR_OTHERS, 0, NMI_VECTOR) == (ALL_CPUS & ~1ULL),
	       "%s: NMI to all others", mode);
	/* The first is taken at once, so the second is latched, however close it comes. */
	for (unsigned int i = 1; i < cpu_count; i++) {
		smp_clear();
		send_ipi(ICR_NMI | ICR_ASSERT, cpus[i].apic_id);
		send_ipi(ICR_NMI | ICR_ASSERT, cpus[i].apic_id);
		report(WAIT(cpus[i].irqs[NMI_VECTOR] == 2, SECOND),
		       "%s: two NMIs to CPU %u: %u taken", mode, i, cpus[i].irqs[NMI_VECTOR]);
	}
	/* The vector counts for nothing. */
	report(send(ICR_NMI | ICR_ASSERT | ICR_OTHERS | VECTOR, 0, VECTOR) == 0,
	       "%s: an NMI's vector field is no vector", mode);
}

static void check_illegal(void)
{
	static const u8 illegal[] = { 0, 5, 15 };

	for (unsigned int i = 0; i < ARRAY_SIZE(illegal); i++) {
		lapic_write(LAPIC_ESR, 0);
		lapic_write(LAPIC_ESR, 0);
		report(send(ICR_ALL | ICR_ASSERT | illegal[i], 0, illegal[i]) == 0,
		       "%s: nobody takes vector %u", mode, illegal[i]);
		lapic_write(LAPIC_ESR, 0);
		report(lapic_read(LAPIC_ESR) & 0x60, "%s: an IPI of vector %u is an error: ESR %x",
		       mode, illegal[i], lapic_read(LAPIC_ESR));
	}
	lapic_write(LAPIC_ESR, 0);
	lapic_write(LAPIC_ESR, 0);
	report(lapic_read(LAPIC_ESR) == 0, "%s: then the ESR is empty: %x", mode,
	       lapic_read(LAPIC_ESR));
}

/* --- how often, and when --- */

static volatile bool ready, leave;

static void hold_off(void *arg)
{
	(void)arg;
	ready = true;
	while (!leave)
		cpu_pause();
}

/* CPU 1 works with IF = 0: two requests are held in its IRR, one of each, and taken by priority. */
static u8 order[4];
static unsigned int taken_in_all;

static void note_order(struct smp_cpu *me, struct frame *f)
{
	if (me->index == 1 && f->vector != CALL_VECTOR && taken_in_all < ARRAY_SIZE(order))
		order[taken_in_all++] = (u8)f->vector;
}

static void check_pending(void)
{
	ready = leave = false;
	taken_in_all = 0;
	smp_clear();
	irq_hook = note_order;
	cpu_call(1, hold_off, NULL);
	report(WAIT(ready, SECOND), "%s: CPU 1 works with IF = 0", mode);
	for (unsigned int n = 0; n < 3; n++)
		send_ipi(ICR_ASSERT | VECTOR, cpus[1].apic_id);
	send_ipi(ICR_ASSERT | HIGH_VECTOR, cpus[1].apic_id);
	WAIT(false, 1000);
	report(cpus[1].irqs[VECTOR] + cpus[1].irqs[HIGH_VECTOR] == 0,
	       "%s: with IF = 0 none is taken", mode);
	leave = true;
	report(cpu_wait(1), "%s: it comes back", mode);
	smp_fence();
	irq_hook = NULL;
	report(taken_in_all == 2 && order[0] == HIGH_VECTOR && order[1] == VECTOR,
	       "%s: then each once, the higher first: %u taken, first %x", mode, taken_in_all,
	       order[0]);
}

/* Many, one after the other: as many arrive as were sent. To and from all of them in turn. */
static void check_number(void)
{
	u32 lost = 0, sent = 0;

	smp_clear();
	for (unsigned int round = 0; round < 30; round++) {
		for (unsigned int i = 1; i < cpu_count; i++) {
			u32 before = cpus[i].irqs[VECTOR];

			send_ipi(ICR_ASSERT | VECTOR, cpus[i].apic_id);
			sent++;
			if (!WAIT(cpus[i].irqs[VECTOR] != before, SECOND))
				lost++;
		}
	}
	smp_fence();
	report(!lost, "%s: %u IPIs, %u of them lost", mode, sent, lost);
	for (unsigned int i = 1; i < cpu_count; i++)
		report(cpus[i].irqs[VECTOR] == 30, "%s: CPU %u has taken 30: %u", mode, i,
		       cpus[i].irqs[VECTOR]);
}

/* --- HLT --- */

static volatile u32 halted, woken;

static void halt_with_if(void *arg)
{
	(void)arg;
	halted++;
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	woken++;
}

static void halt_without_if(void *arg)
{
	(void)arg;
	halted++;
	__asm__ volatile("cli; hlt" : : : "memory");
	woken++;
}

static void check_halt(void)
{
	halted = woken = 0;
	smp_clear();
	cpu_call(1, halt_with_if, NULL);
	report(WAIT(halted, SECOND), "%s: CPU 1 halts with IF = 1", mode);
	WAIT(woken, 3000);
	report(!woken, "%s: and sleeps", mode);
	send_ipi(ICR_ASSERT | VECTOR, cpus[1].apic_id);
	report(cpu_wait(1) && woken == 1 && cpus[1].irqs[VECTOR] == 1,
	       "%s: an IPI wakes it: woken %u, taken %u", mode, woken, cpus[1].irqs[VECTOR]);

	halted = woken = 0;
	smp_clear();
	cpu_call(1, halt_without_if, NULL);
	report(WAIT(halted, SECOND), "%s: CPU 1 halts with IF = 0", mode);
	send_ipi(ICR_ASSERT | VECTOR, cpus[1].apic_id);
	WAIT(woken, 5000);
	report(!woken && !cpus[1].irqs[VECTOR], "%s: an IPI does not wake it", mode);
	send_ipi(ICR_NMI | ICR_ASSERT, cpus[1].apic_id);
	report(cpu_wait(1) && woken == 1 && cpus[1].irqs[NMI_VECTOR] == 1,
	       "%s: an NMI does: woken %u, taken %u", mode, woken, cpus[1].irqs[NMI_VECTOR]);
	smp_fence();
	report(cpus[1].irqs[VECTOR] == 1, "%s: the IPI has waited: %u", mode, cpus[1].irqs[VECTOR]);
}

/* A CPU whose APIC is software-disabled takes no fixed interrupt, and remembers none; NMIs it takes. */
static void disable_apic(void *arg)
{
	(void)arg;
	lapic_write(LAPIC_SVR, 0xff);
	ready = true;
	irq_enable();
	while (!leave)
		cpu_pause();
	lapic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
}

static void check_disabled(void)
{
	ready = leave = false;
	smp_clear();
	cpu_call(1, disable_apic, NULL);
	report(WAIT(ready, SECOND), "%s: CPU 1 switches its APIC off", mode);
	send_ipi(ICR_ASSERT | VECTOR, cpus[1].apic_id);
	send_ipi(ICR_NMI | ICR_ASSERT, cpus[1].apic_id);
	report(WAIT(cpus[1].irqs[NMI_VECTOR] == 1, SECOND), "%s: it takes an NMI", mode);
	leave = true;
	report(cpu_wait(1), "%s: and on again", mode);
	smp_fence();
	report(cpus[1].irqs[VECTOR] == 0, "%s: the fixed IPI is gone: %u", mode,
	       cpus[1].irqs[VECTOR]);
}

/* --- */

static void check_all(const char *name)
{
	mode = name;
	check_physical();
	if (cpu_count > 1) {
		check_number();
		if (!option("no-slices"))
			check_pending();
	}
	check_illegal();
	if (option("no-nmi") || cpu_count == 1)
		return;
	check_nmi();
	check_halt();
	check_disabled();
}

void guest_main(void)
{
	bool same = true;

	if (!smp_start())
		return;
	check_all("xAPIC");
	model = FLAT;
	run_on_all(take_logical_id, NULL);
	check_logical("logical, flat");
	check_lowest();
	model = CLUSTER;
	run_on_all(take_logical_id, NULL);
	check_logical("logical, cluster");
	if (!smp_has_x2apic())
		return;
	smp_set_x2apic(true);
	run_on_all(check_x2apic_ids, &same);
	report(same, "x2APIC: each CPU's ID and logical ID");
	check_all("x2APIC");
	check_logical("logical");
	check_lowest();
	smp_clear();
	wrmsr(IA32_X2APIC(LAPIC_SELF_IPI), VECTOR);
	smp_fence();
	report(cpus[0].irqs[VECTOR] == 1, "x2APIC: SELF IPI");
	smp_set_x2apic(false);
	mode = "xAPIC again";
	check_physical();
}
