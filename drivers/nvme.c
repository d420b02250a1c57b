/* SPDX-License-Identifier: BSD-2-Clause */
/* An NVMe controller is found and brought up, and its namespace 1 shown as a disk. */
#include "drivers/iomem.h"
#include "drivers/nvme.h"
#include "drivers/nvme_private.h"
#include "drivers/pci.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"

#define QUEUE_ENTRIES 64u
#define ADMIN_ENTRIES 2u /* there is one admin command at a time */
#define ADMIN_CID     0x7fff

static unsigned int controllers;

/* --- set-up: one admin command after the other --- */

static void build_identify(const struct nvme *n, struct nvme_command *c, u32 nsid, u32 what)
{
	c->opcode = NVME_ADMIN_IDENTIFY;
	c->nsid = nsid;
	c->prp1 = (u64)(uintptr_t)n->identify;
	c->cdw10 = what;
}

static void build_identify_controller(const struct nvme *n, struct nvme_command *c)
{
	build_identify(n, c, 0, NVME_IDENTIFY_CONTROLLER);
}

static void build_identify_namespace(const struct nvme *n, struct nvme_command *c)
{
	build_identify(n, c, NVME_NAMESPACE, NVME_IDENTIFY_NAMESPACE);
}

/* One pair; a controller grants no fewer. */
static void build_queue_count(const struct nvme *n, struct nvme_command *c)
{
	(void)n;
	c->opcode = NVME_ADMIN_SET_FEATURES;
	c->cdw10 = NVME_FEATURE_QUEUES;
}

static void build_create_cq(const struct nvme *n, struct nvme_command *c)
{
	c->opcode = NVME_ADMIN_CREATE_CQ;
	c->prp1 = (u64)(uintptr_t)n->io.cq;
	c->cdw10 = (n->io.entries - 1) << 16 | n->io.id;
	c->cdw11 = NVME_QUEUE_CONTIGUOUS | NVME_QUEUE_INTERRUPTS; /* vector 0, as the admin queue */
}

static void build_create_sq(const struct nvme *n, struct nvme_command *c)
{
	c->opcode = NVME_ADMIN_CREATE_SQ;
	c->prp1 = (u64)(uintptr_t)n->io.sq;
	c->cdw10 = (n->io.entries - 1) << 16 | n->io.id;
	c->cdw11 = n->io.id << 16 | NVME_QUEUE_CONTIGUOUS;
}

static u64 get(const u8 *at, unsigned int bytes)
{
	u64 v = 0;

	memcpy(&v, at, bytes);
	return v;
}

static const char *take_controller(struct nvme *n)
{
	const u8 *id = n->identify;
	char serial[BLOCK_SERIAL_LEN + 1];
	u8 mdts = id[NVME_CTRL_MDTS];
	u64 oncs = get(id + NVME_CTRL_ONCS, 2);

	disk_text(serial, sizeof(serial), id + NVME_CTRL_SERIAL, NVME_CTRL_SERIAL_LEN);
	if (n->known)
		return strcmp(serial, n->dev.serial) ? "it is another one now" : NULL;
	memcpy(n->dev.serial, serial, sizeof(serial));
	disk_text(n->dev.model, sizeof(n->dev.model), id + NVME_CTRL_MODEL, NVME_CTRL_MODEL_LEN);
	n->max_bytes = BLOCK_MAX_SECTORS * BLOCK_SECTOR;
	if (mdts && mdts < 10)
		n->max_bytes = MIN(n->max_bytes, NVME_PAGE << mdts);
	n->dev.can_discard = oncs & NVME_ONCS_DSM;
	n->dev.can_write_zeroes = oncs & NVME_ONCS_WRITE_ZEROES;
	n->dev.write_cache = id[NVME_CTRL_VWC] & 1;
	return NULL;
}

static const char *take_namespace(struct nvme *n)
{
	const u8 *id = n->identify;
	u8 flbas = id[NVME_NS_FORMAT];
	u64 format = get(id + NVME_NS_FORMATS + 4 * ((flbas & 15) | (flbas >> 1 & 0x30)), 4);
	u64 blocks = get(id + NVME_NS_SIZE, 8), shift = format >> 16 & 0xff, granule;
	u64 sectors;

	if (shift < 9 || shift > 12)
		return "blocks of a size that is not 512 to 4096 bytes";
	if (format & 0xffff || id[NVME_NS_PROTECTION] & 7)
		return "blocks with metadata";
	if (!blocks || blocks >> 50)
		return "no namespace 1";
	sectors = blocks << (shift - 9);
	if (n->known)
		return sectors != n->dev.sectors || n->dev.block_size != 1u << shift
			       ? "its namespace has changed"
			       : NULL;
	n->dev.sectors = sectors;
	n->dev.block_size = 1u << shift;
	n->dev.physical_block_size = n->dev.block_size;
	granule = (get(id + NVME_NS_WRITE_GRANULE, 2) + 1) << shift;
	if (id[NVME_NS_FEATURES] & NVME_NS_HAS_GRANULE && !(granule & (granule - 1)) &&
	    granule <= MIB(1))
		n->dev.physical_block_size = (u32)granule;
	n->dev.read_only = id[NVME_NS_ATTRIBUTES] & NVME_NS_WRITE_PROTECTED;
	return NULL;
}

/* What take answers says what is wrong; NULL: nothing. */
static const struct {
	const char *name;
	void (*build)(const struct nvme *n, struct nvme_command *c);
	const char *(*take)(struct nvme *n);
} setup[] = {
	{ "IDENTIFY CONTROLLER", build_identify_controller, take_controller },
	{ "IDENTIFY NAMESPACE", build_identify_namespace, take_namespace },
	{ "SET FEATURES", build_queue_count, NULL },
	{ "CREATE I/O COMPLETION QUEUE", build_create_cq, NULL },
	{ "CREATE I/O SUBMISSION QUEUE", build_create_sq, NULL },
};

static void setup_start(struct nvme *n, unsigned int step)
{
	struct nvme_command command = { .cid = ADMIN_CID };

	n->step = step;
	if (step == ARRAY_SIZE(setup)) {
		n->state = NVME_RUNNING;
		return;
	}
	n->state = NVME_SETUP;
	n->deadline = nvme_after_seconds(n, DISK_TIMEOUT_SECONDS);
	setup[step].build(n, &command);
	nvme_admin_push(n, &command);
}

static void setup_continue(struct nvme *n, struct disk_fifo *ended)
{
	struct nvme_completion c;
	const char *wrong = NULL;

	if (!nvme_admin_pop(n, &c))
		return;
	if (c.cid != ADMIN_CID)
		return;
	if (NVME_STATUS_CODE(c.status)) {
		pr_err("%s: %s: status 0x%x\n", n->dev.name, setup[n->step].name,
		       NVME_STATUS_CODE(c.status));
		wrong = "it refuses what it has to do";
	} else if (setup[n->step].take) {
		wrong = setup[n->step].take(n);
	}
	if (wrong)
		nvme_die(n, ended, wrong);
	else
		setup_start(n, n->step + 1);
}

/* --- from off to running, at the beginning and after each reset --- */

static void enable(struct nvme *n)
{
	nvme_queue_clear(&n->admin);
	nvme_queue_clear(&n->io);
	io_write32(n->regs + NVME_AQA, (n->admin.entries - 1) << 16 | (n->admin.entries - 1));
	io_write64(n->regs + NVME_ASQ, (u64)(uintptr_t)n->admin.sq);
	io_write64(n->regs + NVME_ACQ, (u64)(uintptr_t)n->admin.cq);
	io_write32(n->regs + NVME_CC, NVME_CC_IOSQES(6) | NVME_CC_IOCQES(4) | NVME_CC_EN);
	n->state = NVME_ENABLING;
	n->deadline = n->env->now() + n->ready_ticks;
}

/* Bounded by deadlines: the states before NVME_RUNNING. */
void nvme_bring_up(struct nvme *n, struct disk_fifo *ended)
{
	u32 csts = io_read32(n->regs + NVME_CSTS);

	if (csts == NVME_GONE) {
		nvme_die(n, ended, "it is gone");
		return;
	}
	switch (n->state) {
	case NVME_DISABLING:
		if (!(csts & NVME_CSTS_RDY)) {
			nvme_take_back(n, ended);
			enable(n);
		}
		break;
	case NVME_ENABLING:
		if (csts & NVME_CSTS_RDY)
			setup_start(n, 0);
		break;
	case NVME_SETUP: setup_continue(n, ended); break;
	case NVME_RUNNING:
	case NVME_DEAD: return;
	}
	if (n->state == NVME_RUNNING || n->state == NVME_DEAD || n->env->now() < n->deadline)
		return;
	if (n->state == NVME_DISABLING)
		nvme_die(n, ended, "it cannot be reset");
	else
		nvme_reset(n, ended, "it does not come up");
}

/* --- the beginning --- */

static int nvme_alloc(struct nvme *n, unsigned int max_entries)
{
	unsigned int entries = MIN(QUEUE_ENTRIES, max_entries);

	n->slots = MIN(NVME_SLOTS, entries - 1);
	n->list = n->env->dma_alloc(n->slots * sizeof(*n->list));
	n->identify = n->env->dma_alloc(PAGE_SIZE);
	if (!n->list || !n->identify || nvme_queue_alloc(n->env, &n->admin, 0, ADMIN_ENTRIES) ||
	    nvme_queue_alloc(n->env, &n->io, 1, entries))
		return -ENOMEM;
	return 0;
}

/* The controller's abilities, as far as they matter. NULL, or what is missing. */
static const char *nvme_read_cap(struct nvme *n, u64 *cap)
{
	*cap = io_read64(n->regs + NVME_CAP);
	if (*cap == ~0ULL)
		return "it is gone";
	if (!(*cap & NVME_CAP_CSS_NVM) || NVME_CAP_MPSMIN(*cap) || NVME_CAP_MQES(*cap) < 2)
		return "it has no NVM command set, or no pages of 4 KiB";
	n->stride = 4u << NVME_CAP_DSTRD(*cap);
	n->ready_ticks = (NVME_CAP_TO(*cap) + 1) * n->env->tsc_hz / 2;
	return NULL;
}

static int nvme_show(struct nvme *n)
{
	if (n->dev.block_size > BLOCK_SECTOR) {
		n->bounce = n->env->dma_alloc(n->slots * n->dev.block_size);
		if (!n->bounce)
			return -ENOMEM;
	}
	n->dev.max_sectors = BLOCK_MAX_SECTORS;
	n->known = true;
	pr_info("%s: %s, %llu MiB, blocks of %u bytes%s%s\n", n->dev.name, n->dev.model,
		(unsigned long long)(n->dev.sectors >> 11), n->dev.block_size,
		n->dev.write_cache ? ", write cache" : "", n->dev.read_only ? ", read-only" : "");
	n->env->add_disk(&n->dev);
	return 0;
}

int nvme_probe(const struct pci_device *pci, const struct hostdev_env *env)
{
	struct nvme *n = env->dma_alloc(sizeof(*n));
	const char *wrong;
	char where[16];
	int err;
	u64 cap, mapped;

	if (!n)
		return -ENOMEM;
	n->env = env;
	n->pci = pci;
	n->dev.ops = &nvme_block_ops;
	n->dev.ctx = n;
	scnprintf(n->dev.name, sizeof(n->dev.name), "nvme%u", controllers++);
	pr_debug("%s: at %s\n", n->dev.name, pci_name(pci, where, sizeof(where)));
	if (pci->bar[0].io || !pci->bar[0].base)
		return -ENODEV;
	mapped = MIN(pci->bar[0].size, (u64)KIB(16));
	n->regs = env->map(pci->bar[0].base, mapped);
	if (!n->regs)
		return -ENOMEM;
	pci_enable(pci, true);
	wrong = nvme_read_cap(n, &cap);
	if (!wrong && NVME_DOORBELLS + 4 * n->stride > mapped)
		wrong = "its registers do not fit";
	if (wrong) {
		pr_err("%s: %s\n", n->dev.name, wrong);
		return -ENODEV;
	}
	err = nvme_alloc(n, NVME_CAP_MQES(cap));
	if (err)
		return err;
	if (env->irq(pci, 0, nvme_irq, n))
		pr_warn("%s: no interrupt: it is polled\n", n->dev.name);
	nvme_disable(n);
	while (n->state != NVME_RUNNING && n->state != NVME_DEAD) {
		nvme_service(n, false);
		cpu_pause();
	}
	return n->state == NVME_RUNNING ? nvme_show(n) : -ENODEV;
}
