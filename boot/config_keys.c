/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/config_keys.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"

#define MEMORY_MIN     MIB(16)
#define MEMORY_STEP    MIB(2) /* so that a VM's memory is made of large pages */

#define refuse(v, ...) config_refuse(v, __VA_ARGS__)

/* Every field that is a number is written here, whatever its width: x86 is little-endian. */
static bool store(struct config_value *v, u64 number)
{
	memcpy(v->field, &number, v->key->size);
	return true;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

const char *config_read_number(const char *s, u64 *number)
{
	int base = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? s + 2 : s;
	int digit;

	*number = 0;
	for (s = digits; (digit = digit_value(*s)) >= 0 && digit < base; s++) {
		if (__builtin_mul_overflow(*number, (u64)base, number) ||
		    __builtin_add_overflow(*number, (u64)digit, number))
			*number = ~0ULL;
	}
	return s == digits ? NULL : s;
}

static bool parse_number(struct config_value *v, u64 min, u64 max, const char *expected)
{
	u64 number;
	const char *end = config_read_number(v->text, &number);

	if (!end || *end || number < min || number > max)
		return refuse(v, "%s", expected);
	return store(v, number);
}

static bool parse_cpus(struct config_value *v)
{
	_Static_assert(CONFIG_MAX_CPUS == 16, "the text below names it");
	return parse_number(v, 1, CONFIG_MAX_CPUS, "bad number: expected 1 to 16");
}

static bool parse_weight(struct config_value *v)
{
	_Static_assert(CONFIG_WEIGHT_MAX == 10000, "the text below names it");
	return parse_number(v, 1, CONFIG_WEIGHT_MAX, "bad number: expected 1 to 10000");
}

static bool parse_cap(struct config_value *v)
{
	return parse_number(v, 0, CONFIG_MAX_CPUS * 100,
			    "bad number: expected percent of one CPU, 0 to 1600");
}

static bool parse_cpu(struct config_value *v)
{
	_Static_assert(CPU_LIST_CPUS == 64, "the text below names it");
	return parse_number(v, 0, CPU_LIST_CPUS - 1, "bad number: expected a CPU from 0 to 63");
}

static bool parse_pin(struct config_value *v)
{
	const char *reason = cpu_list_parse(v->field, v->text);

	return reason ? refuse(v, "%s", reason) : true;
}

static bool parse_port(struct config_value *v)
{
	return parse_number(v, 1, 0xffff, "bad port: expected a number from 0x1 to 0xffff");
}

const char *config_read_size(const char *text, u64 *size)
{
	static const char bad[] = "bad size: expected a number with K, M or G";
	const char *unit = config_read_number(text, size);
	unsigned int shift;

	if (!unit || !unit[0] || unit[1])
		return bad;
	switch (unit[0] | 0x20) {
	case 'k': shift = 10; break;
	case 'm': shift = 20; break;
	case 'g': shift = 30; break;
	default: return bad;
	}
	/* No CPU with VT-x has more memory. */
	if (*size > BIT(46 - shift))
		return "too large: expected at most 65536G";
	*size <<= shift;
	return NULL;
}

static bool parse_memory(struct config_value *v)
{
	u64 size;
	const char *reason = config_read_size(v->text, &size);

	if (reason)
		return refuse(v, "%s", reason);
	if (size < MEMORY_MIN)
		return refuse(v, "too small: expected at least %uM", (u32)(MEMORY_MIN >> 20));
	if (size % MEMORY_STEP)
		return refuse(v, "not a multiple of 2M");
	return store(v, size);
}

static bool parse_trace(struct config_value *v)
{
	u64 size;
	const char *reason = config_read_size(v->text, &size);

	_Static_assert(CONFIG_TRACE_MIN == KIB(4) && CONFIG_TRACE_MAX == MIB(1),
		       "the text below names them");
	if (reason)
		return refuse(v, "%s", reason);
	if (size < CONFIG_TRACE_MIN || size > CONFIG_TRACE_MAX || (size & (size - 1)))
		return refuse(v, "bad size: expected 4K to 1M, a power of two");
	return store(v, size);
}

static bool parse_string(struct config_value *v)
{
	size_t len = strlen(v->text);

	if (len >= v->key->size)
		return refuse(v, "%zu bytes are too long: expected at most %zu", len,
			      v->key->size - 1);
	memcpy(v->field, v->text, len + 1);
	return true;
}

/* Paths become UTF-16 for the firmware; ASCII spares us a conversion that can fail. */
static bool parse_path(struct config_value *v)
{
	for (const char *c = v->text; *c; c++) {
		if ((u8)*c >= 0x80)
			return refuse(v, "bad file name: expected ASCII characters");
	}
	return parse_string(v);
}

static bool refuse_word(struct config_value *v)
{
	size_t len = scnprintf(v->reason, sizeof(v->reason), "unknown word: expected ");
	const char *glue = "";

	for (const struct config_word *w = v->key->words; w->name; w++) {
		len += scnprintf(v->reason + len, sizeof(v->reason) - len, "%s%s", glue, w->name);
		glue = " or ";
	}
	return false;
}

static bool parse_word(struct config_value *v)
{
	for (const struct config_word *w = v->key->words; w->name; w++) {
		if (!strcmp(w->name, v->text))
			return store(v, w->value);
	}
	return refuse_word(v);
}

char *config_next_name(char **list)
{
	char *name = *list;
	char *end, *comma;

	if (!name)
		return NULL;
	while (*name == ' ' || *name == '\t')
		name++;
	comma = strchr(name, ',');
	*list = comma ? comma + 1 : NULL;
	end = comma ? comma : name + strlen(name);
	while (end > name && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = 0;
	return name;
}

static bool parse_bits(struct config_value *v, u64 (*bits_of)(const char *name))
{
	char *list = v->text;
	const char *name;
	u64 bits = 0;

	while ((name = config_next_name(&list))) {
		u64 more = *name ? bits_of(name) : 0;

		if (!*name)
			return refuse(v, "an empty name: expected NAME, NAME, ...");
		if (!more)
			return refuse(v, "unknown feature %.40s", name);
		bits |= more;
	}
	return store(v, bits);
}

static bool parse_mask(struct config_value *v)
{
	return parse_bits(v, v->names->mask_bits);
}

static bool parse_hide(struct config_value *v)
{
	return parse_bits(v, v->names->hide_bits);
}

static const struct config_word console_words[] = {
	{ "auto", CONSOLE_AUTO },
	{ "com1", CONSOLE_COM1 },
	{ "com2", CONSOLE_COM2 },
	{ "framebuffer", CONSOLE_FRAMEBUFFER },
	{ NULL, 0 },
};

static const struct config_word idle_words[] = {
	{ "poweroff", IDLE_POWEROFF },
	{ "reboot", IDLE_REBOOT },
	{ "stay", IDLE_STAY },
	{ NULL, 0 },
};

static const struct config_word log_words[] = {
	{ "error", LOG_ERR }, { "warning", LOG_WARN }, { "info", LOG_INFO }, { "debug", LOG_DEBUG },
	{ NULL, 0 },
};

static const struct config_word selftest_words[] = {
	{ "yes", SELFTEST_YES },
	{ "no", SELFTEST_NO },
	{ "drivers", SELFTEST_DRIVERS },
	{ NULL, 0 },
};

static const struct config_word yes_no_words[] = {
	{ "yes", true },
	{ "no", false },
	{ NULL, 0 },
};

static const struct config_word interrupts_words[] = {
	{ "auto", INTERRUPTS_AUTO },
	{ "software", INTERRUPTS_SOFTWARE },
	{ "quiet", INTERRUPTS_QUIET },
	{ NULL, 0 },
};

static const struct config_word restart_words[] = {
	{ "never", RESTART_NEVER },
	{ "on-crash", RESTART_ON_CRASH },
	{ "always", RESTART_ALWAYS },
	{ NULL, 0 },
};

static const struct config_word triple_fault_words[] = {
	{ "crash", TRIPLE_FAULT_CRASHES },
	{ "reset", TRIPLE_FAULT_RESETS },
	{ NULL, 0 },
};

static const struct config_word vm_console_words[] = {
	{ "virtio", VM_CONSOLE_VIRTIO },
	{ "uart", VM_CONSOLE_UART },
	{ NULL, 0 },
};

static const struct config_word unknown_access_words[] = {
	{ "fault", UNKNOWN_ACCESS_FAULT },
	{ "stop", UNKNOWN_ACCESS_STOP },
	{ NULL, 0 },
};

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define HOST(member)        FIELD(struct host_config, member)
#define VM(member)          FIELD(struct vm_config, member)
#define LINE(member)        .line_offset = offsetof(struct vm_config, member)
#define SEVERAL(array, counter)                            \
	.offset = offsetof(struct vm_config, array),       \
	.size = sizeof(((struct vm_config *)0)->array[0]), \
	.max = ARRAY_SIZE(((struct vm_config *)0)->array), \
	.count_offset = offsetof(struct vm_config, counter)

static const struct config_key lintel_keys[] = {
	{ "console", parse_word, HOST(console), .words = console_words },
	{ "idle", parse_word, HOST(idle), .words = idle_words },
	{ "log", parse_word, HOST(log_level), .words = log_words },
	{ "mask", parse_mask, HOST(mask) },
	{ "errata-ignore", parse_mask, HOST(unmask) },
	{ "interrupts", parse_word, HOST(interrupts), .words = interrupts_words },
	{ "selftest", parse_word, HOST(selftest), .words = selftest_words },
	{ "exit-times", parse_word, HOST(exit_times), .words = yes_no_words },
	{ "trace", parse_trace, HOST(trace) },
	{ "io-cpu", parse_cpu, HOST(io_cpu),
	  .line_offset = offsetof(struct host_config, io_cpu_line) },
	{ "summary", config_parse_summary, HOST(summary) },
};

static const struct config_key vm_keys[] = {
	{ "cpus", parse_cpus, VM(cpus), LINE(cpus_line) },
	{ "pin", parse_pin, VM(pin), LINE(pin_line) },
	{ "weight", parse_weight, VM(weight) },
	{ "cap", parse_cap, VM(cap), LINE(cap_line) },
	{ "memory", parse_memory, VM(memory), LINE(memory_line) },
	{ "kernel", parse_path, VM(kernel), LINE(kernel_line) },
	{ "initrd", parse_path, VM(initrd), LINE(initrd_line) },
	{ "module", config_parse_module, SEVERAL(module, modules) },
	{ "cmdline", config_parse_cmdline, VM(cmdline), .may_be_empty = true },
	{ "restart", parse_word, VM(restart), .words = restart_words },
	{ "on-triple-fault", parse_word, VM(on_triple_fault), .words = triple_fault_words },
	{ "hide", parse_hide, VM(hide) },
	{ "debug-exit", parse_port, VM(debug_exit) },
	{ "console", parse_word, VM(console), .words = vm_console_words },
	{ "unknown-access", parse_word, VM(unknown_access), .words = unknown_access_words },
	{ "disk", config_parse_disk, SEVERAL(disk, disks) },
	{ "net", config_parse_net, SEVERAL(net, nets) },
	{ "after", config_parse_after, VM(after), LINE(after_line) },
	{ "timeout", config_parse_timeout, VM(timeout) },
	{ "needs", config_parse_needs, VM(needs) },
};

static const struct config_key switch_keys[] = {
	{ "uplink", config_parse_uplink, FIELD(struct switch_config, uplink),
	  .line_offset = offsetof(struct switch_config, uplink_line) },
};

_Static_assert(ARRAY_SIZE(lintel_keys) <= CONFIG_MAX_KEYS, "config.c counts keys in an array");
_Static_assert(ARRAY_SIZE(vm_keys) <= CONFIG_MAX_KEYS, "config.c counts keys in an array");

const struct config_keys config_lintel_keys = { "[lintel]", lintel_keys, ARRAY_SIZE(lintel_keys) };
const struct config_keys config_vm_keys = { "[vm NAME]", vm_keys, ARRAY_SIZE(vm_keys) };
const struct config_keys config_switch_keys = { "[switch NAME]", switch_keys,
						ARRAY_SIZE(switch_keys) };

int config_key_find(const struct config_keys *keys, const char *name)
{
	for (unsigned int i = 0; i < keys->keys; i++) {
		if (!strcmp(keys->key[i].name, name))
			return (int)i;
	}
	return -1;
}

#define NAME_MAX 24 /* longer names resemble no key */

/* The Levenshtein distance of two names, one row of its table at a time. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[NAME_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[b_len];
}

const char *config_key_nearest(const struct config_keys *keys, const char *name)
{
	size_t len = strnlen(name, NAME_MAX + 1);
	size_t best = len / 2 < 3 ? len / 2 + 1 : 4; /* at least half of it must be right */
	const char *nearest = NULL;

	if (len > NAME_MAX)
		return NULL;
	for (unsigned int i = 0; i < keys->keys; i++) {
		const char *key = keys->key[i].name;
		size_t distance = edit_distance(name, len, key, MIN(strlen(key), NAME_MAX));

		if (distance < best) {
			best = distance;
			nearest = key;
		}
	}
	return nearest;
}
