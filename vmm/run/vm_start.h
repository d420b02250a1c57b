/* SPDX-License-Identifier: BSD-2-Clause */
/* From a VM's configuration to a VM whose vCPUs wait to run, and back. On its home CPU. */
#ifndef VMM_RUN_VM_START_H
#define VMM_RUN_VM_START_H

#include "lib/types.h"

struct vm;

/*
 * Start @vm as its configuration says: memory, EPT, devices, image, vCPUs. -errno with the reason
 * printed, and everything given back.
 */
int vm_start(struct vm *vm) __must_check;

/* Let the started @vm run: its first vCPU. */
void vm_run(struct vm *vm);

/* Take its memory back, scrubbed. No CPU has a vCPU of it. */
void vm_finish(struct vm *vm);

#endif
