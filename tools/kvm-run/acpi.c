/* The tables that the guest looks into: which CPUs there are, and where the PM timer is. */
#include "kvm-run.h"

#include <string.h>

#define TABLES     0xe0000u
#define SIZE_RSDP  36
#define SIZE_HEAD  36
#define SIZE_FADT  244
#define FADT_TIMER 76 /* PM_TMR_BLK */
#define FADT_LEN   91 /* PM_TMR_LEN */

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

/* "Multiple APIC Description Table (MADT)", with a "Processor Local APIC Structure" for each CPU. */
static uint32_t make_madt(uint8_t *t, unsigned int cpus)
{
	uint32_t size = SIZE_HEAD + 8 + 8 * cpus;

	begin_table(t, "APIC", size, 3);
	put32(t + SIZE_HEAD, 0xfee00000);
	for (unsigned int i = 0; i < cpus; i++) {
		uint8_t entry[8] = { 0, 8, (uint8_t)i, (uint8_t)i, 1 };

		memcpy(t + SIZE_HEAD + 8 + 8 * (size_t)i, entry, sizeof(entry));
	}
	end_table(t, size);
	return size;
}

void make_acpi(struct machine *m)
{
	uint8_t *base = m->memory + TABLES, *rsdp = base, *xsdt = base + 64, *fadt = base + 256,
		*madt = base + 512;
	uint64_t tables[] = { TABLES + 256, TABLES + 512 };

	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "LINTEL", 6);
	rsdp[15] = 2;
	put32(rsdp + 20, SIZE_RSDP);
	put32(rsdp + 24, TABLES + 64);
	rsdp[8] = (uint8_t)-sum(rsdp, 20);
	rsdp[32] = (uint8_t)-sum(rsdp, SIZE_RSDP);
	begin_table(xsdt, "XSDT", SIZE_HEAD + sizeof(tables), 1);
	memcpy(xsdt + SIZE_HEAD, tables, sizeof(tables));
	end_table(xsdt, SIZE_HEAD + sizeof(tables));
	begin_table(fadt, "FACP", SIZE_FADT, 3);
	put32(fadt + FADT_TIMER, PM_TIMER_PORT);
	fadt[FADT_LEN] = 4;
	end_table(fadt, SIZE_FADT);
	(void)make_madt(madt, m->cpus);
}
