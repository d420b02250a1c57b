/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts of devices: through the two PICs and virtual wire, and through the I/O APIC. */
#include "micro.h"
#include "lib/string.h"

#define PIC_BASE   0x20
#define PIT_VECTOR 0x20
#define PIT_HZ     1193182

enum { LINT0 = 0x350, ISR = 0x100, IRR = 0x200, TMR = 0x180, EOI = 0xb0 };

static void window(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

static bool lapic_bit(u32 bank, u8 vector)
{
	return lapic_read(bank + vector / 32 * 16) >> (vector % 32) & 1;
}

static void pic_init(u16 mask)
{
	static const u8 icw[2][4] = { { 0x11, PIC_BASE, 0x04, 0x01 },
				      { 0x11, PIC_BASE + 8, 0x02, 0x01 } };

	for (unsigned int chip = 0; chip < 2; chip++) {
		u16 port = chip ? 0xa0 : 0x20;

		outb(port, icw[chip][0]);
		for (unsigned int i = 1; i < 4; i++)
			outb(port + 1, icw[chip][i]);
	}
	outb(0x21, (u8)mask);
	outb(0xa1, (u8)(mask >> 8));
}

static void pit_rate(u32 hz)
{
	outb(0x43, 0x34);
	outb(0x40, (u8)(PIT_HZ / hz));
	outb(0x40, (u8)(PIT_HZ / hz >> 8));
}

static void pit_stop(void)
{
	outb(0x43, 0x30); /* one-shot, no count yet */
}

static void halt_until(u8 vector, u32 n, u64 us)
{
	u64 end = rdtsc() + microseconds(us);

	while (irq_count[vector] < n && rdtsc() < end)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* Exactly @n; on a shared CPU another one may come before interrupts are off again. */
static bool counted(u8 vector, u32 n)
{
	return irq_count[vector] == n || (option("shared") && irq_count[vector] > n);
}

static void check_pit_by_pic(void)
{
	u64 start, took;

	irq_end = END_PIC;
	pic_init(0xfffe);
	irq_clear();
	start = rdtsc();
	pit_rate(1000);
	halt_until(PIT_VECTOR, 5, 2000000);
	took = rdtsc() - start;
	report(counted(PIT_VECTOR, 5) && irq_total == irq_count[PIT_VECTOR],
	       "PIT by PIC: %u, all %u", irq_count[PIT_VECTOR], irq_total);
	report(took >= microseconds(4900), "PIT: 5 ms took %lu ticks", took);
	if (!option("shared"))
		report(took < microseconds(6100), "PIT: 5 ms took %lu ticks", took);
	/* Masked in the PIC, in LINT0, and by IF: one waits, the others are lost as edges are. */
	outb(0x21, 0xff);
	irq_clear();
	report(!wait_irq(PIT_VECTOR, 1, 3000), "masked in the PIC");
	lapic_write(LINT0, 0x10700);
	outb(0x21, 0xfe);
	irq_clear();
	report(!wait_irq(PIT_VECTOR, 1, 3000), "masked in LINT0");
	lapic_write(LINT0, 0x700);
	irq_end = END_NOT;
	report(wait_irq(PIT_VECTOR, 1, 3000), "and there again");
	irq_clear();
	report(!wait_irq(PIT_VECTOR, 1, 3000), "without an EOI there is no second one");
	outb(0x20, 0x0b);
	report(inb(0x20) == 1, "the PIC's ISR: %x", inb(0x20));
	outb(0x20, 0x20);
	report(wait_irq(PIT_VECTOR, 1, 3000), "with it there is");
	outb(0x20, 0x20);
	pit_stop();
	outb(0x20, 0x0a);
	outb(0x21, 0xff);
	window();
}

/* The PIC's interrupt has no place in the local APIC: TPR and ISR do not hold it back. */
static void check_extint(void)
{
	irq_end = END_PIC;
	irq_clear();
	lapic_write(0x80, 0xff);
	pic_init(0xfffe);
	pit_rate(1000);
	report(wait_irq(PIT_VECTOR, 1, 10000), "ExtINT passes the TPR");
	lapic_write(0x80, 0);
	report(!lapic_bit(ISR, PIT_VECTOR), "and is not in the local APIC's ISR");
	pit_stop();
	outb(0x21, 0xff);
	window();
}

static u8 cmos(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static void cmos_write(u8 index, u8 value)
{
	outb(0x70, index);
	outb(0x71, value);
}

static bool rtc_ack(struct frame *f)
{
	if (f->vector == PIC_BASE + 8 || f->vector == 0x58)
		(void)cmos(0x0c);
	return false;
}

static void check_rtc_by_pic(void)
{
	irq_end = END_PIC;
	pic_init(0xfeff & ~4);
	irq_clear();
	trap_hook = rtc_ack;
	cmos_write(0x0a, 0x26); /* 1024 Hz */
	(void)cmos(0x0c);
	cmos_write(0x0b, cmos(0x0b) | 0x40);
	halt_until(PIC_BASE + 8, 5, 2000000);
	report(counted(PIC_BASE + 8, 5), "RTC by both PICs: %u", irq_count[PIC_BASE + 8]);
	trap_hook = NULL;
	irq_clear();
	(void)wait_irq(PIC_BASE + 8, 3, 5000);
	report(irq_count[PIC_BASE + 8] == 1, "without a read of register C only one: %u",
	       irq_count[PIC_BASE + 8]);
	cmos_write(0x0b, cmos(0x0b) & (u8)~0x40);
	(void)cmos(0x0c);
	pic_init(0xffff);
	window();
}

static void route(u32 pin, u32 low)
{
	ioapic_write(0x11 + 2 * pin, 0);
	ioapic_write(0x10 + 2 * pin, low);
}

static void check_ioapic_edge(void)
{
	irq_end = END_LAPIC;
	pic_init(0xffff);
	lapic_write(LINT0, 0x10700);
	irq_clear();
	route(2, 0x52);
	pit_rate(1000);
	halt_until(0x52, 5, 2000000);
	report(counted(0x52, 5) && irq_total == irq_count[0x52],
	       "PIT by I/O APIC pin 2: %u, all %u", irq_count[0x52], irq_total);
	report(!lapic_bit(TMR, 0x52), "an edge in the TMR");
	route(2, 0x10052);
	irq_clear();
	report(!wait_irq(0x52, 2, 3000), "masked: %u", irq_count[0x52]);
	route(2, 0x152); /* lowest priority */
	report(wait_irq(0x52, 1, 3000), "lowest priority");
	ioapic_write(0x10 + 4, 0x10000);
	irq_clear();
	ioapic_write(0x11 + 4, 7u << 24);
	ioapic_write(0x10 + 4, 0x52);
	report(!wait_irq(0x52, 1, 3000), "to an APIC that is not there");
	ioapic_write(0x11 + 4, 0);
	irq_clear();
	ioapic_write(0x10 + 4, 0x08);
	report(!wait_irq(0x52, 1, 3000) && !irq_total, "with an illegal vector");
	route(2, 0x10000);
	pit_stop();

	irq_clear();
	trap_hook = rtc_ack;
	route(8, 0x58);
	(void)cmos(0x0c);
	cmos_write(0x0b, cmos(0x0b) | 0x40);
	halt_until(0x58, 3, 2000000);
	report(counted(0x58, 3), "RTC by pin 8: %u", irq_count[0x58]);
	cmos_write(0x0b, cmos(0x0b) & (u8)~0x40);
	(void)cmos(0x0c);
	route(8, 0x10000);
	trap_hook = NULL;
	window();
}

#define UART 0x3f8

static void drain(void)
{
	while (!(inb(UART + 5) & 0x40))
		;
	(void)inb(UART + 2);
}

static void check_uart(void)
{
	unsigned int n;

	irq_end = END_LAPIC;
	drain();
	irq_clear();
	route(4, 0x54);
	outb(UART + 4, 0x0b);
	outb(UART + 1, 2);
	window();
	report(irq_count[0x54] == 1, "THRE by pin 4, edge: %u", irq_count[0x54]);
	report((inb(UART + 2) & 0xf) == 2, "IIR says so");
	report((inb(UART + 2) & 0xf) == 1, "and then that there is nothing");
	outb(UART + 1, 0);

	/* Level: the same interrupt again after each EOI until the line falls. */
	route(4, 0x18054);
	irq_clear();
	outb(UART + 1, 2);
	report(!(ioapic_read(0x18) & 0x4000), "no Remote IRR while masked");
	irq_end = END_NOT;
	ioapic_write(0x18, 0x8054);
	window();
	report(irq_count[0x54] == 1, "THRE by pin 4, level: %u", irq_count[0x54]);
	report(ioapic_read(0x18) & 0x4000, "Remote IRR is set: %x", ioapic_read(0x18));
	report(lapic_bit(TMR, 0x54), "and the TMR");
	window();
	report(irq_count[0x54] == 1, "not again before the EOI");
	lapic_write(EOI, 0);
	window();
	report(irq_count[0x54] == 2, "again after the EOI, as the line is up: %u", irq_count[0x54]);
	(void)inb(UART + 2); /* the line falls */
	lapic_write(EOI, 0);
	window();
	report(irq_count[0x54] == 2, "not when it has fallen: %u", irq_count[0x54]);
	report(!(ioapic_read(0x18) & 0x4000), "Remote IRR is clear: %x", ioapic_read(0x18));
	route(4, 0x10000);
	outb(UART + 1, 0);

	/* Loopback: received data. */
	irq_end = END_LAPIC;
	irq_clear();
	route(4, 0x54);
	outb(UART + 2, 7);
	outb(UART + 4, 0x1b);
	outb(UART + 1, 1);
	outb(UART, 'x');
	n = 0;
	while (!irq_count[0x54] && n++ < 1000)
		window();
	report(irq_count[0x54] && (inb(UART + 2) & 0xf) != 1 && inb(UART) == 'x',
	       "received data by loopback");
	outb(UART + 1, 0);
	outb(UART + 4, 0x0b);
	outb(UART + 2, 7);
	route(4, 0x10000);
}

/* PIT channel 0, one-shot, read back; channel 2 by its gate. */
static void check_pit(void)
{
	u16 a, b;

	outb(0x43, 0x34);
	outb(0x40, 0);
	outb(0x40, 0);
	outb(0x43, 0);
	a = inb(0x40);
	a |= (u16)(inb(0x40) << 8);
	for (unsigned int i = 0; i < 100; i++)
		(void)inb(0x80);
	outb(0x43, 0);
	b = inb(0x40);
	b |= (u16)(inb(0x40) << 8);
	report((u16)(a - b) > 10, "the count goes down: %u, %u", a, b);
	outb(0x43, 0xc2); /* read back count and status of channel 0 */
	report((inb(0x40) & 0x3f) == 0x34, "its status");
	(void)inb(0x40);
	(void)inb(0x40);
	pit_stop();
}

void guest_main(void)
{
	outb(UART + 1, 0);
	check_pit_by_pic();
	check_extint();
	check_rtc_by_pic();
	check_ioapic_edge();
	check_uart();
	check_pit();
}
