/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/console_filter.h"

static const u8 word[] = { 'l', 'i', 'n', 't', 'e', 'l', ':' };
#define WORD_LAST (sizeof(word) - 1)
#define WORD_FALL_BACK \
	1 /* an 'l' that ends "lintel" may begin the word itself; nothing else repeats */

#define INSTEAD_OF_COLON '.'

/* ECMA-48: ESC, then "[", parameters up to 3FH, and a final byte; or ESC and one byte. */
enum escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_PARAMETERS };

#define ESC 0x1b
#define DEL 0x7f

/* Is @byte part of what a terminal obeys instead of showing it? */
static bool is_hidden(struct console_filter *f, u8 byte)
{
	if (byte == ESC) {
		f->escape = ESCAPE_BEGUN;
		return true;
	}
	switch ((enum escape)f->escape) {
	case ESCAPE_BEGUN: f->escape = byte == '[' ? ESCAPE_PARAMETERS : ESCAPE_NONE; return true;
	case ESCAPE_PARAMETERS:
		if (byte >= 0x40)
			f->escape = ESCAPE_NONE;
		return true;
	case ESCAPE_NONE: break;
	}
	return !byte || byte == DEL;
}

static u8 filter_byte(struct console_filter *f, u8 byte)
{
	if (is_hidden(f, byte))
		return byte;
	if (f->matched == WORD_LAST && byte != word[WORD_LAST])
		f->matched = WORD_FALL_BACK;
	if (byte != word[f->matched])
		f->matched = 0;
	if (byte != word[f->matched])
		return byte;
	if (f->matched++ < WORD_LAST)
		return byte;
	f->matched = 0;
	return INSTEAD_OF_COLON;
}

/* Most bytes: nothing has begun, and this begins nothing. */
static inline bool is_plain(const struct console_filter *f, u8 byte)
{
	return byte >= ' ' && byte < DEL && byte != word[0] && !(f->escape | f->matched);
}

void console_filter(struct console_filter *f, u8 *dst, const u8 *src, size_t len)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = likely(is_plain(f, src[i])) ? src[i] : filter_byte(f, src[i]);
}
