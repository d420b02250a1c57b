/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text on a linear framebuffer of 32 bits a pixel, as the firmware left it. Its memory may be slow
 * and uncached: it is never read, and only cells that change are written. Nothing scrolls: after the
 * lowest line the text goes on at the top, with a blank line between the new and the old.
 */
#ifndef DRIVERS_FBTEXT_H
#define DRIVERS_FBTEXT_H

#include "lib/output_lock.h"
#include "lib/printk.h"
#include "lib/types.h"

#define FBTEXT_MAX_ROWS 512

struct framebuffer {
	void *base;                /* mapped, for ever */
	u64 size;                  /* bytes */
	u32 width, height, stride; /* pixels */
	bool bgr;                  /* blue in the lowest byte; otherwise red */
};

/* All fields are the driver's. */
struct fbtext {
	struct framebuffer fb;
	struct output_lock lock;
	u32 scale; /* framebuffer pixels to a pixel of the font, each way */
	u32 cols, rows;
	u32 col, row; /* col == cols: the next character begins a new line */
	u32 colour;
	u16 used[FBTEXT_MAX_ROWS]; /* columns from the left that may be other than blank */
	enum { FBTEXT_PLAIN, FBTEXT_ESCAPE, FBTEXT_CSI } state;
	u32 parameter; /* the last number of the escape sequence so far */
	struct printk_sink sink;
};

/* Clears the screen. -EINVAL for a framebuffer that is too small or does not fit its size. */
int fbtext_init(struct fbtext *t, const struct framebuffer *fb) __must_check;

/*
 * Show what a guest writes to its terminal. Of the control characters \n (which returns as well),
 * \r, \b and \t are known, of the ANSI sequences those that edit a line; others are swallowed.
 */
void fbtext_write(struct fbtext *t, const void *text, size_t len);

/* Make it a sink of printk, always beginning on a new line. */
void fbtext_add_sink(struct fbtext *t, enum log_level level);

#endif
