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
#include "vmm/host/tsc_sync.h"

extern const u8 ap_trampoline[], ap_trampoline_end[], ap_params[];

/* What ap.asm calls so. */
struct ap_params {
	u16 gdt_limit;
	u32 gdt_base;
	u32 far_offset;
	u16 far_selector;
	u32 cr0, cr3, cr4, efer;
	u32 unused;
	u64 ticket;
	u64 gdt[3];
} __packed;
_Static_assert(offsetof(struct ap_params, cr0) == 12, "ap.asm");
_Static_assert(offsetof(struct ap_params, ticket) == 32, "ap.asm");

/* What the trampoline takes a CPU to. */
struct ap_boot {
	u64 stack;
	struct cpu *cpu;
	void (*entry)(struct cpu *cpu);
};
_Static_assert(offsetof(struct ap_boot, entry) == 16, "ap.asm");

/*
 * How far a CPU is. It says so itself, until the boot CPU waits no longer: from then on whatever it says is not heard, and it
 * halts. So each step is a compare-exchange.
 */
enum ap_state { AP_OFF, AP_RUNNING, AP_ONLINE, AP_UNFIT, AP_GIVEN_UP };

static struct ap {
	struct cpu cpu;
	struct ap_boot boot;
	atomic_uint state;
	struct tsc_sync sync;
} slots[CPU_MAX - 1];

/*
 * For the next CPU that comes; NULL: for none. A CPU may come when it is no longer waited for (the firmware, or a hypervisor, had
 * it): then it takes the ticket of another one, which will find none, or none is there and it halts in the trampoline.
 */
static _Atomic(struct ap_boot *) ap_ticket;
_Static_assert(sizeof(ap_ticket) == 8, "ap.asm");

static struct cpu *online[CPU_MAX - 1];
static unsigned int aps; /* that are online */
static void (*ap_fn)(struct cpu *cpu);
static u64 ap_tsc_hz, ap_tsc_adjust; /* the boot CPU's */

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

static struct ap *ap_of(struct cpu *cpu)
{
	return (struct ap *)(void *)((char *)cpu - offsetof(struct ap, cpu));
}

/* This CPU goes on from @from to @to, or not at all. */
static void step(enum ap_state from, enum ap_state to)
{
	unsigned int expected = from;

	if (!atomic_compare_exchange_strong(&ap_of(this_cpu())->state, &expected, to))
		cpu_halt();
}

static void __noreturn ap_entry(struct cpu *cpu)
{
	cpu_init(cpu);
	tsc_adjust_write(ap_tsc_adjust);
	step(AP_OFF, AP_RUNNING);
	if (tsc_sync_answer(&ap_of(cpu)->sync, ap_tsc_hz))
		ap_fn(cpu);
	step(AP_RUNNING, AP_UNFIT);
	cpu_halt();
}

void ap_online(void)
{
	this_cpu()->id = aps + 1; /* which the next one gets, too, if this one is given up */
	step(AP_RUNNING, AP_ONLINE);
}

static void delay(u64 ticks)
{
	u64 end = rdtsc() + ticks;

	while (rdtsc() < end)
		cpu_pause();
}

static bool wait_for(struct ap *ap, enum ap_state state, u64 ticks)
{
	u64 end = rdtsc() + ticks;

	while (atomic_load(&ap->state) < (unsigned int)state) {
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
	p->ticket = (u64)(uintptr_t)&ap_ticket;
}

/* Guests' clocks would go back when a vCPU comes to a CPU that is behind: such a one hears so, and is unfit. */
static void sync_tsc(struct ap *ap, u32 apic_id, u64 tsc_hz)
{
	struct tsc_skew skew;

	if (!tsc_sync_ask(&ap->sync, tsc_hz, &skew) && skew.low <= skew.high)
		pr_warn("cpu: APIC ID %u is not used: its TSC is %lld to %lld ticks off the boot "
			"CPU's\n",
			apic_id, (long long)skew.low, (long long)skew.high);
}

/*
 * INIT, then start-up IPIs. Times as the manual's example has them; what sleeps in the firmware's
 * MWAIT loop wakes by INIT as well.
 */
static void wake(struct ap *ap, u32 apic_id, hpa_t page, u64 tsc_hz)
{
	lapic_send_init(apic_id);
	delay(tsc_hz / 100);
	atomic_store(&ap_ticket, &ap->boot);
	lapic_send_startup(apic_id, (u8)(page >> 12));
	if (!wait_for(ap, AP_RUNNING, tsc_hz / 1000)) {
		lapic_send_startup(apic_id, (u8)(page >> 12));
		if (!wait_for(ap, AP_RUNNING, tsc_hz / 5))
			return;
	}
	sync_tsc(ap, apic_id, tsc_hz);
	(void)wait_for(ap, AP_ONLINE, tsc_hz);
}

/* No more is waited for. How far it was: nothing that it does from here on changes that. */
static enum ap_state settle(struct ap *ap)
{
	unsigned int state = atomic_load(&ap->state);

	while (state != AP_ONLINE && !atomic_compare_exchange_weak(&ap->state, &state, AP_GIVEN_UP))
		;
	return state;
}

static bool start(struct ap *ap, u32 apic_id, hpa_t page, u64 tsc_hz)
{
	enum ap_state state;

	ap->boot = (struct ap_boot){ ap->cpu.stack_top[CPU_STACK_MAIN], &ap->cpu, ap_entry };
	ap->sync = (struct tsc_sync){ 0 };
	atomic_store(&ap->state, AP_OFF);
	wake(ap, apic_id, page, tsc_hz);
	atomic_store(&ap_ticket, NULL);
	state = settle(ap);
	if (state == AP_ONLINE)
		return true;
	if (state != AP_UNFIT) /* which has said why */
		pr_warn("cpu: APIC ID %u does not start\n", apic_id);
	/* Back to where it was before, wherever it is: from there it cannot come late. */
	lapic_send_init(apic_id);
	return false;
}

/* All that is needed for @n of them, while no other CPU uses the page tables. How many there is memory for. */
static unsigned int prepare(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (cpu_prepare(&slots[i].cpu, CPU_NO_ID))
			return i;
	}
	return n;
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
	unsigned int n;

	aps = 0;
	ap_fn = fn;
	ap_tsc_hz = tsc_hz;
	ap_tsc_adjust = tsc_adjust_read();
	trap_set_nmi_hook(on_nmi);
	panic_set_stop(ap_stop_others);
	if (acpi->cpus > 1 && !page)
		pr_warn("cpu: no memory below 1 MiB: the other CPUs stay off\n");
	if (!page)
		return 1;
	build_trampoline(page, root);
	if (hostpt_set_code(page))
		return 1;
	n = prepare(MIN(acpi->cpus - 1, (unsigned int)ARRAY_SIZE(slots)));
	for (unsigned int i = 0, slot = 0; i < acpi->cpus && slot < n; i++) {
		u32 apic_id = acpi->cpu[i].apic_id;

		/* A CPU that fails keeps its slot: it may come late. */
		if (apic_id != this_cpu()->apic_id && start(&slots[slot++], apic_id, page, tsc_hz))
			online[aps++] = &slots[slot - 1].cpu;
	}
	return 1 + aps;
}
