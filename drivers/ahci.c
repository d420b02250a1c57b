#include <stdatomic.h>
#include "drivers/ahci.h"
#include "drivers/ahci_private.h"
#include "drivers/iomem.h"
#include "drivers/pci.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"

#define PCI_COMMAND 0x04
#define PCI_MASTER  0x04

#define MAX_RESETS  3u  /* in a row, without a command that went well in between */
#define COMPLAINTS  16u /* of one disk: a guest can make it fail without end */

/* Milliseconds. AHCI, "Software Reset", "Port Reset", "BIOS/OS Handoff"; a disk may have to spin up. */
#define HBA_RESET_MS 1000
#define HANDOFF_MS   2000
#define STOP_MS      500
#define COMRESET_MS  2
#define DETECT_MS    500 /* is there anything? */
#define LINK_MS      2000
#define SPIN_UP_MS   20000

enum state {
	STOPPING,    /* waiting for PxCMD.CR = 0 */
	RESETTING,   /* COMRESET is on the link */
	LINKING,     /* waiting for a device, and for it to be ready */
	IDENTIFYING, /* waiting for the answer to IDENTIFY DEVICE, in slot 0 */
	RUNNING,
	DEAD, /* or empty, from the beginning: every request is BLOCK_ERROR */
};

/* A command under way, or none: request is NULL. */
struct slot {
	struct block_request *request;
	u64 deadline, sectors;
	bool guilty;
};

/* Shared with the port, in a page of its own. */
struct port_memory {
	struct ahci_header header[AHCI_SLOTS];
	u8 fis[256];
	u8 gap[256];
	u16 words[ATA_ID_WORDS];
	u64 ranges[ATA_TRIM_RANGES];
};

_Static_assert(offsetof(struct port_memory, fis) % 256 == 0, "received FISes are on a boundary");
_Static_assert(sizeof(struct port_memory) <= PAGE_SIZE, "a port has a page");

struct ahci_port {
	struct spinlock lock;
	struct ahci *hba;
	u8 *regs;
	struct port_memory *mem;
	struct ahci_table *table; /* of each slot */
	enum state state;
	bool known;    /* its disk was shown: from here on it has to stay the same */
	bool hard;     /* STOPPING: a reset of the link follows */
	bool detected; /* LINKING: there is a device */
	bool queued;   /* what is under way */
	u32 active;    /* slots with a command */
	unsigned int resets, complaints;
	u64 deadline; /* of state */
	struct slot slot[AHCI_SLOTS];
	struct disk_fifo waiting;
	unsigned int depth; /* of queued commands; 0: one command at a time */
	struct ahci_identity id;
	struct block_device dev;
};

struct ahci {
	const struct hostdev_env *env;
	const struct pci_device *pci;
	u8 *regs;
	u32 cap;
	u32 implemented; /* ports that there are */
	bool off;        /* bus mastering had to be switched off: all ports are dead */
	struct ahci_port *port[AHCI_PORTS];
};

static unsigned int controllers;

static u64 after_ms(const struct ahci *a, u64 ms)
{
	return a->env->now() + ms * a->env->tsc_hz / 1000;
}

static bool passed(const struct ahci *a, u64 deadline)
{
	return a->env->now() >= deadline;
}

static u32 rd(const struct ahci_port *p, u32 reg)
{
	return io_read32(p->regs + reg);
}

static void wr(const struct ahci_port *p, u32 reg, u32 value)
{
	io_write32(p->regs + reg, value);
}

/* --- a port's states: each function that is named after a step begins it --- */

static void to_state(struct ahci_port *p, enum state state, u64 ms)
{
	p->state = state;
	p->deadline = after_ms(p->hba, ms);
}

/* All that is under way has failed, or is tried again. The engine is off. */
static void take_back(struct ahci_port *p, struct disk_fifo *ended)
{
	for (unsigned int i = AHCI_SLOTS; i-- > 0;) {
		struct slot *s = &p->slot[i];

		if (s->request)
			disk_request_retry(&p->waiting, ended, s->request, s->guilty);
		*s = (struct slot){ 0 };
	}
	p->active = 0;
}

static void die(struct ahci_port *p, struct disk_fifo *ended, const char *why)
{
	struct ahci *a = p->hba;

	if (why)
		pr_err("%s: %s: the disk is off\n", p->dev.name, why);
	p->state = DEAD;
	wr(p, AHCI_PxIE, 0);
	wr(p, AHCI_PxCMD, rd(p, AHCI_PxCMD) & ~(AHCI_CMD_START | AHCI_CMD_FIS));
	/* Requests' memory is given back: if the engine cannot be stopped, the whole controller is. */
	if (p->active && rd(p, AHCI_PxCMD) & AHCI_CMD_RUNNING && !a->off) {
		a->off = true;
		pci_write16(a->pci, PCI_COMMAND,
			    (u16)(pci_read16(a->pci, PCI_COMMAND) & ~PCI_MASTER));
	}
	for (unsigned int i = 0; i < AHCI_SLOTS; i++)
		p->slot[i].guilty = true;
	take_back(p, ended);
	disk_fail_all(ended, &p->waiting);
}

static void stop(struct ahci_port *p, bool hard)
{
	wr(p, AHCI_PxIE,
	   0); /* until it runs again: a line must not stay up for what only time can end */
	wr(p, AHCI_PxCMD, rd(p, AHCI_PxCMD) & ~AHCI_CMD_START);
	p->hard = hard;
	to_state(p, STOPPING, STOP_MS);
}

static void recover(struct ahci_port *p, struct disk_fifo *ended, bool hard, const char *why)
{
	if (hard && ++p->resets > MAX_RESETS) {
		die(p, ended, why);
		return;
	}
	if (p->complaints < COMPLAINTS) {
		p->complaints++;
		pr_warn("%s: %s%s\n", p->dev.name, why, hard ? ": reset" : "");
	}
	stop(p, hard);
}

static void clear_errors(struct ahci_port *p)
{
	wr(p, AHCI_PxSERR, rd(p, AHCI_PxSERR));
	wr(p, AHCI_PxIS, rd(p, AHCI_PxIS));
}

static void start_engine(struct ahci_port *p)
{
	clear_errors(p);
	wr(p, AHCI_PxIE, AHCI_INT_WANTED);
	wr(p, AHCI_PxCMD, rd(p, AHCI_PxCMD) | AHCI_CMD_START);
}

static void reset_link(struct ahci_port *p)
{
	wr(p, AHCI_PxSCTL, AHCI_SCTL_NO_SLEEP | AHCI_SCTL_RESET);
	to_state(p, RESETTING, COMRESET_MS);
}

static void issue(struct ahci_port *p, unsigned int slot, struct ahci_built built, bool queued)
{
	struct ahci_header *h = &p->mem->header[slot];

	h->flags = AHCI_HEADER_FIS_DWORDS | (built.write ? AHCI_HEADER_WRITE : 0);
	h->prdt_entries = built.prds;
	h->bytes = 0;
	h->table = (u64)(uintptr_t)&p->table[slot];
	p->slot[slot].sectors = built.sectors;
	p->slot[slot].deadline = after_ms(p->hba, DISK_TIMEOUT_SECONDS * 1000);
	p->slot[slot].guilty = false;
	p->active |= 1u << slot;
	p->queued = queued;
	atomic_thread_fence(memory_order_release);
	if (queued)
		wr(p, AHCI_PxSACT, 1u << slot);
	wr(p, AHCI_PxCI, 1u << slot);
}

static void identify(struct ahci_port *p)
{
	start_engine(p);
	to_state(p, IDENTIFYING, DISK_TIMEOUT_SECONDS * 1000);
	issue(p, 0, ahci_build_identify(&p->table[0], p->mem->words), false);
}

static bool take_identity(struct ahci_port *p, struct disk_fifo *ended)
{
	struct ahci_identity id;
	const char *wrong = ahci_identity(p->mem->words, &id);

	if (!wrong && p->known &&
	    (strcmp(id.serial, p->id.serial) || id.sectors != p->id.sectors ||
	     id.block_size != p->id.block_size))
		wrong = "it is another one now";
	if (wrong) {
		die(p, ended, wrong);
		return false;
	}
	p->id = id;
	p->depth = p->hba->cap & AHCI_CAP_NCQ ? MIN(id.depth, AHCI_CAP_SLOTS(p->hba->cap)) : 0;
	return true;
}

/* A device is there and ready. The tables are for disks only, and only from the first time on. */
static void linked(struct ahci_port *p, struct disk_fifo *ended)
{
	if (rd(p, AHCI_PxSIG) != AHCI_SIG_DISK) {
		die(p, ended, p->known ? "it is no disk any more" : NULL);
		return;
	}
	if (!p->table)
		p->table = p->hba->env->dma_alloc(AHCI_CAP_SLOTS(p->hba->cap) * sizeof(*p->table));
	if (p->table)
		identify(p);
	else
		die(p, ended, "no memory for its commands");
}

static void step_linking(struct ahci_port *p, struct disk_fifo *ended)
{
	bool link = AHCI_SSTS_DET(rd(p, AHCI_PxSSTS)) == AHCI_DET_LINK;

	if (link && !(rd(p, AHCI_PxTFD) & (AHCI_TFD_BSY | AHCI_TFD_DRQ))) {
		linked(p, ended);
		return;
	}
	if (link && !p->detected) { /* the long wait is for what is there */
		p->detected = true;
		p->deadline = after_ms(p->hba, SPIN_UP_MS);
	}
	if (passed(p->hba, p->deadline))
		die(p, ended, p->known || link ? "it does not answer" : NULL);
}

static void link_up(struct ahci_port *p, u64 ms)
{
	p->detected = false;
	to_state(p, LINKING, ms);
}

static void step_stopping(struct ahci_port *p, struct disk_fifo *ended)
{
	if (rd(p, AHCI_PxCMD) & AHCI_CMD_RUNNING) {
		if (passed(p->hba, p->deadline))
			die(p, ended, "it cannot be stopped");
		return;
	}
	take_back(p, ended);
	if (p->hard || rd(p, AHCI_PxTFD) & (AHCI_TFD_BSY | AHCI_TFD_DRQ)) {
		reset_link(p);
		return;
	}
	start_engine(p);
	p->state = RUNNING;
}

static void step_identifying(struct ahci_port *p, struct disk_fifo *ended)
{
	u32 status = rd(p, AHCI_PxIS);

	wr(p, AHCI_PxIS, status);
	if (status & AHCI_INT_FATAL || passed(p->hba, p->deadline)) {
		recover(p, ended, true, "IDENTIFY DEVICE has failed");
	} else if (!(rd(p, AHCI_PxCI) & 1)) {
		p->active = 0;
		if (take_identity(p, ended))
			p->state = RUNNING;
	}
}

/* --- requests --- */

static bool queueable(const struct ahci_port *p, struct block_request *r)
{
	/* What was under way when a queued command failed goes alone the next time: so it is known whose fault it is. */
	return p->depth && (r->op == BLOCK_READ || r->op == BLOCK_WRITE) &&
	       !disk_progress(r)->tries;
}

static void start_request(struct ahci_port *p, unsigned int slot, struct block_request *r,
			  bool queued)
{
	p->slot[slot].request = r;
	issue(p, slot,
	      ahci_build(r, &p->table[slot], p->dev.block_size, queued, slot, p->mem->ranges),
	      queued);
}

/*
 * In the order of their coming: queued commands and others do not mix, so that one of the other kind waits until
 * all is done that is under way, and whatever comes after it waits, too.
 */
static void start_waiting(struct ahci_port *p)
{
	while (p->waiting.first) {
		bool queued = queueable(p, p->waiting.first);
		unsigned int slot = 0;

		if (p->active && !(queued && p->queued))
			return;
		while (slot < p->depth && p->active & 1u << slot)
			slot++;
		if (queued && slot >= p->depth)
			return;
		start_request(p, slot, disk_fifo_take(&p->waiting), queued);
	}
}

static void completed(struct ahci_port *p, unsigned int slot, struct disk_fifo *ended)
{
	struct block_request *r = p->slot[slot].request;

	p->active &= ~(1u << slot);
	p->slot[slot].request = NULL;
	p->resets = 0;
	if (disk_advance(r, p->slot[slot].sectors))
		disk_request_end(ended, r, BLOCK_OK);
	else
		start_request(p, slot, r, false); /* of a long TRIM the next part */
}

static void command_failed(struct ahci_port *p, struct disk_fifo *ended)
{
	for (unsigned int i = 0; i < AHCI_SLOTS; i++)
		p->slot[i].guilty = !p->queued;
	/* A queued command's error ends only by a reset, or by asking the disk whose it was. */
	recover(p, ended, p->queued,
		p->queued ? "a queued command has failed" : "a command has failed");
}

static void check_deadlines(struct ahci_port *p, struct disk_fifo *ended)
{
	bool late = false;

	for (unsigned int i = 0; i < AHCI_SLOTS; i++) {
		struct slot *s = &p->slot[i];

		s->guilty = p->active & 1u << i && passed(p->hba, s->deadline);
		late |= s->guilty;
	}
	if (late)
		recover(p, ended, true, "a command has taken too long");
}

static void step_running(struct ahci_port *p, struct disk_fifo *ended)
{
	u32 status = rd(p, AHCI_PxIS), done;

	if (status == AHCI_GONE) {
		die(p, ended, "the controller is gone");
		return;
	}
	wr(p, AHCI_PxIS, status);
	/* What has ended well before something went wrong has ended. */
	done = p->active & ~(rd(p, AHCI_PxCI) | rd(p, AHCI_PxSACT));
	if (status & AHCI_INT_FATAL && !p->queued)
		done = 0;
	for (unsigned int i = 0; i < AHCI_SLOTS; i++) {
		if (done & 1u << i)
			completed(p, i, ended);
	}
	if (status & AHCI_INT_LINK)
		recover(p, ended, true, "the link was lost");
	else if (status & AHCI_INT_FATAL)
		command_failed(p, ended);
	else
		check_deadlines(p, ended);
}

static void step(struct ahci_port *p, struct disk_fifo *ended)
{
	if (p->hba->off && p->state != DEAD)
		die(p, ended, "the controller is off");
	switch (p->state) {
	case STOPPING: step_stopping(p, ended); break;
	case RESETTING:
		if (passed(p->hba, p->deadline)) {
			wr(p, AHCI_PxSCTL, AHCI_SCTL_NO_SLEEP);
			clear_errors(p);
			link_up(p, LINK_MS);
		}
		break;
	case LINKING: step_linking(p, ended); break;
	case IDENTIFYING: step_identifying(p, ended); break;
	case RUNNING: step_running(p, ended); break;
	case DEAD: return;
	}
	if (p->state == RUNNING)
		start_waiting(p);
}

static void service(struct ahci_port *p)
{
	struct disk_fifo ended = { 0 };

	spin_lock(&p->lock);
	step(p, &ended);
	spin_unlock(&p->lock);
	disk_give_back(&ended);
}

static void ahci_poll(void *ctx)
{
	service(ctx);
}

static void ahci_irq(void *arg)
{
	struct ahci *a = arg;
	u32 status = io_read32(a->regs + AHCI_IS);

	if (status == AHCI_GONE || !status)
		return;
	for (unsigned int i = 0; i < AHCI_PORTS; i++) {
		if (status & 1u << i && a->port[i])
			service(a->port[i]);
	}
	io_write32(a->regs + AHCI_IS, status);
}

static enum block_result ahci_submit(void *ctx, struct block_request *r)
{
	struct ahci_port *p = ctx;
	bool dead;

	disk_request_init(r);
	spin_lock(&p->lock);
	dead = p->state == DEAD;
	if (!dead)
		disk_fifo_put(&p->waiting, r);
	if (p->state == RUNNING)
		start_waiting(p);
	spin_unlock(&p->lock);
	return dead ? BLOCK_ERROR : BLOCK_PENDING;
}

static const struct block_ops ahci_ops = { .submit = ahci_submit, .poll = ahci_poll };

/* --- the beginning --- */

static bool wait_clear(struct ahci *a, u32 reg, u32 bits, u64 ms)
{
	u64 deadline = after_ms(a, ms);

	while (io_read32(a->regs + reg) & bits) {
		if (passed(a, deadline))
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
	p->dev.ops = &ahci_ops;
	p->dev.ctx = p;
	scnprintf(p->dev.name, sizeof(p->dev.name), "ahci%u.%u", id, number);
	return p->mem ? p : NULL;
}

static void start_port(struct ahci_port *p)
{
	wr(p, AHCI_PxCLB, lower_32((u64)(uintptr_t)p->mem->header));
	wr(p, AHCI_PxCLB + 4, upper_32((u64)(uintptr_t)p->mem->header));
	wr(p, AHCI_PxFB, lower_32((u64)(uintptr_t)p->mem->fis));
	wr(p, AHCI_PxFB + 4, upper_32((u64)(uintptr_t)p->mem->fis));
	wr(p, AHCI_PxSCTL, AHCI_SCTL_NO_SLEEP);
	wr(p, AHCI_PxIE, 0);
	clear_errors(p);
	wr(p, AHCI_PxCMD, AHCI_CMD_FIS | AHCI_CMD_POWER | AHCI_CMD_SPIN_UP | AHCI_CMD_ACTIVE);
	link_up(p, DETECT_MS);
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
			service(p);
			busy |= p->state != RUNNING && p->state != DEAD;
		}
		cpu_pause();
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
			start_port(a->port[i]);
	}
	if (env->irq(pci, 0, ahci_irq, a))
		pr_warn("ahci: no interrupt: it is polled\n");
	io_write32(a->regs + AHCI_GHC, AHCI_GHC_ENABLE | AHCI_GHC_IRQ);
	wait_for_ports(a);
	for (unsigned int i = 0; i < AHCI_PORTS; i++) {
		if (a->port[i] && a->port[i]->state == RUNNING)
			show(a->port[i]);
	}
	return 0;
}
