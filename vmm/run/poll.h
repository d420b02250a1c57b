/* SPDX-License-Identifier: BSD-2-Clause */
/* What the I/O CPU does instead of running guests. */
#ifndef VMM_RUN_POLL_H
#define VMM_RUN_POLL_H

#include "vmm/host/cpu.h"

/* @cpu, which runs this, is the I/O CPU: look at all queues and devices, for ever. */
void poll_for_ever(struct cpu *cpu) __noreturn;

#endif
