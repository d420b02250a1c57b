/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/run/life: VMs are tended once in each round, by the time that it is for them. */
#include "tests/unit/vcpu_rig.h"
#include "vmm/run/life.h"
#include "vmm/run/vm_start.h"

#define SECOND RIG_TSC_HZ

u64 iocpu_mask(void)
{
	return 0;
}

static struct vdev_timer armed;
static unsigned int fired, starts;

static void on_alarm(void *ctx)
{
	(void)ctx;
	fired++;
}

/* Instead of vm_start.c: a VM that takes a while to load, and arms an alarm for a second after its start. */
int vm_start(struct vm *vm)
{
	starts++;
	fake_x86.tsc += SECOND / 2;
	vm->tsc_base = fake_x86.tsc;
	fake_x86.tsc += SECOND / 2;
	armed = (struct vdev_timer){ .fire = on_alarm };
	vtimer_set(&vm->timers, &armed, SECOND);
	return 0;
}

void vm_run(struct vm *vm)
{
	vm->state = VM_RUNNING;
}

void vm_finish(struct vm *vm)
{
	(void)vm;
}

/* Claim: an alarm of a VM that has just started is due when its time has come, not at once. */
static void first_alarm(void **state)
{
	u64 deadline;

	rig_start(state);
	fake_x86.tsc = 100 * SECOND;
	rig_vm->state = VM_STARTING;
	deadline = life_tend(this_cpu(), fake_x86.tsc);
	assert_int_equal(starts, 1);
	assert_int_equal(fired, 0);
	assert_int_equal(deadline, fake_x86.tsc); /* it is looked at again at once */
	deadline = rig_vm->tsc_base + SECOND;
	assert_int_equal(life_tend(this_cpu(), fake_x86.tsc), deadline);
	assert_int_equal(life_tend(this_cpu(), deadline - 1), deadline);
	assert_int_equal(fired, 0);
	life_tend(this_cpu(), deadline);
	assert_int_equal(fired, 1);
}

/* Claim: an alarm that arms itself anew is fired as often in a round as one look at it allows. */
static void on_again(void *ctx)
{
	struct vm *vm = ctx;

	fired++;
	vtimer_set(&vm->timers, &armed, 0);
}

static void tended_once(void **state)
{
	rig_start(state);
	fake_x86.tsc = 100 * SECOND;
	fired = 0;
	armed = (struct vdev_timer){ .fire = on_again, .dev = rig_vm };
	vtimer_set(&rig_vm->timers, &armed, 0);
	life_tend(this_cpu(), fake_x86.tsc);
	assert_int_equal(fired, VTIMER_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_alarm),
		cmocka_unit_test(tended_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
