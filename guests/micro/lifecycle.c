/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and SIPI: what they do to a CPU that waits for them, runs, or halts, and the state that INIT
 * leaves. Intel SDM, "Processor State After Reset" and "Interprocessor and Self-Interrupts".
 */
#include "smp.h"

#define VECTOR 0x51
#define CYCLES 1000
#define SETTLE 30000 /* microseconds in which what one CPU does to another is done */

static const char *mode;

/* --- what INIT leaves --- */

#define RFLAGS_AT_START 2
#define DR6_AT_START    0xffff0ff0
#define DR7_AT_START    0x400

static void check_registers(u8 page)
{
	const struct start_state *s = start_state(page);
	const struct {
		const char *name;
		u32 value, expected;
	} regs[] = {
		{ "EAX", s->eax, 0 },
		{ "EBX", s->ebx, 0 },
		{ "ECX", s->ecx, 0 },
		{ "ESI", s->esi, 0 },
		{ "EDI", s->edi, 0 },
		{ "EBP", s->ebp, 0 },
		{ "ESP", s->esp, 0 },
		{ "EFLAGS", s->eflags, RFLAGS_AT_START },
		{ "CR0 but for CD and NW", s->cr0 & ~(u32)(CR0_CD | CR0_NW), CR0_ET },
		{ "CR2", s->cr2, 0 },
		{ "CR3", s->cr3, 0 },
		{ "CR4", s->cr4, 0 },
		{ "DR6", s->dr6, DR6_AT_START },
		{ "DR7", s->dr7, DR7_AT_START },
		{ "CS", s->cs, (u32)page << 8 },
		{ "DS", s->ds, 0 },
		{ "ES", s->es, 0 },
		{ "FS", s->fs, 0 },
		{ "GS", s->gs, 0 },
		{ "SS", s->ss, 0 },
		{ "the GDT's base", s->gdt_base, 0 },
		{ "the GDT's limit", s->gdt_limit, 0xffff },
		{ "the IDT's base", s->idt_base, 0 },
		{ "the IDT's limit", s->idt_limit, 0xffff },
	};
	u32 signature = cpuid(1, 0).eax;

	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++)
		report(regs[i].value == regs[i].expected, "%s: %s is %x, expected %x", mode,
		       regs[i].name, regs[i].value, regs[i].expected);
	/* EDX says which family it is; models differ in the rest. */
	report((s->edx & 0xf00) == (signature & 0xf00), "%s: EDX is %x, CPUID's signature %x", mode,
	       s->edx, signature);
}

/* MSRs: before the INIT with values of their own, then which of them are left. */
static struct {
	u64 sysenter, lstar, kernel_gs, pat, adjust, deadline, base;
	u64 tsc;
	u32 svr, timer, count, ldr, tpr;
} after;

#define PAT_OF_ITS_OWN 0x0007040600070400ULL
#define DUE_IN         10000 /* microseconds */
#define TRIES          50

static u64 due;

static void spoil_msrs(void *arg)
{
	(void)arg;
	wrmsr(IA32_SYSENTER_EIP, 0x123456);
	wrmsr(IA32_LSTAR, 0x234567);
	wrmsr(IA32_KERNEL_GS_BASE, 0x345678);
	wrmsr(IA32_PAT, PAT_OF_ITS_OWN);
	lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
	due = rdtsc() + microseconds(DUE_IN);
	wrmsr(IA32_TSC_DEADLINE, due);
	lapic_write(LAPIC_TPR, 0x20);
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x401ULL));
	__asm__ volatile("mov %0, %%cr2" : : "r"(0x1234ULL));
}

static void look_at_msrs(void *arg)
{
	(void)arg;
	after.sysenter = rdmsr(IA32_SYSENTER_EIP);
	after.lstar = rdmsr(IA32_LSTAR);
	after.kernel_gs = rdmsr(IA32_KERNEL_GS_BASE);
	after.pat = rdmsr(IA32_PAT);
	after.base = rdmsr(IA32_APIC_BASE);
	after.timer = lapic_read(LAPIC_LVT_TIMER);
	lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
	after.deadline = rdmsr(IA32_TSC_DEADLINE);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	after.tsc = rdtsc();
}

/* An INIT before what it disarms is due. A CPU that is shared with others may be too late for that, now and then. */
static bool spoil_and_restart(void)
{
	bool started = false;

	for (unsigned int i = 0; i < TRIES; i++) {
		smp_clear();
		cpu_run(1, spoil_msrs, NULL);
		started = cpu_start(1, START_PAGE);
		if (!started || rdtsc() < due)
			break;
	}
	return started;
}

static void check_msrs(void)
{
	bool x2apic = lapic_is_x2apic();
	u64 before = rdtsc();

	report(spoil_and_restart(), "%s: INIT and SIPI to a CPU that waits in HLT", mode);
	check_registers(START_PAGE);
	cpu_run(1, look_at_msrs, NULL);
	WAIT(false, 2 * DUE_IN);
	report(after.sysenter == 0x123456 && after.lstar == 0x234567 && after.kernel_gs == 0x345678,
	       "%s: MSRs are left: %lx %lx %lx", mode, after.sysenter, after.lstar,
	       after.kernel_gs);
	report(after.pat == PAT_OF_ITS_OWN, "%s: the PAT is left: %lx", mode, after.pat);
	report((after.base & 0xffffffff) ==
		       (0xfee00000 | APIC_BASE_EN | (x2apic ? APIC_BASE_EXTD : 0)),
	       "%s: APIC base and mode are left, it is no bootstrap processor: %lx", mode,
	       after.base);
	report(after.timer == LVT_MASKED, "%s: the timer's LVT entry is masked: %x", mode,
	       after.timer);
	report(after.deadline == 0 && !cpus[1].irqs[VECTOR], "%s: the deadline is disarmed: %lx",
	       mode, after.deadline);
	report(after.tsc > before && after.tsc < rdtsc(), "%s: the TSC goes on", mode);
}

/* --- from and to every state --- */

static volatile u64 counter;
static volatile u32 halted, woken;

static void count_for_ever(void *interrupts)
{
	if (interrupts)
		irq_enable();
	for (;;)
		counter++;
}

static void halt_for_ever(void *interrupts)
{
	halted++;
	if (interrupts)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	else
		__asm__ volatile("cli; hlt" : : : "memory");
	woken++;
	irq_enable();
	for (;;)
		cpu_pause();
}

/* Does it go on? It may have to wait for a CPU; does it stand still? */
static bool counts(void)
{
	u64 before = counter;

	return WAIT(counter != before, 5 * SECOND);
}

static bool stands(void)
{
	u64 before = counter;

	return !WAIT(counter != before, 100000);
}

/* INIT alone stops; nothing but a SIPI ends that. */
static void check_running(bool interrupts)
{
	u32 starts = cpus[1].starts;

	cpu_call(1, count_for_ever, interrupts ? &cpus[1] : NULL);
	report(counts(), "%s: CPU 1 works, IF = %u", mode, interrupts);
	cpu_sipi(1, OTHER_START_PAGE);
	report(counts() && cpus[1].starts == starts, "%s: a SIPI to a CPU that runs is ignored",
	       mode);
	send_ipi(ICR_INIT | ICR_LEVEL, cpus[1].apic_id);
	report(counts(), "%s: INIT level de-assert does nothing", mode);
	cpu_init(1);
	WAIT(false, SETTLE);
	report(stands() && cpus[1].starts == starts, "%s: INIT stops it", mode);
	smp_clear();
	send_ipi(ICR_ASSERT | VECTOR, cpus[1].apic_id);
	cpu_init(1);
	WAIT(false, SETTLE);
	report(stands() && cpus[1].starts == starts, "%s: another INIT, another IPI: it waits",
	       mode);
	cpu_sipi(1, OTHER_START_PAGE);
	report(cpu_wait_start(1, starts), "%s: a SIPI starts it at another page", mode);
	check_registers(OTHER_START_PAGE);
	cpu_sipi(1, START_PAGE);
	smp_fence();
	WAIT(false, SETTLE);
	report(cpus[1].starts == starts + 1, "%s: the second SIPI is ignored", mode);
	report(!cpus[1].irqs[VECTOR], "%s: what was sent while it waited for a SIPI is gone", mode);
}

static void check_halted(bool interrupts)
{
	halted = woken = 0;
	cpu_call(1, halt_for_ever, interrupts ? &cpus[1] : NULL);
	report(WAIT(halted, SECOND), "%s: CPU 1 halts, IF = %u", mode, interrupts);
	WAIT(woken, 2000);
	report(!woken, "%s: and sleeps", mode);
	cpu_sipi(1, START_PAGE);
	WAIT(woken, 2000);
	report(!woken, "%s: a SIPI does not wake it", mode);
	report(cpu_start(1, interrupts ? START_PAGE : OTHER_START_PAGE) && !woken,
	       "%s: INIT and SIPI start it", mode);
	smp_fence();
}

/* --- all at once --- */

static void check_broadcast(void)
{
	u32 starts[SMP_CPUS];
	unsigned int came = 0;

	for (unsigned int i = 1; i < cpu_count; i++)
		cpu_call(i, count_for_ever, &cpus[i]);
	report(counts(), "%s: all CPUs work", mode);
	send_ipi(ICR_INIT | ICR_ASSERT | ICR_OTHERS, 0);
	WAIT(false, SETTLE);
	report(stands(), "%s: INIT to all others stops them all", mode);
	for (unsigned int i = 1; i < cpu_count; i++) {
		cpus[i].fn = NULL;
		starts[i] = cpus[i].starts;
	}
	send_ipi(ICR_SIPI | ICR_ASSERT | ICR_OTHERS | START_PAGE, 0);
	for (unsigned int i = 1; i < cpu_count; i++)
		came += cpu_wait_start(i, starts[i]);
	report(came == cpu_count - 1, "%s: SIPI to all others starts %u of %u", mode, came,
	       cpu_count - 1);
	smp_fence();
}

/* Linux's way: INIT, INIT level de-assert, two SIPIs. */
static void check_linux(void)
{
	u32 starts;

	cpu_init(1);
	send_ipi(ICR_INIT | ICR_LEVEL, cpus[1].apic_id);
	starts = cpus[1].starts;
	cpu_sipi(1, START_PAGE);
	WAIT(false, 200);
	cpu_sipi(1, START_PAGE);
	report(cpu_wait_start(1, starts), "%s: INIT, de-assert, SIPI, SIPI", mode);
	smp_fence();
	report(cpus[1].starts == starts + 1, "%s: one start", mode);
}

static void check_cycles(void)
{
	unsigned int bad = 0;

	for (unsigned int n = 0; n < CYCLES && !bad; n++)
		bad += !cpu_start(1 + n % (cpu_count - 1), n & 1 ? START_PAGE : OTHER_START_PAGE);
	report(!bad, "%s: %u times INIT and SIPI", mode, CYCLES);
	smp_fence();
}

static void check_all(const char *name)
{
	mode = name;
	check_msrs();
	check_running(true);
	if (!option("no-slices"))
		check_running(false);
	check_halted(true);
	check_halted(false);
	check_linux();
	check_broadcast();
	check_cycles();
}

void guest_main(void)
{
	if (!smp_start() || cpu_count == 1)
		return;
	mode = "the first start";
	check_registers(START_PAGE);
	check_all("xAPIC");
	if (!smp_has_x2apic())
		return;
	smp_set_x2apic(true);
	check_all("x2APIC");
}
