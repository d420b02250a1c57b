/*
 * The virtio console over PCI, as a driver other than Linux's might use it: notified by port and by
 * memory, with MSI-X and with the pin, its BARs moved, reset a thousand times, and with rings that no
 * driver may make.
 */
#include "micro.h"
#include "lib/string.h"
#include "virtio/virtqueue.h"

#define SLOT        1
#define PCI_IO      0xc000u
#define PCI_IO_END  0xcfffu
#define PCI_MEM     0xe0000000u
#define PCI_MEM_END 0xefffffffu
#define PIN_LINE    11 /* of slot 1 */

enum { RX, TX };
enum { COMMON = 1, NOTIFY, ISR, DEVICE };

/* --- configuration space --- */

static u32 pci_read(u32 reg)
{
	outl(0xcf8, 0x80000000 | SLOT << 11 | (reg & 0xfc));
	return inl(0xcfc);
}

static void pci_write(u32 reg, u32 value)
{
	outl(0xcf8, 0x80000000 | SLOT << 11 | (reg & 0xfc));
	outl(0xcfc, value);
}

static u32 pci_read8(u32 reg)
{
	return pci_read(reg) >> 8 * (reg & 3) & 0xff;
}

#define BAR(n) (0x10 + 4 * (n))

static u32 notify_port;
static volatile u8 *registers, *msix, *notify_memory;

static u32 bar_base(u32 bar)
{
	u32 value = pci_read(BAR(bar));

	return value & 1 ? value & ~3u : value & ~15u;
}

/* The @n-th capability of @type: its offset, or 0. */
static u32 find_cap(u32 type, unsigned int n)
{
	for (u32 at = pci_read8(0x34), left = 48; at && left; at = pci_read8(at + 1), left--) {
		if (pci_read8(at) == 9 && pci_read8(at + 3) == type && !n--)
			return at;
	}
	return 0;
}

static u32 find_msix(void)
{
	u32 at = pci_read8(0x34);

	for (unsigned int left = 48; at && pci_read8(at) != 0x11 && left; left--)
		at = pci_read8(at + 1);
	return at;
}

static void find_bars(void)
{
	u32 memory = find_cap(NOTIFY, 1);

	notify_port = bar_base(pci_read8(find_cap(NOTIFY, 0) + 4));
	registers = (u8 *)(uintptr_t)bar_base(pci_read8(find_cap(COMMON, 0) + 4));
	msix = (u8 *)(uintptr_t)bar_base(pci_read(find_msix() + 4) & 7);
	notify_memory = (u8 *)(uintptr_t)bar_base(pci_read8(memory + 4)) + pci_read(memory + 8);
}

/* --- registers --- */

#define R8(off)  (*(volatile u8 *)(registers + (off)))
#define R16(off) (*(volatile u16 *)(registers + (off)))
#define R32(off) (*(volatile u32 *)(registers + (off)))
#define STATUS   R8(20)
#define ISR_REG  R8(pci_read(find_cap(ISR, 0) + 8))

/* --- a driver --- */

#define SIZE 8

static struct ring {
	_Alignas(4096) struct virtq_desc desc[SIZE];
	struct {
		u16 flags, idx, ring[SIZE], event;
	} avail;
	_Alignas(64) struct {
		u16 flags, idx;
		struct virtq_used_elem ring[SIZE];
		u16 event;
	} used;
} rings[2];

static volatile u16 *used_idx(unsigned int q)
{
	return &rings[q].used.idx;
}

static void bring_up(bool event_idx)
{
	memset(rings, 0, sizeof(rings));
	STATUS = 0;
	STATUS = 1;
	STATUS = 3;
	R32(8) = 0;
	R32(12) = event_idx ? BIT(29) : 0;
	R32(8) = 1;
	R32(12) = 1;
	STATUS = 11;
	for (u16 q = 0; q < 2; q++) {
		R16(22) = q;
		R16(24) = SIZE;
		R16(26) = q;
		R32(32) = (u32)(uintptr_t)rings[q].desc;
		R32(40) = (u32)(uintptr_t)&rings[q].avail;
		R32(48) = (u32)(uintptr_t)&rings[q].used;
		R16(28) = 1;
	}
	R16(16) = 2;
	STATUS = 15;
}

static void add(unsigned int q, const void *data, u32 len, u16 flags, u16 next)
{
	struct ring *r = &rings[q];
	u16 slot = r->avail.idx % SIZE;

	r->desc[slot] = (struct virtq_desc){ (u64)(uintptr_t)data, len, flags, next };
	r->avail.ring[slot] = slot;
	__asm__ volatile("" : : : "memory");
	r->avail.idx++;
	__asm__ volatile("" : : : "memory");
}

static void kick(u16 q)
{
	outw((u16)notify_port, q);
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
	report(pci_read(0) == 0x10431af4, "a virtio console: %x", pci_read(0));
	report(pci_read(8) >> 8 == 0x078000, "its class: %x", pci_read(8));
	report(notify_port >= PCI_IO && notify_port <= PCI_IO_END, "I/O BAR at %x", notify_port);
	report((u64)(uintptr_t)registers >= PCI_MEM && (u64)(uintptr_t)registers <= PCI_MEM_END,
	       "memory BAR at %p", (const void *)registers);
	report((pci_read(4) & 3) == 3, "both decode");
	report((pci_read(0x3c) & 0xffff) == (0x100 | PIN_LINE), "INTA, line %u", PIN_LINE);
	report(R16(18) == 2, "two queues: %u", R16(18));
}

static void check_sending(void)
{
	bring_up(false);
	report(STATUS == 15, "the device lives: %x", STATUS);
	send("virtio: these words went by a virtqueue\r\n");
	kick(TX);
	report(*used_idx(TX) == 1, "sent when the OUT is done: %u", *used_idx(TX));
	send("virtio: these by a kick in memory\r\n");
	*(volatile u16 *)(notify_memory + 4 * TX) = TX;
	report(*used_idx(TX) == 2, "sent when the MOV is done: %u", *used_idx(TX));
	report(rings[TX].used.ring[1].id == 1, "by its name");
}

static void msix_entry(unsigned int entry, u8 vector)
{
	volatile u32 *e = (volatile u32 *)(msix + 16 * entry);

	e[0] = 0xfee00000 | lapic_read(0x20) >> 24 << 12;
	e[1] = 0;
	e[2] = vector;
	e[3] = 0;
}

static void enable_msix(bool on)
{
	u32 cap = find_msix();

	pci_write(cap, (pci_read(cap) & 0x3fffffff) | (on ? 0x80000000 : 0));
}

static void break_ring(void)
{
	rings[TX].avail.idx = (u16)(rings[TX].avail.idx + 100);
	kick(TX);
}

static void check_msix(void)
{
	irq_end = END_LAPIC;
	msix_entry(TX, 0x61);
	msix_entry(2, 0x62);
	enable_msix(true);
	bring_up(true);
	irq_clear();
	send("x");
	kick(TX);
	report(wait_irq(0x61, 1, 100000), "MSI-X tells of what was sent, after a lull");
	report(irq_total == 1, "once: %u", irq_total);
	rings[TX].avail.event = 1; /* the next one */
	send("y");
	send("z\r\n");
	kick(TX);
	report(wait_irq(0x61, 2, 100000), "and of the next, for which the event index asks");
	rings[TX].avail.event = 7;
	send("-\r\n");
	kick(TX);
	report(!wait_irq(0x61, 3, 100000), "but not of one that it does not ask for");
	break_ring();
	report(wait_irq(0x62, 1, 1000), "a broken ring is a change of configuration");
	report(STATUS == 0x4f, "DEVICE_NEEDS_RESET: %x", STATUS);
	enable_msix(false);
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
	report(ISR_REG == 2, "until ISR is read");
	lapic_write(0xb0, 0);
	report(!wait_irq(0x63, 3, 1000), "then it is not");
	ioapic_write(0x10 + 2 * PIN_LINE, 0x10000);
}

static void check_moving(void)
{
	u32 memory = pci_read(BAR(1)), port = pci_read(BAR(0));
	volatile u16 *old = (volatile u16 *)(registers + 18);
	u8 *ram = (u8 *)(uintptr_t)0xa00000;

	bring_up(false);
	pci_write(BAR(1), 0xe8000000);
	report(*(volatile u16 *)(uintptr_t)0xe8000012 == 2, "a moved BAR answers where it is");
	report(*old == 0xffff, "and no longer where it was: %x", *old);
	pci_write(BAR(0), 0xc801);
	notify_port = 0xc800;
	send("virtio: by a port that was moved\r\n");
	kick(TX);
	report(*used_idx(TX) == 1, "so does one of ports");
	pci_write(BAR(0), 0x10001);
	pci_write(BAR(0), 0x3f9); /* over the serial port, which was there first */
	report(inb(0x3fd) != 0xff, "of two devices at one port, the first answers");
	pci_write(BAR(0), port);
	ram[18] = 0x5a;
	pci_write(BAR(1), (u32)(uintptr_t)ram);
	report(ram[18] == 0x5a, "under RAM it cannot be reached");
	pci_write(BAR(1), memory);
	pci_write(4, pci_read(4) & 0xfffc);
	report(*old == 0xffff, "switched off it does not answer");
	outw((u16)bar_base(0), TX);
	pci_write(4, (pci_read(4) & 0xffff) | 3);
	report(*old == 2 && STATUS == 15, "and is as it was afterwards");
	find_bars();
}

static void check_resets(void)
{
	unsigned int alive = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		bring_up(i & 1);
		add(RX, (void *)(uintptr_t)0xa10000, 100, VIRTQ_DESC_WRITE, 0);
		kick(RX);
		if (i % 3)
			send(i % 100 ? "" : ".");
		if (i % 5 == 0)
			break_ring();
		kick(TX);
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
	STATUS = 0;
	STATUS = 3;
	R32(8) = 1;
	R32(12) = 1;
	STATUS = 11;
	R16(22) = TX;
	R32(32) = 0xfec00000; /* the I/O APIC */
	R32(40) = 0xe0010000; /* the device itself */
	R32(48) = 0xfee00000;
	R16(28) = 1;
	STATUS = 15;
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
		kick(TX);
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
	find_bars();
	check_discovery();
	check_sending();
	check_msix();
	check_pin();
	check_moving();
	check_hostile();
	check_resets();
	bring_up(false);
	MEASURE("kick by port", "out %%ax, %%dx", (u16)notify_port);
	MEASURE("kick by memory", "mov %%ax, (%%rdx)", notify_memory);
	STATUS = 0;
}
