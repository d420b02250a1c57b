/* SPDX-License-Identifier: BSD-2-Clause */
/* The other physical CPUs: from wherever the firmware has parked them into the VMM. */
#ifndef VMM_HOST_AP_H
#define VMM_HOST_AP_H

#include "lib/types.h"
#include "vmm/host/acpi.h"
#include "vmm/host/cpu.h"

/*
 * Start every CPU that @acpi names, one after another: each goes through cpu_init and then calls
 * @fn on its own stack, which must say ap_online() when the CPU is ready to work. A CPU that does not
 * come, or is not fit, is said and left out. Returns the number of CPUs in use, the boot CPU's own
 * included. Needs the local APIC. SDM, "Multiple-Processor (MP) Initialization".
 */
unsigned int ap_start_all(const struct acpi_info *acpi, u64 tsc_hz, void (*fn)(struct cpu *cpu));

/* The CPU that calls this is ready, and gets its number. Does not return if nobody waits for it any more. */
void ap_online(void);

/* Stop all CPUs but this one, for ever. */
void ap_stop_others(void);

/* CPU @id, 0 the boot CPU; NULL beyond the last. */
struct cpu *cpu_by_id(unsigned int id);

#endif
