/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/ap.h"
#include <stdatomic.h>
#include "drivers/lapic.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/mem.h"
#include "vmm/host/panic.h"
#include "vmm/host/trap.h"

#define AP_MAX 32 /* other CPUs that are used; a page of stacks and tables each is not for free */

extern const u8 ap_trampoline[], ap_trampoline_end[], ap_params[];

/* What ap.asm calls so. */
struct ap_params {
	u16 gdt_limit;
	u32 gdt_base;
	u32 far_offset;
	u16 far_selector;
	u32 cr0, cr3, cr4, efer;
	u32 unused;
	u64 boot;
	u64 gdt[3];
} __packed;
_Static_assert(offsetof(struct ap_params, cr0) == 12, "ap.asm");
_Static_assert(offsetof(struct ap_params, boot) == 32, "ap.asm");

/* What the trampoline takes with it: for one CPU at a time. */
static struct ap_boot {
	u64 stack;
	struct cpu *cpu;
	void (*entry)(struct cpu *cpu);
} ap_boot;
_Static_assert(offsetof(struct ap_boot, entry) == 16, "ap.asm");

static struct cpu ap[AP_MAX];
static struct cpu *online[AP_MAX];
static unsigned int aps; /* that are online */
static void (*ap_fn)(struct cpu *cpu);

/* The CPU being started tells the boot CPU how far it is. */
enum ap_state { AP_OFF, AP_RUNNING, AP_ONLINE };
static atomic_uint ap_state;
static atomic_ullong ap_tsc; /* read by the CPU between two reads of the boot CPU */

struct cpu *cpu_by_id(unsigned int id)
{
	if (!id)
		return cpu_boot();
	return id <= aps ? online[id - 1] : NULL;
}

/* An NMI gets through whatever a CPU is doing, in a guest and in the VMM. */
static void on_nmi(struct trap_frame *frame)
{
	(void)frame;
	if (panic_is_on())
		cpu_halt();
}

static void __noreturn ap_entry(struct cpu *cpu)
{
	cpu_init(cpu);
	atomic_store(&ap_tsc, rdtsc());
	atomic_store(&ap_state, AP_RUNNING);
	ap_fn(cpu);
	cpu_halt();
}

void ap_online(void)
{
	atomic_store(&ap_state, AP_ONLINE);
}

static void delay(u64 ticks)
{
	u64 end = rdtsc() + ticks;

	while (rdtsc() < end)
		cpu_pause();
}

static bool wait_for(enum ap_state state, u64 ticks)
{
	u64 end = rdtsc() + ticks;

	while (atomic_load(&ap_state) < (unsigned int)state) {
		if (rdtsc() > end)
			return false;
		cpu_pause();
	}
	return true;
}

/* The copy of the trampoline at @page, which finds its page-table root at @root. */
static void build_trampoline(hpa_t page, hpa_t root)
{
	struct ap_params *p = (void *)(uintptr_t)(page + (u64)(ap_params - ap_trampoline));

	memcpy((void *)(uintptr_t)page, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	memcpy((void *)(uintptr_t)root, (void *)(uintptr_t)read_cr3(), PAGE_SIZE);
	p->gdt_base = (u32)(uintptr_t)p->gdt;
	p->far_offset += (u32)page;
	p->cr0 = (u32)read_cr0();
	p->cr3 = (u32)root;
	/* No PCIDE and the like: hostpt_load sets the rest. LA57 must be as the tables are. */
	p->cr4 = (u32)(read_cr4() & (CR4_PAE | CR4_LA57 | CR4_PGE));
	p->efer = (u32)(rdmsr(IA32_EFER) & ~EFER_LMA);
	p->boot = (u64)(uintptr_t)&ap_boot;
}

/*
 * INIT, then start-up IPIs. Times as the manual's example has them; what sleeps in the firmware's
 * MWAIT loop wakes by INIT as well.
 */
static bool start(struct cpu *cpu, u32 apic_id, hpa_t page, u64 tsc_hz)
{
	u64 before, after;

	ap_boot = (struct ap_boot){ cpu->stack_top[CPU_STACK_MAIN], cpu, ap_entry };
	atomic_store(&ap_state, AP_OFF);
	lapic_send_init(apic_id);
	delay(tsc_hz / 100);
	before = rdtsc();
	lapic_send_startup(apic_id, (u8)(page >> 12));
	if (!wait_for(AP_RUNNING, tsc_hz / 1000)) {
		lapic_send_startup(apic_id, (u8)(page >> 12));
		if (!wait_for(AP_RUNNING, tsc_hz / 5)) {
			pr_warn("cpu: APIC ID %u does not start\n", apic_id);
			return false;
		}
	}
	after = rdtsc();
	if (atomic_load(&ap_tsc) < before || atomic_load(&ap_tsc) > after)
		pr_warn("cpu: the TSC of APIC ID %u is %lld ticks off the boot CPU's\n", apic_id,
			(long long)(atomic_load(&ap_tsc) - before));
	return wait_for(AP_ONLINE, tsc_hz);
}

void ap_stop_others(void)
{
	for (unsigned int i = 0; cpu_by_id(i); i++) {
		if (cpu_by_id(i) != this_cpu())
			lapic_send_nmi(cpu_by_id(i)->apic_id);
	}
}

unsigned int ap_start_all(const struct acpi_info *acpi, u64 tsc_hz, void (*fn)(struct cpu *cpu))
{
	hpa_t page = acpi->cpus > 1 ? mem_low_pages(2) : 0, root = page + PAGE_SIZE;

	ap_fn = fn;
	trap_set_nmi_hook(on_nmi);
	panic_set_stop(ap_stop_others);
	if (acpi->cpus > 1 && !page)
		pr_warn("cpu: no memory below 1 MiB: the other CPUs stay off\n");
	if (!page)
		return 1;
	build_trampoline(page, root);
	if (hostpt_set_code(page, true))
		return 1;
	for (unsigned int i = 0, slot = 0; i < acpi->cpus && slot < AP_MAX; i++) {
		u32 apic_id = acpi->cpu[i].apic_id;
		struct cpu *cpu = &ap[slot];

		if (apic_id == this_cpu()->apic_id)
			continue;
		if (cpu_prepare(cpu, aps + 1))
			break;
		slot++; /* a CPU that fails keeps its own: it may come late */
		if (start(cpu, apic_id, page, tsc_hz))
			online[aps++] = cpu;
	}
	if (hostpt_set_code(page, false))
		panic("the start code of other CPUs cannot be made data again");
	return 1 + aps;
}
