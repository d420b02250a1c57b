/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's disks: a virtio-blk in a slot of its own for each `disk` of the configuration. All of it with
 * vm->lock held, unless it says otherwise.
 */
#ifndef VMM_VM_MACHINE_DISK_H
#define VMM_VM_MACHINE_DISK_H

#include "lib/types.h"
#include "virtio/virtio_blk.h"
#include "vmm/vm/virtio_slot.h"
#include "vmm/config.h"

struct vm;

/* In memory of the VM's own. */
struct virtio_blk_card {
	struct virtio_slot slot;
	struct virtio_blk blk;
};

struct machine_disks {
	struct virtio_blk_card *card[CONFIG_MAX_DISKS];
	unsigned int cards;
};

/* Open the disks, and plug them in. Nobody runs the VM yet, and no lock is held. -errno, and said why. */
int machine_disks_init(struct vm *vm) __must_check;

/*
 * Its VM has stopped, and its vCPUs have left their CPUs: nothing more is begun, nor told to the guest.
 * False while disks still use the VM's memory; whoever sees to the last request kicks the home CPU.
 */
bool machine_disks_stop(struct vm *vm) __must_check;

/* The cards' memory is about to be given back. */
void machine_disks_forget(struct vm *vm);

#endif
