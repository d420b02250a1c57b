/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/machine.h"
#include "vmm/vm/virtio_slot.h"
#include "lib/printk.h"
#include "vioapic/apic_regs.h"
#include "vmm/host/iocpu.h"
#include "vmm/vm/vm.h"

/* A write to this range is an interrupt. SDM, "Message Signalled Interrupts". */
#define MSI_ADDRESS      0xfee00000u
#define MSI_DEST_SHIFT   12
#define MSI_DEST_LOGICAL 0x4u
#define MSI_DATA         0x0000c7ffu /* trigger mode, level, delivery mode, vector */

/* What is no interrupt would be a write to memory: nobody is there to take it. */
void virtio_slot_msi(void *ctx, u64 address, u32 data)
{
	const struct virtio_slot *slot = ctx;
	u32 low = data & MSI_DATA;
	struct vapic_msg msg;

	if ((address & ~0xfffffULL) != MSI_ADDRESS)
		return;
	if (address & MSI_DEST_LOGICAL)
		low |= APIC_LOGICAL;
	msg = vapic_msg_short(low, (u8)(address >> MSI_DEST_SHIFT));
	vapic_bus_deliver(&slot->vm->bus, &msg);
}

/* Slots share the lines, as cards do: a line is up while any of them asserts it. */
void virtio_slot_intx(void *ctx, bool level)
{
	const struct virtio_slot *slot = ctx;
	struct vm *vm = slot->vm;
	unsigned int i = slot->number % PCI_LINES;
	u32 *asserting = &vm->machine->pci_asserting[i];
	u32 bit = (u32)BIT(slot->number);

	*asserting = level ? *asserting | bit : *asserting & ~bit;
	vm->env.set_line(vm->env.ctx, PCI_LINE_FIRST + i, *asserting);
}

static gpa_t mmio_base(u32 base)
{
	return base == PCI_NOWHERE ? MMIO_NOWHERE : base;
}

/* The guest has moved a BAR. A port number has 16 bits: what lies above answers nowhere. */
static void on_bar_moved(void *ctx, unsigned int bar, u32 base)
{
	struct virtio_slot *slot = ctx;

	switch (bar) {
	case VIRTIO_PCI_NOTIFY_BAR:
		pio_move(&slot->vm->pio, slot->notify, (u16)base,
			 base > 0xffff ? 0 : VIRTIO_PCI_NOTIFY_SIZE);
		break;
	case VIRTIO_PCI_REGISTER_BAR: mmio_move(slot->registers, mmio_base(base)); break;
	case VIRTIO_PCI_MSIX_BAR: mmio_move(slot->msix, mmio_base(base)); break;
	default: break;
	}
}

static void on_kicked(void *ctx)
{
	(void)ctx;
	iocpu_wake();
}

void virtio_slot_init(struct virtio_slot *slot, struct vm *vm, unsigned int number)
{
	*slot = (struct virtio_slot){
		.vm = vm,
		.number = number,
		.host = { .mem = &vm->mem,
			  .env = &vm->env,
			  .ctx = slot,
			  .msi = virtio_slot_msi,
			  .intx = virtio_slot_intx,
			  .kicked = on_kicked,
			  .hidden = vm->config->hide >> CONFIG_HIDE_VIRTIO_SHIFT },
	};
}

static void place_bars(struct virtio_slot *slot)
{
	struct pci_function *pci = &slot->pci.pci;
	u32 memory = PCI_MEMORY_BASE + slot->number * PCI_MEMORY_PER_SLOT;

	pci_function_place(pci, VIRTIO_PCI_NOTIFY_BAR,
			   PCI_IO_BASE + slot->number * PCI_IO_PER_SLOT);
	pci_function_place(pci, VIRTIO_PCI_REGISTER_BAR, memory);
	pci_function_place(pci, VIRTIO_PCI_MSIX_BAR, memory + VIRTIO_PCI_MMIO_SIZE);
	pci_function_route(pci, 1, (u8)(PCI_LINE_FIRST + slot->number % PCI_LINES));
	pci_function_write(pci, PCI_COMMAND, 2,
			   PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void virtio_slot_plug(struct virtio_slot *slot, struct virtio_device *dev, const char *name)
{
	struct vm *vm = slot->vm;

	virtio_pci_init(&slot->pci, dev);
	slot->notify = pio_register(&vm->pio, 0, 0, &virtio_pci_notify_pio, &slot->pci, name);
	slot->registers = mmio_register(&vm->mmio, MMIO_NOWHERE, VIRTIO_PCI_MMIO_SIZE,
					&virtio_pci_register_mmio, &slot->pci, name);
	slot->msix = mmio_register(&vm->mmio, MMIO_NOWHERE, VIRTIO_PCI_MMIO_SIZE,
				   &virtio_pci_msix_mmio, &slot->pci, "msix");
	slot->pci.pci.bar_moved = on_bar_moved;
	slot->pci.pci.ctx = slot;
	place_bars(slot);
	slot->function = (struct vpci_function){ virtio_pci_config_read, virtio_pci_config_write,
						 &slot->pci };
	if (vpci_plug(&vm->machine->pci, VPCI_DEVFN(slot->number, 0), &slot->function))
		panic("PCI slot %u is taken", slot->number);
}
