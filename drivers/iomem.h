/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device registers in memory. A device may see the accesses of a CPU in another order than that of the program
 * unless they are to uncached memory, as these are: what was stored to RAM before a register is written
 * is visible to the device then.
 */
#ifndef DRIVERS_IOMEM_H
#define DRIVERS_IOMEM_H

#include "lib/types.h"

#if __STDC_HOSTED__

/* Host tests bring a device of their own: tests/unit/fake_iomem.h. @size: bytes, 1 to 8. */
u64 iomem_read(const void *at, unsigned int size);
void iomem_write(void *at, u64 value, unsigned int size);

#	define IOMEM_ACCESSORS(bits)                                    \
		static inline u##bits io_read##bits(const void *at)      \
		{                                                        \
			return (u##bits)iomem_read(at, sizeof(u##bits)); \
		}                                                        \
                                                                         \
		static inline void io_write##bits(void *at, u##bits v)   \
		{                                                        \
			iomem_write(at, v, sizeof(u##bits));             \
		}

#else

#	define IOMEM_ACCESSORS(bits)                                  \
		static inline u##bits io_read##bits(const void *at)    \
		{                                                      \
			u##bits v = *(const volatile u##bits *)at;     \
                                                                       \
			__asm__ volatile("" : : : "memory");           \
			return v;                                      \
		}                                                      \
                                                                       \
		static inline void io_write##bits(void *at, u##bits v) \
		{                                                      \
			__asm__ volatile("" : : : "memory");           \
			*(volatile u##bits *)at = v;                   \
		}

#endif

IOMEM_ACCESSORS(8)
IOMEM_ACCESSORS(16)
IOMEM_ACCESSORS(32)
#undef IOMEM_ACCESSORS

/* Two halves, lower one first: not every device takes 64 bits at once. */
static inline u64 io_read64(const void *at)
{
	u32 lo = io_read32(at);

	return make_64(io_read32((const u8 *)at + 4), lo);
}

static inline void io_write64(void *at, u64 v)
{
	io_write32(at, lower_32(v));
	io_write32((u8 *)at + 4, upper_32(v));
}

#endif
