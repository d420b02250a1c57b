/*
 * What `hide = ...` may keep from a guest, of two owners: features of its CPUs (vmm/cpuid.c) in the low half, features
 * that its virtio devices share (virtio/virtio.c) in the high half.
 */
#ifndef VMM_HIDE_H
#define VMM_HIDE_H

#include "lib/types.h"

/* The bits that @name stands for, or 0: nobody knows it. */
u64 hide_bits(const char *name);

/* Of such bits, what is struct virtio_host's @hidden. What is cpuid_build's needs nothing: it looks at the low half. */
u64 hide_virtio(u64 hide);

#endif
