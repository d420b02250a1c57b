/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/vcpu.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmm/vcpu/cr.h"
#include "vmm/vcpu/msr.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"
#include "vmx/controls.h"

/* #DB and #AC because they can loop in their own delivery, #MC because it is the host's. */
#define EXCEPTIONS_INTERCEPTED (BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC))

/*
 * PAUSEs that are no more than the gap apart are one loop; one that lasts longer than the window (both
 * in TSC ticks) waits for somebody who does not run. A kernel's critical sections are much shorter.
 */
#define PAUSE_LOOP_GAP        128
#define PAUSE_LOOP_WINDOW     4096
#define PAUSE_LOOP_WINDOW_MAX (16 * PAUSE_LOOP_WINDOW)

/* The order of the register numbers in instructions and exit qualifications. */
static const u8 reg_offset[16] = {
	offsetof(struct guest_regs, rax), offsetof(struct guest_regs, rcx),
	offsetof(struct guest_regs, rdx), offsetof(struct guest_regs, rbx),
	0 /* RSP: in the VMCS */,         offsetof(struct guest_regs, rbp),
	offsetof(struct guest_regs, rsi), offsetof(struct guest_regs, rdi),
	offsetof(struct guest_regs, r8),  offsetof(struct guest_regs, r9),
	offsetof(struct guest_regs, r10), offsetof(struct guest_regs, r11),
	offsetof(struct guest_regs, r12), offsetof(struct guest_regs, r13),
	offsetof(struct guest_regs, r14), offsetof(struct guest_regs, r15),
};
#define REG_RSP      4

#define PAT_AT_RESET 0x0007040600070406ULL

u64 vcpu_reg(const struct vcpu *vcpu, unsigned int reg)
{
	if ((reg &= 15) == REG_RSP)
		return vmcs_read(GUEST_RSP);
	return *(const u64 *)(const void *)((const u8 *)&vcpu->regs + reg_offset[reg]);
}

void vcpu_set_reg(struct vcpu *vcpu, unsigned int reg, u64 value)
{
	if ((reg &= 15) == REG_RSP)
		vmcs_write(GUEST_RSP, value);
	else
		*(u64 *)(void *)((u8 *)&vcpu->regs + reg_offset[reg]) = value;
}

void vcpu_pause_window(struct vcpu *vcpu, bool useful)
{
	struct vcpu_context *ctx = vcpu->ctx;
	u32 longer = MIN(ctx->pause_window * 2, (u32)PAUSE_LOOP_WINDOW_MAX);
	u32 window = useful ? PAUSE_LOOP_WINDOW : longer;

	if (window == ctx->pause_window)
		return;
	ctx->pause_window = window;
	vmcs_write(PLE_WINDOW, window);
}

void vcpu_flush_tlb(struct vcpu *vcpu)
{
	context_flush_tlb(vcpu->ctx);
}

/* The part of the host state that is this CPU's own. */
void vcpu_host_state(void)
{
	struct cpu *cpu = this_cpu();

	vmcs_write(HOST_GS_BASE, (u64)(uintptr_t)cpu);
	vmcs_write(HOST_TR_BASE, (u64)(uintptr_t)&cpu->tss);
	vmcs_write(HOST_GDTR_BASE, (u64)(uintptr_t)cpu->gdt);
}

/* The host state is the same for every exit: SDM, "Host-State Area". */
static void init_host_state(struct vcpu *vcpu)
{
	struct {
		u16 limit;
		u64 base;
	} __packed idt;

	__asm__ volatile("sidt %0" : "=m"(idt));
	vmcs_write(HOST_CR0, read_cr0());
	vmcs_write(HOST_CR3, read_cr3());
	vmcs_write(HOST_CR4, read_cr4());
	vmcs_write(HOST_CS_SELECTOR, CPU_SEL_CODE);
	vmcs_write(HOST_SS_SELECTOR, CPU_SEL_DATA);
	vmcs_write(HOST_DS_SELECTOR, CPU_SEL_DATA);
	vmcs_write(HOST_ES_SELECTOR, CPU_SEL_DATA);
	vmcs_write(HOST_FS_SELECTOR, 0);
	vmcs_write(HOST_GS_SELECTOR, 0);
	vmcs_write(HOST_TR_SELECTOR, CPU_SEL_TSS);
	vmcs_write(HOST_FS_BASE, 0);
	vmcs_write(HOST_IDTR_BASE, idt.base);
	vmcs_write(HOST_IA32_SYSENTER_CS, 0);
	vmcs_write(HOST_IA32_SYSENTER_ESP, 0);
	vmcs_write(HOST_IA32_SYSENTER_EIP, 0);
	vmcs_write(HOST_IA32_PAT, rdmsr(IA32_PAT));
	vmcs_write(HOST_IA32_EFER, rdmsr(IA32_EFER));
	vmcs_write(HOST_RSP, (u64)(uintptr_t)&vcpu->regs.host_rsp);
	vmcs_write(HOST_RIP, (u64)(uintptr_t)vmx_exit);
}

static void init_controls(struct vcpu *vcpu)
{
	const u32 *word = vmm.controls.word;
	const struct vm *vm = vcpu->vm;
	struct vcpu_context *ctx = vcpu->ctx;
	u32 cpu2 = word[VMX_CPU2];

	/* What spins on a CPU of its own takes nothing from anybody. */
	if (vm->config->pin.count)
		cpu2 &= ~(u32)CPU2_PAUSE_LOOP_EXITING;
	/* A feature that the guest is not offered must be off, or it would work all the same. */
	if (!cpuid_has(&vcpu->cpuid, 0x80000001, 0, CPUID_EDX, 27))
		cpu2 &= ~(u32)CPU2_ENABLE_RDTSCP;
	if (!cpuid_has(&vcpu->cpuid, 7, 0, CPUID_EBX, 10))
		cpu2 &= ~(u32)CPU2_ENABLE_INVPCID;
	if (!cpuid_has(&vcpu->cpuid, 0xd, 1, CPUID_EAX, 3))
		cpu2 &= ~(u32)CPU2_ENABLE_XSAVES;

	ctx->cpu_controls = word[VMX_CPU];
	ctx->cpu2_controls = cpu2;
	vmcs_write(PIN_BASED_CONTROLS, word[VMX_PIN]);
	vmcs_write(PRIMARY_CONTROLS, ctx->cpu_controls);
	vmcs_write(SECONDARY_CONTROLS, cpu2);
	vmcs_write(VM_EXIT_CONTROLS, word[VMX_EXIT]);
	vmcs_write(VM_ENTRY_CONTROLS, word[VMX_ENTRY]);
	vmcs_write(EXCEPTION_BITMAP, EXCEPTIONS_INTERCEPTED);
	vmcs_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write(CR3_TARGET_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_ENTRY_INTERRUPTION_INFO, 0);
	vmcs_write(IO_BITMAP_A, (u64)(uintptr_t)vm->io_bitmap);
	vmcs_write(IO_BITMAP_B, (u64)(uintptr_t)vm->io_bitmap + PAGE_SIZE);
	vmcs_write(EPT_POINTER, ctx->eptp);
	vmcs_write(TSC_OFFSET, 0 - vm->tsc_base);
	if (cpu2 & CPU2_ENABLE_VPID)
		vmcs_write(VIRTUAL_PROCESSOR_ID, ctx->vpid);
	if (cpu2 & CPU2_ENABLE_XSAVES)
		vmcs_write(XSS_EXITING_BITMAP, 0);
	if (cpu2 & CPU2_PAUSE_LOOP_EXITING) {
		vmcs_write(PLE_GAP, PAUSE_LOOP_GAP);
		ctx->pause_window = PAUSE_LOOP_WINDOW;
		vmcs_write(PLE_WINDOW, PAUSE_LOOP_WINDOW);
	}
}

/* MSRs that a power-up sets, and INIT does not: SDM, "Processor State After Reset". */
static void init_msrs(void)
{
	vmcs_write(GUEST_IA32_PAT, PAT_AT_RESET);
	vmcs_write(GUEST_IA32_DEBUGCTL, 0);
	vmcs_write(GUEST_IA32_SYSENTER_CS, 0);
	vmcs_write(GUEST_IA32_SYSENTER_ESP, 0);
	vmcs_write(GUEST_IA32_SYSENTER_EIP, 0);
}

int vcpu_init(struct vcpu *vcpu, const struct exit_ways *exits)
{
	int err;

	vcpu->exit_reason = VMX_EXIT_REASON_COUNT; /* there was none */
	memset(vcpu->log, 0xff, sizeof(vcpu->log));
	msr_init(vcpu);
	vcpu->insns = (struct insn_cache){ 0 }; /* it points into the memory of a VM */
	vcpu->fpu = (struct vcpu_fpu *)(uintptr_t)mem_alloc_page(VM_OWNER_OVERHEAD(vcpu->vm->id));
	if (!vcpu->fpu)
		return -ENOMEM;
	err = context_add(vcpu, &vcpu->own, vcpu->vm->eptp, exits);
	if (err)
		return err;
	vcpu->ctx = &vcpu->own;
	vcpu_state_init(vcpu);
	pv_reset(vcpu);
	vcpu_load(vcpu);
	init_controls(vcpu);
	init_host_state(vcpu);
	init_msrs();
	vcpu_irq_init(vcpu);
	vcpu->mtrr_def_type = BIT(11) | MEMTYPE_WB;
	vcpu->wait_sipi = true;
	vcpu->mode = VCPU_BLOCKED;
	return 0;
}
