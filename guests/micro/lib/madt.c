/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI's tables, and the CPUs that they name. ACPI specification, "Multiple APIC Description Table (MADT)". */
#include "smp.h"
#include "lib/string.h"

#define RSDP_FIRST 0xe0000UL
#define RSDP_END   0x100000UL

struct rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
} __packed;

struct table {
	char signature[4];
	u32 length;
	u8 rest[28];
} __packed;

struct madt {
	struct table header;
	u32 lapic, flags;
} __packed;

/* Local APIC and Local x2APIC structures, as far as needed. */
struct madt_entry {
	u8 type, length;
	union {
		struct {
			u8 uid, apic_id;
			u32 flags;
		} __packed lapic;
		struct {
			u16 reserved;
			u32 apic_id, flags, uid;
		} __packed x2apic;
	};
} __packed;

#define MADT_LAPIC   0
#define MADT_X2APIC  9
#define MADT_ENABLED 1

static const struct rsdp *find_rsdp(void)
{
	for (u64 at = RSDP_FIRST; at < RSDP_END; at += 16) {
		if (!memcmp((const void *)at, "RSD PTR ", 8))
			return (const void *)at;
	}
	return NULL;
}

/* The RSDT has addresses of 32 bits, the XSDT of 64. */
const void *acpi_table(const char *signature)
{
	const struct rsdp *rsdp = find_rsdp();
	bool wide = rsdp && rsdp->revision >= 2 && rsdp->xsdt;
	const struct table *root;
	size_t size = wide ? 8 : 4;

	if (!rsdp)
		return NULL;
	root = (const void *)(wide ? rsdp->xsdt : rsdp->rsdt);
	for (size_t at = sizeof(*root); at + size <= root->length; at += size) {
		u64 address = 0;
		const struct table *table;

		memcpy(&address, (const u8 *)root + at, size);
		table = (const void *)address;
		if (!memcmp(table->signature, signature, 4))
			return table;
	}
	return NULL;
}

unsigned int madt_cpus(u32 *apic_ids, unsigned int most)
{
	const struct madt *madt = acpi_table("APIC");
	const u8 *at, *end;
	unsigned int n = 0;

	if (!madt)
		return 0;
	at = (const u8 *)(madt + 1);
	end = (const u8 *)madt + madt->header.length;
	while (at + 2 <= end && at[1] && n < most) {
		const struct madt_entry *e = (const void *)at;

		if (e->type == MADT_LAPIC && e->lapic.flags & MADT_ENABLED)
			apic_ids[n++] = e->lapic.apic_id;
		else if (e->type == MADT_X2APIC && e->x2apic.flags & MADT_ENABLED)
			apic_ids[n++] = e->x2apic.apic_id;
		at += e->length;
	}
	return n;
}
