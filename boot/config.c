/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/config.h"
#include "boot/config_keys.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"

#define MAX_MESSAGES 40 /* a file that is no configuration at all must not fill the screen */
#define ECHO         60 /* bytes of a value that a message repeats */
#define SECTIONS     "[lintel], [switch NAME] or [vm NAME]"

struct parser {
	struct config *cfg;
	const struct config_names *names;
	unsigned int line;
	const struct config_keys *keys; /* of the section that we are in; NULL: of none */
	void *object;                   /* the struct that its keys fill */
	bool *bad; /* to be set when a line of it is wrong; NULL: nobody cares */
	bool skip; /* its header was wrong: say nothing about what follows */
	unsigned int seen[CONFIG_MAX_KEYS]; /* the line of each key of this section, or 0 */
	unsigned int lintel_line;           /* of [lintel], or 0 */
};

static void print_error(struct config *cfg, unsigned int line, const char *fmt, va_list args)
{
	char text[512];

	if (cfg->errors++ < MAX_MESSAGES) {
		vscnprintf(text, sizeof(text), fmt, args);
		pr_err(CONFIG_FILE ":%u: %s\n", line, text);
	} else if (cfg->errors == MAX_MESSAGES + 1) {
		pr_err(CONFIG_FILE ":%u: more errors, which are not shown\n", line);
	}
}

void config_vm_error(struct config *cfg, struct vm_config *vm, unsigned int line, const char *fmt,
		     ...)
{
	va_list args;

	va_start(args, fmt);
	print_error(cfg, line, fmt, args);
	va_end(args);
	vm->bad = true;
}

void config_error(struct config *cfg, bool *bad, unsigned int line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_error(cfg, line, fmt, args);
	va_end(args);
	*bad = true;
}

/* The current line is wrong. */
static void __format(2, 3) complain(struct parser *p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_error(p->cfg, p->line, fmt, args);
	va_end(args);
	if (p->bad)
		*p->bad = true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *trim(char *s)
{
	size_t len;

	while (is_blank(*s))
		s++;
	for (len = strlen(s); len && is_blank(s[len - 1]); len--)
		s[len - 1] = 0;
	return s;
}

/* A '#' at the start of a line or after a blank begins a comment: "a#b" is a value. */
static void cut_comment(char *s)
{
	for (char *c = s; *c; c++) {
		if (*c == '#' && (c == s || is_blank(c[-1]))) {
			*c = 0;
			return;
		}
	}
}

static bool is_name(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++) {
		bool letter = (*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z');

		if (!letter && !(*s >= '0' && *s <= '9') && *s != '_' && *s != '.' && *s != '-')
			return false;
	}
	return true;
}

static void vm_defaults(struct vm_config *vm, const char *name, unsigned int line)
{
	memset(vm, 0, sizeof(*vm));
	str_copy(vm->name, name, sizeof(vm->name));
	vm->cmdline = "console=ttyS0,115200";
	vm->line = line;
	vm->cpus = 1;
	vm->weight = CONFIG_WEIGHT_DEFAULT;
	vm->memory = MIB(256);
	vm->restart = RESTART_NEVER;
	vm->console = VM_CONSOLE_VIRTIO;
}

static bool enter_lintel(struct parser *p)
{
	if (p->lintel_line) {
		complain(p, "[lintel]: there is one already, in line %u", p->lintel_line);
		return false;
	}
	p->lintel_line = p->line;
	p->keys = &config_lintel_keys;
	p->object = &p->cfg->host;
	return true;
}

static bool name_ok(struct parser *p, const char *kind, const char *name)
{
	if (strlen(name) >= CONFIG_NAME_LEN) {
		complain(p, "[%s %.*s...]: the name is too long: expected at most %d characters",
			 kind, ECHO, name, CONFIG_NAME_LEN - 1);
		return false;
	}
	if (!is_name(name)) {
		complain(p, "[%s %s]: bad name: expected characters of A-Z a-z 0-9 _ . -", kind,
			 name);
		return false;
	}
	return true;
}

static bool enter_vm(struct parser *p, const char *name)
{
	struct config *cfg = p->cfg;
	struct vm_config *vm;

	if (!name_ok(p, "vm", name))
		return false;
	for (unsigned int i = 0; i < cfg->vms; i++) {
		if (!strcmp(cfg->vm[i].name, name)) {
			complain(p, "[vm %s]: there is one already, in line %u", name,
				 cfg->vm[i].line);
			return false;
		}
	}
	if (cfg->vms == CONFIG_MAX_VMS) {
		complain(p, "[vm %s]: too many VMs: expected at most %d", name, CONFIG_MAX_VMS);
		return false;
	}
	vm = &cfg->vm[cfg->vms++];
	vm_defaults(vm, name, p->line);
	p->keys = &config_vm_keys;
	p->object = vm;
	p->bad = &vm->bad;
	return true;
}

static bool enter_switch(struct parser *p, const char *name)
{
	struct config *cfg = p->cfg;
	struct switch_config *sw;

	if (!name_ok(p, "switch", name))
		return false;
	for (unsigned int i = 0; i < cfg->switches; i++) {
		if (!strcmp(cfg->sw[i].name, name)) {
			complain(p, "[switch %s]: there is one already, in line %u", name,
				 cfg->sw[i].line);
			return false;
		}
	}
	if (cfg->switches == CONFIG_MAX_SWITCHES) {
		complain(p, "[switch %s]: too many switches: expected at most %d", name,
			 CONFIG_MAX_SWITCHES);
		return false;
	}
	sw = &cfg->sw[cfg->switches++];
	str_copy(sw->name, name, sizeof(sw->name));
	sw->line = p->line;
	p->keys = &config_switch_keys;
	p->object = sw;
	p->bad = &sw->bad;
	return true;
}

static bool enter_section(struct parser *p, char *kind, const char *name)
{
	if (!strcmp(kind, "lintel") && !*name)
		return enter_lintel(p);
	if (!strcmp(kind, "vm"))
		return enter_vm(p, name);
	if (!strcmp(kind, "switch"))
		return enter_switch(p, name);
	complain(p, "[%.*s]: unknown section: expected " SECTIONS, ECHO, kind);
	return false;
}

/* "[kind name]" */
static void parse_section(struct parser *p, char *text)
{
	size_t len = strlen(text);
	char *name;

	p->keys = NULL;
	p->bad = NULL;
	p->skip = true;
	memset(p->seen, 0, sizeof(p->seen));
	if (text[len - 1] != ']') {
		complain(p, "%.*s: expected ] at the end", ECHO, text);
		return;
	}
	text[len - 1] = 0;
	text = trim(text + 1);
	for (name = text; *name && !is_blank(*name); name++)
		;
	if (*name)
		*name++ = 0;
	p->skip = !enter_section(p, text, trim(name));
}

static void unknown_key(struct parser *p, const char *name)
{
	static const struct config_keys *const sections[] = {
		&config_lintel_keys,
		&config_vm_keys,
		&config_switch_keys,
	};
	const char *nearest = config_key_nearest(p->keys, name);

	for (unsigned int i = 0; i < ARRAY_SIZE(sections); i++) {
		if (config_key_find(sections[i], name) < 0)
			continue;
		complain(p, "%s: unknown key in this section: it belongs in %s", name,
			 sections[i]->section);
		return;
	}
	if (nearest)
		complain(p, "%.*s: unknown key: did you mean %s?", ECHO, name, nearest);
	else
		complain(p, "%.*s: unknown key in %s", ECHO, name, p->keys->section);
}

/* Where the value of @key goes. NULL, and said why: it stood here already, or too often. */
static void *take_place(struct parser *p, unsigned int index, unsigned int **count)
{
	const struct config_key *key = &p->keys->key[index];
	u8 *object = p->object;

	*count = NULL;
	if (key->max) {
		*count = (unsigned int *)(void *)(object + key->count_offset);
		if (**count < key->max)
			return object + key->offset + **count * key->size;
		complain(p, "%s: too many of them: expected at most %u", key->name, key->max);
		return NULL;
	}
	if (p->seen[index]) {
		complain(p, "%s: given twice, first in line %u", key->name, p->seen[index]);
		return NULL;
	}
	p->seen[index] = p->line;
	if (key->line_offset)
		memcpy(object + key->line_offset, &p->line, sizeof(p->line));
	return object + key->offset;
}

static void parse_value(struct parser *p, unsigned int index, char *text)
{
	const struct config_key *key = &p->keys->key[index];
	unsigned int *count;
	struct config_value v = {
		.key = key,
		.cfg = p->cfg,
		.names = p->names,
		.text = text,
		.field = take_place(p, index, &count),
		.line = p->line,
	};
	char echo[ECHO + 1]; /* a list is taken apart while it is parsed */

	if (!v.field)
		return;
	str_copy(echo, text, sizeof(echo));
	if (!*text && !key->may_be_empty)
		complain(p, "%s: the value is empty", key->name);
	else if (!key->parse(&v))
		complain(p, "%s = %s: %s", key->name, echo, v.reason);
	else if (count)
		++*count;
}

/* "key = value" */
static void parse_key(struct parser *p, char *text)
{
	char *equals = strchr(text, '=');
	const char *name;
	int index;

	if (p->skip)
		return;
	if (!equals || equals == text) {
		complain(p, "%.*s: expected KEY = VALUE or [SECTION]", ECHO, text);
		return;
	}
	*equals = 0;
	name = trim(text);
	if (!p->keys) {
		complain(p, "%.*s: outside of a section: expected " SECTIONS " above it", ECHO,
			 name);
		return;
	}
	index = config_key_find(p->keys, name);
	if (index < 0) {
		unknown_key(p, name);
		return;
	}
	parse_value(p, (unsigned int)index, trim(equals + 1));
}

/* One line of @len bytes, without its '\n'. */
static void parse_line(struct parser *p, const char *text, size_t len)
{
	char line[CONFIG_MAX_LINE + 1];
	char *s;

	if (len && text[len - 1] == '\r')
		len--;
	if (len > CONFIG_MAX_LINE) {
		complain(p, "%zu bytes are too long for a line: expected at most %d", len,
			 CONFIG_MAX_LINE);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if ((u8)text[i] < ' ' && text[i] != '\t') {
			complain(p, "control character 0x%02x in the line: expected text",
				 (u8)text[i]);
			return;
		}
	}
	memcpy(line, text, len);
	line[len] = 0;
	cut_comment(line);
	s = trim(line);
	if (*s == '[')
		parse_section(p, s);
	else if (*s)
		parse_key(p, s);
}

static void parse_lines(struct parser *p, const char *text, size_t size)
{
	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t len = end ? (size_t)(end - text) : size;

		p->line++;
		parse_line(p, text, len);
		len += end != NULL;
		text += len;
		size -= len;
	}
}

/* Is there a CPU of its own for each vCPU, and no other VM's? */
static void check_pin(struct config *cfg, struct vm_config *vm)
{
	char text[CPU_LIST_TEXT_MAX];

	cpu_list_text(&vm->pin, text, sizeof(text));
	if (vm->pin.count && vm->pin.count != vm->cpus)
		config_vm_error(cfg, vm, vm->pin_line,
				"pin = %s: %u for %u vCPU%s: expected a CPU for each", text,
				vm->pin.count, vm->cpus, vm->cpus > 1 ? "s" : "");
	if (cfg->host.io_cpu >= 0 && cpu_list_has(&vm->pin, (u8)cfg->host.io_cpu))
		config_vm_error(cfg, vm, vm->pin_line,
				"pin = %s: CPU %d is the io-cpu, by line %u: expected another one",
				text, cfg->host.io_cpu, cfg->host.io_cpu_line);
	for (const struct vm_config *other = cfg->vm; other < vm; other++) {
		for (unsigned int i = 0; i < vm->pin.count; i++) {
			if (!cpu_list_has(&other->pin, vm->pin.cpu[i]))
				continue;
			config_vm_error(cfg, vm, vm->pin_line,
					"pin = %s: CPU %u is %s's already, by line %u: expected "
					"another one",
					text, vm->pin.cpu[i], other->name, other->pin_line);
			return;
		}
	}
}

/* What no line shows alone. */
static void check_vm(struct config *cfg, struct vm_config *vm)
{
	if (!vm->kernel_line)
		config_vm_error(cfg, vm, vm->line,
				"[vm %s]: it has no kernel: expected kernel = FILE", vm->name);
	config_check_order(cfg, vm);
	if (vm->bad)
		return; /* what follows from another mistake is none of its own */
	if (vm->cap > 100 * vm->cpus)
		config_vm_error(cfg, vm, vm->cap_line,
				"cap = %u: more than %u vCPU%s can use: expected at most %u",
				vm->cap, vm->cpus, vm->cpus > 1 ? "s" : "", 100 * vm->cpus);
	check_pin(cfg, vm);
	config_check_devices(cfg, vm);
}

static void check_vms(struct config *cfg)
{
	if (!cfg->vms && !cfg->errors) {
		cfg->errors++;
		pr_err(CONFIG_FILE ": there is no VM: expected a section [vm NAME]\n");
	}
	config_check_switches(cfg);
	for (unsigned int i = 0; i < cfg->vms; i++)
		check_vm(cfg, &cfg->vm[i]);
}

static bool starts_with(const char *text, size_t size, const char *prefix)
{
	size_t len = strlen(prefix);

	return size >= len && !memcmp(text, prefix, len);
}

unsigned int config_parse(struct config *cfg, const char *text, size_t size,
			  const struct config_names *names)
{
	struct parser p = { .cfg = cfg, .names = names };

	memset(cfg, 0, sizeof(*cfg));
	cfg->host.log_level = LOG_INFO;
	cfg->host.io_cpu = -1; /* the other defaults are 0 */
	if (size > CONFIG_MAX_SIZE) {
		cfg->errors++;
		pr_err(CONFIG_FILE ": %zu bytes are too large: expected at most %zu\n", size,
		       (size_t)CONFIG_MAX_SIZE);
		return cfg->errors;
	}
	if (starts_with(text, size, "\xff\xfe") || starts_with(text, size, "\xfe\xff")) {
		cfg->errors++;
		pr_err(CONFIG_FILE ": it is UTF-16: expected UTF-8 or ASCII\n");
		return cfg->errors;
	}
	if (starts_with(text, size, "\xef\xbb\xbf")) { /* the mark of UTF-8 */
		text += 3;
		size -= 3;
	}
	parse_lines(&p, text, size);
	check_vms(cfg);
	return cfg->errors;
}
