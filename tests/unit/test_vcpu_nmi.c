/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a guest gets each NMI when the manual lets it, with virtual NMIs or without, and no HLT sleeps over one. */
#include "tests/unit/vcpu_rig.h"

#define NMI     (INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI)
#define WINDOWS (CPU_INTERRUPT_WINDOW_EXITING | CPU_NMI_WINDOW_EXITING)

/* The entry that comes now: its event, or 0. */
static u32 entry(void)
{
	fake_vmcs_set(VM_ENTRY_INTERRUPTION_INFO, 0);
	vcpu_inject(&rig_vcpu);
	return (u32)fake_vmcs_get(VM_ENTRY_INTERRUPTION_INFO);
}

static u32 windows(void)
{
	return (u32)fake_vmcs_get(PRIMARY_CONTROLS) & (u32)WINDOWS;
}

static void send_nmi(void)
{
	vcpu_request(&rig_vcpu, VCPU_REQ_NMI);
	vcpu_obey_requests(&rig_vcpu);
}

/* As the processor does when it has delivered an NMI, and at the IRET. */
static void in_handler(bool on)
{
	fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, on ? BLOCKING_BY_NMI : 0);
}

static void interrupts(bool on)
{
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | (on ? RFLAGS_IF : 0));
}

/* Claim: an NMI goes in at once, whatever IF says, and once. */
static void at_once(void **state)
{
	(void)state;
	for (int on = 0; on < 2; on++) {
		interrupts(on);
		send_nmi();
		assert_int_equal(entry(), NMI);
		assert_int_equal(windows(), 0);
		assert_int_equal(entry(), 0);
	}
}

/* Claim: while one is in service one more waits, for the NMI window; the third is lost. */
static void one_in_service(void **state)
{
	(void)state;
	send_nmi();
	assert_int_equal(entry(), NMI);
	in_handler(true);
	send_nmi();
	send_nmi();
	assert_int_equal(entry(), 0);
	assert_int_equal(windows(), CPU_NMI_WINDOW_EXITING);
	assert_int_equal(entry(), 0);
	in_handler(false);
	assert_true(rig_exit(EXIT_NMI_WINDOW, 0));
	assert_int_equal(entry(), NMI);
	assert_int_equal(windows(), 0);
	in_handler(false);
	assert_int_equal(entry(), 0);
}

/* Claim: of several that come before the first is taken, two are: the second waits for the first one's IRET. */
static void two_at_once(void **state)
{
	for (unsigned int sent = 1; sent <= 4; sent++) {
		for (unsigned int apart = 0; apart < 2; apart++) {
			rig_start(state);
			for (unsigned int i = 0; i < sent; i++) {
				rig_real_ops->nmi(&rig_vcpu);
				if (apart)
					vcpu_obey_requests(&rig_vcpu);
			}
			vcpu_obey_requests(&rig_vcpu);
			assert_int_equal(entry(), NMI);
			assert_int_equal(windows(), sent > 1 ? CPU_NMI_WINDOW_EXITING : 0);
			in_handler(true);
			assert_int_equal(entry(), 0);
			in_handler(false);
			assert_int_equal(entry(), sent > 1 ? NMI : 0);
			in_handler(false);
			assert_int_equal(entry(), 0);
			assert_int_equal(windows(), 0);
		}
	}
}

/* Claim: one whose delivery an exit has interrupted is in service, although it is to come again. */
static void in_delivery(void **state)
{
	(void)state;
	rig_vcpu.event.info = NMI;
	send_nmi();
	send_nmi();
	assert_int_equal(entry(), NMI);
	in_handler(false);
	assert_int_equal(entry(), NMI);
	in_handler(false);
	assert_int_equal(entry(), 0);
}

/* Claim: MOV SS holds it back until the NMI window; STI until the interrupt window, which no processor opens early. */
static void shadows(void **state)
{
	static const struct {
		u64 blocking;
		u32 window;
	} cases[] = {
		{ BLOCKING_BY_MOV_SS, CPU_NMI_WINDOW_EXITING },
		{ BLOCKING_BY_STI, CPU_INTERRUPT_WINDOW_EXITING },
	};

	(void)state;
	interrupts(true);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		send_nmi();
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, cases[i].blocking);
		assert_int_equal(entry(), 0);
		assert_int_equal(windows(), cases[i].window);
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, 0);
		assert_int_equal(entry(), NMI);
		assert_int_equal(windows(), 0);
	}
}

/* Claim: an exception goes first, an interrupt last; each asks for its own window. */
static void priorities(void **state)
{
	(void)state;
	interrupts(true);
	send_nmi();
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	vcpu_inject_ud(&rig_vcpu);
	assert_int_equal(entry(), INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_UD);
	assert_int_equal(windows(), WINDOWS);
	assert_int_equal(entry(), NMI);
	assert_int_equal(windows(), CPU_INTERRUPT_WINDOW_EXITING);
	assert_int_equal(entry(), INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x61);
	assert_int_equal(windows(), 0);
}

/* Claim: an NMI ends any HLT, but for one in an NMI's handler. */
static void halt(void **state)
{
	(void)state;
	for (int nested = 0; nested < 2; nested++) {
		interrupts(false);
		in_handler(nested);
		assert_true(rig_exit(EXIT_HLT, 0));
		fake_vmcs_set(GUEST_RIP, RIG_RIP);
		assert_false(vcpu_has_work(&rig_vcpu));
		send_nmi();
		assert_int_equal(vcpu_has_work(&rig_vcpu), !nested);
	}
}

/* Claim: an IRET that an exit undoes leaves NMIs blocked; one that a delivery was interrupted at says nothing. */
static void iret_undone(void **state)
{
	(void)state;
	fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION |
							 INTR_INFO_NMI_UNBLOCKING_IRET | VECTOR_AC);
	assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
	assert_int_equal(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI);
	in_handler(false);
	fake_vmcs_set(IDT_VECTORING_INFO, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x61);
	assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
	assert_int_equal(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE), 0);
}

/* Claim: without virtual NMIs that bit is not looked at: what it would block are the machine's own. */
static void iret_without(void **state)
{
	(void)state;
	fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION |
							 INTR_INFO_NMI_UNBLOCKING_IRET | VECTOR_AC);
	assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
	assert_int_equal(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE), 0);
}

/* Claim: without them, too, two that come at once are two. */
static void two_without(void **state)
{
	(void)state;
	interrupts(false);
	for (unsigned int i = 0; i < 3; i++)
		rig_real_ops->nmi(&rig_vcpu);
	vcpu_obey_requests(&rig_vcpu);
	assert_int_equal(entry(), NMI);
	assert_int_equal(entry(), 0);
	interrupts(true);
	assert_int_equal(entry(), NMI);
	assert_int_equal(entry(), 0);
}

/* Claim: INIT forgets them, and who waits for a start-up IPI takes none. */
static void init(void **state)
{
	(void)state;
	rig_vcpu.lapic.base &= ~APIC_BASE_BSP;
	send_nmi();
	vcpu_request(&rig_vcpu, VCPU_REQ_INIT);
	vcpu_obey_requests(&rig_vcpu);
	send_nmi();
	vcpu_request(&rig_vcpu, VCPU_REQ_SIPI);
	vcpu_obey_requests(&rig_vcpu);
	assert_false(rig_vcpu.wait_sipi);
	assert_int_equal(entry(), 0);
}

static int start_without(void **state)
{
	rig_start(state);
	rig_mask |= BIT(VMX_VIRTUAL_NMIS);
	rig_restart();
	return 0;
}

/* Claim: without virtual NMIs the next one waits until interrupts are on, and NMI windows are never asked for. */
static void without(void **state)
{
	(void)state;
	interrupts(false);
	send_nmi();
	assert_int_equal(entry(), NMI);
	send_nmi();
	assert_int_equal(entry(), 0);
	assert_int_equal(windows(), CPU_INTERRUPT_WINDOW_EXITING);
	interrupts(true);
	fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_STI);
	assert_int_equal(entry(), 0);
	fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, 0);
	assert_int_equal(entry(), NMI);
	assert_int_equal(windows(), CPU_INTERRUPT_WINDOW_EXITING); /* to see its end */
	assert_true(rig_exit(EXIT_INTERRUPT_WINDOW, 0));
	assert_int_equal(entry(), 0);
	assert_int_equal(windows(), 0);
	interrupts(false);
	send_nmi();
	assert_int_equal(entry(), NMI); /* the end was seen: IF = 0 does not matter now */
	interrupts(true);
	assert_int_equal(entry(), 0);
	fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS);
	send_nmi();
	assert_int_equal(entry(), 0);
	assert_int_equal(windows(), CPU_INTERRUPT_WINDOW_EXITING);
}

/* Claim: and a HLT with interrupts off in such a handler sleeps, one with interrupts on does not. */
static void halt_without(void **state)
{
	(void)state;
	interrupts(false);
	send_nmi();
	assert_int_equal(entry(), NMI);
	for (int on = 0; on < 2; on++) {
		interrupts(on);
		assert_true(rig_exit(EXIT_HLT, 0));
		fake_vmcs_set(GUEST_RIP, RIG_RIP);
		send_nmi();
		assert_int_equal(vcpu_has_work(&rig_vcpu), on);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(at_once, rig_start),
		cmocka_unit_test_setup(one_in_service, rig_start),
		cmocka_unit_test_setup(two_at_once, rig_start),
		cmocka_unit_test_setup(in_delivery, rig_start),
		cmocka_unit_test_setup(shadows, rig_start),
		cmocka_unit_test_setup(priorities, rig_start),
		cmocka_unit_test_setup(halt, rig_start),
		cmocka_unit_test_setup(iret_undone, rig_start),
		cmocka_unit_test_setup(init, rig_start),
		cmocka_unit_test_setup(without, start_without),
		cmocka_unit_test_setup(halt_without, start_without),
		cmocka_unit_test_setup(iret_without, start_without),
		cmocka_unit_test_setup(two_without, start_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
