/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM dies of nothing that its programs do. Instructions made at random from a seed are executed at CPL 3 as an operating
 * system would have it: the kernel's memory, ports, and gates out of reach; but with device registers, a hole and an address
 * above all RAM mapped, as /dev/mem does. Most are single-stepped; some run until the timer ends them.
 */
#include "micro.h"
#include "lib/string.h"

#define ROUNDS         20000
#define TIMER          0xf1
#define SLICE          200 /* microseconds for what is not single-stepped */
#define ACCESSED_DIRTY 0x60ULL
#define GATE_DPL0      0x8e
#define GATE_RIGHTS    5 /* offset in a gate */

enum { CODE, DATA, MORE_DATA, STACK, LAPIC_PAGE, IOAPIC_PAGE, HOLE_PAGE, HIGH_PAGE, ABSENT, PAGES };

static u8 user_ram[4][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static u8 *page[PAGES];
static u64 random_state;
static struct frame launch; /* the registers of this round */
static bool armed, timed_out;

static u64 random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static u64 below(u64 n)
{
	return random() % n;
}

/* A program's view: its own pages, and devices that it can read but (where a store could end the VM) not write. */
static void map_pages(void)
{
	static const u64 frames[PAGES] = { [LAPIC_PAGE] = 0xfee00000 | PTE_P | PTE_U,
					   [IOAPIC_PAGE] = 0xfec00000 | PTE_P | PTE_U,
					   [HOLE_PAGE] = 0xd0000000 | PTE_P | PTE_U | PTE_W,
					   [HIGH_PAGE] = BIT(36) | PTE_P | PTE_U | PTE_W };

	for (unsigned int i = 0; i < PAGES; i++) {
		u64 entry = frames[i];

		if (i < ARRAY_SIZE(user_ram))
			entry = (u64)(uintptr_t)user_ram[i] | PTE_P | PTE_U | PTE_W;
		page[i] = window_map(i, entry);
	}
	pml4[0] &= ~PTE_U;
	write_cr3(read_cr3());
}

/* INT reaches nothing but what a program may call. */
static void close_gates(void)
{
	for (unsigned int i = 0; i < 256; i++)
		if (i != BP && i != USER_END)
			idt[i * 16 + GATE_RIGHTS] = GATE_DPL0;
}

/* The launch's INT becomes the round; the timer's interrupt becomes its end. */
static bool on_trap(struct frame *f)
{
	if (f->vector == USER_END && armed) {
		armed = false;
		*f = launch;
		return true;
	}
	if (f->vector == TIMER) {
		lapic_write(0xb0, 0);
		if (!(f->cs & 3))
			return true;
		timed_out = true;
		f->vector = USER_END;
	}
	return false;
}

static u64 any_value(void)
{
	switch (below(8)) {
	case 0: return below(256);
	case 1: return random();
	case 2: return BIT(below(64));
	case 3: return (u64)(uintptr_t)page[below(PAGES)] + PAGE_SIZE - below(16);
	default: return (u64)(uintptr_t)page[below(PAGES)] + below(PAGE_SIZE / 16) * 16;
	}
}

/* An instruction's first bytes: prefixes, then one of the maps of opcodes. */
static unsigned int put_opcode(u8 *at)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x64, 0x65, 0x2e };
	static const struct {
		u8 len, bytes[3];
	} maps[] = {
		{ 0, { 0 } },          { 0, { 0 } },          { 1, { 0x0f } },
		{ 1, { 0x0f } },       { 2, { 0x0f, 0x38 } }, { 2, { 0x0f, 0x3a } },
		{ 2, { 0x0f, 0x01 } }, { 2, { 0x0f, 0xc7 } }, { 2, { 0x0f, 0xae } },
		{ 1, { 0xc5 } },       { 1, { 0xc4 } },       { 1, { 0x62 } },
		{ 1, { 0xff } },       { 1, { 0xf7 } },
	};
	unsigned int n = 0, map = (unsigned int)below(ARRAY_SIZE(maps));

	for (u64 count = below(4); count > 1; count--)
		at[n++] = prefixes[below(sizeof(prefixes))];
	if (below(2))
		at[n++] = (u8)(0x40 | below(16));
	memcpy(at + n, maps[map].bytes, maps[map].len);
	return n + maps[map].len;
}

/* At the beginning of the page of code, or so near to its end that the instruction may go on in the next one. */
static u64 put_code(void)
{
	unsigned int offset = below(8) ? 16 : (unsigned int)(PAGE_SIZE - 1 - below(12));
	u8 code[48];

	for (unsigned int i = 0; i < sizeof(code); i++)
		code[i] = i < 20 ? (u8)random() : i % 2 ? 0x81 : 0xcd; /* INT 81H */
	put_opcode(code);
	memcpy(page[CODE] + offset, code, sizeof(code));
	return (u64)(uintptr_t)page[CODE] + offset;
}

static void fill_launch(bool step)
{
	u64 *registers = &launch.r15;

	for (unsigned int i = 0; i < 15; i++)
		registers[i] = any_value();
	launch.rip = put_code();
	launch.cs = 0x2b;
	launch.ss = 0x23;
	launch.rsp = below(4) ? (u64)(uintptr_t)page[STACK] + 2048 : any_value();
	launch.rflags = (random() & 0xcd5) | 2 | RFLAGS_IF | (step ? RFLAGS_TF : 0);
}

/* The exceptions that an instruction may end with. */
static bool plausible(int vector)
{
	static const u32 may = BIT(DE) | BIT(DB) | BIT(BP) | BIT(UD) | BIT(7) | BIT(NP) |
			       BIT(SS_FAULT) | BIT(GP) | BIT(PF) | BIT(16) | BIT(AC) | BIT(19);

	return vector == USER_END || (vector >= 0 && vector < 32 && (may & BIT(vector)));
}

static u64 kernel_sum(void)
{
	u64 sum = read_cr0() + 3 * read_cr4() + 5 * read_cr3() + 7 * rdmsr(IA32_EFER);

	for (unsigned int i = 0; i < 512; i++)
		sum = sum * 31 + (pml4[i] & ~ACCESSED_DIRTY) + (window_pt[i] & ~ACCESSED_DIRTY) +
		      ((const u64 *)(const void *)idt)[i];
	return sum;
}

static int one_round(void)
{
	bool step = below(8);

	fill_launch(step);
	armed = true;
	timed_out = false;
	if (!step)
		lapic_write(0x380, (u32)microseconds(SLICE));
	run_user(page[CODE], 0);
	return trapped.vector;
}

void guest_main(void)
{
	u64 rounds = option_number("rounds", ROUNDS), seed = option_number("seed", 1), sum;
	u32 seen[256] = { 0 }, stopped = 0;

	random_state = seed * 0x9e3779b97f4a7c15;
	write_cr4(read_cr4() | CR4_OSFXSR | (cpuid(1, 0).ecx & BIT(26) ? CR4_OSXSAVE : 0));
	map_pages();
	memcpy(page[CODE], "\xcd\x81", 2);
	close_gates();
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x3e0, 0xb);
	lapic_write(0x320, TIMER);
	trap_hook = on_trap;
	sum = kernel_sum();
	for (u64 i = 0; i < rounds; i++) {
		int vector = one_round();

		seen[vector & 0xff]++;
		stopped += timed_out;
		if (!plausible(vector))
			report(false, "round %lu: vector %d at %lx", i, vector, trapped.rip);
		if (i % 1000 == 999)
			report(kernel_sum() == sum, "round %lu: the kernel is as it was", i);
		memcpy(page[CODE], "\xcd\x81", 2);
	}
	report(seen[DB] && seen[UD] && seen[GP] && seen[PF] && seen[USER_END],
	       "there was something of all kinds");
	say("%lu rounds: %u steps, %u undefined, %u protection, %u page faults, %u ran on, %u were "
	    "stopped",
	    rounds, seen[DB], seen[UD], seen[GP], seen[PF], seen[USER_END], stopped);
}
