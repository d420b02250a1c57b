/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/guest_mem.h"
#include "lib/errno.h"
#include "lib/string.h"

int guest_mem_add(struct guest_mem *mem, gpa_t gpa, u64 size, u8 *host)
{
	const struct guest_mem_slot *last = mem->slots ? &mem->slot[mem->slots - 1] : NULL;

	if (!size || gpa + size < gpa || !IS_ALIGNED(gpa | size, PAGE_SIZE))
		return -EINVAL;
	if (last && gpa < last->gpa + last->size)
		return -EINVAL;
	if (mem->slots == GUEST_MEM_SLOTS)
		return -ENOSPC;
	mem->slot[mem->slots++] = (struct guest_mem_slot){ gpa, size, host };
	return 0;
}

/* The VMM's address of @gpa, and in @run how many bytes follow it in the same slot; or NULL. */
static u8 *guest_ptr(const struct guest_mem *mem, gpa_t gpa, u64 *run)
{
	for (unsigned int i = 0; i < mem->slots; i++) {
		const struct guest_mem_slot *s = &mem->slot[i];

		if (gpa >= s->gpa && gpa - s->gpa < s->size) {
			*run = s->size - (gpa - s->gpa);
			return s->host + (gpa - s->gpa);
		}
	}
	*run = 0;
	return NULL;
}

bool guest_mem_contains(const struct guest_mem *mem, gpa_t gpa, u64 len)
{
	u64 run;

	if (gpa + len < gpa)
		return false;
	while (len) {
		if (!guest_ptr(mem, gpa, &run))
			return false;
		run = MIN(run, len);
		gpa += run;
		len -= run;
	}
	return true;
}

u64 guest_mem_host(const struct guest_mem *mem, gpa_t gpa, u64 len, hpa_t *hpa)
{
	u64 run;

	*hpa = (hpa_t)(uintptr_t)guest_ptr(mem, gpa, &run);
	return MIN(run, len);
}

/*
 * A word that the guest's other CPUs use as one, such as the index of a ring, is one access: of a
 * copy byte by byte they, or we, could see a half.
 */
#define LOAD_WORD(type, dst, src)                                                                  \
	({                                                                                         \
		type word_ = __atomic_load_n((const type *)(const void *)(src), __ATOMIC_RELAXED); \
		memcpy(dst, &word_, sizeof(word_));                                                \
	})

#define STORE_WORD(type, dst, src)                                                \
	({                                                                        \
		type word_;                                                       \
		memcpy(&word_, src, sizeof(word_));                               \
		__atomic_store_n((type *)(void *)(dst), word_, __ATOMIC_RELAXED); \
	})

static void load(u8 *dst, const u8 *src, u64 len)
{
	switch (IS_ALIGNED((uintptr_t)src, len) ? len : 0) {
	case 2: LOAD_WORD(u16, dst, src); break;
	case 4: LOAD_WORD(u32, dst, src); break;
	case 8: LOAD_WORD(u64, dst, src); break;
	default: memcpy(dst, src, len);
	}
	/* The copy is the truth from here on: the compiler may not go back to the guest. */
	__asm__ volatile("" : : : "memory");
}

static void store(u8 *dst, const u8 *src, u64 len)
{
	switch (IS_ALIGNED((uintptr_t)dst, len) ? len : 0) {
	case 2: STORE_WORD(u16, dst, src); break;
	case 4: STORE_WORD(u32, dst, src); break;
	case 8: STORE_WORD(u64, dst, src); break;
	default: memcpy(dst, src, len);
	}
}

/* Nearly everything lies in one slot; what does not is copied only if all of it is there. */
bool guest_read(const struct guest_mem *mem, gpa_t gpa, void *buf, size_t len)
{
	u8 *dst = buf;
	u64 run;
	const u8 *src = guest_ptr(mem, gpa, &run);

	if (likely(src && len <= run)) {
		load(dst, src, len);
		return true;
	}
	if (!guest_mem_contains(mem, gpa, len))
		return false;
	for (; len; len -= run, gpa += run, dst += run) {
		src = guest_ptr(mem, gpa, &run);
		run = MIN(run, len);
		load(dst, src, run);
	}
	return true;
}

bool guest_write(const struct guest_mem *mem, gpa_t gpa, const void *buf, size_t len)
{
	const u8 *src = buf;
	u64 run;
	u8 *dst = guest_ptr(mem, gpa, &run);

	if (likely(dst && len <= run)) {
		store(dst, src, len);
		return true;
	}
	if (!guest_mem_contains(mem, gpa, len))
		return false;
	for (; len; len -= run, gpa += run, src += run) {
		dst = guest_ptr(mem, gpa, &run);
		run = MIN(run, len);
		store(dst, src, run);
	}
	return true;
}

bool guest_clear(const struct guest_mem *mem, gpa_t gpa, size_t len)
{
	u64 run;

	if (!guest_mem_contains(mem, gpa, len))
		return false;
	for (; len; len -= run, gpa += run) {
		u8 *dst = guest_ptr(mem, gpa, &run);

		run = MIN(run, len);
		memset(dst, 0, run);
	}
	return true;
}

/* The VMM's address of a word on its boundary, which lies in one slot: these are whole pages. */
static void *word_ptr(const struct guest_mem *mem, gpa_t gpa, size_t len)
{
	u64 run;

	return IS_ALIGNED(gpa, len) ? guest_ptr(mem, gpa, &run) : NULL;
}

bool guest_xchg(const struct guest_mem *mem, gpa_t gpa, u64 *word, size_t len)
{
	void *p = word_ptr(mem, gpa, len);

	if (!p)
		return false;
	switch (len) {
	case 1: *word = __atomic_exchange_n((u8 *)p, (u8)*word, __ATOMIC_SEQ_CST); return true;
	case 4: *word = __atomic_exchange_n((u32 *)p, (u32)*word, __ATOMIC_SEQ_CST); return true;
	case 8: *word = __atomic_exchange_n((u64 *)p, *word, __ATOMIC_SEQ_CST); return true;
	default: return false;
	}
}

#define CMPXCHG(type, p, old, new)                                                             \
	({                                                                                     \
		type found_ = (type) * (old);                                                  \
		bool done_ = __atomic_compare_exchange_n((type *)(p), &found_, (type)(new), 0, \
							 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
		*(old) = found_;                                                               \
		done_ ? 0 : -EAGAIN;                                                           \
	})

int guest_cmpxchg(const struct guest_mem *mem, gpa_t gpa, u64 *old, u64 new, size_t len)
{
	void *p = word_ptr(mem, gpa, len);

	if (!p)
		return -EFAULT;
	switch (len) {
	case 1: return CMPXCHG(u8, p, old, new);
	case 4: return CMPXCHG(u32, p, old, new);
	case 8: return CMPXCHG(u64, p, old, new);
	default: return -EFAULT;
	}
}

u64 guest_mem_size(const struct guest_mem *mem)
{
	u64 size = 0;

	for (unsigned int i = 0; i < mem->slots; i++)
		size += mem->slot[i].size;
	return size;
}
