/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's PCI bus, as configuration mechanism #1 shows it. */
#include "lib/errno.h"
#include "vmm/pc/pio_bytes.h"
#include "vmm/pc/vpci.h"

#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_BITS   0x80fffffcU
#define ADDRESS_BUS    GENMASK(23, 16)
#define ADDRESS_DEVFN  8 /* shift */

#define PORT_CONTROL   1 /* 0xCF9 */
#define PORT_DATA      4 /* 0xCFC-0xCFF */

/*
 * The host bridge: Intel, with a device ID that is no product's, so that no operating system has a
 * driver or a quirk for it. Nothing in it can be changed.
 */
static u32 bridge_read(void *dev, u8 reg, u8 size)
{
	static const u32 header[] = {
		0x0d578086, /* device, vendor */
		0x00000000, /* status, command */
		0x06000000, /* class: host bridge; revision */
	};
	u32 dword = reg / 4 < ARRAY_SIZE(header) ? header[reg / 4] : 0;

	(void)dev, (void)size;
	return dword >> 8 * (reg % 4);
}

static void bridge_write(void *dev, u8 reg, u8 size, u32 value)
{
	(void)dev, (void)reg, (void)size, (void)value;
}

static const struct vpci_function host_bridge = { bridge_read, bridge_write, NULL };

/* The function that CONFIG_ADDRESS selects, or NULL. */
static const struct vpci_function *selected(const struct vpci *v)
{
	if (!(v->address & ADDRESS_ENABLE) || v->address & ADDRESS_BUS)
		return NULL;
	return v->function[(u8)(v->address >> ADDRESS_DEVFN)];
}

static u32 data_read(const struct vpci *v, u16 off, u8 size)
{
	const struct vpci_function *f = selected(v);

	return f ? f->read(f->dev, (u8)(v->address | (off & 3)), size) : ~0U;
}

static void data_write(const struct vpci *v, u16 off, u8 size, u32 value)
{
	const struct vpci_function *f = selected(v);

	if (f)
		f->write(f->dev, (u8)(v->address | (off & 3)), size, value);
}

static u8 vpci_read_byte(void *dev, u16 off)
{
	const struct vpci *v = dev;

	if (off >= PORT_DATA && off < VPCI_PORTS)
		return (u8)data_read(v, off, 1);
	if (off == PORT_CONTROL && v->control_pio)
		return (u8)v->control_pio->read(v->control_dev, 0, 1);
	return 0xff;
}

static void vpci_write_byte(void *dev, u16 off, u8 value)
{
	const struct vpci *v = dev;

	if (off >= PORT_DATA && off < VPCI_PORTS)
		data_write(v, off, 1, value);
	else if (off == PORT_CONTROL && v->control_pio)
		v->control_pio->write(v->control_dev, 0, 1, value);
}

static u32 vpci_read(void *dev, u16 off, u8 size)
{
	const struct vpci *v = dev;

	if (off == 0 && size == 4)
		return v->address;
	if (off >= PORT_DATA && off + size <= VPCI_PORTS)
		return data_read(v, off, size);
	return pio_read_bytes(vpci_read_byte, dev, off, size);
}

static void vpci_write(void *dev, u16 off, u8 size, u32 value)
{
	struct vpci *v = dev;

	if (off == 0 && size == 4)
		v->address = value & ADDRESS_BITS;
	else if (off >= PORT_DATA && off + size <= VPCI_PORTS)
		data_write(v, off, size, value);
	else
		pio_write_bytes(vpci_write_byte, dev, off, size, value);
}

const struct pio_ops vpci_pio = { vpci_read, vpci_write };

int vpci_plug(struct vpci *v, u8 devfn, const struct vpci_function *f)
{
	if (v->function[devfn])
		return -EBUSY;
	v->function[devfn] = f;
	return 0;
}

void vpci_reset(struct vpci *v)
{
	v->address = 0;
}

void vpci_init(struct vpci *v, const struct pio_ops *control_pio, void *control_dev)
{
	*v = (struct vpci){ .control_pio = control_pio, .control_dev = control_dev };
	v->function[VPCI_DEVFN(0, 0)] = &host_bridge;
}
