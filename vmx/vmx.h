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
 * The guest's general registers. RSP, RIP and RFLAGS live in the VMCS. vmx/entry.asm knows this
 * layout: it pushes and pops the struct itself, HOST_RSP being the address behind rax.
 */
struct guest_regs {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 host_rsp; /* entry.asm's own: the VMM's stack while the guest runs */
};
_Static_assert(offsetof(struct guest_regs, rax) == 14 * 8, "entry.asm: push order");
_Static_assert(offsetof(struct guest_regs, host_rsp) == 15 * 8, "entry.asm: HOST_RSP");

/* How an attempt to enter a guest ended. A failed VM entry (exit reason bit 31) is an exit too. */
enum vmx_entry_result { VMX_EXITED = 0, VMX_FAIL_INVALID = 1, VMX_FAIL_VALID = 2 };

/*
 * VMLAUNCH or VMRESUME of the current VMCS with @regs; comes back after the exit. Interrupts must
 * be off and are off afterwards. HOST_RSP must be &regs->host_rsp, HOST_RIP vmx_exit.
 */
enum vmx_entry_result vmx_enter(struct guest_regs *regs, bool launched);
extern const char vmx_exit[];

/*
 * After a failed entry for invalid guest state: the first check of SDM, "Checks on the Guest State
 * Area", that the current VMCS does not pass, in words; or "no check that Lintel knows".
 */
const char *vmx_guest_state_fault(const struct vmx_caps *caps);

#endif
