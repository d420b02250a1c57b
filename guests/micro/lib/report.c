/* SPDX-License-Identifier: BSD-2-Clause */
/* Results: lines on COM1, and the debug exit. */
#include "lib/print.h"
#include "lib/string.h"
#include "micro.h"

#define COM1       0x3f8
#define DEBUG_EXIT 0xf4
#define LSR_THRE   0x20

unsigned int passed, failed;
static bool verbose;

static void put(const char *s)
{
	for (; *s; s++) {
		while (!(inb(COM1 + 5) & LSR_THRE))
			cpu_pause();
		outb(COM1, (u8)*s);
	}
}

static void line(const char *kind, const char *fmt, va_list args)
{
	static char text[512];
	size_t n = scnprintf(text, sizeof(text), "%s: %s", guest_name, kind);

	n += vscnprintf(text + n, sizeof(text) - n - 1, fmt, args);
	text[n] = '\n';
	text[n + 1] = 0;
	put(text);
}

void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line("", fmt, args);
	va_end(args);
}

void report_result(bool ok, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	ok ? passed++ : failed++;
	if (!ok)
		line("FAIL ", fmt, args);
	else if (verbose)
		line("PASS ", fmt, args);
	va_end(args);
}

void finish(u32 status)
{
	while (!(inb(COM1 + 5) & 0x40))
		cpu_pause();
	outl(DEBUG_EXIT, status);
	say("FAIL there is no debug exit");
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Words are separated by blanks. */
static const char *find_word(const char *word, size_t len)
{
	const char *s = (const char *)(uintptr_t)multiboot->cmdline;

	while (*s) {
		const char *end = strchr(s, ' ');
		size_t n = end ? (size_t)(end - s) : strlen(s);

		if (n >= len && !memcmp(s, word, len) && (n == len || s[len] == '='))
			return s + len;
		s += n;
		while (*s == ' ')
			s++;
	}
	return NULL;
}

bool option(const char *word)
{
	return find_word(word, strlen(word)) != NULL;
}

const char *option_value(const char *key)
{
	const char *s = find_word(key, strlen(key));

	return s && *s == '=' ? s + 1 : NULL;
}

u64 option_number(const char *key, u64 otherwise)
{
	const char *s = option_value(key);
	u64 n = 0;

	if (!s)
		return otherwise;
	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (u64)(*s - '0');
	return n;
}

void report_start(void);
void report_start(void)
{
	verbose = option("verbose");
}
