/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/hide.h"
#include "virtio/virtio.h"
#include "vmm/vcpu/cpuid.h"
#include "vmm/config.h"

/* Of the core's features those that may be hidden have numbers below 32; that there is a version 1 may not be. */
u64 hide_bits(const char *name)
{
	return cpuid_hide_bits(name) | virtio_hide_bits(name) << CONFIG_HIDE_VIRTIO_SHIFT;
}
