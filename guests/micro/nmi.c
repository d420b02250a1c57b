/* SPDX-License-Identifier: BSD-2-Clause */
/* NMIs: taken whatever IF says, one in service and one waiting, out of HLT, before other interrupts. */
#include "micro.h"

enum { ICR = 0x300, ICR2 = 0x310, SELF = 0x40000, MODE_NMI = 0x400 };

#define NMI       2
#define PIT_HZ    1193182
#define PIT_ENTRY 0x14 /* of the I/O APIC: pin 2 */

static volatile u32 taken, depth, deepest, again;
static volatile u64 taken_at;
static volatile bool unblock;
static volatile u8 order[8];
static volatile u32 orders;

static void send_nmi(void)
{
	if (lapic_is_x2apic())
		wrmsr(0x830, MODE_NMI);
	else
		lapic_write(ICR, MODE_NMI);
}

/* IRET to the next instruction: what it unblocks is all that matters. */
static void iret_here(void)
{
	__asm__ volatile(
		"mov %%rsp, %%rax\n\tmov %%ss, %%ecx\n\tpush %%rcx\n\tpush %%rax\n\tpushfq\n\t"
		"mov %%cs, %%ecx\n\tpush %%rcx\n\tlea 1f(%%rip), %%rax\n\tpush %%rax\n\tiretq\n1:"
		:
		:
		: "rax", "rcx", "memory", "cc");
}

static void note(u8 vector)
{
	if (orders < sizeof(order))
		order[orders++] = vector;
}

static bool on_trap(struct frame *f)
{
	if (f->vector != NMI) {
		if (f->vector == 0x61)
			note(0x61);
		return false;
	}
	note(NMI);
	taken++;
	taken_at = f->rip;
	if (++depth > deepest)
		deepest = depth;
	for (; again; again--)
		send_nmi();
	if (unblock) {
		unblock = false;
		iret_here();
	}
	depth--;
	return true;
}

/* Without virtual NMIs the end of a handler is noticed once interrupts are on. */
static void settle(void)
{
	if (option("no-virtual-nmis"))
		__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

static void forget(void)
{
	taken = depth = deepest = orders = 0;
	irq_clear();
}

static void check_delivery(const char *mode)
{
	extern const u8 nmi_at[];

	forget();
	if (lapic_is_x2apic())
		__asm__ volatile(
			"mov $0x830, %%ecx\n\tmov $0x400, %%eax\n\txor %%edx, %%edx\n\twrmsr\n"
			"nmi_at: nop"
			:
			:
			: "rax", "rcx", "rdx", "memory");
	else
		send_nmi();
	report(taken == 1, "%s: with IF = 0: %u came", mode, taken);
	if (lapic_is_x2apic())
		report(taken_at == (u64)(uintptr_t)nmi_at, "right behind the WRMSR: %lx", taken_at);
	irq_enable();
	send_nmi();
	irq_disable();
	report(taken == 2, "%s: with IF = 1: %u came", mode, taken);
}

static void check_blocking(const char *mode)
{
	forget();
	again = 3; /* each by an exit, which unblocks nothing */
	send_nmi();
	settle();
	report(taken == 2 && deepest == 1,
	       "%s: of three in the handler one waits: %u came, %u deep", mode, taken, deepest);
	forget();
	again = 1;
	unblock = !option("no-virtual-nmis");
	send_nmi();
	settle();
	report(taken == 2 && deepest == (option("no-virtual-nmis") ? 1 : 2),
	       "%s: an IRET in the handler lets it in: %u came, %u deep", mode, taken, deepest);
	forget();
	for (u32 i = 0; i < 100; i++) {
		send_nmi();
		settle();
	}
	report(taken == 100, "%s: a hundred, one after the other: %u came", mode, taken);
}

static void check_priority(const char *mode)
{
	irq_end = END_LAPIC;
	forget();
	lapic_write(0x80, 0x70); /* TPR */
	lapic_write(ICR, SELF | 0x61);
	irq_enable();
	again = 1;
	send_nmi();
	lapic_write(0x80, 0);
	irq_disable();
	report(orders == 3 && order[0] == NMI && order[1] == NMI && order[2] == 0x61,
	       "%s: the TPR holds back an interrupt, not an NMI: %u, %x %x %x", mode, orders,
	       order[0], order[1], order[2]);
	report(irq_count[0x61] == 1, "%s: and it comes once: %u", mode, irq_count[0x61]);
}

/* The PIT's pin as an NMI: nothing that the guest does brings it, so it can come in a HLT. */
static void check_halt(const char *mode)
{
	u64 start;

	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	ioapic_write(PIT_ENTRY + 1, 0);
	ioapic_write(PIT_ENTRY, MODE_NMI | 0x99);
	for (int on = 0; on < 2; on++) {
		settle();
		forget();
		start = rdtsc();
		outb(0x43, 0x30); /* one-shot */
		outb(0x40, (u8)(PIT_HZ / 500));
		outb(0x40, (u8)(PIT_HZ / 500 >> 8));
		if (on)
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		else
			__asm__ volatile("cli; hlt" : : : "memory");
		report(taken == 1, "%s: out of HLT with IF = %d: %u came", mode, on, taken);
		report(rdtsc() - start >= microseconds(1900), "%s: it slept: %lu ticks", mode,
		       rdtsc() - start);
		report(irq_total == 0, "%s: the vector of the entry is not used: %u", mode,
		       irq_total);
	}
	ioapic_write(PIT_ENTRY, 0x10000);
}

static void check_all(const char *mode)
{
	check_delivery(mode);
	check_blocking(mode);
	check_priority(mode);
	check_halt(mode);
}

void guest_main(void)
{
	trap_hook = on_trap;
	check_all("xAPIC");
	wrmsr(IA32_APIC_BASE, rdmsr(IA32_APIC_BASE) | APIC_BASE_EXTD);
	check_all("x2APIC");
}
