/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/pci.h"
#include "drivers/virtio_drv.h"
#include "drivers/virtio_net_drv.h"
#include "lib/errno.h"
#include "lib/packet.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "lib/x86.h"

#define RX_BUFFERS  128u
#define TX_BUFFERS  128u
#define MAX_RESETS  3u /* in a row, without a frame sent in between */
#define TX_STUCK_MS 5000

/* "Network Device": feature bits, the configuration's fields. */
#define F_MTU          3
#define F_MAC          5
#define F_STATUS       16
#define CONFIG_MAC     0
#define CONFIG_STATUS  6
#define CONFIG_MTU     10
#define STATUS_LINK_UP 1

#define QUEUE_RX       0
#define QUEUE_TX       1

/* Nothing is left to the device, so that it stays zero but for num_buffers, which the device writes. */
struct net_header {
	u8 flags, gso_type;
	u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

_Static_assert(sizeof(struct net_header) == 12, "virtio 1.x: the header has 12 bytes");

/* A frame with a VLAN tag, or two; a buffer is within a page. */
#define FRAME_MAX 2036u

struct buffer {
	struct net_header header;
	u8 frame[FRAME_MAX];
};

_Static_assert(sizeof(struct buffer) == 2048, "two in a page");

enum state { RESETTING, RUNNING, DEAD };

struct virtio_net {
	struct spinlock lock;
	struct vdrv v;
	struct vdrv_queue rx, tx;
	enum state state;
	bool receiving; /* a CPU hands frames up */
	unsigned int resets;
	u64 deadline;    /* of RESETTING */
	u64 tx_deadline; /* the oldest frame that is being sent is sent then, or the device hangs */
	struct buffer *rx_buffer, *tx_buffer;
	u16 tx_free[TX_BUFFERS]; /* buffers that no frame is in */
	unsigned int tx_free_count;
	struct nic nic;
};

static u64 after(const struct virtio_net *n, u64 ms)
{
	return n->v.env->now() + ms * n->v.env->tsc_hz / 1000;
}

static void die(struct virtio_net *n, const char *why)
{
	pr_err("%s: %s: it is off\n", n->nic.name, why);
	n->state = DEAD;
	pci_write16(n->v.pci, 0x04, (u16)(pci_read16(n->v.pci, 0x04) & ~0x04));
}

static void reset(struct virtio_net *n, const char *why)
{
	if (++n->resets > MAX_RESETS) {
		die(n, why);
		return;
	}
	pr_warn("%s: %s: reset\n", n->nic.name, why);
	vdrv_reset(&n->v);
	n->state = RESETTING;
	n->deadline = after(n, VDRV_RESET_MS);
}

static void give_rx(struct virtio_net *n, struct buffer *b)
{
	const struct vdrv_buffer all = { (hpa_t)(uintptr_t)b, sizeof(*b), true };

	/* There are as many descriptors as buffers, so that there is room. */
	(void)!vdrv_add(&n->rx, &all, 1, b);
}

static bool set_up(struct virtio_net *n)
{
	if (!vdrv_negotiate(&n->v, BIT(F_MTU) | BIT(F_MAC) | BIT(F_STATUS)) ||
	    !vdrv_queue_start(&n->v, &n->rx, RX_BUFFERS) ||
	    !vdrv_queue_start(&n->v, &n->tx, TX_BUFFERS))
		return false;
	n->tx_free_count = 0;
	for (u16 i = 0; i < n->tx.size; i++)
		n->tx_free[n->tx_free_count++] = i;
	for (u16 i = 0; i < n->rx.size; i++)
		give_rx(n, &n->rx_buffer[i]);
	vdrv_go(&n->v);
	vdrv_notify(&n->rx);
	return true;
}

/* While a CPU has a frame that lies in a receive buffer, buffers are not given to the device anew. */
static void step_resetting(struct virtio_net *n)
{
	if (!vdrv_is_reset(&n->v) || n->receiving) {
		if (n->v.env->now() >= n->deadline)
			die(n, "it cannot be reset");
	} else if (set_up(n)) {
		n->state = RUNNING;
	} else {
		die(n, "it cannot be set up");
	}
}

static void take_sent(struct virtio_net *n)
{
	struct buffer *b;
	u32 len;

	for (unsigned int i = 0; i < TX_BUFFERS && (b = vdrv_take(&n->tx, &len)); i++) {
		n->tx_free[n->tx_free_count++] = (u16)(b - n->tx_buffer);
		n->tx_deadline = after(n, TX_STUCK_MS);
		n->resets = 0;
	}
}

static bool virtio_net_transmit(void *driver, const void *data, u32 len)
{
	struct virtio_net *n = driver;
	struct vdrv_buffer all = { .len = (u32)sizeof(struct net_header) + len };
	bool ok = false;
	struct buffer *b;

	if (len > FRAME_MAX)
		return false;
	spin_lock(&n->lock);
	if (n->state == RUNNING && n->nic.link) {
		take_sent(n);
		if (n->tx_free_count && !n->tx.broken) {
			if (n->tx_free_count == n->tx.size)
				n->tx_deadline = after(n, TX_STUCK_MS);
			b = &n->tx_buffer[n->tx_free[n->tx_free_count - 1]];
			memset(&b->header, 0, sizeof(b->header));
			memcpy(b->frame, data, len);
			all.hpa = (hpa_t)(uintptr_t)b;
			ok = vdrv_add(&n->tx, &all, 1, b);
		}
		if (ok) {
			n->tx_free_count--;
			vdrv_notify(&n->tx);
		}
	}
	spin_unlock(&n->lock);
	return ok;
}

/* The next frame, or NULL. Its buffer is the driver's until it is given back. */
static struct buffer *next_frame(struct virtio_net *n, struct buffer *last, u32 *len)
{
	struct buffer *b = NULL;

	spin_lock(&n->lock);
	if (last && n->state == RUNNING)
		give_rx(n, last);
	if (n->state == RUNNING)
		b = vdrv_take(&n->rx, len);
	if (!b) {
		n->receiving = false;
		if (last && n->state == RUNNING)
			vdrv_notify(&n->rx);
	}
	spin_unlock(&n->lock);
	return b;
}

/* One CPU at a time, so that frames keep their order; what comes meanwhile that one finds. Bounded. */
static void receive(struct virtio_net *n)
{
	struct buffer *b = NULL;
	bool busy;
	u32 len = 0;

	spin_lock(&n->lock);
	busy = n->receiving || n->state != RUNNING;
	if (!busy)
		n->receiving = true;
	spin_unlock(&n->lock);
	if (busy)
		return;
	for (unsigned int i = 0; i < 2 * RX_BUFFERS && (b = next_frame(n, b, &len)); i++) {
		u32 header = (u32)sizeof(b->header);

		if (n->nic.receive && len >= header + ETH_HEADER && len <= sizeof(*b))
			n->nic.receive(n->nic.user, b->frame, len - header);
	}
	if (b) { /* enough for now: poll, or the next interrupt, goes on */
		spin_lock(&n->lock);
		if (n->state == RUNNING) {
			give_rx(n, b);
			vdrv_notify(&n->rx);
		}
		n->receiving = false;
		spin_unlock(&n->lock);
	}
}

static bool read_link(const struct virtio_net *n)
{
	if (!(n->v.features & BIT(F_STATUS)))
		return true;
	return vdrv_config(&n->v, CONFIG_STATUS, 2) & STATUS_LINK_UP;
}

static void check_health(struct virtio_net *n)
{
	u8 status = vdrv_status(&n->v);

	if (status == VDRV_STATUS_GONE)
		die(n, "it is gone");
	else if (status & VDRV_STATUS_NEEDS)
		reset(n, "it asks for it");
	else if (n->tx_free_count < n->tx.size && n->v.env->now() >= n->tx_deadline)
		reset(n, "it does not send");
}

static void service(struct virtio_net *n, bool look_closely)
{
	bool link, changed;

	spin_lock(&n->lock);
	if (n->state == RESETTING)
		step_resetting(n);
	if (n->state == RUNNING)
		take_sent(n);
	if (n->state == RUNNING && look_closely)
		check_health(n);
	if (n->state == RUNNING && (n->rx.broken || n->tx.broken))
		reset(n, "its answers make no sense");
	link = n->nic.link;
	if (look_closely || n->state != RUNNING)
		link = n->state == RUNNING && read_link(n);
	changed = link != n->nic.link;
	n->nic.link = link;
	spin_unlock(&n->lock);
	if (changed && n->nic.receive) /* it has a user: the first time is in the probe's line */
		pr_info("%s: link %s\n", n->nic.name, link ? "up" : "down");
	if (changed && n->nic.link_changed)
		n->nic.link_changed(n->nic.user);
	receive(n);
}

static void virtio_net_irq(void *arg)
{
	struct virtio_net *n = arg;

	vdrv_ack(&n->v);
	service(n, false);
}

static void virtio_net_poll(void *driver)
{
	service(driver, true);
}

/* --- the beginning --- */

static int alloc(struct virtio_net *n)
{
	const struct hostdev_env *env = n->v.env;

	n->rx_buffer = env->dma_alloc(RX_BUFFERS * sizeof(struct buffer));
	n->tx_buffer = env->dma_alloc(TX_BUFFERS * sizeof(struct buffer));
	if (!n->rx_buffer || !n->tx_buffer || vdrv_queue_alloc(&n->v, &n->rx, QUEUE_RX) ||
	    vdrv_queue_alloc(&n->v, &n->tx, QUEUE_TX))
		return -ENOMEM;
	n->tx.silent = true;
	return 0;
}

static int bring_up(struct virtio_net *n)
{
	vdrv_reset(&n->v);
	n->state = RESETTING;
	n->deadline = after(n, VDRV_RESET_MS);
	while (n->state == RESETTING) {
		service(n, true);
		cpu_pause();
	}
	return n->state == RUNNING ? 0 : -ENODEV;
}

static void read_identity(struct virtio_net *n)
{
	struct nic *nic = &n->nic;
	u64 mtu = n->v.features & BIT(F_MTU) ? vdrv_config(&n->v, CONFIG_MTU, 2) : ETH_MTU;

	for (unsigned int i = 0; i < sizeof(nic->mac); i++)
		nic->mac[i] = (u8)vdrv_config(&n->v, CONFIG_MAC + i, 1);
	/* Longer frames do not fit into a buffer. */
	nic->mtu = (u16)MIN(mtu, (u64)ETH_MTU);
}

int virtio_net_probe(const struct pci_device *pci, const struct hostdev_env *env)
{
	struct virtio_net *n = env->dma_alloc(sizeof(*n));
	char where[16];
	int err;

	if (!n)
		return -ENOMEM;
	n->state = DEAD; /* interrupts find nothing to do until it is up */
	scnprintf(n->nic.name, sizeof(n->nic.name), "virtio-net %s",
		  pci_name(pci, where, sizeof(where)));
	err = vdrv_find(&n->v, env, pci, virtio_net_irq, n);
	if (!err)
		err = alloc(n);
	if (!err)
		err = bring_up(n);
	if (err)
		return err;
	if (!(n->v.features & BIT(F_MAC))) {
		pr_err("%s: it has no address: not used\n", n->nic.name);
		vdrv_reset(&n->v);
		n->state = DEAD;
		return -ENODEV;
	}
	read_identity(n);
	n->nic.driver = n;
	n->nic.transmit = virtio_net_transmit;
	n->nic.poll = virtio_net_poll;
	pr_info("%s: %02x:%02x:%02x:%02x:%02x:%02x, link %s\n", n->nic.name, n->nic.mac[0],
		n->nic.mac[1], n->nic.mac[2], n->nic.mac[3], n->nic.mac[4], n->nic.mac[5],
		n->nic.link ? "up" : "down");
	env->add_nic(&n->nic);
	return 0;
}
