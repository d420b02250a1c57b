/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables that the guest looks into: which CPUs and interrupt controllers there are, where ACPI's
 * registers are, and how the machine is switched off.
 */
#include "kvm-run.h"

#include <string.h>

#define SIZE_RSDP 36
#define SIZE_HEAD 36
#define SIZE_FADT 244
#define SIZE_FACS 64

/* Fields of the FADT, by their offset. */
enum {
	FADT_FACS = 36,
	FADT_DSDT = 40,
	FADT_SCI = 46,
	FADT_EVENT = 56,
	FADT_CONTROL = 64,
	FADT_TIMER = 76,
	FADT_EVENT_LEN = 88,
	FADT_CONTROL_LEN = 89,
	FADT_TIMER_LEN = 91,
	FADT_C2_LATENCY = 96,
	FADT_C3_LATENCY = 98,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
};
#define BOOT_ARCH     0x25  /* legacy devices, but no VGA and no RTC; nor, without a bit, an 8042 */
#define FLAGS         0x175 /* WBINVD, C1, no buttons and no RTC there, a timer of 32 bits */
#define LATENCY_NO_C2 101
#define LATENCY_NO_C3 1001

static uint8_t sum(const uint8_t *data, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total = (uint8_t)(total + *data++);
	return total;
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* ACPI specification, "System Description Table Header". The checksum comes last. */
static void begin_table(uint8_t *t, const char *signature, uint32_t size, uint8_t revision)
{
	memcpy(t, signature, 4);
	put32(t + 4, size);
	t[8] = revision;
	memcpy(t + 10, "LINTELKVM-RUN ", 14);
}

static void end_table(uint8_t *t, uint32_t size)
{
	t[9] = (uint8_t)-sum(t, size);
}

/*
 * "Multiple APIC Description Table (MADT)": a local APIC for each CPU, an I/O APIC as KVM has it, line
 * 0 at its pin 2, and the SCI by level.
 */
static void make_madt(uint8_t *t, unsigned int cpus)
{
	static const uint8_t ioapic[12] = { 1, 12, 0, 0, 0, 0, 0xc0, 0xfe };
	static const uint8_t timer[10] = { 2, 10, 0, 0, 2 };
	static const uint8_t sci[10] = { 2, 10, 0, SCI_LINE, SCI_LINE, 0, 0, 0, 0xd };
	uint8_t *at = t + SIZE_HEAD + 8;

	begin_table(t, "APIC", 0, 3);
	put32(t + SIZE_HEAD, 0xfee00000);
	put32(t + SIZE_HEAD + 4, 1); /* there are 8259s, too */
	for (unsigned int i = 0; i < cpus; i++) {
		uint8_t entry[8] = { 0, 8, (uint8_t)i, (uint8_t)i, 1 };

		memcpy(at, entry, sizeof(entry));
		at += sizeof(entry);
	}
	memcpy(at, ioapic, sizeof(ioapic));
	memcpy(at + sizeof(ioapic), timer, sizeof(timer));
	memcpy(at + sizeof(ioapic) + sizeof(timer), sci, sizeof(sci));
	at += sizeof(ioapic) + sizeof(timer) + sizeof(sci);
	put32(t + 4, (uint32_t)(at - t));
	end_table(t, (uint32_t)(at - t));
}

/* Name (_S5, Package (4) { SOFT_OFF, SOFT_OFF, 0, 0 }) */
static void make_dsdt(uint8_t *t)
{
	static const uint8_t aml[] = { 0x08, '_',  'S',      '5',  '_',      0x12, 8,
				       4,    0x0a, SOFT_OFF, 0x0a, SOFT_OFF, 0,    0 };

	begin_table(t, "DSDT", SIZE_HEAD + sizeof(aml), 2);
	memcpy(t + SIZE_HEAD, aml, sizeof(aml));
	end_table(t, SIZE_HEAD + sizeof(aml));
}

static void make_fadt(uint8_t *t, uint32_t facs, uint32_t dsdt)
{
	begin_table(t, "FACP", SIZE_FADT, 3);
	put32(t + FADT_FACS, facs);
	put32(t + FADT_DSDT, dsdt);
	put16(t + FADT_SCI, SCI_LINE);
	put32(t + FADT_EVENT, PM1_EVENT_PORT);
	put32(t + FADT_CONTROL, PM1_CONTROL_PORT);
	put32(t + FADT_TIMER, PM_TIMER_PORT);
	t[FADT_EVENT_LEN] = 4;
	t[FADT_CONTROL_LEN] = 2;
	t[FADT_TIMER_LEN] = 4;
	put16(t + FADT_C2_LATENCY, LATENCY_NO_C2);
	put16(t + FADT_C3_LATENCY, LATENCY_NO_C3);
	put16(t + FADT_BOOT_ARCH, BOOT_ARCH);
	put32(t + FADT_FLAGS, FLAGS);
	end_table(t, SIZE_FADT);
}

/* "Firmware ACPI Control Structure (FACS)": nobody sleeps here, but it has to be there. */
static void make_facs(uint8_t *t)
{
	memcpy(t, "FACS", 4);
	put32(t + 4, SIZE_FACS);
}

/* Offsets of the tables; the FACS is aligned to 64. */
enum { XSDT = 64, FADT = 256, MADT = 512, DSDT = 1024, FACS = 1152 };

void make_acpi(struct machine *m)
{
	uint8_t *base = m->memory + ACPI_TABLES, *rsdp = base, *xsdt = base + XSDT;
	uint64_t tables[] = { ACPI_TABLES + FADT, ACPI_TABLES + MADT };

	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "LINTEL", 6);
	rsdp[15] = 2;
	put32(rsdp + 20, SIZE_RSDP);
	put32(rsdp + 24, ACPI_TABLES + XSDT);
	rsdp[8] = (uint8_t)-sum(rsdp, 20);
	rsdp[32] = (uint8_t)-sum(rsdp, SIZE_RSDP);
	begin_table(xsdt, "XSDT", SIZE_HEAD + sizeof(tables), 1);
	memcpy(xsdt + SIZE_HEAD, tables, sizeof(tables));
	end_table(xsdt, SIZE_HEAD + sizeof(tables));
	make_fadt(base + FADT, ACPI_TABLES + FACS, ACPI_TABLES + DSDT);
	make_madt(base + MADT, m->cpus);
	make_dsdt(base + DSDT);
	make_facs(base + FACS);
}
