/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/lowmem.h"
#include "lib/string.h"

#define PTE_PRESENT BIT(0)
#define PTE_WRITE   BIT(1)
#define PTE_LARGE   BIT(7)
#define PTES        512

/* Flat segments of privilege level 0, marked accessed: SDM, "Segment Descriptors". */
#define DESC_CODE64 0x00af9b000000ffffULL
#define DESC_CODE32 0x00cf9b000000ffffULL
#define DESC_DATA   0x00cf93000000ffffULL

static bool write_gdt(const struct guest_mem *mem, enum guest_mode mode, struct guest_entry *entry)
{
	u64 gdt[GUEST_BOOT_DS / 8 + 1] = { 0 };

	gdt[GUEST_BOOT_CS / 8] = mode == GUEST_LONG64 ? DESC_CODE64 : DESC_CODE32;
	gdt[GUEST_BOOT_DS / 8] = DESC_DATA;
	entry->gdt_base = LOWMEM_GDT;
	entry->gdt_limit = sizeof(gdt) - 1;
	entry->cs = GUEST_BOOT_CS;
	entry->ds = GUEST_BOOT_DS;
	return guest_write(mem, LOWMEM_GDT, gdt, sizeof(gdt));
}

static bool write_entries(const struct guest_mem *mem, gpa_t table, unsigned int n, u64 first,
			  u64 step)
{
	bool ok = guest_clear(mem, table, PAGE_SIZE);

	for (unsigned int i = 0; i < n; i++) {
		const u64 entry = first + i * step;

		ok = ok && guest_write(mem, table + i * sizeof(entry), &entry, sizeof(entry));
	}
	return ok;
}

/* 4 GiB one to one in 2 MiB pages, which every x86-64 processor has. */
static bool write_page_tables(const struct guest_mem *mem)
{
	const u64 table = PTE_PRESENT | PTE_WRITE;
	const gpa_t pml4 = LOWMEM_PAGE_TABLES, pdpt = pml4 + PAGE_SIZE, pd = pdpt + PAGE_SIZE;
	bool ok;

	ok = write_entries(mem, pml4, 1, pdpt | table, 0) &&
	     write_entries(mem, pdpt, 4, pd | table, PAGE_SIZE);
	for (unsigned int i = 0; i < 4; i++)
		ok = ok && write_entries(mem, pd + i * PAGE_SIZE, PTES, GIB(i) | table | PTE_LARGE,
					 MIB(2));
	return ok;
}

/* The BIOS data area, as far as anybody looks at it who does not call a BIOS. */
struct bios_data {
	u16 com[4];
	u16 lpt[3];
	u16 ebda_segment;
	u16 equipment;
	u8 post_status;
	u16 low_memory; /* KiB */
} __packed;

_Static_assert(offsetof(struct bios_data, ebda_segment) == 0x0e, "40:0E");
_Static_assert(offsetof(struct bios_data, low_memory) == 0x13, "40:13");

#define EQUIPMENT_SERIAL_PORTS(n) ((n) << 9)

/* A boot loader or kernel (Xen, SYSLINUX) finds the end of low memory here, and its trampoline's place by it. */
static bool write_bios_data(const struct guest_mem *mem)
{
	const struct bios_data data = {
		.com = { 0x3f8 },
		.ebda_segment = LOWMEM_USABLE_END / 16,
		.equipment = EQUIPMENT_SERIAL_PORTS(1),
		.low_memory = LOWMEM_USABLE_END / 1024,
	};
	const u8 ebda_size = (LOWMEM_EBDA_END - LOWMEM_USABLE_END) / 1024;

	return guest_write(mem, LOWMEM_BIOS_DATA, &data, sizeof(data)) &&
	       guest_write(mem, LOWMEM_USABLE_END, &ebda_size, 1);
}

/* Who jumps to the reset vector wants a reset: Linux with reboot=bios, in real mode. */
static bool write_reset_code(const struct guest_mem *mem)
{
	static const u8 vector[] = { 0xea, 0x5b, 0xe0, 0x00, 0xf0 }; /* jmp f000:e05b */
	static const u8 code[] = {
		0xba, 0xf9, 0x0c, /* mov dx, 0cf9h */
		0xb0, 0x06,       /* mov al, 6: VRESET_CONTROL_RESET */
		0xee,             /* out dx, al */
		0xfa, 0xf4,       /* cli; hlt */
		0xeb, 0xfc,       /* jmp to the cli */
	};

	_Static_assert(LOWMEM_BIOS_CODE == 0xf0000 + 0xe05b, "the far jump");
	return guest_write(mem, LOWMEM_RESET_VECTOR, vector, sizeof(vector)) &&
	       guest_write(mem, LOWMEM_BIOS_CODE, code, sizeof(code));
}

bool lowmem_write(const struct guest_mem *mem, enum guest_mode mode, const char *cmdline,
		  struct guest_entry *entry)
{
	*entry = (struct guest_entry){ .mode = mode };
	if (mode == GUEST_LONG64) {
		entry->cr3 = LOWMEM_PAGE_TABLES;
		if (!write_page_tables(mem))
			return false;
	}
	return write_bios_data(mem) && write_reset_code(mem) && write_gdt(mem, mode, entry) &&
	       guest_write(mem, LOWMEM_CMDLINE, cmdline, strlen(cmdline) + 1);
}
