/*
 * Any bytes as guest memory, and as what a driver does to a virtio console over PCI: no access out of
 * bounds, no loop without end, and no byte sent twice or out of nowhere.
 *
 * The input is a script of 8-byte steps: where (a BAR, configuration space, memory), offset, value.
 * The rings lie in the first pages of RAM, so that random writes hit them.
 */
#include <stdlib.h>
#include <string.h>

#include "virtio/virtio_console.h"
#include "virtio/virtio_pci.h"
#include "vmm/vtimer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_SIZE 0x4000
#define TSC_HZ   1000000000ULL

static struct guest_mem mem;
static struct vtimers timers;
static u64 now, room, work;
static struct virtio_console console;
static struct virtio_pci vp;

static u64 get_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void set_line(void *ctx, unsigned int line, bool level)
{
	(void)ctx, (void)line, (void)level;
}

static void set_timer(void *ctx, struct vdev_timer *timer, u64 deadline)
{
	(void)ctx;
	vtimer_set(&timers, timer, deadline);
}

static void on_msi(void *ctx, u64 address, u32 data)
{
	(void)ctx, (void)address, (void)data;
}

static void on_intx(void *ctx, bool level)
{
	(void)ctx, (void)level;
}

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
	if (work > WORK_MAX)
		abort();
	return taken;
}

static size_t on_rx(void *ctx, u8 *data, size_t len)
{
	(void)ctx;
	len = MIN(len, 7);
	memset(data, 'x', len);
	work += len;
	if (work > WORK_MAX)
		abort();
	return len;
}

static const struct vdev_env env = { NULL, TSC_HZ, get_now, set_line, set_timer };
static const struct virtio_host host = { &mem, &env, NULL, on_msi, on_intx };
static const struct virtio_console_ops ops = { on_tx, on_rx };

static void write_register(u64 off, u8 size, u64 value)
{
	virtio_pci_register_mmio.write(&vp, off, size, value);
}

/* As a driver leaves it: fuzzing would take long to find that by itself. */
static void bring_up(bool event_idx)
{
	write_register(20, 1, 0);
	write_register(20, 1, 3);
	write_register(8, 4, 0);
	write_register(12, 4, event_idx ? 1u << 29 : 0);
	write_register(8, 4, 1);
	write_register(12, 4, 1);
	write_register(20, 1, 11);
	for (u16 q = 0; q < 2; q++) {
		write_register(22, 2, q);
		write_register(24, 2, 8);
		write_register(32, 4, 0x000 + 0x200u * q);
		write_register(40, 4, 0x080 + 0x200u * q);
		write_register(48, 4, 0x100 + 0x200u * q);
		write_register(28, 2, 1);
	}
	write_register(20, 1, 15);
}

struct step {
	u8 where, size;
	u16 off;
	u32 value;
} __packed;

static void do_step(const struct step *s)
{
	u8 size = (u8)(1 << s->size % 4), byte = (u8)s->value;
	u32 value = s->value;

	work = 0;
	switch (s->where % 12) {
	case 0: write_register(s->off & 0xfff, size, value); break;
	case 1: write_register(s->off & 0x3f, size, value); break;
	case 2: (void)virtio_pci_register_mmio.read(&vp, s->off & 0xfff, size); break;
	case 3: virtio_pci_msix_mmio.write(&vp, s->off & 0xfff, size, value); break;
	case 4: (void)virtio_pci_msix_mmio.read(&vp, s->off & 0xfff, size); break;
	case 5: virtio_pci_config_write(&vp, (u8)s->off & 0xfc, 4, value); break;
	case 6: (void)virtio_pci_config_read(&vp, (u8)s->off, 1); break;
	case 7: virtio_pci_notify_pio.write(&vp, 0, 2, value & 1); break;
	case 8:
		room = value & 0xffff;
		virtio_console_output(&console);
		break;
	case 9: virtio_console_input(&console); break;
	case 10:
		now += TSC_HZ / 20;
		vtimer_run(&timers, now);
		break;
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
	u8 *ram = calloc(1, RAM_SIZE);
	struct step step;

	memset(&mem, 0, sizeof(mem));
	timers.first = NULL;
	now = 0;
	room = 100;
	if (guest_mem_add(&mem, 0, RAM_SIZE, ram))
		abort();
	virtio_console_init(&console, &host, &ops, NULL);
	virtio_pci_init(&vp, &console.dev);
	if (size) {
		work = 0;
		bring_up(data[0] & 1);
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
