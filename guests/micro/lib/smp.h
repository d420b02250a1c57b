/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several CPUs: found in the MADT, started by INIT and SIPI, and given work. guest_main runs on the
 * first, from smp_start on with interrupts on; the others wait in HLT for what cpu_call gives them.
 *
 * Whoever waits for another CPU turns interrupts on: where the VMM has neither a preemption timer
 * nor an interrupt that comes through (Bochs, after an entry with IF = 0), it would wait for ever.
 * What needs IF = 0 for long is left out with "no-slices" on the command line.
 */
#ifndef SMP_H
#define SMP_H

#include "lapic.h"
#include "micro.h"

#define SMP_CPUS 16
#define ALL_CPUS (BIT(cpu_count) - 1)

/* Vectors of the library's own. All that guests use are above: what came first is handled first. */
#define CALL_VECTOR 0x31
#define NMI_VECTOR  2

struct smp_cpu {
	struct smp_cpu *self; /* at GS:0 */
	unsigned int index;
	u32 apic_id;
	volatile u32 starts;            /* how often it has come up */
	void (*volatile fn)(void *arg); /* its work; NULL: none */
	void *volatile arg;
	volatile u32 irqs[256]; /* taken, by vector; NMIs as NMI_VECTOR */
};

extern struct smp_cpu cpus[SMP_CPUS];
extern unsigned int cpu_count;
extern u8 smp_index[256]; /* a CPU's, by its APIC ID */

/* Called by each interrupt's handler before its EOI. */
extern void (*volatile irq_hook)(struct smp_cpu *me, struct frame *f);

/* Called in place of the EOI; false: it is to be written to the register. */
extern bool (*volatile eoi_hook)(struct smp_cpu *me);

static inline struct smp_cpu *this_cpu(void)
{
	struct smp_cpu *me;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(me));
	return me;
}

/* Wait, with PAUSE, until @condition or for @us microseconds; its value then. */
#define WAIT(condition, us)                            \
	({                                             \
		u64 end_ = rdtsc() + microseconds(us); \
		while (!(condition) && rdtsc() < end_) \
			cpu_pause();                   \
		(condition);                           \
	})
#define SECOND 1000000ULL

/* An ACPI table, or NULL. */
const void *acpi_table(const char *signature);

/* The APIC IDs that the MADT names, at most @most; how many. */
unsigned int madt_cpus(u32 *apic_ids, unsigned int most);

/* Find the CPUs, switch this one's APIC on, and start the others. False, and reported, if not all come. */
bool smp_start(void);

/* All CPUs' APICs to x2APIC or xAPIC mode. */
void smp_set_x2apic(bool x2apic);
bool smp_has_x2apic(void);

/* ICR: an IPI to @dest (APIC ID or logical destination, unused with a shorthand). */
void send_ipi(u32 icr, u32 dest);

/*
 * The life of CPU @i. cpu_start: INIT, SIPI to @page * 4 KiB (one of START_PAGES), and wait until it
 * idles. The trampoline there notes what it found.
 */
#define START_PAGE       0x10
#define OTHER_START_PAGE 0x9e
bool cpu_start(unsigned int i, u8 page);
void cpu_init(unsigned int i);
void cpu_sipi(unsigned int i, u8 page);
bool cpu_wait_start(unsigned int i, u32 starts); /* until it has come up more often than @starts */

/* As the CPU was when it executed its first instruction. Layout: smp_start.asm. */
struct start_state {
	u32 eax, ebx, ecx, edx, esi, edi, ebp, esp, eflags;
	u32 cr0, cr2, cr3, cr4, dr6, dr7;
	u32 cs, ds, es, fs, gs, ss;
	u16 gdt_limit, idt_limit;
	u32 gdt_base, idt_base;
};
const struct start_state *start_state(u8 page);

/*
 * CPU @i, which must be idle, executes @fn(@arg), which begins with interrupts off.
 * cpu_wait: until it has returned; false after some seconds. cpu_run: both; a CPU that does not return ends the guest.
 */
void cpu_call(unsigned int i, void (*fn)(void *arg), void *arg);
bool cpu_wait(unsigned int i);
void cpu_run(unsigned int i, void (*fn)(void *arg), void *arg);

/* All CPUs, this one too, execute @fn at once; returns when all have. */
void run_on_all(void (*fn)(void *arg), void *arg);

/* All idle CPUs have taken all interrupts that were sent to them. */
void smp_fence(void);

/* Forget all counts of interrupts; nothing may be on its way. */
void smp_clear(void);

#endif
