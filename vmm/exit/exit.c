/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/exit.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmm/vcpu/cr.h"
#include "vmm/vcpu/msr.h"
#include "vmm/host/panic.h"
#include "vmm/host/trap.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

/* The guest must not see that it could have been anything but an unknown instruction. */
static enum outcome exit_undefined(struct vcpu *vcpu)
{
	vcpu_inject_ud(vcpu);
	return OUTCOME_RESUME;
}

static enum outcome exit_general_protection(struct vcpu *vcpu)
{
	vcpu_inject_gp(vcpu);
	return OUTCOME_RESUME;
}

/* A control that would cause this exit is off, or the manual has not defined it. */
enum outcome exit_unexpected(struct vcpu *vcpu)
{
	unsigned int reason = vcpu->exit_reason & EXIT_REASON_BASIC;

	vm_stop(vcpu->vm, VM_END_CRASH, "unexpected exit %u (%s)", reason,
		vmx_exit_reason_name(reason));
	return OUTCOME_STOP;
}

static enum outcome exit_nothing(struct vcpu *vcpu)
{
	(void)vcpu;
	return OUTCOME_RESUME;
}

static enum outcome exit_ignored(struct vcpu *vcpu)
{
	(void)vcpu;
	return OUTCOME_DONE;
}

/*
 * The interrupt is still pending in this CPU's local APIC: opening the window for one instruction
 * takes it through the IDT like any other. But with acknowledge-on-exit (which goes with posted
 * interrupts) it has been taken, and nobody else will call its handler.
 */
static enum outcome exit_external_interrupt(struct vcpu *vcpu)
{
	(void)vcpu;
	if (vmm.controls.word[VMX_EXIT] & EXIT_ACK_INTERRUPT)
		trap_acknowledged(vmcs_read32(VM_EXIT_INTERRUPTION_INFO) & INTR_INFO_VECTOR);
	else
		irq_window();
	return OUTCOME_RESUME;
}

/*
 * A #DB exit has not changed DR6 and DR7 yet. INT1 (ICEBP) comes as a privileged software exception,
 * with RIP still at the instruction: it goes back as one, with its length; the shadow before it, which was for it,
 * is over.
 * SDM, "Exit Qualification for Debug Exceptions".
 */
static void reflect_debug_exception(struct vcpu *vcpu, u32 info)
{
	u64 bits = vmcs_read(EXIT_QUALIFICATION);

	vcpu_debug_state(bits);
	if (bits & BIT(13)) /* general detect: the handler may use the debug registers */
		vmcs_write(GUEST_DR7, vmcs_read(GUEST_DR7) & ~BIT(13));
	if ((info & INTR_INFO_TYPE) == INTR_TYPE_PRIV_SW_EXCEPTION) {
		vcpu->event.info = INTR_INFO_VALID | INTR_TYPE_PRIV_SW_EXCEPTION | VECTOR_DB;
		vcpu->event.length = vmcs_read32(VM_EXIT_INSTRUCTION_LENGTH);
		vmcs_write(GUEST_INTERRUPTIBILITY_STATE,
			   vmcs_read(GUEST_INTERRUPTIBILITY_STATE) &
				   ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
		return;
	}
	vcpu_inject_debug(vcpu);
	vcpu_debug_in_shadow();
}

/*
 * NMIs are the host's. #DB and #AC are intercepted because their delivery can raise them again for
 * ever, and nothing but an exit ends that loop (CVE-2015-5307, CVE-2015-8104). #MC is the host's.
 */
static enum outcome exit_exception_or_nmi(struct vcpu *vcpu)
{
	u32 info = vmcs_read32(VM_EXIT_INTERRUPTION_INFO);

	if ((info & INTR_INFO_TYPE) == INTR_TYPE_NMI) {
		raise_nmi();
		return OUTCOME_RESUME;
	}
	if (info & INTR_INFO_NMI_UNBLOCKING_IRET)
		vcpu_nmi_reblock(vcpu);
	switch (info & INTR_INFO_VECTOR) {
	case VECTOR_DB: reflect_debug_exception(vcpu, info); return OUTCOME_RESUME;
	case VECTOR_AC: vcpu_inject_exception(vcpu, VECTOR_AC, 0); return OUTCOME_RESUME;
	case VECTOR_MC: raise_machine_check(); return OUTCOME_RESUME;
	}
	return exit_unexpected(vcpu);
}

static enum outcome exit_triple_fault(struct vcpu *vcpu)
{
	vm_triple_fault(vcpu->vm, VECTOR_UNKNOWN);
	return OUTCOME_STOP;
}

static enum outcome exit_task_switch(struct vcpu *vcpu)
{
	vm_stop(vcpu->vm, VM_END_CRASH, "hardware task switch, which Lintel does not emulate");
	return OUTCOME_STOP;
}

static enum outcome exit_ept_misconfiguration(struct vcpu *vcpu)
{
	vm_stop(vcpu->vm, VM_END_CRASH, "EPT misconfiguration at 0x%llx (a fault of Lintel)",
		(unsigned long long)vmcs_read(GUEST_PHYSICAL_ADDRESS));
	return OUTCOME_STOP;
}

/* A machine check that strikes in an entry is the machine's, as it is in the guest: the VM has done nothing. */
enum outcome exit_entry_failure(struct vcpu *vcpu)
{
	unsigned int reason = vcpu->exit_reason & EXIT_REASON_BASIC;

	if (reason == EXIT_ENTRY_MACHINE_CHECK)
		raise_machine_check(); /* does not come back */
	vm_stop(vcpu->vm, VM_END_CRASH, "%s: %s", vmx_exit_reason_name(reason),
		reason == EXIT_ENTRY_GUEST_STATE ? vmx_guest_state_fault(&vmm.caps) : "");
	return OUTCOME_STOP;
}

#define CPUID_1_EDX_APIC ((u32)BIT(9))

static u64 guest_cr4(void)
{
	return vmcs_read(GUEST_CR4);
}

static enum outcome cpuid_answer(struct guest_regs *g, const struct cpuid_regs *r)
{
	g->rax = r->eax;
	g->rbx = r->ebx;
	g->rcx = r->ecx;
	g->rdx = r->edx;
	return OUTCOME_DONE;
}

static __noinline enum outcome cpuid_now(struct vcpu *vcpu)
{
	struct guest_regs *g = &vcpu->regs;
	const struct cpuid_entry *e = cpuid_find(&vcpu->cpuid, (u32)g->rax, (u32)g->rcx);
	struct cpuid_regs r = { 0 };

	if (e)
		r = e->flags & CPUID_DYNAMIC ? cpuid_dynamic(e, guest_cr4) : e->regs;
	if (e && e->leaf == 1 && !(vlapic_base(&vcpu->lapic) & APIC_BASE_EN))
		r.edx &= ~CPUID_1_EDX_APIC; /* as if there were none */
	return cpuid_answer(g, &r);
}

static enum outcome exit_cpuid(struct vcpu *vcpu)
{
	const struct cpuid_entry *e = cpuid_fixed(&vcpu->cpuid, (u32)vcpu->regs.rax);

	return likely(e) ? cpuid_answer(&vcpu->regs, &e->regs) : cpuid_now(vcpu);
}

static enum outcome exit_hlt(struct vcpu *vcpu)
{
	if (unlikely(vcpu->pv.unhalted)) {
		vcpu->pv.unhalted = false;
		return OUTCOME_ADVANCE;
	}
	vcpu->halted = true;
	vcpu->halted_if = vmcs_read(GUEST_RFLAGS) & RFLAGS_IF;
	vcpu_nmi_halt(vcpu);
	return OUTCOME_ADVANCE;
}

/* See PAUSE-loop exiting: somebody else of its VM may be what it waits for. */
bool exit_yield(void)
{
	struct cpu *cpu = this_cpu();
	bool useful = sched_yield_cpu(&scheduler, cpu->id);

	if (useful)
		atomic_store_explicit(&cpu->kicked, true, memory_order_relaxed);
	return useful;
}

static enum outcome exit_pause(struct vcpu *vcpu)
{
	vcpu_pause_window(vcpu, exit_yield());
	return OUTCOME_DONE;
}

/* clang-format off */
const struct exit_handler exit_table[VMX_EXIT_REASON_COUNT] = {
	[EXIT_EXCEPTION_OR_NMI]    = { exit_exception_or_nmi, EXIT_IN_EVENT },
	[EXIT_EXTERNAL_INTERRUPT]  = { exit_external_interrupt },
	[EXIT_TRIPLE_FAULT]        = { exit_triple_fault },
	[EXIT_INIT]                = { exit_unexpected },
	[EXIT_SIPI]                = { exit_unexpected },
	[EXIT_IO_SMI]              = { exit_unexpected },
	[EXIT_OTHER_SMI]           = { exit_unexpected },
	[EXIT_INTERRUPT_WINDOW]    = { exit_nothing }, /* the next entry injects what has waited for it */
	[EXIT_NMI_WINDOW]          = { exit_nothing }, /* likewise */
	[EXIT_TASK_SWITCH]         = { exit_task_switch, EXIT_IN_EVENT },
	[EXIT_CPUID]               = { exit_cpuid, EXIT_MAY_REENTER },
	[EXIT_GETSEC]              = { exit_undefined },
	[EXIT_HLT]                 = { exit_hlt },
	[EXIT_INVD]                = { exit_ignored, EXIT_MAY_REENTER }, /* caches stay coherent: nothing to throw away */
	[EXIT_INVLPG]              = { exit_unexpected },
	[EXIT_RDPMC]               = { exit_general_protection },
	[EXIT_RDTSC]               = { exit_unexpected },
	[EXIT_RSM]                 = { exit_undefined },
	[EXIT_VMCALL]              = { exit_vmcall, EXIT_MAY_REENTER },
	[EXIT_VMCLEAR]             = { exit_undefined },
	[EXIT_VMLAUNCH]            = { exit_undefined },
	[EXIT_VMPTRLD]             = { exit_undefined },
	[EXIT_VMPTRST]             = { exit_undefined },
	[EXIT_VMREAD]              = { exit_undefined },
	[EXIT_VMRESUME]            = { exit_undefined },
	[EXIT_VMWRITE]             = { exit_undefined },
	[EXIT_VMXOFF]              = { exit_undefined },
	[EXIT_VMXON]               = { exit_undefined },
	[EXIT_CR_ACCESS]           = { exit_cr_access, EXIT_QUALIFIED },
	[EXIT_MOV_DR]              = { exit_unexpected },
	[EXIT_IO_INSTRUCTION]      = { exit_io, EXIT_QUALIFIED | EXIT_MAY_REENTER },
	[EXIT_RDMSR]               = { exit_msr_read, EXIT_MAY_REENTER },
	[EXIT_WRMSR]               = { exit_msr_write, EXIT_MAY_REENTER },
	[EXIT_ENTRY_GUEST_STATE]   = { exit_entry_failure },
	[EXIT_ENTRY_MSR_LOADING]   = { exit_entry_failure },
	[EXIT_RESERVED_35]         = { exit_unexpected },
	[EXIT_MWAIT]               = { exit_undefined },
	[EXIT_MONITOR_TRAP_FLAG]   = { exit_unexpected },
	[EXIT_RESERVED_38]         = { exit_unexpected },
	[EXIT_MONITOR]             = { exit_undefined },
	[EXIT_PAUSE]               = { exit_pause, EXIT_MAY_REENTER },
	[EXIT_ENTRY_MACHINE_CHECK] = { exit_entry_failure },
	[EXIT_RESERVED_42]         = { exit_unexpected },
	[EXIT_TPR_BELOW_THRESHOLD] = { exit_nothing }, /* the next entry injects what was held back */
	[EXIT_APIC_ACCESS]         = { exit_apic_access, EXIT_QUALIFIED | EXIT_IN_EVENT },
	[EXIT_VIRTUALIZED_EOI]     = { exit_virtualized_eoi, EXIT_QUALIFIED },
	[EXIT_GDTR_IDTR_ACCESS]    = { exit_unexpected },
	[EXIT_LDTR_TR_ACCESS]      = { exit_unexpected },
	[EXIT_EPT_VIOLATION]       = { exit_ept_violation, EXIT_QUALIFIED | EXIT_IN_EVENT | EXIT_MAY_REENTER },
	[EXIT_EPT_MISCONFIGURATION] = { exit_ept_misconfiguration, EXIT_IN_EVENT },
	[EXIT_INVEPT]              = { exit_undefined },
	[EXIT_RDTSCP]              = { exit_unexpected },
	[EXIT_PREEMPTION_TIMER]    = { exit_nothing }, /* the run loop looks at the clock anyway */
	[EXIT_INVVPID]             = { exit_undefined },
	[EXIT_WBINVD]              = { exit_ignored, EXIT_MAY_REENTER }, /* no device here that does not snoop */
	[EXIT_XSETBV]              = { exit_xsetbv, EXIT_MAY_REENTER },
	[EXIT_APIC_WRITE]          = { exit_apic_write, EXIT_QUALIFIED },
	[EXIT_RDRAND]              = { exit_unexpected },
	[EXIT_INVPCID]             = { exit_unexpected },
	[EXIT_VMFUNC]              = { exit_undefined },
	[EXIT_ENCLS]               = { exit_undefined },
	[EXIT_RDSEED]              = { exit_unexpected },
	[EXIT_PML_FULL]            = { exit_unexpected, EXIT_IN_EVENT },
	[EXIT_XSAVES]              = { exit_unexpected }, /* the XSS-exiting bitmap is 0 */
	[EXIT_XRSTORS]             = { exit_unexpected },
	[EXIT_PCONFIG]             = { exit_undefined },
	[EXIT_SPP]                 = { exit_unexpected, EXIT_IN_EVENT },
	[EXIT_UMWAIT]              = { exit_undefined },
	[EXIT_TPAUSE]              = { exit_undefined },
	[EXIT_LOADIWKEY]           = { exit_undefined },
	[EXIT_ENCLV]               = { exit_undefined },
	[EXIT_RESERVED_71]         = { exit_unexpected },
	[EXIT_ENQCMD_PASID]        = { exit_unexpected },
	[EXIT_ENQCMDS_PASID]       = { exit_unexpected },
	[EXIT_BUS_LOCK]            = { exit_unexpected },
	[EXIT_INSTRUCTION_TIMEOUT] = { exit_unexpected },
	[EXIT_SEAMCALL]            = { exit_undefined },
	[EXIT_TDCALL]              = { exit_undefined },
	[EXIT_RDMSRLIST]           = { exit_unexpected },
	[EXIT_WRMSRLIST]           = { exit_unexpected },
};
/* clang-format on */

void exit_log_dump(void)
{
	const struct cpu *cpu = this_cpu_or_null();
	const struct vcpu *vcpu = cpu ? cpu->vcpu : NULL;

	for (unsigned int n = vcpu ? VCPU_LOG_SHOWN : 0; n; n--) {
		u16 reason = vcpu->log[(u8)(vcpu->log_next - n)];

		if (reason != VCPU_LOG_NONE)
			panic_print("%u exits ago: vm %u, %s", n, vcpu->vm->id,
				    vmx_exit_reason_name(reason));
	}
}
