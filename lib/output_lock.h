/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock of what carries the log. An exception may strike inside of it and print on its own way
 * out, so that it is taken from an owner that does not give it back: a torn line is better than a
 * silent panic. Owners hold it for a bounded time only.
 */
#ifndef LIB_OUTPUT_LOCK_H
#define LIB_OUTPUT_LOCK_H

#include "lib/types.h"

struct output_lock {
	bool taken;
};

/* A few tenths of a second on real machines: an owner may wait 90 ms for a serial line. */
#define OUTPUT_LOCK_SPINS 30000000u

static inline void output_lock(struct output_lock *lock)
{
	for (unsigned int i = 0; i < OUTPUT_LOCK_SPINS; i++) {
		if (!__atomic_exchange_n(&lock->taken, true, __ATOMIC_ACQUIRE))
			return;
		__asm__ volatile("pause");
	}
}

static inline void output_unlock(struct output_lock *lock)
{
	__atomic_store_n(&lock->taken, false, __ATOMIC_RELEASE);
}

#endif
