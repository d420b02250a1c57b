/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes with a vCPU from CPU to CPU, what is dropped on the way, and what is kept from the next VM. */
#include "tests/unit/vcpu_rig.h"

static struct vcpu other; /* of another VM */

static int start(void **state)
{
	int err = rig_start(state);

	memset(&other, 0, sizeof(other));
	other.vm = &rig_vms[1];
	other.cpuid = rig_vcpu.cpuid;
	other.ctx = &other.own;
	assert_int_equal(context_add(&other, &other.own, 0, &exit_ways), 0);
	other.fpu = (struct vcpu_fpu *)(uintptr_t)mem_alloc_page(VM_OWNER_OVERHEAD(1));
	vcpu_state_init(&other);
	fake_msr_set(IA32_PRED_CMD, 0);
	this_cpu()->ibpbs = 0;
	this_cpu()->last_vm = rig_vm;
	return err;
}

static void run_on(struct cpu *cpu)
{
	cpu->self = cpu;
	assert_int_equal(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, cpu), 0);
}

/* A barrier exactly when another VM's vCPU gets the CPU, and only on processors that have it. */
static void barrier_between_vms(void **state)
{
	(void)state;
	vcpu_load(&other);
	assert_int_equal(this_cpu()->ibpbs, 0);
	assert_int_equal(fake_msr(IA32_PRED_CMD), 0);

	vmm.ibpb = true;
	vcpu_load(&rig_vcpu);
	assert_int_equal(this_cpu()->ibpbs, 1);
	assert_int_equal(fake_msr(IA32_PRED_CMD), PRED_CMD_IBPB);
	vcpu_load(&rig_vcpu);
	assert_int_equal(this_cpu()->ibpbs, 1);
	vcpu_unload();
	vcpu_load(&rig_vcpu); /* nobody else was here in between */
	assert_int_equal(this_cpu()->ibpbs, 1);
	vcpu_load(&other);
	assert_int_equal(this_cpu()->ibpbs, 2);
}

/* The registers that exits leave alone are each vCPU's own, and survive the other's turn. */
static void registers(void **state)
{
	(void)state;
	fake_msr_set(IA32_LSTAR, 0x1111);
	fake_x86.cr2 = 0x2222;
	fake_x86.dr3 = 0x3333;
	vcpu_load(&other);
	assert_int_equal(fake_msr(IA32_LSTAR), 0);
	assert_int_equal(fake_x86.cr2, 0);
	assert_int_equal(fake_x86.dr3, 0);
	fake_x86.cr2 = 0x4444;
	vcpu_load(&rig_vcpu);
	assert_int_equal(fake_msr(IA32_LSTAR), 0x1111);
	assert_int_equal(fake_x86.cr2, 0x2222);
	assert_int_equal(fake_x86.dr3, 0x3333);
	vcpu_load(&other);
	assert_int_equal(fake_x86.cr2, 0x4444);
}

/* Who holds a vCPU's registers is known to all; once they are given up the next entry is a VMLAUNCH. */
static void holder(void **state)
{
	(void)state;
	assert_ptr_equal(rig_vcpu.on, this_cpu());
	rig_vcpu.ctx->launched = true;
	vcpu_load(&other);
	assert_null(rig_vcpu.on);
	assert_false(rig_vcpu.ctx->launched);
	assert_ptr_equal(other.on, this_cpu());
	vcpu_unload();
	assert_null(other.on);
	assert_null(vcpu_current());
	vcpu_unload();
}

/*
 * On another CPU the host state is that CPU's, and what its TLB may hold of an earlier stay goes; back
 * on the same CPU, with nobody else's turn or with one, nothing is flushed.
 */
static void change_of_cpu(void **state)
{
	static struct cpu second;
	struct cpu *first = this_cpu();
	unsigned int flushes = fake_invvpids;

	(void)state;
	vcpu_unload();
	vcpu_load(&rig_vcpu);
	assert_int_equal(fake_invvpids, flushes);

	vcpu_unload();
	run_on(&second);
	vcpu_load(&rig_vcpu);
	assert_int_equal(fake_invvpids, flushes + 1);
	assert_int_equal(fake_vmcs_get(HOST_GS_BASE), (u64)(uintptr_t)&second);
	assert_int_equal(fake_vmcs_get(HOST_TR_BASE), (u64)(uintptr_t)&second.tss);
	assert_int_equal(fake_vmcs_get(HOST_GDTR_BASE), (u64)(uintptr_t)second.gdt);

	vcpu_unload();
	run_on(first);
	vcpu_load(&rig_vcpu);
	assert_int_equal(fake_invvpids, flushes + 2);
	assert_int_equal(fake_vmcs_get(HOST_GS_BASE), (u64)(uintptr_t)first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(barrier_between_vms, start),
		cmocka_unit_test_setup(registers, start),
		cmocka_unit_test_setup(holder, start),
		cmocka_unit_test_setup(change_of_cpu, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
