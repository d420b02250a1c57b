/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all virtio devices have in common, whatever they do and however they are reached: the life
 * from reset to DRIVER_OK, features, queues, interrupts. Virtio 1.2, "Basic Facilities of a Virtio
 * Device".
 *
 *	driver -> transport (virtio_pci) -> struct virtio_device -> struct virtio_ops -> device
 *	                                                         <- virtio_pop, virtio_push ...
 *
 * All calls for one device happen one at a time: the VM's lock is held.
 */
#ifndef VIRTIO_VIRTIO_H
#define VIRTIO_VIRTIO_H

#include "lib/vdev.h"
#include "virtio/virtqueue.h"

#define VIRTIO_MAX_QUEUES 64

/* Device status */
#define VIRTIO_ACKNOWLEDGE 0x01
#define VIRTIO_DRIVER      0x02
#define VIRTIO_DRIVER_OK   0x04
#define VIRTIO_FEATURES_OK 0x08
#define VIRTIO_NEEDS_RESET 0x40
#define VIRTIO_FAILED      0x80
#define VIRTIO_PAUSED      0x100 /* not for the driver to see: the function is no bus master */

/* Features of every device, which the core and the queues see to */
#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)
#define VIRTIO_CORE_FEATURES   (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

/* The one of them that is called @name (virtio-event-idx, virtio-indirect) and may be hidden, or 0. */
u64 virtio_hide_bits(const char *name);

/* What devices and transports ask of the machine. It outlives the device. */
struct virtio_host {
	const struct guest_mem *mem;
	const struct vdev_env *env; /* time and alarms */
	void *ctx;
	void (*msi)(void *ctx, u64 address, u32 data); /* a message as the driver wrote it */
	void (*intx)(void *ctx, bool level); /* the function's interrupt pin; idempotent */
	void (*kicked)(
		void *ctx); /* a driver had to kick: who polls devices may wake up. May be NULL */
	u64 hidden; /* features that no device of this machine offers: of virtio_hide_bits */
};

/* A device's part. ctx is the device. All but kick may be NULL. */
struct virtio_ops {
	/* DRIVER_OK: features and queues are settled; chains may be waiting. */
	void (*start)(void *ctx);
	/* The driver has taken all of it back: forget every chain. Queues are empty, and disabled. */
	void (*reset)(void *ctx);
	/* The driver has kicked @queue, or virtio_defer's time has come. A bounded piece of work. */
	void (*kick)(void *ctx, unsigned int queue);
	/* A write of the configuration space, within its size. NULL: all of it is read-only. */
	void (*config_write)(void *ctx, u32 off, u8 size, u32 value);
	/* FEATURES_OK: what the configuration space says may depend on them. */
	void (*negotiated)(void *ctx);
	/*
	 * Does it still use guest memory, after reset? Then the driver is told that the reset goes on, until
	 * virtio_reset_done.
	 */
	bool (*busy)(void *ctx);
};

struct virtio_type {
	u16 id;        /* virtio, "Device Types" */
	u32 pci_class; /* class, subclass, programming interface */
	const struct virtio_ops *ops;
	unsigned int queues;
	const u16 *queue_size; /* of each, at most: powers of two */
};

struct virtio_device {
	const struct virtio_type *type;
	const struct virtio_host *host;
	void *ctx; /* of type->ops */
	struct virtqueue *queue;
	const void *config; /* the configuration space as the driver reads it */
	u32 config_size;
	u64 features, driver_features; /* offered, accepted */
	u16 status;                    /* the driver's, and VIRTIO_PAUSED */
	bool resetting; /* the device is busy: status is not 0 yet, and nothing that is written counts */
	u8 generation; /* of the configuration space */
	bool polled;   /* somebody looks at the queues all the time: drivers need not kick */
	u64 deferred;  /* queues of virtio_defer */
	struct vdev_timer timer;
	u64 interrupts; /* sent for queues, since virtio_init */
	/* The transport's: interrupt the driver for @queue, or for a change of configuration if NULL. */
	void (*interrupt)(void *transport, const struct virtqueue *queue);
	void (*was_reset)(void *transport);
	void *transport;
};

/*
 * @queue has type->queues elements; it, @config, @type and @host stay the caller's. @features are
 * the device's own, those of every device come on top, but for @host->hidden.
 */
void virtio_init(struct virtio_device *dev, const struct virtio_type *type,
		 const struct virtio_host *host, void *ctx, struct virtqueue *queue, u64 features);

/* --- for transports --- */

void virtio_reset(struct virtio_device *dev);

/*
 * May the device be a bus master? While it may not, it touches no queue; what the driver has done meanwhile is
 * looked at when it may again.
 */
void virtio_set_master(struct virtio_device *dev, bool master);

/* A write of the status register; 0 is a reset. What the driver asks for too early is not granted. */
void virtio_set_status(struct virtio_device *dev, u8 value);

/* One half of the accepted features: until FEATURES_OK. */
void virtio_set_features(struct virtio_device *dev, bool high, u32 value);

/* The driver says that @queue (any number) has something new. */
void virtio_kick(struct virtio_device *dev, unsigned int queue);

/* --- for who polls --- */

/*
 * From now on virtio_poll is called again and again, so that drivers are asked not to kick; or no longer. What
 * a driver has added without a kick is looked at in the latter case.
 */
void virtio_set_polled(struct virtio_device *dev, bool polled);

/*
 * Look at all queues, as if the driver had kicked those that it has added something to. Was there any, or has the
 * device requests that are not answered yet, whose end the driver is likely to follow with the next?
 */
bool virtio_poll(struct virtio_device *dev);

/* --- for devices --- */

/* May queues be used? Not before DRIVER_OK, not once something was wrong, and by a bus master only. */
static inline bool virtio_live(const struct virtio_device *dev)
{
	return (dev->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET | VIRTIO_PAUSED)) ==
	       VIRTIO_DRIVER_OK;
}

/* Live but for that: what it has begun waits, and nothing of it is dropped. */
static inline bool virtio_paused(const struct virtio_device *dev)
{
	return (dev->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET | VIRTIO_PAUSED)) ==
	       (VIRTIO_DRIVER_OK | VIRTIO_PAUSED);
}

static inline bool virtio_has_feature(const struct virtio_device *dev, u64 feature)
{
	return dev->driver_features & feature;
}

/* virtqueue's, for queue @q of a live device; where they find it broken, the device needs a reset. */
bool virtio_pop(struct virtio_device *dev, unsigned int q, struct virtq_chain *chain) __must_check;
void virtio_unpop(struct virtio_device *dev, unsigned int q, u16 n);
void virtio_push_all(struct virtio_device *dev, unsigned int q, const struct virtq_used_elem *elem,
		     u16 n);
bool virtio_has_chain(struct virtio_device *dev, unsigned int q);
void virtio_push(struct virtio_device *dev, unsigned int q, const struct virtq_chain *chain,
		 u32 written);
void virtio_push_head(struct virtio_device *dev, unsigned int q, u16 head, u32 written);
void virtio_disable_kicks(struct virtio_device *dev, unsigned int q);
bool virtio_enable_kicks(struct virtio_device *dev, unsigned int q) __must_check;

/* Interrupt the driver for what was pushed to @q, if it wants that. */
void virtio_interrupt(struct virtio_device *dev, unsigned int q);

/* The driver did what none may do, or the device cannot go on: DEVICE_NEEDS_RESET. */
void virtio_fail(struct virtio_device *dev);

/* The last use of guest memory from before a reset is over: ops->busy is false. */
void virtio_reset_done(struct virtio_device *dev);

/* The configuration space has changed. */
void virtio_config_changed(struct virtio_device *dev);

/* Have ops->kick called for @q again soon, but not from within this call: the rest of the work. */
void virtio_defer(struct virtio_device *dev, unsigned int q);

#endif
