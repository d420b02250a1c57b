/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/virtio_pci.h"
#include "lib/string.h"

#define VIRTIO_VENDOR      0x1af4
#define VIRTIO_DEVICE_BASE 0x1040
#define VIRTIO_REVISION    1
#define VIRTIO_PCI_PIN     1 /* INTA */

/* The register BAR, each structure apart from the others. */
#define REG_COMMON          0x000
#define REG_ISR             0x100
#define NOTIFY_STRIDE       4
#define MSIX_PENDING_OFFSET 0x800

/* --- capabilities: virtio, "Virtio Structure PCI Capabilities" --- */

enum cap_type { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI };

struct virtio_pci_cap {
	u8 id, next, len;
	u8 type;
	u8 bar;
	u8 instance;
	u8 padding[2];
	u32 offset, length; /* within the BAR */
	u32 more;           /* notify: the offset's multiplier; PCI: the data window */
};
_Static_assert(sizeof(struct virtio_pci_cap) == 20, "struct virtio_pci_notify_cap");
#define CAP_SIZE   16 /* without `more' */
#define CAP_BAR    4
#define CAP_OFFSET 8
#define CAP_LENGTH 12
#define CAP_MORE   16

static u8 add_cap(struct virtio_pci *vp, const struct virtio_pci_cap *cap, u8 len)
{
	u8 at = pci_function_add_cap(&vp->pci, PCI_CAP_VENDOR, len);

	vp->pci.space[at + 2] = len;
	memcpy(vp->pci.space + at + 3, &cap->type, len - 3);
	return at;
}

static void add_msix_cap(struct virtio_pci *vp)
{
	u8 at = pci_function_add_cap(&vp->pci, PCI_CAP_MSIX, PCI_MSIX_SIZE);

	pci_set16(&vp->pci, at + PCI_MSIX_CONTROL, (u16)(vp->msix.entries - 1));
	vp->pci.writable[at + PCI_MSIX_CONTROL + 1] = (PCI_MSIX_ENABLE | PCI_MSIX_MASK_ALL) >> 8;
	pci_set32(&vp->pci, at + PCI_MSIX_TABLE, VIRTIO_PCI_MSIX_BAR);
	pci_set32(&vp->pci, at + PCI_MSIX_PBA, MSIX_PENDING_OFFSET | VIRTIO_PCI_MSIX_BAR);
	vp->msix_cap = at;
}

/*
 * The driver takes the first notify capability that it can use: the port. An OUT costs the VMM a
 * third of what a store costs that has to be fetched and decoded (docs/performance.md has both).
 */
static void add_caps(struct virtio_pci *vp)
{
	const struct virtio_device *dev = vp->dev;
	struct virtio_pci_cap common = { .type = CAP_COMMON,
					 .bar = VIRTIO_PCI_REGISTER_BAR,
					 .offset = REG_COMMON,
					 .length = 56 };
	struct virtio_pci_cap port = {
		.type = CAP_NOTIFY, .bar = VIRTIO_PCI_NOTIFY_BAR, .length = 2, .more = 0
	};
	struct virtio_pci_cap notify = { .type = CAP_NOTIFY,
					 .bar = VIRTIO_PCI_REGISTER_BAR,
					 .instance = 1,
					 .offset = VIRTIO_PCI_REG_NOTIFY,
					 .length = NOTIFY_STRIDE * dev->type->queues,
					 .more = NOTIFY_STRIDE };
	struct virtio_pci_cap isr = {
		.type = CAP_ISR, .bar = VIRTIO_PCI_REGISTER_BAR, .offset = REG_ISR, .length = 1
	};
	struct virtio_pci_cap device = { .type = CAP_DEVICE,
					 .bar = VIRTIO_PCI_REGISTER_BAR,
					 .offset = VIRTIO_PCI_REG_DEVICE,
					 .length = dev->config_size };
	struct virtio_pci_cap window = { .type = CAP_PCI };

	add_cap(vp, &common, CAP_SIZE);
	add_cap(vp, &port, sizeof(port));
	add_cap(vp, &notify, sizeof(notify));
	add_cap(vp, &isr, CAP_SIZE);
	if (dev->config_size)
		add_cap(vp, &device, CAP_SIZE);
	vp->window_cap = add_cap(vp, &window, sizeof(window));
	vp->pci.writable[vp->window_cap + CAP_BAR] = 0xff;
	memset(vp->pci.writable + vp->window_cap + CAP_OFFSET, 0xff, 8); /* and the length */
	add_msix_cap(vp);
}

/* --- interrupts --- */

static void update_pin(struct virtio_pci *vp)
{
	bool pending = vp->isr && !vp->msix.enabled;
	bool allowed = !(pci_get16(&vp->pci, PCI_COMMAND) & PCI_COMMAND_NO_INTX);
	u16 status = PCI_STATUS_CAPABILITIES | (pending ? PCI_STATUS_INTERRUPT : 0);

	pci_set16(&vp->pci, PCI_STATUS, status);
	vp->dev->host->intx(vp->dev->host->ctx, pending && allowed);
}

#define ISR_QUEUE  0x1
#define ISR_CONFIG 0x2

static void interrupt(void *transport, const struct virtqueue *queue)
{
	struct virtio_pci *vp = transport;

	if (vp->msix.enabled) {
		msix_raise(&vp->msix, queue ? queue->vector : vp->config_vector);
		return;
	}
	vp->isr |= queue ? ISR_QUEUE : ISR_CONFIG;
	update_pin(vp);
}

static u8 read_isr(struct virtio_pci *vp)
{
	u8 isr = vp->isr;

	vp->isr = 0;
	update_pin(vp);
	return isr;
}

/* A vector that does not exist cannot be had: the driver reads it back. */
static u16 valid_vector(const struct virtio_pci *vp, u32 value)
{
	return value < vp->msix.entries ? (u16)value : VIRTQ_NO_VECTOR;
}

static void was_reset(void *transport)
{
	struct virtio_pci *vp = transport;

	vp->device_feature_select = vp->driver_feature_select = 0;
	vp->queue_select = 0;
	vp->config_vector = VIRTQ_NO_VECTOR;
	vp->isr = 0;
	update_pin(vp);
}

/* --- common configuration: virtio, "Common configuration structure layout" --- */

enum common_reg {
	DEVICE_FEATURE_SELECT = 0,
	DEVICE_FEATURE = 4,
	DRIVER_FEATURE_SELECT = 8,
	DRIVER_FEATURE = 12,
	CONFIG_VECTOR = 16,
	NUM_QUEUES = 18,
	DEVICE_STATUS = 20,
	CONFIG_GENERATION = 21,
	QUEUE_SELECT = 22,
	QUEUE_SIZE = 24,
	QUEUE_VECTOR = 26,
	QUEUE_ENABLE = 28,
	QUEUE_NOTIFY_OFF = 30,
	QUEUE_DESC = 32,
	QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
};

/* The one width in which each register can be accessed; the 64-bit ones are two of 32. */
static const u8 common_width[] = {
	[DEVICE_FEATURE_SELECT] = 4, [DEVICE_FEATURE] = 4,
	[DRIVER_FEATURE_SELECT] = 4, [DRIVER_FEATURE] = 4,
	[CONFIG_VECTOR] = 2,         [NUM_QUEUES] = 2,
	[DEVICE_STATUS] = 1,         [CONFIG_GENERATION] = 1,
	[QUEUE_SELECT] = 2,          [QUEUE_SIZE] = 2,
	[QUEUE_VECTOR] = 2,          [QUEUE_ENABLE] = 2,
	[QUEUE_NOTIFY_OFF] = 2,      [QUEUE_DESC] = 4,
	[QUEUE_DESC + 4] = 4,        [QUEUE_DRIVER] = 4,
	[QUEUE_DRIVER + 4] = 4,      [QUEUE_DEVICE] = 4,
	[QUEUE_DEVICE + 4] = 4,
};

/* The queue that the driver has selected, or NULL when there is none of that number. */
static struct virtqueue *selected(const struct virtio_pci *vp)
{
	return vp->queue_select < vp->dev->type->queues ? &vp->dev->queue[vp->queue_select] : NULL;
}

static gpa_t *area(struct virtqueue *q, u64 off)
{
	switch (off & ~7ULL) {
	case QUEUE_DESC: return &q->desc;
	case QUEUE_DRIVER: return &q->avail;
	default: return &q->used;
	}
}

static u32 feature_half(u64 features, u32 select)
{
	return select > 1 ? 0 : (u32)(features >> 32 * select);
}

static u32 queue_read(struct virtqueue *q, u16 index, u64 off)
{
	gpa_t address;

	if (!q)
		return 0; /* of size 0: there is no such queue */
	switch (off) {
	case QUEUE_SIZE: return q->size;
	case QUEUE_VECTOR: return q->vector;
	case QUEUE_ENABLE: return q->enabled;
	case QUEUE_NOTIFY_OFF: return index;
	default: break;
	}
	address = *area(q, off);
	return off & 4 ? upper_32(address) : lower_32(address);
}

static u32 common_read(const struct virtio_pci *vp, u64 off)
{
	const struct virtio_device *dev = vp->dev;

	switch (off) {
	case DEVICE_FEATURE_SELECT: return vp->device_feature_select;
	case DEVICE_FEATURE: return feature_half(dev->features, vp->device_feature_select);
	case DRIVER_FEATURE_SELECT: return vp->driver_feature_select;
	case DRIVER_FEATURE: return feature_half(dev->driver_features, vp->driver_feature_select);
	case CONFIG_VECTOR: return vp->config_vector;
	case NUM_QUEUES: return dev->type->queues;
	case DEVICE_STATUS: return (u8)dev->status;
	case CONFIG_GENERATION: return dev->generation;
	case QUEUE_SELECT: return vp->queue_select;
	default: return queue_read(selected(vp), vp->queue_select, off);
	}
}

/* A queue is set up before it is enabled; then only a reset changes it, but for the vector. */
static void queue_write(struct virtio_pci *vp, struct virtqueue *q, u64 off, u32 value)
{
	gpa_t *address;

	if (off == QUEUE_VECTOR)
		q->vector = valid_vector(vp, value);
	if (q->enabled)
		return;
	switch (off) {
	case QUEUE_SIZE:
		if (value && value <= q->max_size && !(value & (value - 1)))
			q->size = (u16)value;
		break;
	case QUEUE_ENABLE:
		if (value == 1)
			virtqueue_enable(q);
		break;
	case QUEUE_VECTOR:
	case QUEUE_NOTIFY_OFF: break;
	default:
		address = area(q, off);
		*address = off & 4 ? make_64(value, lower_32(*address))
				   : make_64(upper_32(*address), value);
		break;
	}
}

static void common_write(struct virtio_pci *vp, u64 off, u32 value)
{
	struct virtqueue *q = selected(vp);

	switch (off) {
	case DEVICE_FEATURE_SELECT: vp->device_feature_select = value; break;
	case DRIVER_FEATURE_SELECT: vp->driver_feature_select = value; break;
	case DRIVER_FEATURE:
		if (vp->driver_feature_select <= 1)
			virtio_set_features(vp->dev, vp->driver_feature_select, value);
		break;
	case CONFIG_VECTOR: vp->config_vector = valid_vector(vp, value); break;
	case DEVICE_STATUS: virtio_set_status(vp->dev, (u8)value); break;
	case QUEUE_SELECT: vp->queue_select = (u16)value; break;
	case DEVICE_FEATURE:
	case NUM_QUEUES:
	case CONFIG_GENERATION: break;
	default:
		if (q)
			queue_write(vp, q, off, value);
		break;
	}
}

/* --- the register BAR --- */

static u64 device_read(const struct virtio_device *dev, u64 off, u8 size)
{
	u64 value = 0;

	if (off >= dev->config_size || size > dev->config_size - off)
		return ~0ULL;
	memcpy(&value, (const u8 *)dev->config + off, size);
	return value;
}

static void device_write(const struct virtio_device *dev, u64 off, u8 size, u32 value)
{
	if (dev->type->ops->config_write && off < dev->config_size &&
	    size <= dev->config_size - off)
		dev->type->ops->config_write(dev->ctx, (u32)off, size, value);
}

static bool in_common(u64 off, u8 size)
{
	return off < ARRAY_SIZE(common_width) && common_width[off] == size;
}

static u64 register_read(void *ctx, u64 off, u8 size)
{
	struct virtio_pci *vp = ctx;

	if (size == 8) /* as the PCI bus would split it */
		return register_read(vp, off, 4) | register_read(vp, off + 4, 4) << 32;
	if (in_common(off, size))
		return common_read(vp, off);
	if (off == REG_ISR && size == 1)
		return read_isr(vp);
	if (off >= VIRTIO_PCI_REG_DEVICE)
		return device_read(vp->dev, off - VIRTIO_PCI_REG_DEVICE, size);
	return ~0ULL;
}

static void register_write(void *ctx, u64 off, u8 size, u64 value)
{
	struct virtio_pci *vp = ctx;

	if (size == 8) {
		register_write(vp, off, 4, lower_32(value));
		register_write(vp, off + 4, 4, upper_32(value));
	} else if (in_common(off, size)) {
		common_write(vp, off, (u32)value);
	} else if (off >= VIRTIO_PCI_REG_DEVICE) {
		device_write(vp->dev, off - VIRTIO_PCI_REG_DEVICE, size, (u32)value);
	} else if (off >= VIRTIO_PCI_REG_NOTIFY && size == 2) {
		virtio_kick(vp->dev, (u16)value);
	}
}

const struct mmio_ops virtio_pci_register_mmio = { register_read, register_write };

/* --- the notify BAR --- */

static u32 notify_read(void *ctx, u16 off, u8 size)
{
	(void)ctx, (void)off, (void)size;
	return ~0u;
}

static void notify_write(void *ctx, u16 off, u8 size, u32 value)
{
	const struct virtio_pci *vp = ctx;

	if (off == 0 && size == 2)
		virtio_kick(vp->dev, value);
}

const struct pio_ops virtio_pci_notify_pio = { notify_read, notify_write };

/* --- the MSI-X BAR --- */

static u64 msix_bar_read(void *ctx, u64 off, u8 size)
{
	const struct virtio_pci *vp = ctx;

	return off < MSIX_PENDING_OFFSET
		       ? msix_table_read(&vp->msix, off, size)
		       : msix_pending_read(&vp->msix, off - MSIX_PENDING_OFFSET, size);
}

static void msix_bar_write(void *ctx, u64 off, u8 size, u64 value)
{
	struct virtio_pci *vp = ctx;

	if (off < MSIX_PENDING_OFFSET)
		msix_table_write(&vp->msix, off, size, value);
}

const struct mmio_ops virtio_pci_msix_mmio = { msix_bar_read, msix_bar_write };

/* --- configuration space --- */

/*
 * The window to the BARs, for who cannot reach them otherwise. Virtio, "PCI configuration access
 * capability": the driver writes where and how wide, then accesses the data in that width.
 */
static bool window(const struct virtio_pci *vp, u8 reg, u8 size, u8 *bar, u32 *off)
{
	u32 length = pci_get32(&vp->pci, vp->window_cap + CAP_LENGTH);

	*bar = vp->pci.space[vp->window_cap + CAP_BAR];
	*off = pci_get32(&vp->pci, vp->window_cap + CAP_OFFSET);
	return reg == vp->window_cap + CAP_MORE && size == length && IS_ALIGNED(*off, length) &&
	       *bar < VIRTIO_PCI_BARS && *off < vp->pci.bar_size[*bar];
}

u32 virtio_pci_config_read(void *dev, u8 reg, u8 size)
{
	struct virtio_pci *vp = dev;
	u32 off;
	u8 bar;

	if (!window(vp, reg, size, &bar, &off))
		return pci_function_read(&vp->pci, reg, size);
	switch (bar) {
	case VIRTIO_PCI_REGISTER_BAR: return (u32)register_read(vp, off, size);
	case VIRTIO_PCI_MSIX_BAR: return (u32)msix_bar_read(vp, off, size);
	default: return notify_read(vp, (u16)off, size);
	}
}

static void window_write(struct virtio_pci *vp, u8 bar, u32 off, u8 size, u32 value)
{
	switch (bar) {
	case VIRTIO_PCI_REGISTER_BAR: register_write(vp, off, size, value); break;
	case VIRTIO_PCI_MSIX_BAR: msix_bar_write(vp, off, size, value); break;
	default: notify_write(vp, (u16)off, size, value); break;
	}
}

/*
 * A message is a write to memory, as those to queues are: without bus mastering it is pending, like that of a
 * masked entry.
 */
static void obey_config(struct virtio_pci *vp)
{
	u16 control = pci_get16(&vp->pci, vp->msix_cap + PCI_MSIX_CONTROL);
	bool master = pci_get16(&vp->pci, PCI_COMMAND) & PCI_COMMAND_MASTER;

	msix_control(&vp->msix, control & PCI_MSIX_ENABLE,
		     (control & PCI_MSIX_MASK_ALL) || !master);
	update_pin(vp);
	virtio_set_master(vp->dev, master);
}

void virtio_pci_config_write(void *dev, u8 reg, u8 size, u32 value)
{
	struct virtio_pci *vp = dev;
	u32 off;
	u8 bar;

	if (window(vp, reg, size, &bar, &off)) {
		window_write(vp, bar, off, size, value);
		return;
	}
	pci_function_write(&vp->pci, reg, size, value);
	obey_config(vp);
}

void virtio_pci_init(struct virtio_pci *vp, struct virtio_device *dev)
{
	struct pci_identity id = {
		.vendor = VIRTIO_VENDOR,
		.device = (u16)(VIRTIO_DEVICE_BASE + dev->type->id),
		.subsystem_vendor = VIRTIO_VENDOR,
		.subsystem = (u16)(VIRTIO_DEVICE_BASE + dev->type->id),
		.class = dev->type->pci_class,
		.revision = VIRTIO_REVISION,
	};

	*vp = (struct virtio_pci){ .dev = dev, .config_vector = VIRTQ_NO_VECTOR };
	dev->transport = vp;
	dev->interrupt = interrupt;
	dev->was_reset = was_reset;
	msix_init(&vp->msix, MIN(dev->type->queues + 1, MSIX_MAX), dev->host->msi, dev->host->ctx);
	pci_function_init(&vp->pci, &id);
	pci_function_add_bar(&vp->pci, VIRTIO_PCI_NOTIFY_BAR, VIRTIO_PCI_NOTIFY_SIZE, true);
	pci_function_add_bar(&vp->pci, VIRTIO_PCI_REGISTER_BAR, VIRTIO_PCI_MMIO_SIZE, false);
	pci_function_add_bar(&vp->pci, VIRTIO_PCI_MSIX_BAR, VIRTIO_PCI_MMIO_SIZE, false);
	pci_function_route(&vp->pci, VIRTIO_PCI_PIN, 0);
	add_caps(vp);
	/* As firmware leaves it. A driver that clears it means that; one that never sets it is none of a PC's. */
	pci_function_write(&vp->pci, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
}
