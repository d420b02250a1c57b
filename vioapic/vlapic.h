/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest CPU's local APIC, as xAPIC or x2APIC.
 *
 * Its registers live in a page of the owner's, at the offsets of the xAPIC, because that page
 * doubles as the VMX virtual-APIC page: with the TPR shadow the processor writes the TPR there
 * without telling anybody, so nothing that depends on the TPR is ever cached; with virtual-interrupt
 * delivery it moves vectors through IRR and ISR too, while the guest runs.
 *
 * Who may call what: vlapic_post and vapic_bus_deliver from any CPU at any time, without a lock:
 * a vector waits in a struct posted_interrupts until the owner's CPU takes it into the IRR. The page
 * is written by the owner's CPU only; all else is called on that CPU, while the guest does not run.
 *
 * Intel SDM, "Advanced Programmable Interrupt Controller (APIC)".
 */
#ifndef VIOAPIC_VLAPIC_H
#define VIOAPIC_VLAPIC_H

#include "lib/types.h"
#include "lib/vdev.h"
#include "lib/x86.h"
#include "vioapic/posted.h"
#include "vioapic/vapic_bus.h"

#define VLAPIC_MMIO_BASE 0xfee00000ULL
#define VLAPIC_MMIO_SIZE 0x1000
#define VLAPIC_NO_MMIO   (~0ULL)

/*
 * What a local APIC tells its owner, who notes it and acts before the next VM entry. Of what is
 * declared here these may call only what they are said to be for. All but eoi may be called on
 * another CPU than the owner's.
 */
struct vlapic_ops {
	/*
	 * Vectors were requested. They are in v->edge, from where a processor may take them while the
	 * guest runs, or, if v->level has any, to be taken by vlapic_sync before it goes on.
	 */
	void (*kick)(void *ctx);
	void (*nmi)(void *ctx);
	void (*init)(void *ctx); /* for vlapic_init_reset, now or later */
	void (*sipi)(void *ctx, u8 vector);
	/* A level-triggered interrupt ended: for vioapic_eoi. */
	void (*eoi)(void *ctx, u8 vector);
};

/* The timer; times are guest TSC, ticks are those of the undivided input clock. */
struct vlapic_timer {
	struct vdev_timer alarm;
	u32 mode; /* these three as the guest wrote them last: the page may be ahead */
	u32 initial_count;
	u32 divide;
	bool running;     /* counting down, one-shot or periodic */
	u64 start;        /* when the count-down began */
	u64 due;          /* ticks from start to the next expiry */
	u64 tsc_deadline; /* 0 = not armed */
};

struct vlapic {
	u32 *regs; /* the page */
	struct vapic_bus *bus;
	const struct vdev_env *env;
	const struct vlapic_ops *ops;
	void *ops_ctx;
	u64 base; /* IA32_APIC_BASE */
	u32 id;
	u32 errors;              /* seen since the guest last wrote the ESR */
	bool enabled;            /* by IA32_APIC_BASE and by the SVR; other CPUs look */
	u8 irr_words, isr_words; /* a bit for each word of the two; not set: the word is 0 */
	bool changed; /* IRR, ISR or TMR, since the owner last cleared this: for what is derived of them */
	struct vlapic_timer timer;
	struct posted_interrupts edge; /* requested by anybody, not yet in the IRR */
	struct posted_interrupts
		level; /* the same, level-triggered: never for a processor to take */
};

/*
 * Join @bus (the first to join is the bootstrap processor's) and reset. @page is 4 KiB, aligned,
 * and stays the owner's; @env, @ops and @page must outlive @v. @id is the APIC ID, below 255.
 * -ENOSPC when the bus is full.
 */
int vlapic_init(struct vlapic *v, struct vapic_bus *bus, const struct vdev_env *env,
		const struct vlapic_ops *ops, void *ops_ctx, void *page, u32 id) __must_check;

/* Power-up: xAPIC mode, software-disabled. To start in x2APIC mode: vlapic_set_base afterwards. */
void vlapic_reset(struct vlapic *v);

/* An INIT has been obeyed: as vlapic_reset, but IA32_APIC_BASE stays. */
void vlapic_init_reset(struct vlapic *v);

/* As firmware leaves the bootstrap processor's: enabled, LINT0 = ExtINT (vpic), LINT1 = NMI. */
void vlapic_virtual_wire(struct vlapic *v);

/* The mode bits of IA32_APIC_BASE as a number. */
enum vlapic_mode { VLAPIC_DISABLED, VLAPIC_INVALID, VLAPIC_XAPIC, VLAPIC_X2APIC };

static inline enum vlapic_mode vlapic_base_mode(u64 base)
{
	return (enum vlapic_mode)(base / APIC_BASE_EXTD & 3);
}

static inline enum vlapic_mode vlapic_mode(const struct vlapic *v)
{
	return vlapic_base_mode(v->base);
}

/* IA32_APIC_BASE. False = #GP: an illegal transition, reserved bits, or a move of the page. */
u64 vlapic_base(const struct vlapic *v);
bool vlapic_set_base(struct vlapic *v, u64 value) __must_check;

/* Where the register page is seen by the guest, VLAPIC_NO_MMIO in x2APIC mode and disabled. */
gpa_t vlapic_mmio_base(const struct vlapic *v);

/* MSRs 0x800-0x8ff. False = #GP, and nothing happened. */
bool vlapic_msr_read(struct vlapic *v, u32 msr, u64 *value) __must_check;
bool vlapic_msr_write(struct vlapic *v, u32 msr, u64 value) __must_check;

/*
 * The same for a write of the ICR in x2APIC mode, if that is what most IPIs are: a vector, edge-triggered, for the
 * physical ID of one local APIC. False: it is something else, and nothing has happened.
 */
bool vlapic_icr_plain(struct vlapic *v, u64 icr) __must_check;

/*
 * The register page. A read of any size and alignment gives the bytes of the register that it
 * starts in and zeroes after it; a write counts only as a whole, aligned 32-bit register.
 */
u64 vlapic_mmio_read(struct vlapic *v, u32 off, u8 size);
void vlapic_mmio_write(struct vlapic *v, u32 off, u8 size, u64 value);

/* IA32_TSC_DEADLINE: reads 0 and ignores writes unless the timer is in that mode. */
u64 vlapic_tsc_deadline(const struct vlapic *v);
void vlapic_set_tsc_deadline(struct vlapic *v, u64 deadline);

/* CR8, 0-15: the TPR's priority class. */
u8 vlapic_cr8(const struct vlapic *v);
void vlapic_set_cr8(struct vlapic *v, u8 cr8);

/* Request @vector. False when the APIC is disabled or the vector illegal (logged in its ESR). */
bool vlapic_post(struct vlapic *v, u8 vector, bool level);

/* Requests that vlapic_sync would take? Two loads. */
static inline bool vlapic_posted(const struct vlapic *v)
{
	return posted_any(&v->edge) || posted_any(&v->level);
}

/* Take what was requested into the IRR. */
void vlapic_sync(struct vlapic *v);

/* Is nothing requested? For the way into the guest. (False may mean: no longer.) */
static inline bool vlapic_idle(const struct vlapic *v)
{
	return !v->irr_words && !vlapic_posted(v);
}

/* The vector that the CPU would take now if it could be interrupted, or -1. */
int vlapic_pending(struct vlapic *v);

/* The highest vector requested (deliverable or not), and the highest in service, or -1. */
int vlapic_highest_irr(struct vlapic *v);
int vlapic_highest_isr(const struct vlapic *v);

/* The vectors whose EOI the I/O APIC has to be told of: the TMR as 256 bits. */
void vlapic_level_vectors(const struct vlapic *v, u64 vectors[4]);

/* The VMX TPR threshold: the class below which the TPR must fall to change vlapic_pending, or 0. */
u8 vlapic_tpr_threshold(struct vlapic *v);

/* Is @vector, requested or in service, level-triggered, so that its end is told to the I/O APIC? */
bool vlapic_is_level(const struct vlapic *v, u8 vector);

/* The CPU takes @vector, which vlapic_pending returned: from the IRR to the ISR. */
void vlapic_accept(struct vlapic *v, u8 vector);

/* What the guest's EOI does. */
void vlapic_eoi(struct vlapic *v);

/* The processor has done so for @vector, up to telling the I/O APIC. */
void vlapic_eoi_done(struct vlapic *v, u8 vector);

/*
 * The processor has stored what the guest wrote to the register at @off, in either mode, into the page
 * (SDM, "APIC-Write Emulation"): do what the write does.
 */
void vlapic_page_written(struct vlapic *v, u32 off);

/* May a guest in x2APIC mode read @msr from the page, without code? */
bool vlapic_msr_in_page(u32 msr);

/* Processor priority, 0-255. */
u8 vlapic_ppr(const struct vlapic *v);

/* Does the vpic's INTR reach this CPU as an external interrupt? */
bool vlapic_accepts_pic(const struct vlapic *v);

/* A rising edge on LINT0 (the vpic's INTR) or LINT1 (the platform's NMI); ExtINT is not told. */
void vlapic_lint(struct vlapic *v, unsigned int pin);

#endif
