#include <stdatomic.h>
#include "drivers/disk_request.h"
#include "drivers/iomem.h"
#include "drivers/nvme.h"
#include "drivers/nvme_prp.h"
#include "drivers/nvme_regs.h"
#include "drivers/pci.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "lib/x86.h"

#define SLOTS         32u /* commands under way at once, at most */
#define QUEUE_ENTRIES 64u
#define ADMIN_ENTRIES 2u /* there is one admin command at a time */
#define ADMIN_CID     0x7fff
#define MAX_RESETS    3u  /* in a row, without a command that went well in between */
#define COMPLAINTS    16u /* of one disk: a guest can make it fail without end */
#define PCI_COMMAND   0x04
#define PCI_MASTER    0x04
#define NAMESPACE     1u

enum state {
	DISABLING, /* waiting for CSTS.RDY = 0 */
	ENABLING,  /* waiting for CSTS.RDY = 1 */
	SETUP,     /* an admin command is under way: setup[ctrl->step] */
	RUNNING,
	DEAD, /* for good: every request is BLOCK_ERROR */
};

struct queue {
	struct nvme_command *sq;
	const struct nvme_completion *cq;
	unsigned int id, entries;
	unsigned int tail, head;
	u16 phase;
};

/* A command under way, or none: request is NULL. */
struct slot {
	struct block_request *request;
	u64 deadline;
	u32 sectors; /* what this command does of it */
	bool bounced, guilty;
};

struct nvme {
	struct spinlock lock;
	const struct hostdev_env *env;
	const struct pci_device *pci;
	u8 *regs;
	enum state state;
	bool known; /* its disk was shown: from here on it has to stay the same */
	unsigned int step, resets, complaints;
	u64 deadline;    /* of state */
	u64 ready_ticks; /* how long a change of CC.EN may take */
	u32 stride;      /* of doorbells, bytes */
	struct queue admin, io;
	unsigned int slots;
	struct slot slot[SLOTS];
	u64 (*list)[NVME_LIST_ENTRIES]; /* of each slot */
	u8 *bounce; /* a block for each slot, where blocks are larger than 512 bytes */
	u8 *identify;
	struct disk_fifo waiting;
	u32 max_bytes; /* of a command */
	struct block_device dev;
};

static unsigned int controllers;

static u64 seconds(const struct nvme *n, u64 count)
{
	return n->env->now() + count * n->env->tsc_hz;
}

/* --- queues --- */

static int queue_alloc(const struct hostdev_env *env, struct queue *q, unsigned int id,
		       unsigned int entries)
{
	*q = (struct queue){ .id = id, .entries = entries };
	q->sq = env->dma_alloc(entries * sizeof(*q->sq));
	q->cq = env->dma_alloc(entries * sizeof(*q->cq));
	return q->sq && q->cq ? 0 : -ENOMEM;
}

static void queue_clear(struct queue *q)
{
	memset((void *)(uintptr_t)q->cq, 0, q->entries * sizeof(*q->cq));
	q->tail = q->head = 0;
	q->phase = NVME_STATUS_PHASE;
}

static u8 *doorbell(const struct nvme *n, const struct queue *q, bool completion)
{
	return n->regs + NVME_DOORBELLS + (2 * q->id + completion) * n->stride;
}

static void queue_push(const struct nvme *n, struct queue *q, const struct nvme_command *command)
{
	q->sq[q->tail] = *command;
	q->tail = (q->tail + 1) % q->entries;
	atomic_thread_fence(memory_order_release);
	io_write32(doorbell(n, q, false), q->tail);
}

/* The next completion, if there is one: read once. The doorbell is the caller's, when he has had enough. */
static bool queue_pop(struct queue *q, struct nvme_completion *c)
{
	const volatile struct nvme_completion *at = &q->cq[q->head];

	c->status = at->status;
	if ((c->status & NVME_STATUS_PHASE) != q->phase)
		return false;
	atomic_thread_fence(memory_order_acquire);
	c->cid = at->cid;
	c->result = at->result;
	if (++q->head == q->entries) {
		q->head = 0;
		q->phase ^= NVME_STATUS_PHASE;
	}
	return true;
}

/* --- the end of everything, and a new start --- */

/* No more DMA from here on, whatever the controller thinks. */
static void die(struct nvme *n, struct disk_fifo *ended, const char *why)
{
	pr_err("%s: %s: the disk is off\n", n->dev.name, why);
	n->state = DEAD;
	pci_write16(n->pci, PCI_COMMAND, (u16)(pci_read16(n->pci, PCI_COMMAND) & ~PCI_MASTER));
	for (unsigned int i = 0; i < n->slots; i++) {
		if (n->slot[i].request)
			disk_request_end(ended, n->slot[i].request, BLOCK_ERROR);
		n->slot[i].request = NULL;
	}
	disk_fail_all(ended, &n->waiting);
}

static void disable(struct nvme *n)
{
	io_write32(n->regs + NVME_CC, io_read32(n->regs + NVME_CC) & ~NVME_CC_EN);
	n->state = DISABLING;
	n->deadline = n->env->now() + n->ready_ticks;
}

static void reset(struct nvme *n, struct disk_fifo *ended, const char *why)
{
	if (++n->resets > MAX_RESETS) {
		die(n, ended, why);
		return;
	}
	pr_warn("%s: %s: reset\n", n->dev.name, why);
	disable(n);
}

/* The controller is off, so that nothing that was under way reaches memory any more. */
static void take_back(struct nvme *n, struct disk_fifo *ended)
{
	for (unsigned int i = 0; i < n->slots; i++) {
		struct slot *s = &n->slot[i];

		if (s->request)
			disk_request_retry(&n->waiting, ended, s->request, s->guilty);
		*s = (struct slot){ 0 };
	}
}

static void enable(struct nvme *n)
{
	queue_clear(&n->admin);
	queue_clear(&n->io);
	io_write32(n->regs + NVME_AQA, (n->admin.entries - 1) << 16 | (n->admin.entries - 1));
	io_write64(n->regs + NVME_ASQ, (u64)(uintptr_t)n->admin.sq);
	io_write64(n->regs + NVME_ACQ, (u64)(uintptr_t)n->admin.cq);
	io_write32(n->regs + NVME_CC, NVME_CC_IOSQES(6) | NVME_CC_IOCQES(4) | NVME_CC_EN);
	n->state = ENABLING;
	n->deadline = n->env->now() + n->ready_ticks;
}

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
	build_identify(n, c, NAMESPACE, NVME_IDENTIFY_NAMESPACE);
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
		n->state = RUNNING;
		return;
	}
	n->state = SETUP;
	n->deadline = seconds(n, DISK_TIMEOUT_SECONDS);
	setup[step].build(n, &command);
	queue_push(n, &n->admin, &command);
}

static void setup_continue(struct nvme *n, struct disk_fifo *ended)
{
	struct nvme_completion c;
	const char *wrong = NULL;

	if (!queue_pop(&n->admin, &c))
		return;
	io_write32(doorbell(n, &n->admin, true), n->admin.head);
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
		die(n, ended, wrong);
	else
		setup_start(n, n->step + 1);
}

/* Bounded by deadlines: the states before RUNNING. */
static void bring_up(struct nvme *n, struct disk_fifo *ended)
{
	u32 csts = io_read32(n->regs + NVME_CSTS);

	if (csts == NVME_GONE) {
		die(n, ended, "it is gone");
		return;
	}
	switch (n->state) {
	case DISABLING:
		if (!(csts & NVME_CSTS_RDY)) {
			take_back(n, ended);
			enable(n);
		}
		break;
	case ENABLING:
		if (csts & NVME_CSTS_RDY)
			setup_start(n, 0);
		break;
	case SETUP: setup_continue(n, ended); break;
	case RUNNING:
	case DEAD: return;
	}
	if (n->state == RUNNING || n->state == DEAD || n->env->now() < n->deadline)
		return;
	if (n->state == DISABLING)
		die(n, ended, "it cannot be reset");
	else
		reset(n, ended, "it does not come up");
}

/* --- requests --- */

static u32 block_sectors(const struct nvme *n)
{
	return n->dev.block_size / BLOCK_SECTOR;
}

static u64 next_block(const struct nvme *n, struct block_request *r)
{
	return (r->sector + disk_progress(r)->done) / block_sectors(n);
}

/* At most @max blocks of what is left. */
static u32 blocks_left(const struct nvme *n, struct block_request *r, u32 max)
{
	return (u32)MIN(disk_left(r) / block_sectors(n), (u64)max);
}

static u8 *bounce_of(const struct nvme *n, unsigned int slot)
{
	return n->bounce + slot * n->dev.block_size;
}

/* READ and WRITE. Returns the blocks. */
static u32 build_data(struct nvme *n, unsigned int slot, struct nvme_command *c)
{
	struct block_request *r = n->slot[slot].request;
	struct nvme_prps prps = { 0 };
	u32 bytes = nvme_prp_build(r, n->max_bytes, n->dev.block_size, n->list[slot], &prps);

	n->slot[slot].bounced = !bytes;
	if (!bytes) {
		bytes = n->dev.block_size;
		prps.prp1 = (u64)(uintptr_t)bounce_of(n, slot);
		if (r->op == BLOCK_WRITE)
			disk_copy(r, bounce_of(n, slot), bytes, true);
	}
	c->opcode = r->op == BLOCK_READ ? NVME_READ : NVME_WRITE;
	c->prp1 = prps.prp1;
	c->prp2 = prps.prp2;
	return bytes / n->dev.block_size;
}

static u32 build_deallocate(const struct nvme *n, unsigned int slot, struct nvme_command *c)
{
	struct block_request *r = n->slot[slot].request;
	struct nvme_dsm_range *range = (struct nvme_dsm_range *)n->list[slot];
	u32 blocks = blocks_left(n, r, 0x800000);

	*range = (struct nvme_dsm_range){ .blocks = blocks, .block = next_block(n, r) };
	c->opcode = NVME_DSM;
	c->prp1 = (u64)(uintptr_t)range;
	c->cdw11 = NVME_DSM_DEALLOCATE; /* one range */
	return blocks;
}

static void start_command(struct nvme *n, unsigned int slot)
{
	struct slot *s = &n->slot[slot];
	struct block_request *r = s->request;
	struct nvme_command c = { .cid = (u16)slot, .nsid = NAMESPACE };
	u32 blocks = 0;

	s->bounced = false;
	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE: blocks = build_data(n, slot, &c); break;
	case BLOCK_FLUSH: c.opcode = NVME_FLUSH; break;
	case BLOCK_DISCARD: blocks = build_deallocate(n, slot, &c); break;
	case BLOCK_WRITE_ZEROES:
		c.opcode = NVME_WRITE_ZEROES;
		blocks = blocks_left(n, r, n->max_bytes / n->dev.block_size);
		break;
	}
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE || r->op == BLOCK_WRITE_ZEROES) {
		c.cdw10 = lower_32(next_block(n, r));
		c.cdw11 = upper_32(next_block(n, r));
		c.cdw12 = blocks - 1;
		if (r->op == BLOCK_WRITE_ZEROES && r->unmap)
			c.cdw12 |= (u32)NVME_WRITE_ZEROES_DEAC;
	}
	s->sectors = blocks * block_sectors(n);
	s->deadline = seconds(n, DISK_TIMEOUT_SECONDS);
	queue_push(n, &n->io, &c);
}

static void start_waiting(struct nvme *n)
{
	for (unsigned int i = 0; i < n->slots && n->waiting.first; i++) {
		if (n->slot[i].request)
			continue;
		n->slot[i].request = disk_fifo_take(&n->waiting);
		start_command(n, i);
	}
}

static void failed(struct nvme *n, struct slot *s, u16 status, struct disk_fifo *ended)
{
	struct block_request *r = s->request;

	s->request = NULL;
	if (n->complaints < COMPLAINTS) {
		n->complaints++;
		pr_warn("%s: operation %u at sector %llu: status 0x%x\n", n->dev.name, r->op,
			(unsigned long long)(r->sector + disk_progress(r)->done),
			NVME_STATUS_CODE(status));
	}
	if (NVME_STATUS_CODE(status) == NVME_STATUS_INVALID_OPCODE)
		disk_request_end(ended, r, BLOCK_UNSUPPORTED);
	else
		disk_request_retry(&n->waiting, ended, r, status & NVME_STATUS_NO_RETRY);
}

static void completed(struct nvme *n, const struct nvme_completion *c, struct disk_fifo *ended)
{
	struct slot *s = &n->slot[c->cid];
	struct block_request *r = s->request;

	if (NVME_STATUS_CODE(c->status)) {
		failed(n, s, c->status, ended);
		return;
	}
	n->resets = 0;
	if (s->bounced && r->op == BLOCK_READ)
		disk_copy(r, bounce_of(n, c->cid), n->dev.block_size, false);
	if (disk_advance(r, s->sectors)) {
		s->request = NULL;
		disk_request_end(ended, r, BLOCK_OK);
	} else {
		start_command(n, c->cid);
	}
}

static void reap(struct nvme *n, struct disk_fifo *ended)
{
	struct nvme_completion c;
	unsigned int count = 0;

	/* Bounded: a broken one may answer without end. */
	while (count < n->io.entries && queue_pop(&n->io, &c)) {
		count++;
		if (c.cid < n->slots && n->slot[c.cid].request)
			completed(n, &c, ended);
	}
	if (count)
		io_write32(doorbell(n, &n->io, true), n->io.head);
}

static void check_health(struct nvme *n, struct disk_fifo *ended)
{
	u32 csts = io_read32(n->regs + NVME_CSTS);
	u64 now = n->env->now();
	bool late = false;

	if (csts == NVME_GONE) {
		die(n, ended, "it is gone");
		return;
	}
	if (csts & NVME_CSTS_CFS) {
		reset(n, ended, "it reports a fatal error");
		return;
	}
	for (unsigned int i = 0; i < n->slots; i++) {
		if (n->slot[i].request && now >= n->slot[i].deadline)
			late = n->slot[i].guilty = true;
	}
	if (late)
		reset(n, ended, "a command has taken too long");
}

static void service(struct nvme *n, bool look_closely)
{
	struct disk_fifo ended = { 0 };

	spin_lock(&n->lock);
	if (n->state == RUNNING)
		reap(n, &ended);
	else if (n->state != DEAD)
		bring_up(n, &ended);
	if (n->state == RUNNING && look_closely)
		check_health(n, &ended);
	if (n->state == RUNNING)
		start_waiting(n);
	spin_unlock(&n->lock);
	disk_give_back(&ended);
}

static void nvme_irq(void *arg)
{
	service(arg, false);
}

static void nvme_poll(void *ctx)
{
	service(ctx, true);
}

static enum block_result nvme_submit(void *ctx, struct block_request *r)
{
	struct nvme *n = ctx;
	bool dead;

	disk_request_init(r);
	spin_lock(&n->lock);
	dead = n->state == DEAD;
	if (!dead)
		disk_fifo_put(&n->waiting, r);
	if (n->state == RUNNING)
		start_waiting(n);
	spin_unlock(&n->lock);
	return dead ? BLOCK_ERROR : BLOCK_PENDING;
}

/* --- the beginning --- */

static const struct block_ops nvme_ops = { .submit = nvme_submit, .poll = nvme_poll };

static int nvme_alloc(struct nvme *n, unsigned int max_entries)
{
	unsigned int entries = MIN(QUEUE_ENTRIES, max_entries);

	n->slots = MIN(SLOTS, entries - 1);
	n->list = n->env->dma_alloc(n->slots * sizeof(*n->list));
	n->identify = n->env->dma_alloc(PAGE_SIZE);
	if (!n->list || !n->identify || queue_alloc(n->env, &n->admin, 0, ADMIN_ENTRIES) ||
	    queue_alloc(n->env, &n->io, 1, entries))
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
	u64 cap;

	if (!n)
		return -ENOMEM;
	n->env = env;
	n->pci = pci;
	n->dev.ops = &nvme_ops;
	n->dev.ctx = n;
	scnprintf(n->dev.name, sizeof(n->dev.name), "nvme%u", controllers++);
	pr_debug("%s: at %s\n", n->dev.name, pci_name(pci, where, sizeof(where)));
	if (pci->bar[0].io || !pci->bar[0].base)
		return -ENODEV;
	n->regs = env->map(pci->bar[0].base, MIN(pci->bar[0].size, KIB(16)));
	if (!n->regs)
		return -ENOMEM;
	pci_enable(pci, true);
	wrong = nvme_read_cap(n, &cap);
	if (!wrong && NVME_DOORBELLS + 4 * n->stride > pci->bar[0].size)
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
	disable(n);
	while (n->state != RUNNING && n->state != DEAD) {
		service(n, false);
		cpu_pause();
	}
	return n->state == RUNNING ? nvme_show(n) : -ENODEV;
}
