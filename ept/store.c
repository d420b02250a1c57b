/* SPDX-License-Identifier: BSD-2-Clause */
#include "ept/table.h"

void ept_store(u64 *entry, u64 value)
{
	/* A processor that follows a new table finds it filled: those writes come first. */
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}
