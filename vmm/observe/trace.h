/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace: what each physical CPU has done last, as events in a ring of its own, which overwrites the
 * oldest. A CPU writes to its own ring alone, with interrupts off: no locks. As text it is printed when
 * nobody writes any more; tools/trace makes of that what a viewer opens.
 */
#ifndef VMM_OBSERVE_TRACE_H
#define VMM_OBSERVE_TRACE_H

#include "lib/types.h"

/* Bytes of a ring, where nobody asks for another number (CONFIG_TRACE_MIN to CONFIG_TRACE_MAX). */
#define TRACE_DEFAULT KIB(64)

/* What happened, and what ->what and ->arg are then. The letters, none of which is a digit, are the text's. */
enum trace_kind {
	TRACE_EXIT = 'x',   /* basic exit reason; port, MSR, CPUID leaf, guest-physical address */
	TRACE_ENTRY = 'n',  /* nothing */
	TRACE_INJECT = 'j', /* vector; type of the event, as in the VMCS, >> 8 */
	TRACE_IN = 's',     /* the vCPU has the CPU from now on */
	TRACE_OUT = 'o',    /* and no longer; 1: because it has nothing to do */
	TRACE_KICK = 'k',   /* virtio: slot << 8 | queue */
	TRACE_INTERRUPT = 'i', /* virtio: slot << 8; vector of the message, or 256 for the pin */
};

struct trace_event {
	u64 tsc;
	u32 arg;
	u16 what;
	u8 kind;
	u8 who; /* VM << 4 | vCPU; that vCPU is 0 where the VM as a whole is meant */
};
_Static_assert(sizeof(struct trace_event) == 16, "a ring's size is in bytes");

#define TRACE_WHO(vm, vcpu) ((u8)((vm) << 4 | (vcpu)))

struct trace_ring {
	struct trace_event *event;
	u64 mask; /* events less 1 */
	u64 next; /* events since it was cleared */
};

static inline void trace_put(struct trace_ring *r, u64 tsc, enum trace_kind kind, u8 who, u32 what,
			     u32 arg)
{
	r->event[r->next++ & r->mask] = (struct trace_event){
		.tsc = tsc, .arg = arg, .what = (u16)what, .kind = (u8)kind, .who = who
	};
}

/* @bytes at @memory, a power of two, become an empty ring. */
void trace_ring_init(struct trace_ring *r, void *memory, u64 bytes);

/* The number of the oldest event that is still there; r->next: none is. */
u64 trace_oldest(const struct trace_ring *r);

/*
 * The events from number *@at on as one line of text in @buf of @size (>= 64) bytes, as many as there is room
 * for; *@at becomes the number of the first one left. The line begins with the TSC of the first one. Each is: ticks
 * since the one before, its letter, ->who and a colon unless that one's was the same, ->what unless it is 0, and a
 * dot and ->arg unless that is 0. All numbers are hexadecimal.
 */
size_t trace_line(const struct trace_ring *r, u64 *at, char *buf, size_t size);

#endif
