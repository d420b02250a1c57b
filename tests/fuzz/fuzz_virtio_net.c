/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as guest memory, as rings and headers of two virtio-net devices on one switch with an uplink, and
 * as what comes from the wire: no access out of bounds, no loop without end, and no frame longer than it may
 * be; what leaves the machine has its sender's address.
 *
 * The input: features of both, an image of the rings if bit 30 is set, and a script of 8-byte steps.
 */
#include "tests/fuzz/virtio_rig.h"
#include "virtio/virtio_net.h"
#include "vswitch/uplink.h"

#define RAM_SIZE   0x20000
#define IMAGE_SIZE 0x800 /* of it, at 0: both devices' rings */
#define QUEUES     3

static const struct layout layout[2] = {
	{ QUEUES, 8, 0x000, 0x140, 0x80, 0xc0 },
	{ QUEUES, 8, 0x400, 0x140, 0x80, 0xc0 },
};
static struct vswitch sw;
static struct vswitch_uplink up;

static struct end {
	struct virtio_net net;
	struct virtio_pci pci;
	struct vswitch_port port;
	struct vswitch_transfer transfer;
	unsigned int busy;
} end[2];

static u64 get_tsc(void)
{
	return now;
}

static enum packet_verdict on_receive(void *ctx, const struct packet *packet)
{
	struct end *e = ctx;

	if (e->busy) {
		e->busy--;
		return PACKET_BUSY;
	}
	return virtio_net_receive(&e->net, packet);
}

static enum packet_verdict on_send(void *ctx, const struct packet *packet)
{
	struct end *e = ctx;
	enum packet_verdict verdict = vswitch_send(&e->port, packet, now, &e->transfer);

	if (verdict != PACKET_BUSY)
		memset(&e->transfer, 0, sizeof(e->transfer));
	return verdict;
}

static void on_give_up(void *ctx)
{
	struct end *e = ctx;

	vswitch_give_up(&e->port, &e->transfer);
}

static void on_takes(void *ctx, u64 features)
{
	struct end *e = ctx;

	vswitch_set_offloads(&e->port,
			     (features & VIRTIO_NET_F_GUEST_CSUM ? VSWITCH_CSUM : 0) |
				     (features & VIRTIO_NET_F_GUEST_TSO4 ? VSWITCH_TSO4 : 0));
}

static const struct virtio_net_ops ops = { on_send, on_give_up, on_takes };

static bool on_transmit(void *driver, const void *data, u32 len)
{
	const u8 *frame = data;

	(void)driver;
	require(len >= ETH_MIN_FRAME && len <= ETH_MTU + ETH_HEADER + ETH_VLAN);
	require(frame[6] == 2 && !frame[10] && frame[11] <= 1);
	return frame[len - 1] != 0xee;
}

static void start(u32 features_a, u32 features_b)
{
	memset(&sw, 0, sizeof(sw));
	memset(&up, 0, sizeof(up));
	vswitch_init(&sw, TSC_HZ);
	for (unsigned int i = 0; i < 2; i++) {
		struct end *e = &end[i];
		struct vswitch_port_config config = { .mac = { 2, 0, 0, 0, 0, (u8)i },
						      .vlan = (u16)(features_a >> 31 ? 5 : 0) };
		struct packet_sink sink = { on_receive, e };

		memset(e, 0, sizeof(*e));
		require(!vswitch_add(&sw, &e->port, &config, &sink));
		vswitch_set_up(&e->port, true);
		virtio_net_init(&e->net, &host, config.mac, ETH_MTU, 1, &ops, e);
		virtio_pci_init(&e->pci, &e->net.dev);
		bring_up(&e->pci, i ? features_b : features_a, &layout[i]);
	}
	up.transmit = on_transmit;
	up.now = get_tsc;
	up.max_frame = ETH_MTU + ETH_HEADER;
	require(!vswitch_add_uplink(&sw, &up));
}

static void poke(gpa_t gpa, const void *data, size_t len)
{
	require(guest_write(&mem, gpa, data, len));
}

/* What a good driver would do in queue @q of device @i, since rings that are right are rare among any bytes. */
static void add(unsigned int i, unsigned int q, gpa_t gpa, u32 len, u16 flags)
{
	gpa_t base = layout[i].base + layout[i].stride * q;
	u16 idx = end[i].net.queue[q].last_avail, slot = idx & 7;
	struct virtq_desc desc = { gpa, len, flags, 0 };

	poke(base + sizeof(desc) * slot, &desc, sizeof(desc));
	poke(base + layout[i].avail + 4 + 2u * slot, &slot, 2);
	idx++;
	poke(base + layout[i].avail + 2, &idx, 2);
}

#define FRAMES 0x4000u /* two areas of RAM: to send from, to receive to */
#define ROOM   0x12000u

/* A header and a frame of @size bytes of the input, lengthened by zeroes, from this device to the other or all. */
static void post(unsigned int i, const struct step *s, const u8 *rest, size_t size)
{
	u8 addresses[12] = { 2, 0, 0, 0, 0, (u8)!i, 2, 0, 0, 0, 0, (u8)i };

	poke(FRAMES, rest, size);
	if (s->size & 1)
		memset(addresses, 0xff, 6);
	poke(FRAMES + sizeof(struct virtio_net_hdr), addresses, sizeof(addresses));
	add(i, 1, FRAMES, (u32)size + (s->off & 0x7fff), 0);
	kick(&end[i].pci, 1);
}

static void do_step(const struct step *s, const u8 *rest, size_t size)
{
	struct end *e = &end[s->where >> 7];
	u8 width = (u8)(1 << s->size % 4), byte = (u8)s->value;
	u8 *frame;

	switch ((s->where & 0x7f) % 12) {
	case 0: write_register(&e->pci, s->off & 0x7ff, width, s->value); break;
	case 1: write_register(&e->pci, s->off & 0x3f, width, s->value); break;
	case 2: (void)virtio_pci_register_mmio.read(&e->pci, s->off & 0x7ff, width); break;
	case 3:
	case 4: kick(&e->pci, s->value % QUEUES); break;
	case 5: pass(TSC_HZ / 10000); break;
	case 6: e->busy = s->value & 0x3ff; break;
	case 7:
		frame = malloc(size);
		memcpy(frame, rest, size);
		if (size > 11 && s->off & 1)
			frame[11] = 9; /* nobody's */
		vswitch_nic_receive(&up, frame, (u32)size);
		free(frame);
		break;
	case 8: bring_up(&e->pci, s->value, &layout[s->where >> 7]); break;
	case 9: post(s->where >> 7, s, rest, size); break;
	case 10: add(s->where >> 7, 0, ROOM, s->off & 0x7fff, VIRTQ_DESC_WRITE); break;
	default:
		if (s->size & 4)
			(void)!guest_write(&mem, s->off % IMAGE_SIZE, &s->value, 4);
		else
			(void)!guest_write(&mem, s->off % (2 * IMAGE_SIZE), &byte, 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u8 *ram = machine_start(RAM_SIZE, TSC_HZ);
	u32 features[2] = { 0 };
	struct step step;

	if (size > sizeof(features)) {
		memcpy(features, data, sizeof(features));
		data += sizeof(features), size -= sizeof(features);
	}
	if (features[0] & BIT(30) && size > IMAGE_SIZE) {
		memcpy(ram, data, IMAGE_SIZE);
		data += IMAGE_SIZE, size -= IMAGE_SIZE;
	}
	start(features[0], features[1]);
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		do_step(&step, data, MIN(size, (size_t)200));
	}
	free(ram);
	return 0;
}
