/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual switches that the configuration names, with a port for each network device of each VM, and the
 * network cards behind them. They are there from the start to the end of the machine.
 */
#ifndef VMM_VM_NETWORKS_H
#define VMM_VM_NETWORKS_H

#include "drivers/hostdev.h"
#include "vmm/config.h"
#include "vswitch/uplink.h"

struct net_card;
struct vm;

/* The port of one device, whether its VM is there or not. */
struct net_port {
	struct vswitch_port port;
	struct vswitch_transfer transfer; /* of the frame that the device sends; under vm->lock */
	struct vm *vm;
	const struct net_config *config;
	struct net_card *card; /* NULL: the VM is not there; under vm->lock */
};

/*
 * Build them, each with its ports and its uplink, and say what there is. What is wrong with a line is said, and
 * what it asks for is not there. After vmm.vm is filled and the cards are known, before a VM starts.
 */
void networks_init(const struct config *config);

/* The port of device @n of VM @vm, or NULL when there is none. */
struct net_port *networks_port(unsigned int vm, unsigned int n);

/* Of which switch, as the user calls it. */
const char *networks_switch_name(const struct net_port *port);

/*
 * The first network card ("auto"), the one at a PCI address ("00:02.0") or with a MAC address; NULL: there is
 * none.
 */
struct nic *networks_find_nic(const char *which);

#endif
