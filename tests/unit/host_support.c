/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/host_support.h"
#include "lib/printk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char captured[65536];
static size_t captured_len;

static void stderr_write(struct printk_sink *sink, const char *text, size_t len)
{
	(void)sink;
	fwrite(text, 1, len, stderr);
}

static void capture_write(struct printk_sink *sink, const char *text, size_t len)
{
	size_t room = sizeof(captured) - 1;

	(void)sink;
	if (captured_len + len > room) {
		size_t drop = captured_len + len - room; /* a line is far shorter than the room */

		memmove(captured, captured + drop, captured_len - drop);
		captured_len -= drop;
	}
	memcpy(captured + captured_len, text, len);
	captured_len += len;
	captured[captured_len] = '\0';
}

static struct printk_sink stderr_sink = { .write = stderr_write, .level = LOG_DEBUG };
static struct printk_sink capture_sink = { .write = capture_write, .level = LOG_DEBUG };

__attribute__((constructor)) static void host_support_init(void)
{
	printk_add_sink(&stderr_sink);
}

void capture_nothing(void)
{
	printk_remove_sink(&stderr_sink);
	printk_remove_sink(&capture_sink);
}

void capture_start(void)
{
	captured_len = 0;
	captured[0] = '\0';
	capture_nothing();
	printk_add_sink(&capture_sink);
}

const char *capture_text(void)
{
	return captured;
}

void capture_stop(void)
{
	capture_nothing();
	printk_add_sink(&stderr_sink);
}

void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("panic: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}
