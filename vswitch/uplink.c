/* SPDX-License-Identifier: BSD-2-Clause */
#include "vswitch/uplink.h"
#include "lib/string.h"

static enum packet_verdict transmit(const struct vswitch_uplink *up, const void *frame, u32 len)
{
	return up->transmit(up->driver, frame, len) ? PACKET_TAKEN : PACKET_DROPPED;
}

/* The switch has left no offloads in it, and put a tag in where one belongs. */
static enum packet_verdict receive(void *ctx, const struct packet *packet)
{
	struct vswitch_uplink *up = ctx;
	const void *whole = packet_buffer(packet);
	u32 len = MAX(packet->len, (u32)ETH_MIN_FRAME);
	bool tagged = be16_get(packet->head + ETH_TYPE) == ETH_TYPE_VLAN;
	enum packet_verdict verdict;

	if (packet->len > MIN(up->max_frame + (tagged ? ETH_VLAN : 0u), GSO_FRAME))
		return PACKET_DROPPED;
	if (whole && packet->len >= ETH_MIN_FRAME)
		return transmit(up, whole, packet->len);
	spin_lock(&up->lock); /* for as long as a copy takes */
	packet_copy(packet, 0, up->frame, packet->len);
	memset(up->frame + packet->len, 0, len - packet->len);
	verdict = transmit(up, up->frame, len);
	spin_unlock(&up->lock);
	return verdict;
}

int vswitch_add_uplink(struct vswitch *sw, struct vswitch_uplink *up)
{
	const struct vswitch_port_config config = { .trunk = true };
	const struct packet_sink sink = { receive, up };
	int err = vswitch_add(sw, &up->port, &config, &sink);

	if (!err)
		vswitch_set_up(&up->port, true);
	return err;
}

/* Nobody waits for a receiver: it is another CPU's for a moment, or the frame is lost as on a full wire. */
void vswitch_nic_receive(void *uplink, const void *frame, u32 len)
{
	struct vswitch_uplink *up = uplink;
	struct vswitch_transfer t = { .begun = false };
	struct packet packet;

	if (len < ETH_HEADER || len > PACKET_MAX)
		return;
	packet_from_buffer(&packet, frame, len);
	for (unsigned int i = 0; i < UPLINK_TRIES; i++) {
		if (vswitch_send(&up->port, &packet, up->now(), &t) != PACKET_BUSY)
			return;
		__asm__ volatile("pause");
	}
	vswitch_give_up(&up->port, &t);
}
