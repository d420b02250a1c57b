/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio network device. Virtio 1.2, "Network Device".
 *
 * What the guest sends is offered to a sink, frame by frame, and copied by who takes it straight out of the
 * buffers of the driver; what is received is copied straight into them. Nothing is queued: while the sink
 * is busy the frame stays in its buffer, and if there is no buffer for one that comes it is dropped.
 * Checksums and segmentation are passed on as the driver has left them, to who has agreed to take that.
 */
#ifndef VIRTIO_VIRTIO_NET_H
#define VIRTIO_VIRTIO_NET_H

#include "lib/packet.h"
#include "virtio/virtio.h"

#define VIRTIO_NET_MAX_PAIRS 4 /* of a receive and a transmit queue */
#define VIRTIO_NET_QUEUES    (2 * VIRTIO_NET_MAX_PAIRS + 1)
#define VIRTIO_NET_MACS      64 /* of the driver's filter, of either kind; more: all are let in */
#define VIRTIO_NET_FLOWS     64

/* Feature bits */
#define VIRTIO_NET_F_CSUM          BIT(0)
#define VIRTIO_NET_F_GUEST_CSUM    BIT(1)
#define VIRTIO_NET_F_MTU           BIT(3)
#define VIRTIO_NET_F_MAC           BIT(5)
#define VIRTIO_NET_F_GUEST_TSO4    BIT(7)
#define VIRTIO_NET_F_GUEST_TSO6    BIT(8)
#define VIRTIO_NET_F_GUEST_ECN     BIT(9)
#define VIRTIO_NET_F_HOST_TSO4     BIT(11)
#define VIRTIO_NET_F_HOST_TSO6     BIT(12)
#define VIRTIO_NET_F_HOST_ECN      BIT(13)
#define VIRTIO_NET_F_MRG_RXBUF     BIT(15)
#define VIRTIO_NET_F_STATUS        BIT(16)
#define VIRTIO_NET_F_CTRL_VQ       BIT(17)
#define VIRTIO_NET_F_CTRL_RX       BIT(18)
#define VIRTIO_NET_F_CTRL_RX_EXTRA BIT(20)
#define VIRTIO_NET_F_MQ            BIT(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR BIT(23)

/* "Device configuration layout" */
struct virtio_net_config {
	u8 mac[ETH_ALEN];
	u16 status;
	u16 max_virtqueue_pairs;
	u16 mtu;
} __packed;
_Static_assert(sizeof(struct virtio_net_config) == 12, "struct virtio_net_config");

#define VIRTIO_NET_S_LINK_UP 1

/* "Device Operation": before each frame */
struct virtio_net_hdr {
	u8 flags;    /* VIRTIO_NET_HDR_* */
	u8 gso_type; /* VIRTIO_NET_GSO_* */
	u16 hdr_len;
	u16 gso_size;
	u16 csum_start;
	u16 csum_offset;
	u16 num_buffers;
};
_Static_assert(sizeof(struct virtio_net_hdr) == 12, "struct virtio_net_hdr");

#define VIRTIO_NET_HDR_NEEDS_CSUM 1
#define VIRTIO_NET_HDR_DATA_VALID 2
#define VIRTIO_NET_GSO_NONE       0
#define VIRTIO_NET_GSO_TCPV4      1
#define VIRTIO_NET_GSO_TCPV6      4
#define VIRTIO_NET_GSO_ECN        0x80

/* "Control Virtqueue" */
struct virtio_net_ctrl {
	u8 class, command;
};

enum virtio_net_class { VIRTIO_NET_RX = 0, VIRTIO_NET_MAC = 1, VIRTIO_NET_MQ = 4 };
/* Of class RX, each with a byte that is 0 or 1. */
enum virtio_net_rx {
	VIRTIO_NET_PROMISC,
	VIRTIO_NET_ALLMULTI,
	VIRTIO_NET_ALLUNI,
	VIRTIO_NET_NOMULTI,
	VIRTIO_NET_NOUNI,
	VIRTIO_NET_NOBCAST,
	VIRTIO_NET_RX_MODES
};
enum virtio_net_mac { VIRTIO_NET_MAC_TABLE_SET, VIRTIO_NET_MAC_ADDR_SET };
#define VIRTIO_NET_MQ_VQ_PAIRS_SET 0
#define VIRTIO_NET_OK              0
#define VIRTIO_NET_ERR             1

struct virtio_net_ops {
	/* A frame of the guest's. PACKET_BUSY: the same one is offered again. */
	enum packet_verdict (*send)(void *ctx, const struct packet *packet);
	/* The frame that was busy is not offered again: it took too long, or the driver has gone. */
	void (*give_up)(void *ctx);
	/* The driver agrees to receive what these accepted features say: VIRTIO_NET_F_GUEST_*. */
	void (*takes)(void *ctx, u64 features);
};

/* Addresses of one kind that the driver wants to receive. */
struct virtio_net_filter {
	u8 mac[VIRTIO_NET_MACS][ETH_ALEN];
	u32 macs;
	bool all; /* there were more */
};

/* The place in a chain's buffers up to which somebody has come: they are mostly read in order. */
struct virtio_net_cursor {
	const struct guest_mem *mem;
	const struct virtq_buf *buf;
	u16 bufs, at;
	u64 base; /* of buf[at]: bytes in those before it */
};

struct virtio_net {
	struct virtio_device dev;
	struct virtqueue queue[VIRTIO_NET_QUEUES];
	struct virtio_type type;
	struct virtio_net_config config;
	const struct virtio_net_ops *ops;
	void *ctx;              /* of ops */
	unsigned int max_pairs; /* that there are */
	unsigned int pairs;     /* that the driver uses */

	/* The frame that is being sent; held: its sink was busy, and it is offered again at `retry'. */
	bool tx_held;
	unsigned int tx_queue, tx_rounds;
	u64 tx_waiting; /* queues that were kicked meanwhile */
	struct packet tx_packet;
	struct virtio_net_cursor tx_cursor; /* of tx_packet.copy */
	struct vdev_timer retry;
	struct vdev_timer lull; /* when interrupts for what was sent are due at the latest */

	bool mode[VIRTIO_NET_RX_MODES];
	struct virtio_net_filter unicast, multicast;
	u8 flow[VIRTIO_NET_FLOWS]; /* by hash: the pair that has sent last, or NO_PAIR */

	u64 tx_malformed; /* frames not sent: what no driver may ask for */
	u64 rx_filtered, rx_no_room,
		rx_refused; /* dropped: not wanted, no buffers, not agreed to */
	struct virtq_chain tx, rx_first, rx_more, control;
	struct virtq_used_elem used[VIRTQ_MAX_SIZE]; /* of the frame that is being received */
};

/*
 * @mac and @mtu are what the driver is told. @pairs: at most VIRTIO_NET_MAX_PAIRS. @host and @ops stay the
 * caller's. The transport is for the caller to add.
 */
void virtio_net_init(struct virtio_net *n, const struct virtio_host *host, const u8 *mac, u16 mtu,
		     unsigned int pairs, const struct virtio_net_ops *ops, void *ctx);

/* A frame for the guest. The VM's lock is held, as for all that is done to a device. Never PACKET_BUSY. */
enum packet_verdict virtio_net_receive(struct virtio_net *n, const struct packet *packet);

#endif
