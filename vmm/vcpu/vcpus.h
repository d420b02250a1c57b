/* SPDX-License-Identifier: BSD-2-Clause */
/* The vCPUs of a VM, all together: made, handed to the scheduler, and what the VM asks of them. */
#ifndef VMM_VCPU_VCPUS_H
#define VMM_VCPU_VCPUS_H

#include "vmm/load/guest_entry.h"
#include "vmm/vcpu/vcpu.h"

struct vm;

/*
 * Make the vCPUs of @vm, whose memory, devices and image are ready; the first one starts at @entry; what
 * comes out of their guests goes by @exits. -errno, with vm->vcpus of them made. In VMX operation; this CPU holds no vCPU afterwards unless it failed: vcpu_unload.
 */
int vcpus_init(struct vm *vm, const struct guest_entry *entry,
	       const struct exit_ways *exits) __must_check;

/* They end: what they have of the machine, and not of the VM's memory, is given back. No CPU has one of them. */
void vcpus_end(struct vm *vm);

/* Hand them to the scheduler, which leaves them alone until they are woken; and take them back. -errno of sched_add. */
int vcpus_schedule(struct vm *vm) __must_check;
void vcpus_unschedule(struct vm *vm);

/* Has no CPU a vCPU of @vm any more? Once the VM has stopped, that stays so. */
bool vcpus_have_left(const struct vm *vm);

/*
 * To be called by the vCPU whose access made the console's line refuse something (vm->console_refused), with
 * vm->lock. If it has filled a transmitter it has to wait for room: the UART could tell it so by LSR, but Linux's
 * console waits 10 ms and then writes all the same; on the virtio console it spins. This way no byte is lost, and
 * no time.
 */
void vcpu_hold(struct vcpu *vcpu);

/* What the VM asks of them: for vm->vcpu_ops. */
struct vm_vcpu_ops;
extern const struct vm_vcpu_ops vcpus_ops;

#endif
