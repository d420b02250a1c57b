/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's ACPI tables. ACPI specification 6.4, "ACPI Software Programming Model":
 * "ACPI System Description Tables".
 */
#include "lib/errno.h"
#include "lib/string.h"
#include "vmm/pc/dsdt.h"
#include "vmm/pc/ssdt_pci.h"
#include "vmm/pc/vacpi.h"
#include "vmm/pc/vacpi_pm.h"
#include "vmm/pc/vreset.h"
#include "vmm/pc/vrtc.h"

#define LAPIC_GPA   0xfee00000
#define IOAPIC_GPA  0xfec00000

#define TABLE_ALIGN 64 /* FACS asks for it; the others may have it too */

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __packed;
_Static_assert(sizeof(struct acpi_header) == 36, "System Description Table Header");

struct acpi_rsdp {
	char signature[8];
	u8 checksum; /* of the first 20 bytes */
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum; /* of all */
	u8 reserved[3];
} __packed;
_Static_assert(sizeof(struct acpi_rsdp) == 36, "Root System Description Pointer");
#define RSDP_FIRST_PART 20

struct acpi_gas {
	u8 space;
	u8 bits;
	u8 bit_offset;
	u8 access;
	u64 address;
} __packed;

#define GAS_IO(port, bytes, access_size)                 \
	{                                                \
		1, 8 * (bytes), 0, (access_size), (port) \
	}
#define ACCESS_BYTE  1
#define ACCESS_WORD  2
#define ACCESS_DWORD 3

struct acpi_fadt {
	struct acpi_header header;
	u32 facs;
	u32 dsdt;
	u8 reserved0;
	u8 preferred_pm_profile;
	u16 sci_int;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	u32 pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk, pm2_cnt_blk, pm_tmr_blk;
	u32 gpe0_blk, gpe1_blk;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	u8 gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	u16 p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alrm, mon_alrm, century;
	u16 iapc_boot_arch;
	u8 reserved1;
	u32 flags;
	struct acpi_gas reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor_version;
	u64 x_facs, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
	struct acpi_gas x_gpe0, x_gpe1, sleep_control, sleep_status;
	char hypervisor[8];
} __packed;
_Static_assert(sizeof(struct acpi_fadt) == 276, "Fixed ACPI Description Table, revision 6");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "FADT");
_Static_assert(offsetof(struct acpi_fadt, x_pm1a_evt) == 148, "FADT");

/* Legacy devices are there, but no 8042 and no VGA: Linux then probes for neither. */
#define IAPC_LEGACY_DEVICES 0x01
#define IAPC_NO_VGA         0x04
#define IAPC_NO_ASPM        0x10

#define FADT_WBINVD         BIT(0)
#define FADT_C1             BIT(2)
#define FADT_NO_PWRBTN      BIT(4) /* as fixed hardware */
#define FADT_NO_SLPBTN      BIT(5)
#define FADT_TMR_32         BIT(8)
#define FADT_RESET_REG      BIT(10)

#define LATENCY_NO_C2       101
#define LATENCY_NO_C3       1001

struct acpi_facs {
	char signature[4];
	u32 length;
	u32 hardware_signature;
	u32 waking_vector;
	u32 global_lock;
	u32 flags;
	u64 x_waking_vector;
	u8 version;
	u8 reserved[31];
} __packed;
_Static_assert(sizeof(struct acpi_facs) == 64, "Firmware ACPI Control Structure");

struct madt_lapic {
	u8 type, length;
	u8 uid, apic_id;
	u32 flags;
} __packed;

struct madt_ioapic {
	u8 type, length;
	u8 id, reserved;
	u32 address;
	u32 gsi_base;
} __packed;

struct madt_override {
	u8 type, length;
	u8 bus, irq;
	u32 gsi;
	u16 flags;
} __packed;

struct madt_lapic_nmi {
	u8 type, length;
	u8 uid;
	u16 flags;
	u8 lint;
} __packed;

/* Entries may come in any order: those of which the number varies are the last. */
struct acpi_madt {
	struct acpi_header header;
	u32 lapic_address;
	u32 flags;
	struct madt_ioapic ioapic;
	struct madt_override timer, sci;
	struct madt_lapic_nmi nmi;
	struct madt_lapic lapic[VACPI_MAX_CPUS];
} __packed;
_Static_assert(sizeof(struct madt_lapic) == 8, "Processor Local APIC Structure");
_Static_assert(sizeof(struct madt_ioapic) == 12, "I/O APIC Structure");
_Static_assert(sizeof(struct madt_override) == 10, "Interrupt Source Override Structure");
_Static_assert(sizeof(struct madt_lapic_nmi) == 6, "Local APIC NMI Structure");
_Static_assert(offsetof(struct acpi_madt, ioapic) == 44, "Multiple APIC Description Table");

enum { MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_LAPIC_NMI = 4 };

#define MADT_PCAT_COMPAT 1 /* there are two 8259s as well */
#define MADT_ENABLED     1
#define MADT_LEVEL_HIGH  0x000d
#define MADT_ALL_CPUS    0xff
#define TIMER_GSI        2

struct acpi_xsdt {
	struct acpi_header header;
	u64 table[3]; /* FADT, MADT, and SSDTs */
} __packed;
_Static_assert(offsetof(struct acpi_xsdt, table) == 36, "Extended System Description Table");

/* Where the tables go: each behind the one before. */
struct layout {
	const struct guest_mem *mem;
	gpa_t next;
	int err;
};

static u8 checksum(const void *table, size_t len)
{
	const u8 *byte = table;
	u8 sum = 0;

	while (len--)
		sum = (u8)(sum + *byte++);
	return (u8)-sum;
}

/* Writes @len bytes and returns where. */
static gpa_t place(struct layout *l, const void *table, u32 len)
{
	gpa_t gpa = l->next;

	if (!guest_write(l->mem, gpa, table, len))
		l->err = -EFAULT;
	l->next = ALIGN_UP(gpa + len, (gpa_t)TABLE_ALIGN);
	return gpa;
}

/* Fills the header in, and likewise. */
static gpa_t place_table(struct layout *l, struct acpi_header *h, const char *signature,
			 u8 revision, u32 len)
{
	*h = (struct acpi_header){
		.length = len,
		.revision = revision,
		.oem_id = "LINTEL",
		.oem_table_id = "LINTELVM",
		.oem_revision = 1,
		.creator_id = "LNTL",
		.creator_revision = 1,
	};
	memcpy(h->signature, signature, sizeof(h->signature));
	h->checksum = checksum(h, len);
	return place(l, h, len);
}

static gpa_t place_facs(struct layout *l)
{
	struct acpi_facs facs = { .signature = "FACS", .length = sizeof(facs), .version = 2 };

	return place(l, &facs, sizeof(facs));
}

static gpa_t place_fadt(struct layout *l, u16 pm_base, gpa_t facs, gpa_t dsdt)
{
	u16 event = (u16)(pm_base + VACPI_PM1_EVENT), control = (u16)(pm_base + VACPI_PM1_CONTROL);
	u16 timer = (u16)(pm_base + VACPI_PM_TIMER);
	struct acpi_fadt fadt = {
		.facs = (u32)facs,
		.dsdt = (u32)dsdt,
		.sci_int = VACPI_SCI,
		.pm1a_evt_blk = event,
		.pm1a_cnt_blk = control,
		.pm_tmr_blk = timer,
		.pm1_evt_len = 4,
		.pm1_cnt_len = 2,
		.pm_tmr_len = 4,
		.p_lvl2_lat = LATENCY_NO_C2,
		.p_lvl3_lat = LATENCY_NO_C3,
		.century = VRTC_CENTURY,
		.iapc_boot_arch = IAPC_LEGACY_DEVICES | IAPC_NO_VGA | IAPC_NO_ASPM,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_PWRBTN | FADT_NO_SLPBTN | FADT_TMR_32 |
			 FADT_RESET_REG,
		.reset_reg = GAS_IO(VRESET_CONTROL, 1, ACCESS_BYTE),
		.reset_value = VRESET_CONTROL_RESET,
		.minor_version = 4,
		.x_dsdt = dsdt,
		.x_pm1a_evt = GAS_IO(event, 4, ACCESS_WORD),
		.x_pm1a_cnt = GAS_IO(control, 2, ACCESS_WORD),
		.x_pm_tmr = GAS_IO(timer, 4, ACCESS_DWORD),
		.hypervisor = "Lintel",
	};

	return place_table(l, &fadt.header, "FACP", 6, sizeof(fadt));
}

/* Lines are as the machine wires them: 0 to pin 2, all others straight, the SCI by level. */
static gpa_t place_madt(struct layout *l, const struct vacpi_config *config)
{
	struct acpi_madt madt = {
		.lapic_address = LAPIC_GPA,
		.flags = MADT_PCAT_COMPAT,
		.ioapic = { MADT_IOAPIC, sizeof(madt.ioapic), config->ioapic_id, 0, IOAPIC_GPA, 0 },
		.timer = { MADT_OVERRIDE, sizeof(madt.timer), 0, 0, TIMER_GSI, 0 },
		.sci = { MADT_OVERRIDE, sizeof(madt.sci), 0, VACPI_SCI, VACPI_SCI,
			 MADT_LEVEL_HIGH },
		.nmi = { MADT_LAPIC_NMI, sizeof(madt.nmi), MADT_ALL_CPUS, 0, 1 },
	};

	for (u8 i = 0; i < config->cpus; i++)
		madt.lapic[i] = (struct madt_lapic){ MADT_LAPIC, sizeof(madt.lapic[i]), i, i,
						     MADT_ENABLED };
	return place_table(l, &madt.header, "APIC", 5,
			   (u32)offsetof(struct acpi_madt, lapic[config->cpus]));
}

static void write_rsdp(struct layout *l, gpa_t gpa, gpa_t xsdt)
{
	struct acpi_rsdp rsdp = {
		.signature = "RSD PTR ",
		.oem_id = "LINTEL",
		.revision = 2,
		.length = sizeof(rsdp),
		.xsdt = xsdt,
	};

	rsdp.checksum = checksum(&rsdp, RSDP_FIRST_PART);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	if (!guest_write(l->mem, gpa, &rsdp, sizeof(rsdp)))
		l->err = -EFAULT;
}

_Static_assert(sizeof(struct acpi_rsdp) + sizeof(dsdt_aml) + sizeof(ssdt_pci_aml) +
			       sizeof(struct acpi_facs) + sizeof(struct acpi_fadt) +
			       sizeof(struct acpi_madt) + sizeof(struct acpi_xsdt) +
			       7 * TABLE_ALIGN <=
		       VACPI_SIZE,
	       "all tables fit");

int vacpi_build(const struct guest_mem *mem, const struct vacpi_config *config)
{
	struct layout l = { .mem = mem, .next = VACPI_BASE + TABLE_ALIGN };
	struct acpi_xsdt xsdt;
	unsigned int tables = 2;
	gpa_t facs, dsdt;

	if (config->cpus < 1 || config->cpus > VACPI_MAX_CPUS)
		return -EINVAL;
	facs = place_facs(&l);
	dsdt = place(&l, dsdt_aml, sizeof(dsdt_aml));
	xsdt.table[0] = place_fadt(&l, config->pm_base, facs, dsdt);
	xsdt.table[1] = place_madt(&l, config);
	if (config->pci)
		xsdt.table[tables++] = place(&l, ssdt_pci_aml, sizeof(ssdt_pci_aml));
	write_rsdp(&l, VACPI_BASE,
		   place_table(&l, &xsdt.header, "XSDT", 1,
			       (u32)offsetof(struct acpi_xsdt, table[tables])));
	return l.err;
}
