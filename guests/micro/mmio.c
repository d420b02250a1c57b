/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device registers accessed by every form of instruction that the decoder takes: what comes out is
 * what the processor itself makes of the same instruction on RAM that holds the same bytes.
 */
#include "micro.h"
#include "lib/string.h"

#define LAPIC   0xfee00000u
#define VERSION (LAPIC + 0x30)  /* constant */
#define STORAGE (LAPIC + 0x380) /* the timer's initial count: 32 bits that keep what is written */
#define HOLE    0xd0000000u

static u8 ram[32] __attribute__((aligned(16)));

static volatile u32 *reg(u32 address)
{
	return (volatile u32 *)(uintptr_t)address;
}

/* CLC or STC, the instruction (its memory operand is [RDI]), then the flags to RDX. */
static int run_form(const char *insn, size_t len, bool carry, u64 address, struct code_regs *r)
{
	u8 code[32] = { carry ? 0xf9 : 0xf8 };

	memcpy(code + 1, insn, len);
	memcpy(code + 1 + len, "\x9c\x5a", 2); /* pushfq; pop rdx */
	*r = (struct code_regs){
		.rax = 0x8182838485868788, .rbx = 0x3, .rcx = 0x91929394959697f8, .rsi = 0x5555
	};
	r->rdi = address;
	return run_code(code, len + 3, r);
}

#define FLAGS 0x8d5 /* OF SF ZF AF PF CF */

/* Once on RAM, once on the register. AF is undefined after logic: not compared there. */
static void compare(const char *name, const char *insn, size_t len, u32 address, u32 value,
		    u64 flags)
{
	for (unsigned int carry = 0; carry < 2; carry++) {
		struct code_regs a, b;
		u64 word = value;

		memcpy(ram, &word, 8);
		memset(ram + 8, 0, 8);
		if (address == STORAGE)
			*reg(STORAGE) = value;
		if (run_form(insn, len, carry, (u64)(uintptr_t)ram, &a) != NONE ||
		    run_form(insn, len, carry, address, &b) != NONE) {
			report(false, "%s: exception %d at %lx", name, trapped.vector, trapped.rip);
			return;
		}
		memcpy(&word, ram, 8);
		report(a.rax == b.rax && a.rcx == b.rcx && a.rbx == b.rbx,
		       "%s: RAX %lx, RCX %lx; on RAM %lx, %lx", name, b.rax, b.rcx, a.rax, a.rcx);
		report((a.rdx & flags) == (b.rdx & flags), "%s: flags %lx; on RAM %lx", name,
		       b.rdx & flags, a.rdx & flags);
		report(*reg(address) == lower_32(word), "%s: left %x; in RAM %lx", name,
		       *reg(address), word);
	}
}

static const char *const alu[8] = { "ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP" };

static void check_alu(void)
{
	static const u32 values[] = { 0, 1, 0x80000000, 0x7fffffff, 0xfffffff8, 0x00050014 };

	for (unsigned int v = 0; v < ARRAY_SIZE(values); v++) {
		for (unsigned int op = 0; op < 8; op++) {
			u64 flags = op == 1 || op == 4 || op == 6 ? FLAGS & ~0x10u : FLAGS;
			char code[8] = { (char)(op * 8 + 1), 0x0f };

			compare(alu[op], code, 2, STORAGE, values[v], flags); /* [rdi], ecx */
			code[0] = (char)(op * 8 + 3);
			compare(alu[op], code, 2, STORAGE, values[v], flags); /* ecx, [rdi] */
			code[0] = (char)0x83;
			code[1] = (char)(op << 3 | 7);
			code[2] = (char)0x87;
			compare(alu[op], code, 3, STORAGE, values[v], flags); /* imm8 */
			code[0] = (char)0x81;
			memcpy(code + 2, "\x21\x43\x65\x87", 4);
			compare(alu[op], code, 6, STORAGE, values[v], flags); /* imm32 */
			if (op != 7) {
				memcpy(code, "\xf0\x01\x0f", 3);
				code[1] = (char)(op * 8 + 1);
				compare("LOCK", code, 3, STORAGE, values[v], flags);
			}
			/* Narrow and wide reads, of a register whose neighbours read as 0. */
			code[0] = (char)(op * 8 + 2);
			code[1] = 0x0f;
			compare(alu[op], code, 2, VERSION, 0x01050014, flags); /* cl */
			code[0] = 0x66;
			code[1] = (char)(op * 8 + 3);
			code[2] = 0x0f;
			compare(alu[op], code, 3, VERSION, 0x01050014, flags); /* cx */
			code[0] = 0x48;
			compare(alu[op], code, 3, VERSION, 0x01050014, flags); /* rcx */
		}
	}
}

static void check_moves(void)
{
	static const struct {
		const char *name, *code;
		size_t len;
		u32 address;
	} forms[] = {
#define F(name, code, address) { name, code, sizeof(code) - 1, address }
		F("MOV [], ECX", "\x89\x0f", STORAGE),
		F("MOV ECX, []", "\x8b\x0f", STORAGE),
		F("MOV [], imm32", "\xc7\x07\x78\x56\x34\x92", STORAGE),
		F("XCHG [], ECX", "\x87\x0f", STORAGE),
		F("TEST [], ECX", "\x85\x0f", STORAGE),
		F("TEST [], imm32", "\xf7\x07\x01\x00\x00\x80", STORAGE),
		F("MOV CL, []", "\x8a\x0f", VERSION),
		F("MOV CH, []", "\x8a\x2f", VERSION),
		F("MOV AH, []", "\x8a\x27", VERSION),
		F("MOV SIL, []; MOV EAX, ESI", "\x40\x8a\x37\x89\xf0", VERSION),
		F("MOV CX, []", "\x66\x8b\x0f", VERSION),
		F("MOV RCX, []", "\x48\x8b\x0f", VERSION),
		F("MOV R11, []; MOV RAX, R11", "\x4c\x8b\x1f\x4c\x89\xd8", VERSION),
		F("TEST [], CL", "\x84\x0f", VERSION),
		F("TEST [], imm8", "\xf6\x07\x14", VERSION),
		F("MOVZX ECX, byte", "\x0f\xb6\x0f", VERSION),
		F("MOVZX ECX, word", "\x0f\xb7\x0f", VERSION),
		F("MOVZX RCX, word", "\x48\x0f\xb7\x0f", VERSION),
		F("MOVZX CX, byte", "\x66\x0f\xb6\x0f", VERSION),
		F("MOVSX ECX, byte", "\x0f\xbe\x0f", VERSION),
		F("MOVSX RCX, byte", "\x48\x0f\xbe\x0f", VERSION),
		F("MOVSX ECX, word", "\x0f\xbf\x0f", VERSION),
		F("MOVSX CX, byte", "\x66\x0f\xbe\x0f", VERSION),
		F("MOVSXD RCX, dword", "\x48\x63\x0f", STORAGE),
		F("MOVSXD RCX, dword", "\x48\x63\x0f", VERSION),
		F("MOV ECX, [rdi + disp8]", "\x48\x8d\x7f\xf0\x8b\x4f\x10", VERSION),
		F("MOV ECX, [rdi + disp32]", "\x8b\x8f\x00\x00\x00\x00", VERSION),
		F("MOV ECX, [rdi + rbx * 4 - 12]", "\x8b\x4c\x9f\xf4", VERSION),
		F("MOV ECX, [rdi + rbx * 8 - 24]", "\x8b\x8c\xdf\xe8\xff\xff\xff", VERSION),
		F("MOV ECX, [edi]", "\x67\x8b\x0f", VERSION),
		F("MOV ECX, CS:[rdi]", "\x2e\x8b\x0f", VERSION),
		F("MOV ECX, GS:[rdi]", "\x65\x8b\x0f", VERSION),
		F("INC []", "\xff\x07", STORAGE),
		F("DEC []", "\xff\x0f", STORAGE),
		F("NOT []", "\xf7\x17", STORAGE),
		F("NEG []", "\xf7\x1f", STORAGE),
		F("BT [], EBX", "\x0f\xa3\x1f", STORAGE),
		F("BTS [], EBX", "\x0f\xab\x1f", STORAGE),
		F("LOCK BTR [], imm8", "\xf0\x0f\xba\x37\x07", STORAGE),
		F("BTC [], imm8", "\x0f\xba\x3f\x0c", STORAGE),
		F("LOCK XADD [], ECX", "\xf0\x0f\xc1\x0f", STORAGE),
		F("LOCK CMPXCHG [], ECX", "\xf0\x0f\xb1\x0f", STORAGE),
		F("MOV EAX, []; CMPXCHG [], ECX", "\x8b\x07\x0f\xb1\x0f", STORAGE),
		F("MOVNTI [], ECX", "\x0f\xc3\x0f", STORAGE),
		F("CMOVC ECX, []", "\x0f\x42\x0f", STORAGE),
		F("CMOVNC RCX, []", "\x48\x0f\x43\x0f", VERSION),
		F("SCASD", "\xaf", STORAGE),
		F("REPNE SCASD", "\xb9\x01\x00\x00\x00\xf2\xaf", STORAGE),
		F("MOVD [], XMM1", "\x66\x48\x0f\x6e\xc9\x66\x0f\x7e\x0f", STORAGE),
		F("MOVD XMM1, []; MOVQ RCX, XMM1", "\x66\x0f\x6e\x0f\x66\x48\x0f\x7e\xc9", STORAGE),
		F("MOVSS XMM9, []; MOVQ RCX, XMM9", "\xf3\x44\x0f\x10\x0f\x66\x4c\x0f\x7e\xc9",
		  STORAGE),
		F("MOVDQU XMM1, []; MOVQ RCX, XMM1", "\xf3\x0f\x6f\x0f\x66\x48\x0f\x7e\xc9",
		  VERSION),
		F("MOVHPS XMM1, []; MOVHLPS XMM1, XMM1; MOVQ RCX, XMM1",
		  "\x0f\x16\x0f\x0f\x12\xc9\x66\x48\x0f\x7e\xc9", VERSION),
		F("with idle prefixes", "\x3e\x3e\x3e\x66\x66\x48\x8b\x0f", VERSION),
	};
	static const u32 values[] = { 0, 0x80, 0x8000, 0x80000000, 0x12345678 };

	for (unsigned int i = 0; i < ARRAY_SIZE(forms); i++) {
		if (forms[i].address == VERSION) {
			compare(forms[i].name, forms[i].code, forms[i].len, VERSION, 0x01050014,
				FLAGS & ~0x10u);
			continue;
		}
		for (unsigned int v = 0; v < ARRAY_SIZE(values); v++)
			compare(forms[i].name, forms[i].code, forms[i].len, STORAGE, values[v],
				FLAGS & ~0x10u);
	}
}

/* Addresses in the instruction itself, and in segment bases. */
static void check_addresses(void)
{
	struct code_regs r = { 0 };

	*reg(STORAGE) = 0xabcd1234;
	report(run_code("\xa1\x80\x03\xe0\xfe\0\0\0\0", 9, &r) == NONE && r.rax == 0xabcd1234,
	       "MOV EAX, moffs64: %lx", r.rax);
	r.rax = 0x1111;
	report(run_code("\xa3\x80\x03\xe0\xfe\0\0\0\0", 9, &r) == NONE && *reg(STORAGE) == 0x1111,
	       "MOV moffs64, EAX: %x", *reg(STORAGE));
	report(run_code("\x67\x8b\x0c\x25\x80\x03\xe0\xfe", 8, &r) == NONE && r.rcx == 0x1111,
	       "an absolute address");
	report(run_code("\x67\xa1\x80\x03\xe0\xfe", 6, &r) == NONE && r.rax == 0x1111,
	       "MOV EAX, moffs32");
	wrmsr(IA32_GS_BASE, LAPIC);
	r.rdi = 0x380;
	report(run_code("\x65\x8b\x0f", 3, &r) == NONE && r.rcx == 0x1111, "GS:[rdi] with a base");
	r.rsi = 0x380;
	report(run_code("\x65\xad", 2, &r) == NONE && r.rax == 0x1111 && r.rsi == 0x384,
	       "LODSD from GS:");
	wrmsr(IA32_GS_BASE, 0);
	r = (struct code_regs){ .rdi = VERSION };
	report(run_code_user("\x8b\x0f", 2, &r) == USER_END && r.rcx == 0x01050014,
	       "from ring 3: %lx", r.rcx);
}

/*
 * Writes count as whole, aligned 32-bit registers. Of those within a register, which the manual leaves
 * undefined, a processor that virtualizes the page stores just the bytes written.
 */
static void check_odd_writes(void)
{
	static const struct {
		const char *name, *code;
		size_t len;
		u32 offset, stored;
	} writes[] = {
		{ "a byte", "\x88\x0f", 2, 0, 0x5099 },
		{ "a word", "\x66\x89\x0f", 3, 0, 0x0099 },
		{ "a byte inside", "\x88\x0f", 2, 1, 0x9900 },
		{ "a dword off by 4", "\x89\x0f", 2, 4, 0x5000 },
		{ "a dword off by 1", "\x89\x0f", 2, 1, 0x5000 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++) {
		struct code_regs r = { .rcx = 0x99, .rdi = STORAGE + writes[i].offset };

		*reg(STORAGE) = 0x5000;
		report(run_code(writes[i].code, writes[i].len, &r) == NONE &&
			       (*reg(STORAGE) == 0x5000 || *reg(STORAGE) == writes[i].stored),
		       "a write of %s changes nothing, or what is written: %x", writes[i].name,
		       *reg(STORAGE));
	}
	*reg(LAPIC + 0x30) = 0;
	report(*reg(VERSION) == 0x01050014, "a read-only register");
	for (u32 off = 0; off < 0x1000; off += 4) {
		if (off < 0x80 || off > 0x400)
			*reg(LAPIC + off) = ~0u;
		(void)*reg(LAPIC + off);
	}
	for (u32 off = 0xff0; off <= 0xfff; off++) {
		struct code_regs r = { .rdi = LAPIC + off };

		(void)run_code("\x48\x8b\x0f", 3, &r);
	}
	report(true, "every register and an access beyond the page's end");
}

static void check_strings(void)
{
	static u32 from[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, to[16];
	struct code_regs r = { .rax = 0x777, .rcx = 5, .rdi = STORAGE - 16 };
	u8 *edge = (u8 *)(uintptr_t)0xa00ff8;

	*reg(STORAGE) = 0;
	report(run_code("\xf3\xab", 2, &r) == NONE && !r.rcx && r.rdi == STORAGE + 4 &&
		       *reg(STORAGE) == 0x777,
	       "REP STOSD: RCX %lx, RDI %lx", r.rcx, r.rdi);
	r = (struct code_regs){ .rax = 0x888, .rcx = 5, .rdi = STORAGE + 16 };
	report(run_code("\xfd\xf3\xab\xfc", 4, &r) == NONE && !r.rcx && r.rdi == STORAGE - 4 &&
		       *reg(STORAGE) == 0x888,
	       "REP STOSD downwards: RDI %lx", r.rdi);
	r = (struct code_regs){ .rax = 0x999, .rcx = 0, .rdi = STORAGE };
	report(run_code("\xf3\xab", 2, &r) == NONE && r.rdi == STORAGE && *reg(STORAGE) == 0x888,
	       "REP with RCX = 0");
	r = (struct code_regs){ .rcx = 4, .rsi = VERSION - 12 };
	report(run_code("\xf3\xad", 2, &r) == NONE && !r.rcx && r.rsi == VERSION + 4 &&
		       r.rax == 0x01050014,
	       "REP LODSD: %lx", r.rax);
	r = (struct code_regs){ .rax = ~0ULL, .rsi = VERSION };
	report(run_code("\xac", 1, &r) == NONE && r.rax == 0xffffffffffffff14, "LODSB: %lx", r.rax);

	/* RAM to device and back, over a page boundary in RAM. */
	r = (struct code_regs){ .rcx = 8, .rsi = (u64)(uintptr_t)from, .rdi = STORAGE - 28 };
	report(run_code("\xf3\xa5", 2, &r) == NONE && !r.rcx && *reg(STORAGE) == 8 &&
		       r.rsi == (u64)(uintptr_t)from + 32 && r.rdi == STORAGE + 4,
	       "REP MOVSD to the device: %x", *reg(STORAGE));
	memset(edge, 0xee, 32);
	r = (struct code_regs){ .rcx = 5, .rsi = VERSION - 8, .rdi = (u64)(uintptr_t)edge };
	report(run_code("\xf3\xa5", 2, &r) == NONE && !r.rcx &&
		       r.rdi == (u64)(uintptr_t)edge + 20 &&
		       *(u32 *)(void *)(edge + 8) == 0x01050014 &&
		       *(u32 *)(void *)(edge + 12) == 0 && edge[20] == 0xee,
	       "REP MOVSD from the device");
	r = (struct code_regs){ .rcx = 3, .rsi = VERSION + 8, .rdi = (u64)(uintptr_t)edge + 8 };
	report(run_code("\xfd\xf3\xa5\xfc", 4, &r) == NONE && r.rsi == VERSION - 4 &&
		       r.rdi == (u64)(uintptr_t)edge - 4 && *(u32 *)(void *)edge == 0x01050014,
	       "REP MOVSD downwards");
	r = (struct code_regs){ .rcx = 4, .rsi = VERSION, .rdi = (u64)(uintptr_t)to };
	report(run_code("\xf3\xa4", 2, &r) == NONE && to[0] == 0x01050014, "REP MOVSB: %x", to[0]);
	r = (struct code_regs){ .rsi = VERSION, .rdi = (u64)(uintptr_t)to };
	to[1] = 1;
	report(run_code("\x48\xa5", 2, &r) == NONE && to[0] == 0x01050014 && to[1] == 0, "MOVSQ");

	/* From one device to another: the I/O APIC's index becomes the low byte of the version. */
	r = (struct code_regs){ .rsi = VERSION, .rdi = 0xfec00000 };
	report(run_code("\xa5", 1, &r) == NONE && (*reg(0xfec00000) & 0xff) == 0x14,
	       "MOVSD from the LAPIC to the I/O APIC: exception %d, index %x", trapped.vector,
	       *reg(0xfec00000));
	r = (struct code_regs){ .rsi = HOLE, .rdi = (u64)(uintptr_t)to };
	report(run_code("\xa5", 1, &r) == NONE && to[0] == ~0u, "MOVSD from a hole: %x", to[0]);
}

/* MOVS whose other side faults: the #PF is for that side. */
static void check_string_faults(void)
{
	u8 *page = window_map(5, 0);
	struct code_regs r = { .rsi = VERSION, .rdi = (u64)(uintptr_t)page };

	report(run_code("\xa5", 1, &r) == PF && trapped.error == 2 &&
		       trapped.cr2 == (u64)(uintptr_t)page,
	       "MOVSD to a missing page: error %lx", trapped.error);
	r = (struct code_regs){ .rsi = (u64)(uintptr_t)page, .rdi = STORAGE };
	report(run_code("\xa5", 1, &r) == PF && trapped.error == 0 &&
		       trapped.cr2 == (u64)(uintptr_t)page,
	       "MOVSD from a missing page: error %lx", trapped.error);
	write_cr0(read_cr0() | CR0_WP);
	window_map(5, 0xb00000 | PTE_P);
	r = (struct code_regs){ .rsi = VERSION, .rdi = (u64)(uintptr_t)page };
	report(run_code("\xa5", 1, &r) == PF && trapped.error == 3,
	       "MOVSD to a read-only page: error %lx", trapped.error);
	write_cr0(read_cr0() & ~CR0_WP);
}

/* An instruction of 6 bytes, of which n are on the next page, whose frame is elsewhere. */
static void check_crossing(void)
{
	u8 *first = window_map(6, 0xb60000 | PTE_P | PTE_W),
	   *second = window_map(7, 0xa70000 | PTE_P | PTE_W);

	for (unsigned int n = 1; n < 6; n++) {
		u64 rcx = 0;
		static const u8 code[] = {
			0x8b, 0x8f, 0x30, 0, 0, 0, 0xc3
		}; /* mov ecx, [rdi + 0x30]; ret */
		int vector;

		memcpy(second - (6 - n), code, sizeof(code));
		vector = TRY("call *%1",
			     : "+c"(rcx)
			     : "r"(second - (6 - n)), "D"(LAPIC)
			     : "memory");
		report(vector == NONE && rcx == 0x01050014,
		       "code with %u bytes on the next page: %lx", n, rcx);
	}
	(void)first;
}

static void check_holes(void)
{
	static const u32 holes[] = { 0x1000000,  0x40000000, HOLE,      0xfec01000,
				     0xfed00000, 0xfee01000, 0xfffffff0 };
	volatile u64 *last = (volatile u64 *)(uintptr_t)(MIB(16) - 8);
	u64 value;

	for (unsigned int i = 0; i < ARRAY_SIZE(holes); i++) {
		u64 a = holes[i];

		report(*(volatile u8 *)(uintptr_t)a == 0xff &&
			       *(volatile u16 *)(uintptr_t)a == 0xffff && *reg((u32)a) == ~0u &&
			       *(volatile u64 *)(uintptr_t)a == ~0ULL,
		       "%lx reads as ones", a);
		*reg((u32)a) = 0;
		report(*reg((u32)a) == ~0u, "%lx swallows writes", a);
	}
	/* Half in RAM, half in nothing: taken as wholly outside; the guest goes on, RAM is untouched. */
	*last = 0x1122334455667788;
	value = *(volatile u64 *)(uintptr_t)(MIB(16) - 4);
	report(value >> 32 == ~0u, "a read over the end of RAM: %lx", value);
	*(volatile u64 *)(uintptr_t)(MIB(16) - 4) = 0xaabbccddeeff0011;
	report((u32)*last == 0x55667788, "a write over the end of RAM: %lx", *last);
}

static void check_ioapic(void)
{
	report(ioapic_read(1) == 0x000f0020, "I/O APIC version: %x", ioapic_read(1));
	ioapic_write(0, 0xffffffff);
	report(ioapic_read(0) == 0x0f000000, "I/O APIC ID: %x", ioapic_read(0));
	ioapic_write(0, 0);
	for (u32 pin = 0; pin < 16; pin++) {
		report(ioapic_read(0x10 + 2 * pin) == 0x10000, "pin %u is masked: %x", pin,
		       ioapic_read(0x10 + 2 * pin));
		ioapic_write(0x11 + 2 * pin, 0xffffffff);
		report(ioapic_read(0x11 + 2 * pin) == 0xff000000, "pin %u: destination %x", pin,
		       ioapic_read(0x11 + 2 * pin));
		ioapic_write(0x10 + 2 * pin, 0xffff5fff); /* all but level */
		report((ioapic_read(0x10 + 2 * pin) & 0xfffe5000) == 0,
		       "pin %u: read-only and reserved bits: %x", pin, ioapic_read(0x10 + 2 * pin));
		ioapic_write(0x10 + 2 * pin, 0x10000);
		ioapic_write(0x11 + 2 * pin, 0);
	}
	for (u32 index = 0x30; index < 0x100; index++) {
		ioapic_write(index, 0x12345678);
		if (ioapic_read(index) != ~0u)
			report(false, "register %x: %x", index, ioapic_read(index));
	}
	report(true, "registers that do not exist");
}

/* Loads of the whole register from what has nothing but ones, and stores that vanish. */
static void check_wide_vectors(void)
{
	static u64 mem[8];
	struct code_regs r = { .rsi = HOLE, .rdi = (u64)(uintptr_t)mem };
	u64 allowed = cpuid(0xd, 0).eax;

	if (!(cpuid(1, 0).ecx & BIT(28)))
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	allowed &= 0xe7;
	__asm__ volatile("xsetbv" : : "c"(0), "a"((u32)allowed), "d"(0));
	/* vmovdqu ymm9, [rsi]; vmovdqu [rdi], ymm9; vmovups [rsi], ymm9 */
	report(run_code("\xc5\x7e\x6f\x0e\xc5\x7e\x7f\x0f\xc5\x7c\x11\x0e", 12, &r) == NONE &&
		       mem[0] == ~0ULL && mem[3] == ~0ULL && !mem[4],
	       "VMOVDQU YMM: exception %d, %lx", trapped.vector, mem[3]);
	if ((allowed & 0xe0) != 0xe0)
		return;
	/* vmovdqu64 zmm17, [rsi]; vmovdqu64 [rdi], zmm17; vmovntdq [rsi], zmm17 */
	report(run_code("\x62\xe1\xfe\x48\x6f\x0e\x62\xe1\xfe\x48\x7f\x0f"
			"\x62\xe1\x7d\x48\xe7\x0e",
			18, &r) == NONE &&
		       mem[0] == ~0ULL && mem[7] == ~0ULL,
	       "VMOVDQU64 ZMM: exception %d, %lx", trapped.vector, mem[7]);
}

/* CMPS with a device on either side. */
static void check_string_compares(void)
{
	static u32 ram32[4] = { 0, 0x01050014, 1, 0 };
	struct code_regs r = { .rcx = 4, .rsi = (u64)(uintptr_t)ram32, .rdi = VERSION - 4 };

	report(run_code("\xf3\xa7\x9c\x5a", 4, &r) == NONE && r.rcx == 1 && r.rdi == VERSION + 8 &&
		       !(r.rdx & 0x40),
	       "REPE CMPSD: RCX %lx, flags %lx", r.rcx, r.rdx);
	r = (struct code_regs){ .rsi = VERSION, .rdi = (u64)(uintptr_t)&ram32[1] };
	report(run_code("\xa7\x9c\x5a", 3, &r) == NONE && (r.rdx & 0x40), "CMPSD: %lx", r.rdx);
}

/* What Lintel cannot do in a guest's place is #UD there; the VM lives. */
static void check_unknown(void)
{
	struct code_regs r = { .rdi = 0xfec00010 };

	report(run_code("\xd1\x27", 2, &r) == UD, "SHL []: exception %d", trapped.vector);
	r = (struct code_regs){ .rdi = HOLE };
	report(run_code_user("\xff\x37", 2, &r) == UD, "PUSH [] in ring 3: exception %d",
	       trapped.vector);
	report(TRY("jmp *%0",
		   :
		   : "r"((u64)HOLE)) == UD,
	       "code where there is nothing: exception %d", trapped.vector);
}

void guest_main(void)
{
	write_cr4(read_cr4() | CR4_OSFXSR);
	*reg(LAPIC + 0x320) = 0x10000; /* the timer masked */
	check_alu();
	check_moves();
	check_addresses();
	check_odd_writes();
	*reg(LAPIC + 0x320) = 0x10000;
	check_strings();
	check_string_faults();
	check_crossing();
	check_holes();
	check_ioapic();
	check_string_compares();
	check_wide_vectors();
	check_unknown();
}
