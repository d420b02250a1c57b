/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known to be wrong with some machines, and how they are recognised. */
#ifndef VMX_ERRATA_H
#define VMX_ERRATA_H

#include "lib/types.h"

/*
 * How a platform is recognised: by who wrote its ACPI tables, whether CPUID names a hypervisor, and which processor
 * it is. What runs in a virtual machine meets no erratum of the silicon: its hypervisor has to.
 */
struct vmx_platform {
	const char *acpi_oem; /* without trailing blanks */
	bool hypervisor;
	u32 signature; /* CPUID.1:EAX without its reserved bits; 0: not Intel's silicon */
	u32 microcode; /* its revision */
};

struct vmx_erratum {
	const char *platform; /* for people */
	const char *acpi_oem; /* NULL: of silicon */
	u32 signature;        /* of silicon: this one ... */
	bool all_steppings;   /* ... whatever its stepping ... */
	u32 mended_in;        /* ... if its microcode is older than this; 0: always */
	u64 mask; /* BIT(feature)s that must not be used there; 0: nothing to avoid, but to know */
	const char *what;
	bool late; /* interrupts may come late: whoever runs a guest has to look around in time */
	bool no_deadline; /* the local APIC's timer is not to be used in TSC-deadline mode */
};

/* The platform that the CPU which runs this belongs to; @acpi_oem stays the caller's. */
void vmx_platform_read(struct vmx_platform *platform, const char *acpi_oem);

/* The next erratum of @platform after @prev (NULL: the first), or NULL. */
const struct vmx_erratum *vmx_erratum_next(const struct vmx_platform *platform,
					   const struct vmx_erratum *prev);

/* Is one of @platform's errata that TSC-deadline mode is not to be used? */
bool vmx_erratum_no_deadline(const struct vmx_platform *platform);

#endif
