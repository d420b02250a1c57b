/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/host/acpi.h"
#include "vmm/host/hostpt.h"

/* No real table is larger; a DSDT has some hundred KiB. */
#define MAX_TABLE     MIB(4)
#define MAX_TABLES    128

#define DEFAULT_LAPIC 0xfee00000ULL

/* ACPI, "System Description Table Header". */
struct header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision, creator_id, creator_revision;
} __packed;
_Static_assert(sizeof(struct header) == 36, "");

/* A table whose header, length and checksum are good. size 0 = there is none. */
struct table {
	const struct acpi_memory *memory;
	hpa_t base;
	u32 size;
};

static bool fetch(const struct acpi_memory *memory, hpa_t addr, void *buf, size_t len)
{
	return addr && len <= ~0ULL - addr && memory->read(memory->ctx, addr, buf, len);
}

/* Copy @len bytes at @off of the table; false when they are not all inside of it. */
static bool table_read(const struct table *t, u64 off, void *buf, size_t len)
{
	return off <= t->size && len <= t->size - off && fetch(t->memory, t->base + off, buf, len);
}

/* A little-endian number of @len bytes; 0 where the table is too short to have the field. */
static u64 table_field(const struct table *t, u64 off, size_t len)
{
	u8 byte[8] = { 0 };
	u64 value = 0;

	if (!table_read(t, off, byte, len))
		return 0;
	for (unsigned int i = 0; i < 8; i++)
		value |= (u64)byte[i] << (8 * i);
	return value;
}

/* Do all bytes add up to 0, and can they all be read? */
static bool sum_is_zero(const struct acpi_memory *memory, hpa_t base, u64 size)
{
	u8 buf[256], sum = 0;

	for (u64 off = 0; off < size; off += sizeof(buf)) {
		size_t len = MIN(size - off, sizeof(buf));

		if (!fetch(memory, base + off, buf, len))
			return false;
		for (size_t i = 0; i < len; i++)
			sum = (u8)(sum + buf[i]);
	}
	return sum == 0;
}

/* Take the table at @addr if it is one and good. Prints what is wrong with it otherwise. */
static bool table_open(struct table *t, const struct acpi_memory *memory, hpa_t addr,
		       const char *signature)
{
	struct header h;

	*t = (struct table){ 0 };
	if (!fetch(memory, addr, &h, sizeof(h)) || memcmp(h.signature, signature, 4) != 0) {
		pr_warn("acpi: there is no %s at 0x%llx\n", signature, (unsigned long long)addr);
		return false;
	}
	if (h.length < sizeof(h) || h.length > MAX_TABLE) {
		pr_warn("acpi: %s: length %u is not possible\n", signature, h.length);
		return false;
	}
	if (!sum_is_zero(memory, addr, h.length)) {
		pr_warn("acpi: %s: bad checksum\n", signature);
		return false;
	}
	*t = (struct table){ memory, addr, h.length };
	return true;
}

/* ACPI, "Root System Description Pointer (RSDP) Structure": 20 bytes, and 16 more since 2.0. */
struct rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __packed;
_Static_assert(sizeof(struct rsdp) == 36, "");

#define RSDP_1_SIZE 20

/* The root table: @entry_size is that of its pointers, 8 (XSDT) or 4 (RSDT). */
static bool open_root(struct table *root, unsigned int *entry_size,
		      const struct acpi_memory *memory, hpa_t addr)
{
	struct rsdp r = { 0 };

	if (!fetch(memory, addr, &r, RSDP_1_SIZE) || memcmp(r.signature, "RSD PTR ", 8) != 0 ||
	    !sum_is_zero(memory, addr, RSDP_1_SIZE)) {
		pr_warn("acpi: there is no valid RSDP at 0x%llx\n", (unsigned long long)addr);
		return false;
	}
	*entry_size = 8;
	if (r.revision >= 2 && fetch(memory, addr, &r, sizeof(r)) && r.length >= sizeof(r) &&
	    r.length <= PAGE_SIZE && sum_is_zero(memory, addr, r.length) && r.xsdt &&
	    table_open(root, memory, r.xsdt, "XSDT"))
		return true;
	*entry_size = 4;
	return r.rsdt && table_open(root, memory, r.rsdt, "RSDT");
}

/* The first good table of that name. Names are compared before anything else is looked at. */
static bool find_table(struct table *t, const struct table *root, unsigned int entry_size,
		       const char *signature)
{
	const u64 first = sizeof(struct header);
	const u64 end = MIN(root->size, first + MAX_TABLES * entry_size);

	for (u64 off = first; off + entry_size <= end; off += entry_size) {
		hpa_t addr = table_field(root, off, entry_size);
		char name[4];

		if (fetch(root->memory, addr, name, 4) && !memcmp(name, signature, 4) &&
		    table_open(t, root->memory, addr, signature))
			return true;
	}
	*t = (struct table){ 0 };
	return false;
}

/* @src of @len bytes without the blanks and NULs at its end; what is not text becomes '?'. */
static void copy_id(char *dst, const char *src, size_t len)
{
	while (len && (src[len - 1] == ' ' || src[len - 1] == '\0'))
		len--;
	for (size_t i = 0; i < len; i++)
		dst[i] = src[i] >= ' ' && src[i] <= '~' ? src[i] : '?';
	dst[len] = '\0';
}

static void read_ids(struct acpi_info *info, const struct table *root)
{
	struct header h;

	if (!table_read(root, 0, &h, sizeof(h)))
		return;
	copy_id(info->oem_id, h.oem_id, sizeof(h.oem_id));
	copy_id(info->oem_table_id, h.oem_table_id, sizeof(h.oem_table_id));
}

/* ---- MADT: ACPI, "Multiple APIC Description Table (MADT)" ---- */

#define MADT_ENTRIES     44
#define MADT_PCAT_COMPAT BIT(0)
#define MADT_ENABLED     BIT(0)

static void add_cpu(struct acpi_info *info, u32 apic_id, u32 uid, u64 flags)
{
	/* What is only "online capable" is an empty socket. */
	if (!(flags & MADT_ENABLED))
		return;
	/* Small ids may be listed in both forms. */
	for (unsigned int i = 0; i < info->cpus; i++)
		if (info->cpu[i].apic_id == apic_id)
			return;
	if (info->cpus < ACPI_MAX_CPUS)
		info->cpu[info->cpus++] = (struct acpi_cpu){ apic_id, uid };
	else
		pr_warn("acpi: MADT: CPU with APIC id %u is one too many\n", apic_id);
}

static void madt_lapic(struct acpi_info *info, const struct table *e)
{
	add_cpu(info, (u32)table_field(e, 3, 1), (u32)table_field(e, 2, 1), table_field(e, 4, 4));
}

static void madt_x2apic(struct acpi_info *info, const struct table *e)
{
	add_cpu(info, (u32)table_field(e, 4, 4), (u32)table_field(e, 12, 4), table_field(e, 8, 4));
}

static void madt_ioapic(struct acpi_info *info, const struct table *e)
{
	if (info->ioapics < ACPI_MAX_IOAPICS)
		info->ioapic[info->ioapics++] = (struct acpi_ioapic){
			.id = (u32)table_field(e, 2, 1),
			.address = table_field(e, 4, 4),
			.gsi_base = (u32)table_field(e, 8, 4),
		};
}

static void madt_override(struct acpi_info *info, const struct table *e)
{
	if (info->overrides < ACPI_MAX_OVERRIDES)
		info->override[info->overrides++] = (struct acpi_override){
			.irq = (u8)table_field(e, 3, 1),
			.gsi = (u32)table_field(e, 4, 4),
			.flags = (u16)table_field(e, 8, 2),
		};
}

static void madt_lapic_address(struct acpi_info *info, const struct table *e)
{
	info->lapic = table_field(e, 4, 8);
}

/* Entries by type; one that is shorter than it has to be is left out. */
static const struct madt_type {
	u8 length;
	void (*take)(struct acpi_info *info, const struct table *entry);
} madt_types[] = {
	[0] = { 8, madt_lapic },          [1] = { 12, madt_ioapic }, [2] = { 10, madt_override },
	[5] = { 12, madt_lapic_address }, [9] = { 16, madt_x2apic },
};

static void parse_madt(struct acpi_info *info, const struct table *t)
{
	u64 lapic = table_field(t, 36, 4);

	info->lapic = lapic ? lapic : DEFAULT_LAPIC;
	info->has_8259 = table_field(t, 40, 4) & MADT_PCAT_COMPAT;
	for (u64 off = MADT_ENTRIES; off + 2 <= t->size;) {
		u8 type = (u8)table_field(t, off, 1), length = (u8)table_field(t, off + 1, 1);
		struct table entry = { t->memory, t->base + off, length };

		if (length < 2 || length > t->size - off) {
			pr_warn("acpi: MADT: entry of %u bytes at %u\n", length, (u32)off);
			break;
		}
		if (type < ARRAY_SIZE(madt_types) && madt_types[type].take &&
		    length >= madt_types[type].length)
			madt_types[type].take(info, &entry);
		off += length;
	}
}

/* ---- FADT: ACPI, "Fixed ACPI Description Table (FADT)" ---- */

#define FADT_TMR_VAL_EXT     BIT(8)
#define FADT_RESET_REG_SUP   BIT(10)
#define FADT_HW_REDUCED_ACPI BIT(20)

/* Generic Address Structure: space, width, offset, access size, address. */
static struct acpi_register gas_field(const struct table *t, u64 off)
{
	return (struct acpi_register){ (enum acpi_space)table_field(t, off, 1),
				       table_field(t, off + 4, 8) };
}

/* A port that the FADT names twice: a GAS at @gas where it is there, else 4 bytes at @old. */
static u16 fadt_port(const struct table *t, u64 gas, u64 old)
{
	struct acpi_register r = gas_field(t, gas);
	u64 port = table_field(t, old, 4);

	if (r.address && r.space == ACPI_SPACE_IO)
		port = r.address;
	return port <= 0xffff ? (u16)port : 0;
}

static void parse_fadt(struct acpi_info *info, const struct table *t)
{
	u64 flags = table_field(t, 112, 4);

	info->sci_irq = (u16)table_field(t, 46, 2);
	info->smi_command = (u16)table_field(t, 48, 4);
	info->acpi_enable = (u8)table_field(t, 52, 1);
	info->pm1a_control = fadt_port(t, 172, 64);
	info->pm1b_control = fadt_port(t, 184, 68);
	info->pm_timer_port = fadt_port(t, 208, 76);
	info->pm_timer_32bit = flags & FADT_TMR_VAL_EXT;
	info->hardware_reduced = flags & FADT_HW_REDUCED_ACPI;
	if (flags & FADT_RESET_REG_SUP) {
		info->reset = gas_field(t, 116);
		info->reset_value = (u8)table_field(t, 128, 1);
	}
}

static hpa_t fadt_dsdt(const struct table *t)
{
	u64 x_dsdt = table_field(t, 140, 8);

	return x_dsdt ? x_dsdt : table_field(t, 40, 4);
}

/* ---- \_S5_: ACPI, "AML Grammar". Name(_S5_, Package { a, b, ... }) by its bytes ---- */

#define AML_ZERO    0x00
#define AML_ONE     0x01
#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_WORD    0x0b
#define AML_PACKAGE 0x12

/* "_S5_" PackageOp PkgLength (1 to 4 bytes) NumElements, and two integers of up to 3 bytes. */
#define S5_MAX (4 + 1 + 4 + 1 + 2 * 3)

/* The integer at *@pos that a package element is; false when it is none, or has more than 3 bits. */
static bool s5_element(const u8 *aml, size_t len, size_t *pos, u8 *value)
{
	size_t size;
	u8 op;

	if (*pos >= len)
		return false;
	op = aml[*pos];
	if (op == AML_ZERO || op == AML_ONE) {
		*value = op;
		++*pos;
		return true;
	}
	size = op == AML_BYTE ? 1 : op == AML_WORD ? 2 : 0;
	if (!size || len - *pos <= size || (size == 2 && aml[*pos + 2]))
		return false;
	*value = aml[*pos + 1];
	*pos += 1 + size;
	return *value <= 7;
}

static bool parse_s5(struct acpi_info *info, const u8 *aml, size_t len)
{
	size_t pos = 4;
	u8 elements;

	if (len < 7 || memcmp(aml, "_S5_", 4) != 0 || aml[pos++] != AML_PACKAGE)
		return false;
	pos += 1 + (aml[pos] >> 6); /* PkgLength says its own size in its two highest bits */
	if (pos >= len)
		return false;
	elements = aml[pos++];
	if (elements < 1 || !s5_element(aml, len, &pos, &info->s5_a))
		return false;
	info->s5_b = info->s5_a;
	return elements < 2 || s5_element(aml, len, &pos, &info->s5_b);
}

/* NameOp stands right before the name, or before the '\' of its path. */
static bool named(const u8 *aml, size_t i)
{
	return (i >= 1 && aml[i - 1] == AML_NAME) ||
	       (i >= 2 && aml[i - 1] == '\\' && aml[i - 2] == AML_NAME);
}

/* Windows of the DSDT that overlap by what one match needs. */
static void find_s5(struct acpi_info *info, const struct table *t)
{
	u8 buf[512];
	const size_t step = sizeof(buf) - S5_MAX - 2;

	for (u64 off = sizeof(struct header); off < t->size && !info->has_s5; off += step) {
		size_t len = MIN(t->size - off, sizeof(buf));

		if (!table_read(t, off, buf, len))
			return;
		for (size_t i = 1; i < len && !info->has_s5; i++)
			info->has_s5 =
				buf[i] == '_' && named(buf, i) && parse_s5(info, buf + i, len - i);
	}
}

/* ---- MCFG: PCI Firmware Specification, "MCFG Table Description" ---- */

static void parse_mcfg(struct acpi_info *info, const struct table *t)
{
	for (u64 off = 44; off + 16 <= t->size && info->mcfgs < ACPI_MAX_MCFG; off += 16) {
		struct acpi_mcfg m = {
			.base = table_field(t, off, 8),
			.segment = (u16)table_field(t, off + 8, 2),
			.first_bus = (u8)table_field(t, off + 10, 1),
			.last_bus = (u8)table_field(t, off + 11, 1),
		};

		if (m.base && m.first_bus <= m.last_bus)
			info->mcfg[info->mcfgs++] = m;
	}
}

static void parse_power(struct acpi_info *info, const struct table *fadt,
			const struct acpi_memory *memory)
{
	struct table dsdt;

	parse_fadt(info, fadt);
	if (table_open(&dsdt, memory, fadt_dsdt(fadt), "DSDT"))
		find_s5(info, &dsdt);
	if (!info->has_s5)
		pr_warn("acpi: no \\_S5_ in the DSDT: no power-off by ACPI\n");
}

void acpi_parse(struct acpi_info *info, hpa_t rsdp, const struct acpi_memory *memory)
{
	struct table root, t;
	unsigned int entry_size;

	memset(info, 0, sizeof(*info));
	info->lapic = DEFAULT_LAPIC;
	info->has_8259 = true;
	if (!open_root(&root, &entry_size, memory, rsdp)) {
		pr_warn("acpi: no tables: one CPU, no power-off\n");
		return;
	}
	info->present = true;
	read_ids(info, &root);

	if (find_table(&t, &root, entry_size, "APIC"))
		parse_madt(info, &t);
	else
		pr_warn("acpi: no MADT: one CPU, no I/O APIC\n");
	if (find_table(&t, &root, entry_size, "FACP"))
		parse_power(info, &t, memory);
	else
		pr_warn("acpi: no FADT: no PM timer, no power-off\n");
	if (find_table(&t, &root, entry_size, "MCFG"))
		parse_mcfg(info, &t);
}

static bool read_mapped(void *ctx, hpa_t addr, void *buf, size_t len)
{
	(void)ctx;
	if (!hostpt_readable(addr, len))
		return false;
	memcpy(buf, (const void *)addr, len);
	return true;
}

void acpi_init(struct acpi_info *info, hpa_t rsdp)
{
	const struct acpi_memory memory = { .read = read_mapped };

	acpi_parse(info, rsdp, &memory);
}

void acpi_print(const struct acpi_info *info)
{
	if (!info->present)
		return;
	pr_info("acpi: %s %s: %u CPU%s, %u I/O APIC%s, %u override%s, local APIC at 0x%llx\n",
		info->oem_id, info->oem_table_id, info->cpus, info->cpus == 1 ? "" : "s",
		info->ioapics, info->ioapics == 1 ? "" : "s", info->overrides,
		info->overrides == 1 ? "" : "s", (unsigned long long)info->lapic);
	pr_info("acpi: PM timer 0x%x (%u bits), PM1 control 0x%x 0x%x, S5 %s, reset %s, %u MCFG\n",
		info->pm_timer_port, info->pm_timer_32bit ? 32 : 24, info->pm1a_control,
		info->pm1b_control, info->has_s5 ? "yes" : "no", info->reset.address ? "yes" : "no",
		info->mcfgs);
}
