/* SPDX-License-Identifier: BSD-2-Clause */
/* Values that are long, or may be: they share one place, so that a short one takes no more than it has. */
#include "boot/config_keys.h"
#include "lib/print.h"
#include "lib/string.h"

#define refuse(v, ...) config_refuse(v, __VA_ARGS__)

/* @len bytes of @text and a NUL, for as long as the configuration is there; NULL: no room. */
static const char *keep(struct config *cfg, const char *text, size_t len)
{
	char *place = cfg->text + cfg->text_used;

	if (len >= sizeof(cfg->text) - cfg->text_used)
		return NULL;
	memcpy(place, text, len);
	place[len] = 0;
	cfg->text_used += (u32)len + 1;
	return place;
}

static bool refuse_room(struct config_value *v)
{
	return refuse(
		v,
		"all command lines and modules of a file have %u KiB together, which are used up",
		(u32)(sizeof(v->cfg->text) / 1024));
}

bool config_parse_cmdline(struct config_value *v)
{
	const size_t len = strlen(v->text);
	const char *kept;

	if (len >= CONFIG_CMD_LEN)
		return refuse(v, "%zu bytes are too long: expected at most %d", len,
			      CONFIG_CMD_LEN - 1);
	kept = keep(v->cfg, v->text, len);
	if (!kept)
		return refuse_room(v);
	*(const char **)v->field = kept;
	return true;
}

/* "FILE ARGUMENTS": the image gets all of it as the module's string, as from other loaders. */
bool config_parse_module(struct config_value *v)
{
	struct module_config *module = v->field;
	const size_t len = strlen(v->text);
	size_t path = 0;

	while (v->text[path] && v->text[path] != ' ' && v->text[path] != '\t') {
		if ((u8)v->text[path++] >= 0x80)
			return refuse(v, "bad file name: expected ASCII characters");
	}
	if (path >= CONFIG_PATH_LEN || len >= CONFIG_MODULE_LEN)
		return refuse(v, "%zu bytes are too long: expected at most %d, the file's name %d",
			      len, CONFIG_MODULE_LEN - 1, CONFIG_PATH_LEN - 1);
	*module = (struct module_config){
		.path = keep(v->cfg, v->text, path),
		.text = keep(v->cfg, v->text, len),
		.line = v->line,
	};
	return module->path && module->text ? true : refuse_room(v);
}
