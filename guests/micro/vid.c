/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What virtual-interrupt delivery and APIC-register virtualization do by themselves: interrupts are
 * taken at the very next instruction, and with "vid" on the command line that and their end cost no exit.
 * The places hold for software delivery as well.
 */
#include "micro.h"
#include "lib/string.h"

enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	SVR = 0xf0,
	ISR = 0x100,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR2 = 0x310,
	LVT_ERROR = 0x370,
	SELF_IPI = 0x3f0,
	SELF = 0x40000,
};

#define MMIO 0xfee00000u

static volatile u64 taken_at, taken_ppr;

static bool note(struct frame *f)
{
	if (f->vector == 0x41) {
		taken_at = f->rip;
		taken_ppr = lapic_read(PPR);
	}
	return false;
}

/* --- where it is taken --- */

#define PLACE(name, text)                                                                     \
	__asm__(".pushsection .text\n" #name ": push %rbx\n\t" text "\n" #name "_at: nop\n\t" \
		"nop\n\tcli\n\tpop %rbx\n\tret\n.popsection");                                \
	void name(void);                                                                      \
	extern const u8 name##_at[]

PLACE(at_cr8, "xor %eax, %eax\n\tmov %rax, %cr8");
PLACE(at_tpr_mmio, "mov $0xfee00080, %ebx\n\tmovl $0, (%rbx)");
PLACE(at_tpr_msr, "mov $0x808, %ecx\n\txor %eax, %eax\n\txor %edx, %edx\n\twrmsr");
PLACE(at_eoi_mmio, "mov $0xfee000b0, %ebx\n\tmovl $0, (%rbx)");
PLACE(at_eoi_msr, "mov $0x80b, %ecx\n\txor %eax, %eax\n\txor %edx, %edx\n\twrmsr");
PLACE(at_icr_mmio, "mov $0xfee00300, %ebx\n\tmovl $0x40041, (%rbx)");
PLACE(at_icr_msr, "mov $0x830, %ecx\n\tmov $0x40041, %eax\n\txor %edx, %edx\n\twrmsr");
PLACE(at_self_ipi, "mov $0x83f, %ecx\n\tmov $0x41, %eax\n\txor %edx, %edx\n\twrmsr");
PLACE(at_sti, "sti\n\tnop");
PLACE(at_popf, "pushfq\n\torq $0x200, (%rsp)\n\tpopfq");

enum before { NOTHING, TPR_HOLDS, IN_SERVICE, REQUESTED };

static const struct place {
	const char *name;
	void (*run)(void);
	const u8 *at;
	enum before before; /* what is so when it runs, with IF = 1 (REQUESTED: 0) */
	int x2apic;         /* 0, 1, or -1: either */
} places[] = {
	{ "MOV CR8", at_cr8, at_cr8_at, TPR_HOLDS, -1 },
	{ "TPR by MMIO", at_tpr_mmio, at_tpr_mmio_at, TPR_HOLDS, 0 },
	{ "TPR by MSR", at_tpr_msr, at_tpr_msr_at, TPR_HOLDS, 1 },
	{ "EOI by MMIO", at_eoi_mmio, at_eoi_mmio_at, IN_SERVICE, 0 },
	{ "EOI by MSR", at_eoi_msr, at_eoi_msr_at, IN_SERVICE, 1 },
	{ "ICR to self by MMIO", at_icr_mmio, at_icr_mmio_at, NOTHING, 0 },
	{ "ICR to self by MSR", at_icr_msr, at_icr_msr_at, NOTHING, 1 },
	{ "SELF IPI", at_self_ipi, at_self_ipi_at, NOTHING, 1 },
	{ "STI", at_sti, at_sti_at, REQUESTED, -1 },
	{ "POPF", at_popf, at_popf_at, REQUESTED, -1 },
};

static void prepare(enum before before)
{
	irq_clear();
	taken_at = 0;
	irq_end = END_NOT;
	switch (before) {
	case NOTHING: break;
	case TPR_HOLDS: lapic_write(TPR, 0x50); break;
	case IN_SERVICE:
		lapic_write(ICR, SELF | 0x71);
		wait_irq(0x71, 1, 10000);
		break;
	case REQUESTED: break;
	}
	if (before != NOTHING)
		lapic_write(ICR, SELF | 0x41);
	irq_end = END_LAPIC;
}

static void check_places(const char *mode)
{
	trap_hook = note;
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		const struct place *p = &places[i];

		if (p->x2apic >= 0 && p->x2apic != (int)lapic_is_x2apic())
			continue;
		prepare(p->before);
		if (p->before != REQUESTED)
			irq_enable();
		__asm__ volatile("call *%0" : : "r"(p->run) : "rax", "rcx", "rdx", "memory", "cc");
		irq_disable();
		report(taken_at == (u64)(uintptr_t)p->at, "%s: %s: taken at %lx, expected %lx",
		       mode, p->name, taken_at, (u64)(uintptr_t)p->at);
		report(irq_count[0x41] == 1, "%s: %s: %u came", mode, p->name, irq_count[0x41]);
		report(taken_ppr == 0x40, "%s: %s: PPR in the handler %lx", mode, p->name,
		       taken_ppr);
		lapic_write(TPR, 0);
	}
	trap_hook = NULL;
}

/* --- state --- */

static void check_order(const char *mode)
{
	static const u8 expected[] = { 0x61, 0x41, 0x31 };

	irq_clear();
	irq_end = END_LAPIC;
	lapic_write(ICR, SELF | 0x31);
	lapic_write(ICR, SELF | 0x61);
	lapic_write(ICR, SELF | 0x41);
	report(lapic_read(IRR + 0x10) == 1u << 17 && lapic_read(IRR + 0x20) == 1u << 1 &&
		       lapic_read(IRR + 0x30) == 1u << 1,
	       "%s: three are requested", mode);
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	report(irq_total == 3 && !memcmp((const void *)irq_order, expected, 3),
	       "%s: three in order: %u, %x %x %x", mode, irq_total, irq_order[0], irq_order[1],
	       irq_order[2]);
	for (u32 i = 0; i < 0x80; i += 0x10)
		report(!lapic_read(IRR + i) && !lapic_read(ISR + i), "%s: nothing is left", mode);
	report(lapic_read(PPR) == 0, "%s: PPR %x", mode, lapic_read(PPR));
}

/* What the processor leaves to the VMM, and what it must not store. */
static void check_registers(const char *mode)
{
	if (!lapic_is_x2apic()) {
		lapic_write(ID, 0x55000000);
		report(lapic_read(ID) == 0, "%s: the ID is read-only: %x", mode, lapic_read(ID));
		lapic_write(ICR2, 0x12345678);
		report(lapic_read(ICR2) == 0x12000000, "%s: ICR, upper half: %x", mode,
		       lapic_read(ICR2));
		lapic_write(ICR2, 0);
		report(lapic_read(EOI) == 0, "%s: the EOI register reads 0", mode);
	}
	lapic_write(LVT_ERROR, lapic_is_x2apic() ? 0x100ff : 0xffffffff);
	report(lapic_read(LVT_ERROR) == 0x100ff, "%s: LVT error: %x", mode, lapic_read(LVT_ERROR));
	lapic_write(ESR, 0);
	lapic_write(ICR, SELF | 5);
	lapic_write(ESR, 0);
	report(lapic_read(ESR) & 0x60, "%s: an IPI of vector 5: ESR %x", mode, lapic_read(ESR));
	lapic_write(ESR, 0);
	if (lapic_is_x2apic()) {
		wrmsr(0x83f, 5);
		lapic_write(ESR, 0);
		report(lapic_read(ESR) & 0x60, "SELF IPI of vector 5: ESR %x", lapic_read(ESR));
		lapic_write(ESR, 0);
	}
}

/* --- cost --- */

#define N    200
#define RUNS 4

/* Ticks for one @text, interrupts on; the best of some runs. */
#define COST(text, ...)                                                            \
	({                                                                         \
		u64 best = ~0ULL;                                                  \
		for (unsigned int run = 0; run < RUNS; run++) {                    \
			u64 start = rdtsc();                                       \
			for (unsigned int n = 0; n < N; n++)                       \
				__asm__ volatile(text                              \
						 :                                 \
						 : __VA_ARGS__                     \
						 : "rax", "rcx", "rdx", "memory"); \
			best = MIN(best, rdtsc() - start);                         \
		}                                                                  \
		best / N;                                                          \
	})

/* An exit costs some hundred instructions; an interrupt, its handler and its end here less than @limit. */
static void check_cost(const char *what, u64 ticks, u64 limit)
{
	say("%s: %lu ticks", what, ticks);
	if (option("vid"))
		report(ticks < limit, "%s costs no exit: %lu ticks", what, ticks);
}

static volatile u32 ended;

/* Without the library's look at IA32_APIC_BASE, which is an exit. */
static bool end_by_mmio(struct frame *f)
{
	(void)f;
	ended++;
	*(volatile u32 *)(uintptr_t)(MMIO + EOI) = 0;
	return true;
}

static bool end_by_msr(struct frame *f)
{
	(void)f;
	ended++;
	wrmsr(IA32_X2APIC(EOI), 0);
	return true;
}

static void check_costs(void)
{
	ended = 0;
	trap_hook = lapic_is_x2apic() ? end_by_msr : end_by_mmio;
	irq_enable();
	if (lapic_is_x2apic()) {
		check_cost("EOI by MSR",
			   COST("mov $0x80b, %%ecx\n\txor %%eax, %%eax\n\t"
				"xor %%edx, %%edx\n\twrmsr"),
			   50);
		check_cost("TPR by MSR",
			   COST("mov $0x808, %%ecx\n\txor %%eax, %%eax\n\t"
				"xor %%edx, %%edx\n\twrmsr"),
			   50);
		check_cost("SELF IPI",
			   COST("mov $0x83f, %%ecx\n\tmov $0x41, %%eax\n\t"
				"xor %%edx, %%edx\n\twrmsr"),
			   200);
		check_cost("ISR by MSR", COST("mov $0x812, %%ecx\n\trdmsr"), 50);
		check_cost("PPR by MSR", COST("mov $0x80a, %%ecx\n\trdmsr"), 50);
	} else {
		check_cost("EOI by MMIO", COST("mov $0xfee000b0, %%ecx\n\tmovl $0, (%%rcx)"), 50);
		check_cost("TPR by MMIO", COST("mov $0xfee00080, %%ecx\n\tmovl $0, (%%rcx)"), 50);
		check_cost("ICR to self", COST("mov $0xfee00300, %%ecx\n\tmovl $0x40041, (%%rcx)"),
			   200);
		check_cost("ISR by MMIO", COST("mov 0xfee00120, %%eax"), 50);
	}
	check_cost("CR8", COST("mov %0, %%cr8\n\tmov %%cr8, %%rax", "r"(0ULL)), 50);
	irq_disable();
	trap_hook = NULL;
	report(ended == RUNS * N, "each IPI came once: %u", ended);
}

static void check_all(const char *mode)
{
	check_places(mode);
	check_order(mode);
	check_registers(mode);
	check_costs();
}

void guest_main(void)
{
	check_all("xAPIC");
	wrmsr(IA32_APIC_BASE, rdmsr(IA32_APIC_BASE) | APIC_BASE_EXTD);
	check_all("x2APIC");
}
