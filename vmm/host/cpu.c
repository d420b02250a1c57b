/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmm/host/cpu.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/mem.h"
#include "vmm/host/trap.h"

/* In trap.asm. */
void cpu_load_segments(u64 code, u64 data, u64 tss);

static struct cpu *cpus;
static struct cpu *boot_cpu;

static const char stack_name[CPU_STACKS][16] = { "main", "NMI", "double fault", "machine check" };

/* Descriptors, flat where 64-bit mode still looks. SDM volume 3, "Segment Descriptors". */
#define GDT_CODE 0x00af9b000000ffffULL /* accessed: the CPU need not write to it */
#define GDT_DATA 0x00cf93000000ffffULL
#define GDT_TSS  0x0000890000000000ULL /* 64-bit TSS, available */

/* Each stack is a guard page and CPU_STACK_SIZE above it. */
#define STACK_STEP (PAGE_SIZE + CPU_STACK_SIZE)

int cpu_prepare(struct cpu *cpu, unsigned int id)
{
	hpa_t block = mem_alloc(CPU_STACKS * STACK_STEP, PAGE_SIZE, MEM_OWNER_VMM);
	int err = block ? 0 : -ENOMEM;

	cpu->self = cpu;
	cpu->id = id;
	for (unsigned int i = 0; i < CPU_STACKS && !err; i++, block += STACK_STEP) {
		err = hostpt_guard(block);
		cpu->stack_top[i] = block + STACK_STEP;
	}
	if (err) {
		pr_err("cpu: no stacks for one more: error %d\n", err);
		return err;
	}
	cpu->next = cpus;
	cpus = cpu;
	return 0;
}

static void fill_segments(struct cpu *cpu)
{
	u64 tss = (u64)&cpu->tss;

	cpu->tss = (struct cpu_tss){ .iomap = sizeof(struct cpu_tss) };
	for (unsigned int i = 1; i < CPU_STACKS; i++)
		cpu->tss.ist[i] = cpu->stack_top[i];

	cpu->gdt[CPU_SEL_CODE / 8] = GDT_CODE;
	cpu->gdt[CPU_SEL_DATA / 8] = GDT_DATA;
	cpu->gdt[CPU_SEL_TSS / 8] = GDT_TSS | (sizeof(struct cpu_tss) - 1) |
				    (tss & GENMASK(23, 0)) << 16 | (tss & GENMASK(31, 24)) << 32;
	cpu->gdt[CPU_SEL_TSS / 8 + 1] = tss >> 32;
}

/*
 * A VM exit sets the GDT's limit to 0xffff whatever it was. That is harmless: nothing here ever
 * loads another selector than these three.
 */
static void load_gdt(const struct cpu *cpu)
{
	struct {
		u16 limit;
		u64 base;
	} __packed gdtr = { sizeof(cpu->gdt) - 1, (u64)cpu->gdt };

	__asm__ volatile("lgdt %0" : : "m"(gdtr) : "memory");
	cpu_load_segments(CPU_SEL_CODE, CPU_SEL_DATA, CPU_SEL_TSS);
}

u32 cpu_read_apic_id(void)
{
	u32 max = cpuid(0, 0).eax;

	/* Leaf 0bH has all 32 bits, where it is there (EBX != 0). */
	if (max >= 0xb && cpuid(0xb, 0).ebx)
		return cpuid(0xb, 0).edx;
	return cpuid(1, 0).ebx >> 24;
}

/* What the firmware may have left for itself. XSAVES in a guest is to find no supervisor state but what it has asked for. */
static void undo_firmware(void)
{
	if (cpuid(0, 0).eax >= 0xd && (cpuid(0xd, 1).eax & BIT(3)))
		wrmsr(IA32_XSS, 0);
}

void cpu_init(struct cpu *cpu)
{
	irq_disable();
	undo_firmware();
	fill_segments(cpu);
	load_gdt(cpu);
	wrmsr(IA32_GS_BASE, (u64)cpu);
	trap_load_idt();
	hostpt_load();
	cpu->apic_id = cpu_read_apic_id();
}

struct cpu *cpu_boot(void)
{
	return boot_cpu;
}

int cpu_init_boot(struct cpu *cpu)
{
	int err = cpu_prepare(cpu, 0);

	boot_cpu = cpu;
	if (!err)
		cpu_init(cpu);
	return err;
}

struct cpu *this_cpu_or_null(void)
{
	u64 base = rdmsr(IA32_GS_BASE);

	for (struct cpu *cpu = cpus; cpu; cpu = cpu->next)
		if ((u64)cpu == base)
			return cpu;
	return NULL;
}

bool cpu_stack_bounds(hpa_t addr, hpa_t *bottom, hpa_t *top)
{
	for (const struct cpu *cpu = cpus; cpu; cpu = cpu->next) {
		for (unsigned int i = 0; i < CPU_STACKS; i++) {
			*top = cpu->stack_top[i];
			*bottom = *top - CPU_STACK_SIZE;
			if (addr >= *bottom && addr < *top)
				return true;
		}
	}
	return false;
}

const char *cpu_guard_name(hpa_t addr)
{
	for (const struct cpu *cpu = cpus; cpu; cpu = cpu->next)
		for (unsigned int i = 0; i < CPU_STACKS; i++)
			if (addr - (cpu->stack_top[i] - STACK_STEP) < PAGE_SIZE)
				return stack_name[i];
	return NULL;
}

void cpu_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}
