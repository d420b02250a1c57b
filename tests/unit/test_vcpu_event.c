/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: exceptions combine as the manual says, and each entry takes at most one event, in order. */
#include "tests/unit/vcpu_rig.h"

#define WINDOW CPU_INTERRUPT_WINDOW_EXITING

static void queue(unsigned int vector)
{
	if (vector == VECTOR_DB)
		vcpu_inject_debug(&rig_vcpu);
	else
		vcpu_inject_exception(&rig_vcpu, (u8)vector, 0);
}

/* Exceptions 0-31 that a processor raises as hardware exceptions. */
static bool is_hw_exception(unsigned int v)
{
	return v != VECTOR_NMI && v != 3 && v != 4 && v != 9 && v != 15 && v < 22;
}

static bool contributory(unsigned int v)
{
	return v == VECTOR_DE || (v >= VECTOR_TS && v <= VECTOR_GP);
}

/* SDM, "Conditions for Generating a Double Fault", as its table has it. */
static bool double_fault(unsigned int first, unsigned int second)
{
	if (contributory(first))
		return contributory(second);
	if (first == VECTOR_PF)
		return second == VECTOR_PF || contributory(second);
	return false;
}

static bool has_error_code(unsigned int v)
{
	return v == 8 || (v >= 10 && v <= 14) || v == 17;
}

/* Claim: `on-triple-fault` holds for one that the VMM finds as well; the exception is told. */
static void triple_fault_resets(void **state)
{
	rig_config.on_triple_fault = TRIPLE_FAULT_RESETS;
	rig_start(state);
	queue(VECTOR_DF);
	vcpu_inject_exception(&rig_vcpu, VECTOR_GP, 0);
	rig_config.on_triple_fault = TRIPLE_FAULT_CRASHES;
	assert_int_equal(rig_vm->end, VM_END_RESET);
	assert_string_equal(rig_vm->reason,
			    "reset: triple fault (exception 13 in the delivery of #DF)");
}

/* Claim: all pairs: double fault, triple fault, or the second one alone. */
static void double_fault_matrix(void **state)
{
	for (unsigned int first = 0; first < 32; first++) {
		for (unsigned int second = 0; second < 32; second++) {
			if (!is_hw_exception(first) || !is_hw_exception(second) ||
			    second == VECTOR_DF)
				continue;
			rig_start(state);
			queue(first);
			vcpu_inject_exception(&rig_vcpu, (u8)second, 0x1234);
			if (first == VECTOR_DF) {
				assert_stopped("triple fault");
			} else if (double_fault(first, second)) {
				assert_exception(VECTOR_DF, true, 0);
			} else {
				assert_exception(second, has_error_code(second), 0x1234);
			}
		}
	}
}

/* Claim: an exception in the delivery of an interrupt is that exception, never a double fault. */
static void during_an_interrupt(void **state)
{
	static const u32 types[] = { INTR_TYPE_EXTERNAL | VECTOR_GP, INTR_TYPE_NMI | 2,
				     INTR_TYPE_SW_INTERRUPT | VECTOR_PF };

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		rig_start(state);
		rig_vcpu.event.info = INTR_INFO_VALID | types[i];
		queue(VECTOR_GP);
		assert_gp();
	}
}

/* Claim: in real mode no exception has an error code: VM entry would fail. */
static void real_mode(void **state)
{
	(void)state;
	fake_vmcs_set(GUEST_CR0, 0);
	for (unsigned int v = 0; v < 32; v++) {
		rig_vcpu.event.info = 0;
		queue(v);
		assert_exception(v, false, 0);
	}
	queue(VECTOR_GP);
	queue(VECTOR_GP);
	assert_exception(VECTOR_DF, false, 0);
}

/* Claim: a page fault leaves its address in CR2. */
static void page_fault(void **state)
{
	(void)state;
	vcpu_inject_page_fault(&rig_vcpu, 0xffff888000001234, 6);
	assert_exception(VECTOR_PF, true, 6);
	assert_int_equal(fake_x86.cr2, 0xffff888000001234);
}

/* Claim: the image of a fault has RF set, whatever else is in it; that of a debug exception stays the processor's. */
static void fault_image(void **state)
{
	for (unsigned int v = 0; v < 32; v++) {
		if (!is_hw_exception(v))
			continue;
		for (unsigned int rf = 0; rf < 2; rf++) {
			u64 before = RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF | (rf ? RFLAGS_RF : 0);

			rig_start(state);
			fake_vmcs_set(GUEST_RFLAGS, before);
			queue(v);
			assert_int_equal(fake_vmcs_get(GUEST_RFLAGS),
					 v == VECTOR_DB ? before : before | RFLAGS_RF);
		}
	}
}

/* The entry that comes now. */
static u32 entry(void)
{
	fake_vmcs_set(VM_ENTRY_INTERRUPTION_INFO, 0);
	fake_vmcs_forget_writes();
	vcpu_inject(&rig_vcpu);
	assert_in_range(fake_vmcs_writes(VM_ENTRY_INTERRUPTION_INFO), 0, 1);
	return (u32)fake_vmcs_get(VM_ENTRY_INTERRUPTION_INFO);
}

static bool window(void)
{
	u32 windows = (u32)fake_vmcs_get(PRIMARY_CONTROLS) & ~rig_vcpu.ctx->cpu_controls;

	assert_int_equal(fake_vmcs_get(PRIMARY_CONTROLS), rig_vcpu.ctx->cpu_controls | windows);
	assert_int_equal(windows & ~(WINDOW | CPU_NMI_WINDOW_EXITING), 0);
	assert_int_equal(windows, rig_vcpu.ctx->windows);
	return windows & WINDOW;
}

static void interrupts_on(void)
{
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
}

static u32 external(u8 vector)
{
	return INTR_INFO_VALID | INTR_TYPE_EXTERNAL | vector;
}

static bool in_bank(u32 bank, u8 vector)
{
	return rig_vcpu.lapic.regs[(bank + vector / 32 * 16) / 4] & (1u << vector % 32);
}

/* Claim: with nothing to do an entry costs no VMWRITE. */
static void idle_entry(void **state)
{
	(void)state;
	interrupts_on();
	assert_int_equal(entry(), 0);
	assert_int_equal(fake_vmcs_all_writes(), 0);
}

/* Claim: an interrupt goes in at once where it can, and moves from the IRR to the ISR. */
static void interrupt(void **state)
{
	(void)state;
	interrupts_on();
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	assert_int_equal(entry(), external(0x61));
	assert_false(window());
	assert_true(in_bank(APIC_ISR, 0x61));
	assert_false(in_bank(APIC_IRR, 0x61));
	assert_int_equal(entry(), 0);
}

/* Claim: nothing is injected with IF = 0 or in the shadow of STI or MOV SS: a window is asked for. */
static void blocked(void **state)
{
	static const u64 shadow[] = { 0, BLOCKING_BY_STI, BLOCKING_BY_MOV_SS };

	for (unsigned int i = 0; i < ARRAY_SIZE(shadow); i++) {
		rig_start(state);
		if (shadow[i])
			interrupts_on();
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, shadow[i]);
		vlapic_post(&rig_vcpu.lapic, 0x61, false);
		assert_int_equal(entry(), 0);
		assert_true(window());
		assert_int_equal(fake_vmcs_writes(PRIMARY_CONTROLS), 1);
		assert_int_equal(entry(), 0);
		assert_int_equal(fake_vmcs_writes(PRIMARY_CONTROLS), 0); /* asked for once */
		assert_true(in_bank(APIC_IRR, 0x61));

		interrupts_on();
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, 0);
		assert_true(rig_exit(EXIT_INTERRUPT_WINDOW, 0));
		assert_int_equal(entry(), external(0x61));
		assert_false(window());
	}
	/* Blocking by NMI is no reason. */
	rig_start(state);
	interrupts_on();
	fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_NMI);
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	assert_int_equal(entry(), external(0x61));
}

/* Claim: an exception goes before an interrupt, which asks for its turn. */
static void event_first(void **state)
{
	(void)state;
	interrupts_on();
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	vcpu_inject_gp(&rig_vcpu);
	assert_int_equal(entry(), INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | INTR_INFO_ERROR_CODE |
					  VECTOR_GP);
	assert_true(window());
	assert_false(rig_vcpu.event.info & INTR_INFO_VALID);
	assert_int_equal(entry(), external(0x61));
	assert_false(window());
}

/*
 * Claim: a single step goes before interrupts and NMIs, whether the VMM or the processor has found it: an entry with
 * an event would drop what is pending.
 */
static void step_first(void **state)
{
	for (unsigned int nmi = 0; nmi < 2; nmi++) {
		u32 windows;

		rig_start(state);
		fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF);
		vlapic_post(&rig_vcpu.lapic, 0x61, false);
		if (nmi)
			vcpu_nmi(&rig_vcpu, 1);
		assert_true(rig_exit(EXIT_CPUID, 0));
		assert_int_equal(entry(), INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_DB);
		assert_true(window());
		assert_int_equal(fake_vmcs_get(GUEST_PENDING_DEBUG_EXCEPTIONS), 0);

		fake_vmcs_set(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
		assert_true(rig_exit(EXIT_TPR_BELOW_THRESHOLD, 0));
		assert_int_equal(entry(), 0);
		assert_true(window());
		windows = (u32)fake_vmcs_get(PRIMARY_CONTROLS) & CPU_NMI_WINDOW_EXITING;
		assert_int_equal(windows, nmi ? CPU_NMI_WINDOW_EXITING : 0);
		assert_int_equal(fake_vmcs_get(GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);

		fake_vmcs_set(GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
		if (nmi)
			assert_int_equal(entry(), INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI);
		assert_int_equal(entry(), external(0x61));
	}
}

/* Claim: an exception alone asks for no window. */
static void event_alone(void **state)
{
	(void)state;
	interrupts_on();
	vcpu_inject_ud(&rig_vcpu);
	assert_int_equal(entry(), INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_UD);
	assert_false(window());
}

/* Claim: of two interrupts the higher goes first; the lower one waits for the EOI, without a window. */
static void two_interrupts(void **state)
{
	(void)state;
	interrupts_on();
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	vlapic_post(&rig_vcpu.lapic, 0x91, false);
	assert_int_equal(entry(), external(0x91));
	assert_false(window());
	assert_int_equal(entry(), 0);
	vlapic_eoi(&rig_vcpu.lapic);
	assert_int_equal(entry(), external(0x61));
}

static void pic_ready(void)
{
	static const struct {
		u16 port;
		u8 value;
	} init[] = { { 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0 } };

	for (unsigned int i = 0; i < ARRAY_SIZE(init); i++)
		pio_write(&rig_vm->pio, init[i].port, 1, init[i].value);
}

/* Claim: the PIC's interrupt comes through LINT0, before the APIC's; both never at once. */
static void pic_and_lapic(void **state)
{
	(void)state;
	interrupts_on();
	pic_ready();
	vpic_set_line(&rig_vm->pic, 4, true);
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	assert_int_equal(entry(), external(0x24));
	assert_true(window());
	assert_int_equal(entry(), external(0x61));
	assert_false(window());
	assert_int_equal(entry(), 0);
}

/* Claim: with LINT0 masked the PIC's interrupt does not arrive, and does not end HLT. */
static void pic_masked(void **state)
{
	(void)state;
	interrupts_on();
	pic_ready();
	rig_vcpu.halted_if = true;
	rig_vcpu.lapic.regs[APIC_LVT_LINT0 / 4] |= APIC_MASKED;
	vpic_set_line(&rig_vm->pic, 4, true);
	assert_int_equal(entry(), 0);
	assert_false(window());
	assert_false(vcpu_has_work(&rig_vcpu));
	rig_vcpu.lapic.regs[APIC_LVT_LINT0 / 4] &= ~APIC_MASKED;
	assert_true(vcpu_has_work(&rig_vcpu));
	assert_int_equal(entry(), external(0x24));
}

/* Claim: the TPR threshold is what holds the highest request back, written when it changes only. */
static void tpr_threshold(void **state)
{
	(void)state;
	interrupts_on();
	vlapic_set_cr8(&rig_vcpu.lapic, 8);
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	assert_int_equal(entry(), 0);
	assert_false(window()); /* no window helps: the TPR does */
	assert_int_equal(fake_vmcs_writes(TPR_THRESHOLD), 1);
	assert_int_equal(fake_vmcs_get(TPR_THRESHOLD), 6);
	assert_int_equal(entry(), 0);
	assert_int_equal(fake_vmcs_writes(TPR_THRESHOLD), 0);
	vlapic_post(&rig_vcpu.lapic, 0x71, false);
	assert_int_equal(entry(), 0);
	assert_int_equal(fake_vmcs_get(TPR_THRESHOLD), 7);
	/* VM entry fails with a threshold above the TPR's class. */
	vlapic_set_cr8(&rig_vcpu.lapic, 5);
	assert_int_equal(entry(), external(0x71));
	assert_int_equal(fake_vmcs_get(TPR_THRESHOLD), 0);
}

/* Claim: without the TPR shadow the threshold is never written. */
static void no_tpr_shadow(void **state)
{
	(void)state;
	rig_mask |= BIT(VMX_TPR_SHADOW);
	rig_restart();
	interrupts_on();
	vlapic_set_cr8(&rig_vcpu.lapic, 8);
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	assert_int_equal(entry(), 0);
	assert_int_equal(fake_vmcs_writes(TPR_THRESHOLD), 0);
}

/*
 * Claim: whatever comes in whatever order, an entry has one event at most, none that the guest
 * blocks, and an interrupt that waits for nothing but the guest's readiness has a window.
 */
static void random_order(void **state)
{
	(void)state;
	pic_ready();
	for (unsigned int i = 0; i < 100000; i++) {
		u64 r = rig_random();
		u32 info;
		bool ready;

		fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | (r & 1 ? RFLAGS_IF : 0));
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, r & 6 ? 0 : 1 + (r >> 3 & 1));
		if (r & BIT(8))
			vlapic_post(&rig_vcpu.lapic, (u8)(r >> 16), false);
		if (r & BIT(9))
			vlapic_eoi(&rig_vcpu.lapic);
		if (r & BIT(10))
			vlapic_set_cr8(&rig_vcpu.lapic, r >> 24 & 15);
		if (r & BIT(11))
			vpic_set_line(&rig_vm->pic, r >> 28 & 7, r >> 31 & 1);
		if (r & BIT(12))
			pio_write(&rig_vm->pio, 0x20, 1, 0x20);
		if (!(r >> 32 & 7))
			queue(VECTOR_UD);
		if (rig_vcpu.ctx->windows && (r & 1) &&
		    !(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE)))
			rig_exit(EXIT_INTERRUPT_WINDOW, 0);
		ready = (r & 1) && !fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE);
		info = entry();
		if ((info & INTR_INFO_VALID) && !(info & INTR_INFO_TYPE))
			assert_true(ready);
		if (vlapic_pending(&rig_vcpu.lapic) >= 0 || vpic_pending(&rig_vm->pic))
			assert_true(window());
		assert_in_range(fake_vmcs_get(TPR_THRESHOLD), 0, vlapic_cr8(&rig_vcpu.lapic));
		assert_false(rig_vcpu.event.info & INTR_INFO_VALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(double_fault_matrix, rig_start),
		cmocka_unit_test_setup(triple_fault_resets, rig_start),
		cmocka_unit_test_setup(during_an_interrupt, rig_start),
		cmocka_unit_test_setup(real_mode, rig_start),
		cmocka_unit_test_setup(page_fault, rig_start),
		cmocka_unit_test_setup(fault_image, rig_start),
		cmocka_unit_test_setup(idle_entry, rig_start),
		cmocka_unit_test_setup(interrupt, rig_start),
		cmocka_unit_test_setup(blocked, rig_start),
		cmocka_unit_test_setup(event_first, rig_start),
		cmocka_unit_test_setup(step_first, rig_start),
		cmocka_unit_test_setup(event_alone, rig_start),
		cmocka_unit_test_setup(two_interrupts, rig_start),
		cmocka_unit_test_setup(pic_and_lapic, rig_start),
		cmocka_unit_test_setup(pic_masked, rig_start),
		cmocka_unit_test_setup(tpr_threshold, rig_start),
		cmocka_unit_test_setup(no_tpr_shadow, rig_start),
		cmocka_unit_test_setup(random_order, rig_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
