#include "vmm/run/vm_events.h"
#include "vmm/observe/dump.h"
#include "vmm/observe/inside.h"
#include "vmm/vm/machine_console.h"
#include "vmm/vm/vm.h"

void vm_handle_events(struct vm *vm)
{
	unsigned int events = atomic_exchange(&vm->events, 0);

	if ((events & VM_EVENT_INSIDE) && vm->state == VM_RUNNING)
		inside_vm_update(vm);
	if ((events & VM_EVENT_TIMES) && vm->state == VM_RUNNING)
		dump_times(vm);
	spin_lock(&vm->lock);
	if (events & VM_EVENT_INPUT)
		machine_console_input(vm);
	if (events & VM_EVENT_OUTPUT)
		machine_console_output(vm);
	spin_unlock(&vm->lock);
}
