/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest can do to itself, chosen by "case=NAME". Most of these end the VM, with a reason that
 * the test looks for; the loops never end and must leave the CPU to others.
 */
#include "micro.h"
#include "lib/string.h"

#define NOWHERE 0x20000000ULL /* beyond the VM's RAM */

static void triple_fault(void)
{
	static struct descriptor_pointer none;

	__asm__ volatile("lidt %0\n\tud2" : : "m"(none));
}

/* CVE-2015-8104: the frame of #DB is pushed where a data breakpoint is. */
static void loop_db(void)
{
	static u8 stack[4096] __attribute__((aligned(16)));
	extern u8 task_state[];
	u64 top = (u64)(uintptr_t)(stack + sizeof(stack));

	memcpy(task_state + 36 + 8, &top, 8); /* IST2 */
	set_gate(DB, trap_entries[DB], 2);
	write_dr0(top - 40);
	write_dr7(0x401 | 1 << 16 | 2 << 18); /* write, 8 bytes: RIP's slot */
	__asm__ volatile("pushfq\n\torq $0x100, (%rsp)\n\tpopfq\n\tnop\n\tnop");
}

static void code_outside(void)
{
	__asm__ volatile("jmp *%0" : : "r"(NOWHERE));
}

static void tables_outside(void)
{
	write_cr3(NOWHERE);
}

static void stack_outside(void)
{
	__asm__ volatile("mov %0, %%rsp\n\tint3" : : "r"(NOWHERE + 0x100));
}

static void idt_outside(void)
{
	struct descriptor_pointer p = { 4095, NOWHERE };

	__asm__ volatile("lidt %0\n\tint3" : : "m"(p));
}

static void gdt_outside(void)
{
	struct descriptor_pointer p = { 0xff, NOWHERE };

	__asm__ volatile("lgdt %0\n\tmov %w1, %%ds" : : "m"(p), "r"(0x10));
}

static void push_to_device(void)
{
	__asm__ volatile("mov %0, %%rsp\n\tpush %%rax" : : "r"(0xfee00388ULL));
}

static void shift_device(void)
{
	__asm__ volatile("shll $1, (%0)" : : "a"(0xfec00010ULL) : "memory");
}

static void sse_from_hole(void)
{
	write_cr4(read_cr4() | CR4_OSFXSR);
	__asm__ volatile("addps (%0), %%xmm0" : : "a"(NOWHERE));
}

/* An exit whose next instruction lies beyond the canonical addresses. */
static void canonical_end(void)
{
	static u64 tables[3][512] __attribute__((aligned(4096)));
	static u8 code[4096] __attribute__((aligned(4096)));

	code[4094] = 0x0f; /* cpuid */
	code[4095] = 0xa2;
	pml4[255] = (u64)(uintptr_t)tables[0] | 7;
	tables[0][511] = (u64)(uintptr_t)tables[1] | 7;
	tables[1][511] = (u64)(uintptr_t)tables[2] | 7;
	tables[2][511] = (u64)(uintptr_t)code | 7;
	report(TRY("jmp *%0",
		   :
		   : "r"(0x7ffffffffffeULL)
		   : "rax", "rbx", "rcx", "rdx") == GP,
	       "#GP behind the last canonical address");
	report(trapped.rip == 0x800000000000, "it is told at %lx", trapped.rip);
	finish(MIN(failed, 255u));
}

/* Jumps to non-canonical addresses by every way that there is: #GP in the guest. */
static void noncanonical(void)
{
	const u64 bad = 0x800000000000;

	report(TRY("jmp *%0", : : "r"(bad)) == GP, "JMP to a non-canonical address is #GP");
	report(TRY("call *%0", : : "r"(bad)) == GP, "CALL");
	report(TRY("push %0\n\tret", : : "r"(bad)) == GP, "RET");
	report(TRY("push $0x10\n\tpush %%rsp\n\tpushfq\n\tpush $8\n\tpush %0\n\tiretq",
		   :
		   : "r"(bad)) == GP,
	       "IRET");
	report(TRY("mov (%0), %%rax", : : "r"(bad) : "rax") == GP, "a read");
	report(TRY("mov %0, %%rsp\n\tpush %%rax",
		   :
		   : "r"(bad)) == DF,
	       "PUSH is #SS, whose own frame has no place: #DF");
	wrmsr(IA32_EFER, rdmsr(IA32_EFER) | EFER_SCE);
	report(TRY("sysretq", : : "c"(bad), "r"((u64)0x202)) == GP, "SYSRET");
	report(TRY("lgdt (%0)", : : "r"(bad)) == GP, "LGDT");
	report(TRY("invlpg (%0)", : : "r"(bad)) == NONE, "INVLPG does nothing");
	finish(MIN(failed, 255u));
}

static void spin(void)
{
	for (;;)
		cpu_pause();
}

static void spin_cpuid(void)
{
	for (;;)
		(void)cpuid(0, 0);
}

/* A timer interrupt that is pending and masked must not end the HLT. */
static void cli_hlt(void)
{
	lapic_write(0x3e0, 0xb);
	lapic_write(0x320, 0x50);
	lapic_write(0x380, 1000);
	for (u64 end = rdtsc() + microseconds(1000); rdtsc() < end;)
		cpu_pause();
	report(lapic_read(0x200 + 0x20) & BIT(16), "the interrupt is pending");
	if (failed)
		finish(1);
	__asm__ volatile("cli\n\thlt");
	finish(2);
}

/* A storm of interrupts to itself. */
static bool again(struct frame *f)
{
	(void)f;
	lapic_write(0xb0, 0);
	lapic_write(0x300, 0x40041);
	return f->vector == 0x41;
}

static void ipi_storm(void)
{
	trap_hook = again;
	lapic_write(0x300, 0x40041);
	irq_enable();
	for (;;)
		cpu_pause();
}

static void storm_wbinvd(void)
{
	for (;;)
		__asm__ volatile("wbinvd");
}

/* The shortest periodic timer there is. */
static void timer_storm(void)
{
	irq_end = END_LAPIC;
	lapic_write(0x3e0, 0xb);
	lapic_write(0x320, 0x20041);
	lapic_write(0x380, 1);
	irq_enable();
	for (;;)
		cpu_pause();
}

static void string_io(void)
{
	for (;;)
		__asm__ volatile("rep outsb" : : "c"(~0ULL), "S"(0), "d"(0x80));
}

/* Output without end; nobody looks. */
static void console_flood(void)
{
	for (;;)
		outb(0x3f8, 'x');
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "triple-fault", triple_fault },
	{ "loop-ac", loop_ac },
	{ "loop-db", loop_db },
	{ "code-outside", code_outside },
	{ "tables-outside", tables_outside },
	{ "stack-outside", stack_outside },
	{ "idt-outside", idt_outside },
	{ "gdt-outside", gdt_outside },
	{ "push-to-device", push_to_device },
	{ "shift-device", shift_device },
	{ "sse-from-hole", sse_from_hole },
	{ "canonical-end", canonical_end },
	{ "noncanonical", noncanonical },
	{ "task-switch", task_switch },
	{ "spin", spin },
	{ "spin-cpuid", spin_cpuid },
	{ "cli-hlt", cli_hlt },
	{ "ipi-storm", ipi_storm },
	{ "timer-storm", timer_storm },
	{ "wbinvd", storm_wbinvd },
	{ "string-io", string_io },
	{ "console-flood", console_flood },
};

void guest_main(void)
{
	const char *wanted = option_value("case");

	for (unsigned int i = 0; wanted && i < ARRAY_SIZE(cases); i++) {
		size_t n = strlen(cases[i].name);

		if (strncmp(wanted, cases[i].name, n) || (wanted[n] && wanted[n] != ' '))
			continue;
		cases[i].run();
		report(false, "case %s came back", cases[i].name);
		return;
	}
	report(false, "no such case");
}
