/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/networks.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/vm/machine_net.h"
#include "vmm/host/mem.h"
#include "vmm/vm/vm.h"

#define PORTS_TEXT 200 /* characters of a line that names ports: what is more is counted */

struct network {
	const struct switch_config *config;
	struct vswitch *sw; /* NULL: no memory was left for it */
	struct vswitch_uplink *uplink;
	struct nic *nic;
};

static struct network networks[CONFIG_MAX_SWITCHES];
static struct net_port *ports[VM_MAX][CONFIG_MAX_NETS];

static void *pages(u64 bytes)
{
	hpa_t hpa = mem_alloc(bytes, PAGE_SIZE, MEM_OWNER_VMM);

	if (hpa)
		memset((void *)(uintptr_t)hpa, 0, bytes);
	return (void *)(uintptr_t)hpa;
}

/* --- uplinks --- */

/* A card has one user: two switches on it would be one, with all VLANs of both. */
static const struct network *user_of(const struct nic *nic)
{
	for (unsigned int i = 0; i < CONFIG_MAX_SWITCHES; i++) {
		if (networks[i].nic == nic)
			return &networks[i];
	}
	return NULL;
}

static void connect(struct network *n, struct nic *nic)
{
	struct vswitch_uplink *up = pages(sizeof(*up));

	if (!up) {
		pr_err("switch %s: no memory for its uplink\n", n->config->name);
		return;
	}
	up->transmit = nic->transmit;
	up->driver = nic->driver;
	up->now = rdtsc;
	up->max_frame = nic->mtu + (u32)ETH_HEADER;
	if (vswitch_add_uplink(n->sw, up)) {
		pr_err("switch %s: no port left for its uplink\n", n->config->name);
		return;
	}
	n->uplink = up;
	n->nic = nic;
	nic->user = up;
	nic->receive = vswitch_nic_receive;
}

static void find_uplink(struct network *n)
{
	const struct switch_config *c = n->config;
	const struct network *user;
	struct nic *nic;

	if (!c->uplink[0])
		return;
	nic = networks_find_nic(c->uplink);
	user = nic ? user_of(nic) : NULL;
	if (!nic)
		pr_err("lintel.conf:%u: uplink = %s: there is no such network card: switch %s has "
		       "no uplink\n",
		       c->uplink_line, c->uplink, c->name);
	else if (user)
		pr_err("lintel.conf:%u: uplink = %s: %s is the uplink of switch %s already: "
		       "switch %s has none\n",
		       c->uplink_line, c->uplink, nic->name, user->config->name, c->name);
	else
		connect(n, nic);
}

/* --- ports --- */

static void add_port(const struct vm_config *vm, unsigned int id, unsigned int number,
		     const struct network *n)
{
	const struct net_config *c = &vm->net[number];
	struct vswitch_port_config config = { .vlan = c->vlan, .rate = c->rate };
	struct net_port *port = pages(sizeof(*port));
	struct packet_sink sink = { machine_net_receive, port };

	if (!port || !n->sw) {
		pr_err("vm %s: no memory for its port of switch %s\n", vm->name, c->on);
		return;
	}
	port->vm = &vmm.vm[id];
	port->config = c;
	memcpy(config.mac, c->mac, sizeof(config.mac));
	if (vswitch_add(n->sw, &port->port, &config, &sink))
		pr_err("lintel.conf:%u: net = %s: another device there has its MAC address\n",
		       c->line, c->on);
	else
		ports[id][number] = port;
}

static void add_ports(const struct config *config)
{
	for (unsigned int id = 0; id < config->vms; id++) {
		const struct vm_config *vm = &config->vm[id];

		for (unsigned int i = 0; i < vm->nets; i++) {
			if (vm->net[i].index < config->switches)
				add_port(vm, id, i, &networks[vm->net[i].index]);
		}
	}
}

struct net_port *networks_port(unsigned int vm, unsigned int n)
{
	return ports[vm][n];
}

const char *networks_switch_name(const struct net_port *port)
{
	return networks[port->config->index].config->name;
}

/* --- what there is --- */

static void print_network(const struct network *n, const struct config *config)
{
	char text[PORTS_TEXT + CONFIG_NAME_LEN];
	unsigned int more = 0;
	size_t len = 0;

	text[0] = 0;
	for (unsigned int id = 0; id < config->vms; id++) {
		for (unsigned int i = 0; i < CONFIG_MAX_NETS; i++) {
			const struct net_port *port = ports[id][i];

			if (!port || port->port.sw != n->sw)
				continue;
			if (len >= PORTS_TEXT)
				more++;
			else
				len += scnprintf(text + len, sizeof(text) - len, "%s%s.%u",
						 len ? ", " : "", config->vm[id].name, i);
		}
	}
	if (more)
		pr_info("switch %s: uplink %s, ports: %s and %u more\n", n->config->name,
			n->nic ? n->nic->name : "none", text, more);
	else
		pr_info("switch %s: uplink %s, ports: %s\n", n->config->name,
			n->nic ? n->nic->name : "none", len ? text : "none");
}

void networks_init(const struct config *config)
{
	for (unsigned int i = 0; i < config->switches; i++) {
		struct network *n = &networks[i];

		n->config = &config->sw[i];
		n->sw = pages(sizeof(*n->sw));
		if (n->sw)
			vswitch_init(n->sw, vmm.tsc_hz);
	}
	add_ports(config);
	for (unsigned int i = 0; i < config->switches; i++) {
		if (!networks[i].sw)
			continue;
		find_uplink(&networks[i]);
		print_network(&networks[i], config);
	}
}
