/* SPDX-License-Identifier: BSD-2-Clause */
/* VMs as steps: whose turn it is, what the machine lacks, the alarm that ends one, its note, its verdict. */
#include "tests/unit/vcpu_rig.h"
#include "vmm/run/steps.h"

static struct vm_config configs[4] = {
	{ .name = "a" },
	{ .name = "b", .after = "a", .after_vm = 0 },
	{ .name = "c", .after = "b", .after_vm = 1 },
	{ .name = "d" },
};
static struct vm vms[4];
static struct host_config host = { .summary = 1 };

static int set_up(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(vms); i++)
		vms[i] = (struct vm){
			.config = &configs[i], .id = i, .state = VM_STARTING, .tsc_base = rdtsc()
		};
	vmm.vm = vms;
	vmm.vms = ARRAY_SIZE(vms);
	vmm.host_cpus = 1;
	vmm.config = &host;
	return 0;
}

/* A VM waits until all that it comes after are off, also behind one that was off from the start. */
static void test_turn(void **state)
{
	(void)state;
	assert_true(steps_turn(&vms[0]));
	assert_false(steps_turn(&vms[1]));
	assert_false(steps_turn(&vms[2]));
	assert_true(steps_turn(&vms[3]));
	vms[1].state = VM_OFF;
	assert_false(steps_turn(&vms[2]));
	vms[0].state = VM_WAITING; /* it starts again */
	assert_false(steps_turn(&vms[2]));
	vms[0].state = VM_OFF;
	assert_true(steps_turn(&vms[2]));
}

/* What is not used is as good as not there. */
static void test_needs(void **state)
{
	(void)state;
	vmm.caps.used = BIT(VMX_VPID);
	assert_null(steps_lacks(&vms[0]));
	configs[0].needs = BIT(VMX_VPID);
	assert_null(steps_lacks(&vms[0]));
	configs[0].needs = BIT(VMX_VPID) | BIT(VMX_VID);
	assert_string_equal(steps_lacks(&vms[0]), "vid");
	configs[0].needs = CONFIG_NEEDS_SMP;
	assert_string_equal(steps_lacks(&vms[0]), "smp");
	vmm.host_cpus = 2;
	assert_null(steps_lacks(&vms[0]));
	configs[0].needs = 0;
}

/* The alarm ends the VM at its time and not before, and is none where there is no time-out. */
static void test_timeout(void **state)
{
	u64 base;

	rig_start(state);
	base = rig_vm->tsc_base;
	vm_arm_timeout(rig_vm);
	assert_true(vm_run_timers(rig_vm, base + 1000 * RIG_TSC_HZ) > base + 1000 * RIG_TSC_HZ);
	assert_int_equal(rig_vm->state, VM_RUNNING);
	rig_config.timeout = 5;
	rig_restart();
	base = rig_vm->tsc_base;
	vm_arm_timeout(rig_vm);
	vm_run_timers(rig_vm, base + 5 * RIG_TSC_HZ - 1);
	assert_int_equal(rig_vm->state, VM_RUNNING);
	vm_run_timers(rig_vm, base + 5 * RIG_TSC_HZ);
	assert_int_equal(rig_vm->state, VM_ENDED);
	assert_int_equal(rig_vm->end, VM_END_TIMEOUT);
	assert_string_equal(rig_vm->reason, "timed out after 5 s");
	rig_config.timeout = 0;
}

static const char *noted(const char *text)
{
	static struct vm_note note;

	note = (struct vm_note){ 0 };
	for (; *text; text++)
		vm_note_take(&note, (const u8 *)text, 1);
	return note.text;
}

/* Any bytes may come: only a whole line counts, in printable ASCII, cut where it is too long. */
static void test_note(void **state)
{
	char flood[1000] = "note: ";

	(void)state;
	assert_string_equal(noted("note: one\n"), "one");
	assert_string_equal(noted("exitcost: note: one\r\nnote: two\r\nnote: three"), "two");
	assert_string_equal(noted("a note: one\nnot: e: note: two\n"), "");
	assert_string_equal(noted("note: \x1b[2J\x7f\x80ok\n"), "[2Jok");
	memset(flood + 6, 'x', sizeof(flood) - 8);
	flood[sizeof(flood) - 2] = '\n';
	assert_int_equal(strlen(noted(flood)), VM_NOTE_LEN - 1);
	/* A number is whole, or not there. */
	memcpy(flood + 6 + VM_NOTE_LEN - 6, " 12345", 6);
	assert_int_equal(strlen(noted(flood)), VM_NOTE_LEN - 6);
	assert_string_equal(
		noted("note: cycles cpuid 24435 vmcall 24457 rdmsr 24896 out 25054 mmio 26280\n"),
		"cycles cpuid 24435 vmcall 24457 rdmsr 24896 out 25054 mmio 26280");
}

static void ends(unsigned int vm, enum vm_end end, u32 status, const char *reason)
{
	vms[vm].end = end;
	vms[vm].debug_exit = status;
	str_copy(vms[vm].reason, reason, sizeof(vms[vm].reason));
	steps_ended(&vms[vm]);
}

/* No line is wider than 78 characters, with what printk puts before it. */
static void assert_fits(const char *text)
{
	for (const char *end; (end = strchr(text, '\n')); text = end + 1)
		assert_true(end - text <= 78);
}

/* Verdicts, in lines that fit a screen, and their number. */
static void test_verdicts(void **state)
{
	rig_start(state);
	set_up(state);
	steps_begin();
	assert_non_null(vms[0].note);
	vm_note_take(vms[1].note, (const u8 *)"note: 7\n", 8);
	capture_start();
	ends(0, VM_END_DEBUG_EXIT, 0, "debug-exit 0x0");
	ends(1, VM_END_DEBUG_EXIT, 1, "debug-exit 0x1");
	vms[2].config = &(struct vm_config){ .name = "a-name-of-31-bytes-is-cut-there" };
	ends(2, VM_END_TIMEOUT, 0, "timed out after 86400 s");
	steps_skipped(&vms[3], "vid");
	steps_print();
	capture_stop();
	assert_non_null(strstr(capture_text(), "| a            pass "));
	assert_non_null(strstr(capture_text(), "| b            fail "));
	assert_non_null(strstr(capture_text(), "|   7\n"));
	assert_non_null(strstr(capture_text(), "| a-name-of-31 timeout "));
	assert_non_null(strstr(capture_text(), "no vid\n"));
	assert_fits(capture_text());
	assert_non_null(strstr(capture_text(),
			       "| verdicts: 1 pass, 1 fail, 1 timeout, 1 skip, 0 not "
			       "run\n"));
}

/* A panic names the VMs that ran, and no other. */
static void test_panic(void **state)
{
	set_up(state);
	vms[1].state = VM_RUNNING;
	vms[2].state = VM_ENDED;
	vms[3].state = VM_OFF;
	capture_start();
	steps_panic();
	capture_stop();
	assert_string_equal(capture_text(),
			    "lintel: error: vm b was running\nlintel: error: vm c was ending\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_turn, set_up),
		cmocka_unit_test_setup(test_needs, set_up),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_note),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_panic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
