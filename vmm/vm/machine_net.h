/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's network devices: one for each `net' of its configuration, in PCI slots 6 to 9. */
#ifndef VMM_VM_MACHINE_NET_H
#define VMM_VM_MACHINE_NET_H

#include "virtio/virtio_net.h"
#include "vmm/vm/virtio_slot.h"

struct vm;

/* In memory of the VM's own. */
struct net_card {
	struct virtio_slot slot;
	struct virtio_net net;
};

/* Make the devices, plug them in and connect them with their ports. -ENOMEM. */
int machine_net_init(struct vm *vm) __must_check;

/* Before the VM's memory is given back: nobody reaches its devices any more. */
void machine_net_end(struct vm *vm);

/* The sink of a port, the struct net_port. */
enum packet_verdict machine_net_receive(void *port, const struct packet *packet);

/* Print what each device has sent and received, and what was dropped. */
void machine_net_dump(const struct vm *vm);

#endif
