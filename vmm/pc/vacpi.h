/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's ACPI tables: what hardware is there, where it is, and what is not worth a look. */
#ifndef VMM_PC_VACPI_H
#define VMM_PC_VACPI_H

#include "lib/guest_mem.h"

#define VACPI_BASE     0xe0000 /* where an operating system searches, on a PC without EFI */
#define VACPI_SIZE     0x1e000 /* what is left of a BIOS lies behind: lowmem.h */
#define VACPI_MAX_CPUS 16

struct vacpi_config {
	unsigned int cpus; /* 1 to VACPI_MAX_CPUS; their APIC IDs count from 0 */
	u8 ioapic_id;      /* as the guest's I/O APIC says itself */
	u16 pm_base;       /* first port of the vacpi_pm block */
	bool pci;          /* there is something on the PCI bus */
};

/*
 * Write the tables to guest memory from VACPI_BASE on; the RSDP lies right there, and nothing
 * passes VACPI_BASE + VACPI_SIZE. -EINVAL: no such number of CPUs; -EFAULT: no RAM there.
 */
int vacpi_build(const struct guest_mem *mem, const struct vacpi_config *config) __must_check;

#endif
