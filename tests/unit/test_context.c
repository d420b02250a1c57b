/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Claims: a vCPU can be run by more than one VMCS. Each has its own VPID, EPT, cached words and way of its exits; what
 * is done to the vCPU goes to the one in use; all of them leave a CPU together.
 */
#include "lib/errno.h"
#include "tests/unit/vcpu_rig.h"
#include "vmm/observe/inside.h"
#include "vmx/vpid.h"

#define SECOND_EPTP 0x1234501eULL

static struct vcpu_context second;
static unsigned int second_exits;

static struct guest_regs *second_plain(struct guest_regs *regs, u64 tsc, u64 reason)
{
	(void)regs, (void)tsc, (void)reason;
	second_exits++;
	return NULL;
}

static struct guest_regs *second_inside(struct guest_regs *regs, u64 tsc, u64 reason)
{
	(void)second_plain(regs, tsc, reason);
	return regs;
}

static const struct exit_ways second_ways = { second_plain, second_inside };

static int start(void **state)
{
	int err = rig_start(state);

	memset(&second, 0, sizeof(second));
	second_exits = 0;
	assert_int_equal(context_add(&rig_vcpu, &second, SECOND_EPTP, &second_ways), 0);
	return err;
}

static int end(void **state)
{
	(void)state;
	context_end_all(&rig_vcpu);
	return 0;
}

static void run_on(struct cpu *cpu)
{
	cpu->self = cpu;
	assert_int_equal(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, cpu), 0);
}

/* What is written goes to the VMCS in use; the other one keeps what it had, and stays active on this CPU. */
static void each_its_own(void **state)
{
	(void)state;
	assert_ptr_equal(fake_vmcs_current(), rig_vcpu.own.vmcs);
	assert_ptr_not_equal(rig_vcpu.own.vmcs, second.vmcs);
	assert_int_not_equal(rig_vcpu.own.vpid, second.vpid);
	assert_int_not_equal(second.vpid, VPID_NONE);

	context_use(&rig_vcpu, &second);
	assert_ptr_equal(fake_vmcs_current(), second.vmcs);
	assert_int_equal(fake_vmcs_get(GUEST_RIP), 0);
	fake_vmcs_set(GUEST_RIP, 0x7777);

	context_use(&rig_vcpu, &rig_vcpu.own);
	assert_ptr_equal(fake_vmcs_current(), rig_vcpu.own.vmcs);
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
	assert_true(fake_vmcs_is_active(second.vmcs));

	context_use(&rig_vcpu, &second);
	assert_int_equal(fake_vmcs_get(GUEST_RIP), 0x7777);
}

/* Cached words are those of the VMCS in use: one that waits for a window does not keep the other from asking for it. */
static void windows(void **state)
{
	u32 window = CPU_NMI_WINDOW_EXITING;

	(void)state;
	second.cpu_controls = 0x100;
	rig_vcpu.nmi_pending = 1;
	fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_NMI);
	vcpu_inject(&rig_vcpu);
	assert_int_equal(rig_vcpu.own.windows, window);
	assert_int_equal(second.windows, 0);

	context_use(&rig_vcpu, &second);
	fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_NMI);
	vcpu_inject(&rig_vcpu);
	assert_int_equal(second.windows, window);
	assert_int_equal(fake_vmcs_get(PRIMARY_CONTROLS), 0x100 | window);

	rig_vcpu.nmi_pending = 0;
	vcpu_inject(&rig_vcpu);
	assert_int_equal(second.windows, 0);
	assert_int_equal(rig_vcpu.own.windows, window); /* its VMCS still says so */
	fake_vmcs_forget_writes();
	context_use(&rig_vcpu, &rig_vcpu.own);
	vcpu_inject(&rig_vcpu);
	assert_int_equal(rig_vcpu.own.windows, 0);
	assert_int_equal(fake_vmcs_writes(PRIMARY_CONTROLS), 1);
}

/* An exit goes by the ways of the context in use, watched or not, without a question on its way. */
static void exits(void **state)
{
	struct inside_view view = { 0 };

	(void)state;
	context_watch(&rig_vcpu, NULL);
	assert_ptr_equal(rig_vcpu.regs.on_exit, exit_reenter);
	context_use(&rig_vcpu, &second);
	assert_ptr_equal(rig_vcpu.regs.on_exit, second_plain);
	assert_null(rig_vcpu.regs.on_exit(&rig_vcpu.regs, 0, EXIT_CPUID));
	assert_int_equal(second_exits, 1);
	context_watch(&rig_vcpu, &view);
	assert_ptr_equal(rig_vcpu.regs.on_exit, second_inside);
	context_use(&rig_vcpu, &rig_vcpu.own);
	assert_ptr_equal(rig_vcpu.regs.on_exit, exit_reenter_inside);
	context_watch(&rig_vcpu, NULL);
	assert_ptr_equal(rig_vcpu.regs.on_exit, exit_reenter);
}

/* A vCPU that leaves its CPU takes all its VMCSs along; the next entry of each is a VMLAUNCH. */
static void unload(void **state)
{
	(void)state;
	context_use(&rig_vcpu, &second);
	rig_vcpu.own.launched = second.launched = true;
	vcpu_unload();
	assert_null(fake_vmcs_current());
	assert_false(fake_vmcs_is_active(second.vmcs) || fake_vmcs_is_active(rig_vcpu.own.vmcs));
	assert_false(rig_vcpu.own.launched || second.launched);
	vcpu_load(&rig_vcpu);
	assert_ptr_equal(fake_vmcs_current(), second.vmcs); /* where it was */
	assert_false(fake_vmcs_is_active(rig_vcpu.own.vmcs));
}

/* On another CPU each drops what that CPU's TLB may hold for it, when it is first used there, and once. */
static void change_of_cpu(void **state)
{
	static struct cpu other_cpu;
	struct cpu *first = this_cpu();
	unsigned int flushes;

	(void)state;
	context_use(&rig_vcpu, &second);
	vcpu_unload();
	run_on(&other_cpu);
	flushes = fake_invvpids;
	vcpu_load(&rig_vcpu);
	assert_int_equal(fake_invvpids, flushes + 1);
	assert_int_equal(fake_invvpid_last, second.vpid);
	assert_int_equal(fake_vmcs_get(HOST_GS_BASE), (u64)(uintptr_t)&other_cpu);
	context_use(&rig_vcpu, &rig_vcpu.own);
	assert_int_equal(fake_invvpids, flushes + 2);
	assert_int_equal(fake_invvpid_last, rig_vcpu.own.vpid);
	assert_int_equal(fake_vmcs_get(HOST_GS_BASE), (u64)(uintptr_t)&other_cpu);
	context_use(&rig_vcpu, &second);
	assert_int_equal(fake_invvpids, flushes + 2);
	vcpu_flush_tlb(&rig_vcpu);
	assert_int_equal(fake_invvpid_last, second.vpid);
	vcpu_unload();
	run_on(first);
}

/* A VPID is one context's alone, goes back when the vCPU ends, and what cannot be had is said. */
static void vpids(void **state)
{
	static u16 taken[VPID_COUNT];
	struct vcpu_context third = { 0 };
	u16 vpid = second.vpid;
	unsigned int n = 0;

	(void)state;
	while ((taken[n] = vpid_alloc()) != VPID_NONE)
		n++;
	assert_in_range(n, VPID_COUNT - 16, VPID_COUNT - 3);
	for (unsigned int i = 0; i < n; i++)
		assert_true(taken[i] != vpid && taken[i] != rig_vcpu.own.vpid);
	capture_start();
	assert_int_equal(context_add(&rig_vcpu, &third, 0, &exit_ways), -ENOSPC);
	assert_non_null(strstr(capture_text(), "vm rig: all 1023 VPIDs are in use"));
	capture_stop();
	assert_ptr_equal(rig_vcpu.contexts, &second); /* it is none of the vCPU's */
	context_end_all(&rig_vcpu);
	context_end_all(&rig_vcpu); /* twice is no harm */
	assert_int_equal(vpid_alloc(), MIN(vpid, (u16)(vpid - 1)));
	vpid_free((u16)(vpid - 1));
	while (n--)
		vpid_free(taken[n]);
}

/* Without VPIDs there is none to be had and none to flush. */
static void without(void **state)
{
	static struct vcpu_context third;
	unsigned int flushes;

	(void)state;
	context_end_all(&rig_vcpu);
	rig_mask = RIG_SOFTWARE | BIT(VMX_VPID);
	rig_restart();
	flushes = fake_invvpids;
	assert_int_equal(rig_vcpu.own.vpid, VPID_NONE);
	assert_int_equal(context_add(&rig_vcpu, &third, 0, &exit_ways), 0);
	context_use(&rig_vcpu, &third);
	vcpu_flush_tlb(&rig_vcpu);
	assert_int_equal(fake_invvpids, flushes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_its_own, start, end),
		cmocka_unit_test_setup_teardown(windows, start, end),
		cmocka_unit_test_setup_teardown(exits, start, end),
		cmocka_unit_test_setup_teardown(unload, start, end),
		cmocka_unit_test_setup_teardown(change_of_cpu, start, end),
		cmocka_unit_test_setup_teardown(vpids, start, end),
		cmocka_unit_test_setup_teardown(without, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
