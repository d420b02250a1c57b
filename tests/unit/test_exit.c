/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: every exit has a named handler or a named refusal, and each does what the manual says. */
#include "tests/unit/vcpu_rig.h"

/* Exits of instructions that a guest must find unknown. */
static const u8 undefined[] = {
	EXIT_GETSEC,  EXIT_RSM,      EXIT_VMCLEAR,   EXIT_VMLAUNCH, EXIT_VMPTRLD,  EXIT_VMPTRST,
	EXIT_VMREAD,  EXIT_VMRESUME, EXIT_VMWRITE,   EXIT_VMXOFF,   EXIT_VMXON,    EXIT_MWAIT,
	EXIT_MONITOR, EXIT_INVEPT,   EXIT_INVVPID,   EXIT_VMFUNC,   EXIT_ENCLS,    EXIT_PCONFIG,
	EXIT_UMWAIT,  EXIT_TPAUSE,   EXIT_LOADIWKEY, EXIT_ENCLV,    EXIT_SEAMCALL, EXIT_TDCALL,
};

/* Exits that the controls rule out, or the manual reserves. */
static const u8 unexpected[] = {
	EXIT_INIT,
	EXIT_SIPI,
	EXIT_IO_SMI,
	EXIT_OTHER_SMI,
	EXIT_INVLPG,
	EXIT_RDTSC,
	EXIT_MOV_DR,
	EXIT_RESERVED_35,
	EXIT_MONITOR_TRAP_FLAG,
	EXIT_RESERVED_38,
	EXIT_RESERVED_42,
	EXIT_GDTR_IDTR_ACCESS,
	EXIT_LDTR_TR_ACCESS,
	EXIT_RDTSCP,
	EXIT_RDRAND,
	EXIT_INVPCID,
	EXIT_RDSEED,
	EXIT_PML_FULL,
	EXIT_XSAVES,
	EXIT_XRSTORS,
	EXIT_SPP,
	EXIT_RESERVED_71,
	EXIT_ENQCMD_PASID,
	EXIT_ENQCMDS_PASID,
	EXIT_BUS_LOCK,
	EXIT_INSTRUCTION_TIMEOUT,
	EXIT_RDMSRLIST,
	EXIT_WRMSRLIST,
};

/* Claim: the table has no hole, and every reason has a name of its own. */
static void table_is_total(void **state)
{
	(void)state;
	assert_int_equal(VMX_EXIT_REASON_COUNT, 80);
	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++) {
		assert_non_null(exit_table[i].handle);
		assert_non_null(vmx_exit_reason_name(i));
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(vmx_exit_reason_name(i), vmx_exit_reason_name(j));
	}
	assert_string_equal(vmx_exit_reason_name(VMX_EXIT_REASON_COUNT), "unknown");
	assert_string_equal(vmx_exit_reason_name(~0u), "unknown");
}

/* Claim: a reason beyond the table, whatever its other bits, stops the VM and says its number. */
static void beyond_the_table(void **state)
{
	static const u32 high[] = { 0, BIT(27), BIT(28), BIT(29), BIT(31), 0xffff0000 };

	(void)state;
	for (unsigned int reason = VMX_EXIT_REASON_COUNT; reason <= 0xffff; reason++) {
		char text[40];

		rig_vm->state = VM_RUNNING;
		snprintf(text, sizeof(text), "unexpected exit %u (unknown)", reason);
		assert_false(rig_exit(reason | high[reason % ARRAY_SIZE(high)], 0));
		assert_stopped(text);
	}
	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++)
		assert_int_equal(rig_vcpu.exits[i], 0);
}

/* Claim: no forged reason 0-79 with random fields reaches further than its VM. */
static void forged_reasons(void **state)
{
	for (unsigned int i = 0; i < 4000; i++) {
		unsigned int reason = (unsigned int)(i % VMX_EXIT_REASON_COUNT);

		if (i % VMX_EXIT_REASON_COUNT == 0)
			rig_start(state);
		rig_vm->state = VM_RUNNING;
		rig_vcpu.event.info = 0;
		for (u64 *reg = &rig_vcpu.regs.r15; reg <= &rig_vcpu.regs.rax; reg++)
			*reg = rig_random();
		fake_vmcs_set(GUEST_PHYSICAL_ADDRESS, rig_random() >> (rig_random() & 63));
		fake_vmcs_set(IDT_VECTORING_INFO, rig_random());
		fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, rig_random());
		fake_vmcs_set(VM_EXIT_INSTRUCTION_INFO, rig_random());
		fake_vmcs_set(GUEST_LINEAR_ADDRESS, rig_random());
		/* The size of an I/O access is 1, 2 or 4: the processor's word. */
		u64 q = reason == EXIT_IO_INSTRUCTION ? (rig_random() & ~7ULL) | (rig_random() & 1)
						      : rig_random();

		assert_int_equal(rig_exit(reason, q), rig_vm->state == VM_RUNNING);
		assert_int_equal(rig_vcpu.exits[reason], 1);
	}
}

/* Claim: a failed entry is never handled as the exit whose number it carries; it is named. */
static void failed_entry(void **state)
{
	for (unsigned int reason = 0; reason < VMX_EXIT_REASON_COUNT; reason++) {
		rig_start(state);
		rig_vcpu.regs.rax = 0x1234;
		assert_false(rig_exit(reason | EXIT_REASON_ENTRY_FAILURE, 0));
		assert_stopped(vmx_exit_reason_name(reason));
		/* That one is the machine's, whose handler does not come back. */
		assert_int_equal(fake_x86.machine_checks, reason == EXIT_ENTRY_MACHINE_CHECK);
		assert_int_equal(rig_vcpu.regs.rax, 0x1234);
		assert_false(rig_advanced());
	}
	rig_start(state);
	fake_vmcs_set(GUEST_RFLAGS, 0);
	assert_false(rig_exit(EXIT_ENTRY_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE, 0));
	assert_stopped("entry failure: guest state: RFLAGS");
}

/* Claim: instructions that a guest must not know are #UD, at the instruction. */
static void undefined_instructions(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(undefined); i++) {
		rig_start(state);
		assert_true(rig_exit(undefined[i], 0));
		assert_exception(VECTOR_UD, false, 0);
	}
	rig_start(state);
	assert_true(rig_exit(EXIT_RDPMC, 0));
	assert_gp();
}

/* Claim: an exit that cannot happen ends the VM, and is named. */
static void unexpected_exits(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(unexpected); i++) {
		rig_start(state);
		assert_false(rig_exit(unexpected[i], 0));
		assert_stopped(vmx_exit_reason_name(unexpected[i]));
		assert_stopped("unexpected exit");
	}
	rig_start(state);
	assert_false(rig_exit(EXIT_TRIPLE_FAULT, 0));
	assert_stopped("triple fault");
	assert_int_equal(rig_vm->end, VM_END_CRASH);
	rig_start(state);
	rig_config.on_triple_fault = TRIPLE_FAULT_RESETS;
	assert_false(rig_exit(EXIT_TRIPLE_FAULT, 0));
	assert_int_equal(rig_vm->end, VM_END_RESET);
	rig_config.on_triple_fault = TRIPLE_FAULT_CRASHES;
	rig_start(state);
	assert_false(rig_exit(EXIT_TASK_SWITCH, 0));
	assert_stopped("task switch");
	rig_start(state);
	assert_false(rig_exit(EXIT_EPT_MISCONFIGURATION, 0));
	assert_stopped("EPT misconfiguration");
}

/* Claim: the simple ones either do their instruction and nothing else, or leave it to be done. */
static void simple_exits(void **state)
{
	static const u8 advance[] = { EXIT_INVD, EXIT_WBINVD, EXIT_PAUSE };
	static const u8 resume[] = { EXIT_TPR_BELOW_THRESHOLD, EXIT_PREEMPTION_TIMER,
				     EXIT_EXTERNAL_INTERRUPT, EXIT_INTERRUPT_WINDOW,
				     EXIT_NMI_WINDOW };

	for (unsigned int i = 0; i < ARRAY_SIZE(advance); i++) {
		rig_start(state);
		assert_true(rig_exit(advance[i], 0));
		assert_true(rig_advanced());
		assert_no_exception();
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(resume); i++) {
		rig_start(state);
		assert_true(rig_exit(resume[i], 0));
		assert_false(rig_advanced());
		assert_no_exception();
		assert_int_equal(fake_x86.irq_windows, resume[i] == EXIT_EXTERNAL_INTERRUPT);
	}
}

/* Claim: a host interrupt that the exit has acknowledged has its handler called, and no other one does. */
static void acknowledged_interrupt(void **state)
{
	(void)state;
	rig_mask = 0;
	rig_restart();
	fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x30);
	assert_true(rig_exit(EXIT_EXTERNAL_INTERRUPT, 0));
	assert_int_equal(rig_acknowledged, 0x30);
	assert_int_equal(fake_x86.irq_windows, 0);
	assert_false(rig_advanced());
}

/* Claim: each exit is counted once, under its reason. */
static void counted(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 5; i++)
		rig_exit(EXIT_INVD, 0);
	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++)
		assert_int_equal(rig_vcpu.exits[i], i == EXIT_INVD ? 5 : 0);
}

static const struct {
	u32 type;
	bool error, length;
} event_types[] = {
	{ INTR_TYPE_EXTERNAL | 0x41, false, false },
	{ INTR_TYPE_NMI | 2, false, false },
	{ INTR_TYPE_HW_EXCEPTION | VECTOR_UD, false, false },
	{ INTR_TYPE_HW_EXCEPTION | VECTOR_GP, true, false },
	{ INTR_TYPE_SW_INTERRUPT | 0x80, false, true },
	{ INTR_TYPE_PRIV_SW_EXCEPTION | VECTOR_DB, false, true },
	{ INTR_TYPE_SW_EXCEPTION | VECTOR_BP, false, true },
};

/* Claim: the event that an exit interrupted comes again at the next entry, whole, and only once. */
static void interrupted_event(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(event_types); i++) {
		u32 info = INTR_INFO_VALID | event_types[i].type |
			   (event_types[i].error ? INTR_INFO_ERROR_CODE : 0);

		rig_start(state);
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_NMI);
		fake_vmcs_set(IDT_VECTORING_INFO, info | INTR_INFO_NMI_UNBLOCKING_IRET);
		fake_vmcs_set(IDT_VECTORING_ERROR_CODE, 0x77);
		/* A #MC in the delivery is the host's own affair. */
		fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO,
			      INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_MC);
		assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
		assert_int_equal(fake_x86.machine_checks, 1);

		fake_vmcs_forget_writes();
		vcpu_inject(&rig_vcpu);
		assert_int_equal(fake_vmcs_get(VM_ENTRY_INTERRUPTION_INFO), info);
		assert_int_equal(fake_vmcs_writes(VM_ENTRY_INTERRUPTION_INFO), 1);
		if (event_types[i].error)
			assert_int_equal(fake_vmcs_get(VM_ENTRY_EXCEPTION_ERROR_CODE), 0x77);
		if (event_types[i].length)
			assert_int_equal(fake_vmcs_get(VM_ENTRY_INSTRUCTION_LENGTH), RIG_LENGTH);
		/* An NMI that is injected again must find NMIs unblocked. */
		assert_int_equal(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE),
				 (info & INTR_INFO_TYPE) == INTR_TYPE_NMI ? 0 : BLOCKING_BY_NMI);

		fake_vmcs_set(VM_ENTRY_INTERRUPTION_INFO, 0); /* as the entry does */
		fake_vmcs_set(IDT_VECTORING_INFO, 0);
		assert_true(rig_exit(EXIT_PREEMPTION_TIMER, 0));
		vcpu_inject(&rig_vcpu);
		assert_int_equal(fake_vmcs_get(VM_ENTRY_INTERRUPTION_INFO), 0);
	}
}

/* Claim: an exit that cannot strike in a delivery does not look at the vectoring field. */
static void stale_vectoring(void **state)
{
	(void)state;
	fake_vmcs_set(IDT_VECTORING_INFO, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x41);
	assert_true(rig_exit(EXIT_CPUID, 0));
	assert_no_exception();
}

/* Claim: an NMI and a machine check go to the host; #DB and #AC to the guest. */
static void exceptions(void **state)
{
	u32 hw = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION;

	fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, INTR_INFO_VALID | INTR_TYPE_NMI | 2);
	assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
	assert_int_equal(fake_x86.nmis, 1);
	assert_no_exception();

	fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, hw | VECTOR_AC | INTR_INFO_ERROR_CODE);
	assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
	assert_exception(VECTOR_AC, true, 0);

	rig_start(state);
	fake_x86.dr6 = 0xffff0ff1;
	fake_vmcs_set(GUEST_DR7, 0x2400);
	fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, hw | VECTOR_DB);
	assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, BIT(13) | BIT(2)));
	assert_exception(VECTOR_DB, false, 0);
	assert_int_equal(fake_x86.dr6, 0xffff2ff4);
	assert_int_equal(fake_vmcs_get(GUEST_DR7), 0x400);

	rig_start(state);
	fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, hw | VECTOR_PF);
	assert_false(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
	assert_stopped("unexpected exit 0");
}

/* Claim: INT1 goes back as what it was, with its length. */
static void icebp(void **state)
{
	u32 info = INTR_INFO_VALID | INTR_TYPE_PRIV_SW_EXCEPTION | VECTOR_DB;

	(void)state;
	fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, info);
	assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
	vcpu_inject(&rig_vcpu);
	assert_int_equal(fake_vmcs_get(VM_ENTRY_INTERRUPTION_INFO), info);
	assert_int_equal(fake_vmcs_get(VM_ENTRY_INSTRUCTION_LENGTH), RIG_LENGTH);
}

/*
 * Claim: a #DB in a shadow, with TF or without, is injected by an entry that passes: a step is pending there if, and only
 * if, TF asks for one; INT1 leaves no shadow. NMIs stay blocked.
 */
static void debug_in_shadow(void **state)
{
	static const u64 shadows[] = { 0, BLOCKING_BY_STI, BLOCKING_BY_MOV_SS };
	static const u32 types[] = { INTR_TYPE_HW_EXCEPTION, INTR_TYPE_PRIV_SW_EXCEPTION };

	for (unsigned int i = 0; i < 24; i++) {
		u64 shadow = shadows[i / 8], tf = i & 1 ? RFLAGS_TF : 0;
		u64 btf = i & 2 ? DEBUGCTL_BTF : 0, blocking;
		u32 type = types[i >> 2 & 1];

		rig_start(state);
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, shadow | BLOCKING_BY_NMI);
		fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF | tf);
		fake_vmcs_set(GUEST_IA32_DEBUGCTL, btf);
		fake_vmcs_set(VM_EXIT_INTERRUPTION_INFO, INTR_INFO_VALID | type | VECTOR_DB);
		assert_true(rig_exit(EXIT_EXCEPTION_OR_NMI, 0));
		assert_int_equal(rig_vcpu.event.info, INTR_INFO_VALID | type | VECTOR_DB);
		blocking = fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE);
		assert_true(blocking & BLOCKING_BY_NMI);
		if (type == INTR_TYPE_PRIV_SW_EXCEPTION)
			assert_int_equal(blocking, BLOCKING_BY_NMI);
		if (blocking & shadow)
			assert_int_equal(fake_vmcs_get(GUEST_PENDING_DEBUG_EXCEPTIONS),
					 tf ? PENDING_DEBUG_BS : 0);
		assert_int_equal(fake_vmcs_get(GUEST_IA32_DEBUGCTL), 0);
	}
}

static struct cpuid_regs some_cpuid(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs){ leaf + 1, subleaf + 2, 3, 4 };
}

/* Claim: CPUID writes four registers, upper halves cleared, and no other. */
static void cpuid_exit(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs, before;
	struct cpuid_regs want;

	(void)state;
	fake_x86.cpuid = some_cpuid;
	for (unsigned int i = 0; i < 15; i++)
		(&g->r15)[i] = ~0ULL - i;
	g->rax = 0xdead00000002ULL;
	before = *g;
	want = cpuid_find(&rig_vcpu.cpuid, 2, (u32)g->rcx)->regs;
	assert_true(rig_exit(EXIT_CPUID, 0));
	assert_true(rig_advanced());
	assert_int_equal(g->rax, want.eax);
	assert_int_equal(g->rbx, want.ebx);
	assert_int_equal(g->rcx, want.ecx);
	assert_int_equal(g->rdx, want.edx);
	before.rax = g->rax, before.rbx = g->rbx, before.rcx = g->rcx, before.rdx = g->rdx;
	assert_memory_equal(&before, g, sizeof(before));
}

#define DB_EVENT (INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_DB)

enum next { STOPPED, LOOK, AT_ONCE };

static enum next next_after(u32 reason)
{
	fake_vmcs_set(EXIT_REASON, reason);
	fake_vmcs_set(VM_EXIT_INSTRUCTION_LENGTH, RIG_LENGTH);
	if (exit_reenter(&rig_vcpu.regs, rdtsc(), reason))
		return AT_ONCE;
	return rig_vm->state == VM_RUNNING ? LOOK : STOPPED;
}

/*
 * Claim: an exit that changes nothing but registers is followed by an entry at once, unless somebody has kicked
 * the vCPU or its CPU meanwhile, the VM has ended, an alarm is due or a single step is; one that an entry depends
 * on never is.
 */
static void at_once(void **state)
{
	static const u32 looks[] = { IA32_X2APIC(APIC_LVT_TIMER), IA32_MTRR_DEF_TYPE };

	rig_vcpu.mode = VCPU_IN_GUEST;
	assert_int_equal(next_after(EXIT_CPUID), AT_ONCE);
	assert_int_equal(next_after(EXIT_VMCALL), AT_ONCE);
	assert_int_equal(next_after(EXIT_HLT), LOOK);
	rig_vcpu.halted = false;
	rig_vcpu.mode = VCPU_IN_GUEST;
	rig_vcpu.deadline = rdtsc(); /* something is due */
	assert_int_equal(next_after(EXIT_CPUID), LOOK);
	rig_vcpu.deadline = ~0ULL;
	assert_int_equal(next_after(EXIT_CPUID), AT_ONCE);
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	assert_int_equal(next_after(EXIT_CPUID), LOOK);
	assert_int_equal(rig_vcpu.event.info, DB_EVENT);
	rig_vcpu.event.info = 0;
	rig_vcpu.mode = VCPU_IN_GUEST;
	exit_advance(RIG_LENGTH);
	assert_int_equal(rig_vcpu.event.info, DB_EVENT);
	assert_int_not_equal(rig_vcpu.mode, VCPU_IN_GUEST); /* whatever the handler answers */
	rig_vcpu.event.info = 0;
	rig_vcpu.mode = VCPU_IN_GUEST;
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED);
	for (unsigned int i = 0; i < ARRAY_SIZE(looks); i++) {
		rig_vcpu.regs.rcx = looks[i];
		rig_vcpu.regs.rax = rig_vcpu.regs.rdx = 0;
		assert_int_equal(next_after(EXIT_WRMSR), LOOK);
	}
	vcpu_kick(&rig_vcpu);
	assert_int_equal(next_after(EXIT_CPUID), LOOK);

	rig_start(state);
	rig_vcpu.mode = VCPU_IN_GUEST;
	this_cpu()->kicked = true;
	assert_int_equal(next_after(EXIT_CPUID), LOOK);
	this_cpu()->kicked = false;
	assert_int_equal(next_after(EXIT_TRIPLE_FAULT), STOPPED);
}

/* Claim: who spins in vain may spin longer, up to a limit, until it is of use to somebody. */
static void pause_loop(void **state)
{
	u64 first = fake_vmcs_get(PLE_WINDOW);

	(void)state;
	assert_true(first);
	for (unsigned int n = 1; n < 8; n++) {
		assert_true(rig_exit(EXIT_PAUSE, 0));
		assert_int_equal(fake_vmcs_get(PLE_WINDOW), first << MIN(n, 4u));
	}
	vcpu_pause_window(&rig_vcpu, true);
	assert_int_equal(fake_vmcs_get(PLE_WINDOW), first);
}

/* Claim: leaf 1 shows OSXSAVE as the guest's own CR4 has it. */
static void cpuid_osxsave(void **state)
{
	(void)state;
	rig_vcpu.regs.rax = 1;
	rig_exit(EXIT_CPUID, 0);
	assert_false(rig_vcpu.regs.rcx & BIT(27));
	fake_vmcs_set(GUEST_CR4, fake_vmcs_get(GUEST_CR4) | CR4_OSXSAVE);
	rig_vcpu.regs.rax = 1;
	rig_exit(EXIT_CPUID, 0);
	assert_true(rig_vcpu.regs.rcx & BIT(27));
}

/* Claim: VMCALL is refused by KVM's numbers, and otherwise in ring 3. */
static void vmcall(void **state)
{
	rig_exit(EXIT_VMCALL, 0);
	assert_true(rig_advanced());
	assert_int_equal(rig_vcpu.regs.rax, (u64)-1000LL);

	rig_start(state);
	fake_vmcs_set(GUEST_SS_ACCESS_RIGHTS, fake_vmcs_get(GUEST_SS_ACCESS_RIGHTS) | AR_DPL(3));
	rig_exit(EXIT_VMCALL, 0);
	assert_true(rig_advanced());
	assert_int_equal(rig_vcpu.regs.rax, (u64)-1LL);
}

/* Claim: HLT halts behind itself; with interrupts off no interrupt ends it, but an event does. */
static void hlt(void **state)
{
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	assert_true(rig_exit(EXIT_HLT, 0));
	assert_true(rig_advanced());
	assert_true(rig_vcpu.halted);
	assert_false(vcpu_has_work(&rig_vcpu));
	vlapic_post(&rig_vcpu.lapic, 0x55, false);
	assert_true(vcpu_has_work(&rig_vcpu));

	rig_start(state);
	assert_true(rig_exit(EXIT_HLT, 0));
	vlapic_post(&rig_vcpu.lapic, 0x55, false);
	assert_false(vcpu_has_work(&rig_vcpu));
	vcpu_inject_ud(&rig_vcpu);
	assert_true(vcpu_has_work(&rig_vcpu));
}

/* Claim: an instruction that is done ends the blocking by STI and MOV SS, and traps with TF. */
static void end_of_instruction(void **state)
{
	static const u64 blocking[] = { BLOCKING_BY_STI, BLOCKING_BY_MOV_SS };

	for (unsigned int i = 0; i < ARRAY_SIZE(blocking); i++) {
		rig_start(state);
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, blocking[i] | BLOCKING_BY_NMI);
		rig_exit(EXIT_INVD, 0);
		assert_int_equal(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI);
		assert_int_equal(fake_vmcs_get(GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
		/* One that faults does not. */
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, blocking[i]);
		fake_vmcs_set(GUEST_RIP, RIG_RIP);
		rig_exit(EXIT_VMXON, 0);
		assert_int_equal(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE), blocking[i]);
	}
	for (unsigned int btf = 0; btf < 2; btf++) {
		rig_start(state);
		fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
		fake_vmcs_set(GUEST_IA32_DEBUGCTL, btf ? DEBUGCTL_BTF : 0);
		rig_exit(EXIT_INVD, 0);
		assert_int_equal(rig_vcpu.event.info, btf ? 0 : DB_EVENT);
		assert_int_equal(fake_vmcs_get(GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
		assert_int_equal(fake_x86.dr6, btf ? 0xffff0ff0 : 0xffff4ff0);
	}
}

/*
 * Claim: a breakpoint that MOV SS has held back is told behind the next instruction, with the step if there is one; a
 * match that is not enabled is no #DB. The #DB that is told ends single-stepping on branches.
 */
static void held_breakpoints(void **state)
{
	static const struct {
		u64 pending, rflags, debugctl, dr6; /* 0: no #DB */
	} cases[] = {
		{ PENDING_DEBUG_BREAKPOINT | 1, 0, 0, 0xffff0ff1 },
		{ 4, 0, 0, 0 },
		{ 0, 0, 0, 0 },
		{ PENDING_DEBUG_BREAKPOINT | 2 | PENDING_DEBUG_BS, RFLAGS_TF, 0, 0xffff4ff2 },
		{ 8, RFLAGS_TF, 0, 0xffff4ff8 },
		{ PENDING_DEBUG_BREAKPOINT | 1, RFLAGS_TF, DEBUGCTL_BTF, 0xffff0ff1 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_start(state);
		fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS);
		fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_RF | cases[i].rflags);
		fake_vmcs_set(GUEST_PENDING_DEBUG_EXCEPTIONS, cases[i].pending);
		fake_vmcs_set(GUEST_IA32_DEBUGCTL, cases[i].debugctl);
		rig_vcpu.mode = VCPU_IN_GUEST;
		assert_int_equal(next_after(EXIT_CPUID), LOOK);
		assert_int_equal(fake_vmcs_get(GUEST_RFLAGS), RFLAGS_FIXED | cases[i].rflags);
		if (!cases[i].dr6) {
			assert_no_exception();
			continue;
		}
		assert_int_equal(rig_vcpu.event.info, DB_EVENT);
		assert_int_equal(fake_x86.dr6, cases[i].dr6);
		assert_int_equal(fake_vmcs_get(GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
		assert_int_equal(fake_vmcs_get(GUEST_IA32_DEBUGCTL), 0);
	}
}

/* Claim: so is one behind a write that the processor has done in the page of the local APIC. */
static void held_over_apic_write(void **state)
{
	static const u8 reasons[] = { EXIT_APIC_WRITE, EXIT_VIRTUALIZED_EOI };

	for (unsigned int i = 0; i < ARRAY_SIZE(reasons); i++) {
		rig_start(state);
		fake_vmcs_set(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BREAKPOINT | 1);
		assert_true(rig_exit(reasons[i], 0x80));
		assert_false(rig_advanced());
		assert_int_equal(rig_vcpu.event.info, DB_EVENT);
		assert_int_equal(fake_x86.dr6, 0xffff0ff1);
		assert_int_equal(fake_vmcs_get(GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	}
}

/* Claim: a HLT that is stepped over does not sleep over its trap. */
static void hlt_stepped(void **state)
{
	(void)state;
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	assert_true(rig_exit(EXIT_HLT, 0));
	assert_true(rig_advanced());
	assert_true(vcpu_has_work(&rig_vcpu));
	assert_int_equal(rig_vcpu.event.info, DB_EVENT);
}

/*
 * Claim: RF ends with the instruction that it was set for, whichever way that is done; not before, nor anything
 * else of RFLAGS.
 */
static void resume_flag(void **state)
{
	static const u8 done[] = { EXIT_CPUID, EXIT_INVD, EXIT_HLT };
	const u64 flags = RFLAGS_FIXED | RFLAGS_IF | BIT(6);

	for (unsigned int i = 0; i < ARRAY_SIZE(done); i++) {
		rig_start(state);
		fake_vmcs_set(GUEST_RFLAGS, flags | RFLAGS_RF);
		assert_true(rig_exit(done[i], 0));
		assert_true(rig_advanced());
		assert_int_equal(fake_vmcs_get(GUEST_RFLAGS), flags);
		assert_no_exception();
	}
	rig_start(state);
	fake_vmcs_set(GUEST_RFLAGS, flags | RFLAGS_RF);
	exit_advance(RIG_LENGTH);
	assert_true(rig_advanced());
	assert_int_equal(fake_vmcs_get(GUEST_RFLAGS), flags);

	fake_vmcs_set(GUEST_RFLAGS, flags | RFLAGS_RF);
	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	assert_true(rig_exit(EXIT_PREEMPTION_TIMER, 0));
	assert_int_equal(fake_vmcs_get(GUEST_RFLAGS), flags | RFLAGS_RF);
	fake_vmcs_set(GUEST_RFLAGS, flags);
	assert_true(rig_exit(EXIT_VMXON, 0));
	assert_int_equal(fake_vmcs_get(GUEST_RFLAGS), flags | RFLAGS_RF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_total),
		cmocka_unit_test_setup(beyond_the_table, rig_start),
		cmocka_unit_test_setup(forged_reasons, rig_start),
		cmocka_unit_test_setup(failed_entry, rig_start),
		cmocka_unit_test_setup(undefined_instructions, rig_start),
		cmocka_unit_test_setup(unexpected_exits, rig_start),
		cmocka_unit_test_setup(simple_exits, rig_start),
		cmocka_unit_test_setup(acknowledged_interrupt, rig_start),
		cmocka_unit_test_setup(counted, rig_start),
		cmocka_unit_test_setup(interrupted_event, rig_start),
		cmocka_unit_test_setup(stale_vectoring, rig_start),
		cmocka_unit_test_setup(exceptions, rig_start),
		cmocka_unit_test_setup(icebp, rig_start),
		cmocka_unit_test_setup(debug_in_shadow, rig_start),
		cmocka_unit_test_setup(cpuid_exit, rig_start),
		cmocka_unit_test_setup(at_once, rig_start),
		cmocka_unit_test_setup(pause_loop, rig_start),
		cmocka_unit_test_setup(cpuid_osxsave, rig_start),
		cmocka_unit_test_setup(vmcall, rig_start),
		cmocka_unit_test_setup(hlt, rig_start),
		cmocka_unit_test_setup(end_of_instruction, rig_start),
		cmocka_unit_test_setup(held_breakpoints, rig_start),
		cmocka_unit_test_setup(held_over_apic_write, rig_start),
		cmocka_unit_test_setup(hlt_stepped, rig_start),
		cmocka_unit_test_setup(resume_flag, rig_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
