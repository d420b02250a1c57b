/* SPDX-License-Identifier: BSD-2-Clause */
/* An NVMe controller that is gone, fails or hangs: resets, and what becomes of its requests. */
#include "drivers/iomem.h"
#include "drivers/nvme_private.h"
#include "drivers/pci.h"
#include "lib/printk.h"

#define MAX_RESETS  3u  /* in a row, without a command that went well in between */
#define COMPLAINTS  16u /* of one disk: a guest can make it fail without end */
#define PCI_COMMAND 0x04
#define PCI_MASTER  0x04

/* No more DMA from here on, whatever the controller thinks. */
void nvme_die(struct nvme *n, struct disk_fifo *ended, const char *why)
{
	pr_err("%s: %s: the disk is off\n", n->dev.name, why);
	n->state = NVME_DEAD;
	pci_write16(n->pci, PCI_COMMAND, (u16)(pci_read16(n->pci, PCI_COMMAND) & ~PCI_MASTER));
	for (unsigned int i = 0; i < n->slots; i++) {
		if (n->slot[i].request)
			disk_request_end(ended, n->slot[i].request, BLOCK_ERROR);
		n->slot[i].request = NULL;
	}
	disk_fail_all(ended, &n->waiting);
}

void nvme_disable(struct nvme *n)
{
	io_write32(n->regs + NVME_CC, io_read32(n->regs + NVME_CC) & ~NVME_CC_EN);
	n->state = NVME_DISABLING;
	n->deadline = n->env->now() + n->ready_ticks;
}

void nvme_reset(struct nvme *n, struct disk_fifo *ended, const char *why)
{
	if (++n->resets > MAX_RESETS) {
		nvme_die(n, ended, why);
		return;
	}
	pr_warn("%s: %s: reset\n", n->dev.name, why);
	nvme_disable(n);
}

/* The controller is off, so that nothing that was under way reaches memory any more. */
void nvme_take_back(struct nvme *n, struct disk_fifo *ended)
{
	for (unsigned int i = 0; i < n->slots; i++) {
		struct nvme_slot *s = &n->slot[i];

		if (s->request)
			disk_request_retry(&n->waiting, ended, s->request, s->guilty);
		*s = (struct nvme_slot){ 0 };
	}
}

void nvme_command_failed(struct nvme *n, struct nvme_slot *s, u16 status, struct disk_fifo *ended)
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

void nvme_check_health(struct nvme *n, struct disk_fifo *ended)
{
	u32 csts = io_read32(n->regs + NVME_CSTS);
	u64 now = n->env->now();
	bool late = false;

	if (csts == NVME_GONE) {
		nvme_die(n, ended, "it is gone");
		return;
	}
	if (csts & NVME_CSTS_CFS) {
		nvme_reset(n, ended, "it reports a fatal error");
		return;
	}
	for (unsigned int i = 0; i < n->slots; i++) {
		if (n->slot[i].request && now >= n->slot[i].deadline)
			late = n->slot[i].guilty = true;
	}
	if (late)
		nvme_reset(n, ended, "a command has taken too long");
}
