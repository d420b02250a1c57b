/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/machine.h"
#include "vmm/observe/virtio_watch.h"
#include "vmm/observe/inside.h"
#include "vmm/vm/virtio_slot.h"
#include "vmm/vm/vm.h"

#define NO_VECTOR 256 /* the pin */

static struct virtio_slot *slot_of(void *pci)
{
	return container_of(pci, struct virtio_slot, pci);
}

static void kicked(void *pci, u32 queue)
{
	const struct virtio_slot *slot = slot_of(pci);

	inside_device(slot->vm, TRACE_KICK, slot->number << 8 | (queue & 0xff), 0);
}

static void interrupts(const struct virtio_slot *slot, u32 vector)
{
	inside_device(slot->vm, TRACE_INTERRUPT, slot->number << 8, vector);
}

static u32 notify_read(void *pci, u16 off, u8 size)
{
	return virtio_pci_notify_pio.read(pci, off, size);
}

static void notify_write(void *pci, u16 off, u8 size, u32 value)
{
	if (off == 0 && size == 2)
		kicked(pci, value);
	virtio_pci_notify_pio.write(pci, off, size, value);
}

static u64 register_read(void *pci, u64 off, u8 size)
{
	return virtio_pci_register_mmio.read(pci, off, size);
}

static void register_write(void *pci, u64 off, u8 size, u64 value)
{
	if (off >= VIRTIO_PCI_REG_NOTIFY && off < VIRTIO_PCI_REG_DEVICE && size == 2)
		kicked(pci, (u16)value);
	virtio_pci_register_mmio.write(pci, off, size, value);
}

static void on_msi(void *ctx, u64 address, u32 data)
{
	interrupts(ctx, data & 0xff);
	virtio_slot_msi(ctx, address, data);
}

/* It is told again and again where it is. */
static void on_intx(void *ctx, bool level)
{
	const struct virtio_slot *slot = ctx;
	u32 asserting = slot->vm->machine->pci_asserting[slot->number % PCI_LINES];

	if (level && !(asserting & BIT(slot->number)))
		interrupts(slot, NO_VECTOR);
	virtio_slot_intx(ctx, level);
}

static void watch_slot(struct virtio_slot *slot, bool on)
{
	static const struct pio_ops notify = { notify_read, notify_write };
	static const struct mmio_ops registers = { register_read, register_write };

	slot->notify->ops = on ? &notify : &virtio_pci_notify_pio;
	slot->registers->ops = on ? &registers : &virtio_pci_register_mmio;
	slot->pci.msix.send = on ? on_msi : virtio_slot_msi;
	slot->host.intx = on ? on_intx : virtio_slot_intx;
}

void virtio_watch(struct vm *vm, bool on)
{
	for (unsigned int i = 1; i < PCI_SLOTS; i++) {
		const struct vpci_function *f = vm->machine->pci.function[VPCI_DEVFN(i, 0)];

		if (f && f->read == virtio_pci_config_read)
			watch_slot(slot_of(f->dev), on);
	}
}
