#include "vmm/hide.h"
#include "virtio/virtio.h"
#include "vmm/cpuid.h"

/* Of the core's features those that may be hidden have numbers below 32; that there is a version 1 may not be. */
#define VIRTIO_SHIFT 32

u64 hide_bits(const char *name)
{
	return cpuid_hide_bits(name) | virtio_hide_bits(name) << VIRTIO_SHIFT;
}

u64 hide_virtio(u64 hide)
{
	return hide >> VIRTIO_SHIFT;
}
