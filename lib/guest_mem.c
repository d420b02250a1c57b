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

bool guest_read(const struct guest_mem *mem, gpa_t gpa, void *buf, size_t len)
{
	u8 *dst = buf;
	u64 run;

	if (!guest_mem_contains(mem, gpa, len))
		return false;
	for (; len; len -= run, gpa += run, dst += run) {
		const u8 *src = guest_ptr(mem, gpa, &run);

		run = MIN(run, len);
		memcpy(dst, src, run);
		/* The copy is the truth from here on: the compiler may not go back to the guest. */
		__asm__ volatile("" : : : "memory");
	}
	return true;
}

bool guest_write(const struct guest_mem *mem, gpa_t gpa, const void *buf, size_t len)
{
	const u8 *src = buf;
	u64 run;

	if (!guest_mem_contains(mem, gpa, len))
		return false;
	for (; len; len -= run, gpa += run, src += run) {
		u8 *dst = guest_ptr(mem, gpa, &run);

		run = MIN(run, len);
		memcpy(dst, src, run);
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

u64 guest_mem_size(const struct guest_mem *mem)
{
	u64 size = 0;

	for (unsigned int i = 0; i < mem->slots; i++)
		size += mem->slot[i].size;
	return size;
}
