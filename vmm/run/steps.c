/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/run/steps.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/host/mem.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"

typedef unsigned long long ull;

static const char *const verdicts[STEP_VERDICTS] = {
	[STEP_NOT_RUN] = "not run", [STEP_PASS] = "pass", [STEP_FAIL] = "fail",
	[STEP_TIMEOUT] = "timeout", [STEP_SKIP] = "skip",
};

/* Of each VM; NULL: nobody wants a summary. Each is its VM's home CPU's until all have ended. */
static struct step *steps;

void steps_begin(void)
{
	u64 size = vmm.vms * sizeof(*steps);
	hpa_t hpa;

	if (!vmm.config->summary || !size)
		return;
	hpa = mem_alloc(size, PAGE_SIZE, MEM_OWNER_VMM);
	steps = (struct step *)(uintptr_t)hpa;
	if (!steps) {
		pr_err("no memory for a summary of %u VMs\n", vmm.vms);
		return;
	}
	memset(steps, 0, size);
	for (unsigned int i = 0; i < vmm.vms; i++)
		vmm.vm[i].note = &steps[i].note;
}

bool steps_turn(const struct vm *vm)
{
	/* Whoever was off from the start waits for nobody, but those after it do. A VM comes after ones above it. */
	while (vm->config->after[0]) {
		vm = &vmm.vm[vm->config->after_vm];
		if (vm->state != VM_OFF)
			return false;
	}
	return true;
}

const char *steps_lacks(const struct vm *vm)
{
	u64 missing = vm->config->needs & ~vmm.caps.used;

	if (vmm.host_cpus > 1)
		missing &= ~CONFIG_NEEDS_SMP;
	if (missing & CONFIG_NEEDS_SMP)
		return "smp";
	return missing ? vmx_feature_info[__builtin_ctzll(missing)].name : NULL;
}

/* Fits a line of 78 characters, with what printk puts before it. */
static void print_step(const struct vm *vm)
{
	const struct step *step = &steps[vm->id];
	u64 ms = step->ticks / (vmm.tsc_hz / 1000);

	pr_info("| %-12.12s %-7s %5llu.%llu s %7llu exits %.23s\n", vm->config->name,
		verdicts[step->verdict], (ull)(ms / 1000), (ull)(ms / 100 % 10), (ull)step->exits,
		step->reason);
}

static void record(const struct vm *vm, enum step_verdict verdict, const char *reason)
{
	struct step *step = &steps[vm->id];

	step->verdict = verdict;
	str_copy(step->reason, reason, sizeof(step->reason));
	print_step(vm);
}

void steps_skipped(const struct vm *vm, const char *why)
{
	char reason[40];

	pr_info("vm %s: skipped: the machine has no %s\n", vm->config->name, why);
	scnprintf(reason, sizeof(reason), "no %s", why);
	if (steps)
		record(vm, STEP_SKIP, reason);
}

void steps_not_started(const struct vm *vm)
{
	if (steps)
		record(vm, STEP_FAIL, "not started");
}

static u64 exits_of(const struct vm *vm)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < vm->vcpus; i++) {
		for (unsigned int reason = 0; reason < VMX_EXIT_REASON_COUNT; reason++)
			sum += vm->vcpu[i]->exits[reason];
	}
	return sum;
}

static enum step_verdict verdict_on(const struct vm *vm)
{
	switch (vm->end) {
	case VM_END_POWEROFF: return STEP_PASS;
	case VM_END_DEBUG_EXIT: return vm->debug_exit ? STEP_FAIL : STEP_PASS;
	case VM_END_TIMEOUT: return STEP_TIMEOUT;
	case VM_END_RESET:
	case VM_END_CRASH:
	case VM_END_QUIT: break;
	}
	return STEP_FAIL;
}

void steps_ended(const struct vm *vm)
{
	if (!steps)
		return;
	steps[vm->id].ticks = vm_now(vm);
	steps[vm->id].exits = exits_of(vm);
	record(vm, verdict_on(vm), vm->reason);
}

void steps_print(void)
{
	unsigned int count[STEP_VERDICTS] = { 0 };

	for (unsigned int i = 0; steps && i < vmm.vms; i++) {
		count[steps[i].verdict]++;
		print_step(&vmm.vm[i]);
		if (steps[i].note.text[0])
			pr_info("|   %s\n", steps[i].note.text);
	}
	pr_info("| verdicts: %u pass, %u fail, %u timeout, %u skip, %u not run\n", count[STEP_PASS],
		count[STEP_FAIL], count[STEP_TIMEOUT], count[STEP_SKIP], count[STEP_NOT_RUN]);
}

void steps_panic(void)
{
	for (unsigned int i = 0; i < vmm.vms; i++) {
		if (vmm.vm[i].state == VM_RUNNING || vmm.vm[i].state == VM_ENDED)
			pr_err("vm %s was %s\n", vmm.vm[i].config->name,
			       vmm.vm[i].state == VM_RUNNING ? "running" : "ending");
	}
}
