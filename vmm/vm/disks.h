/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The disks that lintel.conf gives to VMs: partitions of the machine's disks, found and checked once at start;
 * and memory, made anew each time that a VM starts.
 */
#ifndef VMM_VM_DISKS_H
#define VMM_VM_DISKS_H

#include "lib/block.h"
#include "vmm/boot_info.h"

struct vm;

/*
 * List disks and partitions, and find the ones that the configuration names. What cannot be had is told with its
 * line: no such partition, a name that several have, an EFI system partition or the one that Lintel was started
 * from, one that somebody writes to and another one has too. On the boot CPU, after hostdev_init.
 */
void disks_init(const struct boot_info *info);

/* Can @vm have all partitions that it asks for? Why not has been said. */
bool disks_possible(const struct vm *vm);

/*
 * Disk @n (below vm->config->disks) of @vm, which is about to start: in *@dev, until its memory is given back
 * (VM_OWNER_OVERHEAD, where ram: and file: take theirs). -ENOMEM, and said why. On its home CPU.
 *
 * Requests that a partition still has when the VM ends go to the guest's memory: they must have ended before that
 * is given back, as they do in the end (block_poll).
 */
int disks_open(struct vm *vm, unsigned int n, struct block_device **dev) __must_check;

#endif
