/* SPDX-License-Identifier: BSD-2-Clause */
/* Bitmaps in arrays of 64-bit words; bit 0 is the lowest bit of word 0. */
#ifndef LIB_BITMAP_H
#define LIB_BITMAP_H

#include "lib/types.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline bool bitmap_test(const u64 *map, unsigned int bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(u64 *map, unsigned int bit)
{
	map[bit / 64] |= BIT(bit % 64);
}

static inline void bitmap_clear(u64 *map, unsigned int bit)
{
	map[bit / 64] &= ~BIT(bit % 64);
}

#endif
