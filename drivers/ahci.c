/* SPDX-License-Identifier: BSD-2-Clause */
/* An AHCI controller is found, taken from the firmware and reset; disks on its ports are shown. */
#include "drivers/ahci.h"
#include "drivers/ahci_private.h"
#include "drivers/pci.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"

/* Milliseconds. AHCI, "Software Reset", "BIOS/OS Handoff". */
#define HBA_RESET_MS 1000
#define HANDOFF_MS   2000
#define LOOK_MS \
	5 /* between looks at ports that are not ready: under a hypervisor each look at a register is an exit to a device model */

static unsigned int controllers;

static bool wait_clear(struct ahci *a, u32 reg, u32 bits, u64 ms)
{
	u64 deadline = ahci_after_ms(a, ms);

	while (io_read32(a->regs + reg) & bits) {
		if (ahci_passed(a, deadline))
			return false;
		cpu_pause();
	}
	return true;
}

/* AHCI, "BIOS/OS Handoff". A firmware that does not let go is not asked again. */
static void take_from_firmware(struct ahci *a)
{
	if (!(io_read32(a->regs + AHCI_CAP2) & AHCI_CAP2_BOH))
		return;
	io_write32(a->regs + AHCI_BOHC, io_read32(a->regs + AHCI_BOHC) | AHCI_BOHC_OS);
	if (!wait_clear(a, AHCI_BOHC, AHCI_BOHC_BIOS | AHCI_BOHC_BUSY, HANDOFF_MS))
		pr_warn("ahci: the firmware does not let go of the controller\n");
}

static int reset_hba(struct ahci *a)
{
	io_write32(a->regs + AHCI_GHC, AHCI_GHC_ENABLE);
	a->implemented = io_read32(a->regs + AHCI_PI);
	a->cap = io_read32(a->regs + AHCI_CAP);
	io_write32(a->regs + AHCI_GHC, AHCI_GHC_ENABLE | AHCI_GHC_RESET);
	if (!wait_clear(a, AHCI_GHC, AHCI_GHC_RESET, HBA_RESET_MS)) {
		pr_err("ahci: the controller cannot be reset\n");
		return -EIO;
	}
	io_write32(a->regs + AHCI_GHC, AHCI_GHC_ENABLE);
	if (!io_read32(a->regs + AHCI_PI)) /* the firmware's to set, and some lose it */
		io_write32(a->regs + AHCI_PI, a->implemented);
	return 0;
}

static struct ahci_port *new_port(struct ahci *a, unsigned int id, unsigned int number)
{
	struct ahci_port *p = a->env->dma_alloc(sizeof(*p));

	if (!p)
		return NULL;
	p->hba = a;
	p->regs = a->regs + AHCI_PORT(number);
	p->mem = a->env->dma_alloc(sizeof(*p->mem));
	p->dev.ops = &ahci_block_ops;
	p->dev.ctx = p;
	scnprintf(p->dev.name, sizeof(p->dev.name), "ahci%u.%u", id, number);
	return p->mem ? p : NULL;
}

static void pause_ms(struct ahci *a, u64 ms)
{
	for (u64 end = ahci_after_ms(a, ms); !ahci_passed(a, end);)
		cpu_pause();
}

/* All ports at once, as long as one is neither up nor found empty. */
static void wait_for_ports(struct ahci *a)
{
	for (bool busy = true; busy;) {
		busy = false;
		for (unsigned int i = 0; i < AHCI_PORTS; i++) {
			struct ahci_port *p = a->port[i];

			if (!p)
				continue;
			ahci_service(p);
			busy |= p->state != AHCI_RUNNING && p->state != AHCI_DEAD;
		}
		if (busy)
			pause_ms(a, LOOK_MS);
	}
}

static void show(struct ahci_port *p)
{
	struct block_device *d = &p->dev;

	memcpy(d->serial, p->id.serial, sizeof(d->serial));
	memcpy(d->model, p->id.model, sizeof(d->model));
	d->sectors = p->id.sectors;
	d->block_size = p->id.block_size;
	d->physical_block_size = p->id.physical_block_size;
	d->max_sectors = BLOCK_MAX_SECTORS;
	d->write_cache = p->id.write_cache;
	d->can_discard = p->id.trim;
	p->known = true;
	pr_info("%s: %s, %llu MiB, blocks of %u bytes%s, queue of %u\n", d->name, p->id.model,
		(unsigned long long)(d->sectors >> 11), d->block_size,
		d->write_cache ? ", write cache" : "", MAX(p->depth, 1u));
	p->hba->env->add_disk(d);
}

static int map_hba(struct ahci *a)
{
	const struct pci_bar *bar = &a->pci->bar[5];

	if (bar->io || !bar->base || bar->size < AHCI_PORT(1))
		return -ENODEV;
	a->regs = a->env->map(bar->base, MIN(bar->size, AHCI_PORT(AHCI_PORTS)));
	return a->regs ? 0 : -ENOMEM;
}

static int make_ports(struct ahci *a)
{
	unsigned int id = controllers++;

	for (unsigned int i = 0; i < AHCI_PORTS; i++) {
		if (!(a->implemented & 1u << i) || AHCI_PORT(i + 1) > a->pci->bar[5].size)
			continue;
		a->port[i] = new_port(a, id, i);
		if (!a->port[i])
			return -ENOMEM;
	}
	return 0;
}

int ahci_probe(const struct pci_device *pci, const struct hostdev_env *env)
{
	struct ahci *a = env->dma_alloc(sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->env = env;
	a->pci = pci;
	err = map_hba(a);
	if (err)
		return err;
	pci_enable(pci, true);
	take_from_firmware(a);
	err = reset_hba(a);
	if (err)
		return err;
	if (!(a->cap & AHCI_CAP_64BIT)) {
		pr_err("ahci: a controller without 64-bit addresses: its disks are not used\n");
		return -ENODEV;
	}
	err = make_ports(a);
	if (err)
		return err;
	for (unsigned int i = 0; i < AHCI_PORTS; i++) {
		if (a->port[i])
			ahci_start_port(a->port[i]);
	}
	if (env->irq(pci, 0, ahci_irq, a))
		pr_warn("ahci: no interrupt: it is polled\n");
	io_write32(a->regs + AHCI_GHC, AHCI_GHC_ENABLE | AHCI_GHC_IRQ);
	wait_for_ports(a);
	for (unsigned int i = 0; i < AHCI_PORTS; i++) {
		if (a->port[i] && a->port[i]->state == AHCI_RUNNING)
			show(a->port[i]);
	}
	return 0;
}
