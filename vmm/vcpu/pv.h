/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual interface (pv_abi.h): what a vCPU and a VM keep for it, and when the VMM must
 * tell it what happens. `hide = pv` leaves it out: then nothing can be registered, and all of
 * this does nothing.
 *
 * A guest registers memory by writing its address to an MSR. It is checked then, and reached
 * only through lib/guest_mem.h, which checks it again, each time.
 */
#ifndef VMM_VCPU_PV_H
#define VMM_VCPU_PV_H

#include "lib/types.h"
#include "vmm/vcpu/pv_abi.h"
#include "vmm/vm/vm_pv.h"

struct vcpu;
struct vm;

/* Registrations, as the guest wrote them to the MSRs: address and PV_ENABLE. */
struct vcpu_pv {
	u64 clock;
	u64 steal;
	u64 eoi;
	u64 poll_control;
	u64 waited;       /* ticks that it has waited for CPUs so far */
	u64 steal_from;   /* of these: when the area was registered */
	u64 steal_base;   /* ns that stood there then */
	u64 steal_told;   /* of waited: what the area says */
	bool calls;       /* the guest is offered hypercalls */
	bool preempted;   /* the area says so */
	bool eoi_offered; /* the guest may end its interrupt by clearing PV_EOI_BIT */
	bool unhalted;    /* kicked while it did not halt: the next HLT ends at once */
};

/* Before the VM's first vCPU: the clock, from vm->tsc_base. */
void pv_vm_init(struct vm *vm);

/* After INIT and at the start: nothing is registered. */
void pv_reset(struct vcpu *vcpu);

/*
 * @vcpu has been given a CPU, this one, and is loaded; before it enters the guest. @waited:
 * host TSC ticks that it has been runnable without a CPU, since it exists.
 */
void pv_vcpu_loaded(struct vcpu *vcpu, u64 waited);

/*
 * @vcpu loses its CPU, between two of its instructions; before another CPU may load it.
 * @runnable: against its will.
 */
void pv_vcpu_unloaded(struct vcpu *vcpu, bool runnable);

/* Nanoseconds, rounded down. Neither divides nor overflows before 2^60 ticks. */
static inline u64 pv_scale_ns(const struct pv_scale *scale, u64 ticks)
{
	ticks = scale->shift < 0 ? ticks >> -scale->shift : ticks << scale->shift;
	return (ticks >> 32) * scale->mul + ((ticks & 0xffffffff) * scale->mul >> 32);
}

/* --- for the parts of it: pv_*.c --- */

/*
 * May the guest register [gpa, gpa + size)? All of it RAM, and @align (a power of two) divides gpa.
 */
bool pv_is_ram(const struct vm *vm, gpa_t gpa, u64 size, u64 align);

/*
 * Write @len bytes at @gpa so that a reader on another CPU knows a half-written state by the u32 at
 * @version: odd while it changes, and never the same again.
 */
void pv_publish(const struct vm *vm, gpa_t version, gpa_t gpa, const void *data, size_t len);

/* PV_MSR_POLL_CONTROL: kept for the guest. The VMM never polls before it lets a CPU halt. */
bool pv_read_poll_control(struct vcpu *vcpu, u32 msr, u64 *value) __must_check;
bool pv_write_poll_control(struct vcpu *vcpu, u32 msr, u64 value) __must_check;

#endif
