/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's side of virtio over PCI, for machines that are virtual themselves: Virtual I/O Device (VIRTIO) 1.1,
 * modern devices only, split rings. The devices that guests see are in virtio/.
 *
 *	vdrv_find                     capabilities, registers
 *	vdrv_reset, vdrv_is_reset     its rings are the driver's again
 *	vdrv_negotiate                features
 *	vdrv_queue_start ...          and vdrv_go
 */
#ifndef DRIVERS_VIRTIO_DRV_H
#define DRIVERS_VIRTIO_DRV_H

#include "drivers/hostdev.h"

#define VDRV_VENDOR       0x1af4
#define VDRV_QUEUE_MAX    256u

#define VDRV_F_VERSION_1  32
#define VDRV_RESET_MS     1000

#define VDRV_STATUS_OK    0x04
#define VDRV_STATUS_NEEDS 0x40 /* DEVICE_NEEDS_RESET */
#define VDRV_STATUS_GONE  0xff /* what is read where no device answers */

/* "The Virtqueue Descriptor Table", "... Available Ring", "... Used Ring". */
struct vdrv_desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

#define VDRV_DESC_NEXT  1
#define VDRV_DESC_WRITE 2 /* by the device */

struct vdrv_avail {
	u16 flags, idx;
	u16 ring[VDRV_QUEUE_MAX];
};

#define VDRV_AVAIL_NO_INTERRUPT 1

struct vdrv_used {
	u16 flags, idx;
	struct {
		u32 id, len;
	} ring[VDRV_QUEUE_MAX];
};

#define VDRV_USED_NO_NOTIFY 1

_Static_assert(sizeof(struct vdrv_desc) == 16, "a descriptor has 16 bytes");
_Static_assert(offsetof(struct vdrv_used, ring) == 4, "the used ring is behind two words");

/* Its memory is allocated once, for VDRV_QUEUE_MAX entries. Whoever uses it has a lock for it. */
struct vdrv_queue {
	unsigned int index, size;
	struct vdrv_desc *desc;
	struct vdrv_avail *avail;
	struct vdrv_used *used;
	u8 *notify;
	u16 used_seen;
	unsigned int free; /* descriptors, in a list from free_head on */
	u16 free_head;
	void *cookie[VDRV_QUEUE_MAX]; /* of the chain that begins there; NULL: none does */
	bool silent;                  /* interrupts are not wanted */
	bool broken;                  /* the device has said nonsense */
};

struct vdrv {
	const struct hostdev_env *env;
	const struct pci_device *pci;
	u8 *common, *notify, *isr, *config;
	u32 notify_len, config_len, notify_multiplier;
	u64 features;
	bool msix;
};

struct vdrv_buffer {
	hpa_t hpa;
	u32 len;
	bool device_writes;
};

/* -ENODEV: not a modern device, and said so. @irq is called for all of its interrupts, if there are any. */
int vdrv_find(struct vdrv *v, const struct hostdev_env *env, const struct pci_device *pci,
	      void (*irq)(void *arg), void *arg) __must_check;
void vdrv_reset(struct vdrv *v);
bool vdrv_is_reset(const struct vdrv *v);
/* Of the features @wanted what the device has: in v->features. False: it wants it otherwise. */
bool vdrv_negotiate(struct vdrv *v, u64 wanted) __must_check;
int vdrv_queue_alloc(struct vdrv *v, struct vdrv_queue *q, unsigned int index) __must_check;
/* Empty, of @max entries at most. False: the device does not have it. */
bool vdrv_queue_start(struct vdrv *v, struct vdrv_queue *q, unsigned int max) __must_check;
void vdrv_go(struct vdrv *v);
u8 vdrv_status(const struct vdrv *v);
/* To be called at each interrupt: where there is no MSI-X, it takes the line back. */
void vdrv_ack(struct vdrv *v);

/* Of the device's configuration; 0 where that is not so long. */
u64 vdrv_config(const struct vdrv *v, unsigned int offset, unsigned int bytes);

/* A chain of @count buffers, of which those that the device writes come last. False: no room. */
bool vdrv_add(struct vdrv_queue *q, const struct vdrv_buffer *buffer, unsigned int count,
	      void *cookie) __must_check;
/* Tell the device about what was added, if it wants to be told. */
void vdrv_notify(struct vdrv_queue *q);
/* A chain that the device has done: its cookie, and how much was written. NULL: none, or the queue is broken. */
void *vdrv_take(struct vdrv_queue *q, u32 *len);

#endif
