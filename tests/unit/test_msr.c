/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a guest reaches the MSRs of the policy, and no other; the bitmap says the same. */
#include "lib/bitmap.h"
#include "tests/unit/vcpu_rig.h"

/* What the policy is meant to have: who may read and write by an exit, and what passes. */
enum { R = 1, W = 2, PR = 4, PW = 8, RW = R | W, P = PR | PW };

static const struct {
	u32 first, last;
	unsigned int may;
} expected[] = {
	{ 0x10, 0x10, W | PR },
	{ 0x17, 0x17, R },
	{ 0x1b, 0x1b, RW },
	{ 0x3a, 0x3a, R },
	{ 0x3b, 0x3b, RW },
	{ 0x8b, 0x8b, RW },
	{ 0xfe, 0xfe, R },
	{ 0x174, 0x176, P },
	{ 0x179, 0x17a, RW },
	{ 0x1a0, 0x1a0, RW },
	{ 0x1d9, 0x1d9, RW },
	{ 0x277, 0x277, P },
	{ 0x2ff, 0x2ff, RW },
	{ 0x6e0, 0x6e0, RW },
	{ 0x4b564d00, 0x4b564d01, RW },
	{ 0x4b564d03, 0x4b564d05, RW },
	{ 0xc0000080, 0xc0000084, P },
	{ 0xc0000100, 0xc0000103, P },
};

static unsigned int expect(u32 msr)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++) {
		if (msr >= expected[i].first && msr <= expected[i].last)
			return expected[i].may;
	}
	return 0;
}

static bool passes(u32 msr, bool write)
{
	unsigned int bit = (msr >= 0xc0000000 ? 8192 : 0) + (msr & 0x1fff);

	const u64 *bitmap = (const u64 *)(uintptr_t)fake_vmcs_get(MSR_BITMAP);

	return !bitmap_test(bitmap, bit + (write ? 16384 : 0));
}

/* A RDMSR or WRMSR that exits. Is it done? */
static bool rdmsr_exit(u32 msr, u64 *value)
{
	struct guest_regs *g = &rig_vcpu.regs;

	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	rig_vcpu.event.info = 0;
	g->rcx = msr | 0xdead00000000ULL; /* the upper halves do not count */
	g->rax = g->rdx = 0x5a5a5a5a5a5a5a5aULL;
	assert_true(rig_exit(EXIT_RDMSR, 0));
	if (!rig_advanced()) {
		assert_gp();
		assert_int_equal(g->rax, 0x5a5a5a5a5a5a5a5aULL);
		assert_int_equal(g->rdx, 0x5a5a5a5a5a5a5a5aULL);
		return false;
	}
	assert_no_exception();
	assert_false(g->rax >> 32 || g->rdx >> 32);
	*value = make_64((u32)g->rdx, (u32)g->rax);
	return true;
}

static bool wrmsr_exit(u32 msr, u64 value)
{
	struct guest_regs *g = &rig_vcpu.regs;

	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	rig_vcpu.event.info = 0;
	g->rcx = msr | 0xdead00000000ULL;
	g->rax = lower_32(value) | 0xdead00000000ULL;
	g->rdx = upper_32(value) | 0xdead00000000ULL;
	assert_true(rig_exit(EXIT_WRMSR, 0));
	if (rig_advanced())
		return true;
	assert_gp();
	return false;
}

/* Could any of some values be written? */
static bool writable(u32 msr)
{
	u64 old = 0, values[] = { 0, 0, 1, 6, ~0ULL, 0x8000000000000000ULL };

	if (rdmsr_exit(msr, &old))
		values[0] = old;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		if (wrmsr_exit(msr, values[i]))
			return true;
	}
	return false;
}

/* Claim: in both architectural ranges and around them: what is not in the policy is #GP. */
static void sweep(void **state)
{
	static const u32 from[] = { 0, 0xc0000000, 0x40000000, 0x4b564c00, 0xbffffff0, 0xfffff000 };
	static const u32 count[] = { 0x2100, 0x2100, 0x200, 0x300, 0x10, 0x1000 };
	u64 value;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(from); i++) {
		for (u32 n = 0; n < count[i]; n++) {
			u32 msr = from[i] + n;

			if (msr >= 0x800 && msr <= 0x8ff)
				continue; /* the local APIC's have a test of their own */
			if (msr == IA32_XSS)
				continue; /* below */
			assert_int_equal(rdmsr_exit(msr, &value), !!(expect(msr) & R));
			assert_int_equal(writable(msr), !!(expect(msr) & W));
		}
	}
}

/* Claim: the bitmap passes what the policy says, reads and writes apart, and nothing else. */
static void bitmap(void **state)
{
	(void)state;
	for (u32 n = 0; n < 0x4000; n++) {
		u32 msr = n < 0x2000 ? n : 0xc0000000 + n - 0x2000;

		assert_int_equal(passes(msr, false), !!(expect(msr) & PR));
		assert_int_equal(passes(msr, true), !!(expect(msr) & PW));
	}
}

/* Claim: TSC_AUX passes only for a guest with RDTSCP: else it would reach the host's. */
static void tsc_aux(void **state)
{
	u64 value;

	(void)state;
	assert_true(passes(IA32_TSC_AUX, false) && passes(IA32_TSC_AUX, true));
	rig_hide = cpuid_hide_bits("rdtscp");
	rig_restart();
	assert_false(passes(IA32_TSC_AUX, false) || passes(IA32_TSC_AUX, true));
	assert_false(rdmsr_exit(IA32_TSC_AUX, &value));
	assert_false(wrmsr_exit(IA32_TSC_AUX, 0));
}

/* Claim: what a guest is not offered takes its MSRs along. */
static void hidden(void **state)
{
	static const struct {
		const char *name;
		u32 msr;
	} with[] = { { "tsc-adjust", IA32_TSC_ADJUST },
		     { "tsc-deadline", IA32_TSC_DEADLINE },
		     { "mtrr", IA32_MTRRCAP },
		     { "mtrr", IA32_MTRR_DEF_TYPE },
		     { "xsaves", IA32_XSS } };
	u64 value;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(with); i++) {
		rig_hide = cpuid_hide_bits(with[i].name);
		rig_restart();
		assert_false(rdmsr_exit(with[i].msr, &value));
		assert_false(writable(with[i].msr));
	}
}

/* Claim: XSS is there with XSAVES, reads 0 and takes only 0. */
static void xss(void **state)
{
	u64 value;

	(void)state;
	if (!cpuid_has(&rig_vcpu.cpuid, 0xd, 1, CPUID_EAX, 3)) {
		print_message("skipped: this host has no XSAVES\n");
		skip();
	}
	assert_true(rdmsr_exit(IA32_XSS, &value) && !value);
	assert_true(wrmsr_exit(IA32_XSS, 0));
	for (unsigned int bit = 0; bit < 64; bit++)
		assert_false(wrmsr_exit(IA32_XSS, BIT(bit)));
}

/* The SDM's lists: what RDMSR finds in the page, and what WRMSR does there. */
static bool read_virtualized(u32 msr, bool registers, bool vid)
{
	switch (msr) {
	case 0x808: return true;
	case 0x80a: return registers && vid;           /* the processor keeps it only with VID */
	case 0x810 ... 0x817: return registers && vid; /* ISR: an EOI by memory may stand */
	case 0x802:
	case 0x803:
	case 0x80d:
	case 0x80f:
	case 0x828:
	case 0x838:
	case 0x83e: return registers;
	}
	return registers && ((msr >= 0x818 && msr <= 0x827) || (msr >= 0x832 && msr <= 0x837));
}

static bool write_virtualized(u32 msr, bool vid)
{
	return msr == 0x808 || (vid && (msr == 0x80b || msr == 0x83f));
}

static void check_x2apic_msrs(bool able, bool registers, bool vid)
{
	assert_int_equal(!!(fake_vmcs_get(SECONDARY_CONTROLS) & CPU2_VIRTUALIZE_X2APIC_MODE), able);
	for (u32 msr = 0x800; msr < 0x900; msr++) {
		assert_int_equal(passes(msr, false), able && read_virtualized(msr, registers, vid));
		assert_int_equal(passes(msr, true), able && write_virtualized(msr, vid));
	}
}

/*
 * Claim: of the local APIC's MSRs pass exactly those that the processor virtualizes, in x2APIC mode with
 * the control for it; in every other case the guest would reach the host's APIC.
 */
static void x2apic_passes(void **state)
{
	static const enum vmx_feature features[] = { VMX_X2APIC_MODE, VMX_TPR_SHADOW,
						     VMX_APIC_REGISTERS, VMX_VID };

	(void)state;
	for (unsigned int masked = 0; masked < 16; masked++) {
		bool able, vid;

		rig_mask = 0;
		for (unsigned int i = 0; i < 4; i++)
			rig_mask |= masked >> i & 1 ? BIT(features[i]) : 0;
		rig_restart();
		able = !(masked & 3);
		vid = !(masked & 8);
		check_x2apic_msrs(false, false, false);
		assert_true(wrmsr_exit(IA32_APIC_BASE, VLAPIC_MMIO_BASE | APIC_BASE_EN |
							       APIC_BASE_EXTD | APIC_BASE_BSP));
		check_x2apic_msrs(able, !(masked & 4), vid);
		if (able && vid) { /* disabled by its SVR: the processor would not know */
			assert_true(wrmsr_exit(IA32_X2APIC(APIC_SVR), 0xff));
			vcpu_inject(&rig_vcpu);
			check_x2apic_msrs(false, false, false);
			assert_true(wrmsr_exit(IA32_X2APIC(APIC_SVR), 0x1ff));
			vcpu_inject(&rig_vcpu);
			check_x2apic_msrs(true, !(masked & 4), true);
		}
		assert_true(wrmsr_exit(IA32_APIC_BASE, VLAPIC_MMIO_BASE | APIC_BASE_BSP));
		check_x2apic_msrs(false, false, false);
	}
}

/* Claim: the local APIC's MSRs are #GP in xAPIC mode, and registers in x2APIC mode. */
static void x2apic_registers(void **state)
{
	u64 value;

	(void)state;
	for (u32 msr = 0x800; msr < 0x900; msr++)
		assert_false(rdmsr_exit(msr, &value) || writable(msr));
	assert_false(wrmsr_exit(IA32_APIC_BASE, BIT(63)));
	assert_true(wrmsr_exit(IA32_APIC_BASE, vlapic_base(&rig_vcpu.lapic) | APIC_BASE_EXTD));
	assert_true(rdmsr_exit(IA32_X2APIC(APIC_VERSION), &value));
	assert_int_equal(value, APIC_VERSION_VALUE);
	assert_false(wrmsr_exit(IA32_X2APIC(APIC_VERSION), value));
}

#define T0 1000000000000ULL

static void stop_clock(void)
{
	rig_vm->tsc_base = T0;
	fake_vmcs_set(TSC_OFFSET, 0 - T0);
	fake_x86.tsc = T0 + 5000;
}

static u64 guest_tsc(void)
{
	return fake_x86.tsc + fake_vmcs_get(TSC_OFFSET);
}

static u64 rd(u32 msr)
{
	u64 value = 0;

	assert_true(rdmsr_exit(msr, &value));
	return value;
}

/* Claim: a write of the TSC moves TSC_ADJUST by as much, and the other way round. */
static void tsc(void **state)
{
	static const u64 values[] = { 0, 1, 5000, 1ULL << 40, ~0ULL, 1ULL << 63 };

	(void)state;
	stop_clock();
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		assert_true(wrmsr_exit(IA32_TIME_STAMP_COUNTER, values[i]));
		assert_int_equal(guest_tsc(), values[i]);
		assert_int_equal(rd(IA32_TSC_ADJUST), values[i] - 5000);
		assert_true(wrmsr_exit(IA32_TSC_ADJUST, values[i]));
		assert_int_equal(guest_tsc(), 5000 + values[i]);
		assert_int_equal(rd(IA32_TSC_ADJUST), values[i]);
		assert_true(wrmsr_exit(IA32_TSC_ADJUST, 0));
		assert_int_equal(guest_tsc(), 5000);
	}
}

/* In how many ticks does the APIC timer's alarm come? */
static u64 alarm_in(void)
{
	u64 at = vtimer_next(&rig_vcpu.timers);

	if (at == VDEV_NEVER)
		return VDEV_NEVER;
	return at > vm_now(rig_vm) ? at - vm_now(rig_vm) : 0;
}

/* Has the timer's interrupt come (and is the deadline gone)? Forgets it. */
static bool fired(void)
{
	u32 *word = &rig_vcpu.lapic.regs[APIC_IRR / 4 + 0x40 / 32 * 4];
	bool irr;

	vlapic_sync(&rig_vcpu.lapic);
	irr = *word & 1;
	*word = 0;
	if (irr)
		assert_int_equal(rd(IA32_TSC_DEADLINE), 0);
	return irr;
}

static void deadline_mode(void)
{
	stop_clock();
	vtimer_set(&rig_vcpu.timers,
		   rig_vcpu.timers.first ? rig_vcpu.timers.first : &rig_vcpu.lapic.timer.alarm,
		   VDEV_NEVER);
	assert_null(rig_vcpu.timers.first);
	vlapic_mmio_write(&rig_vcpu.lapic, APIC_LVT_TIMER, 4, APIC_TIMER_TSC_DEADLINE | 0x40);
}

/* Claim: the alarm comes when the guest's TSC reaches the deadline, wherever that TSC has been put. */
static void deadline(void **state)
{
	static const u64 adjust[] = { 0, 1000, (u64)-1000, 1ULL << 50, (u64)-4999, (u64)-5000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(adjust); i++) {
		rig_start(state);
		deadline_mode();
		assert_true(wrmsr_exit(IA32_TSC_ADJUST, adjust[i]));
		assert_true(wrmsr_exit(IA32_TSC_DEADLINE, guest_tsc() + 777));
		assert_int_equal(alarm_in(), 777);
		assert_int_equal(rd(IA32_TSC_DEADLINE), guest_tsc() + 777);
		assert_true(wrmsr_exit(IA32_TSC_DEADLINE, 0));
		assert_true(alarm_in() == VDEV_NEVER);
		assert_int_equal(rd(IA32_TSC_DEADLINE), 0);
	}
}

/* Claim: a deadline that has passed by the guest's TSC is due at once, one far ahead never yet. */
static void extreme_deadlines(void **state)
{
	static const u64 adjust[] = { 0, 1ULL << 50, (u64)-4000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(adjust); i++) {
		rig_start(state);
		deadline_mode();
		assert_true(wrmsr_exit(IA32_TSC_ADJUST, adjust[i]));
		assert_true(wrmsr_exit(IA32_TSC_DEADLINE, 1));
		assert_true(fired());
		assert_true(wrmsr_exit(IA32_TSC_DEADLINE, guest_tsc()));
		assert_true(fired());
		assert_true(wrmsr_exit(IA32_TSC_DEADLINE, ~0ULL));
		assert_true(alarm_in() > 1ULL << 62);
		assert_false(fired());
	}
}

/* Does the guest go on at once after it has written @value to @msr? */
static bool goes_on_after(u32 msr, u64 value)
{
	bool at_once;

	rig_vcpu.mode = VCPU_IN_GUEST;
	rig_vcpu.regs.rcx = msr;
	rig_vcpu.regs.rax = (u32)value;
	rig_vcpu.regs.rdx = value >> 32;
	at_once = exit_reenter(&rig_vcpu.regs, rdtsc(), EXIT_WRMSR);
	assert_no_exception();
	rig_vcpu.mode = VCPU_OUT;
	return at_once;
}

/*
 * Claim: a deadline has the guest exit then, or when the run loop wants to look again if that is earlier, and needs no
 * look now unless it is due. The same with a TSC that is moved under it.
 */
static void deadline_at_once(void **state)
{
	u64 host;

	(void)state;
	deadline_mode();
	host = rdtsc();
	rig_vcpu.until = rig_vcpu.deadline = host + 1000;
	assert_true(goes_on_after(IA32_TSC_DEADLINE, guest_tsc() + 400));
	assert_int_equal(rig_vcpu.deadline, host + 400);
	assert_true(goes_on_after(IA32_TSC_DEADLINE, guest_tsc() + 700));
	assert_int_equal(rig_vcpu.deadline, host + 700);
	assert_true(goes_on_after(IA32_TSC_ADJUST, 300));
	assert_int_equal(rig_vcpu.deadline, host + 400);
	assert_true(goes_on_after(IA32_TSC_DEADLINE, guest_tsc() + 1001));
	assert_int_equal(rig_vcpu.deadline, host + 1000);
	assert_true(goes_on_after(IA32_TSC_DEADLINE, ~0ULL));
	assert_true(vtimer_next_host(&rig_vcpu.timers, rig_vm->tsc_base) ==
		    VDEV_NEVER); /* and not in the past */
	assert_int_equal(rig_vcpu.deadline, host + 1000);
	assert_true(goes_on_after(IA32_TSC_DEADLINE, guest_tsc() + 2));
	assert_true(goes_on_after(IA32_TSC_DEADLINE, 0));
	assert_int_equal(rig_vcpu.deadline, host + 1000);
	rig_vcpu.lapic.ops = rig_real_ops; /* what is due kicks the vCPU */
	assert_false(goes_on_after(IA32_TSC_DEADLINE, guest_tsc()));
	assert_true(fired());
}

/* Claim: an EOI is followed by an entry at once, unless a vector waits for it. */
static void eoi_at_once(void **state)
{
	static const u64 bases[] = { APIC_BASE_EN, APIC_BASE_EN | APIC_BASE_EXTD };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++)
		assert_true(goes_on_after(IA32_APIC_BASE, 0xfee00000 | APIC_BASE_BSP | bases[i]));
	assert_true(goes_on_after(IA32_X2APIC(APIC_EOI), 0));
	vlapic_post(&rig_vcpu.lapic, 0x61, false);
	assert_int_equal(vlapic_pending(&rig_vcpu.lapic), 0x61);
	vlapic_accept(&rig_vcpu.lapic, 0x61);
	vlapic_post(&rig_vcpu.lapic, 0x51, false);
	assert_int_equal(vlapic_pending(&rig_vcpu.lapic), -1);
	assert_false(goes_on_after(IA32_X2APIC(APIC_EOI), 0));
	assert_int_equal(vlapic_pending(&rig_vcpu.lapic), 0x51);
	vlapic_accept(&rig_vcpu.lapic, 0x51);
	assert_int_equal(vlapic_pending(&rig_vcpu.lapic), -1);
	assert_true(goes_on_after(IA32_X2APIC(APIC_EOI), 0));
}

/* Claim: a local APIC that is switched off lets the PIC's interrupt in: that needs a look. */
static void apic_off_lets_pic_in(void **state)
{
	const u64 off = 0xfee00000 | APIC_BASE_BSP;

	(void)state;
	vlapic_mmio_write(&rig_vcpu.lapic, APIC_LVT_LINT0, 4, APIC_MASKED);
	rig_vm->pic.output = true;
	assert_false(goes_on_after(IA32_APIC_BASE, off));
	rig_vm->pic.output = false;
	assert_true(goes_on_after(IA32_APIC_BASE, off));
}

/* Claim: a TSC that is moved takes an armed deadline along: it is reached sooner or later. */
static void moved_under_a_deadline(void **state)
{
	u64 at;

	(void)state;
	deadline_mode();
	at = guest_tsc() + 10000;
	assert_true(wrmsr_exit(IA32_TSC_DEADLINE, at));
	assert_true(wrmsr_exit(IA32_TSC_ADJUST, 4000));
	assert_int_equal(alarm_in(), 6000);
	assert_int_equal(rd(IA32_TSC_DEADLINE), at);
	assert_true(wrmsr_exit(IA32_TIME_STAMP_COUNTER, at - 1));
	assert_int_equal(alarm_in(), 1);
	assert_true(wrmsr_exit(IA32_TIME_STAMP_COUNTER, at + 5));
	assert_true(fired());
	assert_true(alarm_in() == VDEV_NEVER);
}

/* Claim: values that are kept or refused as on a CPU. */
static void values(void **state)
{
	(void)state;
	assert_int_equal(rd(IA32_FEATURE_CONTROL), FEATURE_CONTROL_LOCKED);
	assert_false(wrmsr_exit(IA32_FEATURE_CONTROL, FEATURE_CONTROL_LOCKED));
	assert_int_equal(upper_32(rd(IA32_BIOS_SIGN_ID)), 1);
	assert_int_equal(rd(IA32_MTRRCAP), 0);
	assert_true(wrmsr_exit(IA32_DEBUGCTL, DEBUGCTL_BTF));
	assert_int_equal(rd(IA32_DEBUGCTL), DEBUGCTL_BTF);
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (BIT(bit) != DEBUGCTL_BTF)
			assert_false(wrmsr_exit(IA32_DEBUGCTL, BIT(bit)));
	}
	for (u64 type = 0; type < 256; type++)
		assert_int_equal(wrmsr_exit(IA32_MTRR_DEF_TYPE, BIT(11) | type),
				 type == 0 || type == 1 || (type >= 4 && type <= 6));
	assert_int_equal(rd(IA32_MTRR_DEF_TYPE), BIT(11) | 6);
	assert_false(wrmsr_exit(IA32_MTRR_DEF_TYPE, BIT(10) | 6)); /* no fixed ranges */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(sweep, rig_start),
		cmocka_unit_test_setup(bitmap, rig_start),
		cmocka_unit_test_setup(tsc_aux, rig_start),
		cmocka_unit_test_setup(hidden, rig_start),
		cmocka_unit_test_setup(xss, rig_start),
		cmocka_unit_test_setup(x2apic_passes, rig_start),
		cmocka_unit_test_setup(x2apic_registers, rig_start),
		cmocka_unit_test_setup(tsc, rig_start),
		cmocka_unit_test_setup(deadline, rig_start),
		cmocka_unit_test_setup(extreme_deadlines, rig_start),
		cmocka_unit_test_setup(deadline_at_once, rig_start),
		cmocka_unit_test_setup(eoi_at_once, rig_start),
		cmocka_unit_test_setup(apic_off_lets_pic_in, rig_start),
		cmocka_unit_test_setup(moved_under_a_deadline, rig_start),
		cmocka_unit_test_setup(values, rig_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
