/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/observe/dump.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/spinlock.h"
#include "vmm/host/console.h"
#include "vmm/vcpu/cr.h"
#include "vmm/observe/exit_stats.h"
#include "vmm/vcpu/gva.h"
#include "vmm/observe/inside.h"
#include "vmm/vm/machine.h"
#include "vmm/vm/machine_net.h"
#include "vmm/vm/vm.h"

typedef unsigned long long ull;

/* A text of many lines does not mix with another CPU's: VMs crash and end side by side. */
static struct spinlock lock;

static void dump_segment(const char *name, enum vmcs_segment seg)
{
	pr_err("  %-4s %04x base %016llx limit %08x rights %05x\n", name,
	       (unsigned int)vmcs_read(GUEST_SEGMENT(GUEST_ES_SELECTOR, seg)),
	       (ull)vmcs_read(GUEST_SEGMENT(GUEST_ES_BASE, seg)),
	       vmcs_read32(GUEST_SEGMENT(GUEST_ES_LIMIT, seg)),
	       vmcs_read32(GUEST_SEGMENT(GUEST_ES_ACCESS_RIGHTS, seg)));
}

static void dump_code(const struct vcpu *vcpu)
{
	u64 linear = vmcs_read(GUEST_RIP);
	struct gva_fault fault;
	u8 b[8];

	if (!vcpu_long_mode())
		linear += vmcs_read(GUEST_CS_BASE);
	if (gva_read((struct vcpu *)(uintptr_t)vcpu, linear, GVA_FETCH, b, sizeof(b), &fault))
		pr_err("  code %02x %02x %02x %02x %02x %02x %02x %02x\n", b[0], b[1], b[2], b[3],
		       b[4], b[5], b[6], b[7]);
}

static void dump_state(const struct vcpu *vcpu)
{
	static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR" };
	const struct guest_regs *g = &vcpu->regs;

	pr_err("vm %s: vcpu %u: last exit %u (%s), qualification %llx\n", vcpu->vm->config->name,
	       vcpu->id, vcpu->exit_reason & EXIT_REASON_BASIC,
	       vmx_exit_reason_name(vcpu->exit_reason & EXIT_REASON_BASIC),
	       (ull)vmcs_read(EXIT_QUALIFICATION));
	pr_err("  RIP  %016llx RSP %016llx RFLAGS %08llx\n", (ull)vmcs_read(GUEST_RIP),
	       (ull)vmcs_read(GUEST_RSP), (ull)vmcs_read(GUEST_RFLAGS));
	pr_err("  RAX  %016llx RBX %016llx RCX %016llx RDX %016llx\n", (ull)g->rax, (ull)g->rbx,
	       (ull)g->rcx, (ull)g->rdx);
	pr_err("  RSI  %016llx RDI %016llx RBP %016llx R8  %016llx\n", (ull)g->rsi, (ull)g->rdi,
	       (ull)g->rbp, (ull)g->r8);
	pr_err("  R9   %016llx R10 %016llx R11 %016llx R12 %016llx\n", (ull)g->r9, (ull)g->r10,
	       (ull)g->r11, (ull)g->r12);
	pr_err("  R13  %016llx R14 %016llx R15 %016llx\n", (ull)g->r13, (ull)g->r14, (ull)g->r15);
	pr_err("  CR0  %08llx CR2 %016llx CR3 %016llx CR4 %08llx EFER %llx\n", (ull)cr0_seen(),
	       (ull)read_cr2(), (ull)vmcs_read(GUEST_CR3), (ull)cr4_seen(),
	       (ull)vmcs_read(GUEST_IA32_EFER));
	for (unsigned int i = 0; i < SEGMENTS; i++)
		dump_segment(names[i], i);
	pr_err("  GDTR base %016llx limit %04x, IDTR base %016llx limit %04x\n",
	       (ull)vmcs_read(GUEST_GDTR_BASE), vmcs_read32(GUEST_GDTR_LIMIT),
	       (ull)vmcs_read(GUEST_IDTR_BASE), vmcs_read32(GUEST_IDTR_LIMIT));
	pr_err("  interruptibility %x activity %x entry event %x IDT vectoring %x\n",
	       vmcs_read32(GUEST_INTERRUPTIBILITY_STATE), vmcs_read32(GUEST_ACTIVITY_STATE),
	       vmcs_read32(VM_ENTRY_INTERRUPTION_INFO), vmcs_read32(IDT_VECTORING_INFO));
	dump_code(vcpu);
}

void dump_vcpu(const struct vcpu *vcpu)
{
	spin_lock(&lock);
	dump_state(vcpu);
	spin_unlock(&lock);
}

struct exit_sum {
	u64 exits, ticks;
};

static struct exit_sum sum_exits(const struct vm *vm, unsigned int reason)
{
	struct exit_sum sum = { 0, 0 };

	for (unsigned int i = 0; i < vm->vcpus; i++) {
		sum.exits += vm->vcpu[i]->exits[reason];
		sum.ticks += vm->vcpu[i]->ticks[reason];
	}
	return sum;
}

static void dump_exit_row(const struct exit_sum *sum, const char *name)
{
	pr_info("  %10llu  %12llu  %8llu  %s\n", (ull)sum->exits, (ull)sum->ticks,
		(ull)(sum->exits ? sum->ticks / sum->exits : 0), name);
}

static void dump_exits(const struct vm *vm)
{
	struct exit_sum sum[VMX_EXIT_REASON_COUNT], total = { 0, 0 };

	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++) {
		sum[i] = sum_exits(vm, i);
		total.exits += sum[i].exits;
		total.ticks += sum[i].ticks;
	}
	pr_info("vm %s: %u vCPU%s: %llu exits\n", vm->config->name, vm->vcpus,
		vm->vcpus > 1 ? "s" : "", (ull)total.exits);
	pr_info("  %10s  %12s  %8s  %s\n", "exits", "VMM ticks", "each", "reason");
	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++) {
		if (sum[i].exits)
			dump_exit_row(&sum[i], vmx_exit_reason_name(i));
	}
	dump_exit_row(&total, "total");
}

static u64 lapic_accesses(const struct vm *vm)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < vm->vcpus; i++)
		sum += vm->vcpu[i]->lapic_accesses;
	return sum;
}

static void dump_device(u64 count, const char *kind, const char *name)
{
	if (count)
		pr_info("  %10llu  %s %s\n", (ull)count, kind, name);
}

static void dump_devices(const struct vm *vm)
{
	pr_info("vm %s: accesses to devices\n", vm->config->name);
	for (unsigned int i = 0; i < vm->pio.ranges; i++)
		dump_device(vm->pio.range[i].accesses, "port", vm->pio.range[i].name);
	dump_device(vm->pio.unclaimed, "port", "(nothing there)");
	dump_device(lapic_accesses(vm), "mmio", "lapic");
	for (unsigned int i = 0; i < vm->mmio.ranges; i++)
		dump_device(vm->mmio.range[i].accesses, "mmio", vm->mmio.range[i].name);
	dump_device(vm->mmio.unclaimed, "mmio", "(nothing there)");
}

static void dump_count(u64 count, unsigned int disk, const char *what)
{
	if (count)
		pr_info("  %10llu  disk %u %s\n", (ull)count, disk, what);
}

static void dump_disks(const struct vm *vm)
{
	const struct machine_disks *m = &vm->machine->disks;

	for (unsigned int i = 0; i < m->cards; i++) {
		const struct virtio_blk *blk = &m->card[i]->blk;

		dump_count(blk->requests, i, "requests");
		dump_count(blk->sectors, i, "sectors");
		dump_count(blk->bounced, i, "sectors copied");
		dump_count(blk->dev.interrupts, i, "interrupts");
	}
}

static void print_times(const struct vm *vm)
{
	char who[CONFIG_NAME_LEN + 24];

	for (unsigned int i = 0; i < vm->vcpus; i++) {
		const struct exit_stats *stats = atomic_load(&vm->vcpu[i]->stats);

		if (!stats || stats->generation != inside_generation())
			continue;
		scnprintf(who, sizeof(who), "vm %s: vcpu %u", vm->config->name, i);
		exit_stats_print(stats, who, VMCS_COUNTS);
	}
}

void dump_times(const struct vm *vm)
{
	spin_lock(&lock);
	print_times(vm);
	spin_unlock(&lock);
}

static bool ended_badly(const struct vm *vm)
{
	return vm->end == VM_END_CRASH || (vm->end == VM_END_DEBUG_EXIT && vm->debug_exit);
}

void dump_end(const struct vm *vm)
{
	spin_lock(&lock);
	if (ended_badly(vm))
		console_tell_last(vm->id);
	pr_info("vm %s: stopped: %s\n", vm->config->name, vm->reason);
	dump_exits(vm);
	dump_devices(vm);
	dump_disks(vm);
	machine_net_dump(vm);
	if (atomic_load(&inside_wanted) & INSIDE_TIMES)
		print_times(vm);
	spin_unlock(&lock);
}
