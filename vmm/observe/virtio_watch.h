/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kicks and interrupts of a VM's virtio devices, for the trace. The devices know nothing of it: what stands
 * between them and the machine is replaced while somebody traces, and costs nothing while nobody does.
 */
#ifndef VMM_OBSERVE_VIRTIO_WATCH_H
#define VMM_OBSERVE_VIRTIO_WATCH_H

#include "lib/types.h"

struct vm;

/* Watch all that is plugged into @vm's slots, or no longer. With vm->lock. */
void virtio_watch(struct vm *vm, bool on);

#endif
