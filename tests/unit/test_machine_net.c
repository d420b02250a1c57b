/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a VM's cards are reached by whoever holds no lock of it or his own, and by nobody once it has ended. */
#include "tests/unit/vcpu_rig.h"
#include "vmm/vm/machine_net.h"
#include "vmm/vm/networks.h"

static struct config config;
static struct nic card;
static const char *asked;
static unsigned int transmitted;

/* In place of vmm/vm/networks_nic.c. */
struct nic *networks_find_nic(const char *which)
{
	asked = which;
	return strcmp(which, "none") ? &card : NULL;
}

static bool on_transmit(void *driver, const void *data, u32 len)
{
	(void)data;
	assert_ptr_equal(driver, &card);
	assert_int_equal(len, 60);
	transmitted++;
	return true;
}

static void add_net(unsigned int i, const char *on, unsigned int index, u8 last)
{
	struct net_config *c = &rig_config.net[i];

	*c = (struct net_config){ .index = index, .mac = { 2, 0, 0, 0, 0, last }, .line = 10 + i };
	str_copy(c->on, on, sizeof(c->on));
}

static void add_switch(const char *name, const char *uplink)
{
	struct switch_config *s = &config.sw[config.switches++];

	*s = (struct switch_config){ .uplink_line = 20 + config.switches };
	str_copy(s->name, name, sizeof(s->name));
	str_copy(s->uplink, uplink, sizeof(s->uplink));
}

/* Once for all tests: networks are for ever. */
static int start(void **state)
{
	const char *text;

	(void)state;
	rig_start(NULL);
	card = (struct nic){
		.name = "fake 00:02.0", .mtu = 1500, .driver = &card, .transmit = on_transmit
	};
	add_switch("lan0", "auto");
	add_switch("lan1", "");
	add_switch("lan2", "none");
	add_switch("lan3", "00:02.0");
	add_net(0, "lan0", 0, 1);
	add_net(1, "lan0", 0, 2);
	add_net(2, "lan1", 1, 1);
	add_net(3, "lan1", 1, 1);
	rig_config.nets = 4;
	config.vm[0] = rig_config;
	config.vms = 1;
	capture_start();
	networks_init(&config);
	text = capture_text();
	assert_non_null(strstr(text, "switch lan0: uplink fake 00:02.0, ports: rig.0, rig.1\n"));
	assert_non_null(strstr(text, "switch lan1: uplink none, ports: rig.2\n"));
	assert_non_null(
		strstr(text, "lintel.conf:13: net = lan1: another device there has its MAC"));
	assert_non_null(strstr(text,
			       "lintel.conf:23: uplink = none: there is no such network card: "
			       "switch lan2 has no uplink\n"));
	assert_non_null(strstr(text,
			       "lintel.conf:24: uplink = 00:02.0: fake 00:02.0 is the uplink of "
			       "switch lan0 already: switch lan3 has none\n"));
	capture_stop();
	assert_int_equal(machine_net_init(rig_vm), 0);
	return 0;
}

static struct net_port *port(unsigned int i)
{
	return networks_port(0, i);
}

static struct packet frame_to(u8 last, u8 from)
{
	static u8 frame[60];
	struct packet p;

	memset(frame, 0, sizeof(frame));
	frame[0] = frame[6] = 2;
	frame[5] = last;
	frame[11] = from;
	packet_from_buffer(&p, frame, sizeof(frame));
	return p;
}

/* Claim: each `net' is a card in its slot, with its address. */
static void cards(void **state)
{
	(void)state;
	assert_non_null(port(2)->card);
	assert_null(port(3));
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(port(i)->card->slot.number, 6 + i);
		assert_memory_equal(port(i)->card->net.config.mac, rig_config.net[i].mac, 6);
	}
}

/* Claim: another CPU that uses the VM's devices is not waited for. */
static void tries(void **state)
{
	struct packet p = frame_to(1, 9);

	(void)state;
	spin_lock(&rig_vm->lock);
	assert_int_equal(machine_net_receive(port(0), &p), PACKET_BUSY);
	assert_int_equal(port(0)->card->net.rx_no_room, 0);
	spin_unlock(&rig_vm->lock);
	assert_int_equal(machine_net_receive(port(0), &p), PACKET_DROPPED);
	assert_int_equal(port(0)->card->net.rx_no_room, 1);
	assert_true(spin_trylock(&rig_vm->lock));
	assert_false(spin_trylock(&rig_vm->lock));
	spin_unlock(&rig_vm->lock);
}

/* Claim: who sends to another card of the same VM holds the lock, and does not wait for himself. */
static void same_vm(void **state)
{
	struct packet p = frame_to(2, 1);
	struct virtio_net *net = &port(0)->card->net;

	(void)state;
	spin_lock(&rig_vm->lock);
	assert_int_equal(net->ops->send(net->ctx, &p), PACKET_TAKEN);
	assert_false(spin_trylock(&rig_vm->lock));
	spin_unlock(&rig_vm->lock);
	assert_int_equal(port(1)->card->net.rx_no_room, 1);
	assert_false(port(0)->transfer.begun);
}

/* Claim: the machine's card is where unknown addresses are, and what it receives gets here. */
static void uplink(void **state)
{
	struct packet p = frame_to(77, 1);
	struct virtio_net *net = &port(0)->card->net;
	u64 before = net->rx_no_room;

	(void)state;
	spin_lock(&rig_vm->lock);
	assert_int_equal(net->ops->send(net->ctx, &p), PACKET_TAKEN);
	spin_unlock(&rig_vm->lock);
	assert_int_equal(transmitted, 1);
	p = frame_to(1, 78);
	card.receive(card.user, packet_buffer(&p), p.len);
	assert_int_equal(net->rx_no_room, before + 1);
}

/* Claim: once its VM has ended a port is there, and nobody behind it; then somebody else is. */
static void ends(void **state)
{
	struct packet p = frame_to(1, 9);

	(void)state;
	capture_start();
	machine_net_dump(rig_vm);
	assert_non_null(strstr(capture_text(), "vm rig: net 0: lan0: sent 2 frames, 120 bytes; "
					       "received 0, 0 bytes\n"));
	assert_non_null(strstr(capture_text(), "vm rig: net 0: dropped: 2 no buffer\n"));
	capture_stop();
	machine_net_end(rig_vm);
	assert_null(port(0)->card);
	assert_int_equal(machine_net_receive(port(0), &p), PACKET_DROPPED);
	card.receive(card.user, packet_buffer(&p), p.len);
	assert_true(spin_trylock(&rig_vm->lock));
	spin_unlock(&rig_vm->lock);
	capture_start();
	machine_net_dump(rig_vm);
	assert_string_equal(capture_text(), "");
	capture_stop();
	machine_net_end(rig_vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cards),  cmocka_unit_test(tries), cmocka_unit_test(same_vm),
		cmocka_unit_test(uplink), cmocka_unit_test(ends),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
