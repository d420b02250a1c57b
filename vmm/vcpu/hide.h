/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `hide = ...` may keep from a guest, of two owners: features of its CPUs (cpuid.c) in the low half, features
 * that its virtio devices share (virtio/virtio.c) in the high half, from CONFIG_HIDE_VIRTIO_SHIFT on.
 */
#ifndef VMM_VCPU_HIDE_H
#define VMM_VCPU_HIDE_H

#include "lib/types.h"

/* The bits that @name stands for, or 0: nobody knows it. */
u64 hide_bits(const char *name);

#endif
