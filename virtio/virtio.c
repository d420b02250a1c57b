/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/virtio.h"
#include "lib/string.h"

#define DRIVER_STATUS \
	(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_FAILED)

static void look_at(struct virtio_device *dev, unsigned int queue);

u64 virtio_hide_bits(const char *name)
{
	if (!strcmp(name, "virtio-event-idx"))
		return VIRTIO_F_EVENT_IDX;
	if (!strcmp(name, "virtio-indirect"))
		return VIRTIO_F_INDIRECT_DESC;
	return 0;
}

static void do_deferred(void *ctx)
{
	struct virtio_device *dev = ctx;
	u64 queues = dev->deferred;

	dev->deferred = 0;
	for (unsigned int q = 0; q < dev->type->queues; q++) {
		if (queues & BIT(q))
			look_at(dev, q);
	}
}

static void reset_queues(struct virtio_device *dev)
{
	for (unsigned int q = 0; q < dev->type->queues; q++)
		virtqueue_reset(&dev->queue[q], dev->host->mem, dev->type->queue_size[q]);
}

void virtio_init(struct virtio_device *dev, const struct virtio_type *type,
		 const struct virtio_host *host, void *ctx, struct virtqueue *queue, u64 features)
{
	*dev = (struct virtio_device){
		.type = type,
		.host = host,
		.ctx = ctx,
		.queue = queue,
		.features = (features | VIRTIO_CORE_FEATURES) & ~host->hidden,
		.timer = { .fire = do_deferred, .dev = dev, .deadline = VDEV_NEVER },
	};
	reset_queues(dev);
}

/* As before any driver came. */
static void forget_driver(struct virtio_device *dev)
{
	dev->status &= VIRTIO_PAUSED;
	dev->driver_features = 0;
	dev->deferred = 0;
	dev->host->env->set_timer(dev->host->env->ctx, &dev->timer, VDEV_NEVER);
	reset_queues(dev);
	if (dev->was_reset)
		dev->was_reset(dev->transport);
}

/*
 * The driver waits until it reads 0: virtio, "Device Status Field". A status without DRIVER_OK keeps
 * everybody off the queues until then.
 */
void virtio_reset(struct virtio_device *dev)
{
	const struct virtio_ops *ops = dev->type->ops;

	if (dev->resetting)
		return;
	forget_driver(dev);
	if (ops->reset)
		ops->reset(dev->ctx);
	if (ops->busy && ops->busy(dev->ctx)) {
		dev->resetting = true;
		dev->status |= VIRTIO_NEEDS_RESET;
	}
}

void virtio_reset_done(struct virtio_device *dev)
{
	if (!dev->resetting)
		return;
	dev->resetting = false;
	forget_driver(dev); /* which has been told to wait, but may have set up something */
}

/* --- the handshake: virtio, "Device Initialization" --- */

static bool features_acceptable(const struct virtio_device *dev)
{
	return !(dev->driver_features & ~dev->features) &&
	       dev->driver_features & VIRTIO_F_VERSION_1;
}

static void start(struct virtio_device *dev)
{
	for (unsigned int q = 0; q < dev->type->queues; q++) {
		dev->queue[q].event_idx = virtio_has_feature(dev, VIRTIO_F_EVENT_IDX);
		if (dev->queue[q].broken)
			virtio_fail(dev);
	}
	if (virtio_live(dev) && dev->type->ops->start)
		dev->type->ops->start(dev->ctx);
}

void virtio_set_status(struct virtio_device *dev, u8 value)
{
	u8 set = value & DRIVER_STATUS & (u8)~dev->status;

	if (!value) {
		virtio_reset(dev);
		return;
	}
	if (dev->resetting)
		return;
	if (set & VIRTIO_FEATURES_OK && !features_acceptable(dev))
		set &= (u8)~VIRTIO_FEATURES_OK;
	if (!((dev->status | set) & VIRTIO_FEATURES_OK))
		set &= (u8)~VIRTIO_DRIVER_OK;
	dev->status |= set;
	if (set & VIRTIO_FEATURES_OK && dev->type->ops->negotiated)
		dev->type->ops->negotiated(dev->ctx);
	if (set & VIRTIO_DRIVER_OK)
		start(dev);
}

void virtio_set_features(struct virtio_device *dev, bool high, u32 value)
{
	if (dev->status & VIRTIO_FEATURES_OK || dev->resetting)
		return;
	if (high)
		dev->driver_features = make_64(value, lower_32(dev->driver_features));
	else
		dev->driver_features = make_64(upper_32(dev->driver_features), value);
}

static bool is_usable(const struct virtio_device *dev, unsigned int queue)
{
	return virtio_live(dev) && queue < dev->type->queues && dev->queue[queue].enabled;
}

static void look_at(struct virtio_device *dev, unsigned int queue)
{
	if (is_usable(dev, queue))
		dev->type->ops->kick(dev->ctx, queue);
}

void virtio_kick(struct virtio_device *dev, unsigned int queue)
{
	look_at(dev, queue);
	if (dev->host->kicked)
		dev->host->kicked(dev->host->ctx);
}

void virtio_set_master(struct virtio_device *dev, bool master)
{
	if (master != !!(dev->status & VIRTIO_PAUSED))
		return;
	dev->status ^= VIRTIO_PAUSED;
	for (unsigned int q = 0; master && q < dev->type->queues; q++)
		virtio_kick(dev, q);
}

/* --- polling --- */

void virtio_set_polled(struct virtio_device *dev, bool polled)
{
	if (dev->polled == polled)
		return;
	dev->polled = polled;
	for (unsigned int q = 0; q < dev->type->queues; q++) {
		if (!is_usable(dev, q))
			continue;
		if (polled)
			virtqueue_disable_kicks(&dev->queue[q]);
		else if (virtqueue_enable_kicks(&dev->queue[q]))
			look_at(dev, q);
	}
}

bool virtio_poll(struct virtio_device *dev)
{
	const struct virtio_ops *ops = dev->type->ops;
	u64 deferred = dev->deferred;
	bool found = ops->busy && ops->busy(dev->ctx);

	dev->deferred = 0;
	for (unsigned int q = 0; q < dev->type->queues; q++) {
		if (!is_usable(dev, q) ||
		    (!virtqueue_moved(&dev->queue[q]) && !(deferred & BIT(q))))
			continue;
		look_at(dev, q);
		found = true;
	}
	return found;
}

/* --- what devices do --- */

void virtio_config_changed(struct virtio_device *dev)
{
	dev->generation++;
	if (dev->status & VIRTIO_DRIVER_OK && dev->interrupt)
		dev->interrupt(dev->transport, NULL);
}

void virtio_fail(struct virtio_device *dev)
{
	if (dev->status & VIRTIO_NEEDS_RESET)
		return;
	dev->status |= VIRTIO_NEEDS_RESET;
	if (dev->status & VIRTIO_DRIVER_OK && dev->interrupt)
		dev->interrupt(dev->transport, NULL);
}

/* Queue @q if it can be used. */
static struct virtqueue *live_queue(struct virtio_device *dev, unsigned int q)
{
	return virtio_live(dev) ? &dev->queue[q] : NULL;
}

static void check(struct virtio_device *dev, const struct virtqueue *queue)
{
	if (unlikely(queue->broken))
		virtio_fail(dev);
}

bool virtio_pop(struct virtio_device *dev, unsigned int q, struct virtq_chain *chain)
{
	struct virtqueue *queue = live_queue(dev, q);
	bool taken = queue && virtqueue_pop(queue, chain);

	if (queue)
		check(dev, queue);
	return taken;
}

void virtio_unpop(struct virtio_device *dev, unsigned int q, u16 n)
{
	struct virtqueue *queue = live_queue(dev, q);

	if (queue)
		virtqueue_unpop(queue, n);
}

void virtio_push_all(struct virtio_device *dev, unsigned int q, const struct virtq_used_elem *elem,
		     u16 n)
{
	struct virtqueue *queue = live_queue(dev, q);

	if (!queue)
		return;
	virtqueue_push_all(queue, elem, n);
	check(dev, queue);
}

bool virtio_has_chain(struct virtio_device *dev, unsigned int q)
{
	struct virtqueue *queue = live_queue(dev, q);
	bool has = queue && virtqueue_has_chain(queue);

	if (queue)
		check(dev, queue);
	return has;
}

void virtio_push_head(struct virtio_device *dev, unsigned int q, u16 head, u32 written)
{
	struct virtqueue *queue = live_queue(dev, q);

	if (!queue)
		return;
	virtqueue_push_head(queue, head, written);
	check(dev, queue);
}

void virtio_push(struct virtio_device *dev, unsigned int q, const struct virtq_chain *chain,
		 u32 written)
{
	virtio_push_head(dev, q, chain->head, written);
}

void virtio_disable_kicks(struct virtio_device *dev, unsigned int q)
{
	struct virtqueue *queue = live_queue(dev, q);

	if (!queue)
		return;
	virtqueue_disable_kicks(queue);
	check(dev, queue);
}

bool virtio_enable_kicks(struct virtio_device *dev, unsigned int q)
{
	struct virtqueue *queue = live_queue(dev, q);
	bool more;

	if (!queue)
		return false;
	if (dev->polled) {
		virtqueue_disable_kicks(queue);
		more = virtqueue_has_chain(queue);
	} else {
		more = virtqueue_enable_kicks(queue);
	}
	check(dev, queue);
	return more;
}

void virtio_interrupt(struct virtio_device *dev, unsigned int q)
{
	struct virtqueue *queue = live_queue(dev, q);

	if (!queue)
		return;
	if (virtqueue_wants_interrupt(queue) && dev->interrupt) {
		dev->interrupts++;
		dev->interrupt(dev->transport, queue);
	}
	check(dev, queue);
}

void virtio_defer(struct virtio_device *dev, unsigned int q)
{
	const struct vdev_env *env = dev->host->env;

	dev->deferred |= BIT(q);
	env->set_timer(env->ctx, &dev->timer, env->now(env->ctx));
}
