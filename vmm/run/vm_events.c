/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/run/vm_events.h"
#include "vmm/observe/dump.h"
#include "vmm/observe/inside.h"
#include "vmm/vm/machine_console.h"
#include "vmm/vm/vm.h"

void vm_handle_events(struct vm *vm)
{
	unsigned int events = atomic_exchange(&vm->events, 0);

	/* What came too late: the devices may be gone with the VM's memory. */
	if (vm->state != VM_RUNNING)
		return;
	if (events & VM_EVENT_INSIDE)
		inside_vm_update(vm);
	if (events & VM_EVENT_TIMES)
		dump_times(vm);
	spin_lock(&vm->lock);
	if (events & VM_EVENT_INPUT)
		machine_console_input(vm);
	if (events & VM_EVENT_OUTPUT)
		machine_console_output(vm);
	spin_unlock(&vm->lock);
}
