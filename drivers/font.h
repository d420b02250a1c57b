/* A small font for text on a framebuffer: ASCII, and a box for everything else. */
#ifndef DRIVERS_FONT_H
#define DRIVERS_FONT_H

#include "lib/types.h"

#define FONT_WIDTH  5
#define FONT_HEIGHT 9 /* of which the lower 2 are for descenders */

/* Is the pixel (x, y) of @c's glyph set? x < FONT_WIDTH, y < FONT_HEIGHT, from the top left. */
bool font_pixel(u8 c, unsigned int x, unsigned int y);

#endif
