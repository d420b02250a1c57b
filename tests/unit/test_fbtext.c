/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/fbtext.h"
#include "drivers/font.h"
#include "lib/string.h"
#include "tests/unit/host_support.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Exactly as large as it says, so that the address sanitizer sees a pixel beside it. */
static struct fbtext *new_screen(u32 width, u32 height, u32 stride, bool bgr)
{
	struct fbtext *t = malloc(sizeof(*t));
	struct framebuffer fb = { .size = (u64)stride * height * 4,
				  .width = width,
				  .height = height,
				  .stride = stride,
				  .bgr = bgr };

	fb.base = malloc(fb.size);
	memset(fb.base, 0xa5, fb.size);
	assert_int_equal(fbtext_init(t, &fb), 0);
	return t;
}

static void free_screen(struct fbtext *t)
{
	free(t->fb.base);
	free(t);
}

static void say(struct fbtext *t, const char *text)
{
	fbtext_write(t, text, strlen(text));
}

/* What a cell shows: the one character whose glyph it holds, wholly. */
static char cell(const struct fbtext *t, u32 col, u32 row)
{
	const u32 *pixels = t->fb.base;

	for (u8 c = ' '; c <= 0x7f; c++) {
		bool same = true;

		for (u32 y = 0; y < (FONT_HEIGHT + 1) * t->scale; y++) {
			for (u32 x = 0; x < (FONT_WIDTH + 1) * t->scale; x++) {
				u64 at = (u64)(row * (FONT_HEIGHT + 1) * t->scale + y) *
						 t->fb.stride +
					 col * (FONT_WIDTH + 1) * t->scale + x;
				u32 gx = x / t->scale, gy = y / t->scale;
				bool lit = gx < FONT_WIDTH && gy < FONT_HEIGHT &&
					   font_line(c, gy)[gx] == FONT_SET;

				same &= lit == (pixels[at] != 0);
			}
		}
		if (same)
			return (char)c;
	}
	return '?';
}

static void expect_row(const struct fbtext *t, u32 row, const char *text)
{
	size_t len = strlen(text);

	for (u32 col = 0; col < t->cols; col++)
		assert_int_equal(cell(t, col, row), col < len ? text[col] : ' ');
}

/* No two characters look alike, and only the blank looks like nothing. */
static void test_font(void **state)
{
	struct fbtext *t = new_screen(120, 100, 120, true);

	(void)state;
	for (u8 c = ' '; c <= 0x7f; c++) {
		fbtext_write(t, (u8[]){ '\r', c }, 2);
		assert_int_equal(cell(t, 0, 0), c == 0x7f ? ' ' : c);
		fbtext_write(t, "\r ", 2);
	}
	free_screen(t);
}

/* The control characters and sequences that a shell's line editor uses. */
static void test_editing(void **state)
{
	struct fbtext *t = new_screen(1024, 200, 1030, false);

	(void)state;
	assert_int_equal(t->scale, 2);
	say(t, "one\r\ntwo\b\bo\n\tx\n");
	expect_row(t, 0, "one");
	expect_row(t, 1, "too");
	expect_row(t, 2, "        x");
	say(t, "\033[1;31mred\033[0m abc\033[2D\033[J!\033[1C*\033[6n\x07");
	expect_row(t, 3, "red a! *");
	free_screen(t);
}

/* Text goes on at the top, with a blank line before the older one. */
static void test_rolls(void **state)
{
	struct fbtext *t = new_screen(60, 50, 60, true); /* 10 columns, 5 rows */
	char line[16];

	(void)state;
	for (int i = 0; i < 7; i++) {
		snprintf(line, sizeof(line), i == 6 ? "line %d" : "line %d\n", i);
		say(t, line);
	}
	expect_row(t, 0, "line 5");
	expect_row(t, 1, "line 6");
	expect_row(t, 2, "");
	expect_row(t, 3, "line 3");
	expect_row(t, 4, "line 4");
	say(t, "56789");
	expect_row(t, 1, "line 65678");
	expect_row(t, 2, "9");
	free_screen(t);
}

/* The log begins on a line of its own and ends a guest's unfinished sequence. */
static void test_printk(void **state)
{
	struct fbtext *t = new_screen(480, 100, 480, true);
	const u32 *pixels = t->fb.base;

	(void)state;
	capture_nothing();
	fbtext_add_sink(t, LOG_INFO);
	say(t, "# \033[12");
	pr_info("hello\n");
	printk_remove_sink(&t->sink);
	capture_stop();
	say(t, "guest");
	expect_row(t, 0, "#");
	expect_row(t, 1, "lintel: hello");
	expect_row(t, 2, "guest");
	assert_int_equal(pixels[10 * 480 + 2], 0xffc040); /* the top of the 'l', red highest */
	free_screen(t);
}

/* Any bytes on any geometry stay inside the framebuffer and its padding stays untouched. */
static void test_random(void **state)
{
	static const char likely[] = "\n\r\b\t\033[;0123456789CDJKmxyz";

	(void)state;
	for (int round = 0; round < 60; round++) {
		u32 width = 6 + (u32)rand() % 1200;
		u32 height = 40 + (u32)rand() % 100;
		u32 stride = width + (u32)rand() % 9;
		struct fbtext *t = new_screen(width, height + 20, stride, rand() % 2);

		for (int i = 0; i < 2000; i++) {
			u8 byte = (u8)(rand() % 3 ? likely[rand() % (int)strlen(likely)] : rand());

			fbtext_write(t, &byte, 1);
		}
		for (u32 y = 0; y < height; y++) {
			for (u32 x = width; x < stride; x++)
				assert_int_equal(((u32 *)t->fb.base)[y * stride + x], 0xa5a5a5a5);
		}
		free_screen(t);
	}
}

/* What cannot be a framebuffer is refused. */
static void test_refused(void **state)
{
	static u32 pixels[100 * 100];
	static struct fbtext t;
	static const struct framebuffer bad[] = {
		{ NULL, sizeof(pixels), 100, 100, 100, true },
		{ pixels, sizeof(pixels) - 1, 100, 100, 100, true },
		{ pixels, sizeof(pixels), 100, 100, 99, true },
		{ pixels, sizeof(pixels), 100, 19, 100, true },
		{ pixels, sizeof(pixels), 5, 100, 100, true },
		{ pixels, sizeof(pixels), 0, 0, 0, true },
		{ pixels, sizeof(pixels), 0xffffffff, 0xffffffff, 0xffffffff, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(fbtext_init(&t, &bad[i]), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_font),   cmocka_unit_test(test_editing),
		cmocka_unit_test(test_rolls),  cmocka_unit_test(test_printk),
		cmocka_unit_test(test_random), cmocka_unit_test(test_refused),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
