/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/vcpu_reset: INIT and start-up IPIs to a vCPU, in the order in which they come, and what they leave. */
#include "tests/unit/vcpu_rig.h"

#define LEFT 0x12345000ULL

/* The rig's only vCPU, with the VMM's own ears on its APIC, as one that is not the bootstrap processor's. */
static int start_ap(void **state)
{
	static _Alignas(4096) u8 page[4096];

	rig_start(state);
	vapic_bus_init(&rig_vm->bus, vmm.tsc_hz, 0);
	assert_int_equal(vcpu_apic_init(&rig_vcpu, page), 0);
	rig_vcpu.lapic.base &= ~(u64)APIC_BASE_BSP;
	return 0;
}

static void send(enum vapic_mode mode, u8 vector)
{
	struct vapic_msg msg = { .dest = VAPIC_BROADCAST, .vector = vector, .mode = (u8)mode };

	assert_true(vapic_bus_deliver(&rig_vm->bus, &msg));
}

static bool started_at(u8 vector)
{
	return !rig_vcpu.wait_sipi && fake_vmcs_get(GUEST_RIP) == 0 &&
	       fake_vmcs_get(GUEST_CS_SELECTOR) == (u64)vector << 8 &&
	       fake_vmcs_get(GUEST_CS_BASE) == (u64)vector << 12;
}

/* INIT, SIPI: it starts there, also when it sees both at once. */
static void test_start(void **state)
{
	(void)state;
	send(VAPIC_INIT, 0);
	vcpu_obey_requests(&rig_vcpu);
	assert_true(rig_vcpu.wait_sipi);
	send(VAPIC_SIPI, 0x9a);
	vcpu_obey_requests(&rig_vcpu);
	assert_true(started_at(0x9a));
	send(VAPIC_INIT, 0);
	send(VAPIC_SIPI, 0x10);
	vcpu_obey_requests(&rig_vcpu);
	assert_true(started_at(0x10));
}

/* A SIPI to a vCPU that does not wait for one is nothing. */
static void test_sipi_alone(void **state)
{
	u64 rip = fake_vmcs_get(GUEST_RIP);

	(void)state;
	send(VAPIC_SIPI, 0x10);
	vcpu_obey_requests(&rig_vcpu);
	assert_false(rig_vcpu.wait_sipi);
	assert_int_equal(fake_vmcs_get(GUEST_RIP), rip);
}

/* Nor is it when an INIT follows before the vCPU has seen it: the SIPI was not for the state after. */
static void test_sipi_before_init(void **state)
{
	(void)state;
	send(VAPIC_SIPI, 0x10);
	send(VAPIC_INIT, 0);
	vcpu_obey_requests(&rig_vcpu);
	assert_true(rig_vcpu.wait_sipi);
}

/* INIT and SIPI clear general registers, and leave MSRs: those in the VMCS are the guest's. */
static void test_what_is_left(void **state)
{
	static const u32 kept[] = { GUEST_IA32_PAT, GUEST_IA32_SYSENTER_CS, GUEST_IA32_SYSENTER_ESP,
				    GUEST_IA32_SYSENTER_EIP };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(kept); i++)
		vmcs_write(kept[i], LEFT + i);
	rig_vcpu.regs.rax = rig_vcpu.regs.r15 = LEFT;
	send(VAPIC_INIT, 0);
	send(VAPIC_SIPI, 0x10);
	vcpu_obey_requests(&rig_vcpu);
	for (unsigned int i = 0; i < ARRAY_SIZE(kept); i++)
		assert_int_equal(fake_vmcs_get(kept[i]), LEFT + i);
	assert_int_equal(rig_vcpu.regs.rax, 0);
	assert_int_equal(rig_vcpu.regs.r15, 0);
	assert_int_equal(fake_vmcs_get(GUEST_RFLAGS), RFLAGS_FIXED);
}

/* An INIT of the bootstrap processor resets the VM: there is no firmware to begin in. */
static void test_bootstrap_processor(void **state)
{
	(void)state;
	rig_vcpu.lapic.base |= APIC_BASE_BSP;
	send(VAPIC_INIT, 0);
	vcpu_obey_requests(&rig_vcpu);
	assert_int_equal(rig_vm->state, VM_ENDED);
	assert_int_equal(rig_vm->end, VM_END_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_start, start_ap),
		cmocka_unit_test_setup(test_sipi_alone, start_ap),
		cmocka_unit_test_setup(test_sipi_before_init, start_ap),
		cmocka_unit_test_setup(test_what_is_left, start_ap),
		cmocka_unit_test_setup(test_bootstrap_processor, start_ap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
