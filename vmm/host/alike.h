/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPUs that run guests must have in common. A vCPU moves between them with one set of VM-execution controls, one
 * CPUID, one XCR0 and one host state; where a machine mixes CPUs, or their microcode, entries on some of them would fail,
 * or a guest would lose a feature under its feet.
 */
#ifndef VMM_HOST_ALIKE_H
#define VMM_HOST_ALIKE_H

#include "vmx/caps.h"

#define CPU_TRAITS 22

struct cpu_traits {
	u64 value[CPU_TRAITS];
};

/* Those of the CPU that runs this; @caps are its. */
void cpu_traits_read(struct cpu_traits *traits, const struct vmx_caps *caps);

/* The name of the first in which they differ ("CPUID.7:EBX"), its number in *@which; or NULL. */
const char *cpu_traits_differ(const struct cpu_traits *a, const struct cpu_traits *b,
			      unsigned int *which);

#endif
