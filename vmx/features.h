/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VT-x features that Lintel can do without: probed, maskable from lintel.conf
 * (`mask = NAME, ...`), and each with a fallback.
 */
#ifndef VMX_FEATURES_H
#define VMX_FEATURES_H

#include "lib/types.h"

enum vmx_feature {
	VMX_TPR_SHADOW,
	VMX_VPID,
	VMX_EPT_2M,
	VMX_EPT_1G,
	VMX_EPT_AD,
	VMX_PREEMPTION_TIMER,
	VMX_VIRTUAL_NMIS,
	VMX_X2APIC_MODE,
	VMX_RDTSCP,
	VMX_INVPCID,
	VMX_XSAVES,
	VMX_WBINVD_EXITING,
	VMX_DESCRIPTOR_TABLE_EXITING,
	VMX_APIC_ACCESSES,
	VMX_APIC_REGISTERS,
	VMX_VID,
	VMX_POSTED_INTERRUPTS,
	VMX_PAUSE_LOOP,
	VMX_PML,
	VMX_SHADOWING,
	VMX_TSC_SCALING,
	VMX_FEATURES,
};
_Static_assert(VMX_FEATURES <= 64, "a feature is a bit of a u64");

/* Which capability MSR a control or a feature is read from. */
enum vmx_control_group {
	VMX_PIN,
	VMX_CPU,
	VMX_CPU2,
	VMX_EXIT,
	VMX_ENTRY,
	VMX_EPT_VPID,
	VMX_GROUPS
};

struct vmx_feature_info {
	const char *name; /* as in lintel.conf */
	enum vmx_control_group group;
	u64 bits;         /* all of them must be there */
	bool planned;     /* recognised, reported, not yet used by this version */
	const char *cost; /* what it costs to be without it */
};

extern const struct vmx_feature_info vmx_feature_info[VMX_FEATURES];

/* BIT(feature)s that @name in a `mask` line stands for: a feature, "all", or "profile:NAME"; 0 = unknown. */
u64 vmx_mask_bits(const char *name);

#endif
