/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An AHCI port on its way to where it takes requests, at the beginning and after each failure: stopped, its link reset,
 * its disk identified. And its end, when that is in vain.
 */
#include "drivers/ahci_private.h"
#include "drivers/pci.h"
#include "lib/printk.h"
#include "lib/string.h"

#define PCI_COMMAND 0x04
#define PCI_MASTER  0x04

#define MAX_RESETS  3u  /* in a row, without a command that went well in between */
#define COMPLAINTS  16u /* of one disk: a guest can make it fail without end */

/* Milliseconds. AHCI, "Software Reset", "Port Reset"; a disk may have to spin up. */
#define STOP_MS     500
#define COMRESET_MS 2
#define DETECT_MS \
	200 /* is there anything? A device answers within 10 (Serial ATA, COMINIT); hosts may take longer */
#define LINK_MS    2000  /* there is, and will it talk? */
#define SPIN_UP_MS 20000 /* it does, and will it be ready? */

/* --- a port's states: each function that is named after a step begins it --- */

static void to_state(struct ahci_port *p, enum ahci_state state, u64 ms)
{
	p->state = state;
	p->deadline = ahci_after_ms(p->hba, ms);
}

/* All that is under way has failed, or is tried again. The engine is off. */
static void take_back(struct ahci_port *p, struct disk_fifo *ended)
{
	for (unsigned int i = AHCI_SLOTS; i-- > 0;) {
		struct ahci_slot *s = &p->slot[i];

		if (s->request)
			disk_request_retry(&p->waiting, ended, s->request, s->guilty);
		*s = (struct ahci_slot){ 0 };
	}
	p->active = 0;
}

void ahci_die(struct ahci_port *p, struct disk_fifo *ended, const char *why)
{
	struct ahci *a = p->hba;

	if (why)
		pr_err("%s: %s: the disk is off\n", p->dev.name, why);
	p->state = AHCI_DEAD;
	ahci_wr(p, AHCI_PxIE, 0);
	ahci_wr(p, AHCI_PxCMD, ahci_rd(p, AHCI_PxCMD) & ~(AHCI_CMD_START | AHCI_CMD_FIS));
	/* Requests' memory is given back: if the engine cannot be stopped, the whole controller is. */
	if (p->active && ahci_rd(p, AHCI_PxCMD) & AHCI_CMD_RUNNING && !a->off) {
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
	/* Until it runs again: a line must not stay up for what only time can end. */
	ahci_wr(p, AHCI_PxIE, 0);
	ahci_wr(p, AHCI_PxCMD, ahci_rd(p, AHCI_PxCMD) & ~AHCI_CMD_START);
	p->hard = hard;
	to_state(p, AHCI_STOPPING, STOP_MS);
}

void ahci_recover(struct ahci_port *p, struct disk_fifo *ended, bool hard, const char *why)
{
	if (hard && ++p->resets > MAX_RESETS) {
		ahci_die(p, ended, why);
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
	ahci_wr(p, AHCI_PxSERR, ahci_rd(p, AHCI_PxSERR));
	ahci_wr(p, AHCI_PxIS, ahci_rd(p, AHCI_PxIS));
}

static void start_engine(struct ahci_port *p)
{
	clear_errors(p);
	ahci_wr(p, AHCI_PxIE, AHCI_INT_WANTED);
	ahci_wr(p, AHCI_PxCMD, ahci_rd(p, AHCI_PxCMD) | AHCI_CMD_START);
}

static void reset_link(struct ahci_port *p)
{
	ahci_wr(p, AHCI_PxSCTL, AHCI_SCTL_NO_SLEEP | AHCI_SCTL_RESET);
	to_state(p, AHCI_RESETTING, COMRESET_MS);
}

static void identify(struct ahci_port *p)
{
	start_engine(p);
	to_state(p, AHCI_IDENTIFYING, DISK_TIMEOUT_SECONDS * 1000);
	ahci_issue_identify(p);
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
		ahci_die(p, ended, wrong);
		return false;
	}
	p->id = id;
	p->depth = p->hba->cap & AHCI_CAP_NCQ ? MIN(id.depth, AHCI_CAP_SLOTS(p->hba->cap)) : 0;
	return true;
}

/* A device is there and ready. The tables are for disks only, and only from the first time on. */
static void linked(struct ahci_port *p, struct disk_fifo *ended)
{
	if (ahci_rd(p, AHCI_PxSIG) != AHCI_SIG_DISK) {
		ahci_die(p, ended, p->known ? "it is no disk any more" : NULL);
		return;
	}
	if (!p->table)
		p->table = p->hba->env->dma_alloc(AHCI_CAP_SLOTS(p->hba->cap) * sizeof(*p->table));
	if (p->table)
		identify(p);
	else
		ahci_die(p, ended, "no memory for its commands");
}

static void step_linking(struct ahci_port *p, struct disk_fifo *ended)
{
	u32 detected = AHCI_SSTS_DET(ahci_rd(p, AHCI_PxSSTS));
	bool link = detected == AHCI_DET_LINK;

	if (link && !(ahci_rd(p, AHCI_PxTFD) & (AHCI_TFD_BSY | AHCI_TFD_DRQ))) {
		linked(p, ended);
		return;
	}
	/* The long waits are for what is there, and each begins once. */
	if ((link || detected == AHCI_DET_DEVICE) && detected > p->detected) {
		p->detected = detected;
		p->deadline = ahci_after_ms(p->hba, link ? SPIN_UP_MS : LINK_MS);
	}
	if (ahci_passed(p->hba, p->deadline))
		ahci_die(p, ended, p->known || link ? "it does not answer" : NULL);
}

static void link_up(struct ahci_port *p, u64 ms)
{
	p->detected = AHCI_DET_NONE;
	to_state(p, AHCI_LINKING, ms);
}

static void step_stopping(struct ahci_port *p, struct disk_fifo *ended)
{
	if (ahci_rd(p, AHCI_PxCMD) & AHCI_CMD_RUNNING) {
		if (ahci_passed(p->hba, p->deadline))
			ahci_die(p, ended, "it cannot be stopped");
		return;
	}
	take_back(p, ended);
	if (p->hard || ahci_rd(p, AHCI_PxTFD) & (AHCI_TFD_BSY | AHCI_TFD_DRQ)) {
		reset_link(p);
		return;
	}
	start_engine(p);
	p->state = AHCI_RUNNING;
}

static void step_identifying(struct ahci_port *p, struct disk_fifo *ended)
{
	u32 status = ahci_rd(p, AHCI_PxIS);

	ahci_wr(p, AHCI_PxIS, status);
	if (status & AHCI_INT_FATAL || ahci_passed(p->hba, p->deadline)) {
		ahci_recover(p, ended, true, "IDENTIFY DEVICE has failed");
	} else if (!(ahci_rd(p, AHCI_PxCI) & 1)) {
		p->active = 0;
		if (take_identity(p, ended))
			p->state = AHCI_RUNNING;
	}
}

void ahci_bring_up(struct ahci_port *p, struct disk_fifo *ended)
{
	switch (p->state) {
	case AHCI_STOPPING: step_stopping(p, ended); break;
	case AHCI_RESETTING:
		if (ahci_passed(p->hba, p->deadline)) {
			ahci_wr(p, AHCI_PxSCTL, AHCI_SCTL_NO_SLEEP);
			clear_errors(p);
			link_up(p, LINK_MS);
		}
		break;
	case AHCI_LINKING: step_linking(p, ended); break;
	case AHCI_IDENTIFYING: step_identifying(p, ended); break;
	case AHCI_RUNNING:
	case AHCI_DEAD: break;
	}
}

void ahci_start_port(struct ahci_port *p)
{
	ahci_wr(p, AHCI_PxCLB, lower_32((u64)(uintptr_t)p->mem->header));
	ahci_wr(p, AHCI_PxCLB + 4, upper_32((u64)(uintptr_t)p->mem->header));
	ahci_wr(p, AHCI_PxFB, lower_32((u64)(uintptr_t)p->mem->fis));
	ahci_wr(p, AHCI_PxFB + 4, upper_32((u64)(uintptr_t)p->mem->fis));
	ahci_wr(p, AHCI_PxSCTL, AHCI_SCTL_NO_SLEEP);
	ahci_wr(p, AHCI_PxIE, 0);
	clear_errors(p);
	ahci_wr(p, AHCI_PxCMD, AHCI_CMD_FIS | AHCI_CMD_POWER | AHCI_CMD_SPIN_UP | AHCI_CMD_ACTIVE);
	link_up(p, DETECT_MS);
}
