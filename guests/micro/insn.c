/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that must not reach the VMM's own world: each is #UD, #GP, or has its defined effect. */
#include "micro.h"
#include "lib/string.h"

static u8 operand[64] __attribute__((aligned(64)));

struct insn {
	const char *name;
	const char *bytes;
	u8 len;
	s8 ring0, ring3; /* vector, NONE; ring 3 ends with USER_END instead of NONE */
	u64 rax, rcx, rdx;
};

#define I(name, bytes, ring0, ring3, ...)                                 \
	{                                                                 \
		name, bytes, sizeof(bytes) - 1, ring0, ring3, __VA_ARGS__ \
	}

/* RDI points to 64 bytes of memory. */
static const struct insn insns[] = {
	I("VMXON", "\xf3\x0f\xc7\x37", UD, UD, 0),
	I("VMXOFF", "\x0f\x01\xc4", UD, UD, 0),
	I("VMLAUNCH", "\x0f\x01\xc2", UD, UD, 0),
	I("VMRESUME", "\x0f\x01\xc3", UD, UD, 0),
	I("VMREAD", "\x0f\x78\xc0", UD, UD, 0x681e),
	I("VMREAD to memory", "\x0f\x78\x07", UD, UD, 0x681e),
	I("VMWRITE", "\x0f\x79\xc0", UD, UD, 0x681e),
	I("VMCLEAR", "\x66\x0f\xc7\x37", UD, UD, 0),
	I("VMPTRLD", "\x0f\xc7\x37", UD, UD, 0),
	I("VMPTRST", "\x0f\xc7\x3f", UD, UD, 0),
	I("INVEPT", "\x66\x0f\x38\x80\x07", UD, UD, 2),
	I("INVVPID", "\x66\x0f\x38\x81\x07", UD, UD, 2),
	I("VMFUNC", "\x0f\x01\xd4", UD, UD, 0),
	I("GETSEC", "\x0f\x37", UD, UD, 0),
	I("RSM", "\x0f\xaa", UD, UD, 0),
	I("MONITOR", "\x0f\x01\xc8", UD, UD, 0),
	I("MWAIT", "\x0f\x01\xc9", UD, UD, 0),
	I("ENCLS", "\x0f\x01\xcf", UD, UD, 0),
	I("ENCLU", "\x0f\x01\xd7", UD, UD, 0),
	I("ENCLV", "\x0f\x01\xc0", UD, UD, 0),
	I("PCONFIG", "\x0f\x01\xc5", UD, UD, 0),
	I("UMONITOR", "\xf3\x0f\xae\xf7", UD, UD, 0),
	I("UMWAIT", "\xf2\x0f\xae\xf7", UD, UD, 0),
	I("TPAUSE", "\x66\x0f\xae\xf7", UD, UD, 0),
	I("VMMCALL (AMD)", "\x0f\x01\xd9", UD, UD, 0),
	I("VMRUN (AMD)", "\x0f\x01\xd8", UD, UD, 0),
	I("CLGI (AMD)", "\x0f\x01\xdd", UD, UD, 0),
	I("SEAMCALL", "\x66\x0f\x01\xcf", UD, UD, 0),
	I("TDCALL", "\x66\x0f\x01\xcc", UD, UD, 0),
	I("WRMSRNS", "\x0f\x01\xc6", UD, UD, 0),
	I("RDMSRLIST", "\xf2\x0f\x01\xc6", UD, UD, 0),
	I("HRESET", "\xf3\x0f\x3a\xf0\xc0\x00", UD, UD, 0),
	I("INVD", "\x0f\x08", NONE, GP, 0),
	I("WBINVD", "\x0f\x09", NONE, GP, 0),
	I("PAUSE", "\xf3\x90", NONE, NONE, 0),
	I("RDPMC", "\x0f\x33", GP, GP, 0),
	I("RDPMC, fixed counter", "\x0f\x33", GP, GP, 0, 0x40000000),
	I("RDTSC", "\x0f\x31", NONE, NONE, 0),
	I("CPUID", "\x0f\xa2", NONE, NONE, 0),
	I("HLT in ring 3", "\xf4", DE, GP, 0),
	I("CLI", "\xfa", NONE, GP, 0),
	I("IN from port 80H", "\xe4\x80", NONE, GP, 0),
	I("OUT to the debug exit in ring 3", "\xe6\xf4", DE, GP, 0),
	I("RDMSR of IA32_VMX_BASIC", "\x0f\x32", GP, GP, 0, 0x480),
	I("RDMSR of the TSC", "\x0f\x32", NONE, GP, 0, 0x10),
	I("MOV from CR0", "\x0f\x20\xc0", NONE, GP, 0),
	I("MOV to CR8", "\x44\x0f\x22\xc0", NONE, GP, 0),
	I("MOV to CR8 of 16", "\x44\x0f\x22\xc0", GP, GP, 16),
	I("MOV from DR7", "\x0f\x21\xf8", NONE, GP, 0),
	I("XSETBV of 7", "\x0f\x01\xd1", NONE, GP, 7, 0, 0),
	I("XSETBV without x87", "\x0f\x01\xd1", GP, GP, 6, 0, 0),
	I("XSETBV with AVX and no SSE", "\x0f\x01\xd1", GP, GP, 5, 0, 0),
	I("XSETBV with half of AVX-512", "\x0f\x01\xd1", GP, GP, 0x27, 0, 0),
	I("XSETBV of a reserved bit", "\x0f\x01\xd1", GP, GP, 1u << 31 | 7, 0, 0),
	I("XSETBV of bit 63", "\x0f\x01\xd1", GP, GP, 7, 0, 1u << 31),
	I("XSETBV of MPX", "\x0f\x01\xd1", GP, GP, 0x1f, 0, 0),
	I("XSETBV of PT", "\x0f\x01\xd1", GP, GP, 0x107, 0, 0),
	I("XSETBV of XCR1", "\x0f\x01\xd1", GP, GP, 7, 1, 0),
	I("XGETBV of XCR9", "\x0f\x01\xd0", GP, GP, 0, 9),
};

static void check(const struct insn *insn)
{
	struct code_regs r = { .rax = insn->rax, .rcx = insn->rcx, .rdx = insn->rdx };
	int vector;

	r.rdi = (u64)(uintptr_t)operand;
	if (insn->ring0 != DE) { /* DE: not meant for ring 0 */
		vector = run_code(insn->bytes, insn->len, &r);
		report(vector == insn->ring0, "%s in ring 0: vector %d, expected %d", insn->name,
		       vector, insn->ring0);
		report(vector == NONE || trapped.rip == (u64)(uintptr_t)code_buffer,
		       "%s in ring 0: a fault, at %lx", insn->name, trapped.rip);
		report(vector != GP || !trapped.error, "%s: error code %lx", insn->name,
		       trapped.error);
	}
	r = (struct code_regs){ .rax = insn->rax, .rcx = insn->rcx, .rdx = insn->rdx };
	r.rdi = (u64)(uintptr_t)operand;
	vector = run_code_user(insn->bytes, insn->len, &r);
	report(vector == (insn->ring3 == NONE ? USER_END : insn->ring3), "%s in ring 3: vector %d",
	       insn->name, vector);
	report(vector == USER_END || trapped.rip == (u64)(uintptr_t)code_buffer,
	       "%s in ring 3: a fault, at %lx", insn->name, trapped.rip);
}

static void check_vmcall(void)
{
	struct code_regs r = {
		.rax = 0x12345678, .rbx = 1, .rcx = 2, .rdx = 3, .rsi = 4, .rdi = 5
	};

	report(run_code("\x0f\x01\xc1", 3, &r) == NONE, "VMCALL");
	report(r.rax == (u64)-1000, "an unknown hypercall gives -1000: %lx", r.rax);
	report(r.rbx == 1 && r.rcx == 2 && r.rdx == 3 && r.rsi == 4 && r.rdi == 5,
	       "VMCALL changes RAX only");
	r.rax = 0x12345678;
	report(run_code_user("\x0f\x01\xc1", 3, &r) == USER_END, "VMCALL in ring 3");
	report(r.rax == (u64)-1, "a hypercall from ring 3 gives -1: %lx", r.rax);
}

static void check_invpcid(void)
{
	static u64 descriptor[2] __attribute__((aligned(16)));
	struct code_regs r = { .rdi = (u64)(uintptr_t)descriptor };
	static const char invpcid[] = "\x66\x0f\x38\x82\x07"; /* rax, [rdi] */

	if (!(cpuid(7, 0).ebx & BIT(10))) {
		report(run_code(invpcid, 5, &r) == UD, "INVPCID that is not offered");
		return;
	}
	for (r.rax = 0; r.rax < 4; r.rax++)
		report(run_code(invpcid, 5, &r) == NONE, "INVPCID of type %lu", r.rax);
	report(run_code(invpcid, 5, &r) == GP, "INVPCID of type 4");
	r.rax = ~0ULL;
	report(run_code(invpcid, 5, &r) == GP, "INVPCID of type -1");
	r.rax = 0;
	descriptor[1] = BIT(63);
	report(run_code(invpcid, 5, &r) == GP, "INVPCID of a non-canonical address");
	descriptor[1] = 0;
	descriptor[0] = 0x1000;
	report(run_code(invpcid, 5, &r) == GP, "INVPCID with reserved bits");
	r.rdi = BIT(62);
	report(run_code(invpcid, 5, &r) == GP, "INVPCID with its descriptor out of reach");
	report(run_code_user(invpcid, 5, &r) == GP, "INVPCID in ring 3");
}

void guest_main(void)
{
	struct code_regs r = { .rax = 7 };

	report(run_code("\x0f\x01\xd1", 3, &r) == UD, "XSETBV before CR4.OSXSAVE");
	write_cr4(read_cr4() | CR4_OSXSAVE | CR4_OSFXSR);
	for (unsigned int i = 0; i < ARRAY_SIZE(insns); i++)
		check(&insns[i]);
	check_vmcall();
	check_invpcid();
	report(xgetbv(0) == 7, "XCR0 is what was written last: %lx", xgetbv(0));
	write_cr4(read_cr4() | CR4_TSD);
	report(run_code_user("\x0f\x31", 2, &r) == GP, "RDTSC in ring 3 with CR4.TSD");
}
