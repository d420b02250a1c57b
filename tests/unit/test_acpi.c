/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: the host's ACPI tables are read right, and never beyond what is there, however they look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/string.h"
#include "tests/unit/host_support.h"
#include "vmm/host/acpi.h"

/* ---- a machine: tables at made-up addresses, each in a block of its exact size ---- */

#define RSDP 0xe0000ULL

enum which { T_RSDP, T_XSDT, T_RSDT, T_MADT, T_FADT, T_DSDT, T_MCFG, TABLES };

static struct {
	u8 *data;
	size_t size;
} tables[TABLES];

static struct acpi_info info;

static hpa_t address_of(enum which t)
{
	return t == T_RSDP ? RSDP : 0x7fe00000 + (u64)t * 0x10000 + 4; /* aligned to 4 only */
}

static unsigned int straddled; /* reads that began in a table and would have ended behind it */

/* Only what lies wholly in one table can be read. */
static bool read_tables(void *ctx, hpa_t addr, void *buf, size_t len)
{
	(void)ctx;
	for (unsigned int t = 0; t < TABLES; t++) {
		hpa_t base = address_of(t);

		if (tables[t].data && addr >= base && addr - base <= tables[t].size &&
		    len <= tables[t].size - (addr - base)) {
			memcpy(buf, tables[t].data + (addr - base), len);
			return true;
		}
		straddled += tables[t].data && addr - base < tables[t].size;
	}
	return false;
}

static void parse(void)
{
	const struct acpi_memory memory = { .read = read_tables };

	acpi_parse(&info, RSDP, &memory);
}

static void put(enum which t, size_t off, u64 value, size_t len)
{
	assert_true(off + len <= tables[t].size);
	for (size_t i = 0; i < len; i++)
		tables[t].data[off + i] = (u8)(value >> (8 * i));
}

static void fix_sum_at(enum which t, size_t at, size_t size)
{
	u8 sum = 0;

	tables[t].data[at] = 0;
	for (size_t i = 0; i < size; i++)
		sum = (u8)(sum + tables[t].data[i]);
	tables[t].data[at] = (u8)-sum;
}

static void fix_sum(enum which t)
{
	if (t == T_RSDP) {
		fix_sum_at(t, 8, 20);
		fix_sum_at(t, 32, 36);
	} else {
		fix_sum_at(t, 9, tables[t].size);
	}
}

static void drop_tables(void)
{
	for (unsigned int t = 0; t < TABLES; t++) {
		free(tables[t].data);
		tables[t].data = NULL;
	}
}

static void new_table(enum which t, const char *signature, size_t size)
{
	free(tables[t].data);
	tables[t].data = calloc(1, size);
	tables[t].size = size;
	assert_non_null(tables[t].data);
	memcpy(tables[t].data, signature, strlen(signature));
	if (t == T_RSDP)
		return;
	put(t, 4, size, 4);
	memcpy(tables[t].data + 10, "BOCHS BXPC    ", 14);
}

static void put_bytes(enum which t, size_t off, const u8 *bytes, size_t len)
{
	assert_true(off + len <= tables[t].size);
	memcpy(tables[t].data + off, bytes, len);
}

static void make_madt(void)
{
	static const u8 entries[] = {
		0, 8,  0,    0, 1, 0, 0,    0,                              /* CPU 0 */
		0, 8,  1,    2, 1, 0, 0,    0,                              /* CPU 1, APIC id 2 */
		0, 8,  2,    4, 0, 0, 0,    0,                              /* not usable */
		0, 8,  3,    6, 2, 0, 0,    0,                              /* an empty socket */
		9, 16, 0,    0, 0, 1, 0,    0,    1,   0, 0, 0, 7, 0, 0, 0, /* x2APIC id 256 */
		9, 16, 0,    0, 2, 0, 0,    0,    1,   0, 0, 0, 1, 0, 0, 0, /* CPU 1 once more */
		1, 12, 8,    0, 0, 0, 0xc0, 0xfe, 0,   0, 0, 0,             /* I/O APIC */
		2, 10, 0,    0, 2, 0, 0,    0,    0,   0,                   /* IRQ 0 is GSI 2 */
		2, 10, 0,    9, 9, 0, 0,    0,    0xd, 0,       /* SCI: level, active high */
		4, 6,  0xff, 0, 0, 1,                           /* NMI: of no interest */
		5, 12, 0,    0, 0, 0, 0xe0, 0xfe, 1,   0, 0, 0, /* LAPIC address, 64 bits */
	};

	new_table(T_MADT, "APIC", 44 + sizeof(entries));
	put(T_MADT, 36, 0xfee00000, 4);
	put(T_MADT, 40, 1, 4);
	put_bytes(T_MADT, 44, entries, sizeof(entries));
	fix_sum(T_MADT);
}

static void put_gas(enum which t, size_t off, enum acpi_space space, u64 address)
{
	put(t, off, space, 1);
	put(t, off + 4, address, 8);
}

static void make_fadt(void)
{
	new_table(T_FADT, "FACP", 244);
	put(T_FADT, 40, address_of(T_DSDT), 4);
	put(T_FADT, 46, 9, 2);
	put(T_FADT, 48, 0xb2, 4);
	put(T_FADT, 52, 0xf1, 1);
	put(T_FADT, 64, 0xb004, 4);
	put(T_FADT, 76, 0xb008, 4);
	put(T_FADT, 112, BIT(8) | BIT(10), 4);
	put_gas(T_FADT, 116, ACPI_SPACE_IO, 0xcf9);
	put(T_FADT, 128, 6, 1);
	fix_sum(T_FADT);
}

/* A DSDT of @size bytes of other AML, with @aml at @off. */
static void make_dsdt(size_t size, size_t off, const u8 *aml, size_t len)
{
	new_table(T_DSDT, "DSDT", size);
	memset(tables[T_DSDT].data + 36, '_', size - 36); /* many beginnings of a name */
	put_bytes(T_DSDT, off, aml, len);
	fix_sum(T_DSDT);
}

static const u8 s5[] = { 8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0x0a, 6, 0, 0 };

static int setup(void **state)
{
	(void)state;
	new_table(T_RSDP, "RSD PTR ", 36);
	put(T_RSDP, 15, 2, 1);
	put(T_RSDP, 16, address_of(T_RSDT), 4);
	put(T_RSDP, 20, 36, 4);
	put(T_RSDP, 24, address_of(T_XSDT), 8);
	fix_sum(T_RSDP);

	new_table(T_XSDT, "XSDT", 36 + 3 * 8);
	new_table(T_RSDT, "RSDT", 36 + 3 * 4);
	for (unsigned int i = 0; i < 3; i++) {
		static const enum which list[] = { T_FADT, T_MADT, T_MCFG };

		put(T_XSDT, 36 + 8 * i, address_of(list[i]), 8);
		put(T_RSDT, 36 + 4 * i, address_of(list[i]), 4);
	}
	fix_sum(T_XSDT);
	fix_sum(T_RSDT);

	make_madt();
	make_fadt();
	make_dsdt(2000, 1000, s5, sizeof(s5));
	new_table(T_MCFG, "MCFG", 44 + 16);
	put(T_MCFG, 44, 0xb0000000, 8);
	put(T_MCFG, 55, 255, 1);
	fix_sum(T_MCFG);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	drop_tables();
	return 0;
}

static void assert_madt(void)
{
	assert_int_equal(info.cpus, 3);
	assert_int_equal(info.cpu[0].apic_id, 0);
	assert_int_equal(info.cpu[1].apic_id, 2);
	assert_int_equal(info.cpu[1].uid, 1);
	assert_int_equal(info.cpu[2].apic_id, 256);
	assert_int_equal(info.cpu[2].uid, 7);
	assert_int_equal(info.ioapics, 1);
	assert_int_equal(info.ioapic[0].address, 0xfec00000);
	assert_int_equal(info.ioapic[0].id, 8);
	assert_int_equal(info.overrides, 2);
	assert_int_equal(info.override[0].gsi, 2);
	assert_int_equal(info.override[1].irq, 9);
	assert_int_equal(info.override[1].flags, 0xd);
	assert_int_equal(info.lapic, 0x1fee00000);
	assert_true(info.has_8259);
}

static void assert_all(void)
{
	assert_true(info.present);
	assert_string_equal(info.oem_id, "BOCHS");
	assert_string_equal(info.oem_table_id, "BXPC");
	assert_madt();
	assert_int_equal(info.sci_irq, 9);
	assert_int_equal(info.smi_command, 0xb2);
	assert_int_equal(info.acpi_enable, 0xf1);
	assert_int_equal(info.pm1a_control, 0xb004);
	assert_int_equal(info.pm1b_control, 0);
	assert_int_equal(info.pm_timer_port, 0xb008);
	assert_true(info.pm_timer_32bit);
	assert_int_equal(info.reset.space, ACPI_SPACE_IO);
	assert_int_equal(info.reset.address, 0xcf9);
	assert_int_equal(info.reset_value, 6);
	assert_true(info.has_s5);
	assert_int_equal(info.s5_a, 5);
	assert_int_equal(info.s5_b, 6);
	assert_int_equal(info.mcfgs, 1);
	assert_int_equal(info.mcfg[0].base, 0xb0000000);
	assert_int_equal(info.mcfg[0].last_bus, 255);
}

/* Claim: everything in a good set of tables is found, through the XSDT as through the RSDT. */
static void good_tables(void **state)
{
	(void)state;
	parse();
	assert_all();

	put(T_RSDP, 24, 0, 8); /* no XSDT */
	fix_sum(T_RSDP);
	parse();
	assert_all();

	put(T_RSDP, 15, 0, 1); /* ACPI 1.0: only 20 bytes are there */
	fix_sum_at(T_RSDP, 8, 20);
	tables[T_RSDP].size = 20;
	parse();
	assert_all();
}

/* Claim: the 64-bit fields of the FADT win over the old ones; ports that are none are left out. */
static void fadt_extended(void **state)
{
	(void)state;
	put_gas(T_FADT, 172, ACPI_SPACE_IO, 0x1804);
	put_gas(T_FADT, 208, ACPI_SPACE_MEMORY, 0xfed80000); /* we only use ports */
	put_gas(T_FADT, 184, ACPI_SPACE_IO, 0x10000);
	put(T_FADT, 140, address_of(T_DSDT), 8);
	put(T_FADT, 40, 0x1234, 4);
	fix_sum(T_FADT);
	parse();
	assert_int_equal(info.pm1a_control, 0x1804);
	assert_int_equal(info.pm1b_control, 0);
	assert_int_equal(info.pm_timer_port, 0xb008);
	assert_true(info.has_s5);
}

/* Claim: a short FADT (ACPI 1.0 has 116 bytes) gives what it has, and no reset register. */
static void fadt_short(void **state)
{
	(void)state;
	tables[T_FADT].size = 116;
	put(T_FADT, 4, 116, 4);
	put(T_FADT, 112, 0, 4);
	fix_sum(T_FADT);
	parse();
	assert_int_equal(info.pm1a_control, 0xb004);
	assert_int_equal(info.reset.address, 0);
	assert_true(info.has_s5);
}

/* Claim: a table that is bad or missing is said by name, and costs only what it has. */
static void bad_table(void **state)
{
	static const struct {
		enum which table;
		const char *say;
	} cases[] = {
		{ T_MADT, "no MADT" },
		{ T_FADT, "no FADT" },
		{ T_DSDT, "no \\_S5_" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(NULL);
		tables[cases[i].table].data[40] ^= 1;
		capture_start();
		parse();
		assert_non_null(strstr(capture_text(), "bad checksum"));
		assert_non_null(strstr(capture_text(), cases[i].say));
		capture_stop();
		assert_true(info.present);
		assert_int_equal(info.cpus, cases[i].table == T_MADT ? 0 : 3);
		assert_int_equal(info.pm1a_control, cases[i].table == T_FADT ? 0 : 0xb004);
		assert_false(info.has_s5 && cases[i].table != T_MADT);
		assert_int_equal(info.mcfgs, 1);
	}
}

/* Claim: without an RSDP there are only the defaults, and a message. */
static void no_rsdp(void **state)
{
	const struct acpi_memory memory = { .read = read_tables };

	(void)state;
	capture_start();
	acpi_parse(&info, 0, &memory);
	assert_non_null(strstr(capture_text(), "RSDP"));
	assert_false(info.present);
	assert_int_equal(info.lapic, 0xfee00000);
	put(T_RSDP, 0, 'X', 1);
	fix_sum(T_RSDP);
	parse();
	assert_false(info.present);
	capture_stop();
}

/* Claim: \_S5_ is found in every form that compilers make, wherever it lies; nothing else is. */
static void s5_forms(void **state)
{
	static const struct {
		u8 aml[16];
		u8 len;
		s8 a, b; /* -1: not to be found */
	} forms[] = {
		{ { 8, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0 }, 12, 0, 0 },
		{ { 8, '_', 'S', '5', '_', 0x12, 6, 4, 1, 1, 0, 0 }, 12, 1, 1 },
		{ { 8, '\\', '_', 'S', '5', '_', 0x12, 7, 2, 0x0a, 7, 0x0a, 3 }, 13, 7, 3 },
		{ { 8, '_', 'S', '5', '_', 0x12, 0x46, 0, 2, 0x0b, 5, 0, 1 }, 13, 5, 1 },
		{ { 8, '_', 'S', '5', '_', 0x12, 3, 1, 0x0a, 5 }, 10, 5, 5 },
		{ { 8, '_', 'S', '5', '_', 0x12, 3, 0, 0x0a, 5 }, 10, -1, 0 },    /* no element */
		{ { 8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 8, 0 }, 11, -1, 0 }, /* 4 bits */
		{ { 8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0b, 5, 1 }, 11, -1, 0 }, /* 16 bits */
		{ { 8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0c, 5, 0 }, 11, -1, 0 }, /* a dword */
		{ { 8, '_', 'S', '5', '_', 0x0a, 6, 4, 0, 0 }, 10, -1, 0 },       /* no package */
		{ { 9, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0 }, 10, -1, 0 },       /* a use of it */
	};

	(void)state;
	capture_start();
	for (unsigned int i = 0; i < ARRAY_SIZE(forms); i++) {
		/* Every place relative to the windows of the search, and the very end. */
		for (size_t off = 36; off <= 1200 - forms[i].len; off++) {
			make_dsdt(1200, off, forms[i].aml, forms[i].len);
			parse();
			assert_int_equal(info.has_s5, forms[i].a >= 0);
			if (!info.has_s5)
				continue;
			assert_int_equal(info.s5_a, forms[i].a);
			assert_int_equal(info.s5_b, forms[i].b);
		}
	}
	/* Cut short by the end of the table. */
	for (size_t cut = 1; cut < 9; cut++) {
		make_dsdt(200, 200 - cut, s5, cut);
		parse();
		assert_false(info.has_s5);
	}
	capture_stop();
}

/* Claim: more entries than there is room for are left out, not written behind the arrays. */
static void too_many(void **state)
{
	const unsigned int n = 300;

	(void)state;
	new_table(T_MADT, "APIC", 44 + n * (16 + 12 + 10));
	for (unsigned int i = 0; i < n; i++) {
		size_t off = 44 + i * 38;

		put(T_MADT, off, 9 | 16 << 8, 2);
		put(T_MADT, off + 4, 1000 + i, 4);
		put(T_MADT, off + 8, 1, 4);
		put(T_MADT, off + 16, 1 | 12 << 8, 2);
		put(T_MADT, off + 28, 2 | 10 << 8, 2);
	}
	fix_sum(T_MADT);
	new_table(T_MCFG, "MCFG", 44 + 16 * n);
	for (unsigned int i = 0; i < n; i++)
		put(T_MCFG, 44 + 16 * i, 0x1000, 8);
	fix_sum(T_MCFG);
	capture_start();
	parse();
	capture_stop();
	assert_int_equal(info.cpus, ACPI_MAX_CPUS);
	assert_int_equal(info.ioapics, ACPI_MAX_IOAPICS);
	assert_int_equal(info.overrides, ACPI_MAX_OVERRIDES);
	assert_int_equal(info.mcfgs, ACPI_MAX_MCFG);
}

/* Claim: root tables that point to themselves or at nothing, and any length, end and stay inside. */
static void hostile_roots(void **state)
{
	static const u64 lengths[] = { 0, 35, 36, 37, 43, 44, 0x3fffff, 0x400001, 0xffffffff };

	(void)state;
	capture_start();
	for (unsigned int t = T_XSDT; t < TABLES; t++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
			setup(NULL);
			put(t, 4, lengths[i], 4);
			fix_sum_at(t, 9, MIN(lengths[i] > 9 ? lengths[i] : 10, tables[t].size));
			parse();
		}
	}
	setup(NULL);
	for (unsigned int i = 0; i < 3; i++)
		put(T_XSDT, 36 + 8 * i, i == 0 ? address_of(T_XSDT) : ~0ULL - i, 8);
	fix_sum(T_XSDT);
	parse();
	capture_stop();
	assert_int_equal(info.cpus, 0);
}

/* Claim: no byte of any table, with a checksum that fits, makes a read outside or a write beyond. */
static void every_byte(void **state)
{
	static const u8 values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };

	(void)state;
	capture_start();
	for (unsigned int t = 0; t < TABLES; t++) {
		setup(NULL);
		for (size_t i = 0; i < tables[t].size; i++) {
			u8 good = tables[t].data[i];

			for (unsigned int v = 0; v < ARRAY_SIZE(values); v++) {
				tables[t].data[i] = values[v];
				fix_sum(t);
				straddled = 0;
				parse();
				/* A length that is a lie shows only when the bytes are not there. */
				assert_true(!straddled || (i >= 4 && i < 8) || t == T_RSDP);
				assert_true(!info.has_s5 || (info.s5_a <= 7 && info.s5_b <= 7));
				assert_in_range(info.cpus, 0, 4);
			}
			tables[t].data[i] = good;
		}
	}
	capture_stop();
}

/* Claim: names that are not text cannot bring control characters to the console. */
static void ids_are_text(void **state)
{
	(void)state;
	memcpy(tables[T_XSDT].data + 10, "\033[2J\0\0\xff\n      ", 14);
	fix_sum(T_XSDT);
	parse();
	assert_string_equal(info.oem_id, "?[2J");
	assert_string_equal(info.oem_table_id, "??");
	capture_start();
	acpi_print(&info);
	assert_null(strchr(capture_text(), '\033'));
	assert_non_null(strstr(capture_text(), "3 CPUs, 1 I/O APIC, 2 overrides"));
	capture_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(fadt_extended, setup, teardown),
		cmocka_unit_test_setup_teardown(fadt_short, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_table, setup, teardown),
		cmocka_unit_test_setup_teardown(no_rsdp, setup, teardown),
		cmocka_unit_test_setup_teardown(s5_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_roots, setup, teardown),
		cmocka_unit_test_setup_teardown(every_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(ids_are_text, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
