/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's side of the console: a UART, which is always there, and a virtio console if the
 * configuration wants one. What either sends goes to the VM's console; what is typed goes to the one
 * that the guest uses. All of it with vm->lock held.
 */
#ifndef VMM_VM_MACHINE_CONSOLE_H
#define VMM_VM_MACHINE_CONSOLE_H

#include "lib/types.h"
#include "virtio/virtio_console.h"
#include "vmm/vm/virtio_slot.h"
#include "vmm/pc/vuart.h"

struct vm;

/* In memory of the VM's own. */
struct virtio_console_card {
	struct virtio_slot slot;
	struct virtio_console console;
};

struct machine_console {
	struct vuart uart;
	struct virtio_console_card *card; /* NULL: there is none */
};

/* Make the devices and plug them in. -ENOMEM. */
int machine_console_init(struct vm *vm) __must_check;

/* The operator has typed; the line has room again. */
void machine_console_input(struct vm *vm);
void machine_console_output(struct vm *vm);

/* Is a transmitter full, and the line busy? */
bool machine_console_full(const struct vm *vm);

/* Is there anything that the guest has sent and the line not taken? */
bool machine_console_pending(const struct vm *vm);

#endif
