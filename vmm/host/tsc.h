/* SPDX-License-Identifier: BSD-2-Clause */
/* The time-stamp counter as the machine's clock: how fast it runs, and ticks as nanoseconds. */
#ifndef VMM_HOST_TSC_H
#define VMM_HOST_TSC_H

#include "lib/types.h"
#include "vmm/host/acpi.h"

/*
 * Find the TSC's frequency: what a hypervisor or CPUID says, else measured against the PM timer or the
 * PIT (some 150 ms). Prints which. -ENODEV, and said why, when nothing gives it.
 */
int tsc_init(const struct acpi_info *acpi) __must_check;

/* Ticks a second; 0 before tsc_init. */
u64 tsc_hz(void);

/* Who has said so, in words; empty before tsc_init. */
const char *tsc_source(void);

/* Rounded down; they saturate. Only after tsc_init. */
u64 tsc_to_ns(u64 ticks);
u64 tsc_from_ns(u64 ns);

#endif
