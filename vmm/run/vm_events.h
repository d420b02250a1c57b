/* SPDX-License-Identifier: BSD-2-Clause */
/* What others leave for a VM's home CPU: VM_EVENT_*. */
#ifndef VMM_RUN_VM_EVENTS_H
#define VMM_RUN_VM_EVENTS_H

struct vm;

/* Look after vm->events, on the VM's home CPU. */
void vm_handle_events(struct vm *vm);

#endif
