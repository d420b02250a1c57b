/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual interface as a guest knows it from KVM. Written down again, from Linux's
 * Documentation/virt/kvm/x86, so that the VMM's own header is not its own witness.
 */
#ifndef KVM_H
#define KVM_H

#include "micro.h"

#define KVM_FEATURES       0x40000001
#define KVM_HAS_CLOCK      BIT(3)
#define KVM_HAS_STABLE     BIT(24)

#define MSR_WALL_CLOCK     0x4b564d00
#define MSR_SYSTEM_TIME    0x4b564d01
#define MSR_STEAL_TIME     0x4b564d03
#define MSR_PV_EOI         0x4b564d04
#define MSR_POLL_CONTROL   0x4b564d05
#define MSR_ENABLED        1

#define KVM_HC_KICK_CPU    5
#define KVM_HC_SEND_IPI    10
#define KVM_HC_SCHED_YIELD 11

#define KVM_ENOSYS         (-1000L)
#define KVM_EINVAL         (-22L)

struct time_info {
	volatile u32 version;
	u32 pad0;
	u64 tsc_timestamp, system_time;
	u32 mul;
	s8 shift;
	u8 flags;
	u8 pad[2];
};

struct steal_time {
	volatile u64 steal;
	volatile u32 version;
	u32 flags;
	volatile u8 preempted;
	u8 pad[47];
};

struct wall_clock {
	volatile u32 version;
	u32 sec, nsec;
};

static inline s64 hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	s64 result;

	__asm__ volatile("vmcall"
			 : "=a"(result)
			 : "a"(nr), "b"(a0), "c"(a1), "d"(a2), "S"(a3)
			 : "memory");
	return result;
}

/* @physical, by the one-to-one mapping. */
static inline u64 physical(const volatile void *p)
{
	return (u64)(uintptr_t)p;
}

/* Nanoseconds of the clock in @t, now. */
u64 kvm_clock(const struct time_info *t);

#endif
