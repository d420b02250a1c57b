/* SPDX-License-Identifier: BSD-2-Clause */
#include "kvm.h"

/* The TSC is read after the version, and before the version is read again. */
static u64 ordered_tsc(void)
{
	u64 t;

	__asm__ volatile("lfence" : : : "memory");
	t = rdtsc();
	__asm__ volatile("lfence" : : : "memory");
	return t;
}

static u64 scale(u64 ticks, s8 shift, u32 mul)
{
	u64 product, high;

	ticks = shift < 0 ? ticks >> -shift : ticks << shift;
	__asm__("mulq %3" : "=a"(product), "=d"(high) : "0"(ticks), "rm"((u64)mul) : "cc");
	return high << 32 | product >> 32;
}

u64 kvm_clock(const struct time_info *t)
{
	u32 version;
	u64 ns;

	do {
		version = t->version;
		ns = t->system_time + scale(ordered_tsc() - t->tsc_timestamp, t->shift, t->mul);
	} while ((version & 1) || version != t->version);
	return ns;
}
