/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vdev.h"
#include "vmm/pc/vpci.h"
#include "vmm/pc/vreset.h"

static struct vpci v;
static struct vreset reset;
static unsigned int resets, accesses;

static void on_reset(void *ctx)
{
	(void)ctx;
	resets++;
}

static const struct vreset_ops reset_ops = { on_reset };

static int setup(void **state)
{
	(void)state;
	fake_reset();
	resets = accesses = 0;
	vreset_init(&reset, &reset_ops, NULL);
	vpci_init(&v, &vreset_control_pio, &reset);
	return 0;
}

static u32 in(u16 port, u8 size)
{
	accesses++;
	return fake_in(&vpci_pio, &v, (u16)(port - VPCI_BASE), size);
}

static void out(u16 port, u8 size, u32 value)
{
	accesses++;
	fake_out(&vpci_pio, &v, (u16)(port - VPCI_BASE), size, value);
}

static u32 config_read(u8 bus, u8 devfn, u8 reg, u8 size)
{
	out(0xcf8, 4, 0x80000000u | (u32)bus << 16 | (u32)devfn << 8 | (reg & 0xfcu));
	return in((u16)(0xcfc + (reg & 3)), size);
}

/* Linux finds mechanism #1 without its long search, and has no use for mechanism #2. */
static void test_linux_probe(void **state)
{
	u32 old;

	(void)state;
	out(0xcfb, 1, 0x01);
	old = in(0xcf8, 4);
	out(0xcf8, 4, 0x80000000);
	assert_int_equal(in(0xcf8, 4), 0x80000000);
	assert_int_equal(config_read(0, 0, 0x0a, 2), 0x0600); /* a host bridge: enough */
	out(0xcf8, 4, old);
	assert_true(accesses <= 7);

	out(0xcfb, 1, 0);
	out(0xcf8, 1, 0);
	out(0xcfa, 1, 0);
	assert_false(in(0xcf8, 1) == 0 && in(0xcfa, 1) == 0);
}

/* The bridge is there alone and is a single function; every other place reads as all ones. */
static void test_empty_bus(void **state)
{
	(void)state;
	assert_int_equal(config_read(0, 0, 0x00, 4), 0x0d578086);
	assert_int_equal(config_read(0, 0, 0x0e, 1), 0);
	assert_int_equal(config_read(0, 0, 0x34, 1), 0);
	for (unsigned int bus = 0; bus < 256; bus++)
		for (unsigned int devfn = 0; devfn < 256; devfn++)
			if (bus || devfn)
				assert_int_equal(config_read((u8)bus, (u8)devfn, 0, 4), ~0U);
}

/* Without its enable bit, the address selects nothing. */
static void test_disabled(void **state)
{
	(void)state;
	out(0xcf8, 4, 0x00000000);
	assert_int_equal(in(0xcfc, 4), ~0U);
}

static u8 space[256];
static u8 last_reg, last_size;

static u32 space_read(void *dev, u8 reg, u8 size)
{
	u32 value = 0;

	assert_ptr_equal(dev, space);
	assert_true(size >= 1 && reg % 4 + size <= 4);
	memcpy(&value, space + reg, size);
	return value;
}

static void space_write(void *dev, u8 reg, u8 size, u32 value)
{
	assert_ptr_equal(dev, space);
	assert_true(size >= 1 && reg % 4 + size <= 4);
	memcpy(space + reg, &value, size);
	last_reg = reg;
	last_size = size;
}

static const struct vpci_function function = { space_read, space_write, space };

/* A function that is plugged in gets every access of its own, and never one across a dword. */
static void test_plugged(void **state)
{
	(void)state;
	memset(space, 0, sizeof(space));
	assert_int_equal(vpci_plug(&v, VPCI_DEVFN(3, 1), &function), 0);
	assert_true(vpci_plug(&v, VPCI_DEVFN(3, 1), &function) < 0);
	assert_true(vpci_plug(&v, VPCI_DEVFN(0, 0), &function) < 0);

	out(0xcf8, 4, 0x80000000u | VPCI_DEVFN(3, 1) << 8 | 0x40);
	out(0xcfc, 4, 0x44332211);
	assert_int_equal(last_reg, 0x40);
	out(0xcfe, 2, 0xbbaa);
	assert_int_equal(last_reg, 0x42);
	assert_int_equal(last_size, 2);
	assert_int_equal(in(0xcfc, 4), 0xbbaa2211);
	assert_int_equal(in(0xcfd, 1), 0x22);
	assert_int_equal(config_read(0, VPCI_DEVFN(3, 0), 0x40, 4), ~0U);
	fake_sweep(&vpci_pio, &v, VPCI_PORTS);
	for (u32 reg = 0; reg < 256; reg += 4) {
		out(0xcf8, 4, 0x80000000u | VPCI_DEVFN(3, 1) << 8 | reg);
		fake_sweep(&vpci_pio, &v, VPCI_PORTS);
	}
}

/* A byte at 0xCF9 is the reset control register's; a dword over it is the address and no reset. */
static void test_reset_control(void **state)
{
	(void)state;
	out(0xcf8, 4, 0x80000600);
	assert_int_equal(resets, 0);
	out(0xcf9, 1, VRESET_CONTROL_RESET);
	assert_int_equal(resets, 1);
	assert_int_equal(in(0xcf9, 1), 0x06);
	assert_int_equal(in(0xcf8, 4), 0x80000600);
}

/* A machine without a reset control register has nothing there. */
static void test_no_reset_control(void **state)
{
	(void)state;
	vpci_init(&v, NULL, NULL);
	out(0xcf9, 1, VRESET_CONTROL_RESET);
	assert_int_equal(in(0xcf9, 1), 0xff);
	fake_sweep(&vpci_pio, &v, VPCI_PORTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_linux_probe, setup),
		cmocka_unit_test_setup(test_empty_bus, setup),
		cmocka_unit_test_setup(test_disabled, setup),
		cmocka_unit_test_setup(test_plugged, setup),
		cmocka_unit_test_setup(test_reset_control, setup),
		cmocka_unit_test_setup(test_no_reset_control, setup),
	};

	return cmocka_run_group_tests_name("vpci", tests, NULL, NULL);
}
