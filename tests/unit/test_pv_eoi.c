/* SPDX-License-Identifier: BSD-2-Clause */
/* EOIs by memory: offered where nobody needs to know, taken back or done at a later exit. */
#include "tests/unit/pv_rig.h"
#include "vmm/vcpu/pv_eoi.h"

static int in_service(void)
{
	for (int v = 255; v >= 0; v--) {
		if (rig_vcpu.lapic.regs[(APIC_ISR + v / 32 * 16) / 4] >> (v % 32) & 1)
			return v;
	}
	return -1;
}

static int interruptible(void **state)
{
	rig_start(state);
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	assert_true(pv_wr(PV_MSR_EOI, PV_AREA | PV_ENABLE));
	assert_int_equal(pv_msr(PV_MSR_EOI), PV_AREA | PV_ENABLE);
	return 0;
}

/* On the way into the guest @vector is injected. */
static void inject(u8 vector)
{
	fake_vmcs_set(VM_ENTRY_INTERRUPTION_INFO, 0);
	vcpu_inject(&rig_vcpu);
	assert_int_equal(fake_vmcs_get(VM_ENTRY_INTERRUPTION_INFO),
			 INTR_INFO_VALID | INTR_TYPE_EXTERNAL | vector);
	assert_int_equal(in_service(), vector);
}

static u64 bit(void)
{
	return pv_ram(PV_AREA, 1);
}

static void some_exit(void)
{
	assert_true(rig_exit(EXIT_PREEMPTION_TIMER, 0));
}

/* The guest clears the bit: at the next exit the interrupt has ended. */
static void test_cleared(void **state)
{
	(void)state;
	pv_poke(PV_AREA, 0xaabbcc00, 4);
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	assert_int_equal(bit(), PV_EOI_BIT);
	assert_int_equal(pv_ram(PV_AREA, 4), 0xaabbcc01); /* no other byte is touched */
	pv_poke(PV_AREA, 0, 1);
	some_exit();
	assert_int_equal(in_service(), -1);
	assert_int_equal(bit(), 0);
	some_exit();
	assert_int_equal(in_service(), -1);
}

/* An exit that needs no look leaves the offer alone, and one that does finds what has become of it. */
static void test_left_alone(void **state)
{
	(void)state;
	for (int cleared = 0; cleared < 2; cleared++) {
		vlapic_post(&rig_vcpu.lapic, 0x41, false);
		inject(0x41);
		rig_vcpu.mode = VCPU_IN_GUEST;
		assert_true(rig_exit(EXIT_CPUID, 0));
		assert_int_equal(bit(), PV_EOI_BIT);
		if (cleared)
			pv_poke(PV_AREA, 0, 1);
		assert_true(rig_exit(EXIT_CPUID, 0));
		assert_int_equal(rig_vcpu.mode, VCPU_IN_GUEST);
		assert_int_equal(in_service(), 0x41);
		rig_vcpu.mode = VCPU_KICKED; /* by what has come */
		assert_true(rig_exit(EXIT_CPUID, 0));
		assert_int_equal(bit(), 0);
		assert_int_equal(in_service(), cleared ? -1 : 0x41);
		if (!cleared)
			vlapic_eoi(&rig_vcpu.lapic);
		rig_vcpu.mode = VCPU_OUT;
	}
}

/* It has not done so yet: the offer is taken back, and an EOI by the register ends it. */
static void test_taken_back(void **state)
{
	(void)state;
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	some_exit();
	assert_int_equal(bit(), 0);
	assert_int_equal(in_service(), 0x41);
	some_exit(); /* a bit that is 0 means nothing now */
	assert_int_equal(in_service(), 0x41);
	vlapic_eoi(&rig_vcpu.lapic);
	assert_int_equal(in_service(), -1);
}

/* A guest that writes the register although it need not: that is the one EOI. */
static void test_register_all_the_same(void **state)
{
	(void)state;
	assert_true(pv_wr(IA32_APIC_BASE, vlapic_base(&rig_vcpu.lapic) | APIC_BASE_EXTD));
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	some_exit();
	inject(0x61); /* on top of the first */
	assert_int_equal(bit(), PV_EOI_BIT);
	assert_true(pv_wr(IA32_X2APIC(APIC_EOI), 0));
	assert_int_equal(in_service(), 0x41);
	assert_int_equal(bit(), 0);
	assert_true(pv_wr(IA32_X2APIC(APIC_EOI), 0));
	assert_int_equal(in_service(), -1);
}

/* Nested: the upper one ends by memory, the lower one by the register, in that order. */
static void test_nested(void **state)
{
	(void)state;
	assert_true(pv_wr(IA32_APIC_BASE, vlapic_base(&rig_vcpu.lapic) | APIC_BASE_EXTD));
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	some_exit();
	inject(0x61);
	pv_poke(PV_AREA, 0, 1);
	assert_true(pv_wr(IA32_X2APIC(APIC_EOI), 0)); /* of 0x41, after it */
	assert_int_equal(in_service(), -1);
}

/* Never for a level-triggered one, nor while another one waits: their end has to be seen. */
static void test_not_offered(void **state)
{
	(void)state;
	vlapic_post(&rig_vcpu.lapic, 0x41, true);
	inject(0x41);
	assert_int_equal(bit(), 0);
	vlapic_eoi(&rig_vcpu.lapic);
	assert_int_equal(rig_eois, 1);

	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	vlapic_post(&rig_vcpu.lapic, 0x42, false);
	inject(0x42);
	assert_int_equal(bit(), 0);
	vlapic_eoi(&rig_vcpu.lapic);
	inject(0x41);
	assert_int_equal(bit(), PV_EOI_BIT);
	pv_poke(PV_AREA, 0, 1);
	some_exit();

	assert_true(pv_wr(PV_MSR_EOI, 0));
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	assert_int_equal(bit(), 0);
}

/* The same vector again while it is in service: it waits for the EOI, which must be seen. */
static void test_same_again(void **state)
{
	(void)state;
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	vlapic_post(&rig_vcpu.lapic, 0x41, false); /* kicks: an exit */
	some_exit();
	assert_int_equal(bit(), 0);
	fake_vmcs_set(VM_ENTRY_INTERRUPTION_INFO, 0);
	vcpu_inject(&rig_vcpu);
	assert_int_equal(fake_vmcs_get(VM_ENTRY_INTERRUPTION_INFO), 0);
	vlapic_eoi(&rig_vcpu.lapic);
	inject(0x41);
	assert_int_equal(bit(), PV_EOI_BIT);
}

/*
 * Switched off, moved or reset while an offer stands: the interrupt is neither lost nor ended
 * twice.
 */
static void test_changed_under_an_offer(void **state)
{
	(void)state;
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	assert_true(pv_wr(PV_MSR_EOI, (PV_AREA + 8) | PV_ENABLE));
	assert_int_equal(bit(), 0);
	assert_int_equal(in_service(), 0x41);
	some_exit();
	assert_int_equal(in_service(), 0x41);
	vlapic_eoi(&rig_vcpu.lapic);
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	assert_int_equal(pv_ram(PV_AREA + 8, 1), PV_EOI_BIT);
	assert_true(pv_wr(PV_MSR_EOI, 0));
	assert_int_equal(pv_ram(PV_AREA + 8, 1), 0);
	assert_int_equal(in_service(), 0x41);
	vlapic_eoi(&rig_vcpu.lapic);
	interruptible(state);
	vlapic_post(&rig_vcpu.lapic, 0x41, false);
	inject(0x41);
	pv_reset(&rig_vcpu);
	pv_poke(PV_AREA, 0, 1);
	some_exit();
	assert_int_equal(in_service(), 0x41);
}

/* Misaligned, or not RAM: #GP, and nothing is changed. */
static void test_bad(void **state)
{
	static const u64 bad[] = { PV_AREA | 2 | PV_ENABLE, RIG_RAM | PV_ENABLE,
				   0xfee00000 | PV_ENABLE,  ~0ULL,
				   (0 - 4ULL) | PV_ENABLE,  1ULL << 63 | PV_AREA | PV_ENABLE };

	(void)state;
	pv_refuses(PV_MSR_EOI, bad, ARRAY_SIZE(bad), PV_ENABLE);
	assert_true(pv_wr(PV_MSR_EOI, (RIG_RAM - 4) | PV_ENABLE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_cleared, interruptible),
		cmocka_unit_test_setup(test_left_alone, interruptible),
		cmocka_unit_test_setup(test_taken_back, interruptible),
		cmocka_unit_test_setup(test_register_all_the_same, interruptible),
		cmocka_unit_test_setup(test_nested, interruptible),
		cmocka_unit_test_setup(test_not_offered, interruptible),
		cmocka_unit_test_setup(test_same_again, interruptible),
		cmocka_unit_test_setup(test_changed_under_an_offer, interruptible),
		cmocka_unit_test_setup(test_bad, interruptible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
