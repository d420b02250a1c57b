/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/output_lock.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"

#define MESSAGE_SIZE 1024 /* as the header promises */
#define EARLY_SIZE   8192

static const char *const prefix[] = {
	[LOG_PANIC] = "lintel: panic: ",  [LOG_ERR] = "lintel: error: ",
	[LOG_WARN] = "lintel: warning: ", [LOG_INFO] = "lintel: ",
	[LOG_DEBUG] = "lintel: debug: ",
};

#define PREFIX_MAX 24

static struct printk_sink *sinks;
static struct output_lock lock;

/* Lines printed while there was no sink: a byte of level, then the text with its '\n'. */
static struct {
	char text[EARLY_SIZE];
	size_t len;
	unsigned int lost; /* lines that did not fit */
} early;

static void sink_write(struct printk_sink *sink, enum log_level level, const char *line, size_t len)
{
	if (level <= sink->level)
		sink->write(sink, line, len);
}

static void early_keep(enum log_level level, const char *line, size_t len)
{
	if (early.len + 1 + len > sizeof(early.text)) {
		early.lost++;
		return;
	}
	early.text[early.len] = (char)level;
	memcpy(early.text + early.len + 1, line, len);
	early.len += 1 + len;
}

static void early_replay(struct printk_sink *sink)
{
	char line[64];
	size_t pos = 0;

	while (pos < early.len) {
		enum log_level level = (enum log_level)early.text[pos++];
		const char *text = early.text + pos;
		const char *nl = memchr(text, '\n', early.len - pos);
		size_t len = nl ? (size_t)(nl - text) + 1 : early.len - pos;

		sink_write(sink, level, text, len);
		pos += len;
	}
	if (early.lost) {
		size_t len = scnprintf(line, sizeof(line), "%s%u early lines were lost\n",
				       prefix[LOG_WARN], early.lost);

		sink_write(sink, LOG_WARN, line, len);
	}
	early.len = 0;
	early.lost = 0;
}

void printk_add_sink(struct printk_sink *sink)
{
	struct printk_sink **end = &sinks;

	output_lock(&lock);
	if (!sinks)
		early_replay(sink);
	while (*end)
		end = &(*end)->next;
	sink->next = NULL;
	*end = sink;
	output_unlock(&lock);
}

void printk_remove_sink(struct printk_sink *sink)
{
	output_lock(&lock);
	for (struct printk_sink **p = &sinks; *p; p = &(*p)->next) {
		if (*p == sink) {
			*p = sink->next;
			break;
		}
	}
	output_unlock(&lock);
}

/* One line of a message, @text of @len bytes without '\n', to every sink. */
static void print_line(enum log_level level, const char *text, size_t len)
{
	char line[PREFIX_MAX + MESSAGE_SIZE + 1];
	size_t size = str_copy(line, prefix[level], PREFIX_MAX);

	memcpy(line + size, text, len);
	size += len;
	line[size++] = '\n';

	if (!sinks)
		early_keep(level, line, size);
	for (struct printk_sink *sink = sinks; sink; sink = sink->next)
		sink_write(sink, level, line, size);
}

void printk(enum log_level level, const char *fmt, ...)
{
	char text[MESSAGE_SIZE];
	const char *line = text;
	const char *end;
	va_list args;

	va_start(args, fmt);
	end = text + vscnprintf(text, sizeof(text), fmt, args);
	va_end(args);

	output_lock(&lock);
	do {
		const char *nl = memchr(line, '\n', (size_t)(end - line));
		const char *stop = nl ? nl : end;

		print_line(level, line, (size_t)(stop - line));
		line = stop + 1;
	} while (line < end);
	output_unlock(&lock);
}
