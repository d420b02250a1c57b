/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports: what nobody answers reads as ones in every size and swallows writes; string I/O moves every
 * byte once and in order, and stops exactly at a page that is not there.
 */
#include "micro.h"
#include "lib/string.h"

/* The machine's ports. */
static const struct {
	u16 first, last;
} known[] = {
	{ 0x20, 0x21 },   { 0x40, 0x43 },   { 0x60, 0x61 },     { 0x64, 0x64 },   { 0x70, 0x71 },
	{ 0x80, 0x80 },   { 0xa0, 0xa1 },   { 0xf4, 0xf4 },     { 0x3f8, 0x3ff }, { 0x4d0, 0x4d1 },
	{ 0x600, 0x60b }, { 0xcf8, 0xcff }, { 0xc020, 0xc02f },
};

static bool is_known(u32 port, u32 size)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(known); i++) {
		if (port + size > known[i].first && port <= known[i].last)
			return true;
	}
	return false;
}

static u32 in(u16 port, u32 size)
{
	return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void sweep(void)
{
	static const u32 sizes[] = { 1, 2, 4 };

	for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
		u32 ones = ~0u >> (32 - 8 * sizes[s]), wrong = 0;

		for (u32 port = 0; port <= 0xffff; port++) {
			u32 value;

			if (is_known(port, sizes[s]))
				continue;
			if (sizes[s] > 1 && port > 0x1000 && port % 5 && port < 0xfff0)
				continue; /* of the wide ones every fifth: this is 200 000 exits else */
			value = in((u16)port, sizes[s]);
			if (value != ones && !wrong++)
				report(false, "port %x, %u bytes: %x", port, sizes[s], value);
		}
		report(!wrong, "reads of %u bytes of ports where nothing is", sizes[s]);
	}
	for (u32 port = 0; port <= 0xffff; port++) {
		if (!is_known(port, 4) && (port <= 0x1000 || port % 5 == 0 || port >= 0xfff0))
			outl((u16)port, 0x55aa55aa);
	}
	report(true, "writes to ports where nothing is");
	for (unsigned int i = 0; i < ARRAY_SIZE(known); i++) {
		for (u16 port = known[i].first; port <= known[i].last; port++) {
			(void)in(port, 2);
			(void)in(port, 4);
			(void)in(port, 1);
		}
	}
	report(true, "reads of any size of the devices' ports");
}

/* IN changes as much of RAX as it names. */
static void check_rax(void)
{
	u64 rax = 0x1122334455667788;

	__asm__ volatile("inb $0x10, %%al" : "+a"(rax));
	report(rax == 0x11223344556677ff, "IN AL: %lx", rax);
	rax = 0x1122334455667788;
	__asm__ volatile("inw $0x10, %%ax" : "+a"(rax));
	report(rax == 0x112233445566ffff, "IN AX: %lx", rax);
	__asm__ volatile("inl $0x10, %%eax" : "+a"(rax));
	report(rax == 0xffffffff, "IN EAX clears the upper half: %lx", rax);
}

static void check_pci(void)
{
	outl(0xcf8, 0x80001000);
	report(inl(0xcf8) == 0x80001000, "PCI configuration address: %x", inl(0xcf8));
	report(inl(0xcfc) == ~0u && inw(0xcfe) == 0xffff && inb(0xcfd) == 0xff,
	       "no PCI device at 00:02.0");
	outl(0xcf8, 0);
}

/* --- string I/O: 16 bytes around the UART's loopback, and its scratch register at 3FFH --- */

#define UART    0x3f8
#define SCRATCH (UART + 7)

static void loopback(bool on)
{
	if (on)
		while (!(inb(UART + 5) & 0x40))
			;
	outb(UART + 2, 0x07); /* FIFO on, both empty */
	outb(UART + 4, on ? 0x1b : 0x0b);
}

struct string_regs {
	u64 rsi, rdi, rcx;
};

#define STRING_IO(text, r, port) \
	TRY(text, : "+S"((r)->rsi), "+D"((r)->rdi), "+c"((r)->rcx) : "d"((u16)(port)) : "memory")

static void check_loopback(void)
{
	u8 *page = (u8 *)(uintptr_t)0xa00000;
	u8 *out = window_map(0, 0xa00000 | PTE_P | PTE_W),
	   *out2 = window_map(1, 0xa10000 | PTE_P | PTE_W);
	struct string_regs r = { .rsi = (u64)(uintptr_t)out2 - 7, .rcx = 16 };
	u8 *in_at = (u8 *)(uintptr_t)0xb00ffa;

	for (unsigned int i = 0; i < 7; i++)
		page[4089 + i] = (u8)('a' + i);
	for (unsigned int i = 0; i < 9; i++)
		((u8 *)(uintptr_t)0xa10000)[i] = (u8)('h' + i);
	loopback(true);
	report(STRING_IO("rep outsb", &r, UART) == NONE, "REP OUTSB over a page boundary");
	report(r.rcx == 0 && r.rsi == (u64)(uintptr_t)out2 + 9, "its RCX %lx and RSI %lx", r.rcx,
	       r.rsi);
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)in_at, .rcx = 16 };
	report(STRING_IO("rep insb", &r, UART) == NONE, "REP INSB over a page boundary");
	report(r.rcx == 0 && r.rdi == (u64)(uintptr_t)in_at + 16, "its RCX %lx and RDI %lx", r.rcx,
	       r.rdi);
	loopback(false);
	report(!memcmp(in_at, "abcdefghijklmnop", 16), "16 bytes in order: %.16s", in_at);
	(void)out;
}

static void check_direction(void)
{
	u8 *data = (u8 *)(uintptr_t)0xb10000;
	struct string_regs r = { .rsi = (u64)(uintptr_t)data + 7, .rcx = 8 };

	memcpy(data, "01234567", 9);
	loopback(true);
	report(STRING_IO("std\n\trep outsb\n\tcld", &r, UART) == NONE, "REP OUTSB downwards");
	report(r.rcx == 0 && r.rsi == (u64)(uintptr_t)data - 1, "its RSI: %lx", r.rsi);
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)data + 0x107, .rcx = 8 };
	report(STRING_IO("std\n\trep insb\n\tcld", &r, UART) == NONE, "REP INSB downwards");
	loopback(false);
	report(!memcmp(data + 0x100, "01234567", 8) && r.rdi == (u64)(uintptr_t)data + 0xff,
	       "bytes at descending addresses: %.8s", data + 0x100);
}

static void check_counts(void)
{
	static u8 many[300];
	struct string_regs r = { .rsi = (u64)(uintptr_t)many, .rcx = 0 };

	outb(SCRATCH, 0x77);
	report(STRING_IO("rep outsb", &r, SCRATCH) == NONE && r.rsi == (u64)(uintptr_t)many,
	       "REP with RCX = 0");
	report(inb(SCRATCH) == 0x77, "writes nothing");
	for (unsigned int i = 0; i < sizeof(many); i++)
		many[i] = (u8)i;
	r.rcx = sizeof(many);
	report(STRING_IO("rep outsb", &r, SCRATCH) == NONE && !r.rcx &&
		       inb(SCRATCH) == (u8)(sizeof(many) - 1),
	       "REP of 300: the last byte is %x", inb(SCRATCH));
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)many, .rcx = 5 };
	report(STRING_IO("insb", &r, SCRATCH) == NONE && r.rcx == 5 &&
		       r.rdi == (u64)(uintptr_t)many + 1 && many[0] == (u8)(sizeof(many) - 1) &&
		       many[1] == 1,
	       "INSB without REP moves one byte");
	/* 32-bit addresses: the upper halves do not count, and are cleared. */
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)many | BIT(40), .rcx = 3 | BIT(40) };
	report(STRING_IO("addr32 rep insb", &r, SCRATCH) == NONE && r.rcx == 0 &&
		       r.rdi == (u64)(uintptr_t)many + 3,
	       "32-bit addresses: RCX %lx, RDI %lx", r.rcx, r.rdi);
	outl(0xcf8, 0x80001234);
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)many, .rcx = 2 };
	report(STRING_IO("rep insl", &r, 0xcf8) == NONE && r.rdi == (u64)(uintptr_t)many + 8 &&
		       !memcmp(many, "\x34\x12\0\x80\x34\x12\0\x80", 8),
	       "REP INSD");
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)many, .rcx = 2 };
	report(STRING_IO("rep insw", &r, 0x1234) == NONE && r.rdi == (u64)(uintptr_t)many + 4 &&
		       !memcmp(many, "\xff\xff\xff\xff\x34", 5),
	       "REP INSW from nowhere: ones");
	outl(0xcf8, 0);
}

/* --- faults in mid-string --- */

static void check_faults(void)
{
	u8 *page = window_map(2, 0xb20000 | PTE_P | PTE_W), *missing = window_map(3, 0);
	struct string_regs r = { .rdi = (u64)(uintptr_t)missing - 4, .rcx = 10 };
	int vector = STRING_IO("rep insb", &r, SCRATCH);
	u8 *at = page + 4092;

	report(vector == PF && trapped.error == 2 && trapped.cr2 == (u64)(uintptr_t)missing,
	       "INSB to a missing page: exception %d, error %lx, CR2 %lx", vector, trapped.error,
	       trapped.cr2);
	report(r.rcx == 6 && r.rdi == (u64)(uintptr_t)missing, "after 4 bytes: RCX %lx, RDI %lx",
	       r.rcx, r.rdi);
	r = (struct string_regs){ .rsi = (u64)(uintptr_t)missing - 4, .rcx = 10 };
	vector = STRING_IO("rep outsb", &r, SCRATCH);
	report(vector == PF && trapped.error == 0 && r.rcx == 6 && r.rsi == (u64)(uintptr_t)missing,
	       "OUTSB from a missing page: exception %d, error %lx, RCX %lx", vector, trapped.error,
	       r.rcx);

	/* One element that lies across the boundary: nothing of it is written. */
	memset(at, 0xee, 4);
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)missing - 2 };
	vector = STRING_IO("insl", &r, 0xcf8);
	report(vector == PF && trapped.cr2 == (u64)(uintptr_t)missing && at[2] == 0xee &&
		       at[3] == 0xee,
	       "INSD across the boundary: exception %d, CR2 %lx, bytes %x %x", vector, trapped.cr2,
	       at[2], at[3]);

	/* Read-only, with CR0.WP. */
	write_cr0(read_cr0() | CR0_WP);
	window_map(3, 0xb30000 | PTE_P);
	*(u8 *)(uintptr_t)0xb30000 = 0x11;
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)missing };
	vector = STRING_IO("insb", &r, 0x1234);
	report(vector == PF && trapped.error == 3 && *(u8 *)(uintptr_t)0xb30000 == 0x11,
	       "INSB to a read-only page: exception %d, error %lx", vector, trapped.error);
	write_cr0(read_cr0() & ~CR0_WP);
	vector = STRING_IO("insb", &r, 0x1234);
	report(vector == NONE && *(u8 *)(uintptr_t)0xb30000 == 0xff,
	       "without CR0.WP it is written");

	r = (struct string_regs){ .rdi = BIT(63) };
	vector = STRING_IO("insb", &r, SCRATCH);
	report(vector == GP && !trapped.error,
	       "INSB to a non-canonical address: exception %d, CR2 %lx", vector, trapped.cr2);
	window_map(3, 0xb30000 | PTE_P | PTE_W);
	r = (struct string_regs){ .rdi = (u64)(uintptr_t)missing };
	window_pt[3] = 0xb30000 | PTE_P | PTE_W;
	vector = STRING_IO("insb", &r, SCRATCH);
	report((window_pt[3] & 0x60) == 0x60, "INSB sets the accessed and dirty bits: %lx",
	       window_pt[3]);
}

/* Ring 3 with I/O privilege level 3 may do I/O, but not write the supervisor's memory with it. */
static void check_user(void)
{
	u8 *page = window_map(4, 0xb40000 | PTE_P | PTE_W);
	struct code_regs regs = { .rdx = SCRATCH, .rdi = (u64)(uintptr_t)page };
	int vector;

	outb(SCRATCH, 0x99);
	*page = 0x22;
	report(run_code_user("\xec", 1, &regs) == GP, "IN in ring 3 is #GP");
	/* No IOPL through run_code_user: the TSS's bitmap allows it instead. */
	vector = run_code_user("\x6c", 1, &regs);
	report(vector == GP && *page == 0x22, "INSB in ring 3 is #GP: exception %d", vector);
}

USER_CODE(user_insb, "mov $0x3ff, %edx; movabs $0x8000004000, %rdi; insb");
USER_CODE(user_in, "mov $0x3ff, %edx; in %dx, %al");

static void check_user_iopl(void)
{
	u8 *page = window_map(4, 0xb40000 | PTE_P | PTE_W);
	int vector = run_user(user_in, 3 << 12);

	report(vector == USER_END, "IN in ring 3 with IOPL 3: exception %d", vector);
	outb(SCRATCH, 0x99);
	*page = 0x22;
	vector = run_user(user_insb, 3 << 12);
	report(vector == PF && trapped.error == 7 && *page == 0x22,
	       "INSB in ring 3 to a supervisor page: exception %d, error %lx, byte %x", vector,
	       trapped.error, *page);
	window_map(4, 0xb40000 | PTE_P | PTE_W | PTE_U);
	vector = run_user(user_insb, 3 << 12);
	report(vector == USER_END && *page == 0x99,
	       "INSB in ring 3 to a user page: exception %d, byte %x", vector, *page);
}

void guest_main(void)
{
	check_rax();
	check_pci();
	check_counts();
	check_loopback();
	check_direction();
	check_faults();
	check_user();
	check_user_iopl();
	sweep();
}
