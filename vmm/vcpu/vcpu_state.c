/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a vCPU takes along when another one gets the CPU: registers that exits do not switch, and
 * that the VMM itself never uses. They stay in the CPU between exits of the same vCPU.
 */
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"
#include "vmx/vmx.h"

static const u32 switched_msrs[VCPU_MSRS] = { IA32_STAR,  IA32_LSTAR,          IA32_CSTAR,
					      IA32_FMASK, IA32_KERNEL_GS_BASE, IA32_TSC_AUX };

static bool has_msr(const struct vcpu *vcpu, u32 msr)
{
	return msr != IA32_TSC_AUX || cpuid_has(&vcpu->cpuid, 0x80000001, 0, CPUID_EDX, 27);
}

static bool host_has_xsave(void)
{
	return read_cr4() & CR4_OSXSAVE;
}

#define XCR0_X87_SSE 3 /* FXSAVE's part: used without XSAVE too */

/* All components that any guest may enable have to be enabled while they are saved. */
static void fpu_save(struct vcpu *vcpu)
{
	u64 mask = vcpu->cpuid.xcr0_allowed | XCR0_X87_SSE;

	if (!host_has_xsave()) {
		__asm__ volatile("fxsave64 %0" : "=m"(vcpu->fpu->area));
		return;
	}
	xsetbv(0, mask);
	__asm__ volatile("xsave64 %0"
			 : "+m"(vcpu->fpu->area)
			 : "a"(lower_32(mask)), "d"(upper_32(mask)));
}

static void fpu_restore(const struct vcpu *vcpu)
{
	u64 mask = vcpu->cpuid.xcr0_allowed | XCR0_X87_SSE;

	if (!host_has_xsave()) {
		__asm__ volatile("fxrstor64 %0" : : "m"(vcpu->fpu->area));
		return;
	}
	xsetbv(0, mask);
	__asm__ volatile("xrstor64 %0"
			 :
			 : "m"(vcpu->fpu->area), "a"(lower_32(mask)), "d"(upper_32(mask)));
	xsetbv(0, vcpu->xcr0);
}

#define FXSAVE_FCW   0
#define FXSAVE_MXCSR 24
#define DR6_AT_RESET 0xffff0ff0

void vcpu_state_init(struct vcpu *vcpu)
{
	static const u16 fcw = 0x37f;
	static const u32 mxcsr = 0x1f80;

	/* XSTATE_BV = 0: all components in their initial configuration, nothing of anybody else. */
	memset(vcpu->fpu->area, 0, sizeof(vcpu->fpu->area));
	memcpy(vcpu->fpu->area + FXSAVE_FCW, &fcw, sizeof(fcw));
	memcpy(vcpu->fpu->area + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	vcpu->xcr0 = 1;
	vcpu->dr6 = DR6_AT_RESET;
}

static void state_save(struct vcpu *vcpu)
{
	fpu_save(vcpu);
	for (unsigned int i = 0; i < VCPU_MSRS; i++) {
		if (has_msr(vcpu, switched_msrs[i]))
			vcpu->msr[i] = rdmsr(switched_msrs[i]);
	}
	vcpu->dr[0] = read_dr0();
	vcpu->dr[1] = read_dr1();
	vcpu->dr[2] = read_dr2();
	vcpu->dr[3] = read_dr3();
	vcpu->dr6 = read_dr6();
	vcpu->cr2 = read_cr2();
}

static void state_restore(const struct vcpu *vcpu)
{
	fpu_restore(vcpu);
	for (unsigned int i = 0; i < VCPU_MSRS; i++) {
		if (has_msr(vcpu, switched_msrs[i]))
			wrmsr(switched_msrs[i], vcpu->msr[i]);
	}
	write_dr0(vcpu->dr[0]);
	write_dr1(vcpu->dr[1]);
	write_dr2(vcpu->dr[2]);
	write_dr3(vcpu->dr[3]);
	write_dr6(vcpu->dr6);
	write_cr2(vcpu->cr2);
}

/* SDM, "Processor State After Reset": what INIT changes of the registers that are switched here. */
void vcpu_state_reset(struct vcpu *vcpu)
{
	(void)vcpu;
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
	write_dr6(DR6_AT_RESET);
	write_cr2(0);
}

void vcpu_unload(void)
{
	struct cpu *cpu = this_cpu();
	struct vcpu *vcpu = cpu->vcpu;

	if (!vcpu)
		return;
	state_save(vcpu);
	context_clear_all(vcpu);
	cpu->vcpu = NULL;
	atomic_store_explicit(&vcpu->on, NULL, memory_order_release);
}

/*
 * What another VM has taught this CPU's branch predictors must not steer this one's speculation
 * into telling its secrets. Between vCPUs of one VM that is the guest's own business.
 */
static void change_vm(struct cpu *cpu, struct vm *vm)
{
	if (cpu->last_vm && cpu->last_vm != vm && vmm.ibpb) {
		wrmsr(IA32_PRED_CMD, PRED_CMD_IBPB);
		cpu->ibpbs++;
	}
	cpu->last_vm = vm;
}

void vcpu_load(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();

	if (cpu->vcpu == vcpu)
		return;
	vcpu_unload();
	change_vm(cpu, vcpu->vm);
	cpu->vcpu = vcpu;
	atomic_store(&vcpu->on, cpu); /* before vm->state is looked at: see vm_stop */
	context_use(vcpu, vcpu->ctx);
	state_restore(vcpu);
}

struct vcpu *vcpu_current(void)
{
	return this_cpu()->vcpu;
}
