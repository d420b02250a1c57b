/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: both modes, priorities, the interrupt shadow, HLT, and the timer's three modes. */
#include "micro.h"
#include "lib/string.h"

enum {
	ID = 0x20,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR2 = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_ERROR = 0x370,
	COUNT = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0,
};

static void self_ipi(u8 vector)
{
	lapic_write(ICR, 0x40000u | vector);
}

static bool bit(u32 bank, u8 vector)
{
	return lapic_read(bank + vector / 32 * 16) >> (vector % 32) & 1;
}

static void window(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

static bool came(const char *order)
{
	size_t n = strlen(order);

	if (irq_total != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (irq_order[i] != (u8)order[i])
			return false;
	}
	return true;
}

#define CAME(what, order)                                                              \
	report(came(order), what ": %u came, first %x %x %x", irq_total, irq_order[0], \
	       irq_order[1], irq_order[2])

static void check_start(void)
{
	report(lapic_read(ID) == 0, "APIC ID: %x", lapic_read(ID));
	report(lapic_read(SVR) == 0x1ff, "spurious vector register: %x", lapic_read(SVR));
	report(lapic_read(TPR) == 0 && lapic_read(PPR) == 0, "TPR and PPR are 0");
	report(lapic_read(LVT_LINT0) == 0x700, "LINT0 is ExtINT: %x", lapic_read(LVT_LINT0));
	for (u32 i = 0; i < 0x80; i += 0x10)
		report(!lapic_read(ISR + i) && !lapic_read(IRR + i) && !lapic_read(TMR + i),
		       "nothing pending");
}

static void check_priorities(const char *mode)
{
	irq_end = END_LAPIC;
	irq_clear();
	self_ipi(0x41);
	self_ipi(0x61);
	self_ipi(0x51);
	self_ipi(0x41);
	report(bit(IRR, 0x41) && bit(IRR, 0x51) && bit(IRR, 0x61),
	       "%s: three requests are in the IRR", mode);
	report(irq_total == 0, "%s: none is taken with IF = 0", mode);
	window();
	window();
	CAME("the highest first, each once", "\x61\x51\x41");
	report(!bit(IRR, 0x41) && !bit(ISR, 0x61), "%s: nothing is left", mode);

	/* By TPR, and by CR8: only above it. */
	irq_clear();
	lapic_write(TPR, 0x50);
	report(lapic_read(PPR) == 0x50, "%s: PPR follows TPR: %x", mode, lapic_read(PPR));
	self_ipi(0x41);
	self_ipi(0x5f);
	self_ipi(0x60);
	window();
	CAME("above a TPR of 50H", "\x60");
	__asm__ volatile("mov %0, %%cr8" : : "r"(4ULL));
	window();
	CAME("after CR8 = 4", "\x60\x5f");
	irq_enable();
	__asm__ volatile("mov %0, %%cr8; nop" : : "r"(3ULL) : "memory");
	irq_disable();
	CAME("lowering CR8 with IF = 1 lets it in at once", "\x60\x5f\x41");
	irq_clear();
	lapic_write(TPR, 0xff);
	self_ipi(0xff);
	window();
	CAME("TPR FFH blocks all", "");
	irq_enable();
	lapic_write(TPR, 0);
	irq_disable();
	CAME("and 0 none", "\xff");
}

/* Without an EOI a vector blocks those of its class and below. */
static void check_service(const char *mode)
{
	irq_clear();
	irq_end = END_NOT;
	self_ipi(0x51);
	window();
	report(bit(ISR, 0x51) && lapic_read(PPR) == 0x50, "%s: in service: PPR %x", mode,
	       lapic_read(PPR));
	self_ipi(0x52);
	self_ipi(0x41);
	window();
	CAME("same class and below wait", "\x51");
	self_ipi(0x51);
	report(bit(IRR, 0x51) && bit(ISR, 0x51), "%s: a vector can be in service and requested",
	       mode);
	self_ipi(0x62);
	window();
	CAME("above interrupts", "\x51\x62");
	lapic_write(EOI, 0);
	report(!bit(ISR, 0x62) && bit(ISR, 0x51), "%s: EOI ends the highest", mode);
	window();
	CAME("the next still waits", "\x51\x62");
	irq_end = END_LAPIC;
	lapic_write(EOI, 0);
	window();
	window();
	CAME("then all in order", "\x51\x62\x52\x51\x41");
	lapic_write(EOI, 0);
	report(true, "an EOI too many");
}

/* --- where an interrupt is taken: RIP in the frame --- */

static u64 taken_at;

static bool note_rip(struct frame *f)
{
	if (f->vector == 0x41)
		taken_at = f->rip;
	return false;
}

#define PLACE(name, text)                                                               \
	__asm__(".pushsection .text\n" #name ":\n" text "\n\tcli\n\tret\n.popsection"); \
	void name(void)

PLACE(p_sti, "sti\n nop\n p_sti_at: nop\n nop");
PLACE(p_sti_cli, "sti\n cli\n p_sti_cli_at: nop");
PLACE(p_hlt, "sti\n hlt\n p_hlt_at: nop");
PLACE(p_cpuid, "push %rbx\n sti\n cpuid\n p_cpuid_at: pop %rbx");
PLACE(p_mmio, "sti\n mov 0xfee00030, %eax\n p_mmio_at: nop\n nop");
PLACE(p_in, "sti\n in $0x80, %al\n p_in_at: nop\n nop");
PLACE(p_vmcall, "sti\n vmcall\n p_vmcall_at: nop\n nop");
PLACE(p_movss, "mov %ss, %eax\n sti\n mov %eax, %ss\n nop\n p_movss_at: nop");
PLACE(p_movss_io, "mov %ss, %edx\n sti\n mov %edx, %ss\n in $0x80, %al\n p_movss_io_at: nop");
PLACE(p_popf, "pushfq\n orq $0x200, (%rsp)\n popfq\n p_popf_at: nop\n nop");

static void check_shadows(void)
{
	extern const u8 p_sti_at[], p_hlt_at[], p_cpuid_at[], p_mmio_at[], p_in_at[], p_vmcall_at[],
		p_movss_at[], p_movss_io_at[], p_popf_at[];
	static const struct {
		const char *name;
		void (*run)(void);
		const u8 *at;
	} places[] = {
		{ "STI; NOP", p_sti, p_sti_at },
		{ "STI; CLI", p_sti_cli, NULL },
		{ "STI; HLT", p_hlt, p_hlt_at },
		{ "STI; CPUID", p_cpuid, p_cpuid_at },
		{ "STI; MOV from the LAPIC", p_mmio, p_mmio_at },
		{ "STI; IN", p_in, p_in_at },
		{ "STI; VMCALL", p_vmcall, p_vmcall_at },
		{ "MOV SS; NOP", p_movss, p_movss_at },
		{ "MOV SS; IN", p_movss_io, p_movss_io_at },
		{ "POPF", p_popf, p_popf_at },
	};

	irq_end = END_LAPIC;
	trap_hook = note_rip;
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		irq_clear();
		taken_at = 0;
		self_ipi(0x41);
		__asm__ volatile("call *%0"
				 :
				 : "r"(places[i].run)
				 : "rax", "rcx", "rdx", "memory", "cc");
		report(taken_at == (u64)(uintptr_t)places[i].at, "%s: taken at %lx, expected %lx",
		       places[i].name, taken_at, (u64)(uintptr_t)places[i].at);
		report(irq_total == !!places[i].at, "%s: %u came", places[i].name, irq_total);
		window();
	}
	trap_hook = NULL;
}

/* --- errors, and a switched-off APIC --- */

static void check_errors(void)
{
	irq_end = END_LAPIC;
	irq_clear();
	lapic_write(ESR, 0);
	lapic_write(LVT_ERROR, 0x45);
	self_ipi(5);
	lapic_write(ESR, 0);
	report(lapic_read(ESR) & 0x60, "an IPI of vector 5 is an error: %x", lapic_read(ESR));
	window();
	CAME("the error interrupt", "\x45");
	lapic_write(ESR, 0);
	lapic_write(ESR, 0);
	report(lapic_read(ESR) == 0, "the ESR is empty again: %x", lapic_read(ESR));
	lapic_write(LVT_ERROR, 0x10000);

	irq_clear();
	lapic_write(SVR, 0xff);
	report(lapic_read(LVT_TIMER) & lapic_read(LVT_LINT0) & 0x10000,
	       "software-disabled: the LVT is masked");
	lapic_write(LVT_TIMER, 0x50);
	report(lapic_read(LVT_TIMER) & 0x10000, "and stays so");
	self_ipi(0x41);
	window();
	CAME("and no interrupt is taken", "");
	lapic_write(SVR, 0x1ff);
	lapic_write(LVT_LINT0, 0x700);
	window();
	irq_clear();
}

/* --- timer --- */

static void halt_until(u8 vector, u32 n, u64 us)
{
	u64 end = rdtsc() + microseconds(us);

	while (irq_count[vector] < n && rdtsc() < end)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void check_timer(const char *mode)
{
	u64 start, took;
	u32 a, b;

	irq_end = END_LAPIC;
	irq_clear();
	lapic_write(DIVIDE, 0xb); /* by 1 */
	lapic_write(LVT_TIMER, 0x50);
	start = rdtsc();
	lapic_write(COUNT, (u32)microseconds(2000));
	a = lapic_read(CURRENT);
	b = lapic_read(CURRENT);
	report(a <= microseconds(2000) && b < a && b, "%s: the count goes down: %u, %u", mode, a,
	       b);
	halt_until(0x50, 1, 1000000);
	took = rdtsc() - start;
	CAME("one-shot", "\x50");
	report(took >= microseconds(2000), "%s: not early: %lu ticks", mode, took);
	if (!option("shared"))
		/* Some exits are on the way: on a hypervisor below ours each takes ten thousands of ticks. */
		report(took < microseconds(2100) + 8 * exit_ticks(), "%s: not late: %lu ticks",
		       mode, took);
	report(lapic_read(CURRENT) == 0, "%s: the count stays 0", mode);
	report(!wait_irq(0x50, 2, 5000), "%s: once", mode);

	irq_clear();
	lapic_write(DIVIDE, 0x3); /* by 16 */
	start = rdtsc();
	lapic_write(COUNT, (u32)microseconds(1000) / 16);
	halt_until(0x50, 1, 1000000);
	took = rdtsc() - start;
	report(irq_count[0x50] == 1 && took >= microseconds(1000) - 32,
	       "%s: divided by 16: %lu ticks", mode, took);

	irq_clear();
	lapic_write(DIVIDE, 0xb);
	lapic_write(LVT_TIMER, 0x20051);
	start = rdtsc();
	lapic_write(COUNT, (u32)microseconds(500));
	halt_until(0x51, 10, 3000000);
	took = rdtsc() - start;
	report((irq_count[0x51] == 10 || (option("shared") && irq_count[0x51] > 10)) &&
		       took >= microseconds(5000) - microseconds(1),
	       "%s: periodic, 10 in %lu ticks", mode, took);
	lapic_write(LVT_TIMER, 0x10051);
	window();
	irq_clear();
	report(!wait_irq(0x51, 1, 3000), "%s: masked, it is quiet", mode);
	lapic_write(COUNT, 0);
	report(lapic_read(CURRENT) == 0, "%s: a count of 0 stops it", mode);
	window();

	irq_clear();
	lapic_write(LVT_TIMER, 0x40052);
	lapic_write(COUNT, 1000);
	report(lapic_read(COUNT) == 0 || lapic_read(CURRENT) == 0, "%s: deadline mode has no count",
	       mode);
	start = rdtsc();
	wrmsr(IA32_TSC_DEADLINE, start + microseconds(1000));
	report(rdmsr(IA32_TSC_DEADLINE) == start + microseconds(1000),
	       "%s: the deadline reads back", mode);
	halt_until(0x52, 1, 1000000);
	took = rdtsc() - start;
	report(irq_count[0x52] == 1 && took >= microseconds(1000), "%s: deadline: %lu ticks", mode,
	       took);
	report(rdmsr(IA32_TSC_DEADLINE) == 0, "%s: then it is disarmed", mode);
	wrmsr(IA32_TSC_DEADLINE, 1);
	window();
	report(irq_count[0x52] == 2, "%s: a deadline in the past comes at once", mode);
	wrmsr(IA32_TSC_DEADLINE, rdtsc() + microseconds(1000));
	wrmsr(IA32_TSC_DEADLINE, 0);
	report(!wait_irq(0x52, 3, 3000), "%s: 0 disarms", mode);
	wrmsr(IA32_TSC_DEADLINE, rdtsc() + microseconds(1000));
	lapic_write(LVT_TIMER, 0x10052);
	report(rdmsr(IA32_TSC_DEADLINE) == 0, "%s: leaving the mode disarms", mode);
	/* TSC_ADJUST moves the TSC, and the deadline is in that time. */
	irq_clear();
	lapic_write(LVT_TIMER, 0x40053);
	wrmsr(IA32_TSC_ADJUST, rdmsr(IA32_TSC_ADJUST) + GIB(64));
	start = rdtsc();
	wrmsr(IA32_TSC_DEADLINE, start + microseconds(1000));
	halt_until(0x53, 1, 1000000);
	took = rdtsc() - start;
	report(irq_count[0x53] == 1 && took >= microseconds(1000),
	       "%s: deadline with a moved TSC: %lu ticks", mode, took);
	wrmsr(IA32_TSC_ADJUST, 0);
	lapic_write(LVT_TIMER, 0x10000);
}

/* Request, HLT, interrupt: with IRR set across the HLT, and TPR in the way. */
static void check_halt(void)
{
	u64 start;

	irq_end = END_LAPIC;
	irq_clear();
	self_ipi(0x41);
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	CAME("a request before STI; HLT ends the HLT", "\x41");
	/* One that the TPR blocks does not; the timer's does. */
	irq_clear();
	lapic_write(TPR, 0x50);
	self_ipi(0x42);
	lapic_write(LVT_TIMER, 0x61);
	lapic_write(DIVIDE, 0xb);
	start = rdtsc();
	lapic_write(COUNT, (u32)microseconds(1000));
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	CAME("a request below the TPR does not", "\x61");
	report(rdtsc() - start >= microseconds(1000), "it slept: %lu ticks", rdtsc() - start);
	lapic_write(TPR, 0);
	window();
	lapic_write(LVT_TIMER, 0x10000);
}

/* --- x2APIC --- */

static bool x2apic_has(u32 reg, bool write)
{
	static const struct {
		u16 first, last;
		bool read, write;
	} regs[] = {
		{ 0x802, 0x803, true, false }, { 0x808, 0x808, true, true },
		{ 0x80a, 0x80a, true, false }, { 0x80b, 0x80b, false, true },
		{ 0x80d, 0x80d, true, false }, { 0x80f, 0x80f, true, true },
		{ 0x810, 0x827, true, false }, { 0x828, 0x828, true, true },
		{ 0x830, 0x830, true, true },  { 0x832, 0x838, true, true },
		{ 0x839, 0x839, true, false }, { 0x83e, 0x83e, true, true },
		{ 0x83f, 0x83f, false, true },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++) {
		if (reg >= regs[i].first && reg <= regs[i].last)
			return write ? regs[i].write : regs[i].read;
	}
	return false;
}

static void check_x2apic_registers(void)
{
	unsigned int before = failed;
	u64 value;

	for (u32 msr = 0x800; msr < 0x900; msr++) {
		bool readable = msr_try_read(msr, &value);

		if (readable != x2apic_has(msr, false))
			report(false, "x2APIC MSR %x: read gives %s", msr,
			       readable ? "a value" : "#GP");
		if (msr != 0x830 && msr_try_write(msr, ~0ULL))
			report(false, "x2APIC MSR %x: a write of all ones gives no #GP", msr);
		if (msr_try_write(msr, BIT(32)) && msr != 0x830)
			report(false, "x2APIC MSR %x: a write of bit 32 gives no #GP", msr);
		if (msr == 0x80b || msr == 0x83f || msr == 0x830)
			continue;
		if (!readable)
			value = 0;
		if (msr_try_write(msr, msr == 0x828 ? 0 : value) != x2apic_has(msr, true))
			report(false, "x2APIC MSR %x: write", msr);
	}
	report(failed == before, "all x2APIC registers");
	report(!msr_try_write(0x80b, 1), "EOI of 1 is #GP");
	report(!msr_try_write(0x83f, 0x100), "SELF IPI of 100H is #GP");
	report(!msr_try_write(0x830, BIT(13) | 0x40041), "ICR with a reserved bit is #GP");
	report(!msr_try_write(0x80f, 0x400), "SVR with a reserved bit is #GP");
	report(!msr_try_write(0x832, 0x80000), "LVT timer with a reserved bit is #GP");
	window();
}

static void check_x2apic(void)
{
	wrmsr(IA32_APIC_BASE, rdmsr(IA32_APIC_BASE) | APIC_BASE_EXTD);
	report(lapic_read(ID) == 0 && lapic_read(LDR) == 1, "x2APIC: ID %x, LDR %x", lapic_read(ID),
	       lapic_read(LDR));
	report(*(volatile u32 *)(uintptr_t)0xfee00030 == ~0u, "x2APIC: the page is gone");
	check_x2apic_registers();
	check_priorities("x2APIC");
	check_service("x2APIC");
	irq_clear();
	irq_end = END_LAPIC;
	wrmsr(0x83f, 0x44);
	wrmsr(0x830, 0x45);                       /* physical, to ID 0 */
	wrmsr(0x830, 1ULL << 32 | 0x800 | 0x46);  /* logical */
	wrmsr(0x830, 0xffffffffULL << 32 | 0x47); /* broadcast */
	wrmsr(0x830, 5ULL << 32 | 0x48);          /* to nobody */
	wrmsr(0x830, 0xc0000 | 0x49);             /* all but self */
	window();
	window();
	CAME("x2APIC: self, physical, logical, broadcast", "\x47\x46\x45\x44");
	check_timer("x2APIC");
	check_halt();
	wrmsr(IA32_APIC_BASE, rdmsr(IA32_APIC_BASE) & ~(APIC_BASE_EN | APIC_BASE_EXTD));
	wrmsr(IA32_APIC_BASE, rdmsr(IA32_APIC_BASE) | APIC_BASE_EN);
	report(lapic_read(SVR) == 0xff, "after off and on it is as after a reset: SVR %x",
	       lapic_read(SVR));
	lapic_write(SVR, 0x1ff);
}

static void check_xapic_ipis(void)
{
	irq_end = END_LAPIC;
	irq_clear();
	lapic_write(LDR, 0x02000000);
	report(lapic_read(LDR) == 0x02000000, "LDR: %x", lapic_read(LDR));
	lapic_write(ICR2, 0);
	lapic_write(ICR, 0x44); /* physical, to ID 0 */
	lapic_write(ICR2, 0x02000000);
	lapic_write(ICR, 0x845); /* logical */
	lapic_write(ICR2, 0xff000000);
	lapic_write(ICR, 0x46);    /* broadcast */
	lapic_write(ICR, 0x80047); /* all */
	lapic_write(ICR, 0xc0048); /* others */
	lapic_write(ICR2, 0x05000000);
	lapic_write(ICR, 0x49); /* nobody */
	lapic_write(ICR2, 0x04000000);
	lapic_write(ICR, 0x84a); /* logical, nobody */
	report(!(lapic_read(ICR) & 0x1000), "delivery status is idle");
	window();
	window();
	CAME("xAPIC: physical, logical, broadcast, all", "\x47\x46\x45\x44");
}

void guest_main(void)
{
	check_start();
	check_priorities("xAPIC");
	check_service("xAPIC");
	check_shadows();
	check_errors();
	check_xapic_ipis();
	check_timer("xAPIC");
	check_halt();
	check_x2apic();
	check_priorities("xAPIC again");
}
