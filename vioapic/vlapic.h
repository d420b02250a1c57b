/*
 * A guest CPU's local APIC, as xAPIC or x2APIC.
 *
 * Its registers live in a page of the owner's, at the offsets of the xAPIC, because that page
 * doubles as the VMX virtual-APIC page: with the TPR shadow the processor writes the TPR there
 * without telling anybody, so nothing that depends on the TPR is ever cached.
 *
 * Who may call what: vlapic_post from any CPU at any time. Everything else from the CPU that runs
 * the owner, and messages (ICR writes, vapic_bus_deliver) one at a time per VM.
 *
 * Intel SDM, "Advanced Programmable Interrupt Controller (APIC)".
 */
#ifndef VIOAPIC_VLAPIC_H
#define VIOAPIC_VLAPIC_H

#include "lib/types.h"
#include "lib/vdev.h"
#include "vioapic/vapic_bus.h"

#define VLAPIC_MMIO_BASE 0xfee00000ULL
#define VLAPIC_MMIO_SIZE 0x1000
#define VLAPIC_NO_MMIO   (~0ULL)

/*
 * What a local APIC tells its owner, who notes it and acts before the next VM entry. Of what is
 * declared here these may call only what they are said to be for.
 */
struct vlapic_ops {
	/* A vector entered the IRR. May be called on another CPU than the owner's. */
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
	u32 errors;   /* seen since the guest last wrote the ESR */
	bool enabled; /* by IA32_APIC_BASE and by the SVR */
	bool irr_any; /* false: the IRR is empty; true: look */
	struct vlapic_timer timer;
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

/* IA32_APIC_BASE. False = #GP: an illegal transition, reserved bits, or a move of the page. */
u64 vlapic_base(const struct vlapic *v);
bool vlapic_set_base(struct vlapic *v, u64 value) __must_check;

/* Where the register page is seen by the guest, VLAPIC_NO_MMIO in x2APIC mode and disabled. */
gpa_t vlapic_mmio_base(const struct vlapic *v);

/* MSRs 0x800-0x8ff. False = #GP, and nothing happened. */
bool vlapic_msr_read(struct vlapic *v, u32 msr, u64 *value) __must_check;
bool vlapic_msr_write(struct vlapic *v, u32 msr, u64 value) __must_check;

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

/* Is nothing requested? One load: for the way into the guest. (False may mean: no longer.) */
static inline bool vlapic_idle(const struct vlapic *v)
{
	return !__atomic_load_n(&v->irr_any, __ATOMIC_ACQUIRE);
}

/* The vector that the CPU would take now if it could be interrupted, or -1. */
int vlapic_pending(struct vlapic *v);

/* The highest requested vector, deliverable or not, or -1. */
int vlapic_highest_irr(struct vlapic *v);

/* The VMX TPR threshold: the class below which the TPR must fall to change vlapic_pending, or 0. */
u8 vlapic_tpr_threshold(struct vlapic *v);

/* The CPU takes @vector, which vlapic_pending returned: from the IRR to the ISR. */
void vlapic_accept(struct vlapic *v, u8 vector);

/* What the guest's EOI does. */
void vlapic_eoi(struct vlapic *v);

/* Processor priority, 0-255. */
u8 vlapic_ppr(const struct vlapic *v);

/* Does the vpic's INTR reach this CPU as an external interrupt? */
bool vlapic_accepts_pic(const struct vlapic *v);

/* A rising edge on LINT0 (the vpic's INTR) or LINT1 (the platform's NMI); ExtINT is not told. */
void vlapic_lint(struct vlapic *v, unsigned int pin);

#endif
