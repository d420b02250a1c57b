/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/machine_console.h"
#include "lib/errno.h"
#include "vmm/host/console.h"
#include "vmm/vm/machine.h"
#include "vmm/host/mem.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"
#include "vmm/vm/vm_note.h"

#define CONSOLE_SLOT 1

static size_t on_tx(void *ctx, const u8 *data, size_t len)
{
	struct vm *vm = ctx;
	size_t taken = console_guest_write(vm->id, data, len);

	if (taken < len)
		vm->console_refused = true;
	return taken;
}

/* The same for a VM whose notes somebody wants: other VMs do not pay for it. */
static size_t on_tx_noted(void *ctx, const u8 *data, size_t len)
{
	struct vm *vm = ctx;
	size_t taken = on_tx(ctx, data, len);

	vm_note_take(vm->note, data, taken);
	return taken;
}

/*
 * Which device is typed to? A driver of the virtio console may be there although nobody uses it: a
 * distribution loads it wherever it finds the device, and has its login on ttyS0 if the command line
 * says so. Then the UART's receiver is in use, and the virtio console has never been written to.
 */
static bool virtio_gets_input(const struct machine_console *m)
{
	return m->card && virtio_console_listens(&m->card->console) &&
	       (virtio_console_has_sent(&m->card->console) || !vuart_rx_wanted(&m->uart));
}

static size_t on_virtio_rx(void *ctx, u8 *data, size_t len)
{
	const struct vm *vm = ctx;

	return virtio_gets_input(&vm->machine->console) ? console_guest_read(vm->id, data, len) : 0;
}

void machine_console_input(struct vm *vm)
{
	struct machine_console *m = &vm->machine->console;
	u8 byte;

	if (virtio_gets_input(m)) {
		virtio_console_input(&m->card->console);
		return;
	}
	/* One at a time: a byte is taken from the console only when the FIFO has room for it. */
	while (vuart_rx_room(&m->uart) && console_guest_read(vm->id, &byte, 1))
		vuart_rx(&m->uart, &byte, 1);
}

static void on_uart_rx_room(void *ctx)
{
	machine_console_input(ctx);
}

bool machine_console_full(const struct vm *vm)
{
	const struct machine_console *m = &vm->machine->console;

	return vuart_tx_full(&m->uart) || (m->card && virtio_console_tx_full(&m->card->console));
}

bool machine_console_pending(const struct vm *vm)
{
	const struct machine_console *m = &vm->machine->console;

	return vuart_tx_pending(&m->uart) ||
	       (m->card && virtio_console_tx_pending(&m->card->console));
}

void machine_console_output(struct vm *vm)
{
	struct machine_console *m = &vm->machine->console;

	vuart_tx_resume(&m->uart);
	if (m->card)
		virtio_console_output(&m->card->console);
	vm->console_refused = false; /* whoever sent it waits already */
	if (!machine_console_full(vm))
		vm->vcpu_ops->let_go_on(vm);
}

static const struct vuart_ops uart_ops = { .tx = on_tx, .rx_room = on_uart_rx_room };
static const struct vuart_ops uart_noted = { .tx = on_tx_noted, .rx_room = on_uart_rx_room };
static const struct virtio_console_ops virtio_ops = { .tx = on_tx, .rx = on_virtio_rx };
static const struct virtio_console_ops virtio_noted = { .tx = on_tx_noted, .rx = on_virtio_rx };

static int plug_card(struct vm *vm)
{
	hpa_t hpa =
		mem_alloc(sizeof(struct virtio_console_card), PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));
	struct virtio_console_card *card = (void *)(uintptr_t)hpa;

	if (!card)
		return -ENOMEM;
	virtio_slot_init(&card->slot, vm, CONSOLE_SLOT);
	virtio_console_init(&card->console, &card->slot.host,
			    vm->note ? &virtio_noted : &virtio_ops, vm);
	virtio_slot_plug(&card->slot, &card->console.dev, "virtio-console");
	vm->machine->console.card = card;
	return 0;
}

int machine_console_init(struct vm *vm)
{
	struct machine_console *m = &vm->machine->console;

	vuart_init(&m->uart, &vm->env, vm->note ? &uart_noted : &uart_ops, vm, MACHINE_COM1_LINE);
	/* First of all ports: it is looked up most where there is nothing better. */
	pio_register(&vm->pio, MACHINE_COM1, VUART_PORTS, &vuart_pio, &m->uart, "com1");
	return vm->config->console == VM_CONSOLE_VIRTIO ? plug_card(vm) : 0;
}
