/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/machine.h"
#include "vmm/vm/machine_disk.h"
#include "lib/errno.h"
#include "lib/printk.h"
#include "vmm/vm/disks.h"
#include "vmm/host/host.h"
#include "vmm/host/mem.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"

#define DISK_SLOT 2 /* the first one's */

/*
 * The disk has given requests back to a card of @ctx, a VM. On any CPU, without locks. The VM may have
 * stopped meanwhile: then there is nobody left who must be told, and a vCPU must not be woken any more.
 */
static void on_completed(void *ctx)
{
	struct vm *vm = ctx;
	struct machine_disks *m = &vm->machine->disks;

	spin_lock(&vm->lock);
	for (unsigned int i = 0; i < m->cards; i++) {
		if (unlikely(vm->state != VM_RUNNING))
			virtio_reset(&m->card[i]->blk.dev);
		virtio_blk_done(&m->card[i]->blk);
	}
	spin_unlock(&vm->lock);
	if (unlikely(vm->state == VM_ENDED))
		host_kick(vm->cpu); /* which may wait for this: machine_disks_stop */
}

static const struct virtio_blk_ops blk_ops = { .completed = on_completed };

static int plug(struct vm *vm, unsigned int n)
{
	static const char *const names[] = { "virtio-blk0", "virtio-blk1", "virtio-blk2",
					     "virtio-blk3" };
	unsigned int queues = MIN(vm->config->cpus, (unsigned int)VIRTIO_BLK_QUEUES);
	struct block_device *disk;
	struct virtio_blk_card *card;
	_Static_assert(ARRAY_SIZE(names) == CONFIG_MAX_DISKS, "each disk has a name");
	int err = disks_open(vm, n, &disk);

	if (err)
		return err;
	card = (void *)(uintptr_t)mem_alloc(sizeof(*card), PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));
	if (!card) {
		pr_err("vm %s: no memory for its disks\n", vm->config->name);
		return -ENOMEM;
	}
	virtio_slot_init(&card->slot, vm, DISK_SLOT + n);
	virtio_blk_init(&card->blk, &card->slot.host, disk, queues, &blk_ops, vm);
	virtio_slot_plug(&card->slot, &card->blk.dev, names[n]);
	vm->machine->disks.card[n] = card;
	machine_polls(vm, &card->blk.dev);
	return 0;
}

/* Who still has something to do with the VM's last life may look at the cards: they are shown when all are there. */
int machine_disks_init(struct vm *vm)
{
	int err = 0;

	for (unsigned int i = 0; i < vm->config->disks && !err; i++)
		err = plug(vm, i);
	if (err)
		return err;
	spin_lock(&vm->lock);
	vm->machine->disks.cards = vm->config->disks;
	spin_unlock(&vm->lock);
	return 0;
}

bool machine_disks_stop(struct vm *vm)
{
	struct machine_disks *m = &vm->machine->disks;
	bool busy = false;

	spin_lock(&vm->lock);
	for (unsigned int i = 0; i < m->cards; i++) {
		virtio_reset(&m->card[i]->blk.dev);
		busy |= virtio_blk_busy(&m->card[i]->blk);
	}
	spin_unlock(&vm->lock);
	return !busy;
}

void machine_disks_forget(struct vm *vm)
{
	spin_lock(&vm->lock);
	vm->machine->disks.cards = 0;
	spin_unlock(&vm->lock);
}
