/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of the machine: off, or once more. */
#ifndef VMM_HOST_POWER_H
#define VMM_HOST_POWER_H

#include "lib/types.h"
#include "vmm/host/acpi.h"

/* What the firmware said about it; @acpi must live as long as the machine. NULL = nothing known. */
void power_init(const struct acpi_info *acpi);

/* @drain waits until all console output has left the machine: called before it stops. */
void power_set_drain(void (*drain)(void));
void power_drain(void);

/* Neither comes back: where the machine cannot do it, it halts and says so. */
void power_off(void) __noreturn;
void power_reset(void) __noreturn;

#endif
