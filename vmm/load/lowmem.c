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

bool lowmem_write(const struct guest_mem *mem, enum guest_mode mode, const char *cmdline,
		  struct guest_entry *entry)
{
	*entry = (struct guest_entry){ .mode = mode };
	if (mode == GUEST_LONG64) {
		entry->cr3 = LOWMEM_PAGE_TABLES;
		if (!write_page_tables(mem))
			return false;
	}
	return write_gdt(mem, mode, entry) &&
	       guest_write(mem, LOWMEM_CMDLINE, cmdline, strlen(cmdline) + 1);
}
