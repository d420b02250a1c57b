/* SPDX-License-Identifier: BSD-2-Clause */
/* 64-bit arithmetic with a 128-bit middle, without libgcc's __udivti3. */
#ifndef LIB_MATH_H
#define LIB_MATH_H

#include "lib/types.h"

/* a * b / d, rounded down; saturates to ~0 where the quotient does not fit. d must not be 0. */
static inline u64 mul_div(u64 a, u64 b, u64 d)
{
	u64 lo, hi;

	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "0"(a), "rm"(b) : "cc");
	if (hi >= d)
		return ~0ULL;
	__asm__("divq %2" : "+a"(lo), "+d"(hi) : "rm"(d) : "cc");
	return lo;
}

#endif
