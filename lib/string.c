/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/string.h"

#if !__STDC_HOSTED__

/*
 * REP MOVSQ/STOSQ: fast strings on every CPU with VT-x, older ones without ERMSB included, and no
 * vector register. An emulator, which executes them step by step, takes an eighth of the steps.
 * Upwards, as memmove() relies on.
 */
void *(memcpy)(void *restrict dst, const void *restrict src, size_t n)
{
	size_t words = n / sizeof(u64);
	const u8 *s = src;
	u8 *d = dst;

	if (words)
		__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
	for (n %= sizeof(u64); n; n--)
		*d++ = *s++;
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	u8 *d = dst;
	const u8 *s = src;

	if (d <= s || d >= s + n)
		return memcpy(dst, src, n);
	while (n >= sizeof(u64)) {
		u64 word;

		n -= sizeof(word);
		__builtin_memcpy(&word, s + n, sizeof(word));
		__builtin_memcpy(d + n, &word, sizeof(word));
	}
	while (n--)
		d[n] = s[n];
	return dst;
}

void *(memset)(void *dst, int c, size_t n)
{
	size_t words = n / sizeof(u64), rest = n % sizeof(u64);
	u8 *d = dst;

	__asm__ volatile("rep stosq"
			 : "+D"(d), "+c"(words)
			 : "a"((u8)c * 0x0101010101010101)
			 : "memory");
	while (rest--)
		*d++ = (u8)c;
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	const u8 *p = s;

	for (; n; n--, p++) {
		if (*p == (u8)c)
			return (void *)(uintptr_t)p;
	}
	return NULL;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, (size_t)-1);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (!*s)
			return NULL;
	}
}

#endif

size_t str_copy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src);
	size_t n = MIN(len, size - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
	return len;
}
