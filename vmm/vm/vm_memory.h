/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's memory: allocated, mapped by its EPT, given back. */
#ifndef VMM_VM_VM_MEMORY_H
#define VMM_VM_VM_MEMORY_H

#include "lib/types.h"
#include "vmm/host/mem.h"

struct vm;

/* A VM owns two accounts of memory: the guest's RAM, and what the VMM needs for it. */
#define VM_OWNER_RAM(id)      MEM_OWNER_VM(2 * (id))
#define VM_OWNER_OVERHEAD(id) MEM_OWNER_VM(2 * (id) + 1)

/*
 * Set aside the RAM that the configuration asks for, without looking at it: that is quick, so that of
 * several VMs the first in the configuration has it. -errno, with the reason printed.
 */
int vm_memory_alloc(struct vm *vm) __must_check;

/* Its RAM (allocated now, unless it has been) zeroed, and an EPT that maps it. -errno, with the reason printed. */
int vm_memory_init(struct vm *vm) __must_check;

/* Everything that the VM owns, scrubbed: RAM, EPT, vCPUs. None of them is in use any more. */
void vm_memory_free(struct vm *vm);

/* @bytes, zeroed and in whole pages, that the VMM needs for @vm, as long as it lives; NULL when there is no memory. */
void *vm_pages(struct vm *vm, u64 bytes) __must_check;

/* Its I/O bitmap, all ones, and its MSR bitmaps, not filled yet. -ENOMEM. */
int vm_bitmaps_init(struct vm *vm) __must_check;

/* Walk every entry of the EPT and print it; false when one leads out of the VM's own memory. */
bool vm_memory_selftest(const struct vm *vm);

#endif
