/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio.h"

#define CAP_VENDOR  0x09
#define CAP_MSIX    0x11
#define MSIX_ENABLE BIT(31)

/* Kinds of a vendor's capability. */
enum { COMMON = 1, NOTIFY, ISR, DEVICE };

static void select(const struct vio *v, u32 reg)
{
	outl(0xcf8, 0x80000000 | v->slot << 11 | (reg & 0xfc));
}

u32 vio_pci_read(const struct vio *v, u32 reg)
{
	select(v, reg);
	return inl(0xcfc);
}

u32 vio_pci_read8(const struct vio *v, u32 reg)
{
	return vio_pci_read(v, reg) >> 8 * (reg & 3) & 0xff;
}

void vio_pci_write(const struct vio *v, u32 reg, u32 value)
{
	select(v, reg);
	outl(0xcfc, value);
}

u32 vio_bar(const struct vio *v, u32 bar)
{
	u32 value = vio_pci_read(v, VIO_BAR(bar));

	return value & 1 ? value & ~3u : value & ~15u;
}

/* The @n-th capability with @id and, if it is a vendor's, @kind: its offset, or 0. */
static u32 find_cap(const struct vio *v, u32 id, u32 kind, unsigned int n)
{
	u32 at = vio_pci_read8(v, 0x34);

	for (u32 left = 48; at && left; at = vio_pci_read8(v, at + 1), left--) {
		if (vio_pci_read8(v, at) == id &&
		    (id != CAP_VENDOR || vio_pci_read8(v, at + 3) == kind) && !n--)
			return at;
	}
	return 0;
}

static volatile u8 *region(const struct vio *v, u32 kind, unsigned int n)
{
	u32 at = find_cap(v, CAP_VENDOR, kind, n);

	if (!at)
		return NULL;
	return (u8 *)(uintptr_t)vio_bar(v, vio_pci_read8(v, at + 4)) + vio_pci_read(v, at + 8);
}

void vio_find(struct vio *v, u32 slot)
{
	v->slot = slot;
	v->port = (u16)vio_bar(v, vio_pci_read8(v, find_cap(v, CAP_VENDOR, NOTIFY, 0) + 4));
	v->registers = region(v, COMMON, 0);
	v->memory = region(v, NOTIFY, 1);
	v->isr = region(v, ISR, 0);
	v->config = region(v, DEVICE, 0);
	v->msix = (u8 *)(uintptr_t)vio_bar(v, vio_pci_read(v, find_cap(v, CAP_MSIX, 0, 0) + 4) & 7);
}

/* --- the handshake --- */

u64 vio_offered(const struct vio *v)
{
	u32 low;

	VIO_R32(v, 0) = 0;
	low = VIO_R32(v, 4);
	VIO_R32(v, 0) = 1;
	return make_64(VIO_R32(v, 4), low);
}

void vio_begin(const struct vio *v, u64 features)
{
	features |= BIT(32); /* VIRTIO_F_VERSION_1 */
	VIO_STATUS(v) = 0;
	while (VIO_STATUS(v))
		cpu_pause();
	VIO_STATUS(v) = 1;
	VIO_STATUS(v) = 3;
	VIO_R32(v, 8) = 0;
	VIO_R32(v, 12) = (u32)features;
	VIO_R32(v, 8) = 1;
	VIO_R32(v, 12) = (u32)(features >> 32);
	VIO_STATUS(v) = 11;
}

void vio_queue(const struct vio *v, u16 q, u16 size, const void *desc, const void *avail,
	       const void *used)
{
	VIO_R16(v, 22) = q;
	VIO_R16(v, 24) = size;
	VIO_R16(v, 26) = q;
	VIO_R32(v, 32) = (u32)(uintptr_t)desc;
	VIO_R32(v, 40) = (u32)(uintptr_t)avail;
	VIO_R32(v, 48) = (u32)(uintptr_t)used;
	VIO_R16(v, 28) = 1;
}

void vio_live(const struct vio *v)
{
	VIO_STATUS(v) = 15;
}

/* --- messages --- */

void vio_msix_entry(const struct vio *v, unsigned int entry, u8 vector)
{
	volatile u32 *e = (volatile u32 *)(v->msix + 16 * entry);

	e[0] = 0xfee00000 | lapic_read(0x20) >> 24 << 12;
	e[1] = 0;
	e[2] = vector;
	e[3] = 0;
}

void vio_msix_enable(const struct vio *v, bool on)
{
	u32 at = find_cap(v, CAP_MSIX, 0, 0);

	vio_pci_write(v, at, (vio_pci_read(v, at) & 0x3fffffff) | (on ? (u32)MSIX_ENABLE : 0));
}
