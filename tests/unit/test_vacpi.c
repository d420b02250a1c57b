/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vdev.h"

#include <unistd.h>

#include "lib/errno.h"
#include "lib/guest_mem.h"
#include "vmm/pc/dsdt.h"
#include "vmm/pc/ssdt_pci.h"
#include "vmm/pc/vacpi.h"
#include "vmm/pc/vacpi_pm.h"

#define RAM_SIZE MIB(1)
#define PM_BASE  0x600

static u8 *ram;
static struct guest_mem mem;

static int setup(void **state)
{
	(void)state;
	ram = calloc(1, RAM_SIZE);
	mem = (struct guest_mem){ .slots = 0 };
	return guest_mem_add(&mem, 0, RAM_SIZE, ram);
}

static int teardown(void **state)
{
	(void)state;
	free(ram);
	return 0;
}

static void build(unsigned int cpus)
{
	struct vacpi_config config = { .cpus = cpus, .ioapic_id = 1, .pm_base = PM_BASE };

	assert_int_equal(vacpi_build(&mem, &config), 0);
}

static u64 word(const u8 *p, size_t bytes)
{
	u64 value = 0;

	memcpy(&value, p, bytes);
	return value;
}

static u8 sum(const u8 *p, size_t len)
{
	u8 s = 0;

	while (len--)
		s = (u8)(s + *p++);
	return s;
}

/* A range of the guest's that an operating system would believe. */
static const u8 *at(u64 gpa, u64 len)
{
	assert_true(gpa >= VACPI_BASE && gpa + len <= VACPI_BASE + VACPI_SIZE);
	return ram + gpa;
}

static const u8 *find_rsdp(void)
{
	for (u64 gpa = 0xe0000; gpa < 0x100000; gpa += 16)
		if (!memcmp(ram + gpa, "RSD PTR ", 8) && !sum(ram + gpa, 20))
			return ram + gpa;
	fail_msg("no RSDP");
	return NULL;
}

/* The table at @gpa, its header checked. */
static const u8 *table(u64 gpa, const char *signature)
{
	const u8 *t = at(gpa, 36);

	assert_memory_equal(t, signature, 4);
	(void)at(gpa, word(t + 4, 4));
	if (strcmp(signature, "FACS"))
		assert_int_equal(sum(t, word(t + 4, 4)), 0);
	return t;
}

/* As an operating system does: from the RSDP through the XSDT. */
static const u8 *find(const char *signature)
{
	const u8 *rsdp = find_rsdp(), *xsdt;

	assert_int_equal(rsdp[15], 2);
	assert_int_equal(sum(rsdp, word(rsdp + 20, 4)), 0);
	xsdt = table(word(rsdp + 24, 8), "XSDT");
	for (u64 off = 36; off < word(xsdt + 4, 4); off += 8) {
		u64 gpa = word(xsdt + off, 8);

		if (!memcmp(at(gpa, 4), signature, 4))
			return table(gpa, signature);
	}
	fail_msg("no table %s", signature);
	return NULL;
}

/* FADT leads to DSDT and FACS, and says what the devices do. */
static void test_fadt(void **state)
{
	const u8 *fadt;

	(void)state;
	build(1);
	fadt = find("FACP");
	assert_int_equal(word(fadt + 36, 4) % 64, 0);
	assert_int_equal(word(table(word(fadt + 36, 4), "FACS") + 4, 4), 64);
	assert_int_equal(word(fadt + 40, 4), word(fadt + 140, 8));
	assert_memory_equal(table(word(fadt + 40, 4), "DSDT"), dsdt_aml, sizeof(dsdt_aml));

	assert_int_equal(word(fadt + 46, 2), VACPI_SCI);
	assert_int_equal(word(fadt + 48, 4), 0); /* no SMI command port: ACPI is on */
	assert_int_equal(word(fadt + 56, 4), PM_BASE + VACPI_PM1_EVENT);
	assert_int_equal(word(fadt + 64, 4), PM_BASE + VACPI_PM1_CONTROL);
	assert_int_equal(word(fadt + 76, 4), PM_BASE + VACPI_PM_TIMER);
	assert_int_equal(fadt[88], 4);
	assert_int_equal(fadt[89], 2);
	assert_int_equal(fadt[91], 4);
	assert_int_equal(fadt[108], 0x32);
	/* The extended addresses are the same ports. */
	for (unsigned int i = 0; i < 3; i++) {
		static const struct {
			u16 legacy, extended;
			u8 bits;
		} block[] = { { 56, 148, 32 }, { 64, 172, 16 }, { 76, 208, 32 } };

		assert_int_equal(fadt[block[i].extended], 1);
		assert_int_equal(fadt[block[i].extended + 1], block[i].bits);
		assert_int_equal(word(fadt + block[i].extended + 4, 8),
				 word(fadt + block[i].legacy, 4));
	}
	/* Reset: one byte, 6, to port 0xCF9; and the flag that says so. */
	assert_int_equal(word(fadt + 112, 4) >> 10 & 1, 1);
	assert_int_equal(fadt[116], 1);
	assert_int_equal(word(fadt + 120, 8), 0xcf9);
	assert_int_equal(fadt[128], 0x06);
	assert_int_equal(word(fadt + 109, 2) & 0x06, 0x04); /* no 8042, no VGA */
}

/* MADT lists each CPU once, the I/O APIC, IRQ 0 on pin 2, the SCI by level and high, the NMI. */
static void test_madt(void **state)
{
	(void)state;
	for (unsigned int cpus = 1; cpus <= VACPI_MAX_CPUS; cpus++) {
		const u8 *madt, *end;
		unsigned int seen[5] = { 0 };
		u32 ids = 0;

		memset(ram, 0, RAM_SIZE);
		build(cpus);
		madt = find("APIC");
		end = madt + word(madt + 4, 4);
		assert_int_equal(word(madt + 36, 4), 0xfee00000);
		for (const u8 *e = madt + 44; e < end; e += e[1]) {
			assert_true(e[1] >= 2 && e + e[1] <= end && e[0] < 5);
			seen[e[0]]++;
			switch (e[0]) {
			case 0:
				assert_int_equal(e[1], 8);
				assert_int_equal(word(e + 4, 4), 1);
				ids |= 1u << e[3];
				break;
			case 1:
				assert_int_equal(e[2], 1);
				assert_int_equal(word(e + 4, 4), 0xfec00000);
				assert_int_equal(word(e + 8, 4), 0);
				break;
			case 2:
				assert_int_equal(e[2], 0);
				assert_true((e[3] == 0 && word(e + 4, 4) == 2 && !word(e + 8, 2)) ||
					    (e[3] == 9 && word(e + 4, 4) == 9 &&
					     word(e + 8, 2) == 0xd));
				break;
			case 4:
				assert_int_equal(e[2], 0xff);
				assert_int_equal(e[5], 1);
				break;
			default: fail_msg("entry of type %u", e[0]);
			}
		}
		assert_int_equal(seen[0], cpus);
		assert_int_equal(ids, (1u << cpus) - 1);
		assert_int_equal(seen[1], 1);
		assert_int_equal(seen[2], 2);
		assert_int_equal(seen[4], 1);
	}
}

/* The PCI bus has a table of its own, which a guest without a PCI device does not see. */
static void test_pci(void **state)
{
	struct vacpi_config config = { .cpus = 1, .pm_base = PM_BASE, .pci = true };
	const u8 *xsdt;

	(void)state;
	build(1);
	xsdt = table(word(find_rsdp() + 24, 8), "XSDT");
	assert_int_equal(word(xsdt + 4, 4), 36 + 2 * 8);
	memset(ram, 0, RAM_SIZE);
	assert_int_equal(vacpi_build(&mem, &config), 0);
	assert_memory_equal(find("SSDT"), ssdt_pci_aml, sizeof(ssdt_pci_aml));
	(void)find("FACP");
	(void)find("APIC");
}

/* A wrong number of CPUs and a guest without RAM there are refused. */
static void test_refusals(void **state)
{
	struct vacpi_config config = { .cpus = 0, .pm_base = PM_BASE };
	struct guest_mem small = { .slots = 0 };

	(void)state;
	assert_int_equal(vacpi_build(&mem, &config), -EINVAL);
	config.cpus = VACPI_MAX_CPUS + 1;
	assert_int_equal(vacpi_build(&mem, &config), -EINVAL);
	config.cpus = 1;
	assert_int_equal(guest_mem_add(&small, 0, KIB(640), ram), 0);
	assert_int_equal(vacpi_build(&small, &config), -EFAULT);
}

/* Only the tables' own place is written. */
static void test_place(void **state)
{
	(void)state;
	build(VACPI_MAX_CPUS);
	for (u64 gpa = 0; gpa < VACPI_BASE; gpa++)
		assert_int_equal(ram[gpa], 0);
}

/* \_S5 in the DSDT is the type for which vacpi_pm's user stops the VM. */
static void test_s5(void **state)
{
	static const u8 s5[] = { 0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, VACPI_S5_TYPE };
	bool found = false;

	(void)state;
	for (size_t i = 36; i + sizeof(s5) <= sizeof(dsdt_aml); i++)
		found |= !memcmp(dsdt_aml + i, s5, sizeof(s5));
	assert_true(found);
}

static bool have_iasl(void)
{
	return system("command -v iasl >/dev/null 2>&1") == 0;
}

/* Runs a command line made of @format, a folder and a name; true when it succeeded. */
static bool run(const char *format, const char *folder, const char *name)
{
	char line[512];

	snprintf(line, sizeof(line), format, folder, name);
	return system(line) == 0;
}

static void dump(const char *folder, const char *name, const u8 *data)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, word(data + 4, 4), f), word(data + 4, 4));
	fclose(f);
}

/* ACPICA's disassembler takes every table without a complaint. */
static void test_iasl_accepts(void **state)
{
	char folder[] = "/tmp/test_vacpi.XXXXXX";
	const char *name[] = { "FACP", "APIC", "XSDT", "FACS", "DSDT", "SSDT" };
	struct vacpi_config config = { .cpus = 3, .pm_base = PM_BASE, .pci = true };
	const u8 *fadt;

	(void)state;
	if (!have_iasl())
		skip();
	assert_non_null(mkdtemp(folder));
	assert_int_equal(vacpi_build(&mem, &config), 0);
	fadt = find("FACP");
	dump(folder, "FACP", fadt);
	dump(folder, "APIC", find("APIC"));
	dump(folder, "XSDT", table(word(find_rsdp() + 24, 8), "XSDT"));
	dump(folder, "FACS", table(word(fadt + 36, 4), "FACS"));
	dump(folder, "DSDT", table(word(fadt + 40, 4), "DSDT"));
	dump(folder, "SSDT", find("SSDT"));
	for (unsigned int i = 0; i < ARRAY_SIZE(name); i++) {
		assert_true(run("cd %s && iasl -d %s.dat >out 2>&1", folder, name[i]));
		assert_false(run("cd %s && cat out %s.dsl | grep -v '0 Errors, 0 Warnings' |"
				 " grep -iE 'error|warning|invalid|unknown|checksum.*should'",
				 folder, name[i]));
	}
	assert_true(run("rm -r %s%s", folder, ""));
}

/*
 * A header is what iasl makes of its source, but for the compiler's version and the checksum over it.
 * Skipped without iasl, and outside the source tree.
 */
static void check_header(const char *source, const u8 *aml, size_t size)
{
	char folder[] = "/tmp/test_vacpi.XXXXXX", path[64];
	u8 made[65536];
	size_t len;
	FILE *f;

	if (!have_iasl() || access(source, R_OK))
		skip();
	assert_non_null(mkdtemp(folder));
	assert_true(run("iasl -ve -p %s/table %s >/dev/null 2>&1", folder, source));
	snprintf(path, sizeof(path), "%s/table.aml", folder);
	f = fopen(path, "rb");
	assert_non_null(f);
	len = fread(made, 1, sizeof(made), f);
	fclose(f);
	assert_int_equal(len, size);
	assert_int_equal(sum(made, len), 0);
	made[9] = aml[9];
	memcpy(made + 32, aml + 32, 4);
	assert_memory_equal(made, aml, len);
	assert_true(run("rm -r %s%s", folder, ""));
}

static void test_headers_are_current(void **state)
{
	(void)state;
	check_header("vmm/pc/dsdt.asl", dsdt_aml, sizeof(dsdt_aml));
	check_header("vmm/pc/ssdt_pci.asl", ssdt_pci_aml, sizeof(ssdt_pci_aml));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fadt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_madt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pci, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_s5, setup, teardown),
		cmocka_unit_test_setup_teardown(test_iasl_accepts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_headers_are_current, setup, teardown),
	};

	return cmocka_run_group_tests_name("vacpi", tests, NULL, NULL);
}
