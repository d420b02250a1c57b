/* SPDX-License-Identifier: BSD-2-Clause */
/* The scheduler in simulated machines: who gets how much of them, how long nobody waits too long. */
#include <stdio.h>

#include "tests/unit/sched_sim.h"

#define SECONDS   30
#define TOLERANCE 0.05
#define MAX_VMS   4

/* VMs whose vCPUs compute, on a machine. */
struct load {
	unsigned int cpus, vcpus; /* of each VM */
	u32 weight[MAX_VMS];      /* 0: no such VM */
	u32 cap[MAX_VMS];
};

/*
 * What is due to each VM, in CPUs: by weight, but none can use more than @limit; what it leaves goes to
 * the others, by weight again (water-filling).
 */
static void fill(double cpus, const u32 *weight, const double *limit, double *due)
{
	bool full[MAX_VMS] = { false }, again = true;

	while (again) {
		double left = cpus, weights = 0;

		again = false;
		for (int i = 0; i < MAX_VMS; i++) {
			left -= full[i] ? limit[i] : 0;
			weights += full[i] ? 0 : weight[i];
		}
		for (int i = 0; i < MAX_VMS; i++) {
			if (full[i])
				continue;
			due[i] = weights > 0 ? left * weight[i] / weights : 0;
			if (due[i] >= limit[i]) {
				due[i] = limit[i];
				full[i] = again = true;
			}
		}
	}
}

static void assert_close(double is, double should, double tolerance, const char *what)
{
	if (is < should * (1 - tolerance) || is > should * (1 + tolerance))
		fail_msg("%s: %.4f, and should be %.4f", what, is, should);
}

/* Every vCPU of a VM has the same part, and none had to wait for much longer than its turn is away. */
static void check_vcpus(const struct sim_vm *vm, u64 weights, unsigned int vcpus)
{
	/* All others have a turn by weight, some twice, as the VM's own others do. */
	u64 bound = SIM_SLICE * 3 * (vcpus + weights * vm->vcpus / vm->group.weight);
	double mean = (double)sim_time_of(vm) / vm->vcpus;

	for (unsigned int i = 0; i < vm->vcpus; i++) {
		const struct sim_vcpu *v = &vm->vcpu[i];

		assert_close((double)sim_time_of_vcpu(v), mean, TOLERANCE, "a vCPU's part");
		assert_in_range(v->longest, 0, vm->group.cap ? 4 * SIM_HZ : bound);
	}
}

static void run_load(const struct load *load)
{
	double limit[MAX_VMS], due[MAX_VMS], all = 0;
	unsigned int vms = 0;
	u64 weights = 0;

	sim_init(load->cpus);
	for (int i = 0; i < MAX_VMS; i++) {
		u32 cap = load->cap[i];

		limit[i] = load->weight[i] ? load->vcpus : 0;
		if (cap)
			limit[i] = MIN(limit[i], cap / 100.0);
		weights += load->weight[i];
		if (load->weight[i])
			sim_busy_vm(load->weight[i], cap, load->vcpus), vms++;
	}
	fill(load->cpus, load->weight, limit, due);
	sim_run(SECONDS * SIM_HZ);
	for (unsigned int i = 0; i < vms; i++) {
		double had = (double)sim_time_of(&sim.vm[i]) / SIM_HZ / SECONDS;

		assert_close(had, due[i], TOLERANCE, "a VM's part");
		check_vcpus(&sim.vm[i], weights, vms * load->vcpus);
		all += due[i];
	}
	assert_close((double)sim_busy() / SIM_HZ / SECONDS, all, 0.002, "the CPUs that are busy");
}

static const u32 weights_of[][MAX_VMS] = {
	{ 100 },
	{ 100, 100 },
	{ 100, 400 },
	{ 100, 100, 100, 100 },
	{ 100, 200, 300, 400 },
	{ 50, 1000, 50 },
};

/* Claim: whatever the numbers of CPUs, VMs, vCPUs, VMs share by weight, and their vCPUs evenly. */
static void by_weight(void **state)
{
	struct load load = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(weights_of); i++) {
		memcpy(load.weight, weights_of[i], sizeof(load.weight));
		for (load.cpus = 1; load.cpus <= 8; load.cpus++) {
			for (load.vcpus = 1; load.vcpus <= 4; load.vcpus++)
				run_load(&load);
		}
	}
}

/* Claim: a VM with a cap gets that much and no more, and what it leaves goes to others. */
static void capped(void **state)
{
	static const struct load loads[] = {
		{ 1, 1, { 100, 100 }, { 20, 0 } },
		{ 1, 1, { 100 }, { 1 } },
		{ 2, 1, { 100, 100 }, { 70, 0 } },
		{ 2, 4, { 100, 300, 100 }, { 10, 90, 0 } },
		{ 4, 4, { 100, 100, 100, 100 }, { 50, 150, 0, 100 } },
		{ 8, 4, { 100, 1000 }, { 350, 250 } },
		{ 4, 2, { 400, 100, 100 }, { 200, 0, 199 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
		run_load(&loads[i]);
}

/* Claim: a cap holds in every single period, not only on average. */
static void capped_always(void **state)
{
	struct sim_vm *vm;
	u64 before = 0;

	(void)state;
	sim_init(4);
	vm = sim_busy_vm(100, 130, 4);
	sim_busy_vm(100, 0, 2);
	for (int i = 0; i < 300; i++) {
		u64 ran;

		sim_run(SIM_HZ / 10);
		ran = sim_time_of(vm) - before;
		before += ran;
		assert_in_range(ran, 0, SIM_HZ / 10 * 130 / 100 + 8 * SIM_LATENCY + SIM_SLICE);
	}
}

/* Claim: a VM that is alone on its CPU keeps it when those that had used up their caps come back. */
static void beside_caps(void **state)
{
	struct sim_vm *free;

	(void)state;
	sim_init(4);
	sim_busy_vm(100, 50, 4);
	sim_busy_vm(100, 150, 4);
	free = sim_busy_vm(100, 0, 1);
	sim_run(SECONDS * SIM_HZ);
	assert_close((double)sim_time_of(free) / SIM_HZ / SECONDS, 1, 0.01, "its part");
}

/* Claim: what a VM could not use, because it had one vCPU only, is not paid out when it has more. */
static void no_arrears(void **state)
{
	struct sim_vm *few, *many;
	u64 before;

	(void)state;
	sim_init(2);
	few = sim_busy_vm(300, 0, 4);
	for (int i = 1; i < 4; i++)
		few->vcpu[i].wakes_at = 20 * SIM_HZ;
	many = sim_busy_vm(100, 0, 4);
	sim_run(20 * SIM_HZ);
	assert_close((double)sim_time_of(many) / SIM_HZ, 20, TOLERANCE, "what few leave");
	before = sim_time_of(many);
	sim_run(SIM_HZ);
	assert_close((double)(sim_time_of(many) - before) / SIM_HZ, 0.5, 0.2, "its part");
}

/* Claim: a VM that ran on many CPUs while nobody else wanted them is not made to wait for that. */
static void no_penalty(void **state)
{
	struct sim_vm *many, *late;
	u64 before;

	(void)state;
	sim_init(5);
	many = sim_busy_vm(100, 0, 4);
	sim_busy_vm(100, 0, 1);
	late = sim_busy_vm(100, 0, 4);
	for (int i = 0; i < 4; i++)
		late->vcpu[i].wakes_at = 20 * SIM_HZ;
	sim_run(20 * SIM_HZ);
	before = sim_time_of(many);
	sim_run(SIM_HZ);
	assert_close((double)(sim_time_of(many) - before) / SIM_HZ, 2, 0.1, "its part");
}

/* VMs of two vCPUs that compute and two that sleep half of the time, for about @sleep at once. */
static void run_mixed(unsigned int cpus, const u32 *weight, u64 sleep, bool timer)
{
	double limit[MAX_VMS] = { 2, 2, 2, 2 }, due[MAX_VMS];

	sim_init(cpus);
	for (int i = 0; i < MAX_VMS; i++) {
		struct sim_vm *vm = sim_busy_vm(weight[i], 0, 2);

		for (int j = 0; j < 2; j++)
			sim_vcpu(vm, SCHED_NOBODY, sleep, sleep)->timer = timer;
	}
	fill(cpus, weight, limit, due);
	sim_run(SECONDS * SIM_HZ);
	for (int i = 0; i < MAX_VMS; i++)
		assert_close((double)sim_time_of(&sim.vm[i]) / SIM_HZ / SECONDS, due[i], TOLERANCE,
			     "a VM's part");
	assert_close((double)sim_busy() / SIM_HZ / SECONDS, cpus, 0.002, "the CPUs that are busy");
}

/* Claim: the same when vCPUs sleep and wake, shorter or longer than a slice, by timers or by others. */
static void with_sleepers(void **state)
{
	static const u32 even[] = { 100, 100, 100, 100 }, uneven[] = { 100, 200, 300, 400 };

	(void)state;
	for (u64 sleep = 500; sleep <= 50000; sleep *= 10) {
		for (unsigned int cpus = 1; cpus <= 4; cpus *= 2) {
			run_mixed(cpus, even, sleep, false);
			run_mixed(cpus, even, sleep, true);
			run_mixed(cpus, uneven, sleep, false);
			run_mixed(cpus, uneven, sleep, true);
		}
	}
}

/* Claim: two VMs that compute lose the same to a third that sleeps half of the time. */
static void same_loss(void **state)
{
	(void)state;
	for (u64 sleep = 500; sleep <= 50000; sleep *= 10) {
		struct sim_vm *third;

		sim_init(2);
		sim_busy_vm(100, 0, 1);
		sim_busy_vm(100, 0, 1);
		third = sim_vm(100, 0);
		sim_vcpu(third, SCHED_NOBODY, sleep, sleep);
		sim_run(SECONDS * SIM_HZ);
		assert_close((double)sim_time_of(&sim.vm[0]), (double)sim_time_of(&sim.vm[1]),
			     TOLERANCE, "one VM's part");
		assert_close((double)sim_time_of(third) / SIM_HZ / SECONDS, 0.47, 0.1,
			     "the third's");
	}
}

/* Claim: a VM that needs little of a busy machine gets it at once, because it is behind the others. */
static void light_sleeper(void **state)
{
	struct sim_vcpu *v;

	(void)state;
	sim_init(2);
	for (int i = 0; i < 3; i++)
		sim_busy_vm(100, 0, 2);
	v = sim_vcpu(sim_vm(100, 0), SCHED_NOBODY, 200, 5000);
	sim_run(SECONDS * SIM_HZ);
	assert_in_range(v->sleeps, SECONDS * SIM_HZ / 5700, SECONDS * SIM_HZ);
	assert_in_range(v->e.waited / v->sleeps, 0, 500);
	assert_in_range(v->longest, 0, SIM_SLICE + 2 * SIM_LATENCY);
}

/* Claim: a VM that has slept for long does not take that long from the others when it wakes. */
static void long_sleeper(void **state)
{
	struct sim_vm *others;
	u64 before;

	(void)state;
	sim_init(1);
	others = sim_busy_vm(100, 0, 1);
	sim_vcpu(sim_vm(100, 0), SCHED_NOBODY, SIM_HZ, 20 * SIM_HZ)->wakes_at = 30 * SIM_HZ;
	sim_run(30 * SIM_HZ);
	before = sim_time_of(others);
	sim_run(SIM_HZ / 5);
	assert_in_range(sim_time_of(others) - before, SIM_HZ / 10 - 3 * SIM_SLICE,
			SIM_HZ / 10 + 3 * SIM_SLICE);
}

/* Claim: pinned CPUs are their vCPUs' alone, and never asked about; the rest is shared as ever. */
static void with_pins(void **state)
{
	struct sim_vm *pinned;

	(void)state;
	sim_init(4);
	pinned = sim_vm(100, 0);
	sim_vcpu(pinned, 1, 0, 0);
	sim_vcpu(pinned, 3, 0, 0);
	sim_busy_vm(100, 0, 2);
	sim_busy_vm(300, 0, 4);
	sim_run(SECONDS * SIM_HZ);
	assert_close((double)sim_time_of(pinned) / SIM_HZ / SECONDS, 2, 0.001,
		     "the pinned VM's part");
	assert_close((double)sim_time_of(&sim.vm[1]) / SIM_HZ / SECONDS, 0.5, TOLERANCE, "A's");
	assert_close((double)sim_time_of(&sim.vm[2]) / SIM_HZ / SECONDS, 1.5, TOLERANCE, "B's");
	assert_in_range(sim.cpu[1].asked + sim.cpu[3].asked, 2, 6);
}

/* Claim: as many vCPUs as CPUs are never interrupted by the scheduler, and stay where they are. */
static void no_ticks(void **state)
{
	(void)state;
	sim_init(4);
	for (int i = 0; i < 4; i++)
		sim_busy_vm(100, 0, 1);
	sim_run(SECONDS * SIM_HZ);
	for (int i = 0; i < 4; i++)
		assert_in_range(sim.cpu[i].asked, 1, 5);
}

/* Claim: busy vCPUs stay on their CPU where fairness allows: most turns begin where the last one was. */
static void stay(void **state)
{
	(void)state;
	for (unsigned int vcpus = 1; vcpus <= 4; vcpus *= 2) {
		u64 asked = 0;

		sim_init(4);
		for (unsigned int i = 0; i < 8 / MIN(vcpus, 2u); i++)
			sim_busy_vm(100, 0, vcpus);
		sim_run(SECONDS * SIM_HZ);
		for (int i = 0; i < 4; i++)
			asked += sim.cpu[i].asked;
		assert_in_range(sim.moves, 0, asked / 3);
	}
}

/* Claim: VMs that come and go leave the shares of the others as they should be, and no counter wrong. */
static void come_and_go(void **state)
{
	struct sim_vm *stays[2];

	(void)state;
	sim_init(2);
	stays[0] = sim_busy_vm(100, 0, 2);
	stays[1] = sim_busy_vm(300, 0, 2);
	for (int i = 0; i < 100; i++) {
		struct sim_vm *vm = sim_busy_vm(100 + (u32)i, 0, 3);

		sim_run(SIM_HZ / 3);
		sim_end_vm(vm);
		sim_run(SIM_HZ / 3);
	}
	assert_close((double)sim_time_of(stays[1]), 3 * (double)sim_time_of(stays[0]), TOLERANCE,
		     "B's part");
	assert_int_equal(sim.s.pooled, 4);
	sim_end_vm(stays[1]);
	sim_end_vm(stays[0]);
	assert_int_equal(sim.s.waiting | sim.s.pooled, 0);
	assert_null(sim.s.groups);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_weight),     cmocka_unit_test(capped),
		cmocka_unit_test(capped_always), cmocka_unit_test(beside_caps),
		cmocka_unit_test(no_arrears),    cmocka_unit_test(no_penalty),
		cmocka_unit_test(with_sleepers), cmocka_unit_test(same_loss),
		cmocka_unit_test(light_sleeper), cmocka_unit_test(long_sleeper),
		cmocka_unit_test(with_pins),     cmocka_unit_test(no_ticks),
		cmocka_unit_test(stay),          cmocka_unit_test(come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
