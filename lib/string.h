/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of <string.h> that Lintel uses. On the host the C library provides it;
 * in the image lib/string.c does (the compiler emits calls to mem* by itself).
 */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include "lib/types.h"

#if __STDC_HOSTED__
#	include <string.h>
#else
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/* A few bytes, of a number known at compile time, are moves: REP has to get going first. */
#	define memcpy(dst, src, n) __builtin_memcpy(dst, src, n)
#	define memset(dst, c, n)   __builtin_memset(dst, c, n)
#endif

/*
 * Copy the string @src to @dst of @size bytes (> 0), always NUL-terminated.
 * Returns strlen(src): a result >= @size says that it was cut.
 */
size_t str_copy(char *dst, const char *src, size_t size);

#endif
