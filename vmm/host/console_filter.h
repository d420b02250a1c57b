/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What begins with "lintel:" on the console is Lintel's: a guest that says so is shown with "lintel."
 * instead, also when it hides escape sequences or NULs, which a terminal does not show, in the word.
 * (A guest can still paint what it likes on a terminal that obeys its cursor movements; but not in
 * what a log keeps or a script reads.)
 */
#ifndef VMM_HOST_CONSOLE_FILTER_H
#define VMM_HOST_CONSOLE_FILTER_H

#include "lib/types.h"

/* Where a stream of output is. Zeroed at its beginning. */
struct console_filter {
	u8 matched; /* bytes of the word */
	u8 escape;  /* in which part of an escape sequence */
};

/* Copy @len bytes of output from @src to @dst (they may be the same), changed where necessary. */
void console_filter(struct console_filter *f, u8 *dst, const u8 *src, size_t len);

#endif
