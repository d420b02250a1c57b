/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU: the guest state that the processor does not keep in the VMCS, the VMCS that runs
 * it, and what is known of its last exit.
 */
#ifndef VMM_VCPU_VCPU_H
#define VMM_VCPU_VCPU_H

#include <stdatomic.h>
#include "lib/types.h"
#include "vioapic/vlapic.h"
#include "vmm/vcpu/context.h"
#include "vmm/vcpu/cpuid.h"
#include "vmm/load/guest_entry.h"
#include "vmm/host/cpu.h"
#include "vmm/vcpu/insn.h"
#include "vmm/vcpu/pv.h"
#include "vmm/sched/sched.h"
#include "vmm/sched/vtimer.h"
#include "vmx/controls.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmx.h"

struct vm;
struct exit_stats;
struct inside_view;
struct vcpu_irq_ops;

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

/*
 * Where a vCPU is, for those who have something for it (vcpu_kick). It says "in the guest" before it
 * looks for the last time whether there is something, and "blocked" likewise: so whoever leaves
 * something first and reads the mode second either is seen, or sees that he must do something.
 */
enum vcpu_mode {
	VCPU_OUT,      /* in the VMM, or waits for a CPU: looks before it goes on */
	VCPU_IN_GUEST, /* only an interrupt of its CPU makes it look */
	VCPU_KICKED,   /* and one is on its way */
	VCPU_BLOCKED,  /* has nothing to do: sched_wake */
};

/* What others ask of a vCPU; obeyed on its own CPU before it enters the guest. */
#define VCPU_REQ_INIT   0x1u
#define VCPU_REQ_SIPI   0x2u /* its vector is in sipi_vector */
#define VCPU_REQ_NMI    0x4u
#define VCPU_REQ_NMI_2  0x10u /* another one */
#define VCPU_REQ_UNHALT 0x8u  /* its HLT ends, or, if it does not halt, its next one */

/* Its MSRs that exit: msr.c. */
struct vcpu_msrs {
	u32 offered; /* by its CPUID: a bit for each line of the policy */
	u8 hint[16]; /* the line that was right the last time */
};

#define VCPU_MSRS 6

/* The last exits, a ring that an u8 goes round in. */
#define VCPU_LOG       256
#define VCPU_LOG_SHOWN 32
#define VCPU_LOG_NONE  0xffff /* no reason: so many there have not been */

struct vcpu {
	/* Touched by the CPU that runs it, at every exit. */
	struct guest_regs regs;
	struct vm *vm;
	struct vcpu_context *ctx; /* the one of its contexts that is in use */
	unsigned int id;
	struct vtimers timers; /* its local APIC's, touched only by the CPU that runs it */
	struct vdev_env env;
	bool wait_sipi;          /* after INIT: does nothing until a start-up IPI */
	bool halted;             /* HLT: waits for an interrupt */
	bool halted_if;          /* RFLAGS.IF at that time: without it only an event ends it */
	bool halted_nmi_blocked; /* and were NMIs blocked at that time? */
	u8 nmi_pending;          /* so many NMIs wait for their turn: vcpu_nmi */
	bool nmi_in_service;     /* one was given, without virtual NMIs: vcpu_nmi.c */
	const struct vcpu_irq_ops *irq; /* how it gets its interrupts: vcpu_irq.h */
	u32 exit_reason;                /* of the last exit, all 32 bits */
	u64 exited;                     /* host TSC at the last exit */
	u64 until;                      /* host TSC at which the run loop wants to look again */
	u64 deadline;                   /* the same, or that of the next alarm: the guest exits */
	struct inside_view *view;       /* of this turn, or NULL */
	u64 exit_qualification;         /* valid where the dispatch table asks for it */
	struct vcpu_event event;
	struct vlapic lapic;
	struct cpuid_table cpuid;
	struct vcpu_msrs msrs;
	u64 xcr0;
	u64 dr[4], dr6;
	u64 cr2;
	u64 tsc_adjust;
	u64 mtrr_def_type;
	struct vcpu_pv pv;
	u64 msr[VCPU_MSRS]; /* see vcpu_state.c: the MSRs that a vCPU takes along */
	struct vcpu_fpu *fpu;
	struct insn_cache insns;
	u64 lapic_accesses; /* to the register page, for the table of exits */
	u16 log[VCPU_LOG];  /* the basic reasons of the last exits: for panic */
	u8 log_next;
	u64 exits[VMX_EXIT_REASON_COUNT];
	/* TSC ticks spent in the VMM, by what the exit was for; the last one is before the first exit. */
	u64 ticks[VMX_EXIT_REASON_COUNT + 1];
	struct exit_stats *_Atomic stats; /* the same in detail, once that was wanted (inside.h) */

	/* Other CPUs write here, and interrupt it or not by what they read: lines of their own. */
	_Alignas(CACHE_LINE) _Atomic enum vcpu_mode mode;
	atomic_uint requests; /* VCPU_REQ_* */
	_Atomic u8 sipi_vector;
	atomic_bool held;       /* its output waits for room on the console's line */
	struct cpu *_Atomic on; /* the CPU that holds its registers, or NULL */

	/* The scheduler's, under its lock, on any CPU. */
	_Alignas(CACHE_LINE) struct sched_entity sched;

	/* Its own VMCS, and all that it has. */
	_Alignas(CACHE_LINE) struct vcpu_context own;
	struct vcpu_context *contexts;
};

_Static_assert(offsetof(struct vcpu, regs) == 0, "vcpu_of_regs");
_Static_assert(offsetof(struct vcpu, mode) / CACHE_LINE >
			       offsetof(struct vcpu, stats) / CACHE_LINE &&
		       offsetof(struct vcpu, on) / CACHE_LINE ==
			       offsetof(struct vcpu, mode) / CACHE_LINE &&
		       offsetof(struct vcpu, sched) / CACHE_LINE >
			       offsetof(struct vcpu, on) / CACHE_LINE,
	       "what others write shares no line with what its CPU writes at every exit");
_Static_assert(VCPU_LOG == 1 << 8, "log_next wraps by itself");

static inline struct vcpu *vcpu_of_regs(struct guest_regs *regs)
{
	return (struct vcpu *)(void *)regs;
}

/*
 * Give the vCPU a local APIC with @page for its registers, on the VM's bus, in the mode that a reset leaves (xAPIC).
 * -ENOSPC when the bus is full.
 */
int vcpu_apic_init(struct vcpu *vcpu, void *page) __must_check;

/*
 * Give the vCPU its own context, whose exits go by @exits, and load it. vm, id, cpuid and lapic are filled; its memory
 * is the VM's. It waits for a start-up IPI, or for vcpu_reset. 0, or -errno of context_add.
 */
int vcpu_init(struct vcpu *vcpu, const struct exit_ways *exits) __must_check;

/* Registers as @entry says, and all else as after INIT. @vcpu is loaded. */
void vcpu_reset(struct vcpu *vcpu, const struct guest_entry *entry);

/* Do what others have asked for: INIT, start-up IPI. @vcpu is loaded. */
void vcpu_obey_requests(struct vcpu *vcpu);

/* Ask for VCPU_REQ_* (@request), on any CPU. */
void vcpu_request(struct vcpu *vcpu, unsigned int request);

/* An NMI for it, on any CPU: two are told apart from one, as it has room for no more. */
void vcpu_request_nmi(struct vcpu *vcpu);

/* @vcpu has been given something (a request, a vector in its IRR): see to it that it looks. Any CPU. */
void vcpu_kick(struct vcpu *vcpu);

/*
 * The same, for a vector that its processor takes from the posted-interrupt descriptor by itself if it is
 * in the guest: then without an exit.
 */
void vcpu_post(struct vcpu *vcpu);

/*
 * Make this CPU's registers and VMCS those of @vcpu, in place of whichever it ran before. No other
 * CPU may hold them.
 */
void vcpu_load(struct vcpu *vcpu);

/* Point the host state of the current VMCS at this CPU's own structures. */
void vcpu_host_state(void);

/* Take the registers of the vCPU that this CPU holds, if it does, so that any CPU can load them. */
void vcpu_unload(void);

/* The vCPU whose registers this CPU holds, or NULL. */
struct vcpu *vcpu_current(void);

/* The registers that vcpu_load switches, as after power-up, before @vcpu is loaded for the first time. */
void vcpu_state_init(struct vcpu *vcpu);

/* What INIT changes of them. @vcpu is loaded. */
void vcpu_state_reset(struct vcpu *vcpu);

/* Queue a hardware exception, a fault, for the next entry; a second one on top of it makes #DF or a shutdown. */
void vcpu_inject_exception(struct vcpu *vcpu, u8 vector, u32 error);
void vcpu_inject_debug(struct vcpu *vcpu); /* #DB, fault or trap */
void vcpu_inject_gp(struct vcpu *vcpu);
void vcpu_inject_ud(struct vcpu *vcpu);
void vcpu_inject_page_fault(struct vcpu *vcpu, u64 address, u32 error); /* and CR2 */

/* --- debug exceptions (vcpu_debug.c) --- */

/* A #DB is on its way, for @causes as DR6 has them: DR6 and DEBUGCTL as its handler finds them. */
void vcpu_debug_state(u64 causes);

/* A #DB whose exit it was is queued: see that the entry passes if it was in the shadow of STI or MOV SS. */
void vcpu_debug_in_shadow(void);

/*
 * An instruction was done, by the VMM with TF set if @step: queue the #DB that is pending behind it, if one is. It is a single step
 * (unless TF is for branches only), or a breakpoint that a MOV SS has held back, or both.
 */
void vcpu_debug_trap(struct vcpu *vcpu, bool step);

/*
 * Iterations of a repeated instruction were done, not the last one, and one alone with TF set: it goes on where it is,
 * past its breakpoint, and behind a trap if one is due.
 */
void vcpu_iteration_done(struct vcpu *vcpu);

/* Has the exit left a single step pending? It goes before interrupts. With @rflags, the guest's, this costs a test. */
bool vcpu_trap_pending(u64 rflags);

/* The guest's local APIC has another mode now, or may have. @vcpu is loaded. */
void vcpu_apic_mode_changed(struct vcpu *vcpu);

/*
 * The vCPU, which is loaded, has spun for too long; was that @useful to another one? If not, it may spin for twice
 * as long the next time. SDM, "Pause-Loop Exiting" of "Instructions That Cause VM Exits Conditionally".
 */
void vcpu_pause_window(struct vcpu *vcpu, bool useful);

/* The guest's linear translations may be stale: drop them. */
void vcpu_flush_tlb(struct vcpu *vcpu);

/* Before an entry: inject what can be injected, ask for an exit where something has to wait. */
void vcpu_inject(struct vcpu *vcpu);

/* Does a queued event, or an interrupt, end the HLT of this vCPU? It is loaded. */
bool vcpu_has_work(struct vcpu *vcpu);

/* Register of the last exit's instruction by number (0 RAX ... 15 R15; 4 is RSP, from the VMCS). */
u64 vcpu_reg(const struct vcpu *vcpu, unsigned int reg);
void vcpu_set_reg(struct vcpu *vcpu, unsigned int reg, u64 value);

/* Current privilege level, 0-3: SS.DPL. SDM, "Guest Register State". */
static inline unsigned int vcpu_cpl(void)
{
	return (unsigned int)(vmcs_read(GUEST_SS_ACCESS_RIGHTS) >> 5 & 3);
}

/*
 * Is the vCPU in 64-bit mode? CS.L alone says so: it cannot be left set when IA-32e mode is left, and outside of it that
 * bit of a descriptor is reserved (SDM, "Segment Descriptors"). Who sets it there all the same has its own instructions
 * misread, and nothing else. EFER would have to be read besides, and under KVM a read of that field is an exit to it.
 */
static inline bool vcpu_long_mode(void)
{
	return vmcs_read(GUEST_CS_ACCESS_RIGHTS) & AR_L;
}

#endif
