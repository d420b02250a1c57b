/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VT-x features that Lintel can do without: probed, maskable from lintel.conf
 * (`mask = NAME, ...`), and each with a fallback. And the errata that mask some by themselves.
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

/* How a platform is recognised: by who wrote its ACPI tables, and whether CPUID names a hypervisor. */
struct vmx_platform {
	const char *acpi_oem; /* without trailing blanks */
	bool hypervisor;
};

struct vmx_erratum {
	const char *platform; /* for people */
	const char *acpi_oem;
	bool hypervisor;
	u64 mask; /* BIT(feature)s that must not be used there; 0: nothing to avoid, but to know */
	const char *what;
	bool late; /* interrupts may come late: whoever runs a guest has to look around in time */
};

/* The next erratum of @platform after @prev (NULL: the first), or NULL. */
const struct vmx_erratum *vmx_erratum_next(const struct vmx_platform *platform,
					   const struct vmx_erratum *prev);

#endif
