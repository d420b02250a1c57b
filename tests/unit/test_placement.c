/* SPDX-License-Identifier: BSD-2-Clause */
/* Where VMs go: what this machine cannot give is told with its line, and the other VMs have the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/print.h"
#include "lib/string.h"
#include "tests/unit/host_support.h"
#include "vmm/sched/placement.h"

#define MAX_VMS 5

static struct vm_config vm[MAX_VMS];
static unsigned int vms;
static struct placement placement[MAX_VMS];

static int setup(void **state)
{
	(void)state;
	memset(vm, 0, sizeof(vm));
	memset(placement, 0xff, sizeof(placement));
	vms = 0;
	return 0;
}

/* One more VM, whose section begins in line 10, 20 ..., and whose pin (NULL: none) is two lines below. */
static struct vm_config *add(const char *pin)
{
	struct vm_config *c = &vm[vms++];

	scnprintf(c->name, sizeof(c->name), "v%u", vms);
	c->line = 10 * vms;
	c->weight = 100;
	c->cpus = 1;
	if (pin) {
		c->pin_line = c->line + 2;
		assert_null(cpu_list_parse(&c->pin, pin));
		c->cpus = c->pin.count;
	}
	return c;
}

static void plan(unsigned int cpus, const char *said)
{
	capture_start();
	placement_plan(vm, vms, cpus, 0, placement);
	capture_stop();
	assert_string_equal(capture_text(), said);
}

static void is_home(unsigned int i, unsigned int cpu)
{
	assert_true(placement[i].possible);
	assert_int_equal(placement[i].home, cpu);
}

/* Claim: pinned VMs are at home on a CPU of their own, the others, in turn, on those that are left. */
static void homes(void **state)
{
	(void)state;
	add(NULL), add("2,1"), add(NULL), add("4"), add(NULL);
	plan(5, "");
	is_home(0, 0);
	is_home(1, 2);
	is_home(2, 3);
	is_home(3, 4);
	is_home(4, 0);
	plan(64, "");
	is_home(4, 5);
}

/* Claim: a CPU that the machine does not have is told; the CPUs of that VM stay in the pool. */
static void not_there(void **state)
{
	(void)state;
	add("0,2-3"), add(NULL), add("1");
	plan(3, "lintel: error: lintel.conf:12: pin = 0,2-3: there is no CPU 3: expected 0 to 2\n");
	assert_false(placement[0].possible);
	is_home(1, 0);
	is_home(2, 1);
	plan(1, "lintel: error: lintel.conf:12: pin = 0,2-3: there is no CPU 2: expected 0\n"
		"lintel: error: lintel.conf:32: pin = 1: there is no CPU 1: expected 0\n");
	is_home(1, 0);
}

/* Claim: where all CPUs are pinned, whoever needs the pool is refused, with both lines; the others run. */
static void no_pool(void **state)
{
	(void)state;
	add(NULL), add("1"), add("0");
	plan(2, "lintel: error: lintel.conf:10: [vm v1]: no CPU is left for it, all 2 are pinned "
		"(line "
		"22): expected one without a pin\n");
	assert_false(placement[0].possible);
	is_home(1, 1);
	is_home(2, 0);
}

/* Claim: a VM with a bad section is not possible, says nothing more, and pins nothing. */
static void bad_section(void **state)
{
	(void)state;
	add("0-7")->bad = true;
	add(NULL);
	plan(1, "");
	assert_false(placement[0].possible);
	is_home(1, 0);
}

/* Claim: the scheduler is told what the section says. */
static void for_the_scheduler(void **state)
{
	const struct vm_config *c = add("3,1");

	(void)state;
	vm[0].weight = 250;
	vm[0].cap = 150;
	assert_int_equal(placement_group(c).weight, 250);
	assert_int_equal(placement_group(c).cap, 150);
	assert_int_equal(placement_pin(c, 0), 3);
	assert_int_equal(placement_pin(c, 1), 1);
	assert_int_equal(placement_pin(add(NULL), 0), SCHED_NOBODY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(homes, setup),
		cmocka_unit_test_setup(not_there, setup),
		cmocka_unit_test_setup(no_pool, setup),
		cmocka_unit_test_setup(bad_section, setup),
		cmocka_unit_test_setup(for_the_scheduler, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
