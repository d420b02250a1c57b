/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first MiB of a guest as a loader leaves it. Everything here is written before the guest runs,
 * and is the guest's to reuse once it has read it, but for what e820 calls reserved.
 *
 *	0x00000  +-----------------------------+
 *	         | zero: no IVT                |
 *	0x00400  +-----------------------------+
 *	         | BIOS data: COM1, EBDA, size |
 *	0x01000  +-----------------------------+
 *	         | GDT                         |
 *	0x02000  +-----------------------------+
 *	         | Linux: boot_params          |  "zero page"; RSI
 *	         | Multiboot: information      |  and memory map; EBX
 *	0x03000  +-----------------------------+
 *	         | command line                |  up to 4095 bytes and a NUL
 *	0x04000  +-----------------------------+
 *	         | Multiboot: modules          |  their list and their strings
 *	0x05000  +-----------------------------+
 *	         | free                        |
 *	0x08000  +-----------------------------+
 *	         | page tables (Linux)         |  PML4, PDPT, 4 page directories
 *	0x0e000  +-----------------------------+
 *	         | free                        |  a guest starts its other CPUs from here
 *	0x9fc00  +-----------------------------+
 *	         | reserved: extended BIOS     |
 *	         | data area, empty            |
 *	0xa0000  +-----------------------------+
 *	         | no RAM (VGA)                |
 *	0xe0000  +-----------------------------+
 *	         | reserved: ACPI tables       |  written by their owner
 *	0xfe05b  +-----------------------------+
 *	         | reserved: code that resets  |
 *	0xffff0  +-----------------------------+
 *	         | a far jump to it            |  where a processor starts
 *	0x100000 +-----------------------------+
 */
#ifndef VMM_LOAD_LOWMEM_H
#define VMM_LOAD_LOWMEM_H

#include "lib/guest_mem.h"
#include "lib/types.h"
#include "vmm/load/guest_entry.h"

#define LOWMEM_BIOS_DATA    0x00400
#define LOWMEM_GDT          0x01000
#define LOWMEM_INFO         0x02000
#define LOWMEM_CMDLINE      0x03000
#define LOWMEM_CMDLINE_SIZE 0x01000
#define LOWMEM_MODULES      0x04000
#define LOWMEM_PAGE_TABLES  0x08000
#define LOWMEM_USABLE_END   0x9fc00
#define LOWMEM_EBDA_END     0xa0000
#define LOWMEM_ROM          0xe0000
#define LOWMEM_BIOS_CODE    0xfe05b /* where an IBM PC's power-on self-test begins */
#define LOWMEM_RESET_VECTOR 0xffff0
#define LOWMEM_END          0x100000

#define GUEST_BOOT_CS       0x10 /* the selectors that Linux's boot protocol prescribes */
#define GUEST_BOOT_DS       0x18

/*
 * Write what is left of a BIOS, the GDT, for GUEST_LONG64 the page tables, and the command line, and fill @entry but for
 * rip and the general registers. The command line is shorter than LOWMEM_CMDLINE_SIZE.
 * False when there is no RAM there.
 */
bool lowmem_write(const struct guest_mem *mem, enum guest_mode mode, const char *cmdline,
		  struct guest_entry *entry) __must_check;

#endif
