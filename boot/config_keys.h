/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of lintel.conf as tables, and how a value becomes a field. Used by boot/config.c only. */
#ifndef BOOT_CONFIG_KEYS_H
#define BOOT_CONFIG_KEYS_H

#include "lib/types.h"
#include "vmm/config.h"

#define CONFIG_MAX_KEYS 24 /* of one section */

struct config_key;

/* One value on its way into its field. */
struct config_value {
	const struct config_key *key;
	struct config *cfg;
	const struct config_names *names;
	char *text;  /* without white space around it; may be taken apart */
	void *field; /* key->size bytes */
	unsigned int line;
	char reason[160]; /* why it was refused, and what was expected */
};

struct config_word {
	const char *name;
	unsigned int value;
};

struct config_key {
	const char *name;
	bool (*parse)(struct config_value *v);
	size_t offset, size;             /* of the field in the section's struct */
	size_t line_offset;              /* where the line's number is kept; 0: nowhere */
	const struct config_word *words; /* for parse_word: ends with a NULL name */
	bool may_be_empty;
	/* Of a key that may stand several times: how often at most, and where they are counted. */
	unsigned int max;
	size_t count_offset;
};

struct config_keys {
	const char *section;
	const struct config_key *key;
	unsigned int keys;
};

extern const struct config_keys config_lintel_keys; /* into struct host_config */
extern const struct config_keys config_vm_keys;     /* into struct vm_config */
extern const struct config_keys config_switch_keys; /* into struct switch_config */

/* Why a value is refused, in v->reason; false, for its parser to return. */
#define config_refuse(v, ...) (scnprintf((v)->reason, sizeof((v)->reason), __VA_ARGS__), false)

/* The number that @s begins with, decimal or 0x...; returns what follows it, or NULL. Saturates. */
const char *config_read_number(const char *s, u64 *number);

/* Cut the next name off a list "a, b, c": NULL after the last one. */
char *config_next_name(char **list);

/* @text, a number with K, M or G (powers of 1024) and no more: why not, or NULL. */
const char *config_read_size(const char *text, u64 *size);

/* Parsers of boot/config_order.c: after, timeout and needs of a VM; summary of [lintel]. */
bool config_parse_after(struct config_value *v);
bool config_parse_timeout(struct config_value *v);
bool config_parse_needs(struct config_value *v);
bool config_parse_summary(struct config_value *v);

/* Is there a VM above for @vm to come after? */
void config_check_order(struct config *cfg, struct vm_config *vm);

/* Parsers of boot/config_text.c: cmdline and module of a VM. */
bool config_parse_cmdline(struct config_value *v);
bool config_parse_module(struct config_value *v);

/* Parsers of boot/config_devices.c: disk and net of a VM, uplink of a switch. */
bool config_parse_disk(struct config_value *v);
bool config_parse_net(struct config_value *v);
bool config_parse_uplink(struct config_value *v);

/*
 * What no line of disks, networks and switches shows alone: names that are there, addresses and disks that
 * two have. Gives default addresses.
 */
void config_check_switches(struct config *cfg);
void config_check_devices(struct config *cfg, struct vm_config *vm);

/* The index of @name in @keys, or -1. */
int config_key_find(const struct config_keys *keys, const char *name);

/* The key of @keys that @name was probably meant to be, or NULL when none is near. */
const char *config_key_nearest(const struct config_keys *keys, const char *name);

#endif
