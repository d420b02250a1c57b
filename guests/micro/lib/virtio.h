/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio device over PCI, from its driver's side: finding it, the handshake, its queues and messages. What goes through
 * the queues is each guest's. Virtio 1.2, "Virtio Over PCI Bus".
 */
#ifndef MICRO_VIRTIO_H
#define MICRO_VIRTIO_H

#include "micro.h"
#include "virtio/virtqueue.h"

struct vio {
	u32 slot;
	u16 port;                                              /* where to kick */
	volatile u8 *registers, *isr, *memory, *config, *msix; /* memory: where to kick, too */
};

#define VIO_BAR(n)         (0x10 + 4 * (u32)(n))
#define VIO_R8(v, off)     (*(volatile u8 *)((v)->registers + (off)))
#define VIO_R16(v, off)    (*(volatile u16 *)((v)->registers + (off)))
#define VIO_R32(v, off)    (*(volatile u32 *)((v)->registers + (off)))
#define VIO_QUEUES(v)      VIO_R16(v, 18)
#define VIO_STATUS(v)      VIO_R8(v, 20)
#define VIO_CONFIG_MSIX(v) VIO_R16(v, 16) /* the entry for changes of configuration */

u32 vio_pci_read(const struct vio *v, u32 reg); /* 4 bytes, aligned downwards */
u32 vio_pci_read8(const struct vio *v, u32 reg);
void vio_pci_write(const struct vio *v, u32 reg, u32 value);
u32 vio_bar(const struct vio *v, u32 bar); /* its address, without the flags */

/* Look where the BARs of the device in @slot are now. */
void vio_find(struct vio *v, u32 slot);

u64 vio_offered(const struct vio *v);

/* Reset it, and have it agree to @features and VIRTIO_F_VERSION_1: FEATURES_OK. */
void vio_begin(const struct vio *v, u64 features);

/* Set up queue @q, whose interrupts are entry @q of MSI-X. */
void vio_queue(const struct vio *v, u16 q, u16 size, const void *desc, const void *avail,
	       const void *used);

/* DRIVER_OK. */
void vio_live(const struct vio *v);

static inline void vio_kick(const struct vio *v, unsigned int q)
{
	outw(v->port, (u16)q);
}

/* Entry @entry of MSI-X is @vector of this CPU. */
void vio_msix_entry(const struct vio *v, unsigned int entry, u8 vector);
void vio_msix_enable(const struct vio *v, bool on);

/* The three areas of a queue of @size entries: struct ring VIO_RING(8); */
#define VIO_RING(size)                                       \
	{                                                    \
		_Alignas(4096) struct virtq_desc desc[size]; \
		struct {                                     \
			u16 flags, idx, ring[size], event;   \
		} avail;                                     \
		_Alignas(64) struct {                        \
			u16 flags, idx;                      \
			struct virtq_used_elem ring[size];   \
			u16 event;                           \
		} used;                                      \
	}

#define VIO_QUEUE(v, q, r) \
	vio_queue(v, q, ARRAY_SIZE((r)->desc), (r)->desc, &(r)->avail, &(r)->used)

/* Make chain @head available: its descriptors are written before it, and the index after it. */
#define VIO_MAKE_AVAILABLE(r, head)                                                          \
	do {                                                                                 \
		(r)->avail.ring[(r)->avail.idx % ARRAY_SIZE((r)->avail.ring)] = (u16)(head); \
		__asm__ volatile("" : : : "memory");                                         \
		(r)->avail.idx++;                                                            \
		__asm__ volatile("" : : : "memory");                                         \
	} while (0)

#endif
