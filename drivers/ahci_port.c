/* SPDX-License-Identifier: BSD-2-Clause */
/* What an AHCI port does once it runs: requests become commands, and commands end. */
#include <stdatomic.h>
#include "drivers/ahci_private.h"

static void issue(struct ahci_port *p, unsigned int slot, struct ahci_built built, bool queued)
{
	struct ahci_header *h = &p->mem->header[slot];

	h->flags = AHCI_HEADER_FIS_DWORDS | (built.write ? AHCI_HEADER_WRITE : 0);
	h->prdt_entries = built.prds;
	h->bytes = 0;
	h->table = (u64)(uintptr_t)&p->table[slot];
	p->slot[slot].sectors = built.sectors;
	p->slot[slot].deadline = ahci_after_ms(p->hba, DISK_TIMEOUT_SECONDS * 1000);
	p->slot[slot].guilty = false;
	p->active |= 1u << slot;
	p->queued = queued;
	atomic_thread_fence(memory_order_release);
	if (queued)
		ahci_wr(p, AHCI_PxSACT, 1u << slot);
	ahci_wr(p, AHCI_PxCI, 1u << slot);
}

void ahci_issue_identify(struct ahci_port *p)
{
	issue(p, 0, ahci_build_identify(&p->table[0], p->mem->words), false);
}

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
	ahci_recover(p, ended, p->queued,
		     p->queued ? "a queued command has failed" : "a command has failed");
}

static void check_deadlines(struct ahci_port *p, struct disk_fifo *ended)
{
	bool late = false;

	for (unsigned int i = 0; i < AHCI_SLOTS; i++) {
		struct ahci_slot *s = &p->slot[i];

		s->guilty = p->active & 1u << i && ahci_passed(p->hba, s->deadline);
		late |= s->guilty;
	}
	if (late)
		ahci_recover(p, ended, true, "a command has taken too long");
}

static void step_running(struct ahci_port *p, struct disk_fifo *ended)
{
	u32 status = ahci_rd(p, AHCI_PxIS), done;

	if (status == AHCI_GONE) {
		ahci_die(p, ended, "the controller is gone");
		return;
	}
	ahci_wr(p, AHCI_PxIS, status);
	/* What has ended well before something went wrong has ended. */
	done = p->active & ~(ahci_rd(p, AHCI_PxCI) | ahci_rd(p, AHCI_PxSACT));
	if (status & AHCI_INT_FATAL && !p->queued)
		done = 0;
	for (unsigned int i = 0; i < AHCI_SLOTS; i++) {
		if (done & 1u << i)
			completed(p, i, ended);
	}
	if (status & AHCI_INT_LINK)
		ahci_recover(p, ended, true, "the link was lost");
	else if (status & AHCI_INT_FATAL)
		command_failed(p, ended);
	else
		check_deadlines(p, ended);
}

static void step(struct ahci_port *p, struct disk_fifo *ended)
{
	if (p->hba->off && p->state != AHCI_DEAD)
		ahci_die(p, ended, "the controller is off");
	if (p->state == AHCI_RUNNING)
		step_running(p, ended);
	else if (p->state != AHCI_DEAD)
		ahci_bring_up(p, ended);
	if (p->state == AHCI_RUNNING)
		start_waiting(p);
}

void ahci_service(struct ahci_port *p)
{
	struct disk_fifo ended = { 0 };

	spin_lock(&p->lock);
	step(p, &ended);
	spin_unlock(&p->lock);
	disk_give_back(&ended);
}

static void ahci_poll(void *ctx)
{
	ahci_service(ctx);
}

void ahci_irq(void *arg)
{
	struct ahci *a = arg;
	u32 status = io_read32(a->regs + AHCI_IS);

	if (status == AHCI_GONE || !status)
		return;
	for (unsigned int i = 0; i < AHCI_PORTS; i++) {
		if (status & 1u << i && a->port[i])
			ahci_service(a->port[i]);
	}
	io_write32(a->regs + AHCI_IS, status);
}

static enum block_result ahci_submit(void *ctx, struct block_request *r)
{
	struct ahci_port *p = ctx;
	bool dead;

	disk_request_init(r);
	spin_lock(&p->lock);
	dead = p->state == AHCI_DEAD;
	if (!dead)
		disk_fifo_put(&p->waiting, r);
	if (p->state == AHCI_RUNNING)
		start_waiting(p);
	spin_unlock(&p->lock);
	return dead ? BLOCK_ERROR : BLOCK_PENDING;
}

const struct block_ops ahci_block_ops = { .submit = ahci_submit, .poll = ahci_poll };
