/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/hostdev.h"
#include "drivers/ahci.h"
#include "drivers/e1000.h"
#include "drivers/ide.h"
#include "drivers/nvme.h"
#include "drivers/pci.h"
#include "drivers/virtio_blk_drv.h"
#include "drivers/virtio_drv.h"
#include "drivers/virtio_net_drv.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/host/ap.h"
#include "vmm/host/host.h"
#include "vmm/host/hostdev_irq.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/mem.h"
#include "vmm/host/tsc.h"
#include "vmm/host/vmm.h"

#define DMA_LIMIT      GIB(4)
#define ECAM_BUS       MIB(1) /* of registers for each bus */

#define POLLS_A_SECOND 10
#define POLLS_NO_IRQ   1000
/* For how long disks are polled after a request: one that tells when it is busy as long as it is, in any case. */
#define ACTIVE_SECONDS        2
#define ACTIVE_SECONDS_UNTOLD 120

/* Who is asked whether a function is his: by class (with its interface, unless masked out), or by name. */
struct match {
	u32 class, class_mask;
	u16 vendor, device; /* 0: any */
	hostdev_probe_fn *probe;
};

static const struct match matches[] = {
	{ .class = 0x020000, .class_mask = 0xffff00, .vendor = 0x8086, .probe = e1000_probe },
	{ .class = 0x010100, .class_mask = 0xffff00, .probe = ide_probe },
	{ .class = AHCI_PCI_CLASS, .class_mask = 0xffffff, .probe = ahci_probe },
	{ .class = NVME_PCI_CLASS, .class_mask = 0xffffff, .probe = nvme_probe },
	{ .vendor = VDRV_VENDOR, .device = VIRTIO_BLK_PCI_TRANSITIONAL, .probe = virtio_blk_probe },
	{ .vendor = VDRV_VENDOR, .device = VIRTIO_BLK_PCI_MODERN, .probe = virtio_blk_probe },
	{ .vendor = VDRV_VENDOR, .device = VIRTIO_NET_PCI_TRANSITIONAL, .probe = virtio_net_probe },
	{ .vendor = VDRV_VENDOR, .device = VIRTIO_NET_PCI_MODERN, .probe = virtio_net_probe },
};

/* As users see it: it notes that something has been asked for. */
struct host_disk {
	struct block_device dev;
	const struct block_device *driver;
};

static struct host_disk disks[HOSTDEV_MAX_DISKS];
static unsigned int nr_disks;
static struct nic *nics[HOSTDEV_MAX_NICS];
static unsigned int nr_nics;
static struct hostdev_env env;
static _Atomic u64 active_until; /* host TSC */
static u64 polled;               /* when: the boot CPU's */

/* --- what drivers get --- */

static u64 env_now(void)
{
	return rdtsc();
}

static void *env_dma_alloc(u64 bytes)
{
	hpa_t hpa = mem_alloc_below(bytes, DMA_LIMIT, MEM_OWNER_VMM);

	if (hpa)
		memset((void *)(uintptr_t)hpa, 0, bytes);
	return (void *)(uintptr_t)hpa;
}

static void *env_map(hpa_t base, u64 bytes)
{
	int err = base ? hostpt_map(base, bytes, HOSTPT_MMIO) : -1;

	if (err) {
		pr_err("pci: device registers at 0x%llx, %llu bytes: cannot be mapped (%d)\n",
		       (unsigned long long)base, (unsigned long long)bytes, err);
		return NULL;
	}
	return (void *)(uintptr_t)base;
}

static enum block_result disk_submit(void *ctx, struct block_request *request)
{
	const struct host_disk *disk = ctx;
	u64 now = rdtsc(), until = atomic_load_explicit(&active_until, memory_order_relaxed);
	u64 window = disk->driver->ops->busy ? ACTIVE_SECONDS : ACTIVE_SECONDS_UNTOLD;

	/* Noted once a second; the boot CPU may be asleep, or in a guest, without a reason to look here. */
	if (unlikely(now + (window - 1) * env.tsc_hz >= until)) {
		atomic_store(&active_until, now + window * env.tsc_hz);
		if (now >= until)
			host_kick(cpu_by_id(0));
	}
	return disk->driver->ops->submit(disk->driver->ctx, request);
}

static void disk_poll(void *ctx)
{
	const struct host_disk *disk = ctx;

	block_poll(disk->driver);
}

static void env_add_disk(struct block_device *driver)
{
	static const struct block_ops ops = { .submit = disk_submit, .poll = disk_poll };
	struct host_disk *disk = &disks[nr_disks];

	if (nr_disks == HOSTDEV_MAX_DISKS) {
		pr_warn("disk: %s: one too many: expected at most %d\n", driver->name,
			HOSTDEV_MAX_DISKS);
		return;
	}
	nr_disks++;
	*disk = (struct host_disk){ .dev = *driver, .driver = driver };
	disk->dev.ops = &ops;
	disk->dev.ctx = disk;
}

static void env_add_nic(struct nic *nic)
{
	if (nr_nics == HOSTDEV_MAX_NICS) {
		pr_warn("nic: %s: one too many: expected at most %d\n", nic->name,
			HOSTDEV_MAX_NICS);
		return;
	}
	nics[nr_nics++] = nic;
}

/* --- finding --- */

static const struct match *match(const struct pci_device *pci)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(matches); i++) {
		const struct match *m = &matches[i];

		if ((pci->class & m->class_mask) == m->class &&
		    (!m->vendor || pci->vendor == m->vendor) &&
		    (!m->device || pci->device == m->device))
			return m;
	}
	return NULL;
}

static void add_ecams(const struct acpi_info *acpi)
{
	for (unsigned int i = 0; i < acpi->mcfgs; i++) {
		const struct acpi_mcfg *m = &acpi->mcfg[i];
		u64 buses = m->last_bus - m->first_bus + 1u;

		if (m->last_bus < m->first_bus ||
		    hostpt_map(m->base + m->first_bus * ECAM_BUS, buses * ECAM_BUS, HOSTPT_MMIO))
			pr_warn("pci: MCFG 0x%llx, buses %u to %u: cannot be mapped\n",
				(unsigned long long)m->base, m->first_bus, m->last_bus);
		else
			pci_add_ecam(m->segment, m->first_bus, m->last_bus,
				     (void *)(uintptr_t)m->base);
	}
}

#define CLASS_BRIDGE 0x06

void hostdev_init(const struct acpi_info *acpi)
{
	unsigned int functions;

	env = (struct hostdev_env){
		.tsc_hz = tsc_hz(),
		.now = env_now,
		.dma_alloc = env_dma_alloc,
		.map = env_map,
		.irq = hostdev_irq,
		.isa_irq = hostdev_isa_irq,
		.add_disk = env_add_disk,
		.add_nic = env_add_nic,
	};
	hostdev_irq_init(acpi);
	add_ecams(acpi);
	functions = pci_scan(!vmm.platform.hypervisor);
	for (unsigned int i = 0; i < functions; i++) {
		const struct pci_device *pci = pci_device(i);
		const struct match *m = match(pci);

		if (m)
			m->probe(pci, &env); /* which has said what is wrong, if anything is */
		else if (pci->class >> 16 != CLASS_BRIDGE)
			pci_silence(pci);
	}
	pr_info("pci: %u functions, %u disk%s, %u network card%s\n", functions, nr_disks,
		nr_disks == 1 ? "" : "s", nr_nics, nr_nics == 1 ? "" : "s");
}

const struct block_device *hostdev_disk(unsigned int index)
{
	return index < nr_disks ? &disks[index].dev : NULL;
}

struct nic *hostdev_nic(unsigned int index)
{
	return index < nr_nics ? nics[index] : NULL;
}

/* --- polling --- */

void hostdev_poll(void)
{
	for (unsigned int i = 0; i < nr_disks; i++)
		block_poll(disks[i].driver);
	for (unsigned int i = 0; i < nr_nics; i++) {
		if (nics[i]->receive && nics[i]->poll)
			nics[i]->poll(nics[i]->driver);
	}
}

static bool nic_in_use(void)
{
	for (unsigned int i = 0; i < nr_nics; i++) {
		if (nics[i]->receive)
			return true;
	}
	return false;
}

static bool disk_busy(void)
{
	for (unsigned int i = 0; i < nr_disks; i++) {
		const struct block_device *dev = disks[i].driver;

		if (dev->ops->busy && dev->ops->busy(dev->ctx))
			return true;
	}
	return false;
}

void hostdev_settle(void)
{
	atomic_store(&active_until, 0);
}

u64 hostdev_tend(void)
{
	u64 period = env.tsc_hz / (hostdev_irq_missing() ? POLLS_NO_IRQ : POLLS_A_SECOND);
	u64 now;

	if (!nr_disks && !nr_nics)
		return TSC_NEVER;
	now = rdtsc();
	if (now >= atomic_load_explicit(&active_until, memory_order_relaxed) && !nic_in_use())
		return TSC_NEVER;
	if (now - polled >= period) {
		polled = now;
		hostdev_irq_tick();
		hostdev_poll();
		if (disk_busy())
			atomic_store(&active_until, now + ACTIVE_SECONDS * env.tsc_hz);
	}
	return polled + period;
}
