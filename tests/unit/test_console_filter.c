/* SPDX-License-Identifier: BSD-2-Clause */
/* No guest prints what looks like a line of Lintel's, however it cuts it up or hides it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/host/console_filter.h"

/* @len bytes of @text through a filter, in pieces of @piece bytes; compared with @want. */
static void check_pieces(const char *text, size_t len, const char *want, size_t piece)
{
	struct console_filter f = { 0 };
	u8 out[128];

	assert_true(len <= sizeof(out));
	for (size_t i = 0; i < len; i += piece)
		console_filter(&f, out + i, (const u8 *)text + i, MIN(piece, len - i));
	assert_memory_equal(out, want, len);
}

static void check(const char *text, const char *want)
{
	for (size_t piece = 1; piece <= strlen(text); piece++)
		check_pieces(text, strlen(text), want, piece);
}

/* The word loses its colon wherever it stands, and however it comes in pieces. */
static void word(void **state)
{
	(void)state;
	check("lintel: panic: x\n", "lintel. panic: x\n");
	check("a lintel:lintel: b", "a lintel.lintel. b");
	check("\r\nlintel:\r\n", "\r\nlintel.\r\n");
}

/* Whatever begins like the word and goes on otherwise is left alone; the word itself is found behind it. */
static void beginnings(void **state)
{
	(void)state;
	check("lintel lint: l: Lintel: lin\ntel:", "lintel lint: l: Lintel: lin\ntel:");
	check("lintelintel:", "lintelintel.");
	check("llintel: lilintel: lintelllintel:", "llintel. lilintel. lintelllintel.");
}

/* What a terminal does not show does not hide the word. */
static void hidden(void **state)
{
	(void)state;
	check("\033[1Glin\033[0;31mtel:\033[0m", "\033[1Glin\033[0;31mtel.\033[0m");
	check("l\033Min\177tel\033[?25h:", "l\033Min\177tel\033[?25h.");
	check("\033[lintel: lintel:", "\033[lintel: lintel.");
	check_pieces("lin\0tel:", 8, "lin\0tel.", 3);
}

/* Against a plain search, for all sorts of near misses. */
static void random_text(void **state)
{
	static const char letters[] = "lintel: l";

	(void)state;
	for (unsigned int round = 0; round < 200000; round++) {
		char text[25] = "", want[25], *p;

		for (size_t i = 0; i < sizeof(text) - 1; i++)
			text[i] = i && rand() % 8
					  ? letters[(strchr(letters, text[i - 1]) - letters + 1) %
						    (sizeof(letters) - 1)]
					  : letters[rand() % (int)(sizeof(letters) - 1)];
		memcpy(want, text, sizeof(want));
		while ((p = strstr(want, "lintel:")))
			p[6] = '.';
		check_pieces(text, strlen(text), want, 1 + (size_t)rand() % 24);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(word),
		cmocka_unit_test(beginnings),
		cmocka_unit_test(hidden),
		cmocka_unit_test(random_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
