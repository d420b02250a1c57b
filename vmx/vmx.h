/* SPDX-License-Identifier: BSD-2-Clause */
/* VT-x on and off, and into a guest and back. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "lib/types.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

/*
 * Can this CPU do VMX, and will the firmware let it? 0, or -ENODEV / -EBUSY with the exact reason
 * and what to do about it printed. With @say also what is well. Sets IA32_FEATURE_CONTROL when the firmware left it unlocked.
 */
int vmx_check_cpu(bool say) __must_check;

/*
 * Enter VMX root operation on this CPU. @region: a zeroed page of the caller's, in use until
 * vmx_off. -EIO (printed) when VMXON fails. SDM, "Enabling and Entering VMX Operation".
 */
int vmx_on(const struct vmx_caps *caps, struct vmcs *region) __must_check;
void vmx_off(void);

enum invept_type { INVEPT_SINGLE = 1, INVEPT_ALL = 2 };
enum invvpid_type { INVVPID_SINGLE = 1, INVVPID_ALL = 2 };

/* Drop cached translations of one EPT (all of them where the CPU cannot tell them apart). */
void vmx_invept(const struct vmx_caps *caps, u64 eptp);
/* Drop cached linear translations of @vpid. */
void vmx_invvpid(const struct vmx_caps *caps, u16 vpid);

/*
 * What is to be done after an exit of the guest with @regs, at host TSC @tsc, for @reason (all 32 bits): these
 * again, to enter it again at once, or NULL to return from vmx_run.
 */
struct guest_regs;
typedef struct guest_regs *vmx_exit_fn(struct guest_regs *regs, u64 tsc, u64 reason);

/*
 * The guest's general registers. RSP, RIP and RFLAGS live in the VMCS. vmx/entry.asm knows this
 * layout: it pushes and pops the struct itself, HOST_RSP being the address behind rax.
 */
struct guest_regs {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 host_rsp; /* entry.asm's own: the VMM's stack while the guest runs */
	vmx_exit_fn *
		on_exit; /* of the next exit; the caller's of vmx_run, and it may change in an exit */
};
_Static_assert(offsetof(struct guest_regs, rax) == 14 * 8, "entry.asm: push order");
_Static_assert(offsetof(struct guest_regs, host_rsp) == 15 * 8, "entry.asm: HOST_RSP");
_Static_assert(offsetof(struct guest_regs, on_exit) == 16 * 8, "entry.asm: ON_EXIT");
_Static_assert(EXIT_REASON == 0x4402, "entry.asm: EXIT_REASON");

/* How an attempt to enter a guest ended. A failed VM entry (exit reason bit 31) is an exit too. */
enum vmx_entry_result { VMX_EXITED = 0, VMX_FAIL_INVALID = 1, VMX_FAIL_VALID = 2 };

/*
 * VMLAUNCH or VMRESUME of the current VMCS with @regs, again after each exit that regs->on_exit wants to be
 * followed by an entry. Interrupts must be off, are off in on_exit and afterwards. HOST_RSP must be &regs->host_rsp,
 * HOST_RIP vmx_exit.
 */
enum vmx_entry_result vmx_run(struct guest_regs *regs, bool launched);
extern const char vmx_exit[];

/*
 * After a failed entry for invalid guest state: the first check of SDM, "Checks on the Guest State
 * Area", that the current VMCS does not pass, in words; or "no check that Lintel knows".
 */
const char *vmx_guest_state_fault(const struct vmx_caps *caps);

#endif
