/*
 * A virtual CPU: the guest state that the processor does not keep in the VMCS, the VMCS that runs
 * it, and what is known of its last exit.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include "lib/types.h"
#include "vioapic/vlapic.h"
#include "vmm/cpuid.h"
#include "vmm/guest_entry.h"
#include "vmm/cpu.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmx.h"

struct vm;

/* An event that waits for the next VM entry, in the words of "VM-Entry Controls for Event Injection". */
struct vcpu_event {
	u32 info; /* INTR_INFO_*; not valid: none */
	u32 error;
	u32 length; /* of the instruction, for software interrupts and exceptions */
};

/* Registers that the processor does not switch at exits, and the VMM does not use. */
struct vcpu_fpu {
	_Alignas(64)
		u8 area[4096]; /* XSAVE, standard form: x87, SSE, AVX, AVX-512 need 2696 bytes */
};

#define VCPU_MSRS 6
#define VCPU_LOG  32 /* a power of two */

struct vcpu {
	struct guest_regs regs;
	struct vm *vm;
	unsigned int id;
	struct vmcs *vmcs;
	bool launched;
	bool halted;            /* HLT: waits for an interrupt */
	bool halted_if;         /* RFLAGS.IF at that time: without it only an event ends it */
	bool window;            /* interrupt-window exiting is on */
	u32 cpu_controls;       /* what PRIMARY_CONTROLS holds, less the window */
	u32 cpu2_controls;      /* what SECONDARY_CONTROLS holds */
	u32 tpr_threshold;      /* what TPR_THRESHOLD holds */
	u32 exit_reason;        /* of the last exit, all 32 bits */
	u64 exit_qualification; /* valid where the dispatch table asks for it */
	struct vcpu_event event;
	struct vlapic lapic;
	struct cpuid_table cpuid;
	u64 xcr0;
	u64 dr[4], dr6;
	u64 cr2;
	u64 tsc_adjust;
	u64 msr[VCPU_MSRS]; /* see vcpu_state.c: the MSRs that a vCPU takes along */
	struct vcpu_fpu *fpu;
	u64 entries;
	u32 log[VCPU_LOG]; /* the last exit reasons, a ring: for panic */
	unsigned int log_next;
	u64 exits[VMX_EXIT_REASON_COUNT];
	u64 ticks[VMX_EXIT_REASON_COUNT]; /* TSC ticks spent in the VMM, by what the exit was for */
};

/*
 * Make the vCPU ready for its first entry at @entry, and load it. vm, id, cpuid and lapic are
 * filled; its memory is the VM's. 0, or -ENOMEM.
 */
int vcpu_init(struct vcpu *vcpu, const struct guest_entry *entry) __must_check;

/* It will not run again. Its memory goes with the VM's. */
void vcpu_destroy(struct vcpu *vcpu);

/* Make this CPU's registers and VMCS those of @vcpu, in place of whichever it ran before. */
void vcpu_load(struct vcpu *vcpu);

/* The vCPU whose registers this CPU holds, or NULL. */
struct vcpu *vcpu_current(void);

/* The registers that vcpu_load switches, as after a reset. */
void vcpu_state_init(struct vcpu *vcpu);

/* Queue a hardware exception for the next entry; a second one on top of it makes #DF or a shutdown. */
void vcpu_inject_exception(struct vcpu *vcpu, u8 vector, u32 error);
void vcpu_inject_gp(struct vcpu *vcpu);
void vcpu_inject_ud(struct vcpu *vcpu);
void vcpu_inject_page_fault(struct vcpu *vcpu, u64 address, u32 error); /* and CR2 */

/* The instruction of @length bytes at RIP is done: go on behind it. */
void vcpu_advance(u64 length);

/* The guest's local APIC went into or out of x2APIC mode. @vcpu is loaded. */
void vcpu_apic_mode_changed(struct vcpu *vcpu);

/* The guest's linear translations may be stale: drop them. */
void vcpu_flush_tlb(struct vcpu *vcpu);
u16 vcpu_vpid(const struct vcpu *vcpu);

/* Before an entry: inject what can be injected, ask for an exit where something has to wait. */
void vcpu_inject(struct vcpu *vcpu);

/* Does a queued event, or an interrupt, end the HLT of this vCPU? It need not be loaded. */
bool vcpu_has_work(struct vcpu *vcpu);

/* Register of the last exit's instruction by number (0 RAX ... 15 R15; 4 is RSP, from the VMCS). */
u64 vcpu_reg(const struct vcpu *vcpu, unsigned int reg);
void vcpu_set_reg(struct vcpu *vcpu, unsigned int reg, u64 value);

/* Current privilege level, 0-3. */
unsigned int vcpu_cpl(void);

/* Is the vCPU in 64-bit mode (CS.L in IA-32e mode)? */
bool vcpu_long_mode(void);

#endif
