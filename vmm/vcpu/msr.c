/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs for guests: what is not in the table is #GP. The table says of each one why it is there.
 */
#include "vmm/vcpu/msr.h"
#include "lib/bitmap.h"
#include "lib/string.h"
#include "vioapic/apic_regs.h"
#include "vmm/vcpu/pv_clock.h"
#include "vmm/vcpu/pv_eoi.h"
#include "vmm/vcpu/pv_steal.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

typedef bool msr_read_fn(struct vcpu *vcpu, u32 msr, u64 *value);
typedef bool msr_write_fn(struct vcpu *vcpu, u32 msr, u64 value);

static bool read_zero(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)vcpu, (void)msr;
	*value = 0;
	return true;
}

static bool write_ignored(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)vcpu, (void)msr, (void)value;
	return true;
}

/*
 * The deadline is in the guest's TSC, the VM's alarms are in guest time: they differ by what the
 * guest has written to its TSC. Both wrap, and a deadline of 0 means none.
 */
static bool read_tsc_deadline(struct vcpu *vcpu, u32 msr, u64 *value)
{
	u64 deadline = vlapic_tsc_deadline(&vcpu->lapic);

	(void)msr;
	*value = deadline ? deadline + vcpu->tsc_adjust : 0;
	return true;
}

static bool write_tsc_deadline(struct vcpu *vcpu, u32 msr, u64 value)
{
	u64 now = vm_now(vcpu->vm), tsc = now + vcpu->tsc_adjust, deadline = 0;

	(void)msr;
	if (value > tsc)
		deadline = value - tsc < VDEV_NEVER - now ? now + (value - tsc) : VDEV_NEVER - 1;
	else if (value)
		deadline = MAX(now, 1ULL); /* it has passed */
	vlapic_set_tsc_deadline(&vcpu->lapic, deadline);
	return true;
}

/* An armed deadline stays what the guest has written: its alarm moves. */
static void move_tsc(struct vcpu *vcpu, u64 delta)
{
	u64 deadline;

	(void)read_tsc_deadline(vcpu, IA32_TSC_DEADLINE, &deadline);
	vcpu->tsc_adjust += delta;
	vmcs_write(TSC_OFFSET, vmcs_read(TSC_OFFSET) + delta);
	pv_clock_update(vcpu);
	if (deadline)
		(void)write_tsc_deadline(vcpu, IA32_TSC_DEADLINE, deadline);
}

/* RDMSR passes through (with the TSC offset); a write moves the offset, and TSC_ADJUST with it. */
static bool write_tsc(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)msr;
	move_tsc(vcpu, value - (rdtsc() + vmcs_read(TSC_OFFSET)));
	return true;
}

static bool read_tsc_adjust(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = vcpu->tsc_adjust;
	return true;
}

static bool write_tsc_adjust(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)msr;
	move_tsc(vcpu, value - vcpu->tsc_adjust);
	return true;
}

static bool read_apic_base(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = vlapic_base(&vcpu->lapic);
	return true;
}

static bool write_apic_base(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)msr;
	pv_eoi_settle(vcpu);
	if (value == vlapic_base(&vcpu->lapic))
		return true;
	if (!vlapic_set_base(&vcpu->lapic, value))
		return false;
	vcpu_apic_mode_changed(vcpu);
	return true;
}

static bool read_x2apic(struct vcpu *vcpu, u32 msr, u64 *value)
{
	pv_eoi_settle(vcpu);
	return vlapic_msr_read(&vcpu->lapic, msr, value);
}

static bool write_x2apic(struct vcpu *vcpu, u32 msr, u64 value)
{
	pv_eoi_settle(vcpu);
	return vlapic_msr_write(&vcpu->lapic, msr, value);
}

static bool read_feature_control(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)vcpu, (void)msr;
	*value = FEATURE_CONTROL_LOCKED;
	return true;
}

static bool read_bios_sign_id(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)vcpu, (void)msr;
	*value = make_64(1, 0); /* some revision: 0 would mean that no update is loaded */
	return true;
}

#define MISC_ENABLE_FAST_STRINGS     BIT(0)
#define MISC_ENABLE_BTS_UNAVAILABLE  BIT(11)
#define MISC_ENABLE_PEBS_UNAVAILABLE BIT(12)

static bool read_misc_enable(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)vcpu, (void)msr;
	*value = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_BTS_UNAVAILABLE |
		 MISC_ENABLE_PEBS_UNAVAILABLE;
	return true;
}

#define MTRR_DEF_TYPE_ENABLE BIT(11)

static bool read_mtrr_def_type(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = vcpu->mtrr_def_type;
	return true;
}

/* Kept for the guest to read back: its RAM is write-back by the EPT, whatever it says here. */
static bool write_mtrr_def_type(struct vcpu *vcpu, u32 msr, u64 value)
{
	u64 type = value & 0xff;

	(void)msr;
	if (value & ~(0xff | MTRR_DEF_TYPE_ENABLE) || type > 6 || type == 2 || type == 3)
		return false;
	vcpu->mtrr_def_type = value;
	return true;
}

static bool read_debugctl(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)vcpu, (void)msr;
	*value = vmcs_read(GUEST_IA32_DEBUGCTL);
	return true;
}

static bool write_debugctl(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)vcpu, (void)msr;
	if (value & ~DEBUGCTL_BTF)
		return false;
	vmcs_write(GUEST_IA32_DEBUGCTL, value);
	return true;
}

static bool has_xsaves(const struct vcpu *vcpu)
{
	return cpuid_has(&vcpu->cpuid, 0xd, 1, CPUID_EAX, 3);
}

static bool read_xss(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = 0;
	return has_xsaves(vcpu);
}

static bool write_xss(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)msr;
	return has_xsaves(vcpu) && !value; /* no supervisor state component is offered */
}

/* What the guest may do without an exit. */
enum msr_pass { PASS_NONE = 0, PASS_READ = 1, PASS_WRITE = 2, PASS_BOTH = 3 };

struct msr_policy {
	u32 first, last;
	msr_read_fn *read;   /* NULL: #GP (unless passed) */
	msr_write_fn *write; /* NULL: #GP (unless passed) */
	enum msr_pass pass;
	struct {
		u32 leaf;
		enum cpuid_reg reg;
		u8 bit;
	} needs; /* a feature of CPUID that comes with it; leaf 0: none */
	const char *why;
};

#define PV(feature)                                                \
	{                                                          \
		PV_CPUID_FEATURES, CPUID_EAX, PV_FEATURE_##feature \
	}

/* clang-format off */
static const struct msr_policy policy[] = {
	{ IA32_TSC_DEADLINE, IA32_TSC_DEADLINE, read_tsc_deadline, write_tsc_deadline, PASS_NONE, { 1, CPUID_ECX, 24 },
	  "the timer of the local APIC" },
	{ 0x800, 0x8ff, read_x2apic, write_x2apic, PASS_NONE, { 1, CPUID_ECX, 21 },
	  "the local APIC in x2APIC mode" },
	{ IA32_TIME_STAMP_COUNTER, IA32_TIME_STAMP_COUNTER, NULL, write_tsc, PASS_READ, { 0 },
	  "reads are offset by the CPU" },
	{ IA32_PLATFORM_ID, IA32_PLATFORM_ID, read_zero, NULL, PASS_NONE, { 0 },
	  "microcode loaders look at it" },
	{ IA32_APIC_BASE, IA32_APIC_BASE, read_apic_base, write_apic_base, PASS_NONE, { 0 },
	  "mode of the local APIC" },
	{ IA32_FEATURE_CONTROL, IA32_FEATURE_CONTROL, read_feature_control, NULL, PASS_NONE, { 0 },
	  "locked, without VMX" },
	{ IA32_TSC_ADJUST, IA32_TSC_ADJUST, read_tsc_adjust, write_tsc_adjust, PASS_NONE, { 7, CPUID_EBX, 1 },
	  "with it Linux trusts the TSC" },
	{ IA32_BIOS_SIGN_ID, IA32_BIOS_SIGN_ID, read_bios_sign_id, write_ignored, PASS_NONE, { 0 },
	  "microcode revision: written 0, then read" },
	{ IA32_MTRRCAP, IA32_MTRRCAP, read_zero, NULL, PASS_NONE, { 1, CPUID_EDX, 12 },
	  "no variable and no fixed ranges: all RAM is write-back" },
	{ IA32_SYSENTER_CS, IA32_SYSENTER_EIP, NULL, NULL, PASS_BOTH, { 0 },
	  "in the VMCS" },
	{ IA32_MCG_CAP, IA32_MCG_STATUS, read_zero, write_ignored, PASS_NONE, { 0 },
	  "machine check without banks" },
	{ IA32_MISC_ENABLE, IA32_MISC_ENABLE, read_misc_enable, write_ignored, PASS_NONE, { 0 },
	  "fast strings on, no debug store" },
	{ IA32_DEBUGCTL, IA32_DEBUGCTL, read_debugctl, write_debugctl, PASS_NONE, { 0 },
	  "single-step on branches; no last-branch records" },
	{ IA32_PAT, IA32_PAT, NULL, NULL, PASS_BOTH, { 0 },
	  "in the VMCS, saved and loaded at exits" },
	{ IA32_MTRR_DEF_TYPE, IA32_MTRR_DEF_TYPE, read_mtrr_def_type, write_mtrr_def_type, PASS_NONE, { 1, CPUID_EDX, 12 },
	  "kept, without effect" },
	{ IA32_XSS, IA32_XSS, read_xss, write_xss, PASS_NONE, { 0 },
	  "goes with XSAVES; only 0" },
	{ IA32_EFER, IA32_EFER, NULL, NULL, PASS_BOTH, { 0 },
	  "in the VMCS, saved and loaded at exits; the CPU checks it" },
	{ IA32_STAR, IA32_FMASK, NULL, NULL, PASS_BOTH, { 0 },
	  "the VMM does not use SYSCALL; switched with the vCPU" },
	{ IA32_FS_BASE, IA32_GS_BASE, NULL, NULL, PASS_BOTH, { 0 },
	  "in the VMCS" },
	{ IA32_KERNEL_GS_BASE, IA32_KERNEL_GS_BASE, NULL, NULL, PASS_BOTH, { 0 },
	  "the VMM does not use SWAPGS; switched with the vCPU" },
	{ PV_MSR_WALL_CLOCK, PV_MSR_WALL_CLOCK, pv_read_wall_clock, pv_write_wall_clock, PASS_NONE, PV(CLOCK),
	  "date at the start of the VM" },
	{ PV_MSR_CLOCK, PV_MSR_CLOCK, pv_read_clock, pv_write_clock, PASS_NONE, PV(CLOCK),
	  "where the guest finds the factors of its clock" },
	{ PV_MSR_STEAL_TIME, PV_MSR_STEAL_TIME, pv_read_steal, pv_write_steal, PASS_NONE, PV(STEAL_TIME),
	  "where it finds how long it had no CPU" },
	{ PV_MSR_EOI, PV_MSR_EOI, pv_read_eoi, pv_write_eoi, PASS_NONE, PV(EOI),
	  "where it may end interrupts" },
	{ PV_MSR_POLL_CONTROL, PV_MSR_POLL_CONTROL, pv_read_poll_control, pv_write_poll_control, PASS_NONE, PV(POLL_CONTROL),
	  "kept, without effect" },
};
/* clang-format on */

_Static_assert(ARRAY_SIZE(policy) <= 32, "a bit each in struct vcpu_msrs");

static __noinline const struct msr_policy *search(u8 *hint, u32 msr)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(policy); i++) {
		if (msr - policy[i].first <= policy[i].last - policy[i].first) {
			*hint = (u8)i;
			return &policy[i];
		}
	}
	return NULL;
}

/* The line for @msr, if this vCPU is offered it. MSRs that differ in their low digits have a hint each. */
static inline const struct msr_policy *find(struct vcpu *vcpu, u32 msr)
{
	u8 *hint = &vcpu->msrs.hint[(msr ^ msr >> 4) % ARRAY_SIZE(vcpu->msrs.hint)];
	const struct msr_policy *p = &policy[*hint];

	if (unlikely(msr - p->first > p->last - p->first))
		p = search(hint, msr);
	return p && vcpu->msrs.offered & BIT(*hint) ? p : NULL;
}

/* SDM, "MSR-Bitmap Address": read low, read high, write low, write high, 1 KiB each. */
static void allow(u64 *bitmap, u32 msr, enum msr_pass pass)
{
	unsigned int bit = msr >= 0xc0000000 ? 8192 + (msr - 0xc0000000) : msr;

	if (pass & PASS_READ)
		bitmap_clear(bitmap, bit);
	if (pass & PASS_WRITE)
		bitmap_clear(bitmap, bit + 16384);
}

/*
 * SDM, "Virtualizing MSR-Based APIC Accesses". The processor checks little of a read from the page, not
 * even whether there is such a register, and lets a write that it does not virtualize go to the host's
 * APIC: so only what is known to be right passes.
 */
static enum msr_pass x2apic_pass(u32 msr)
{
	bool registers = vmx_uses(&vmm.caps, VMX_APIC_REGISTERS);
	bool vid = vmx_uses(&vmm.caps, VMX_VID);

	/* Without VID an EOI by memory may stand, so that the ISR is not right. */
	if (msr - IA32_X2APIC(0x100) < 8 && !vid)
		return PASS_NONE;
	switch (msr) {
	case IA32_X2APIC(0x80): return PASS_BOTH; /* TPR */
	case IA32_X2APIC(0xa0):
		return vid && registers ? PASS_READ : PASS_NONE;      /* PPR: kept with VID */
	case IA32_X2APIC(0xb0):                                       /* EOI */
	case IA32_X2APIC(0x3f0): return vid ? PASS_WRITE : PASS_NONE; /* self-IPI */
	}
	return registers && vlapic_msr_in_page(msr) ? PASS_READ : PASS_NONE;
}

void msr_bitmap_build(u64 *bitmap, const struct vcpu *vcpu, bool x2apic)
{
	memset(bitmap, 0xff, PAGE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(policy); i++) {
		for (u32 msr = policy[i].first; msr <= policy[i].last; msr++)
			allow(bitmap, msr, policy[i].pass);
	}
	if (cpuid_has(&vcpu->cpuid, 0x80000001, 0, CPUID_EDX, 27))
		allow(bitmap, IA32_TSC_AUX, PASS_BOTH); /* RDTSCP; switched with the vCPU */
	for (u32 msr = IA32_X2APIC(0); msr <= IA32_X2APIC(0xff0) && x2apic; msr++)
		allow(bitmap, msr, x2apic_pass(msr));
}

void msr_init(struct vcpu *vcpu)
{
	vcpu->msrs = (struct vcpu_msrs){ 0 };
	for (unsigned int i = 0; i < ARRAY_SIZE(policy); i++) {
		const struct msr_policy *p = &policy[i];

		if (!p->needs.leaf ||
		    cpuid_has(&vcpu->cpuid, p->needs.leaf, 0, p->needs.reg, p->needs.bit))
			vcpu->msrs.offered |= (u32)BIT(i);
	}
}

static inline bool msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct msr_policy *p = find(vcpu, msr);

	return p && p->read && p->read(vcpu, msr, value);
}

static inline bool msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	const struct msr_policy *p = find(vcpu, msr);

	return p && p->write && p->write(vcpu, msr, value);
}

/* Reading a register of the local APIC takes what waits for it into the IRR. */
static bool is_apic(u32 msr)
{
	return msr - IA32_X2APIC(0) <= 0xff;
}

enum outcome exit_msr_read(struct vcpu *vcpu)
{
	struct guest_regs *g = &vcpu->regs;
	u64 value;

	if (!msr_read(vcpu, (u32)g->rcx, &value)) {
		vcpu_inject_gp(vcpu);
		return OUTCOME_RESUME;
	}
	g->rax = lower_32(value);
	g->rdx = upper_32(value);
	return is_apic(lower_32(g->rcx)) ? OUTCOME_ADVANCE : OUTCOME_DONE;
}

/* The alarm may have moved: the guest is to exit then. (One that is due by now has kicked the vCPU.) */
static enum outcome alarm_moved(struct vcpu *vcpu)
{
	u64 alarm = vtimer_next_host(&vcpu->timers, vcpu->vm->tsc_base);

	vcpu->deadline = MIN(alarm, vcpu->until);
	return OUTCOME_DONE;
}

/* What a write that has been done leaves for the run loop. */
static inline enum outcome after_write(struct vcpu *vcpu, u32 msr)
{
	switch (msr) {
	case IA32_TSC_DEADLINE:
	case IA32_TSC_ADJUST: return alarm_moved(vcpu);
	case IA32_X2APIC(APIC_ICR):
		return OUTCOME_DONE; /* for somebody else, or it has kicked this one */
	case IA32_APIC_BASE:         /* without the APIC the PIC's interrupt comes in, too */
		if (unlikely(vpic_pending(&vcpu->vm->pic)))
			return OUTCOME_ADVANCE;
		return vcpu->irq->idle(vcpu) ? OUTCOME_DONE : OUTCOME_ADVANCE;
	case IA32_X2APIC(APIC_EOI): return vcpu->irq->idle(vcpu) ? OUTCOME_DONE : OUTCOME_ADVANCE;
	default: return OUTCOME_ADVANCE;
	}
}

static inline enum outcome write_by_policy(struct vcpu *vcpu)
{
	struct guest_regs *g = &vcpu->regs;

	if (!msr_write(vcpu, (u32)g->rcx, make_64((u32)g->rdx, (u32)g->rax))) {
		vcpu_inject_gp(vcpu);
		return OUTCOME_RESUME;
	}
	return after_write(vcpu, (u32)g->rcx);
}

static __noinline enum outcome write_icr(struct vcpu *vcpu)
{
	u64 value = make_64((u32)vcpu->regs.rdx, (u32)vcpu->regs.rax);

	return likely(vlapic_icr_plain(&vcpu->lapic, value)) ? OUTCOME_DONE : write_by_policy(vcpu);
}

enum outcome exit_msr_write(struct vcpu *vcpu)
{
	return (u32)vcpu->regs.rcx == IA32_X2APIC(APIC_ICR) ? write_icr(vcpu)
							    : write_by_policy(vcpu);
}
