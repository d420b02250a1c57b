/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/cpu.h"
#include "vmm/vm/machine.h"
#include "vmm/vm/machine_net.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "vmm/host/mem.h"
#include "vmm/vm/networks.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"

#define NET_SLOT 6
#define NET_MTU  ETH_MTU

typedef unsigned long long ull;

/* Which CPU sends for the VM: it holds the VM's lock, and may find it its own way round a switch. */
static _Atomic(struct cpu *) sender[VM_MAX];

/*
 * Whoever sends holds his VM's lock, and two of them could wait for each other for ever: nobody waits for the
 * receiver's. The card is looked at with the lock held, so that it does not go away meanwhile.
 */
enum packet_verdict machine_net_receive(void *ctx, const struct packet *packet)
{
	struct net_port *port = ctx;
	struct vm *vm = port->vm;
	struct cpu *holder = atomic_load_explicit(&sender[vm->id], memory_order_relaxed);
	bool ours = holder && holder == this_cpu();
	enum packet_verdict verdict = PACKET_DROPPED;

	if (!ours && !spin_trylock(&vm->lock))
		return PACKET_BUSY;
	/* A VM that has stopped is told nothing more: life.c waits for its vCPUs, which nobody may wake again. */
	if (port->card && likely(vm->state == VM_RUNNING))
		verdict = virtio_net_receive(&port->card->net, packet);
	if (!ours)
		spin_unlock(&vm->lock);
	return verdict;
}

static enum packet_verdict on_send(void *ctx, const struct packet *packet)
{
	struct net_port *port = ctx;
	enum packet_verdict verdict;

	atomic_store_explicit(&sender[port->vm->id], this_cpu(), memory_order_relaxed);
	verdict = vswitch_send(&port->port, packet, rdtsc(), &port->transfer);
	atomic_store_explicit(&sender[port->vm->id], NULL, memory_order_relaxed);
	if (verdict != PACKET_BUSY)
		port->transfer = (struct vswitch_transfer){ .begun = false };
	return verdict;
}

static void on_give_up(void *ctx)
{
	struct net_port *port = ctx;

	vswitch_give_up(&port->port, &port->transfer);
}

static void on_takes(void *ctx, u64 features)
{
	struct net_port *port = ctx;
	unsigned int offloads = 0;

	if (features & VIRTIO_NET_F_GUEST_CSUM)
		offloads |= VSWITCH_CSUM;
	if (features & VIRTIO_NET_F_GUEST_TSO4)
		offloads |= VSWITCH_TSO4;
	if (features & VIRTIO_NET_F_GUEST_TSO6)
		offloads |= VSWITCH_TSO6;
	if (features & VIRTIO_NET_F_GUEST_ECN)
		offloads |= VSWITCH_ECN;
	vswitch_set_offloads(&port->port, offloads);
}

static const struct virtio_net_ops net_ops = {
	.send = on_send,
	.give_up = on_give_up,
	.takes = on_takes,
};

static void connect(struct net_port *port, struct net_card *card)
{
	struct vm *vm = port->vm;

	spin_lock(&vm->lock);
	port->card = card;
	port->transfer = (struct vswitch_transfer){ .begun = false };
	spin_unlock(&vm->lock);
	vswitch_set_offloads(&port->port, 0);
	vswitch_set_up(&port->port, true);
}

static int plug_card(struct vm *vm, unsigned int number, struct net_port *port)
{
	static const char *const names[CONFIG_MAX_NETS] = { "virtio-net", "virtio-net.1",
							    "virtio-net.2", "virtio-net.3" };
	hpa_t hpa = mem_alloc(sizeof(struct net_card), PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));
	struct net_card *card = (void *)(uintptr_t)hpa;

	if (!card)
		return -ENOMEM;
	virtio_slot_init(&card->slot, vm, NET_SLOT + number);
	virtio_net_init(&card->net, &card->slot.host, port->config->mac, NET_MTU, vm->config->cpus,
			&net_ops, port);
	virtio_slot_plug(&card->slot, &card->net.dev, names[number]);
	connect(port, card);
	machine_polls(vm, &card->net.dev);
	return 0;
}

int machine_net_init(struct vm *vm)
{
	int err = 0;

	for (unsigned int i = 0; i < vm->config->nets && !err; i++) {
		struct net_port *port = networks_port(vm->id, i);

		if (port)
			err = plug_card(vm, i, port);
	}
	return err;
}

void machine_net_end(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->config->nets; i++) {
		struct net_port *port = networks_port(vm->id, i);

		if (!port)
			continue;
		vswitch_set_up(&port->port, false);
		spin_lock(&vm->lock);
		port->card = NULL;
		spin_unlock(&vm->lock);
	}
}

/* --- what happened --- */

static void dump_drops(const struct vm *vm, unsigned int number, const struct net_port *port)
{
	const struct virtio_net *net = &port->card->net;
	const struct {
		u64 count;
		const char *why;
	} drops[] = {
		{ vswitch_counted(&port->port, VSWITCH_SPOOFED), "spoofed" },
		{ vswitch_counted(&port->port, VSWITCH_MALFORMED) + net->tx_malformed,
		  "malformed" },
		{ vswitch_counted(&port->port, VSWITCH_LIMITED), "over rate" },
		{ vswitch_counted(&port->port, VSWITCH_GIVEN_UP), "receiver busy" },
		{ net->rx_no_room, "no buffer" },
		{ net->rx_filtered, "not wanted" },
		{ net->rx_refused, "not agreed to" },
	};
	char text[160];
	size_t len = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(drops); i++) {
		if (drops[i].count)
			len += scnprintf(text + len, sizeof(text) - len, "%s%llu %s",
					 len ? ", " : "", (ull)drops[i].count, drops[i].why);
	}
	if (len)
		pr_info("vm %s: net %u: dropped: %s\n", vm->config->name, number, text);
}

void machine_net_dump(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->config->nets; i++) {
		const struct net_port *port = networks_port(vm->id, i);
		const struct vswitch_port *p;

		if (!port || !port->card)
			continue;
		p = &port->port;
		pr_info("vm %s: net %u: %s: sent %llu frames, %llu bytes; received %llu, %llu "
			"bytes\n",
			vm->config->name, i, networks_switch_name(port),
			(ull)vswitch_counted(p, VSWITCH_SENT),
			(ull)vswitch_counted(p, VSWITCH_SENT_BYTES),
			(ull)vswitch_counted(p, VSWITCH_RECEIVED),
			(ull)vswitch_counted(p, VSWITCH_RECEIVED_BYTES));
		dump_drops(vm, i, port);
	}
}
