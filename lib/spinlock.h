/* SPDX-License-Identifier: BSD-2-Clause */
/* A lock for what CPUs change together. Holders do not sleep, and have interrupts off. */
#ifndef LIB_SPINLOCK_H
#define LIB_SPINLOCK_H

#include <stdatomic.h>
#include "lib/types.h"

struct spinlock {
	atomic_bool taken;
};

static inline void spin_lock(struct spinlock *lock)
{
	while (atomic_exchange_explicit(&lock->taken, true, memory_order_acquire)) {
		while (atomic_load_explicit(&lock->taken, memory_order_relaxed))
			__asm__ volatile("pause");
	}
}

/* True: it is ours now. For who must not wait, because he holds another one. */
static inline bool spin_trylock(struct spinlock *lock)
{
	return !atomic_load_explicit(&lock->taken, memory_order_relaxed) &&
	       !atomic_exchange_explicit(&lock->taken, true, memory_order_acquire);
}

static inline void spin_unlock(struct spinlock *lock)
{
	atomic_store_explicit(&lock->taken, false, memory_order_release);
}

#endif
