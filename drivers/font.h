/* SPDX-License-Identifier: BSD-2-Clause */
/* A small font for text on a framebuffer: ASCII, and a box for everything else. */
#ifndef DRIVERS_FONT_H
#define DRIVERS_FONT_H

#include "lib/types.h"

#define FONT_WIDTH  5
#define FONT_HEIGHT 9 /* of which the lower 2 are for descenders */

#define FONT_SET    '#'

/* Line @y (< FONT_HEIGHT, from the top) of @c's glyph: FONT_WIDTH characters, FONT_SET for a pixel that is set. */
const char *font_line(u8 c, unsigned int y);

#endif
