/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of lintel.conf that put VMs in an order, bound their time, and ask for a summary. */
#include "boot/config.h"
#include "boot/config_keys.h"
#include "lib/print.h"
#include "lib/string.h"

#define refuse(v, ...) config_refuse(v, __VA_ARGS__)

static bool parse_seconds(struct config_value *v, u64 max)
{
	u64 seconds;
	const char *end = config_read_number(v->text, &seconds);
	u32 *field = v->field;

	if (!end || *end || !seconds || seconds > max)
		return refuse(v, "bad number: expected seconds, 1 to %llu",
			      (unsigned long long)max);
	*field = (u32)seconds;
	return true;
}

bool config_parse_timeout(struct config_value *v)
{
	return parse_seconds(v, CONFIG_TIMEOUT_MAX);
}

bool config_parse_summary(struct config_value *v)
{
	return parse_seconds(v, CONFIG_SUMMARY_MAX);
}

bool config_parse_after(struct config_value *v)
{
	size_t len = strlen(v->text);

	if (len >= v->key->size)
		return refuse(v, "%zu bytes are too long: expected the name of a VM", len);
	memcpy(v->field, v->text, len + 1);
	return true;
}

/* What VT-x features are is their owner's business; a second CPU is nobody's feature. */
bool config_parse_needs(struct config_value *v)
{
	char *list = v->text;
	const char *name;
	u64 *field = v->field;

	while ((name = config_next_name(&list))) {
		u64 bits = strcmp(name, "smp") ? v->names->mask_bits(name) : CONFIG_NEEDS_SMP;

		if (!*name)
			return refuse(v, "an empty name: expected NAME, NAME, ...");
		if (!bits)
			return refuse(v, "unknown feature %.40s", name);
		*field |= bits;
	}
	return true;
}

/* Only those above it: so that no two wait for each other. */
void config_check_order(struct config *cfg, struct vm_config *vm)
{
	const char *name = vm->after;

	if (!*name)
		return;
	for (vm->after_vm = 0; &cfg->vm[vm->after_vm] < vm; vm->after_vm++) {
		if (!strcmp(cfg->vm[vm->after_vm].name, name))
			return;
	}
	config_vm_error(cfg, vm, vm->after_line,
			"after = %s: there is no such VM above: expected [vm %s] above this "
			"section",
			name, name);
	vm->after[0] = 0;
}
