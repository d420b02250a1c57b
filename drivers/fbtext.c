/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/fbtext.h"
#include "drivers/font.h"
#include "lib/errno.h"
#include "lib/string.h"

/* A cell is a glyph and a gap of one pixel on the right and below. */
#define CELL_WIDTH  (FONT_WIDTH + 1)
#define CELL_HEIGHT (FONT_HEIGHT + 1)

#define TAB         8

/* About 85 to 170 columns, from the smallest mode to the largest. */
#define PIXELS_PER_SCALE 500

struct rgb {
	u8 red, green, blue;
};

static const struct rgb guest_colour = { 0xc8, 0xc8, 0xc8 };
static const struct rgb log_colour = { 0xff, 0xc0, 0x40 };

static u32 pixel(const struct fbtext *t, struct rgb c)
{
	if (t->fb.bgr)
		return (u32)c.red << 16 | (u32)c.green << 8 | c.blue;
	return (u32)c.blue << 16 | (u32)c.green << 8 | c.red;
}

static volatile u32 *pixels(const struct fbtext *t, u32 x, u64 y)
{
	return (volatile u32 *)t->fb.base + y * t->fb.stride + x;
}

static void fill(struct fbtext *t, u32 x, u32 y, u32 width, u32 height, u32 colour)
{
	volatile u32 *line = pixels(t, x, y);

	for (; height; height--, line += t->fb.stride) {
		for (u32 i = 0; i < width; i++)
			line[i] = colour;
	}
}

static void draw_line(const struct fbtext *t, volatile u32 *at, const char *dots)
{
	for (u32 x = 0; x < FONT_WIDTH; x++) {
		u32 colour = dots[x] == FONT_SET ? t->colour : 0;

		for (u32 i = 0; i < t->scale; i++)
			*at++ = colour;
	}
}

static void draw(struct fbtext *t, u8 c)
{
	u64 y0 = (u64)t->row * CELL_HEIGHT * t->scale;
	volatile u32 *at = pixels(t, t->col * CELL_WIDTH * t->scale, y0);

	if (c == ' ' && t->col >= t->used[t->row])
		return; /* it is blank */
	for (u32 y = 0; y < FONT_HEIGHT; y++) {
		const char *dots = font_line(c, y);

		for (u32 i = 0; i < t->scale; i++, at += t->fb.stride)
			draw_line(t, at, dots);
	}
	t->used[t->row] = (u16)MAX(t->used[t->row], t->col + 1);
}

/* Blank the cells of @row from @col on. */
static void clear_row(struct fbtext *t, u32 row, u32 col)
{
	u32 width = CELL_WIDTH * t->scale;
	u32 height = CELL_HEIGHT * t->scale;

	if (col < t->used[row]) {
		fill(t, col * width, row * height, (t->used[row] - col) * width, height, 0);
		t->used[row] = (u16)col;
	}
}

/* The line that the text comes to is blank already, as the next one is to be from now on. */
static void new_line(struct fbtext *t)
{
	t->col = 0;
	t->row = (t->row + 1) % t->rows;
	clear_row(t, (t->row + 1) % t->rows, 0);
}

static void put_glyph(struct fbtext *t, u8 c)
{
	if (t->col == t->cols)
		new_line(t);
	draw(t, c);
	t->col++;
}

static void put_tab(struct fbtext *t)
{
	do {
		put_glyph(t, ' ');
	} while (t->col % TAB && t->col < t->cols);
}

static void put_plain(struct fbtext *t, u8 c)
{
	switch (c) {
	case '\n': new_line(t); break;
	case '\r': t->col = 0; break;
	case '\b': t->col -= t->col > 0; break;
	case '\t': put_tab(t); break;
	case '\033': t->state = FBTEXT_ESCAPE; break;
	default:
		/* Other control characters show nothing; a UTF-8 character shows one box. */
		if (c >= ' ' && c != 0x7f && (c & 0xc0) != 0x80)
			put_glyph(t, c);
	}
}

static void end_of_csi(struct fbtext *t, u8 letter)
{
	u32 count = MAX(t->parameter, 1);

	switch (letter) {
	case 'C': t->col = MIN(t->col + count, t->cols - 1); break;
	case 'D': t->col -= MIN(count, t->col); break;
	case 'J': /* to the end of the screen: there is never anything below */
	case 'K':
		if (t->parameter == 0)
			clear_row(t, t->row, t->col);
		break;
	}
}

static void put_csi(struct fbtext *t, u8 c)
{
	if (c >= '0' && c <= '9') {
		t->parameter = MIN(t->parameter * 10 + (c - '0'), 9999);
	} else if (c == ';') {
		t->parameter = 0;
	} else if (c < ' ' || c >= '@') {
		t->state = FBTEXT_PLAIN;
		end_of_csi(t, c);
	}
}

static void put(struct fbtext *t, u8 c)
{
	switch (t->state) {
	case FBTEXT_PLAIN: put_plain(t, c); break;
	case FBTEXT_ESCAPE:
		t->state = c == '[' ? FBTEXT_CSI : FBTEXT_PLAIN;
		t->parameter = 0;
		break;
	case FBTEXT_CSI: put_csi(t, c); break;
	}
}

int fbtext_init(struct fbtext *t, const struct framebuffer *fb)
{
	memset(t, 0, sizeof(*t));
	t->fb = *fb;
	t->scale = MAX(fb->width / PIXELS_PER_SCALE, 1);
	t->cols = MIN(fb->width / (CELL_WIDTH * t->scale), 0xffff);
	t->rows = MIN(fb->height / (CELL_HEIGHT * t->scale), FBTEXT_MAX_ROWS);
	t->colour = pixel(t, guest_colour);
	if (!fb->base || !t->cols || t->rows < 2 || fb->stride < fb->width ||
	    (u64)fb->stride * fb->height > fb->size / sizeof(u32))
		return -EINVAL;
	fill(t, 0, 0, fb->width, fb->height, 0);
	return 0;
}

void fbtext_write(struct fbtext *t, const void *text, size_t len)
{
	output_lock(&t->lock);
	for (size_t i = 0; i < len; i++)
		put(t, ((const u8 *)text)[i]);
	output_unlock(&t->lock);
}

static void sink_write(struct printk_sink *sink, const char *text, size_t len)
{
	struct fbtext *t = container_of(sink, struct fbtext, sink);

	output_lock(&t->lock);
	t->state = FBTEXT_PLAIN; /* an unfinished sequence of a guest must not swallow the log */
	t->colour = pixel(t, log_colour);
	if (t->col)
		new_line(t);
	for (size_t i = 0; i < len; i++)
		put_plain(t, (u8)text[i]);
	t->colour = pixel(t, guest_colour);
	output_unlock(&t->lock);
}

void fbtext_add_sink(struct fbtext *t, enum log_level level)
{
	t->sink.write = sink_write;
	t->sink.level = level;
	printk_add_sink(&t->sink);
}
