/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of lintel.conf that give a VM disks and networks, and what a switch is. */
#include "boot/config.h"
#include "boot/config_keys.h"
#include "lib/print.h"
#include "lib/string.h"

#define refuse(v, ...) config_refuse(v, __VA_ARGS__)

#define RAM_MIN        KIB(4)
#define RATE_MIN       1000ULL
#define RATE_MAX       1000000000000ULL
#define VLAN_MAX       4094 /* IEEE 802.1Q: 4095 is reserved */

/* Does @text begin with @prefix? What follows it, or NULL. */
static char *after(char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) ? NULL : text + len;
}

/* --- disk = KIND:WHAT[,ro] --- */

static bool parse_ram(struct config_value *v, struct disk_config *disk, const char *text)
{
	const char *reason = config_read_size(text, &disk->size);

	if (reason)
		return refuse(v, "%s", reason);
	if (disk->size < RAM_MIN)
		return refuse(v, "too small: expected at least 4K");
	return true;
}

/* A path or the name of a partition. UTF-8 is for the latter; paths become UTF-16 for the firmware. */
static bool parse_what(struct config_value *v, struct disk_config *disk, const char *text)
{
	const char *what = disk->kind == DISK_FILE ? "file:PATH" : "part:LABEL or part:PARTUUID";
	size_t len = strlen(text);

	if (!len)
		return refuse(v, "an empty name: expected %s", what);
	if (len >= sizeof(disk->what))
		return refuse(v, "%zu bytes are too long for a name: expected at most %zu", len,
			      sizeof(disk->what) - 1);
	for (const char *c = text; *c && disk->kind == DISK_FILE; c++) {
		if ((u8)*c >= 0x80)
			return refuse(v, "bad file name: expected ASCII characters");
	}
	memcpy(disk->what, text, len + 1);
	return true;
}

bool config_parse_disk(struct config_value *v)
{
	static const struct {
		const char *prefix;
		enum disk_kind kind;
	} kinds[] = { { "ram:", DISK_RAM }, { "file:", DISK_FILE }, { "part:", DISK_PART } };
	struct disk_config *disk = v->field;
	char *list = v->text;
	char *what = config_next_name(&list), *text = NULL;
	const char *option = config_next_name(&list);

	*disk = (struct disk_config){ .line = v->line };
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds) && !text; i++) {
		disk->kind = kinds[i].kind;
		text = after(what, kinds[i].prefix);
	}
	if (!text)
		return refuse(v, "unknown kind of disk: expected part:NAME, ram:SIZE or file:PATH");
	if (list || (option && strcmp(option, "ro")))
		return refuse(v, "unknown option %.40s: expected ro, or none",
			      list ? list : option);
	disk->read_only = option;
	return disk->kind == DISK_RAM ? parse_ram(v, disk, text) : parse_what(v, disk, text);
}

/* --- addresses --- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* @digits hexadecimal digits at @s and then @end; returns what follows that, or NULL. */
static const char *read_hex(const char *s, unsigned int digits, char end, u32 *value)
{
	*value = 0;
	while (digits--) {
		int digit = hex_digit(*s++);

		if (digit < 0)
			return NULL;
		*value = *value << 4 | (u32)digit;
	}
	if (*s != end)
		return NULL;
	return end ? s + 1 : s;
}

static bool read_mac(const char *s, u8 *mac)
{
	for (unsigned int i = 0; i < 6; i++) {
		u32 byte;

		s = read_hex(s, 2, i == 5 ? 0 : ':', &byte);
		if (!s)
			return false;
		mac[i] = (u8)byte;
	}
	return true;
}

static bool is_zero_mac(const u8 *mac)
{
	static const u8 zero[6];

	return !memcmp(mac, zero, sizeof(zero));
}

static size_t mac_text(const u8 *mac, char *text, size_t size)
{
	return scnprintf(text, size, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
			 mac[3], mac[4], mac[5]);
}

/* --- net = SWITCH[,mac=...][,vlan=N][,rate=N] --- */

static bool parse_mac(struct config_value *v, struct net_config *net, const char *text)
{
	if (!read_mac(text, net->mac))
		return refuse(v,
			      "bad MAC address %.40s: expected six bytes, as in "
			      "02:00:00:00:00:01",
			      text);
	if (net->mac[0] & 1)
		return refuse(v, "%.17s is a multicast address: expected an even first byte", text);
	if (is_zero_mac(net->mac))
		return refuse(v, "a MAC address of zeroes: expected one of a device, as in "
				 "02:00:00:00:00:01");
	net->mac_given = true;
	return true;
}

static bool parse_vlan(struct config_value *v, struct net_config *net, const char *text)
{
	u64 number;
	const char *end = config_read_number(text, &number);

	if (!end || *end || !number || number > VLAN_MAX)
		return refuse(v, "bad VLAN %.40s: expected 1 to %u", text, VLAN_MAX);
	net->vlan = (u16)number;
	return true;
}

/* Bits a second, in powers of 1000 as networks count. */
static bool parse_rate(struct config_value *v, struct net_config *net, const char *text)
{
	u64 number, scale = 0;
	const char *unit = config_read_number(text, &number);

	if (unit && unit[0] && !unit[1]) {
		switch (unit[0] | 0x20) {
		case 'k': scale = 1000; break;
		case 'm': scale = 1000000; break;
		case 'g': scale = 1000000000; break;
		}
	}
	if (!scale)
		return refuse(v,
			      "bad rate %.40s: expected bits a second as a number with K, M or G",
			      text);
	if (number > RATE_MAX / scale || number * scale < RATE_MIN)
		return refuse(v, "bad rate %.40s: expected 1K to 1000G", text);
	net->rate = number * scale;
	return true;
}

static bool parse_net_options(struct config_value *v, struct net_config *net, char *list)
{
	static const struct {
		const char *prefix;
		bool (*parse)(struct config_value *v, struct net_config *net, const char *text);
	} options[] = { { "mac=", parse_mac }, { "vlan=", parse_vlan }, { "rate=", parse_rate } };
	bool seen[ARRAY_SIZE(options)] = { false };
	char *option;

	while ((option = config_next_name(&list))) {
		const char *text = NULL;
		unsigned int i;

		for (i = 0; i < ARRAY_SIZE(options); i++) {
			text = after(option, options[i].prefix);
			if (text)
				break;
		}
		if (!text)
			return refuse(
				v, "unknown option %.40s: expected mac=, vlan= or rate=", option);
		if (seen[i])
			return refuse(v, "%s given twice", options[i].prefix);
		seen[i] = true;
		if (!options[i].parse(v, net, text))
			return false;
	}
	return true;
}

bool config_parse_net(struct config_value *v)
{
	struct net_config *net = v->field;
	char *list = v->text;
	const char *on = config_next_name(&list);

	*net = (struct net_config){ .line = v->line };
	if (!*on)
		return refuse(v, "an empty name: expected SWITCH[,mac=..][,vlan=N][,rate=N]");
	if (str_copy(net->on, on, sizeof(net->on)) >= sizeof(net->on))
		return refuse(v, "the switch's name is too long: expected at most %d characters",
			      CONFIG_NAME_LEN - 1);
	return parse_net_options(v, net, list);
}

/* --- [switch NAME] --- */

/* [SSSS:]BB:DD.F, as lspci has it; becomes text in one way. */
static bool read_pci(const char *s, char *text, size_t size)
{
	u32 segment = 0, bus, slot, function;
	const char *rest = read_hex(s, 4, ':', &segment);

	if (!rest)
		rest = s;
	rest = read_hex(rest, 2, ':', &bus);
	if (rest)
		rest = read_hex(rest, 2, '.', &slot);
	if (!rest || !read_hex(rest, 1, 0, &function) || slot > 31 || function > 7)
		return false;
	if (segment)
		scnprintf(text, size, "%04x:%02x:%02x.%u", segment, bus, slot, function);
	else
		scnprintf(text, size, "%02x:%02x.%u", bus, slot, function);
	return true;
}

bool config_parse_uplink(struct config_value *v)
{
	u8 mac[6];

	if (!strcmp(v->text, "auto")) {
		str_copy(v->field, v->text, v->key->size);
		return true;
	}
	if (read_mac(v->text, mac) && !(mac[0] & 1) && !is_zero_mac(mac)) {
		mac_text(mac, v->field, v->key->size);
		return true;
	}
	if (read_pci(v->text, v->field, v->key->size))
		return true;
	return refuse(v, "no network card's name: expected auto, a PCI address as in 00:02.0, or a "
			 "MAC address");
}

/* --- what no line shows alone --- */

void config_check_switches(struct config *cfg)
{
	for (unsigned int i = 0; i < cfg->switches; i++) {
		struct switch_config *sw = &cfg->sw[i];

		for (unsigned int j = 0; j < i && sw->uplink[0] && !sw->bad; j++) {
			const struct switch_config *other = &cfg->sw[j];

			if (!strcmp(sw->uplink, other->uplink))
				config_error(
					cfg, &sw->bad, sw->uplink_line,
					"uplink = %s: it is [switch %s]'s already, by line %u: "
					"expected another one",
					sw->uplink, other->name, other->uplink_line);
		}
	}
}

static void check_switch_of(struct config *cfg, struct vm_config *vm, struct net_config *net)
{
	for (unsigned int i = 0; i < cfg->switches; i++) {
		if (strcmp(cfg->sw[i].name, net->on))
			continue;
		net->index = i;
		if (cfg->sw[i].bad)
			vm->bad = true; /* which has been said */
		return;
	}
	config_vm_error(cfg, vm, net->line,
			"net = %s: there is no such switch: expected a section [switch %s]",
			net->on, net->on);
}

/*
 * An address that is the same at each start: of the VM's name and the device's number, by FNV-1a, and
 * marked as locally administered.
 */
static void make_mac(const char *name, unsigned int n, u8 *mac)
{
	u64 hash = 0xcbf29ce484222325;

	for (; *name; name++)
		hash = (hash ^ (u8)*name) * 0x100000001b3;
	hash = (hash ^ (0x100 + n)) * 0x100000001b3;
	mac[0] = 0x02;
	for (unsigned int i = 1; i < 6; i++)
		mac[i] = (u8)(hash >> (8 * i + 16));
}

/* Nobody before net @n of @vm may have its address. */
static void check_mac(struct config *cfg, struct vm_config *vm, unsigned int n)
{
	const struct net_config *net = &vm->net[n];

	for (const struct vm_config *other = cfg->vm; other <= vm; other++) {
		for (unsigned int i = 0; i < (other == vm ? n : other->nets); i++) {
			char text[18];

			if (memcmp(other->net[i].mac, net->mac, sizeof(net->mac)))
				continue;
			mac_text(net->mac, text, sizeof(text));
			config_vm_error(cfg, vm, net->line,
					"net = %s: %s's MAC address %s is the one of line %u: "
					"expected another one",
					net->on, vm->name, text, other->net[i].line);
			return;
		}
	}
}

/* A partition that somebody writes to is nobody else's. (By another name it is found in the end: vmm/vm/disks.c.) */
static void check_part(struct config *cfg, struct vm_config *vm, unsigned int n)
{
	const struct disk_config *disk = &vm->disk[n];

	for (const struct vm_config *other = cfg->vm; other <= vm; other++) {
		for (unsigned int i = 0; i < (other == vm ? n : other->disks); i++) {
			const struct disk_config *o = &other->disk[i];

			if (o->kind != DISK_PART || strcmp(o->what, disk->what) ||
			    (o->read_only && disk->read_only))
				continue;
			config_vm_error(cfg, vm, disk->line,
					"disk = part:%s: it is %s's already, by line %u: expected "
					"another one, or ,ro in both",
					disk->what, other->name, o->line);
			return;
		}
	}
}

void config_check_devices(struct config *cfg, struct vm_config *vm)
{
	for (unsigned int i = 0; i < vm->disks; i++) {
		if (vm->disk[i].kind == DISK_PART)
			check_part(cfg, vm, i);
	}
	for (unsigned int i = 0; i < vm->nets; i++) {
		if (!vm->net[i].mac_given)
			make_mac(vm->name, i, vm->net[i].mac);
		check_switch_of(cfg, vm, &vm->net[i]);
		check_mac(cfg, vm, i);
	}
}
