/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio console over PCI, as a driver other than Linux's might use it: notified by port and by
 * memory, with MSI-X and with the pin, its BARs moved, reset a thousand times, and with rings that no
 * driver may make.
 */
#include "virtio.h"
#include "lib/string.h"

#define SLOT        1
#define PCI_IO      0xc000u
#define PCI_IO_END  0xcfffu
#define PCI_MEM     0xe0000000u
#define PCI_MEM_END 0xefffffffu
#define PIN_LINE    11 /* of slot 1 */

enum { RX, TX };

static struct vio dev;

#define STATUS VIO_STATUS(&dev)

/* --- a driver --- */

#define SIZE 8

static struct ring VIO_RING(SIZE) rings[2];

static volatile u16 *used_idx(unsigned int q)
{
	return &rings[q].used.idx;
}

static void bring_up(bool event_idx)
{
	memset(rings, 0, sizeof(rings));
	vio_begin(&dev, event_idx ? BIT(29) : 0);
	for (u16 q = 0; q < 2; q++)
		VIO_QUEUE(&dev, q, &rings[q]);
	VIO_CONFIG_MSIX(&dev) = 2;
	vio_live(&dev);
}

static void add(unsigned int q, const void *data, u32 len, u16 flags, u16 next)
{
	struct ring *r = &rings[q];
	u16 slot = r->avail.idx % SIZE;

	r->desc[slot] = (struct virtq_desc){ (u64)(uintptr_t)data, len, flags, next };
	VIO_MAKE_AVAILABLE(r, slot);
}

static void send(const char *text)
{
	u32 len = 0;

	while (text[len])
		len++;
	add(TX, text, len, 0, 0);
}

/* --- claims --- */

static void check_discovery(void)
{
	report(vio_pci_read(&dev, 0) == 0x10431af4, "a virtio console: %x", vio_pci_read(&dev, 0));
	report(vio_pci_read(&dev, 8) >> 8 == 0x078000, "its class: %x", vio_pci_read(&dev, 8));
	report(dev.port >= PCI_IO && dev.port <= PCI_IO_END, "I/O BAR at %x", dev.port);
	report((u64)(uintptr_t)dev.registers >= PCI_MEM &&
		       (u64)(uintptr_t)dev.registers <= PCI_MEM_END,
	       "memory BAR at %p", (const void *)dev.registers);
	report((vio_pci_read(&dev, 4) & 3) == 3, "both decode");
	report((vio_pci_read(&dev, 0x3c) & 0xffff) == (0x100 | PIN_LINE), "INTA, line %u",
	       PIN_LINE);
	report(VIO_QUEUES(&dev) == 2, "two queues: %u", VIO_QUEUES(&dev));
}

static void check_sending(void)
{
	bring_up(false);
	report(STATUS == 15, "the device lives: %x", STATUS);
	send("virtio: these words went by a virtqueue\r\n");
	vio_kick(&dev, TX);
	report(*used_idx(TX) == 1, "sent when the OUT is done: %u", *used_idx(TX));
	send("virtio: these by a kick in memory\r\n");
	*(volatile u16 *)(dev.memory + 4 * TX) = TX;
	report(*used_idx(TX) == 2, "sent when the MOV is done: %u", *used_idx(TX));
	report(rings[TX].used.ring[1].id == 1, "by its name");
}

static void break_ring(void)
{
	rings[TX].avail.idx = (u16)(rings[TX].avail.idx + 100);
	vio_kick(&dev, TX);
}

static void check_msix(void)
{
	irq_end = END_LAPIC;
	vio_msix_entry(&dev, TX, 0x61);
	vio_msix_entry(&dev, 2, 0x62);
	vio_msix_enable(&dev, true);
	bring_up(true);
	irq_clear();
	send("x");
	vio_kick(&dev, TX);
	report(wait_irq(0x61, 1, 100000), "MSI-X tells of what was sent, after a lull");
	report(irq_total == 1, "once: %u", irq_total);
	rings[TX].avail.event = 1; /* the next one */
	send("y");
	send("z\r\n");
	vio_kick(&dev, TX);
	report(wait_irq(0x61, 2, 100000), "and of the next, for which the event index asks");
	rings[TX].avail.event = 7;
	send("-\r\n");
	vio_kick(&dev, TX);
	report(!wait_irq(0x61, 3, 100000), "but not of one that it does not ask for");
	break_ring();
	report(wait_irq(0x62, 1, 1000), "a broken ring is a change of configuration");
	report(STATUS == 0x4f, "DEVICE_NEEDS_RESET: %x", STATUS);
	vio_msix_enable(&dev, false);
}

static void check_pin(void)
{
	irq_end = END_NOT; /* a level that is held would come again at once */
	bring_up(true);
	irq_clear();
	ioapic_write(0x11 + 2 * PIN_LINE, lapic_read(0x20));
	ioapic_write(0x10 + 2 * PIN_LINE, 0x8063); /* level */
	break_ring();
	report(wait_irq(0x63, 1, 1000), "without MSI-X it is the pin, on the I/O APIC");
	lapic_write(0xb0, 0);
	report(wait_irq(0x63, 2, 1000), "which is held");
	report(*dev.isr == 2, "until ISR is read");
	lapic_write(0xb0, 0);
	report(!wait_irq(0x63, 3, 1000), "then it is not");
	ioapic_write(0x10 + 2 * PIN_LINE, 0x10000);
}

static void check_moving(void)
{
	u32 memory = vio_pci_read(&dev, VIO_BAR(1)), port = vio_pci_read(&dev, VIO_BAR(0));
	volatile u16 *old = (volatile u16 *)(dev.registers + 18);
	u8 *ram = (u8 *)(uintptr_t)0xa00000;

	bring_up(false);
	vio_pci_write(&dev, VIO_BAR(1), 0xe8000000);
	report(*(volatile u16 *)(uintptr_t)0xe8000012 == 2, "a moved BAR answers where it is");
	report(*old == 0xffff, "and no longer where it was: %x", *old);
	vio_pci_write(&dev, VIO_BAR(0), 0xc801);
	dev.port = 0xc800;
	send("virtio: by a port that was moved\r\n");
	vio_kick(&dev, TX);
	report(*used_idx(TX) == 1, "so does one of ports");
	vio_pci_write(&dev, VIO_BAR(0), 0x10001);
	vio_pci_write(&dev, VIO_BAR(0), 0x3f9); /* over the serial port, which was there first */
	report(inb(0x3fd) != 0xff, "of two devices at one port, the first answers");
	vio_pci_write(&dev, VIO_BAR(0), port);
	ram[18] = 0x5a;
	vio_pci_write(&dev, VIO_BAR(1), (u32)(uintptr_t)ram);
	report(ram[18] == 0x5a, "under RAM it cannot be reached");
	vio_pci_write(&dev, VIO_BAR(1), memory);
	vio_pci_write(&dev, 4, vio_pci_read(&dev, 4) & 0xfffc);
	report(*old == 0xffff, "switched off it does not answer");
	outw((u16)vio_bar(&dev, 0), TX);
	vio_pci_write(&dev, 4, (vio_pci_read(&dev, 4) & 0xffff) | 3);
	report(*old == 2 && STATUS == 15, "and is as it was afterwards");
	vio_find(&dev, SLOT);
}

static void check_resets(void)
{
	unsigned int alive = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		bring_up(i & 1);
		add(RX, (void *)(uintptr_t)0xa10000, 100, VIRTQ_DESC_WRITE, 0);
		vio_kick(&dev, RX);
		if (i % 3)
			send(i % 100 ? "" : ".");
		if (i % 5 == 0)
			break_ring();
		vio_kick(&dev, TX);
		alive += STATUS == (i % 5 ? 15 : 0x4f);
	}
	report(alive == 1000, "1000 resets at any moment: %u as they should be", alive);
}

static void loop(void)
{
	add(TX, "", 1, VIRTQ_DESC_NEXT, 0);
}

static void beyond_ram(void)
{
	add(TX, (void *)(uintptr_t)0xfffff000, 1, 0, 0);
}

static void vmm_memory(void)
{
	add(TX, (void *)~(uintptr_t)15, 32, 0, 0);
}

static void bad_next(void)
{
	add(TX, "", 1, VIRTQ_DESC_NEXT, SIZE);
}

static void indirect_loop(void)
{
	add(TX, &rings[TX].desc[0], 16, VIRTQ_DESC_INDIRECT, 0);
}

static void no_rings(void)
{
	vio_begin(&dev, 0);
	/* The I/O APIC, the device itself, the local APIC. */
	vio_queue(&dev, TX, SIZE, (void *)(uintptr_t)0xfec00000, (void *)(uintptr_t)0xe0010000,
		  (void *)(uintptr_t)0xfee00000);
	vio_live(&dev);
}

static void check_hostile(void)
{
	static const struct {
		void (*do_it)(void);
		const char *what;
	} ways[] = {
		{ loop, "a loop" },
		{ beyond_ram, "a buffer where no RAM is" },
		{ vmm_memory, "a buffer at the end of all addresses" },
		{ bad_next, "a descriptor that does not exist" },
		{ indirect_loop, "an indirect table in itself" },
		{ no_rings, "rings in device memory" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		bring_up(i & 1);
		ways[i].do_it();
		vio_kick(&dev, TX);
		report(STATUS == 0x4f, "%s: the device needs a reset: %x", ways[i].what, STATUS);
		report(*used_idx(TX) == 0, "and has used nothing");
	}
	bring_up(false);
	report(STATUS == 15, "a reset mends it");
}

/* --- what a kick costs: of a queue that does not exist, so that it is the way there alone --- */

#define N    200
#define RUNS 6

#define MEASURE(name, text, target)                                                             \
	do {                                                                                    \
		u64 best = ~0ULL;                                                               \
		for (unsigned int run = 0; run < RUNS; run++) {                                 \
			u64 start = rdtsc();                                                    \
			for (unsigned int n = 0; n < N; n++)                                    \
				__asm__ volatile(text : : "a"((u16)9), "d"(target) : "memory"); \
			best = MIN(best, rdtsc() - start);                                      \
		}                                                                               \
		say(name " %lu", best / N);                                                     \
	} while (0)

void guest_main(void)
{
	vio_find(&dev, SLOT);
	check_discovery();
	check_sending();
	check_msix();
	check_pin();
	check_moving();
	check_hostile();
	check_resets();
	bring_up(false);
	MEASURE("kick by port", "out %%ax, %%dx", dev.port);
	MEASURE("kick by memory", "mov %%ax, (%%rdx)", dev.memory);
	STATUS = 0;
}
