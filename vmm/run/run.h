/* SPDX-License-Identifier: BSD-2-Clause */
/* The run loop: which VM has the CPU, for how long, and what happens when none wants it. */
#ifndef VMM_RUN_RUN_H
#define VMM_RUN_RUN_H

struct cpu;

/* Start all VMs and run them until the last one has stopped, or the operator quits. */
void run_vms(void);

/* The same loop for a CPU other than the boot CPU: comes back never. */
void run_ap(struct cpu *cpu);

/* The operator wants the machine to end. */
void run_quit(void);

/* Print which VMs there are, and how they are. */
void run_list(void);

#endif
