/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM finds nothing of anybody else: registers as the protocol says and otherwise zero, RAM that is
 * not the image zero. Then it sleeps until a key comes on its console: 'p' has it poison all of that
 * and reset, to be the next one's predecessor; 'q' ends it.
 */
#include "micro.h"
#include "lib/string.h"

#define RAM_END MIB(16)

static u8 fpu[4096] __attribute__((aligned(64)));

static bool is_zero(u64 from, u64 to, u64 *where)
{
	for (const volatile u64 *p = (const u64 *)(uintptr_t)from; (u64)(uintptr_t)p < to; p++) {
		if (*p) {
			*where = (u64)(uintptr_t)p;
			return false;
		}
	}
	return true;
}

#define BIOS_DATA     0x400
#define BIOS_DATA_END 0x418
#define EBDA          0x9fc00

/* What a BIOS would have left, and nothing else: COM1, the EBDA's segment, one serial port, 639 KiB; the EBDA's own size. */
static void check_bios(void)
{
	static const u64 expected[] = { 0x3f8, 0x9fc0ULL << 48, 639ULL << 24 | 0x200 };
	static const volatile uintptr_t place = BIOS_DATA;
	const volatile u64 *data = (const volatile u64 *)place;

	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++)
		report(data[i] == expected[i], "BIOS data %u: %lx", i, data[i]);
	report(*(const volatile u64 *)(uintptr_t)EBDA == 1, "the EBDA has 1 KiB");
}

static void check_ram(void)
{
	u64 end = (u64)(uintptr_t)image_end, where = 0;

	check_bios();
	report(is_zero(0, BIOS_DATA, &where) && is_zero(BIOS_DATA_END, 0x1000, &where),
	       "page 0 is zero, but not at %lx", where);
	report(is_zero(0x4000, EBDA, &where) && is_zero(EBDA + 8, 0xe0000, &where),
	       "low memory is zero, but not at %lx", where);
	report(is_zero(end, RAM_END, &where), "memory above the image is zero, but not at %lx",
	       where);
	report(is_zero(0x3000 + 16, 0x4000, &where), "nothing behind the command line, but at %lx",
	       where);
	report(is_zero(0x2000 + 512, 0x3000, &where), "nothing behind the information, but at %lx",
	       where);
	report(is_zero(0x1000 + 0x20, 0x2000, &where), "nothing behind the GDT, but at %lx", where);
}

static void check_registers(void)
{
	static const char *const names[16] = { "RAX", "RBX", "RCX", "RDX", "RSI", "RDI",
					       "RBP", "RSP", "R8",  "R9",  "R10", "R11",
					       "R12", "R13", "R14", "R15" };

	for (unsigned int i = 0; i < 16; i++) {
		u64 expected = i == 0 ? 0x2badb002 : i == 1 ? 0x2000 : 0;

		report(entry_regs[i] == expected, "%s at entry: %lx", names[i], entry_regs[i]);
	}
	report(entry_eflags == 2, "EFLAGS at entry: %x", entry_eflags);
	report(entry_cr0 == 0x11, "CR0 at entry: %x", entry_cr0);
	report(entry_cr2 == 0, "CR2 at entry: %x", entry_cr2);
	report(entry_cr3 == 0, "CR3 at entry: %x", entry_cr3);
	report(entry_cr4 == 0, "CR4 at entry: %x", entry_cr4);
	report(!read_dr0() && !read_dr1() && !read_dr2() && !read_dr3(), "DR0 to DR3 are zero");
	report(read_dr6() == 0xffff0ff0, "DR6: %lx", read_dr6());
	report(read_dr7() == 0x400, "DR7: %lx", read_dr7());
}

static const u32 msrs[] = { IA32_STAR,           IA32_LSTAR,        IA32_CSTAR,
			    IA32_FMASK,          IA32_FS_BASE,      IA32_GS_BASE,
			    IA32_KERNEL_GS_BASE, IA32_TSC_AUX,      IA32_SYSENTER_CS,
			    IA32_SYSENTER_ESP,   IA32_SYSENTER_EIP, IA32_TSC_ADJUST,
			    IA32_TSC_DEADLINE,   IA32_DEBUGCTL };

static void check_msrs(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++)
		report(!rdmsr(msrs[i]), "MSR %x: %lx", msrs[i], rdmsr(msrs[i]));
	report(rdmsr(IA32_PAT) == 0x0007040600070406, "PAT: %lx", rdmsr(IA32_PAT));
	report(rdmsr(IA32_EFER) == (EFER_LME | EFER_LMA), "EFER: %lx", rdmsr(IA32_EFER));
}

/* All state components that there are, on. */
static u64 enable_xsave(void)
{
	struct cpuid_regs r = cpuid(0xd, 0);

	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
	report(xgetbv(0) == 1, "XCR0 at entry: %lx", xgetbv(0));
	xsetbv(0, make_64(r.edx, r.eax));
	return make_64(r.edx, r.eax);
}

static void check_fpu(void)
{
	u64 mask = enable_xsave(), where = 0;
	const u16 *fcw = (const u16 *)(void *)fpu;
	const u32 *mxcsr = (const u32 *)(void *)(fpu + 24);
	u32 edx, eax;

	/* Whatever the processor would save is there as a value, also where it is the initial one. */
	memset(fpu, 0, sizeof(fpu));
	__asm__ volatile("fxsave64 %0" : "=m"(fpu));
	report(*fcw == 0x37f, "x87 control word: %x", *fcw);
	report(!fcw[1] && !fpu[4], "x87 status and tags: %x %x", fcw[1], fpu[4]);
	report(*mxcsr == 0x1f80, "MXCSR: %x", *mxcsr);
	report(is_zero((u64)(uintptr_t)fpu + 32, (u64)(uintptr_t)fpu + 416, &where),
	       "ST and XMM registers are zero");
	__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	memset(fpu, 0, sizeof(fpu));
	__asm__ volatile("xsave64 %0" : "+m"(fpu) : "a"(lower_32(mask)), "d"(upper_32(mask)));
	report(is_zero((u64)(uintptr_t)fpu + 576, (u64)(uintptr_t)fpu + sizeof(fpu), &where),
	       "YMM, ZMM and mask registers are zero");
}

#define POISON 0x5a5a5a5a5a5a5a5aULL

/* Leave something in every register and byte that the next VM on this CPU and RAM might see. */
static void poison(void)
{
	u64 end = (u64)(uintptr_t)image_end;

	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (msrs[i] != IA32_TSC_ADJUST && msrs[i] != IA32_TSC_DEADLINE &&
		    msrs[i] != IA32_DEBUGCTL)
			wrmsr(msrs[i], POISON & 0x5a5a5a5a);
	}
	wrmsr(IA32_PAT, 0);
	wrmsr(IA32_TSC_ADJUST, 12345);
	for (unsigned int i = 576; i < sizeof(fpu); i++)
		fpu[i] = 0x5a;
	memset(fpu, 0x5a, 24);
	memset(fpu + 32, 0x5a, 480);
	memset(fpu + 512, 0, 64);
	fpu[512] = (u8)xgetbv(0); /* XSTATE_BV */
	__asm__ volatile("xrstor64 %0" : : "m"(fpu), "a"(~0u), "d"(0));
	write_dr0(POISON);
	write_dr1(POISON);
	write_dr2(POISON);
	write_dr3(POISON);
	write_dr6(0xffff0fff);
	write_cr2(POISON);
	for (volatile u64 *p = (u64 *)(uintptr_t)0x4000; (u64)(uintptr_t)p < 0xe0000; p++)
		*p = POISON;
	for (volatile u64 *p = (u64 *)(uintptr_t)end; (u64)(uintptr_t)p < RAM_END; p++)
		*p = POISON;
	for (unsigned int i = 0; i < 0x1000 / 8; i++)
		((volatile u64 *)(uintptr_t)0x1000)[i] = POISON;
	memset((void *)(uintptr_t)0x3000, 0x5a, 0x1000);
}

static u8 key(void)
{
	while (!(inb(0x3fd) & 1))
		sleep(10000);
	return inb(0x3f8);
}

void guest_main(void)
{
	u8 asked;

	check_registers();
	check_msrs();
	check_ram();
	check_fpu();
	if (option("once"))
		return;
	say("%u passed, %u failed, waits for a key", passed, failed);
	do {
		asked = key();
	} while (asked != 'p' && asked != 'q');
	if (asked == 'q')
		return;
	poison();
	outb(0xcf9, 6);
	for (;;)
		cpu_pause();
}
