/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual interface that Linux knows from KVM: its numbers, and what lies in guest memory.
 * Linux, Documentation/virt/kvm/x86: "KVM CPUID bits", "KVM-specific MSRs", "Linux KVM Hypercall".
 */
#ifndef VMM_VCPU_PV_ABI_H
#define VMM_VCPU_PV_ABI_H

#include "lib/types.h"

/* CPUID leaf of the features (EAX) and hints (EDX), and the bits there. */
#define PV_CPUID_FEATURES 0x40000001u

enum pv_feature {
	PV_FEATURE_NOP_IO_DELAY = 1, /* ports need no delay between accesses */
	PV_FEATURE_CLOCK = 3,        /* "CLOCKSOURCE2": by the MSRs below */
	PV_FEATURE_STEAL_TIME = 5,
	PV_FEATURE_EOI = 6,
	PV_FEATURE_UNHALT = 7,
	PV_FEATURE_TLB_FLUSH = 9,
	PV_FEATURE_SEND_IPI = 11,
	PV_FEATURE_POLL_CONTROL = 12,
	PV_FEATURE_SCHED_YIELD = 13,
	PV_FEATURE_CLOCK_STABLE = 24, /* PV_CLOCK_STABLE in the flags means something */
};

#define PV_HINT_REALTIME 0x1u /* each vCPU has a CPU of its own */

enum pv_msr {
	PV_MSR_WALL_CLOCK = 0x4b564d00,
	PV_MSR_CLOCK = 0x4b564d01,
	PV_MSR_STEAL_TIME = 0x4b564d03,
	PV_MSR_EOI = 0x4b564d04,
	PV_MSR_POLL_CONTROL = 0x4b564d05,
};

/* In the MSRs that register memory: it is in use. */
#define PV_ENABLE BIT(0)

enum pv_hypercall {
	PV_CALL_POLL_IRQ = 1,
	PV_CALL_KICK_CPU = 5,
	PV_CALL_SEND_IPI = 10,
	PV_CALL_SCHED_YIELD = 11,
	PV_CALLS,
};

/* What a hypercall gives back in RAX when it has not been done. */
#define PV_EPERM  (-1)
#define PV_EINVAL (-22)
#define PV_ENOSYS (-1000)

/*
 * Nanoseconds = ((TSC - tsc_timestamp) << shift) * mul >> 32, + system_time; shift < 0: >>
 * -shift.
 */
struct pv_clock_area {
	u32 version; /* odd while it is written */
	u32 pad0;
	u64 tsc_timestamp;
	u64 system_time;
	u32 mul;
	s8 shift;
	u8 flags;
	u8 pad[2];
} __packed;
_Static_assert(sizeof(struct pv_clock_area) == 32, "KVM: struct pvclock_vcpu_time_info");
_Static_assert(offsetof(struct pv_clock_area, mul) == 24, "KVM: tsc_to_system_mul");

#define PV_CLOCK_STABLE BIT(0) /* the clocks of all vCPUs are one */

struct pv_wall_clock {
	u32 version;
	u32 sec, nsec; /* of the wall clock when the PV clock was 0 */
};
_Static_assert(sizeof(struct pv_wall_clock) == 12, "KVM: struct pvclock_wall_clock");

struct pv_steal_area {
	u64 steal; /* ns */
	u32 version;
	u32 flags;
	u8 preempted; /* PV_PREEMPTED, and what the guest asks for meanwhile */
	u8 pad[47];
};
_Static_assert(sizeof(struct pv_steal_area) == 64, "KVM: struct kvm_steal_time");
_Static_assert(offsetof(struct pv_steal_area, version) == 8, "KVM: version");
_Static_assert(offsetof(struct pv_steal_area, preempted) == 16, "KVM: preempted");

#define PV_PREEMPTED BIT(0)
#define PV_FLUSH_TLB BIT(1)

#define PV_EOI_BIT   BIT(0) /* of the first byte: clearing it is the EOI */

#endif
