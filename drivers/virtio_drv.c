/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdatomic.h>
#include "drivers/iomem.h"
#include "drivers/pci.h"
#include "drivers/virtio_drv.h"
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/string.h"

/* "Common configuration structure layout". */
#define DEVICE_FEATURE_SELECT 0x00
#define DEVICE_FEATURE        0x04
#define DRIVER_FEATURE_SELECT 0x08
#define DRIVER_FEATURE        0x0c
#define MSIX_CONFIG           0x10
#define NUM_QUEUES            0x12
#define DEVICE_STATUS         0x14
#define CONFIG_GENERATION     0x15
#define QUEUE_SELECT          0x16
#define QUEUE_SIZE            0x18
#define QUEUE_MSIX            0x1a
#define QUEUE_ENABLE          0x1c
#define QUEUE_NOTIFY_OFF      0x1e
#define QUEUE_DESC            0x20
#define QUEUE_DRIVER          0x28
#define QUEUE_DEVICE          0x30
#define COMMON_LEN            0x38

#define NO_VECTOR             0xffff

#define STATUS_ACKNOWLEDGE    0x01
#define STATUS_DRIVER         0x02
#define STATUS_FEATURES_OK    0x08

/* "Virtio Structure PCI Capabilities". */
#define CAP_TYPE              3
#define CAP_BAR               4
#define CAP_OFFSET            8
#define CAP_LENGTH            12
#define CAP_NOTIFY_MULTIPLIER 16
#define CAPS_MAX              48 /* in a chain: as many as there is room for */

enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE };

/* --- registers --- */

/* The first capability of @type whose structure is in a memory BAR, mapped; NULL: there is none. */
static u8 *map_structure(const struct vdrv *v, u8 type, u32 *len, u8 *cap)
{
	unsigned int seen = 0;

	*cap = 0;
	while (seen++ < CAPS_MAX && (*cap = pci_find_cap(v->pci, PCI_CAP_VENDOR, *cap))) {
		u8 bar = pci_read8(v->pci, (u16)(*cap + CAP_BAR));
		u32 offset = pci_read32(v->pci, (u16)(*cap + CAP_OFFSET));
		const struct pci_bar *b = &v->pci->bar[bar < PCI_HOST_BARS ? bar : 0];

		*len = pci_read32(v->pci, (u16)(*cap + CAP_LENGTH));
		if (pci_read8(v->pci, (u16)(*cap + CAP_TYPE)) != type || bar >= PCI_HOST_BARS)
			continue;
		if (!b->base || b->io || !*len || (u64)offset + *len > b->size)
			continue;
		return v->env->map(b->base + offset, *len);
	}
	return NULL;
}

int vdrv_find(struct vdrv *v, const struct hostdev_env *env, const struct pci_device *pci,
	      void (*irq)(void *arg), void *arg)
{
	u32 common_len = 0, isr_len = 0;
	u8 cap;

	*v = (struct vdrv){ .env = env, .pci = pci };
	v->common = map_structure(v, CFG_COMMON, &common_len, &cap);
	v->isr = map_structure(v, CFG_ISR, &isr_len, &cap);
	v->config = map_structure(v, CFG_DEVICE, &v->config_len, &cap);
	v->notify = map_structure(v, CFG_NOTIFY, &v->notify_len, &cap);
	if (!v->common || !v->isr || !v->config || !v->notify || common_len < COMMON_LEN) {
		char where[16];

		pr_err("virtio %s: no modern device: not used\n",
		       pci_name(pci, where, sizeof(where)));
		return -ENODEV;
	}
	v->notify_multiplier = pci_read32(pci, (u16)(cap + CAP_NOTIFY_MULTIPLIER));
	pci_enable(pci, true);
	v->msix = !env->irq(pci, 0, irq, arg) && pci->msix;
	return 0;
}

u8 vdrv_status(const struct vdrv *v)
{
	return io_read8(v->common + DEVICE_STATUS);
}

static void add_status(struct vdrv *v, u8 bits)
{
	io_write8(v->common + DEVICE_STATUS, vdrv_status(v) | bits);
}

void vdrv_reset(struct vdrv *v)
{
	io_write8(v->common + DEVICE_STATUS, 0);
}

bool vdrv_is_reset(const struct vdrv *v)
{
	return !vdrv_status(v);
}

static u64 device_features(struct vdrv *v)
{
	u64 features = 0;

	for (u32 i = 0; i < 2; i++) {
		io_write32(v->common + DEVICE_FEATURE_SELECT, i);
		features |= (u64)io_read32(v->common + DEVICE_FEATURE) << (32 * i);
	}
	return features;
}

bool vdrv_negotiate(struct vdrv *v, u64 wanted)
{
	add_status(v, STATUS_ACKNOWLEDGE);
	add_status(v, STATUS_DRIVER);
	v->features = device_features(v) & (wanted | BIT(VDRV_F_VERSION_1));
	for (u32 i = 0; i < 2; i++) {
		io_write32(v->common + DRIVER_FEATURE_SELECT, i);
		io_write32(v->common + DRIVER_FEATURE, (u32)(v->features >> (32 * i)));
	}
	add_status(v, STATUS_FEATURES_OK);
	if (v->msix)
		io_write16(v->common + MSIX_CONFIG, 0);
	return v->features & BIT(VDRV_F_VERSION_1) && vdrv_status(v) & STATUS_FEATURES_OK;
}

void vdrv_go(struct vdrv *v)
{
	add_status(v, VDRV_STATUS_OK);
}

void vdrv_ack(struct vdrv *v)
{
	if (!v->msix)
		(void)io_read8(v->isr);
}

static u64 read_config(const struct vdrv *v, unsigned int offset, unsigned int bytes)
{
	u64 value = 0;

	/* "Device-specific configuration": 64 bits are two halves, and the rest is as wide as it is. */
	switch (bytes) {
	case 1: return io_read8(v->config + offset);
	case 2: return io_read16(v->config + offset);
	case 4: return io_read32(v->config + offset);
	case 8: return io_read64(v->config + offset);
	}
	for (unsigned int i = 0; i < bytes; i++)
		value |= (u64)io_read8(v->config + offset + i) << (8 * i);
	return value;
}

u64 vdrv_config(const struct vdrv *v, unsigned int offset, unsigned int bytes)
{
	u64 value = 0;

	if (offset + bytes > v->config_len)
		return 0;
	for (unsigned int tries = 0; tries < 8; tries++) {
		u8 generation = io_read8(v->common + CONFIG_GENERATION);

		value = read_config(v, offset, bytes);
		if (generation == io_read8(v->common + CONFIG_GENERATION))
			break;
	}
	return value;
}

/* --- rings --- */

int vdrv_queue_alloc(struct vdrv *v, struct vdrv_queue *q, unsigned int index)
{
	*q = (struct vdrv_queue){ .index = index };
	q->desc = v->env->dma_alloc(VDRV_QUEUE_MAX * sizeof(*q->desc));
	q->avail = v->env->dma_alloc(sizeof(*q->avail));
	q->used = v->env->dma_alloc(sizeof(*q->used));
	return q->desc && q->avail && q->used ? 0 : -ENOMEM;
}

static void queue_clear(struct vdrv_queue *q)
{
	memset(q->avail, 0, sizeof(*q->avail));
	memset(q->used, 0, sizeof(*q->used));
	memset(q->cookie, 0, sizeof(q->cookie));
	for (unsigned int i = 0; i < q->size; i++)
		q->desc[i] = (struct vdrv_desc){ .next = (u16)(i + 1) };
	q->free = q->size;
	q->free_head = 0;
	q->used_seen = 0;
	q->broken = false;
	if (q->silent)
		q->avail->flags = VDRV_AVAIL_NO_INTERRUPT;
}

bool vdrv_queue_start(struct vdrv *v, struct vdrv_queue *q, unsigned int max)
{
	unsigned int size, offset;

	io_write16(v->common + QUEUE_SELECT, (u16)q->index);
	size = io_read16(v->common + QUEUE_SIZE);
	size = MIN(size, MIN(max, VDRV_QUEUE_MAX));
	offset = io_read16(v->common + QUEUE_NOTIFY_OFF) * v->notify_multiplier;
	if (!size || offset + 2 > v->notify_len)
		return false;
	while (size & (size - 1))
		size &= size - 1;
	q->size = size;
	q->notify = v->notify + offset;
	queue_clear(q);
	io_write16(v->common + QUEUE_SIZE, (u16)size);
	io_write16(v->common + QUEUE_MSIX, v->msix ? 0 : NO_VECTOR);
	io_write64(v->common + QUEUE_DESC, (u64)(uintptr_t)q->desc);
	io_write64(v->common + QUEUE_DRIVER, (u64)(uintptr_t)q->avail);
	io_write64(v->common + QUEUE_DEVICE, (u64)(uintptr_t)q->used);
	io_write16(v->common + QUEUE_ENABLE, 1);
	return true;
}

bool vdrv_add(struct vdrv_queue *q, const struct vdrv_buffer *buffer, unsigned int count,
	      void *cookie)
{
	u16 head = q->free_head, at = head, last = head;
	volatile struct vdrv_avail *avail = q->avail;

	if (!count || count > q->free)
		return false;
	for (unsigned int i = 0; i < count; i++) {
		struct vdrv_desc *d = &q->desc[at];

		d->addr = buffer[i].hpa;
		d->len = buffer[i].len;
		d->flags = (u16)((i + 1 < count ? VDRV_DESC_NEXT : 0) |
				 (buffer[i].device_writes ? VDRV_DESC_WRITE : 0));
		last = at;
		at = d->next;
	}
	q->free_head = q->desc[last].next;
	q->free -= count;
	q->cookie[head] = cookie;
	avail->ring[avail->idx % q->size] = head;
	/* The chain is there before the index says so. */
	atomic_thread_fence(memory_order_release);
	avail->idx = (u16)(avail->idx + 1);
	return true;
}

void vdrv_notify(struct vdrv_queue *q)
{
	/* Index first, then the look: the device writes its wish first and looks at the index then. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!(((volatile struct vdrv_used *)q->used)->flags & VDRV_USED_NO_NOTIFY))
		io_write16(q->notify, (u16)q->index);
}

/*
 * Back to the free list. Links are the driver's own: the device only reads descriptors, but whoever could write
 * them all the same finds the walk bounded.
 */
static void free_chain(struct vdrv_queue *q, u16 head)
{
	u16 at = head;
	unsigned int count = 1;

	while (q->desc[at].flags & VDRV_DESC_NEXT && count < q->size) {
		at = q->desc[at].next;
		count++;
	}
	q->desc[at].next = q->free_head;
	q->free_head = head;
	q->free += count;
}

void *vdrv_take(struct vdrv_queue *q, u32 *len)
{
	const volatile struct vdrv_used *used = q->used;
	u16 idx = used->idx, slot = (u16)(q->used_seen % MAX(q->size, 1u));
	void *cookie;
	u32 id;

	if (q->broken || idx == q->used_seen)
		return NULL;
	/* The entry is read after the index that it is below. */
	atomic_thread_fence(memory_order_acquire);
	id = used->ring[slot].id;
	*len = used->ring[slot].len;
	if ((u16)(idx - q->used_seen) > q->size || id >= q->size || !q->cookie[id]) {
		q->broken = true;
		return NULL;
	}
	cookie = q->cookie[id];
	q->cookie[id] = NULL;
	q->used_seen++;
	free_chain(q, (u16)id);
	return cookie;
}
