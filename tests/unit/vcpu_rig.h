/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM with one vCPU, set up by the VMM's own code on a fake processor, with RAM and the real
 * devices, but without an image: tests put exits into its VMCS and look at what became of them.
 */
#ifndef TESTS_UNIT_VCPU_RIG_H
#define TESTS_UNIT_VCPU_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/string.h"
#include "tests/unit/fake_vmcs.h"
#include "tests/unit/fake_x86.h"
#include "tests/unit/host_support.h"
#include "vioapic/apic_regs.h"
#include "vmm/host/hostdev.h"
#include "vmm/host/iocpu.h"
#include "vmm/vm/machine.h"
#include "vmm/exit/exit.h"
#include "vmm/host/host.h"
#include "vmm/host/mem.h"
#include "vmm/vcpu/msr.h"
#include "vmm/host/panic.h"
#include "vmm/host/trap.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vcpu/vcpus.h"
#include "vmm/vm/vm.h"
#include "vmm/run/vm_events.h"
#include "vmm/vm/vm_memory.h"
#include "vmx/controls.h"

#define RIG_RAM    MIB(8)
#define RIG_RIP    0x100000ULL
#define RIG_LENGTH 3 /* of the instruction that exits */
#define RIG_TSC_HZ 2000000000ULL

static struct vm_config rig_config = { .name = "rig", .cpus = 1 };
static struct vm rig_vms[2]; /* the second is for what concerns another one */
static struct machine rig_machine;
static struct vm *const rig_vm = &rig_vms[0];
static struct vcpu rig_vcpu;
static u64 rig_hide; /* guest features to hide at the next start */
static u64 rig_mask; /* VT-x features not to use at the next start */
static unsigned int rig_eois;

/* Not linked: they belong to the bare machine. */
void host_poll(void)
{
}

void host_kick(struct cpu *cpu)
{
	(void)cpu;
}

static unsigned int rig_interrupts;

void host_timer(u64 deadline)
{
	(void)deadline;
}

void host_interrupt(struct cpu *cpu)
{
	(void)cpu;
	rig_interrupts++;
}

struct cpu *cpu_by_id(unsigned int id)
{
	(void)id;
	return this_cpu();
}

static unsigned int rig_acknowledged; /* the last host interrupt that an exit has acknowledged */

void trap_acknowledged(unsigned int vector)
{
	rig_acknowledged = vector;
}

#define RIG_POSTED_VECTOR 0x33

u8 host_posted_vector(void)
{
	return RIG_POSTED_VECTOR;
}

static unsigned int rig_posts;

void host_post(const struct cpu *cpu)
{
	(void)cpu;
	rig_posts++;
}

/* A machine without disks and network cards. */
const struct block_device *hostdev_disk(unsigned int index)
{
	(void)index;
	return NULL;
}

struct nic *hostdev_nic(unsigned int index)
{
	(void)index;
	return NULL;
}

void hostdev_settle(void)
{
}

/* And without an I/O CPU. */
void iocpu_wake(void)
{
}

struct cpu *this_cpu_or_null(void)
{
	return NULL;
}

void panic_print(const char *fmt, ...)
{
	(void)fmt;
}

static void rig_told(void *ctx)
{
	(void)ctx;
}

static void rig_sipi(void *ctx, u8 vector)
{
	(void)ctx, (void)vector;
}

static void rig_eoi(void *ctx, u8 vector)
{
	(void)ctx, (void)vector;
	rig_eois++;
}

static const struct vlapic_ops *rig_real_ops; /* which the rig has replaced */
static const struct vlapic_ops rig_lapic_ops = { rig_told, rig_told, rig_told, rig_sipi, rig_eoi };

/* The capability MSRs of a CPU that can do everything and insists on nothing. */
static inline void rig_full_vmx(void)
{
	fake_msr_set(IA32_VMX_BASIC, BIT(55) | 0x12);
	for (u32 msr = 0x481; msr <= 0x484; msr++)
		fake_msr_set(msr, ~0ULL << 32);
	for (u32 msr = 0x48d; msr <= 0x490; msr++)
		fake_msr_set(msr, ~0ULL << 32);
	fake_msr_set(0x485, 5);
	fake_msr_set(0x486, CR0_PE | CR0_NE | CR0_PG);
	fake_msr_set(0x487, 0xffffffff);
	fake_msr_set(0x488, CR4_VMXE);
	fake_msr_set(0x489, 0x3767ff);
	fake_msr_set(0x48b, ~0ULL << 32);
	fake_msr_set(0x48c, ~0ULL);
}

static inline void rig_host_msrs(void)
{
	static const u32 msrs[] = { IA32_PAT,   IA32_EFER,  IA32_STAR,           IA32_LSTAR,
				    IA32_CSTAR, IA32_FMASK, IA32_KERNEL_GS_BASE, IA32_TSC_AUX };

	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++)
		fake_msr_set(msrs[i], 0);
}

/* Memory for the VMM's own structures, under its own address as on the machine. */
static inline void rig_arena(void)
{
	static struct boot_info info;
	static u8 *arena;

	if (!arena)
		arena = mmap(NULL, MIB(2), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
	info.ranges = 1;
	info.range[0] = (struct mem_range){ (hpa_t)arena, MIB(2), MEM_FREE };
	assert_int_equal(mem_init(&info), 0);
}

static inline void rig_ram(void)
{
	static u8 *ram;

	if (!ram)
		ram = mmap(NULL, RIG_RAM, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	else
		madvise(ram, RIG_RAM, MADV_DONTNEED);
	assert_int_equal(guest_mem_add(&rig_vm->mem, 0, RIG_RAM, ram), 0);
}

/* %gs is where the VMM keeps what belongs to the CPU. */
static inline void rig_this_cpu(void)
{
	static struct cpu cpu;

	cpu.self = &cpu;
	assert_int_equal(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, &cpu), 0);
}

static inline void rig_apic(void)
{
	static _Alignas(4096) u8 page[4096];

	vapic_bus_init(&rig_vm->bus, vmm.tsc_hz, VAPIC_X2APIC | VAPIC_TSC_DEADLINE);
	assert_int_equal(vcpu_apic_init(&rig_vcpu, page), 0);
	rig_real_ops = rig_vcpu.lapic.ops;
	rig_vcpu.lapic.ops = &rig_lapic_ops;
	vlapic_virtual_wire(&rig_vcpu.lapic);
}

/* A fresh VM whose vCPU is at RIG_RIP, in 64-bit mode or in 32-bit mode without paging. */
static inline void rig_start_mode(enum guest_mode mode)
{
	static const struct vmx_platform platform = { .acpi_oem = "" };
	static _Alignas(4096) u64 io_bitmap[1024], msr_bitmap[2][512];
	struct guest_entry entry = { .mode = mode, .rip = RIG_RIP, .cs = 0x10, .ds = 0x18 };

	rig_this_cpu();
	this_cpu()->vcpu = NULL;
	fake_x86_reset();
	fake_vmcs_reset();
	rig_full_vmx();
	rig_host_msrs();
	rig_arena();
	memset(&vmm, 0, sizeof(vmm));
	memset(&scheduler, 0, sizeof(scheduler));
	memset(rig_vms, 0, sizeof(rig_vms));
	memset(&rig_vcpu, 0, sizeof(rig_vcpu));
	rig_eois = 0;
	vmm.tsc_hz = RIG_TSC_HZ;
	vmm.vm = rig_vms;
	vmm.vms = 1;
	vmx_caps_read(&vmm.caps);
	vmx_caps_choose(&vmm.caps, &platform, rig_mask, 0);
	assert_int_equal(vmx_controls_choose(&vmm.caps, &vmm.controls), 0);
	rig_vm->config = &rig_config;
	rig_vm->machine = &rig_machine;
	rig_vm->vcpu_ops = &vcpus_ops;
	rig_vm->state = VM_RUNNING;
	rig_vm->vcpu[0] = &rig_vcpu;
	rig_vm->vcpus = 1;
	rig_vm->cpu = this_cpu();
	rig_vm->io_bitmap = io_bitmap;
	rig_vm->msr_bitmap[MSR_BITMAP_PLAIN] = msr_bitmap[0];
	rig_vm->msr_bitmap[MSR_BITMAP_X2APIC] = msr_bitmap[1];
	rig_vm->tsc_base = rdtsc();
	pv_vm_init(rig_vm);
	rig_ram();
	assert_int_equal(machine_init(rig_vm, 0), 0);
	rig_vcpu.vm = rig_vm;
	cpuid_build(&rig_vcpu.cpuid, &vmm.caps, rig_hide, 0, 1, vmm.tsc_hz);
	msr_bitmap_build(msr_bitmap[0], &rig_vcpu, false);
	msr_bitmap_build(msr_bitmap[1], &rig_vcpu, true);
	rig_apic();
	assert_int_equal(vcpu_init(&rig_vcpu, &exit_ways), 0);
	vcpu_reset(&rig_vcpu, &entry);
	rig_vcpu.mode = VCPU_OUT;
	rig_vcpu.until = rig_vcpu.deadline = ~0ULL;
	fake_vmcs_forget_writes();
}

/* Interrupts by software, whatever the fake processor could do. */
#define RIG_SOFTWARE (BIT(VMX_VID) | BIT(VMX_POSTED_INTERRUPTS))

/* For cmocka: 64-bit mode, nothing hidden, nothing masked but what delivers interrupts by itself. */
static inline int rig_start(void **state)
{
	(void)state;
	rig_hide = 0;
	rig_mask = RIG_SOFTWARE;
	rig_start_mode(GUEST_LONG64);
	return 0;
}

static inline void rig_restart(void)
{
	rig_start_mode(GUEST_LONG64);
}

/* An exit of the instruction at RIP. May the guest go on? */
static inline bool rig_exit(u32 reason, u64 qualification)
{
	fake_vmcs_set(EXIT_REASON, reason);
	fake_vmcs_set(EXIT_QUALIFICATION, qualification);
	fake_vmcs_set(VM_EXIT_INSTRUCTION_LENGTH, RIG_LENGTH);
	capture_start();
	(void)exit_reenter(&rig_vcpu.regs, rdtsc(), reason);
	capture_stop();
	return rig_vm->state == VM_RUNNING;
}

/* What has become of the instruction at RIG_RIP? */
static inline bool rig_advanced(void)
{
	u64 rip = fake_vmcs_get(GUEST_RIP);

	assert_true(rip == RIG_RIP || rip == RIG_RIP + RIG_LENGTH);
	return rip != RIG_RIP;
}

static inline void assert_stopped(const char *reason)
{
	assert_int_equal(rig_vm->state, VM_ENDED);
	assert_int_equal(rig_vm->end, VM_END_CRASH);
	if (!strstr(rig_vm->reason, reason)) {
		print_error("stopped by \"%s\", not \"%s\"\n", rig_vm->reason, reason);
		fail();
	}
}

/* The next entry brings hardware exception @vector, and the instruction has not been done. */
static inline void assert_exception(unsigned int vector, bool has_error, u32 error)
{
	const struct vcpu_event *e = &rig_vcpu.event;

	assert_int_equal(e->info, INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | vector |
					  (has_error ? INTR_INFO_ERROR_CODE : 0));
	if (has_error)
		assert_int_equal(e->error, error);
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
}

static inline void assert_no_exception(void)
{
	assert_int_equal(rig_vcpu.event.info, 0);
}

static inline void assert_gp(void)
{
	assert_exception(VECTOR_GP, true, 0);
}

/* A small deterministic source of numbers. */
static inline u64 rig_random(void)
{
	static u64 state = 1;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dULL;
}

#endif
