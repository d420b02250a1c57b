/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts that CPU 0 sends to itself, its timer, a device, and their ends. */
#include "bench.h"

bool apic_by_msr;
volatile u32 taken;
volatile u64 taken_at, eoi_took;
void (*volatile before_eoi)(void);

/* In place of the library's own EOI, which asks for the APIC's mode first: an exit. */
static bool end_interrupt(struct smp_cpu *me)
{
	u64 start;

	if (me->index || me->irqs[BENCH_VECTOR] == taken) {
		apic_write(LAPIC_EOI, 0);
		return true;
	}
	taken = me->irqs[BENCH_VECTOR];
	taken_at = ticks();
	if (before_eoi)
		before_eoi();
	start = ticks();
	apic_write(LAPIC_EOI, 0);
	eoi_took = ticks() - start;
	return true;
}

static u32 taken_before;

const char *count_interrupts(void)
{
	eoi_hook = end_interrupt;
	taken = cpus[0].irqs[BENCH_VECTOR];
	taken_before = taken;
	return NULL;
}

const char *one_interrupt_each(u64 executed)
{
	irq_disable();
	before_eoi = NULL;
	return taken - taken_before == executed ? NULL : "not one interrupt for each";
}

/* --- self-IPIs: let in by STI, by HLT, by the task priority --- */

static void send_self_ipi(void)
{
	apic_write(LAPIC_ICR, ICR_SELF | ICR_ASSERT | BENCH_VECTOR);
}

static void send_x2apic_self_ipi(void)
{
	wrmsr(IA32_X2APIC(LAPIC_SELF_IPI), BENCH_VECTOR);
}

static inline void let_in(const bool halt)
{
	if (halt)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	else
		__asm__ volatile("sti; nop; cli" : : : "memory");
}

/* BENCH_VECTOR's class and all below are held back. */
static void hold_back(void)
{
	apic_write(LAPIC_TPR, 0xff);
}

#define SELF_IPI_OPS(prefix, send)                 \
	static void prefix##_sti_nop(void)         \
	{                                          \
		send();                            \
		let_in(false);                     \
	}                                          \
	static void prefix##_sti_hlt(void)         \
	{                                          \
		send();                            \
		let_in(true);                      \
	}                                          \
	static void prefix##_tpr(void)             \
	{                                          \
		irq_enable();                      \
		hold_back();                       \
		send();                            \
		apic_write(LAPIC_TPR, 0);          \
		__asm__ volatile("nop; nop; cli"); \
	}                                          \
	static void prefix##_tpr_sti_nop(void)     \
	{                                          \
		hold_back();                       \
		send();                            \
		apic_write(LAPIC_TPR, 0);          \
		let_in(false);                     \
	}                                          \
	static void prefix##_tpr_sti_hlt(void)     \
	{                                          \
		hold_back();                       \
		send();                            \
		apic_write(LAPIC_TPR, 0);          \
		let_in(true);                      \
	}

SELF_IPI_OPS(self_ipi, send_self_ipi)
SELF_IPI_OPS(x2apic_self_ipi, send_x2apic_self_ipi)

/* --- EOIs, the way to them not counted --- */

static u64 eoi_edge(void)
{
	send_self_ipi();
	let_in(false);
	return eoi_took;
}

/* COM1's transmitter asks for an interrupt when that is enabled while it has nothing to send. */
#define COM1     0x3f8
#define COM1_PIN 4

static void settle_device(void)
{
	(void)inb(COM1 + 2); /* IIR: takes the request back */
	outb(COM1 + 1, 0);
}

static const char *begin_device(bool level)
{
	while (!(inb(COM1 + 5) & 0x40))
		cpu_pause();
	settle_device();
	outb(COM1 + 4, 8); /* MCR: OUT2 lets the line through */
	ioapic_write(0x10 + 2 * COM1_PIN + 1, cpus[0].apic_id << 24);
	ioapic_write(0x10 + 2 * COM1_PIN, BENCH_VECTOR | (level ? 0x8000 : 0));
	return count_interrupts();
}

static const char *end_device(u64 executed)
{
	const char *problem = one_interrupt_each(executed);

	ioapic_write(0x10 + 2 * COM1_PIN, LVT_MASKED);
	settle_device();
	return problem;
}

static const char *begin_edge_device(void)
{
	return begin_device(false);
}

/* The request goes before the EOI: else it would come again at once. */
static const char *begin_eoi_level(void)
{
	before_eoi = settle_device;
	return begin_device(true);
}

#define PATIENCE 100000000 /* ticks */

/* A device may be another thread's work: the interrupt need not be there at once. */
static void await_interrupt(u32 until)
{
	u64 end = rdtsc() + PATIENCE;

	irq_enable();
	while (taken != until && rdtsc() < end)
		;
	irq_disable();
}

static u64 eoi_level(void)
{
	u32 next = taken + 1;

	outb(COM1 + 1, 2); /* IER: the transmitter is empty */
	await_interrupt(next);
	return eoi_took;
}

/* From the store that makes the device ask to its handler's first line. */
static u64 irq_from_device(void)
{
	u32 next = taken + 1;
	u64 start;

	irq_enable();
	start = ticks();
	outb(COM1 + 1, 2);
	await_interrupt(next);
	settle_device();
	return taken_at - start;
}

/* --- the timer --- */

/* Ticks: long enough to be armed and, if need be, asleep before, as the guest of a guest, too. */
#define DELAY 100000

static const char *begin_deadline(void)
{
	if (!(cpuid(1, 0).ecx & BIT(24)))
		return "no TSC deadline";
	apic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | BENCH_VECTOR);
	return count_interrupts();
}

static const char *end_deadline(u64 executed)
{
	apic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	return one_interrupt_each(executed);
}

/* Due when it is armed: from there to its handler's end. */
static void tscdeadline_immed(void)
{
	u32 next = taken + 1;

	irq_enable();
	wrmsr(IA32_TSC_DEADLINE, rdtsc());
	while (taken != next)
		;
	irq_disable();
}

/* What it comes too late: from the deadline to the handler's first line. */
static u64 late(bool halt)
{
	u64 deadline = rdtsc() + DELAY;
	u32 next = taken + 1;

	wrmsr(IA32_TSC_DEADLINE, deadline);
	if (halt) {
		while (taken != next)
			let_in(true);
	} else {
		irq_enable();
		while (taken != next)
			;
		irq_disable();
	}
	return taken_at - deadline;
}

static u64 tscdeadline(void)
{
	return late(false);
}

static u64 hlt_wake(void)
{
	return late(true);
}

#define INTERRUPTS .begin = count_interrupts, .end = one_interrupt_each

const struct op irq_ops[] = {
	{ "self_ipi_sti_nop", self_ipi_sti_nop, INTERRUPTS, .apic = XAPIC },
	{ "self_ipi_sti_hlt", self_ipi_sti_hlt, INTERRUPTS, .apic = XAPIC },
	{ "self_ipi_tpr", self_ipi_tpr, INTERRUPTS, .apic = XAPIC },
	{ "self_ipi_tpr_sti_nop", self_ipi_tpr_sti_nop, INTERRUPTS, .apic = XAPIC },
	{ "self_ipi_tpr_sti_hlt", self_ipi_tpr_sti_hlt, INTERRUPTS, .apic = XAPIC },
	{ "x2apic_self_ipi_sti_nop", x2apic_self_ipi_sti_nop, INTERRUPTS, .apic = X2APIC },
	{ "x2apic_self_ipi_sti_hlt", x2apic_self_ipi_sti_hlt, INTERRUPTS, .apic = X2APIC },
	{ "x2apic_self_ipi_tpr", x2apic_self_ipi_tpr, INTERRUPTS, .apic = X2APIC },
	{ "x2apic_self_ipi_tpr_sti_nop", x2apic_self_ipi_tpr_sti_nop, INTERRUPTS, .apic = X2APIC },
	{ "x2apic_self_ipi_tpr_sti_hlt", x2apic_self_ipi_tpr_sti_hlt, INTERRUPTS, .apic = X2APIC },
	{ "eoi_edge", .timed = eoi_edge, INTERRUPTS, .apic = X2APIC },
	{ "eoi_edge_xapic", .timed = eoi_edge, INTERRUPTS, .apic = XAPIC },
	{ "eoi_level", .timed = eoi_level, .begin = begin_eoi_level, .end = end_device,
	  .apic = X2APIC },
	{ "irq_from_device", .timed = irq_from_device, .begin = begin_edge_device,
	  .end = end_device, .apic = X2APIC },
	{ "tscdeadline_immed", tscdeadline_immed, .begin = begin_deadline, .end = end_deadline,
	  .apic = X2APIC },
	{ "tscdeadline", .timed = tscdeadline, .begin = begin_deadline, .end = end_deadline,
	  .apic = X2APIC },
	{ "hlt_wake", .timed = hlt_wake, .begin = begin_deadline, .end = end_deadline,
	  .apic = X2APIC },
	{ 0 },
};
