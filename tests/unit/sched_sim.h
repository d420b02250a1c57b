/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for the scheduler, in simulated time: physical CPUs that do with vmm/sched/sched.h what
 * vmm/run/run.c does (pick, let go of the registers, run, put), and vCPUs that compute and sleep.
 * After every event it is checked that no CPU idles while a vCPU waits that it could run.
 */
#ifndef TESTS_UNIT_SCHED_SIM_H
#define TESTS_UNIT_SCHED_SIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/string.h"
#include "vmm/sched/sched.h"

#define SIM_HZ      1000000u /* a tick is a microsecond */
#define SIM_SLICE   (SIM_HZ / 100)
#define SIM_LATENCY 20 /* from a kick until the CPU looks, at most; and of an exit */
#define SIM_VMS     16
#define SIM_VCPUS   16

struct sim_vcpu {
	struct sched_entity e;
	u64 run, sleep; /* ticks, on average; sleep 0: it computes for ever */
	bool timer;     /* its own timer wakes it, and not somebody else */
	u64 left;       /* until it blocks */
	u64 wakes_at;   /* somebody wakes it */
	u64 waited;     /* what it had waited when it was last picked */
	u64 longest;    /* that it has waited at once */
	u64 sleeps;
	unsigned int cpu; /* that ran it last */
};

struct sim_vm {
	struct sched_group group;
	struct sim_vcpu vcpu[SIM_VCPUS];
	unsigned int vcpus;
};

struct sim_cpu {
	struct sim_vcpu *running;
	struct sim_vcpu *loaded; /* whose registers it has */
	u64 since;               /* when ->running began */
	u64 until;               /* it asks again */
	u64 looks_at;            /* because of a kick */
	u64 busy;
	u64 asked; /* times */
};

static struct {
	struct sched s;
	struct sim_vm vm[SIM_VMS];
	unsigned int vms;
	struct sim_cpu cpu[SCHED_CPUS];
	u64 now;
	u64 moves; /* of a vCPU to another CPU than before */
	u32 random;
} sim;

static u32 sim_random(u32 below)
{
	sim.random = sim.random * 1664525 + 1013904223;
	return (u32)((u64)(sim.random >> 8) * below >> 24);
}

/* @ticks, give or take a quarter. */
static u64 sim_about(u64 ticks)
{
	return ticks - ticks / 4 + sim_random((u32)(ticks / 2 + 1));
}

static void sim_init(unsigned int cpus)
{
	memset(&sim, 0, sizeof(sim));
	sim.random = 1;
	sim.now = 1000;
	sched_init(&sim.s, cpus, SIM_HZ);
	for (unsigned int i = 0; i < cpus; i++)
		sim.cpu[i] = (struct sim_cpu){ .until = sim.now, .looks_at = SCHED_NEVER };
}

static void sim_kick(int cpu)
{
	if (cpu == SCHED_NOBODY)
		return;
	assert_in_range(cpu, 0, sim.s.cpus - 1);
	sim.cpu[cpu].looks_at = MIN(sim.cpu[cpu].looks_at, sim.now + 1 + sim_random(SIM_LATENCY));
}

/* One more VM, blocked as yet: the vCPUs are added by sim_vcpu. */
static struct sim_vm *sim_vm(u32 weight, u32 cap)
{
	struct sim_vm *vm = &sim.vm[sim.vms++];

	vm->group.weight = weight;
	vm->group.cap = cap;
	return vm;
}

/* One more vCPU of @vm, which runs and sleeps that long at a time, from now on. */
static struct sim_vcpu *sim_vcpu(struct sim_vm *vm, int pin, u64 run, u64 sleep)
{
	struct sim_vcpu *v = &vm->vcpu[vm->vcpus++];

	assert_int_equal(sched_add(&sim.s, &v->e, &vm->group, pin), 0);
	v->run = run;
	v->sleep = sleep;
	v->left = sleep ? sim_about(run) : SCHED_NEVER;
	v->wakes_at = sim.now + sim_random(100);
	return v;
}

/* A VM of the pool whose @vcpus compute all the time. */
static inline struct sim_vm *sim_busy_vm(u32 weight, u32 cap, unsigned int vcpus)
{
	struct sim_vm *vm = sim_vm(weight, cap);

	while (vcpus--)
		sim_vcpu(vm, SCHED_NOBODY, 0, 0);
	return vm;
}

static void sim_stop(struct sim_cpu *c)
{
	struct sim_vcpu *v = c->running;
	u64 ran = sim.now - c->since, sleep = sim_about(v->sleep);
	bool blocks = v->left <= ran;

	c->running = NULL;
	c->busy += ran;
	if (v->left != SCHED_NEVER)
		v->left = blocks ? sim_about(v->run) : v->left - ran;
	v->sleeps += blocks;
	if (blocks && !v->timer)
		v->wakes_at = sim.now + sleep;
	sched_put(&sim.s, (unsigned int)(c - sim.cpu), sim.now, blocks,
		  blocks && v->timer ? sim.now + sleep : SCHED_NEVER);
}

/* The CPU's registers are @v's now. */
static void sim_load(struct sim_cpu *c, struct sim_vcpu *v)
{
	struct sim_vcpu *old = c->loaded;

	if (old == v)
		return;
	for (unsigned int i = 0; i < sim.s.cpus; i++)
		assert_ptr_not_equal(sim.cpu[i].loaded, v); /* never on two at once */
	c->loaded = v;
	if (old)
		sim_kick(sched_release(&sim.s, &old->e, sim.now));
}

static void sim_look(struct sim_cpu *c)
{
	unsigned int cpu = (unsigned int)(c - sim.cpu);
	struct sched_choice choice = sched_pick(&sim.s, cpu, sim.now);
	struct sim_vcpu *v = (struct sim_vcpu *)(void *)choice.entity; /* its first member */

	c->asked++;
	c->until = choice.until;
	c->looks_at = SCHED_NEVER;
	c->running = v;
	sim_kick(choice.kick);
	if (!v)
		return;
	assert_true(v->e.cpu == cpu && v->e.state == SCHED_RUNNING);
	assert_true(choice.until > sim.now);
	if (c->until != SCHED_NEVER) /* the way out of the guest takes its time, too */
		c->until += sim_random(SIM_LATENCY);
	c->since = sim.now;
	sim_load(c, v);
	v->longest = MAX(v->longest, v->e.waited - v->waited);
	v->waited = v->e.waited;
	sim.moves += v->cpu != cpu;
	v->cpu = cpu;
}

static u64 sim_cpu_event(const struct sim_cpu *c)
{
	u64 at = MIN(c->until, c->looks_at);

	return c->running && c->running->left != SCHED_NEVER ? MIN(at, c->since + c->running->left)
							     : at;
}

static u64 sim_next_event(void)
{
	u64 at = SCHED_NEVER;

	for (unsigned int i = 0; i < sim.s.cpus; i++)
		at = MIN(at, sim_cpu_event(&sim.cpu[i]));
	for (unsigned int i = 0; i < sim.vms; i++) {
		for (unsigned int j = 0; j < sim.vm[i].vcpus; j++)
			at = MIN(at, sim.vm[i].vcpu[j].wakes_at);
	}
	return at;
}

static bool sim_may_take(unsigned int cpu, const struct sched_entity *e)
{
	const struct sched_group *g = e->group;

	if (e->state != SCHED_RUNNABLE || (g->cap && g->cap_left <= 0))
		return false;
	if (e->pin != SCHED_NOBODY || e->anchored)
		return e->cpu == cpu;
	return !sim.s.cpu[cpu].owner;
}

/* No CPU idles while there is a vCPU that it could run, and that no CPU is on its way to take. */
static void sim_check_idle(void)
{
	unsigned int coming = 0;

	for (unsigned int i = 0; i < sim.s.cpus; i++)
		coming += !sim.cpu[i].running && sim.cpu[i].looks_at != SCHED_NEVER;
	for (unsigned int i = 0; i < sim.s.cpus; i++) {
		unsigned int wait = 0;

		if (sim.cpu[i].running || sim.cpu[i].looks_at != SCHED_NEVER)
			continue;
		for (unsigned int j = 0; j < sim.vms; j++) {
			for (unsigned int k = 0; k < sim.vm[j].vcpus; k++)
				wait += sim_may_take(i, &sim.vm[j].vcpu[k].e);
		}
		assert_in_range(wait, 0, coming);
	}
}

static void sim_wake_due(struct sim_vcpu *v)
{
	if (v->wakes_at > sim.now)
		return;
	v->wakes_at = SCHED_NEVER;
	sim_kick(sched_wake(&sim.s, &v->e, sim.now));
}

static void sim_run(u64 ticks)
{
	u64 end = sim.now + ticks, next;

	while ((next = sim_next_event()) <= end) {
		sim.now = next;
		for (unsigned int i = 0; i < sim.vms; i++) {
			for (unsigned int j = 0; j < sim.vm[i].vcpus; j++)
				sim_wake_due(&sim.vm[i].vcpu[j]);
		}
		for (unsigned int i = 0; i < sim.s.cpus; i++) {
			struct sim_cpu *c = &sim.cpu[i];

			if (sim_cpu_event(c) > sim.now)
				continue;
			if (c->running)
				sim_stop(c);
			sim_look(c);
		}
		sim_check_idle();
	}
	sim.now = end;
}

static inline u64 sim_time_of_vcpu(const struct sim_vcpu *v)
{
	return v->e.ran + (v->e.state == SCHED_RUNNING ? sim.now - v->e.since : 0);
}

/* CPU time that @vm has had, in ticks. */
static inline u64 sim_time_of(const struct sim_vm *vm)
{
	u64 ticks = 0;

	for (unsigned int i = 0; i < vm->vcpus; i++)
		ticks += sim_time_of_vcpu(&vm->vcpu[i]);
	return ticks;
}

/* CPU time that all have had. */
static inline u64 sim_busy(void)
{
	u64 ticks = 0;

	for (unsigned int i = 0; i < sim.vms; i++)
		ticks += sim_time_of(&sim.vm[i]);
	return ticks;
}

/* @vm, the one that came last, ends: its vCPUs block, the CPUs let go of them. */
static inline void sim_end_vm(struct sim_vm *vm)
{
	for (unsigned int i = 0; i < sim.s.cpus; i++) {
		struct sim_cpu *c = &sim.cpu[i];
		struct sim_vcpu *v = c->loaded;

		if (!v || v->e.group != &vm->group)
			continue;
		if (c->running == v) {
			v->left = sim.now - c->since; /* it ends here */
			sim_stop(c);
			c->looks_at = sim.now + 1;
		}
		c->loaded = NULL;
		sim_kick(sched_release(&sim.s, &v->e, sim.now));
	}
	for (unsigned int i = 0; i < vm->vcpus; i++)
		sim_kick(sched_remove(&sim.s, &vm->vcpu[i].e));
	assert_ptr_equal(vm, &sim.vm[--sim.vms]);
	*vm = (struct sim_vm){ 0 };
}

#endif
