/* SPDX-License-Identifier: BSD-2-Clause */
/* Start in C: exceptions, ring 3, interrupts, time. */
#include "micro.h"
#include "lib/string.h"

const struct multiboot_info *multiboot;
volatile struct trapped trapped;
volatile u64 trap_recover, trap_recover_rsp;
u8 code_buffer[64] __attribute__((aligned(64)));
static struct code_regs user_regs;
bool (*trap_hook)(struct frame *f);
u8 idt[4096] __attribute__((aligned(4096)));
volatile u32 irq_count[256], irq_total;
volatile u8 irq_order[64];
volatile enum irq_end irq_end;
u64 tsc_hz;

void micro_start(void);
void trap(struct frame *f);
void report_start(void);
void user_enter(u64 rip, u64 rsp, u64 rflags);
void user_leave(void) __noreturn;

struct gate {
	u16 low, selector;
	u8 ist, rights;
	u16 middle;
	u32 high, zero;
};
_Static_assert(sizeof(struct gate) == 16, "gate of the IDT");

void set_gate(u8 vector, u64 handler, u8 ist)
{
	struct gate g = {
		(u16)handler, 0x08, ist, 0xee, (u16)(handler >> 16), upper_32(handler), 0
	};

	memcpy(idt + vector * sizeof(g), &g, sizeof(g));
}

static void init_idt(void)
{
	struct descriptor_pointer p = { sizeof(idt) - 1, (u64)(uintptr_t)idt };

	for (unsigned int i = 0; i < 256; i++)
		set_gate((u8)i, trap_entries[i], i == DF);
	__asm__ volatile("lidt %0" : : "m"(p));
}

void sleep(u64 us)
{
	enum irq_end end = irq_end;

	irq_end = END_LAPIC;
	irq_count[0xf0] = 0;
	lapic_write(0x3e0, 0xb); /* divided by 1 */
	lapic_write(0x320, 0xf0);
	lapic_write(0x380, (u32)microseconds(us));
	while (!irq_count[0xf0])
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	lapic_write(0x320, 0x10000);
	irq_end = end;
}

/* "after=N": start N seconds after the others, so as to have the CPU for itself. */
static void wait_turn(void)
{
	u64 seconds = option_number("after", 0);

	if (!seconds)
		return;
	for (u64 i = 0; i < seconds; i++)
		sleep(1000000);
	irq_clear();
	lapic_write(0x320, 0x10000);
	lapic_write(0x380, 0);
	lapic_write(0x3e0, 0);
}

void micro_start(void)
{
	struct cpuid_regs r = { 0 };

	if (cpuid(0, 0).eax >= 0x15)
		r = cpuid(0x15, 0);
	multiboot = (const void *)(uintptr_t)entry_regs[1];
	init_idt();
	report_start();
	if (r.eax)
		tsc_hz = (u64)r.ecx * r.ebx / r.eax;
	wait_turn();
	guest_main();
	say("%u passed, %u failed", passed, failed);
	finish(MIN(failed, 255u));
}

static void on_interrupt(const struct frame *f)
{
	irq_count[f->vector]++;
	irq_order[irq_total++ % ARRAY_SIZE(irq_order)] = (u8)f->vector;
	if (irq_end == END_LAPIC) {
		lapic_write(0xb0, 0);
	} else if (irq_end == END_PIC) {
		outb(0xa0, 0x20);
		outb(0x20, 0x20);
	}
}

void irq_clear(void)
{
	memset((void *)(uintptr_t)irq_count, 0, sizeof(irq_count));
	irq_total = 0;
}

void trap(struct frame *f)
{
	bool user = f->cs & 3;

	if (trap_hook && trap_hook(f))
		return;
	if (f->vector >= 32 && !(user && f->vector == USER_END)) {
		on_interrupt(f);
		return;
	}
	trapped.vector = (int)f->vector;
	trapped.error = f->error;
	trapped.rip = f->rip;
	trapped.cr2 = read_cr2();
	trapped.rflags = f->rflags;
	trapped.rsp = f->rsp;
	trapped.user = user;
	if (user) {
		user_regs = (struct code_regs){ f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi };
		user_leave();
	}
	if (trap_recover) {
		f->rip = trap_recover;
		f->rsp = trap_recover_rsp;
		f->rflags &= ~0x100ULL;
		trap_recover = 0;
		return;
	}
	say("FAIL exception %lu (error %lx) at %lx, CR2 %lx", f->vector, f->error, f->rip,
	    read_cr2());
	finish(0xee);
}

int run_user(const void *code, u64 rflags)
{
	static u8 stack[4096] __attribute__((aligned(16)));

	user_enter((u64)(uintptr_t)code, (u64)(uintptr_t)(stack + sizeof(stack)), rflags | 2);
	return trapped.vector;
}

static void place_code(const void *bytes, size_t len, const void *end, size_t end_len)
{
	memset(code_buffer, 0xcc, sizeof(code_buffer));
	memcpy(code_buffer, bytes, len);
	memcpy(code_buffer + len, end, end_len);
}

int run_code(const void *bytes, size_t len, struct code_regs *r)
{
	place_code(bytes, len, "\xc3", 1);
	return TRY("call code_buffer",
		   : "+a"(r->rax), "+b"(r->rbx), "+c"(r->rcx), "+d"(r->rdx), "+S"(r->rsi),
		     "+D"(r->rdi)
		   :
		   : "memory", "cc");
}

/* A stub in front of the code loads the registers. */
int run_code_user(const void *bytes, size_t len, struct code_regs *r)
{
	static u8 stub[128];
	static const u8 load[6][2] = { { 0x48, 0xb8 }, { 0x48, 0xbb }, { 0x48, 0xb9 },
				       { 0x48, 0xba }, { 0x48, 0xbe }, { 0x48, 0xbf } };
	u8 *at = stub;

	for (unsigned int i = 0; i < 6; i++, at += 10) {
		memcpy(at, load[i], 2);
		memcpy(at + 2, (const u64 *)r + i, 8);
	}
	memcpy(at, "\xe9", 1);
	*(s32 *)(void *)(at + 1) = (s32)(code_buffer - (at + 5));
	place_code(bytes, len, "\xcd\x81", 2);
	run_user(stub, 0);
	*r = user_regs;
	return trapped.vector;
}

u8 *window_map(unsigned int i, u64 entry)
{
	u8 *p = (u8 *)(uintptr_t)(WINDOW + i * PAGE_SIZE);

	window_pt[i] = entry;
	invlpg(p);
	return p;
}

bool wait_irq(u8 vector, u32 n, u64 us)
{
	u64 end = rdtsc() + microseconds(us);

	irq_enable();
	while (irq_count[vector] < n && rdtsc() < end)
		cpu_pause();
	irq_disable();
	return irq_count[vector] >= n;
}

bool msr_try_read(u32 msr, u64 *value)
{
	u32 lo = 0, hi = 0;
	int vector = TRY("rdmsr", : "+a"(lo), "+d"(hi) : "c"(msr));

	*value = make_64(hi, lo);
	if (vector != NONE && (vector != GP || trapped.error))
		report(false, "RDMSR %x: exception %d, error %lx", msr, vector, trapped.error);
	return vector == NONE;
}

bool msr_try_write(u32 msr, u64 value)
{
	int vector = TRY("wrmsr",
			 :
			 : "c"(msr), "a"(lower_32(value)), "d"(upper_32(value))
			 : "memory");

	if (vector != NONE && (vector != GP || trapped.error))
		report(false, "WRMSR %x: exception %d, error %lx", msr, vector, trapped.error);
	return vector == NONE;
}

#define LAPIC  0xfee00000u
#define IOAPIC 0xfec00000u

bool lapic_is_x2apic(void)
{
	return rdmsr(IA32_APIC_BASE) & APIC_BASE_EXTD;
}

u32 lapic_read(u32 offset)
{
	if (lapic_is_x2apic())
		return (u32)rdmsr(IA32_X2APIC(offset));
	return *(volatile u32 *)(uintptr_t)(LAPIC + offset);
}

void lapic_write(u32 offset, u32 value)
{
	if (lapic_is_x2apic())
		wrmsr(IA32_X2APIC(offset), value);
	else
		*(volatile u32 *)(uintptr_t)(LAPIC + offset) = value;
}

u32 ioapic_read(u32 index)
{
	*(volatile u32 *)(uintptr_t)IOAPIC = index;
	return *(volatile u32 *)(uintptr_t)(IOAPIC + 0x10);
}

void ioapic_write(u32 index, u32 value)
{
	*(volatile u32 *)(uintptr_t)IOAPIC = index;
	*(volatile u32 *)(uintptr_t)(IOAPIC + 0x10) = value;
}

u64 exit_ticks(void)
{
	u64 least = ~0ULL;

	for (unsigned int n = 0; n < 16; n++) {
		u64 start = rdtsc();

		(void)cpuid(0, 0);
		least = MIN(least, rdtsc() - start);
	}
	return least;
}
