/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the host's ACPI tables say. They are the firmware's, and not trusted: each table is taken
 * only when its length and its checksum are right, and is never read beyond them. What is missing
 * keeps its default, and is said.
 */
#ifndef VMM_HOST_ACPI_H
#define VMM_HOST_ACPI_H

#include "lib/types.h"

#define ACPI_MAX_CPUS      256
#define ACPI_MAX_IOAPICS   16
#define ACPI_MAX_OVERRIDES 32
#define ACPI_MAX_MCFG      16

struct acpi_cpu {
	u32 apic_id;
	u32 uid; /* of the processor object in the namespace */
};

struct acpi_ioapic {
	u32 id;
	u32 gsi_base;
	hpa_t address;
};

/* ISA interrupt @irq arrives as @gsi; flags as in the MADT (bits 1:0 polarity, 3:2 trigger). */
struct acpi_override {
	u8 irq;
	u16 flags;
	u32 gsi;
};

/* Configuration space of PCI buses first_bus to last_bus of @segment; @base is that of bus 0. */
struct acpi_mcfg {
	hpa_t base;
	u16 segment;
	u8 first_bus, last_bus;
};

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

struct acpi_register {
	enum acpi_space space;
	u64 address; /* 0 = there is none */
};

struct acpi_info {
	bool present;   /* RSDP and a root table were good */
	char oem_id[7]; /* of the root table, without trailing blanks: "BOCHS" */
	char oem_table_id[9];

	/* MADT; only usable processors. Without one: none, the caller has the boot CPU. */
	unsigned int cpus, ioapics, overrides;
	struct acpi_cpu cpu[ACPI_MAX_CPUS];
	struct acpi_ioapic ioapic[ACPI_MAX_IOAPICS];
	struct acpi_override override[ACPI_MAX_OVERRIDES];
	hpa_t lapic;   /* 0xfee00000 unless told otherwise */
	bool has_8259; /* must be masked before the I/O APIC is used */

	/* FADT. Ports are 0 where there is none. */
	u16 sci_irq;
	u16 pm_timer_port;
	bool pm_timer_32bit;
	u16 pm1a_control, pm1b_control;
	u16 smi_command;
	u8 acpi_enable; /* written to smi_command turns ACPI mode on; 0 = it is always on */
	bool hardware_reduced;
	struct acpi_register reset;
	u8 reset_value;

	/* \_S5_ of the DSDT */
	bool has_s5;
	u8 s5_a, s5_b; /* SLP_TYP values for PM1a and PM1b */

	unsigned int mcfgs;
	struct acpi_mcfg mcfg[ACPI_MAX_MCFG];
};

/* How tables are reached: copy @len bytes at @addr, false when there is nothing to read there. */
struct acpi_memory {
	bool (*read)(void *ctx, hpa_t addr, void *buf, size_t len);
	void *ctx;
};

/* Fill @info from the RSDP at @rsdp (0 = none). Always leaves @info usable. */
void acpi_parse(struct acpi_info *info, hpa_t rsdp, const struct acpi_memory *memory);

/* acpi_parse of this machine's memory, as far as hostpt maps it. */
void acpi_init(struct acpi_info *info, hpa_t rsdp);

/* One or two lines: what was found. */
void acpi_print(const struct acpi_info *info);

#endif
