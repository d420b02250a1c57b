/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports and memory: of devices in the hypervisor, of devices elsewhere, and of none. */
#include "bench.h"

#define ELCR       0x4d0 /* of the interrupt controllers: in the kernel, under KVM */
#define POST_CODE  0x80
#define IOAPIC     0xfec00000UL
#define STRING     64
#define LARGE_PAGE MIB(2)

/* ACPI specification, "Fixed ACPI Description Table (FADT)". */
#define FADT_PM_TMR_BLK 76

static u16 pm_timer, kick_port;
static volatile u16 *kick_memory;

static const char *find_pm_timer(void)
{
	const u8 *fadt = acpi_table("FACP");
	u32 block;

	if (!fadt)
		return "no FADT";
	block = *(const u32 *)(const void *)(fadt + FADT_PM_TMR_BLK);
	pm_timer = (u16)block;
	return block ? NULL : "no PM timer";
}

static void do_inl_from_pmtimer(void)
{
	(void)inl(pm_timer);
}

static void do_inl_from_kernel(void)
{
	(void)inb(ELCR);
}

static void do_outl_to_kernel(void)
{
	outb(ELCR, 0);
}

static void do_outs(void)
{
	static const u8 text[STRING];
	const void *from = text;
	u64 n = STRING;

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(POST_CODE) : "memory");
}

static void do_mmio_read(void)
{
	(void)*(volatile u32 *)IOAPIC;
}

static void do_mmio_write(void)
{
	*(volatile u32 *)IOAPIC = 0;
}

/* --- the first touch of guest RAM: each large page once, behind the image and what the loader put there --- */

static u64 next_page, end_of_ram;

static const char *find_ram(void)
{
	end_of_ram = ALIGN_DOWN(MIB(1) + KIB(multiboot->mem_upper), LARGE_PAGE);
	end_of_ram = MIN(end_of_ram, GIB(3));
	if (!next_page)
		next_page = ALIGN_UP((u64)(uintptr_t)image_end + MIB(8), LARGE_PAGE);
	return end_of_ram >= next_page + 8 * LARGE_PAGE ? NULL : "not enough memory, or used up";
}

static void do_touch(void)
{
	if (next_page < end_of_ram)
		*(volatile u8 *)(uintptr_t)next_page = 1;
	next_page += LARGE_PAGE;
}

static const char *touched(u64 executed)
{
	(void)executed;
	return next_page <= end_of_ram ? NULL : "ran out of memory";
}

/* --- a kick of a virtio queue that does not exist: the way there, and nothing else --- */

#define VIRTIO_VENDOR 0x1af4
#define CAP_VENDOR    9
#define CAP_COMMON    1
#define CAP_NOTIFY    2
#define NO_QUEUE      9

static u32 pci_slot;

static u32 pci_read(u32 reg)
{
	outl(0xcf8, 0x80000000 | pci_slot << 11 | (reg & 0xfc));
	return inl(0xcfc) >> 8 * (reg & 3);
}

/* The @n-th capability of virtio's @type, or 0. */
static u32 find_capability(u32 type, unsigned int n)
{
	u32 at = pci_read(0x34) & 0xff;

	for (unsigned int left = 48; at && left; left--, at = pci_read(at + 1) & 0xff) {
		if ((pci_read(at) & 0xff) == CAP_VENDOR && (pci_read(at + 3) & 0xff) == type &&
		    !n--)
			return at;
	}
	return 0;
}

static u32 place_of(u32 capability)
{
	u32 bar = pci_read(0x10 + 4 * (pci_read(capability + 4) & 0xff));

	return (bar & 1 ? bar & ~3u : bar & ~15u) + pci_read(capability + 8);
}

static bool find_virtio(void)
{
	for (pci_slot = 0; pci_slot < 32; pci_slot++) {
		u32 id = pci_read(0);

		if ((id & 0xffff) == VIRTIO_VENDOR && id >> 16 >= 0x1040)
			return true;
	}
	return false;
}

/* As far as a driver with nothing to say comes: a device that is not ready may ignore kicks. */
static void make_ready(void)
{
	volatile u8 *common = (volatile u8 *)(uintptr_t)place_of(find_capability(CAP_COMMON, 0));
	volatile u8 *status = common + 20;

	*status = 0;
	*status = 3;
	*(volatile u32 *)(volatile void *)(common + 8) = 1; /* features 32-63: VERSION_1 */
	*(volatile u32 *)(volatile void *)(common + 12) = 1;
	*status = 11;
	*status = 15;
}

/* By PCI, or where "kick-port=" and "kick-memory=" (decimal) say: a runner without a device behind. */
static const char *find_kicks(void)
{
	kick_port = (u16)option_number("kick-port", 0);
	kick_memory = (volatile u16 *)(uintptr_t)option_number("kick-memory", 0);
	if (kick_port || kick_memory)
		return NULL;
	if (!find_virtio())
		return "no virtio device";
	if (!find_capability(CAP_NOTIFY, 1))
		return "no virtio device that is notified by port and by memory";
	make_ready();
	kick_port = (u16)place_of(find_capability(CAP_NOTIFY, 0));
	kick_memory = (volatile u16 *)(uintptr_t)place_of(find_capability(CAP_NOTIFY, 1));
	return NULL;
}

static void do_kick_port(void)
{
	outw(kick_port, NO_QUEUE);
}

static void do_kick_memory(void)
{
	*kick_memory = NO_QUEUE;
}

const struct op io_ops[] = {
	{ "inl_from_pmtimer", do_inl_from_pmtimer, .begin = find_pm_timer },
	{ "inl_from_kernel", do_inl_from_kernel },
	{ "outl_to_kernel", do_outl_to_kernel },
	{ "outs_64_bytes", do_outs, .most = 100 },
	{ "mmio_read", do_mmio_read },
	{ "mmio_write", do_mmio_write },
	{ "ept_violation", do_touch, .begin = find_ram, .end = touched, .most = 64 },
	{ "virtio_kick_port", do_kick_port, .begin = find_kicks },
	{ "virtio_kick_mmio", do_kick_memory, .begin = find_kicks },
	{ 0 },
};
