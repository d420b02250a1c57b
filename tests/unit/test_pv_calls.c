/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls: by KVM's numbers, from ring 0 only, with arguments that may be anything. */
#include "tests/unit/pv_rig.h"

static s64 call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	struct guest_regs *g = &rig_vcpu.regs, before;

	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	g->rax = nr;
	g->rbx = a0;
	g->rcx = a1;
	g->rdx = a2;
	g->rsi = a3;
	before = *g;
	assert_true(rig_exit(EXIT_VMCALL, 0));
	assert_no_exception();
	assert_true(rig_advanced());
	before.rax = g->rax;
	assert_memory_equal(&before, g,
			    offsetof(struct guest_regs, host_rsp)); /* no other is changed */
	return (s64)g->rax;
}

static bool got(u8 vector)
{
	bool got_it = vlapic_highest_irr(&rig_vcpu.lapic) == vector;

	if (got_it) {
		vlapic_accept(&rig_vcpu.lapic, vector);
		vlapic_eoi(&rig_vcpu.lapic);
	}
	return got_it && vlapic_highest_irr(&rig_vcpu.lapic) < 0;
}

/* Numbers that are none, at any width, and calls from ring 3. */
static void test_refused(void **state)
{
	static const u64 none[] = { 0,
				    2,
				    3,
				    4,
				    6,
				    7,
				    8,
				    9,
				    12,
				    100,
				    0x7fffffff,
				    0xffffffff,
				    1ULL << 32 | PV_CALL_SEND_IPI,
				    ~0ULL };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(call(none[i], ~0ULL, ~0ULL, 0, 0x41), PV_ENOSYS);
	fake_vmcs_set(GUEST_SS_ACCESS_RIGHTS, 3 << 5 | 0xf3);
	assert_int_equal(call(PV_CALL_SEND_IPI, 1, 0, 0, 0x41), PV_EPERM);
	assert_false(got(0x41));
}

/* An interrupt to those of a set that are there; how many is the answer. The rig has APIC ID 0. */
static void test_send_ipi(void **state)
{
	static const struct {
		u64 low, high, first, icr;
		s64 result;
	} cases[] = {
		{ 1, 0, 0, 0x41, 1 },
		{ ~0ULL, ~0ULL, 0, 0x41, 1 },
		{ 2, 0, 0, 0x41, 0 },
		{ 0, 0, 0, 0x41, 0 },
		{ 1, 0, 1, 0x41, 0 },
		{ 2, 0, 0xffffffff, 0x41, 1 }, /* IDs count modulo 2^32: in no guest's interest */
		{ ~0ULL, ~0ULL, 0xffffff00, 0x41, 0 },
		{ 1, 0, 1ULL << 32, 0x41, 1 },   /* the first ID has 32 bits */
		{ 1, 0, 0, 0x40041, PV_EINVAL }, /* shorthand: self */
		{ 1, 0, 0, 0x80041, PV_EINVAL },
		{ 1, 0, 0, 0xc0041, PV_EINVAL },
		{ 1, 0, 0, 0x00841, PV_EINVAL }, /* logical */
		{ 1, 0, 0, 0x0000f, PV_EINVAL }, /* vector 15 */
		{ 1, 0, 0, 0x00141, PV_EINVAL }, /* lowest priority */
		{ 1, 0, 0, 0x00241, PV_EINVAL }, /* SMI */
		{ 1, 0, 0, 0x00500, PV_EINVAL }, /* INIT */
		{ 1, 0, 0, 0x00608, PV_EINVAL }, /* SIPI */
		{ 1, 0, 0, 0x00700, PV_EINVAL }, /* ExtINT */
		{ 1, 0, 0, 0x00400, 1 },         /* NMI: the vector does not count */
		{ 1, 0, 0, 0x08041, 1 },         /* level-triggered: IPIs never are */
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(call(PV_CALL_SEND_IPI, cases[i].low, cases[i].high, cases[i].first,
				      cases[i].icr),
				 cases[i].result);
		assert_int_equal(got(0x41), cases[i].result == 1 && cases[i].icr != 0x400);
		assert_int_equal(rig_eois, 0);
	}
}

/* Outside of 64-bit mode all are of 32 bits, the set too, and so is the result. */
static void test_32bit(void **state)
{
	(void)state;
	rig_start_mode(GUEST_PROT32);
	assert_int_equal(call(0xdead00000000 | PV_CALL_SEND_IPI, 0xdead00000001, 0, 0, 0x41), 1);
	assert_true(got(0x41));
	assert_int_equal(call(PV_CALL_SEND_IPI, 0, 1, 0 - 32u, 0x41), 1);
	assert_true(got(0x41));
	assert_int_equal(call(PV_CALL_SEND_IPI, 1ULL << 32, 0, 0, 0x41), 0);
	assert_int_equal(call(99, 0, 0, 0, 0), (u32)PV_ENOSYS);
}

static void hlt(bool halts)
{
	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	rig_vcpu.halted = false;
	assert_true(rig_exit(EXIT_HLT, 0));
	assert_true(rig_advanced());
	assert_int_equal(rig_vcpu.halted, halts);
}

/*
 * A kick ends a HLT, even one that no interrupt could; before a HLT it ends that one, and only
 * that.
 */
static void test_kick(void **state)
{
	(void)state;
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED); /* IF = 0 */
	hlt(true);
	assert_int_equal(call(PV_CALL_KICK_CPU, 0, 0, 0, 0), 0);
	assert_int_equal(rig_vcpu.requests, VCPU_REQ_UNHALT);
	vcpu_obey_requests(&rig_vcpu);
	assert_false(rig_vcpu.halted);
	hlt(true);
	rig_vcpu.halted = false;
	assert_int_equal(call(PV_CALL_KICK_CPU, ~0ULL, 0, 0, 0), 0); /* no flag means anything */
	vcpu_obey_requests(&rig_vcpu);
	hlt(false);
	hlt(true);
	for (u64 id = 1; id; id = id << 1) {
		assert_int_equal(call(PV_CALL_KICK_CPU, 0, id, 0, 0), 0);
		assert_int_equal(call(PV_CALL_SCHED_YIELD, id, 0, 0, 0), 0);
	}
	assert_int_equal(call(PV_CALL_KICK_CPU, 0, 1ULL << 32, 0, 0), 0);
	assert_int_equal(rig_vcpu.requests, 0);
}

/* A yield gives the CPU away only where the named one waits for a CPU. */
static void test_yield(void **state)
{
	static struct sched_group group;
	static struct vcpu other;
	static const struct {
		enum vcpu_mode mode;
		u64 id;
		bool yields;
	} cases[] = {
		{ VCPU_IN_GUEST, 7, false }, { VCPU_KICKED, 7, false }, { VCPU_BLOCKED, 7, false },
		{ VCPU_OUT, 0, false },      { VCPU_OUT, 6, false },    { VCPU_OUT, 7, true },
	};
	struct cpu *cpu = this_cpu();

	(void)state;
	memset(&other, 0, sizeof(other));
	other.lapic.id = 7;
	rig_vm->vcpu[1] = &other;
	rig_vm->vcpus = 2;
	group = (struct sched_group){ .weight = 100 };
	sched_init(&scheduler, 1, RIG_TSC_HZ);
	assert_int_equal(sched_add(&scheduler, &rig_vcpu.sched, &group, SCHED_NOBODY), 0);
	assert_int_equal(sched_add(&scheduler, &other.sched, &group, SCHED_NOBODY), 0);
	(void)!sched_wake(&scheduler, &rig_vcpu.sched, 0);
	assert_ptr_equal(sched_pick(&scheduler, 0, 0).entity, &rig_vcpu.sched);
	(void)!sched_wake(&scheduler, &other.sched, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		atomic_store(&cpu->kicked, false);
		atomic_store(&other.mode, cases[i].mode);
		assert_int_equal(call(PV_CALL_SCHED_YIELD, cases[i].id, 0, 0, 0), 0);
		assert_int_equal(atomic_load(&cpu->kicked), cases[i].yields);
	}
	sched_put(&scheduler, 0, 2, false, SCHED_NEVER);
	assert_ptr_equal(sched_pick(&scheduler, 0, 2).entity, &other.sched);
}

/* `hide = pv`: there is no such instruction. */
static void test_hidden(void **state)
{
	(void)state;
	rig_hide = cpuid_hide_bits("pv");
	rig_restart();
	rig_vcpu.regs.rax = PV_CALL_SEND_IPI;
	assert_true(rig_exit(EXIT_VMCALL, 0));
	assert_exception(VECTOR_UD, false, 0);
	assert_int_equal(rig_vcpu.regs.rax, PV_CALL_SEND_IPI);
}

/* Whatever the registers hold, the guest goes on. */
static void test_random(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100000; i++) {
		u64 a3 = rig_random() & (i % 2 ? 0xfff : ~0ULL);
		s64 result = call(rig_random() % PV_CALLS, rig_random(), rig_random(),
				  rig_random() % 64, a3);

		assert_true(result == 0 || result == 1 || result == PV_EINVAL ||
			    result == PV_ENOSYS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_refused, rig_start),
		cmocka_unit_test_setup(test_send_ipi, rig_start),
		cmocka_unit_test_setup(test_32bit, rig_start),
		cmocka_unit_test_setup(test_kick, rig_start),
		cmocka_unit_test_setup(test_yield, rig_start),
		cmocka_unit_test_setup(test_hidden, rig_start),
		cmocka_unit_test_setup(test_random, rig_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
