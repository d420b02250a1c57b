/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for drivers of disks: a clock that moves by a microsecond at each look, memory, one PCI function, and
 * requests whose ends are counted.
 */
#ifndef TESTS_UNIT_FAKE_HOSTDEV_H
#define TESTS_UNIT_FAKE_HOSTDEV_H

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "drivers/hostdev.h"
#include "drivers/pci.h"
#include "lib/block.h"

#define FAKE_HZ 1000000u /* of the clock */

static struct {
	u64 now;
	void *registers;
	void (*irq)(void *arg);
	void *irq_arg;
	struct block_device *disk;
	unsigned int disks;
	u16 command; /* PCI's */
	void *allocated[64];
	unsigned int allocations;
	bool no_irq;
} machine;

static u64 fake_now(void)
{
	return machine.now++;
}

static void *fake_alloc(u64 bytes)
{
	size_t size = (bytes + 4095) & ~4095ULL;
	void *p = aligned_alloc(4096, size);

	assert_true(machine.allocations < 64);
	machine.allocated[machine.allocations++] = p;
	return memset(p, 0, size);
}

static void *fake_map(hpa_t base, u64 bytes)
{
	(void)base;
	(void)bytes;
	return machine.registers;
}

static int fake_irq(const struct pci_device *pci, unsigned int entry, void (*fn)(void *arg),
		    void *arg)
{
	(void)pci;
	assert_int_equal(entry, 0);
	machine.irq = fn;
	machine.irq_arg = arg;
	return machine.no_irq ? -19 : 0;
}

static void fake_add_disk(struct block_device *disk)
{
	machine.disk = disk;
	machine.disks++;
}

static const struct hostdev_env fake_env = {
	.tsc_hz = FAKE_HZ,
	.now = fake_now,
	.dma_alloc = fake_alloc,
	.map = fake_map,
	.irq = fake_irq,
	.add_disk = fake_add_disk,
};

static inline void machine_reset(void *registers)
{
	for (unsigned int i = 0; i < machine.allocations; i++)
		free(machine.allocated[i]);
	memset(&machine, 0, sizeof(machine));
	machine.registers = registers;
}

static inline void pass_ms(u64 ms)
{
	machine.now += ms * (FAKE_HZ / 1000);
}

/* --- PCI, instead of drivers/pci.c --- */

#define FAKE_MASTER 0x04

u16 pci_read16(const struct pci_device *dev, u16 reg)
{
	(void)dev;
	(void)reg;
	return machine.command;
}

void pci_write16(const struct pci_device *dev, u16 reg, u16 value)
{
	(void)dev;
	assert_int_equal(reg, 0x04);
	machine.command = value;
}

void pci_enable(const struct pci_device *dev, bool intx)
{
	(void)dev;
	(void)intx;
	machine.command = 0x06;
}

const char *pci_name(const struct pci_device *dev, char *text, size_t size)
{
	(void)dev;
	(void)size;
	return strcpy(text, "00:01.0");
}

/* --- requests --- */

struct asked {
	struct block_request request;
	struct block_segment segment[BLOCK_SEGMENTS];
	unsigned int ended;
	enum block_result result;
};

static void asked_done(struct block_request *request, enum block_result result)
{
	struct asked *a = (struct asked *)request;

	a->ended++;
	a->result = result;
}

/* @bytes at @data; for FLUSH, DISCARD and WRITE_ZEROES NULL. */
static inline enum block_result ask(struct asked *a, enum block_op op, u64 sector, u64 sectors,
				    void *data)
{
	memset(a, 0, sizeof(*a));
	a->request = (struct block_request){ .op = op,
					     .sector = sector,
					     .sectors = sectors,
					     .segment = a->segment,
					     .done = asked_done };
	if (data) {
		a->segment[0] =
			(struct block_segment){ (hpa_t)(uintptr_t)data, (u32)(sectors * 512) };
		a->request.segments = 1;
	}
	return block_submit(machine.disk, &a->request);
}

#endif
