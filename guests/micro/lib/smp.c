/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts the other CPUs and gives them work. */
#include "smp.h"
#include "lib/string.h"

struct smp_cpu cpus[SMP_CPUS];
unsigned int cpu_count;
u8 smp_index[256];
void (*volatile irq_hook)(struct smp_cpu *me, struct frame *f);
bool (*volatile eoi_hook)(struct smp_cpu *me);
struct descriptor_pointer smp_idt_pointer = { sizeof(idt) - 1, 0 };
static volatile bool x2apic; /* which mode CPUs are to be in */

extern const u8 smp_blob[], smp_blob_state[], smp_blob_end[];
void ap_main(unsigned int index) __noreturn;

_Static_assert(offsetof(struct start_state, cs) == 15 * 4, "smp_start.asm: state");
_Static_assert(sizeof(struct start_state) == 21 * 4 + 12, "smp_start.asm: state");

void send_ipi(u32 icr, u32 dest)
{
	if (lapic_is_x2apic()) {
		wrmsr(IA32_X2APIC(LAPIC_ICR), make_64(dest, icr));
		return;
	}
	lapic_write(LAPIC_ICR_HIGH, dest << 24);
	lapic_write(LAPIC_ICR, icr);
	while (lapic_read(LAPIC_ICR) & ICR_PENDING)
		cpu_pause();
}

bool smp_has_x2apic(void)
{
	return cpuid(1, 0).ecx & BIT(21);
}

/* From x2APIC to xAPIC mode the way leads through "disabled". */
static void apic_on(void)
{
	u64 base = rdmsr(IA32_APIC_BASE);

	if (base & APIC_BASE_EXTD && !x2apic) {
		base &= ~(APIC_BASE_EN | APIC_BASE_EXTD);
		wrmsr(IA32_APIC_BASE, base);
		base |= APIC_BASE_EN;
		wrmsr(IA32_APIC_BASE, base);
	} else if (!(base & APIC_BASE_EXTD) && x2apic) {
		wrmsr(IA32_APIC_BASE, base | APIC_BASE_EXTD);
	}
	lapic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
	lapic_write(LAPIC_TPR, 0);
}

/* Neither NMIs nor spurious interrupts want an EOI. */
static bool on_irq(struct frame *f)
{
	struct smp_cpu *me;

	if (f->vector < 32 && f->vector != NMI_VECTOR)
		return false;
	me = this_cpu();
	me->irqs[f->vector]++;
	if (irq_hook)
		irq_hook(me, f);
	if (f->vector != NMI_VECTOR && f->vector != 0xff && !(eoi_hook && eoi_hook(me)))
		lapic_write(LAPIC_EOI, 0);
	return true;
}

void ap_main(unsigned int index)
{
	struct smp_cpu *me = &cpus[index];

	wrmsr(IA32_GS_BASE, (u64)(uintptr_t)me);
	apic_on();
	me->starts++;
	for (;;) {
		/* A call that comes after the test ends the HLT: STI lets it in no earlier. */
		if (!me->fn) {
			__asm__ volatile("sti; hlt; cli" : : : "memory");
			continue;
		}
		me->fn(me->arg);
		irq_disable();
		__atomic_store_n(&me->fn, NULL, __ATOMIC_RELEASE);
	}
}

const struct start_state *start_state(u8 page)
{
	return (const void *)(uintptr_t)(page * PAGE_SIZE + (u64)(smp_blob_state - smp_blob));
}

void cpu_init(unsigned int i)
{
	send_ipi(ICR_INIT | ICR_ASSERT, cpus[i].apic_id);
	cpus[i].fn = NULL;
}

void cpu_sipi(unsigned int i, u8 page)
{
	send_ipi(ICR_SIPI | ICR_ASSERT | page, cpus[i].apic_id);
}

bool cpu_wait_start(unsigned int i, u32 starts)
{
	return WAIT(cpus[i].starts > starts, 10 * SECOND);
}

bool cpu_start(unsigned int i, u8 page)
{
	u32 starts;

	cpu_init(i);
	starts = cpus[i].starts;
	cpu_sipi(i, page);
	return cpu_wait_start(i, starts);
}

void cpu_call(unsigned int i, void (*fn)(void *arg), void *arg)
{
	cpus[i].arg = arg;
	__atomic_store_n(&cpus[i].fn, fn, __ATOMIC_RELEASE);
	send_ipi(ICR_FIXED | ICR_ASSERT | CALL_VECTOR, cpus[i].apic_id);
}

bool cpu_wait(unsigned int i)
{
	return WAIT(!__atomic_load_n(&cpus[i].fn, __ATOMIC_ACQUIRE), 30 * SECOND);
}

/* Nothing that is claimed after that could hold. */
static void wait_or_finish(unsigned int i)
{
	if (cpu_wait(i))
		return;
	report(false, "CPU %u does not come back from what it was called for", i);
	finish(MIN(failed, 255u));
}

void cpu_run(unsigned int i, void (*fn)(void *arg), void *arg)
{
	cpu_call(i, fn, arg);
	wait_or_finish(i);
}

void run_on_all(void (*fn)(void *arg), void *arg)
{
	for (unsigned int i = 1; i < cpu_count; i++)
		cpu_call(i, fn, arg);
	irq_disable();
	fn(arg);
	irq_enable();
	for (unsigned int i = 1; i < cpu_count; i++)
		wait_or_finish(i);
}

static void do_nothing(void *arg)
{
	(void)arg;
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/* A call comes by an interrupt of the lowest priority: whoever has taken it has taken all others before. */
void smp_fence(void)
{
	run_on_all(do_nothing, NULL);
}

void smp_clear(void)
{
	for (unsigned int i = 0; i < cpu_count; i++)
		memset((void *)(uintptr_t)cpus[i].irqs, 0, sizeof(cpus[i].irqs));
}

static void follow_mode(void *arg)
{
	(void)arg;
	apic_on();
}

void smp_set_x2apic(bool on)
{
	x2apic = on;
	run_on_all(follow_mode, NULL);
}

static void place_trampoline(u8 page)
{
	memcpy((void *)(page * PAGE_SIZE), smp_blob, (size_t)(smp_blob_end - smp_blob));
}

/* This CPU becomes number 0, wherever the MADT has it. */
static void find_cpus(void)
{
	u32 ids[SMP_CPUS];
	u32 self = lapic_read(LAPIC_ID);
	unsigned int found = madt_cpus(ids, SMP_CPUS);

	if (!lapic_is_x2apic())
		self >>= 24;
	cpu_count = 1;
	cpus[0].apic_id = self;
	for (unsigned int i = 0; i < found; i++) {
		if (ids[i] != self)
			cpus[cpu_count++].apic_id = ids[i];
	}
	for (unsigned int i = 0; i < cpu_count; i++) {
		cpus[i].self = &cpus[i];
		cpus[i].index = i;
		smp_index[cpus[i].apic_id & 0xff] = (u8)i;
	}
}

bool smp_start(void)
{
	bool all = true;

	if (!tsc_hz) /* a machine that does not tell: for time-outs any number will do */
		tsc_hz = 1000000000;
	place_trampoline(START_PAGE);
	place_trampoline(OTHER_START_PAGE);
	find_cpus();
	x2apic = lapic_is_x2apic();
	wrmsr(IA32_GS_BASE, (u64)(uintptr_t)&cpus[0]);
	outb(0x21, 0xff); /* no interrupt but those that CPUs send */
	outb(0xa1, 0xff);
	smp_idt_pointer.base = (u64)(uintptr_t)idt;
	trap_hook = on_irq;
	apic_on();
	irq_enable();
	for (unsigned int i = 1; i < cpu_count; i++) {
		bool came = cpu_start(i, START_PAGE);

		report(came, "CPU %u, APIC ID %x, starts", i, cpus[i].apic_id);
		all &= came;
	}
	return all;
}
