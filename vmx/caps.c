/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/caps.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmx/controls.h"

struct vmx_control {
	enum vmx_control_group group;
	u64 bit;
	const char *name;
};

/* Without these there is no Lintel. */
static const struct vmx_control required[] = {
	{ VMX_PIN, PIN_EXTERNAL_INTERRUPT_EXITING, "external-interrupt exiting" },
	{ VMX_PIN, PIN_NMI_EXITING, "NMI exiting" },
	{ VMX_CPU, CPU_USE_TSC_OFFSETTING, "use TSC offsetting" },
	{ VMX_CPU, CPU_HLT_EXITING, "HLT exiting" },
	{ VMX_CPU, CPU_RDPMC_EXITING, "RDPMC exiting" },
	{ VMX_CPU, CPU_USE_IO_BITMAPS, "use I/O bitmaps" },
	{ VMX_CPU, CPU_USE_MSR_BITMAPS, "use MSR bitmaps" },
	{ VMX_CPU, CPU_SECONDARY_CONTROLS, "activate secondary controls" },
	{ VMX_CPU2, CPU2_ENABLE_EPT, "enable EPT" },
	{ VMX_CPU2, CPU2_UNRESTRICTED_GUEST, "unrestricted guest" },
	{ VMX_EXIT, EXIT_SAVE_DEBUG_CONTROLS, "save debug controls" },
	{ VMX_EXIT, EXIT_HOST_ADDRESS_SPACE_SIZE, "host address-space size" },
	{ VMX_EXIT, EXIT_SAVE_PAT, "save IA32_PAT" },
	{ VMX_EXIT, EXIT_LOAD_PAT, "load IA32_PAT on exit" },
	{ VMX_EXIT, EXIT_SAVE_EFER, "save IA32_EFER" },
	{ VMX_EXIT, EXIT_LOAD_EFER, "load IA32_EFER on exit" },
	{ VMX_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS, "load debug controls" },
	{ VMX_ENTRY, ENTRY_LOAD_PAT, "load IA32_PAT on entry" },
	{ VMX_ENTRY, ENTRY_LOAD_EFER, "load IA32_EFER on entry" },
	{ VMX_EPT_VPID, EPT_CAP_WALK_4, "EPT page-walk length 4" },
	{ VMX_EPT_VPID, EPT_CAP_WB, "write-back EPT structures" },
	{ VMX_EPT_VPID, EPT_CAP_INVEPT, "INVEPT" },
};

/* Wanted where they can be had; guests are not offered what they stand for where they cannot. */
static const struct vmx_control wanted[] = {
	{ VMX_CPU, CPU_MWAIT_EXITING, "MWAIT exiting" },
	{ VMX_CPU, CPU_MONITOR_EXITING, "MONITOR exiting" },
};

/* A CPU that insists on one of these makes guests that Lintel does not handle. */
static const struct vmx_control unwanted[] = {
	{ VMX_CPU, CPU_INVLPG_EXITING, "INVLPG exiting" },
	{ VMX_CPU, CPU_RDTSC_EXITING, "RDTSC exiting" },
	{ VMX_CPU, CPU_CR3_LOAD_EXITING, "CR3-load exiting" },
	{ VMX_CPU, CPU_CR3_STORE_EXITING, "CR3-store exiting" },
	{ VMX_CPU, CPU_MOV_DR_EXITING, "MOV-DR exiting" },
	{ VMX_CPU, CPU_UNCONDITIONAL_IO_EXITING, "unconditional I/O exiting" },
	{ VMX_CPU, CPU_PAUSE_EXITING, "PAUSE exiting" },
};

static u64 group_offer(const struct vmx_caps *caps, enum vmx_control_group group)
{
	return group == VMX_EPT_VPID ? caps->ept_vpid : caps->control[group].may_be_1;
}

static struct vmx_allowed allowed_read(u32 msr)
{
	u64 v = rdmsr(msr);

	return (struct vmx_allowed){ lower_32(v), upper_32(v) };
}

void vmx_caps_read(struct vmx_caps *caps)
{
	*caps = (struct vmx_caps){ .basic = rdmsr(IA32_VMX_BASIC) };
	/* The TRUE MSRs tell which default1 controls may be 0 after all (bit 55 of the basic MSR). */
	bool true_msrs = caps->basic & BIT(55);

	caps->control[VMX_PIN] = allowed_read(true_msrs ? 0x48d : 0x481);
	caps->control[VMX_CPU] = allowed_read(true_msrs ? 0x48e : 0x482);
	caps->control[VMX_EXIT] = allowed_read(true_msrs ? 0x48f : 0x483);
	caps->control[VMX_ENTRY] = allowed_read(true_msrs ? 0x490 : 0x484);
	caps->misc = rdmsr(0x485);
	caps->cr0_fixed0 = rdmsr(0x486);
	caps->cr0_fixed1 = rdmsr(0x487);
	caps->cr4_fixed0 = rdmsr(0x488);
	caps->cr4_fixed1 = rdmsr(0x489);
	if (caps->control[VMX_CPU].may_be_1 & CPU_SECONDARY_CONTROLS)
		caps->control[VMX_CPU2] = allowed_read(0x48b);
	if (caps->control[VMX_CPU2].may_be_1 & (CPU2_ENABLE_EPT | CPU2_ENABLE_VPID))
		caps->ept_vpid = rdmsr(0x48c);

	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		const struct vmx_feature_info *f = &vmx_feature_info[i];

		if ((group_offer(caps, f->group) & f->bits) == f->bits)
			caps->present |= BIT(i);
	}
	/* SDM, "VM-Execution Control Fields": posting goes with acknowledging on exit. */
	if (!(caps->control[VMX_EXIT].may_be_1 & EXIT_ACK_INTERRUPT))
		caps->present &= ~BIT(VMX_POSTED_INTERRUPTS);
	/* VPID is of use only with INVVPID: it is how a recycled tag is cleaned. */
	if (!(caps->ept_vpid & EPT_CAP_INVVPID) || !(caps->ept_vpid & EPT_CAP_INVVPID_ALL))
		caps->present &= ~BIT(VMX_VPID);
}

/*
 * What VM entry refuses without something else (SDM, "VM-Execution Control Fields" of "Checks on VMX
 * Controls"), or what is no use without it: the virtual-APIC page comes with the TPR shadow. In the
 * order in which one takes away the other.
 */
static const struct {
	enum vmx_feature feature, on;
} dependence[] = {
	{ VMX_X2APIC_MODE, VMX_TPR_SHADOW },    { VMX_APIC_ACCESSES, VMX_TPR_SHADOW },
	{ VMX_APIC_REGISTERS, VMX_TPR_SHADOW }, { VMX_VID, VMX_TPR_SHADOW },
	{ VMX_POSTED_INTERRUPTS, VMX_VID },
};

void vmx_caps_choose(struct vmx_caps *caps, const struct vmx_platform *platform, u64 mask,
		     u64 unmask)
{
	const struct vmx_erratum *e = NULL;

	caps->masked = mask;
	while ((e = vmx_erratum_next(platform, e))) {
		bool ignored = e->mask && !(e->mask & ~unmask);

		pr_info("vmx: erratum of %s: %s%s\n", e->platform, e->what,
			ignored ? " (ignored by the configuration)" : "");
		caps->masked |= e->mask & ~unmask;
	}
	caps->used = caps->present & ~caps->masked;
	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		if (vmx_feature_info[i].planned)
			caps->used &= ~BIT(i);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(dependence); i++) {
		if (!vmx_uses(caps, dependence[i].on))
			caps->used &= ~BIT(dependence[i].feature);
	}
}

int vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *controls)
{
	int err = 0;

	*controls = (struct vmx_controls){ 0 };
	for (unsigned int i = 0; i < ARRAY_SIZE(required); i++) {
		const struct vmx_control *c = &required[i];

		if ((group_offer(caps, c->group) & c->bit) != c->bit) {
			pr_err("vmx: this CPU cannot do \"%s\", which Lintel needs\n", c->name);
			err = -ENOTSUP;
		} else if (c->group != VMX_EPT_VPID) {
			controls->word[c->group] |= (u32)c->bit;
		}
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(wanted); i++)
		controls->word[wanted[i].group] |=
			(u32)(group_offer(caps, wanted[i].group) & wanted[i].bit);
	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		const struct vmx_feature_info *f = &vmx_feature_info[i];

		if (vmx_uses(caps, i) && f->group != VMX_EPT_VPID)
			controls->word[f->group] |= (u32)f->bits;
	}
	if (!vmx_uses(caps, VMX_TPR_SHADOW))
		controls->word[VMX_CPU] |= CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING;
	if (vmx_uses(caps, VMX_POSTED_INTERRUPTS))
		controls->word[VMX_EXIT] |= EXIT_ACK_INTERRUPT;
	for (unsigned int i = 0; i < ARRAY_SIZE(caps->control); i++)
		controls->word[i] |= caps->control[i].must_be_1;
	for (unsigned int i = 0; i < ARRAY_SIZE(unwanted); i++) {
		if (controls->word[unwanted[i].group] & unwanted[i].bit) {
			pr_err("vmx: this CPU insists on \"%s\", which Lintel does not handle\n",
			       unwanted[i].name);
			err = -ENOTSUP;
		}
	}
	return err;
}

/* The names of @features in one line, with ", " between. */
static void features_line(const char *title, u64 features)
{
	char line[512];
	size_t n = 0;

	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		if (features & BIT(i))
			n += scnprintf(line + n, sizeof(line) - n, "%s%s", n ? ", " : "",
				       vmx_feature_info[i].name);
	}
	if (n)
		pr_info("vmx: %s: %s\n", title, line);
}

void vmx_caps_report(const struct vmx_caps *caps)
{
	u64 planned = 0;

	for (unsigned int i = 0; i < VMX_FEATURES; i++)
		planned |= vmx_feature_info[i].planned ? BIT(i) : 0;

	pr_info("vmx: revision 0x%x, VMCS of %u bytes, unrestricted guest, EPT\n",
		vmx_revision(caps), (unsigned int)(caps->basic >> 32 & 0x1fff));
	features_line("used", caps->used);
	features_line("masked", caps->present & caps->masked);
	features_line("there, not used by this version", caps->present & ~caps->masked & planned);
	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		if (!(caps->used & BIT(i)) && !vmx_feature_info[i].planned)
			pr_info("vmx: without %s: %s\n", vmx_feature_info[i].name,
				vmx_feature_info[i].cost);
	}
	features_line("missing", ~caps->present & GENMASK(VMX_FEATURES - 1, 0));
}
