/* SPDX-License-Identifier: BSD-2-Clause */
/* Formatted text, without locale, floating point or allocation. */
#ifndef LIB_PRINT_H
#define LIB_PRINT_H

#include <stdarg.h>
#include "lib/types.h"

/*
 * Format into @buf of @size bytes (> 0), always NUL-terminated; returns the bytes written
 * without the NUL. Knows %d %i %u %x %X %c %s %p %%, the lengths hh h l ll z, the flags - 0 + # and
 * space, width and precision (also as *). Anything else is printed as it stands.
 */
size_t scnprintf(char *buf, size_t size, const char *fmt, ...) __format(3, 4);
size_t vscnprintf(char *buf, size_t size, const char *fmt, va_list args);

#endif
