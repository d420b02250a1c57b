/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this processor's VT-x can do, and what of it is used.
 * SDM, appendix "VMX Capability Reporting Facility".
 */
#ifndef VMX_CAPS_H
#define VMX_CAPS_H

#include "lib/types.h"
#include "vmx/errata.h"
#include "vmx/features.h"

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_CAP_EXEC_ONLY      BIT(0)
#define EPT_CAP_WALK_4         BIT(6)
#define EPT_CAP_WB             BIT(14)
#define EPT_CAP_2M             BIT(16)
#define EPT_CAP_1G             BIT(17)
#define EPT_CAP_INVEPT         BIT(20)
#define EPT_CAP_AD             BIT(21)
#define EPT_CAP_INVEPT_SINGLE  BIT(25)
#define EPT_CAP_INVEPT_ALL     BIT(26)
#define EPT_CAP_INVVPID        BIT(32)
#define EPT_CAP_INVVPID_SINGLE BIT(41)
#define EPT_CAP_INVVPID_ALL    BIT(42)

/* A capability MSR's two halves: the controls that must be 1, and those that may be 1. */
struct vmx_allowed {
	u32 must_be_1;
	u32 may_be_1;
};

struct vmx_caps {
	u64 basic;
	u64 misc;
	u64 ept_vpid;
	struct vmx_allowed control[VMX_ENTRY + 1]; /* by enum vmx_control_group */
	u64 cr0_fixed0, cr0_fixed1;
	u64 cr4_fixed0, cr4_fixed1;
	u64 present; /* BIT(enum vmx_feature): the CPU has it */
	u64 masked;  /* taken away by the configuration or an erratum */
	u64 used;    /* present, not masked, and known to this version */
};

/* The five control words of a VMCS, chosen once for all vCPUs. */
struct vmx_controls {
	u32 word[VMX_ENTRY + 1]; /* by enum vmx_control_group */
};

static inline bool vmx_uses(const struct vmx_caps *caps, enum vmx_feature feature)
{
	return caps->used & BIT(feature);
}

static inline u32 vmx_revision(const struct vmx_caps *caps)
{
	return (u32)(caps->basic & GENMASK(30, 0));
}

/* Read the capability MSRs. VMX must be there (vmx_check_cpu). */
void vmx_caps_read(struct vmx_caps *caps);

/*
 * Decide what is used: what is there, less @mask (BIT(feature)s of the user), less what the errata
 * of @platform forbid unless in @unmask. Prints each erratum that applies.
 */
void vmx_caps_choose(struct vmx_caps *caps, const struct vmx_platform *platform, u64 mask,
		     u64 unmask);

/*
 * Choose the controls: all that Lintel requires and all used features.
 * -ENOTSUP, with each control that cannot be set or cleared printed by name.
 */
int vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *controls) __must_check;

/* Print the features: used, masked, missing, and what each missing one costs. */
void vmx_caps_report(const struct vmx_caps *caps);

#endif
