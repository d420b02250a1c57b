/* A VM's memory: allocated, mapped by its EPT, given back. */
#ifndef VMM_VM_MEMORY_H
#define VMM_VM_MEMORY_H

#include "lib/types.h"

struct vm;

/*
 * Set aside the RAM that the configuration asks for, without looking at it: that is quick, so that of
 * several VMs the first in the configuration has it. -errno, with the reason printed.
 */
int vm_memory_alloc(struct vm *vm) __must_check;

/* Its RAM (allocated now, unless it has been) zeroed, and an EPT that maps it. -errno, with the reason printed. */
int vm_memory_init(struct vm *vm) __must_check;

/* Everything that the VM owns, scrubbed: RAM, EPT, vCPUs. None of them is in use any more. */
void vm_memory_free(struct vm *vm);

/* Walk every entry of the EPT and print it; false when one leads out of the VM's own memory. */
bool vm_memory_selftest(const struct vm *vm);

#endif
