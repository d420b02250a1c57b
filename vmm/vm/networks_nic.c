/* SPDX-License-Identifier: BSD-2-Clause */
/* Which network card an uplink is. */
#include "lib/print.h"
#include "lib/string.h"
#include "vmm/host/hostdev.h"
#include "vmm/vm/networks.h"

#define MAC_TEXT 18 /* "52:54:00:12:34:56" */

static bool has_mac(const struct nic *nic, const char *which)
{
	char text[MAC_TEXT];

	scnprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1],
		  nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		char c = which[i];

		if (text[i] != (c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c))
			return false;
	}
	return !which[sizeof(text) - 1];
}

/* A driver's name for its card ends with the address: "e1000 00:02.0". */
static bool is_at(const struct nic *nic, const char *which)
{
	const char *space = strchr(nic->name, ' ');

	return space && !strcmp(space + 1, which);
}

struct nic *networks_find_nic(const char *which)
{
	struct nic *nic;

	for (unsigned int i = 0; (nic = hostdev_nic(i)); i++) {
		if (!strcmp(which, "auto") || has_mac(nic, which) || is_at(nic, which))
			return nic;
	}
	return NULL;
}
