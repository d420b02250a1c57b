/* SPDX-License-Identifier: BSD-2-Clause */
/* The words that all of Lintel is written in: integer types, bits, alignment, attributes. */
#ifndef LIB_TYPES_H
#define LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef u64 gpa_t; /* guest-physical address, bytes */
typedef u64 hpa_t; /* host-physical address, bytes; the VMM maps RAM one to one */

#define BIT(n)           (1ULL << (n))
#define GENMASK(hi, lo)  ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))
#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define ALIGN_DOWN(x, a) ((x) & ~((a)-1)) /* a: a power of two of x's own width */
#define ALIGN_UP(x, a)   (((x) + (a)-1) & ~((a)-1))
#define IS_ALIGNED(x, a) (((x) & ((a)-1)) == 0)

#define KIB(n)           ((u64)(n) << 10)
#define MIB(n)           ((u64)(n) << 20)
#define GIB(n)           ((u64)(n) << 30)

/* What CPUs take from each other in one piece. */
#define CACHE_LINE 64

#define PAGE_SIZE  4096UL

/* Either may be evaluated twice: no functions that do something, and nothing that others change meanwhile. */
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)

#define __packed                        __attribute__((packed))
#define __noreturn                      __attribute__((noreturn))
#define __must_check                    __attribute__((warn_unused_result))
#define __noinline                      __attribute__((noinline))
#define __format(fmt, arg)              __attribute__((format(printf, fmt, arg)))

#undef __always_inline /* the C library's, in tests */
#define __always_inline inline __attribute__((always_inline))

static inline u32 lower_32(u64 v)
{
	return (u32)v;
}

static inline u32 upper_32(u64 v)
{
	return (u32)(v >> 32);
}

static inline u64 make_64(u32 hi, u32 lo)
{
	return (u64)hi << 32 | lo;
}

#endif
