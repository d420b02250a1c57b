/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One CPU ends the VM while the others are busy: "case=NAME" says how, "busy=WHAT" with what.
 * The test sees the reason, and that the VM's CPUs all start again.
 */
#include "smp.h"
#include "lib/string.h"

#define VECTOR 0x51

/* --- what the others do --- */

static volatile u32 busy;

static void spin(void)
{
	for (;;)
		cpu_pause();
}

static void halt(void)
{
	for (;;)
		__asm__ volatile("sti; hlt" : : : "memory");
}

static void halt_for_good(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

static void send(void)
{
	irq_enable();
	for (;;)
		send_ipi(ICR_OTHERS | ICR_ASSERT | VECTOR, 0);
}

/* Ports and the I/O APIC: devices that the CPUs share. */
static void use_devices(void)
{
	for (;;) {
		outb(0x70, 0);
		inb(0x71);
		inb(0x61);
		ioapic_read(1);
	}
}

static const struct {
	const char *name;
	void (*fn)(void);
} businesses[] = {
	{ "spin", spin }, { "halt", halt },           { "halt-for-good", halt_for_good },
	{ "send", send }, { "devices", use_devices },
};

static void be_busy(void *fn)
{
	__atomic_fetch_add(&busy, 1, __ATOMIC_SEQ_CST);
	irq_enable();
	((void (*)(void))fn)();
}

/* --- how it ends --- */

static void triple_fault(void)
{
	static struct descriptor_pointer none;

	__asm__ volatile("lidt %0\n\tud2" : : "m"(none));
}

static void debug_exit(void)
{
	outl(0xf4, 0x2a);
}

static void reset(void)
{
	outb(0xcf9, 6);
}

/* Where a processor starts: whoever jumps there wants the machine reset. */
static void reset_vector(void)
{
	__asm__ volatile("jmp *%0" : : "r"(0xfffffff0ULL));
}

static void power_off(void)
{
	outw(0x604, 1 << 13 | 5 << 10);
}

static void crash_outside(void)
{
	__asm__ volatile("jmp *%0" : : "r"(0x20000000ULL));
}

static const struct {
	const char *name;
	void (*fn)(void);
} ways[] = {
	{ "triple-fault", triple_fault },
	{ "debug-exit", debug_exit },
	{ "reset", reset },
	{ "vector", reset_vector },
	{ "poweroff", power_off },
	{ "outside", crash_outside },
};

static volatile bool go;

static void end(void *fn)
{
	irq_enable();
	while (!go)
		cpu_pause();
	((void (*)(void))fn)();
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

static bool is_value(const char *key, const char *name)
{
	const char *value = option_value(key);
	size_t n = strlen(name);

	return value && !memcmp(value, name, n) && (!value[n] || value[n] == ' ');
}

/* "all": each CPU ends it, at once. Else the last CPU does, or the first with "first". */
void guest_main(void)
{
	void *way = NULL, *business = spin;

	if (!smp_start())
		return;
	say("%u CPUs", cpu_count);
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		if (is_value("case", ways[i].name))
			way = ways[i].fn;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(businesses); i++) {
		if (is_value("busy", businesses[i].name))
			business = businesses[i].fn;
	}
	report(way, "there is such a case");
	if (!way)
		return;
	if (option("all")) {
		for (unsigned int i = 1; i < cpu_count; i++)
			cpu_call(i, end, way);
		WAIT(false, 20000);
		go = true;
		end(way);
	}
	for (unsigned int i = 1; i + 1 < cpu_count; i++)
		cpu_call(i, be_busy, business);
	cpu_call(cpu_count - 1, option("first") ? be_busy : end, option("first") ? business : way);
	WAIT(busy >= cpu_count - 2, SECOND);
	go = true;
	if (option("first"))
		end(way);
	((void (*)(void))business)();
}
