/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as guest memory, and as what a driver does to a virtio console over PCI: no access out of
 * bounds, no loop without end, and no byte sent twice or out of nowhere.
 *
 * The input is a script of 8-byte steps: where (a BAR, configuration space, memory), offset, value.
 * The rings lie in the first pages of RAM, so that random writes hit them.
 */
#include "tests/fuzz/virtio_rig.h"
#include "virtio/virtio_console.h"

#define RAM_SIZE 0x4000

static const struct layout layout = { 2, 8, 0, 0x200, 0x80, 0x100 };
static u64 room, work;
static struct virtio_console console;
static struct virtio_pci vp;

/* What a step may cost is bounded: by the burst of one access, 16 of them for alarms. */
#define WORK_MAX (16 * 4096 + 4096)

static size_t on_tx(void *ctx, const u8 *data, size_t len)
{
	size_t taken = MIN(len, room);
	volatile u8 sum = 0;

	(void)ctx;
	for (size_t i = 0; i < len; i++)
		sum = (u8)(sum + data[i]);
	room -= taken;
	work += len;
	require(work <= WORK_MAX);
	return taken;
}

static size_t on_rx(void *ctx, u8 *data, size_t len)
{
	(void)ctx;
	len = MIN(len, 7);
	memset(data, 'x', len);
	work += len;
	require(work <= WORK_MAX);
	return len;
}

static const struct virtio_console_ops ops = { on_tx, on_rx };

static void do_step(const struct step *s)
{
	u8 size = (u8)(1 << s->size % 4), byte = (u8)s->value;
	u32 value = s->value;

	work = 0;
	switch (s->where % 12) {
	case 0: write_register(&vp, s->off & 0xfff, size, value); break;
	case 1: write_register(&vp, s->off & 0x3f, size, value); break;
	case 2: (void)virtio_pci_register_mmio.read(&vp, s->off & 0xfff, size); break;
	case 3: virtio_pci_msix_mmio.write(&vp, s->off & 0xfff, size, value); break;
	case 4: (void)virtio_pci_msix_mmio.read(&vp, s->off & 0xfff, size); break;
	case 5: virtio_pci_config_write(&vp, (u8)s->off & 0xfc, 4, value); break;
	case 6: (void)virtio_pci_config_read(&vp, (u8)s->off, 1); break;
	case 7: kick(&vp, value & 1); break;
	case 8:
		room = value & 0xffff;
		virtio_console_output(&console);
		break;
	case 9: virtio_console_input(&console); break;
	case 10: pass(TSC_HZ / 20); break;
	default:
		if (s->size & 4)
			(void)!guest_write(&mem, s->off & 0x3ff, &value, 4);
		else
			(void)!guest_write(&mem, s->off & 0x3ff, &byte, 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u8 *ram = machine_start(RAM_SIZE, 0);
	struct step step;

	room = 100;
	virtio_console_init(&console, &host, &ops, NULL);
	virtio_pci_init(&vp, &console.dev);
	if (size) {
		work = 0;
		bring_up(&vp, data[0] & 1 ? (u32)VIRTIO_F_EVENT_IDX : 0, &layout);
		data++, size--;
	}
	/* First an image of the rings, then what is done. */
	if (size > 0x400) {
		memcpy(ram, data, 0x400);
		data += 0x400, size -= 0x400;
	}
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		do_step(&step);
	}
	free(ram);
	return 0;
}
