/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's entropy device, where the processor has a source of entropy. */
#ifndef VMM_VM_MACHINE_RNG_H
#define VMM_VM_MACHINE_RNG_H

#include "virtio/virtio_rng.h"
#include "vmm/vm/virtio_slot.h"

struct vm;

/* In memory of the VM's own. */
struct virtio_rng_card {
	struct virtio_slot slot;
	struct virtio_rng rng;
};

/* Plug it in, if the configuration has a PCI bus for it. -ENOMEM. */
int machine_rng_init(struct vm *vm) __must_check;

#endif
