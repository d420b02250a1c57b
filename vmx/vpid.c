/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/vpid.h"
#include "lib/bitmap.h"
#include "lib/printk.h"
#include "lib/spinlock.h"

static struct spinlock lock;
static u64 used[BITMAP_WORDS(VPID_COUNT)] = { BIT(VPID_NONE) };

u16 vpid_alloc(void)
{
	unsigned int vpid = VPID_NONE;

	spin_lock(&lock);
	for (unsigned int i = 0; i < ARRAY_SIZE(used); i++) {
		if (!~used[i])
			continue;
		vpid = 64 * i + (unsigned int)__builtin_ctzll(~used[i]);
		bitmap_set(used, vpid);
		break;
	}
	spin_unlock(&lock);
	return (u16)vpid;
}

void vpid_free(u16 vpid)
{
	if (vpid == VPID_NONE)
		return;
	spin_lock(&lock);
	if (vpid >= VPID_COUNT || !bitmap_test(used, vpid))
		panic("VPID %u is nobody's", vpid);
	bitmap_clear(used, vpid);
	spin_unlock(&lock);
}
