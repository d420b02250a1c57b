/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers/pci: functions are found, BARs sized with decoding off, capability lists bounded, by ports and by ECAM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "drivers/pci.h"
#include "lib/string.h"
#include "tests/unit/host_support.h"

/* A function of the fake machine: its registers, and which of their bits can be written. */
struct fake {
	u8 bus, slot, function;
	u8 reg[256], writable[256];
	bool sized_while_decoding; /* a BAR held all ones while the command register had decoding on */
	unsigned int command_writes;
};

static unsigned int asked; /* for functions that may be there */

static struct fake fake[12];
static unsigned int fakes;

static struct fake *find(u32 address)
{
	for (unsigned int i = 0; i < fakes; i++) {
		u32 at = (u32)(fake[i].bus << 16 | fake[i].slot << 11 | fake[i].function << 8);

		if ((address & 0x00ffff00) == at)
			return &fake[i];
	}
	return NULL;
}

static u32 fake_read(u32 address, unsigned int offset, unsigned int len)
{
	struct fake *f = find(address);
	u32 value = 0;

	assert_true(address & 0x80000000);
	asked += !(address & 0xff) && !offset && len == 2;
	assert_true(len == 1 || len == 2 || len == 4);
	if (!f)
		return len == 4 ? ~0u : (1u << 8 * len) - 1;
	memcpy(&value, &f->reg[(address & 0xfc) + offset], len);
	return value;
}

static void fake_write(u32 address, unsigned int offset, unsigned int len, u32 value)
{
	struct fake *f = find(address);
	unsigned int at = (address & 0xfc) + offset;

	if (!f)
		return;
	if (at == 4)
		f->command_writes++;
	if (at >= 0x10 && at < 0x28 && value == ~0u && (f->reg[4] & 3))
		f->sized_while_decoding = true;
	for (unsigned int i = 0; i < len; i++, at++) {
		u8 byte = (u8)(value >> 8 * i);

		f->reg[at] = (u8)((f->reg[at] & ~f->writable[at]) | (byte & f->writable[at]));
	}
}

static const struct pci_ports fake_ports = { fake_read, fake_write };

static void put(u8 *where, unsigned int at, unsigned int len, u32 value)
{
	memcpy(where + at, &value, len);
}

static struct fake *add(u8 bus, u8 slot, u8 function, u32 id, u32 class)
{
	struct fake *f = &fake[fakes++];

	*f = (struct fake){ .bus = bus, .slot = slot, .function = function };
	put(f->reg, 0, 4, id);
	put(f->reg, 8, 4, class << 8 | 3);
	put(f->reg, 4, 2, 3);
	put(f->writable, 4, 2, 0x407);
	return f;
}

/* BAR @n: what it holds, and which bits a write changes. */
static void bar(struct fake *f, unsigned int n, u32 value, u32 writable)
{
	put(f->reg, 0x10 + 4 * n, 4, value);
	put(f->writable, 0x10 + 4 * n, 4, writable);
}

static int setup(void **state)
{
	(void)state;
	fakes = 0;
	asked = 0;
	pci_use_ports(&fake_ports);
	return 0;
}

static const struct pci_device *at(u8 bus, u8 slot, u8 function)
{
	const struct pci_device *dev;

	for (unsigned int i = 0; (dev = pci_device(i)); i++) {
		if (dev->bus == bus && dev->slot == slot && dev->function == function)
			return dev;
	}
	return NULL;
}

/* Functions above 0 are looked for only where the header says so; other buses, behind bridges or not, are found. */
static void test_scan(void **state)
{
	char text[16];

	(void)state;
	add(0, 0, 0, 0x12378086, 0x060000);
	add(0, 1, 0, 0x70008086, 0x060100)->reg[0x0e] = 0x80;
	add(0, 1, 1, 0x70108086, 0x010180);
	add(0, 2, 0, 0x100e8086, 0x020000);
	add(0, 2, 3, 0x100e8086, 0x020000); /* not there: 00:02.0 has one function */
	add(0, 3, 0, 0x000c1b36, 0x060400)->reg[0x0e] = 1;
	add(7, 31, 0, 0x00101b36, 0x010802);
	assert_int_equal(pci_scan(true), 6);
	assert_null(at(0, 2, 3));
	assert_non_null(at(7, 31, 0));
	assert_null(pci_device(6));
	assert_int_equal(at(0, 1, 1)->vendor, 0x8086);
	assert_int_equal(at(0, 1, 1)->device, 0x7010);
	assert_int_equal(at(0, 1, 1)->class, 0x010180);
	assert_int_equal(at(0, 1, 1)->revision, 3);
	assert_string_equal(pci_name(at(7, 31, 0), text, sizeof(text)), "07:1f.0");
	/* Again is no different. */
	assert_int_equal(pci_scan(true), 6);
}

static void bridge(u8 bus, u8 slot, u8 secondary, u8 last)
{
	struct fake *f = add(bus, slot, 0, 0x000c1b36, 0x060400);

	f->reg[0x0e] = 1;
	f->reg[0x18] = bus;
	f->reg[0x19] = secondary;
	f->reg[0x1a] = last;
}

/* In a virtual machine, where each question is dear, buses are found by their bridges; other roots by their first slot. */
static void test_bridges(void **state)
{
	(void)state;
	add(0, 0, 0, 0x29c08086, 0x060000);
	bridge(0, 1, 1, 3);
	bridge(1, 4, 2, 3);
	add(2, 9, 0, 0x100e8086, 0x020000);
	add(3, 0, 0, 0x11111111, 0x020000); /* no bridge leads there: nothing can answer */
	bridge(0, 5, 0, 0);                 /* not set up */
	add(0x40, 0, 0, 0x00101b36, 0x010802);
	add(0x40, 7, 0, 0x00101b36, 0x010802);
	add(0x50, 7, 0, 0x00101b36, 0x010802); /* behind an empty first slot */
	assert_int_equal(pci_scan(false), 7);
	assert_non_null(at(2, 9, 0));
	assert_non_null(at(0x40, 7, 0));
	assert_null(at(0x50, 7, 0));
	assert_in_range(asked, 0, 256 + 4 * 32 + 20);
	assert_int_equal(pci_scan(true), 8);
	assert_non_null(at(0x50, 7, 0));
	assert_null(at(3, 0, 0));
}

/* A function that the firmware has left running. */
static struct fake *running(u8 slot, u32 class)
{
	struct fake *f = add(0, slot, 0, 0x100e8086, class);

	put(f->reg, 4, 2, 0x0007);
	f->reg[6] = 0x10;
	f->reg[0x34] = 0x50;
	put(f->reg, 0x50, 4, 0x00816005); /* MSI, on */
	put(f->reg, 0x60, 4, 0xc0030011); /* MSI-X, on and masked */
	put(f->writable, 0x52, 2, 0x0071);
	put(f->writable, 0x62, 2, 0xc000);
	return f;
}

/* What the firmware has left running writes nowhere and sends no interrupt; what draws the screen, and bridges, go on. */
static void test_quiet(void **state)
{
	static const u32 quiet[] = { 0x020000, 0x010802, 0x0c0330, 0x040300, 0x078000 };
	static const u32 kept[] = { 0x030000, 0x060400, 0x080600, 0x050000 };

	for (unsigned int early = 0; early < 2; early++) {
		setup(state);
		for (unsigned int i = 0; i < ARRAY_SIZE(quiet) + ARRAY_SIZE(kept) - 1; i++) {
			bool keep = i >= ARRAY_SIZE(quiet);
			struct fake *f =
				running((u8)i, keep ? kept[i - ARRAY_SIZE(quiet)] : quiet[i]);

			if (early)
				pci_quiet(true);
			else
				pci_scan(true);
			assert_int_equal(f->reg[4], keep ? 7 : 3);
			assert_int_equal(f->reg[0x52], keep ? 0x81 : 0x80);
			assert_int_equal(f->reg[0x63], keep ? 0xc0 : 0x40);
		}
	}
	assert_null(pci_device(100));
}

/* BARs of all kinds: base and size right, values and command as before, never sized while decoding. */
static void test_bars(void **state)
{
	struct fake *f = add(0, 2, 0, 0x00101b36, 0x010802);
	const struct pci_device *dev;
	u8 before[256];

	(void)state;
	bar(f, 0, 0xfebc0000, 0xfffe0000); /* 128 KiB, 32 bits */
	bar(f, 1, 0x0000c041, 0xffffffc0); /* 64 ports */
	bar(f, 2, 0x0000000c, 0xffffc000); /* 16 KiB, 64 bits, prefetchable, above 4 GiB */
	bar(f, 3, 0x00000080, 0xffffffff);
	bar(f, 4, 0x0000c001, 0x0000fff0); /* 16 ports, upper half not there */
	bar(f, 5, 0xfe000004, 0xfff00000); /* 64 bits without a second half: 32 */
	memcpy(before, f->reg, sizeof(before));
	assert_int_equal(pci_scan(true), 1);
	dev = pci_device(0);
	assert_int_equal(dev->bar[0].base, 0xfebc0000);
	assert_int_equal(dev->bar[0].size, 0x20000);
	assert_false(dev->bar[0].io);
	assert_int_equal(dev->bar[1].base, 0xc040);
	assert_int_equal(dev->bar[1].size, 64);
	assert_true(dev->bar[1].io);
	assert_int_equal(dev->bar[2].base, 0x8000000000);
	assert_int_equal(dev->bar[2].size, 0x4000);
	assert_int_equal(dev->bar[3].base, 0);
	assert_int_equal(dev->bar[3].size, 0);
	assert_int_equal(dev->bar[4].size, 16);
	assert_int_equal(dev->bar[5].base, 0xfe000000);
	assert_int_equal(dev->bar[5].size, 0x100000);
	assert_false(f->sized_while_decoding);
	assert_memory_equal(f->reg, before, sizeof(before));
}

/* A BAR of 8 GiB, and one that is not there. */
static void test_bar_sizes(void **state)
{
	struct fake *f = add(0, 2, 0, 0x00101b36, 0x010802);

	(void)state;
	bar(f, 0, 0x00000004, 0);
	bar(f, 1, 0x00000010, 0xfffffffe);
	assert_int_equal(pci_scan(true), 1);
	assert_int_equal(pci_device(0)->bar[0].base, 0x1000000000);
	assert_int_equal(pci_device(0)->bar[0].size, 0x200000000);
	assert_int_equal(pci_device(0)->bar[2].size, 0);
}

/* Bridges' decoding stays on, all the time; what their BARs hold is told all the same. */
static void test_host_bridge(void **state)
{
	struct fake *f = add(0, 0, 0, 0x29c08086, 0x060000);

	(void)state;
	bar(f, 0, 0xd0000000, 0xf0000000);
	assert_int_equal(pci_scan(true), 1);
	assert_int_equal(f->command_writes, 0);
	assert_false(f->sized_while_decoding);
	assert_int_equal(pci_device(0)->bar[0].base, 0xd0000000);
	assert_int_equal(pci_device(0)->bar[0].size, 0);
}

/* Capabilities are found in their order; a list that is a loop, or points into the header, ends. */
static void test_caps(void **state)
{
	struct fake *f = add(0, 2, 0, 0x10001af4, 0x010000);
	const struct pci_device *dev;

	(void)state;
	f->reg[6] = 0x10;
	f->reg[0x34] = 0x41; /* the lowest two bits do not count */
	put(f->reg, 0x40, 2, 0x5009);
	put(f->reg, 0x50, 2, 0x6005);
	put(f->reg, 0x60, 2, 0x7009);
	put(f->reg, 0x70, 2, 0x0011);
	pci_scan(true);
	dev = pci_device(0);
	assert_int_equal(dev->msi, 0x50);
	assert_int_equal(dev->msix, 0x70);
	assert_int_equal(pci_find_cap(dev, PCI_CAP_VENDOR, 0), 0x40);
	assert_int_equal(pci_find_cap(dev, PCI_CAP_VENDOR, 0x40), 0x60);
	assert_int_equal(pci_find_cap(dev, PCI_CAP_VENDOR, 0x60), 0);
	f->reg[0x71] = 0x40;
	assert_int_equal(pci_find_cap(dev, 0x10, 0), 0);
	f->reg[0x71] = 0x04;
	assert_int_equal(pci_find_cap(dev, 0x10, 0), 0);
	memset(f->reg + 0x40, 0xff, 0xc0);
	assert_int_equal(pci_find_cap(dev, 0x10, 0), 0);
	f->reg[6] = 0;
	assert_int_equal(pci_find_cap(dev, 0xff, 0), 0);
}

/* What is switched on is what can be: not what decodes at 0, where RAM and other ports are. */
static void test_enable(void **state)
{
	struct fake *f = add(0, 2, 0, 0x100e8086, 0x020000);

	(void)state;
	put(f->reg, 4, 2, 0x0400);
	bar(f, 0, 0xfebc0000, 0xfffe0000);
	bar(f, 1, 0x00000001, 0xffffffc0);
	pci_scan(true);
	pci_enable(pci_device(0), true);
	assert_int_equal(pci_read16(pci_device(0), 4), 0x0006);
	bar(f, 1, 0x0000c001, 0xffffffc0);
	pci_scan(true);
	pci_enable(pci_device(0), false);
	assert_int_equal(pci_read16(pci_device(0), 4), 0x0407);
}

/* By memory: the buses that it covers, at their places; the rest of segment 0 stays with the ports only without it. */
static void test_ecam(void **state)
{
	u8 *space = malloc(2 << 20);
	char text[16];

	(void)state;
	add(0, 5, 0, 0x11111111, 0x010000); /* only the ports know it */
	memset(space, 0xff, 2 << 20);
	memset(space + (0 << 20 | 3 << 15), 0, 4096);
	put(space, 3 << 15, 4, 0x22222222);
	memset(space + (1 << 20 | 31 << 15), 0, 4096);
	put(space, 1 << 20 | 31 << 15, 4, 0x33333333);
	put(space, (1 << 20 | 31 << 15) + 0x100, 4, 0xabcdef01);
	pci_add_ecam(2, 0, 1, space);
	assert_int_equal(pci_scan(true), 3);
	assert_non_null(at(0, 5, 0));
	assert_int_equal(pci_device(0)->vendor, 0x2222);
	assert_string_equal(pci_name(pci_device(1), text, sizeof(text)), "0002:01:1f.0");
	assert_int_equal(pci_read32(pci_device(1), 0x100), 0xabcdef01);
	assert_int_equal(pci_read32(at(0, 5, 0), 0x100), 0xffffffff);
	pci_write16(pci_device(1), 0x102, 0x1234);
	assert_int_equal(pci_read8(pci_device(1), 0x103), 0x12);

	pci_use_ports(&fake_ports);
	pci_add_ecam(0, 0, 1, space);
	assert_int_equal(pci_scan(true), 2);
	free(space);
}

/* A machine with more functions than there is room for keeps the first ones, and says so. */
static void test_full(void **state)
{
	u8 *space = calloc(2, 1 << 20);

	(void)state;
	for (unsigned int f = 0; f < 512; f++) {
		put(space, f << 12, 4, 0x12345678);
		put(space, (f << 12) + 8, 4, 0x06000000);
		space[(f << 12) + 0xe] = 0x80;
	}
	pci_add_ecam(0, 0, 1, space);
	capture_start();
	assert_int_equal(pci_scan(true), PCI_MAX_DEVICES);
	capture_stop();
	assert_non_null(strstr(capture_text(), "pci: 384 functions more"));
	free(space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_scan, setup),
		cmocka_unit_test_setup(test_bridges, setup),
		cmocka_unit_test_setup(test_quiet, setup),
		cmocka_unit_test_setup(test_bars, setup),
		cmocka_unit_test_setup(test_bar_sizes, setup),
		cmocka_unit_test_setup(test_host_bridge, setup),
		cmocka_unit_test_setup(test_caps, setup),
		cmocka_unit_test_setup(test_enable, setup),
		cmocka_unit_test_setup(test_ecam, setup),
		cmocka_unit_test_setup(test_full, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
