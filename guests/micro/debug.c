/* SPDX-License-Identifier: BSD-2-Clause */
/* Debug exceptions: single steps over instructions that the VMM completes, breakpoints, MOV SS. */
#include "micro.h"
#include "lib/string.h"

static struct {
	unsigned int n;
	u64 rip[64];
	u64 dr6[64];
	int vector[64];
} log;

/* Notes each #DB and #BP and goes on; clears TF at the end marker. */
static u64 stop_at;
static u8 in_handler_cpuid;
static unsigned int nmis;

static bool note(struct frame *f)
{
	if (f->vector == 2) {
		nmis++;
		return true;
	}
	if (f->vector != DB && f->vector != BP)
		return false;
	if (log.n < ARRAY_SIZE(log.rip)) {
		log.rip[log.n] = f->rip;
		log.vector[log.n] = (int)f->vector;
		log.dr6[log.n++] = read_dr6();
	}
	if (f->vector == DB)
		write_dr6(0xffff0ff0);
	if (f->rip == stop_at || log.n >= ARRAY_SIZE(log.rip))
		f->rflags &= ~0x100ULL;
	if (in_handler_cpuid)
		(void)cpuid(0, 0);
	if (f->vector == DB && (log.dr6[log.n - 1] & 0xf))
		f->rflags |= BIT(16); /* RF: past an instruction breakpoint */
	return true;
}

static void start(const void *end)
{
	memset(&log, 0, sizeof(log));
	stop_at = (u64)(uintptr_t)end;
	trap_hook = note;
}

static bool stepped_to(const u8 *address)
{
	for (unsigned int i = 0; i < log.n; i++) {
		if (log.rip[i] == (u64)(uintptr_t)address)
			return true;
	}
	return false;
}

#define TEXT(name, body)                                                    \
	__asm__(".pushsection .text\n.globl " #name "\n" #name ":\n\t" body \
		"\n\tret\n.popsection");                                    \
	void name(void)

/* TF on; each instruction; TF off by the handler at its end. */
TEXT(steps, "push %rbx; pushfq; orq $0x100, (%rsp); popfq\n"
	    "s_nop: nop\n s_cpuid: cpuid\n s_in: in $0x80, %al\n s_out: out %al, $0x80\n"
	    "s_mov: mov $0x1b, %ecx\n s_rdmsr: rdmsr\n s_wrmsr: wrmsr\n"
	    "s_mmio: mov 0xfee00030, %eax\n s_vmcall: vmcall\n s_invd: wbinvd\n s_cr: mov %cr0, "
	    "%rax\n s_cr8: mov %rdx, %cr8\n"
	    "s_last: nop\n s_end: pop %rbx");

static void check_steps(void)
{
	extern const u8 s_nop[], s_cpuid[], s_in[], s_out[], s_mov[], s_rdmsr[], s_wrmsr[],
		s_mmio[], s_vmcall[], s_invd[], s_cr[], s_cr8[], s_last[], s_end[];
	static const struct {
		const char *name;
		const u8 *behind;
	} step[] = {
		{ "NOP", s_cpuid },        { "CPUID", s_in },
		{ "IN", s_out },           { "OUT", s_mov },
		{ "MOV", s_rdmsr },        { "RDMSR", s_wrmsr },
		{ "WRMSR", s_mmio },       { "MOV from the LAPIC", s_vmcall },
		{ "VMCALL", s_invd },      { "WBINVD", s_cr },
		{ "MOV from CR0", s_cr8 }, { "MOV to CR8", s_last },
		{ "the last", s_end },
	};

	(void)s_nop;
	start(s_end);
	__asm__ volatile("xor %%edx, %%edx\n\tcall steps"
			 :
			 :
			 : "rax", "rcx", "rdx", "memory", "cc");
	for (unsigned int i = 0; i < ARRAY_SIZE(step); i++)
		report(stepped_to(step[i].behind), "a single step of %s ends behind it",
		       step[i].name);
	for (unsigned int i = 0; i < log.n; i++)
		report((log.dr6[i] & 0x400f) == 0x4000, "DR6.BS alone: %lx", log.dr6[i]);
}

TEXT(icebp, "i_at: .byte 0xf1\n i_end: nop");
TEXT(int3, "int3\n b_end: nop");

static void check_icebp(void)
{
	extern const u8 i_end[], b_end[];

	start(NULL);
	int3();
	report(log.n == 1 && log.vector[0] == BP && log.rip[0] == (u64)(uintptr_t)b_end,
	       "INT3 is a trap: %u, RIP %lx", log.n, log.rip[0]);
	start(NULL);
	icebp();
	report(log.n == 1 && log.vector[0] == DB && log.rip[0] == (u64)(uintptr_t)i_end,
	       "INT1 is a trap: %u, RIP %lx, expected %lx", log.n, log.rip[0],
	       (u64)(uintptr_t)i_end);
}

static u64 watched[2] __attribute__((aligned(16)));

TEXT(breakpoints, "nop\n e_at: cpuid\n e_end: nop");
TEXT(touch, "movq $1, watched\n t_end: nop");

static void check_breakpoints(void)
{
	extern const u8 e_at[], t_end[];

	start(NULL);
	write_dr0((u64)(uintptr_t)e_at);
	write_dr7(0x401 | 1 << 9);
	__asm__ volatile("push %%rbx\n\tcall breakpoints\n\tpop %%rbx"
			 :
			 :
			 : "rax", "rcx", "rdx", "memory");
	write_dr7(0x400);
	report(log.n == 1 && log.rip[0] == (u64)(uintptr_t)e_at && (log.dr6[0] & 0xf) == 1,
	       "a breakpoint on CPUID: %u, RIP %lx, DR6 %lx", log.n, log.rip[0], log.dr6[0]);
	start(NULL);
	write_dr1((u64)(uintptr_t)watched);
	write_dr7(0x400 | 1 << 2 | 1 << 20 | 2 << 22); /* L1, write, 8 bytes */
	touch();
	write_dr7(0x400);
	report(log.n == 1 && log.rip[0] == (u64)(uintptr_t)t_end && (log.dr6[0] & 0xf) == 2,
	       "a watchpoint: %u, RIP %lx, DR6 %lx", log.n, log.rip[0], log.dr6[0]);
	report(read_dr7() == 0x400, "DR7 reads back: %lx", read_dr7());
}

TEXT(guarded, "g_at: mov %dr0, %rax\n g_end: nop");

static bool guard_hook(struct frame *f)
{
	if (f->vector != DB)
		return false;
	log.rip[log.n] = f->rip;
	log.dr6[log.n] = read_dr6(); /* allowed: GD was cleared at delivery */
	log.dr6[log.n + 1] = read_dr7();
	log.n++;
	write_dr6(0xffff0ff0);
	return true;
}

static void check_general_detect(void)
{
	extern const u8 g_at[];

	start(NULL);
	trap_hook = guard_hook;
	write_dr7(0x400 | BIT(13));
	guarded();
	report(log.n == 1 && log.rip[0] == (u64)(uintptr_t)g_at && (log.dr6[0] & BIT(13)),
	       "DR7.GD: %u, RIP %lx, DR6 %lx", log.n, log.rip[0], log.dr6[0]);
	report(!(log.dr6[1] & BIT(13)), "GD is off in the handler: %lx", log.dr6[1]);
	write_dr7(0x400);
}

/* CVE-2018-8897: a data breakpoint on MOV SS is held back over the next instruction. */
static u16 selector[4] __attribute__((aligned(8))) = { 0x10 };

TEXT(movss_cpuid, "push %rbx\n mov selector, %ss\n cpuid\n m_cpuid: pop %rbx");
TEXT(movss_int, "mov selector, %ss\n int $0x40\n m_int: nop");
TEXT(movss_int3, "mov selector, %ss\n int3\n m_int3: nop");
TEXT(movss_in, "mov selector, %ss\n in $0x80, %al\n m_in: nop");
TEXT(movss_mmio, "mov selector, %ss\n mov 0xfee00030, %eax\n m_mmio: nop");
TEXT(movss_vmcall, "mov selector, %ss\n vmcall\n m_vmcall: nop");

static void watch_selector(void)
{
	start(NULL);
	write_dr0((u64)(uintptr_t)selector);
	write_dr7(0x401 | 3 << 16 | 1 << 18); /* L0, read or write, 2 bytes */
}

static void check_movss(void)
{
	extern const u8 m_cpuid[], m_in[], m_mmio[], m_vmcall[];
	static const struct {
		const char *name;
		void (*run)(void);
		const u8 *
			behind; /* NULL: an INT, the #DB comes at its handler's first instruction */
	} cases[] = {
		{ "CPUID", movss_cpuid, m_cpuid },
		{ "IN", movss_in, m_in },
		{ "MOV from the LAPIC", movss_mmio, m_mmio },
		{ "VMCALL", movss_vmcall, m_vmcall },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		watch_selector();
		__asm__ volatile("call *%0" : : "r"(cases[i].run) : "rax", "rcx", "rdx", "memory");
		write_dr7(0x400);
		report(log.n == 1 && log.rip[0] == (u64)(uintptr_t)cases[i].behind &&
			       (log.dr6[0] & 1),
		       "a data breakpoint on MOV SS before %s: %u exceptions, RIP %lx, expected "
		       "%lx, DR6 %lx",
		       cases[i].name, log.n, log.rip[0], (u64)(uintptr_t)cases[i].behind,
		       log.dr6[0]);
	}
	irq_clear();
	watch_selector();
	movss_int();
	write_dr7(0x400);
	report(irq_count[0x40] == 1 && log.n <= 1,
	       "MOV SS with a breakpoint before INT: %u interrupts, %u #DB", irq_count[0x40],
	       log.n);
	watch_selector();
	movss_int3();
	write_dr7(0x400);
	report(log.n >= 1 && log.n <= 2, "MOV SS with a breakpoint before INT3: %u exceptions",
	       log.n);
}

#define RF BIT(16)

/* What the VMM finds wrong is a fault as if the processor had found it: the image of its flags has RF set. */
static void check_fault_images(void)
{
	u8 *nowhere = window_map(0, 0);

	trap_hook = NULL;
	report(TRY("ud2",
		   :
		   :) == UD &&
		       (trapped.rflags & RF),
	       "the processor's own #UD: %lx", trapped.rflags);
	report(TRY("rdmsr",
		   :
		   : "c"(0x480)
		   : "rax", "rdx") == GP &&
		       (trapped.rflags & RF),
	       "RDMSR: flags %lx", trapped.rflags);
	report(TRY("wrmsr",
		   :
		   : "c"(0x480), "a"(0), "d"(0)) == GP &&
		       (trapped.rflags & RF),
	       "WRMSR: flags %lx", trapped.rflags);
	report(TRY("mov %0, %%cr4",
		   :
		   : "r"(read_cr4() | BIT(31))) == GP &&
		       (trapped.rflags & RF),
	       "MOV to CR4: flags %lx", trapped.rflags);
	report(TRY("vmxoff",
		   :
		   :) == UD &&
		       (trapped.rflags & RF),
	       "VMXOFF: flags %lx", trapped.rflags);
	report(TRY("outsb",
		   :
		   : "S"(nowhere), "d"(0x80)) == PF &&
		       (trapped.rflags & RF),
	       "OUTS: flags %lx", trapped.rflags);
}

TEXT(behind_ioapic, "push %rbx\n mov 0xfec00000, %eax\n r_ioapic: nop\n pop %rbx");
TEXT(behind_lapic, "push %rbx\n mov 0xfee00030, %eax\n r_lapic: nop\n pop %rbx");
TEXT(behind_cpuid, "push %rbx\n cpuid\n r_cpuid: nop\n pop %rbx");

/* An access that the VMM emulates is a fault to the processor, with RF set: it ends with the instruction. */
static void check_breakpoint_behind(void)
{
	extern const u8 r_ioapic[], r_lapic[], r_cpuid[];
	static const struct {
		const char *name;
		void (*run)(void);
		const u8 *behind;
	} cases[] = {
		{ "MOV from the I/O APIC", behind_ioapic, r_ioapic },
		{ "MOV from the LAPIC", behind_lapic, r_lapic },
		{ "CPUID", behind_cpuid, r_cpuid },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		start(NULL);
		write_dr0((u64)(uintptr_t)cases[i].behind);
		write_dr7(0x401);
		__asm__ volatile("call *%0" : : "r"(cases[i].run) : "rax", "rcx", "rdx", "memory");
		write_dr7(0x400);
		report(log.n == 1 && log.rip[0] == (u64)(uintptr_t)cases[i].behind &&
			       (log.dr6[0] & 1),
		       "a breakpoint behind %s: %u exceptions, RIP %lx, DR6 %lx", cases[i].name,
		       log.n, log.rip[0], log.dr6[0]);
	}
}

#define TF_ON    "pushfq\n orq $0x100, (%rsp)\n popfq\n"
#define TF_IF_ON "pushfq\n orq $0x300, (%rsp)\n popfq\n"

TEXT(step_ipi, TF_IF_ON "mov $0x40061, %eax\n mov %eax, 0xfee00300\n z_ipi: nop\n z_ipi_end: cli");
TEXT(step_nmi, TF_ON "mov $0x400, %eax\n mov %eax, 0xfee00300\n z_nmi: nop\n z_nmi_end: nop");
TEXT(step_hlt, TF_ON "sti\n z_sti: hlt\n z_hlt: nop\n z_hlt_end: nop");
TEXT(movss_ipi, "sti\n mov $0x40061, %edx\n mov $0xfee00300, %eax\n mov selector, %ss\n"
		"mov %edx, (%rax)\n z_movss: cli");

TEXT(step_outs, TF_ON "x_outs: rep outsb\n x_behind: nop\n x_end: nop");
TEXT(break_outs, "x_break: rep outsb\n nop");

static void run_outs(void (*run)(void), u64 count)
{
	__asm__ volatile("call *%2"
			 : "+c"(count)
			 : "S"(selector), "r"(run), "d"(0x80)
			 : "memory", "cc");
}

/* A step over a repeated instruction is one over each element; a breakpoint on it is met once. */
static void check_repeated(void)
{
	extern const u8 x_outs[], x_end[], x_break[];
	unsigned int here = 0;

	start(x_end);
	run_outs(step_outs, 4);
	for (unsigned int i = 0; i < log.n; i++)
		here += log.rip[i] == (u64)(uintptr_t)x_outs;
	report(here == 3, "steps over REP OUTS of 4: %u at it, %u in all", here, log.n);
	start(NULL);
	write_dr0((u64)(uintptr_t)x_break);
	write_dr7(0x401);
	run_outs(break_outs, 200);
	write_dr7(0x400);
	report(log.n == 1 && log.rip[0] == (u64)(uintptr_t)x_break,
	       "a breakpoint on REP OUTS of 200: %u times", log.n);
}

/* What is sent or comes while a single instruction is stepped over does not displace its trap. */
static void check_step_and_interrupt(void)
{
	extern const u8 z_ipi[], z_ipi_end[], z_nmi[], z_nmi_end[], z_sti[], z_hlt[], z_hlt_end[];
	extern const u8 z_movss[];

	irq_end = END_LAPIC;
	irq_clear();
	start(z_ipi_end);
	__asm__ volatile("call step_ipi" : : : "rax", "memory", "cc");
	report(stepped_to(z_ipi) && irq_count[0x61] == 1,
	       "a step over an IPI to self: %u steps, %u interrupts", log.n, irq_count[0x61]);
	start(z_nmi_end);
	nmis = 0;
	lapic_write(0x310, lapic_read(0x20));
	__asm__ volatile("call step_nmi" : : : "rax", "memory", "cc");
	report(stepped_to(z_nmi) && nmis == 1, "a step over an NMI to self: %u steps, %u NMIs",
	       log.n, nmis);

	start(z_hlt_end);
	lapic_write(0x3e0, 0xb);
	lapic_write(0x320, 0x62);
	lapic_write(0x380, (u32)microseconds(1000));
	__asm__ volatile("call step_hlt\n\tcli" : : : "memory", "cc");
	report(stepped_to(z_sti) && stepped_to(z_hlt), "steps over STI and HLT: %u", log.n);
	lapic_write(0x320, 0x10000);
	lapic_write(0x380, 0);

	irq_clear();
	watch_selector();
	__asm__ volatile("call movss_ipi" : : : "rax", "rdx", "memory", "cc");
	write_dr7(0x400);
	report(log.n == 1 && log.rip[0] == (u64)(uintptr_t)z_movss && (log.dr6[0] & 1) &&
		       irq_count[0x61] == 1,
	       "a breakpoint on MOV SS before an IPI to self: %u exceptions, RIP %lx, DR6 %lx, %u "
	       "interrupts",
	       log.n, log.rip[0], log.dr6[0], irq_count[0x61]);
}

TEXT(plain_sti_int1, "sti\n .byte 0xf1\n y_sti: nop\n cli");
TEXT(plain_movss_int1, "mov selector, %ss\n .byte 0xf1\n y_movss: nop");
TEXT(step_sti_int1, TF_ON "sti\n .byte 0xf1\n y_step_sti: cli\n y_step_sti_end: nop");
TEXT(step_movss_int1,
     TF_ON "mov selector, %ss\n .byte 0xf1\n y_step_movss: nop\n y_movss_end: nop");
TEXT(step_movss_dr, TF_ON "mov selector, %ss\n y_dr: mov %dr0, %rax\n nop\n y_dr_end: nop");

/* A #DB in the shadow of STI or MOV SS, stepped over or not, gets to its handler. */
static void check_shadows(void)
{
	extern const u8 y_sti[], y_movss[], y_step_sti[], y_step_movss[], y_dr[];
	extern const u8 y_step_sti_end[], y_movss_end[], y_dr_end[];
	static const struct {
		const char *name;
		void (*run)(void);
		const u8 *at, *end;
		u64 dr7;
	} cases[] = {
		{ "STI, INT1", plain_sti_int1, y_sti, NULL, 0x400 },
		{ "MOV SS, INT1", plain_movss_int1, y_movss, NULL, 0x400 },
		{ "TF, STI, INT1", step_sti_int1, y_step_sti, y_step_sti_end, 0x400 },
		{ "TF, MOV SS, INT1", step_movss_int1, y_step_movss, y_movss_end, 0x400 },
		{ "TF, MOV SS, MOV DR", step_movss_dr, y_dr, y_dr_end, 0x400 | BIT(13) },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		start(cases[i].end);
		write_dr7(cases[i].dr7);
		__asm__ volatile("call *%0" : : "r"(cases[i].run) : "rax", "memory", "cc");
		write_dr7(0x400);
		report(stepped_to(cases[i].at), "%s: %u exceptions, RIP %lx, expected %lx",
		       cases[i].name, log.n, log.rip[0], (u64)(uintptr_t)cases[i].at);
	}
}

/* DR7 while the handler makes exits, DR6 as the guest left it. */
static void check_kept(void)
{
	write_dr6(0xffff0ff2);
	write_dr7(0x500);
	(void)cpuid(0, 0);
	report((read_dr6() & 0xf) == 2, "DR6 outlives an exit: %lx", read_dr6());
	report(read_dr7() == 0x500, "DR7 outlives an exit: %lx", read_dr7());
	write_dr7(0x400);
	write_dr6(0xffff0ff0);
	report(TRY("mov %0, %%dr7", : : "r"(BIT(32))) == GP, "DR7's upper half is #GP");
	report(TRY("mov %0, %%dr6", : : "r"(BIT(32))) == GP, "DR6's upper half is #GP");
}

void guest_main(void)
{
	check_kept();
	check_steps();
	check_icebp();
	check_breakpoints();
	check_general_detect();
	check_movss();
	check_fault_images();
	check_breakpoint_behind();
	check_step_and_interrupt();
	check_shadows();
	check_repeated();
	in_handler_cpuid = 1;
	check_steps();
}
