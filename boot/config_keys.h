/* The keys of lintel.conf as tables, and how a value becomes a field. Used by boot/config.c only. */
#ifndef BOOT_CONFIG_KEYS_H
#define BOOT_CONFIG_KEYS_H

#include "lib/types.h"
#include "vmm/vm_config.h"

#define CONFIG_MAX_KEYS 24 /* of one section */

struct config_key;

/* One value on its way into its field. */
struct config_value {
	const struct config_key *key;
	const struct config_names *names;
	char *text;       /* without white space around it; may be taken apart */
	void *field;      /* key->size bytes */
	char reason[160]; /* why it was refused, and what was expected */
};

struct config_word {
	const char *name;
	unsigned int value;
};

struct config_key {
	const char *name;
	bool (*parse)(struct config_value *v); /* NULL: a word of a later version */
	size_t offset, size;                   /* of the field in the section's struct */
	size_t line_offset;                    /* where the line's number is kept; 0: nowhere */
	const struct config_word *words;       /* for parse_word: ends with a NULL name */
	bool may_be_empty;
};

struct config_keys {
	const char *section;
	const struct config_key *key;
	unsigned int keys;
};

extern const struct config_keys config_lintel_keys; /* into struct host_config */
extern const struct config_keys config_vm_keys;     /* into struct vm_config */

/* The index of @name in @keys, or -1. */
int config_key_find(const struct config_keys *keys, const char *name);

/* The key of @keys that @name was probably meant to be, or NULL when none is near. */
const char *config_key_nearest(const struct config_keys *keys, const char *name);

#endif
