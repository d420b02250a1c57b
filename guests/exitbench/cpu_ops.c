/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions, MSRs and control registers. */
#include "bench.h"

#define NO_SUCH_MSR  0x1234
#define NO_SUCH_CALL 0x7fffffff

#define ASM_OP(name, text)                                                               \
	static void name(void)                                                           \
	{                                                                                \
		__asm__ volatile(text : : : "rax", "rbx", "rcx", "rdx", "memory", "cc"); \
	}

ASM_OP(do_cpuid, "xor %%eax, %%eax\n\tcpuid")
ASM_OP(do_vmcall, "mov $0x7fffffff, %%eax\n\tvmcall")
ASM_OP(do_mov_from_cr8, "mov %%cr8, %%rax")
ASM_OP(do_mov_to_cr8, "xor %%eax, %%eax\n\tmov %%rax, %%cr8")
ASM_OP(do_mov_dr, "xor %%eax, %%eax\n\tmov %%rax, %%db0")
ASM_OP(do_wbinvd, "wbinvd")
ASM_OP(do_pause_loop, "mov $4096, %%ecx\n1:\n\tpause\n\tdec %%ecx\n\tjnz 1b")

/* An MSR that is switched anyway; one that is the hypervisor's to answer; one that is not there. */
ASM_OP(do_rdmsr_pass, "mov $0xc0000102, %%ecx\n\trdmsr")
ASM_OP(do_rdmsr_emulated, "mov $0x1b, %%ecx\n\trdmsr")
ASM_OP(do_wr_kernel_gs_base,
       "mov $0xc0000102, %%ecx\n\txor %%eax, %%eax\n\txor %%edx, %%edx\n\twrmsr")

static void do_rdmsr_refused(void)
{
	(void)TRY("rdmsr", : : "c"(NO_SUCH_MSR) : "rax", "rdx", "memory");
}

static void do_wrmsr_refused(void)
{
	(void)TRY("wrmsr", : : "c"(NO_SUCH_MSR), "a"(0), "d"(0) : "memory");
}

static const char *refused(u64 executed)
{
	(void)executed;
	return trapped.vector == GP ? NULL : "no #GP came";
}

/* What was there before: written by begin(), written again by the operation. */
static u64 cr0, cr4, xcr0, apic_base;

static const char *read_apic_base(void)
{
	apic_base = rdmsr(IA32_APIC_BASE);
	return NULL;
}

static void do_wrmsr_emulated(void)
{
	wrmsr(IA32_APIC_BASE, apic_base);
}

static const char *has_tsc_adjust(void)
{
	return cpuid(0, 0).eax >= 7 && cpuid(7, 0).ebx & BIT(1) ? NULL : "no IA32_TSC_ADJUST";
}

static void do_wr_tsc_adjust(void)
{
	wrmsr(IA32_TSC_ADJUST, 0);
}

static const char *read_cr0_first(void)
{
	cr0 = read_cr0();
	return NULL;
}

static void do_toggle_cr0_wp(void)
{
	write_cr0(cr0 ^ CR0_WP);
	write_cr0(cr0);
}

static const char *read_cr4_first(void)
{
	cr4 = read_cr4();
	return cpuid(1, 0).edx & BIT(13) ? NULL : "no CR4.PGE";
}

static void do_toggle_cr4_pge(void)
{
	write_cr4(cr4 ^ CR4_PGE);
	write_cr4(cr4);
}

static const char *begin_xsetbv(void)
{
	if (!(cpuid(1, 0).ecx & BIT(26)))
		return "no XSAVE";
	cr4 = read_cr4();
	write_cr4(cr4 | CR4_OSXSAVE);
	xcr0 = xgetbv(0);
	return NULL;
}

static void do_xsetbv(void)
{
	xsetbv(0, xcr0);
}

static const char *end_xsetbv(u64 executed)
{
	(void)executed;
	write_cr4(cr4);
	return NULL;
}

const struct op cpu_ops[] = {
	{ "cpuid", do_cpuid },
	{ "vmcall", do_vmcall },
	{ "rdmsr_pass", do_rdmsr_pass },
	{ "rdmsr_emulated", do_rdmsr_emulated },
	{ "rdmsr_refused", do_rdmsr_refused, .end = refused },
	{ "wr_kernel_gs_base", do_wr_kernel_gs_base },
	{ "wrmsr_emulated", do_wrmsr_emulated, .begin = read_apic_base },
	{ "wrmsr_refused", do_wrmsr_refused, .end = refused },
	{ "wr_tsc_adjust_msr", do_wr_tsc_adjust, .begin = has_tsc_adjust },
	{ "mov_from_cr8", do_mov_from_cr8 },
	{ "mov_to_cr8", do_mov_to_cr8 },
	{ "mov_dr", do_mov_dr },
	{ "toggle_cr0_wp", do_toggle_cr0_wp, .begin = read_cr0_first },
	{ "toggle_cr4_pge", do_toggle_cr4_pge, .begin = read_cr4_first },
	{ "xsetbv", do_xsetbv, .begin = begin_xsetbv, .end = end_xsetbv },
	{ "wbinvd", do_wbinvd },
	{ "pause_loop", do_pause_loop },
	{ 0 },
};
