/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside view: what exits take (exit_stats.h) and what happens when (trace.h), switched on and off
 * at run time. While all is off the way of an exit has not one instruction for it: the run loop exists
 * twice, and asks here once for each round which one is to be used.
 */
#ifndef VMM_OBSERVE_INSIDE_H
#define VMM_OBSERVE_INSIDE_H

#include <stdatomic.h>
#include "lib/types.h"
#include "vmm/observe/trace.h"
#include "vmm/config.h"

/*
 * What an exit goes through exists twice: for a turn that somebody looks at, with a @view, and with NULL for it,
 * which leaves not an instruction of what is done for one.
 */
#define TWICE static __always_inline

struct cpu;
struct exit_stats;
struct vcpu;
struct vm;

#define INSIDE_TIMES    0x1u
#define INSIDE_TRACE    0x2u
#define INSIDE_DUE      0x4u /* something is to be printed, once nobody writes to it any more */
#define INSIDE_PRINTING 0x8u /* and now it is */

/* In cpu->looks: who writes times is counted in the lower half, who writes events in the upper one. */
#define INSIDE_LOOKS(what) (((what)&INSIDE_TIMES ? 1u : 0) + ((what)&INSIDE_TRACE ? 0x10000u : 0))
#define INSIDE_LOOKS_TIMES 0x0000ffffu
#define INSIDE_LOOKS_TRACE 0xffff0000u

/* INSIDE_*: what is wanted now. Set by inside.c alone. */
extern atomic_uint inside_wanted;

static inline bool inside_on(void)
{
	return unlikely(atomic_load_explicit(&inside_wanted, memory_order_relaxed));
}

/* Switch on what @config asks for, on the machine's @cpus CPUs. */
void inside_init(const struct host_config *config, unsigned int cpus);

/* The console's keys, on the boot CPU: begin, or stop and print. */
void inside_key_times(void);
void inside_key_trace(void);

/* On the boot CPU, between turns: print what is due, as far as the line has room. */
void inside_tend(void);

/* All VMs are off, and no CPU comes back to the run loop: print what is left to be printed, waiting for the line. */
void inside_end(void);

/* What is wanted has changed, or @vm has just started: see to its part. On its home CPU, without vm->lock. */
void inside_vm_update(struct vm *vm);

/* The number of the measurement that goes on, or of the last one: those of struct exit_stats with another are old. */
unsigned int inside_generation(void);

/* --- a turn of a vCPU that is looked at (inside_view.c) --- */

struct inside_view {
	unsigned int what;        /* INSIDE_TIMES, INSIDE_TRACE */
	struct exit_stats *stats; /* NULL: no times */
	struct trace_ring *ring;  /* NULL: no trace */
	u64 reads, writes;        /* VMREADs and VMWRITEs of this CPU that are accounted for */
};

void inside_turn_begin(struct inside_view *view, struct cpu *cpu, struct vcpu *vcpu);
void inside_turn_end(struct inside_view *view, struct cpu *cpu, struct vcpu *vcpu, bool blocked);

/* vcpu_inject, and note what it has given. */
void inside_inject(struct inside_view *view, struct vcpu *vcpu);

/* @vcpu, which has left the guest at @left, enters it at @now; it has left it at @now. */
void inside_entry(struct inside_view *view, const struct vcpu *vcpu, u64 left, u64 now);
void inside_exit(struct inside_view *view, const struct vcpu *vcpu, u64 now);

/* It waits without leaving its CPU, or goes on. */
void inside_wait(struct inside_view *view, const struct vcpu *vcpu, bool waits);

/* An event of @vm's devices, on any CPU, whether that looks at a turn or not. */
void inside_device(const struct vm *vm, enum trace_kind kind, u32 what, u32 arg);

#endif
