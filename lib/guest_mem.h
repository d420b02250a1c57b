/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's physical memory, and the only way to reach it: copies with checked bounds.
 * Each byte is read once, into the VMM's own memory, so that what was checked is what is used
 * (a guest's other CPUs may change it at any time).
 */
#ifndef LIB_GUEST_MEM_H
#define LIB_GUEST_MEM_H

#include "lib/types.h"

#define GUEST_MEM_SLOTS 8

struct guest_mem_slot {
	gpa_t gpa; /* page-aligned */
	u64 size;  /* bytes, a multiple of the page size */
	u8 *host;  /* the VMM's own mapping of it */
};

/* Sorted by address, without overlap. */
struct guest_mem {
	struct guest_mem_slot slot[GUEST_MEM_SLOTS];
	unsigned int slots;
};

/* Append RAM above all that is there; -ENOSPC when the table is full, -EINVAL when it overlaps. */
int guest_mem_add(struct guest_mem *mem, gpa_t gpa, u64 size, u8 *host) __must_check;

/*
 * Copy @len bytes. False, and nothing copied, unless all of [gpa, gpa + len) is RAM.
 * A range may span adjacent slots. A length of 0 is true. A word of 2, 4 or 8 bytes on its own
 * boundary is read or written by one access, so that no CPU sees a half of it.
 */
bool guest_read(const struct guest_mem *mem, gpa_t gpa, void *buf, size_t len) __must_check;
bool guest_write(const struct guest_mem *mem, gpa_t gpa, const void *buf, size_t len) __must_check;

/*
 * guest_read of 8 bytes, by one access, wherever they lie. For what is read again and again, such as the entries of
 * page tables: nearly always it is in the first slot.
 */
static inline __must_check bool guest_read_u64(const struct guest_mem *mem, gpa_t gpa, u64 *value)
{
	typedef u64 __attribute__((aligned(1), may_alias)) any_u64;
	const struct guest_mem_slot *s = &mem->slot[0];
	u64 off = gpa - s->gpa;

	if (unlikely(off >= s->size || s->size - off < sizeof(*value)))
		return guest_read(mem, gpa, value, sizeof(*value));
	*value = *(const volatile any_u64 *)(s->host + off);
	return true;
}

/*
 * 8 bytes that are looked at again and again: found and checked once. Good for as long as the guest's memory is
 * (slots neither change nor go while its vCPUs live).
 */
struct guest_word {
	const volatile void *at; /* NULL: none */
};

static inline __must_check struct guest_word guest_word_at(const struct guest_mem *mem, gpa_t gpa)
{
	const struct guest_mem_slot *s = &mem->slot[0];
	u64 off = gpa - s->gpa;

	if (off >= s->size || s->size - off < sizeof(u64))
		return (struct guest_word){ NULL }; /* elsewhere: guest_read finds it */
	return (struct guest_word){ s->host + off };
}

/* What they are now, by one access. @word is one. */
static inline u64 guest_word_read(struct guest_word word)
{
	typedef u64 __attribute__((aligned(1), may_alias)) any_u64;

	return *(const volatile any_u64 *)word.at;
}

bool guest_clear(const struct guest_mem *mem, gpa_t gpa, size_t len) __must_check;

/*
 * A word of @len bytes (1, 4 or 8) on its own boundary, atomically against the guest's other CPUs,
 * and in order with all memory accesses before and after.
 *
 * guest_xchg stores *@word and leaves in it what was there. False: not RAM, or not on its boundary.
 *
 * guest_cmpxchg stores @new where *@old is. 0; -EAGAIN, and what was found in *@old, where something
 * else is; -EFAULT: not RAM, or not on its boundary. One attempt: how often to try again is for the
 * caller to bound.
 */
bool guest_xchg(const struct guest_mem *mem, gpa_t gpa, u64 *word, size_t len) __must_check;
int guest_cmpxchg(const struct guest_mem *mem, gpa_t gpa, u64 *old, u64 new,
		  size_t len) __must_check;

/* Is all of [gpa, gpa + len) RAM? */
bool guest_mem_contains(const struct guest_mem *mem, gpa_t gpa, u64 len);

/*
 * Host memory behind @gpa: its address in *@hpa, and how many of @len bytes lie there in a row; 0 when @gpa is
 * not RAM. For DMA, and for copies from one guest to another: nobody looks at what is there, since a
 * second look might see something else.
 */
u64 guest_mem_host(const struct guest_mem *mem, gpa_t gpa, u64 len, hpa_t *hpa) __must_check;

/* Bytes of RAM in all. */
u64 guest_mem_size(const struct guest_mem *mem);

#endif
