/* The run loop: which VM has the CPU, for how long, and what happens when none wants it. */
#ifndef VMM_RUN_H
#define VMM_RUN_H

/* Start all VMs and run them until the last one has stopped, or the operator quits. */
void run_vms(void);

/* The operator wants the machine to end. */
void run_quit(void);

/* Print which VMs there are, and how they are. */
void run_list(void);

#endif
