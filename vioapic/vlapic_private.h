/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the local APIC share among themselves. */
#ifndef VIOAPIC_VLAPIC_PRIVATE_H
#define VIOAPIC_VLAPIC_PRIVATE_H

#include "lib/types.h"
#include "lib/x86.h"
#include "vioapic/apic_regs.h"
#include "vioapic/vlapic.h"

/* Single words: another CPU may look at them at any time. Only the owner's writes. */
static inline u32 vlapic_get(const struct vlapic *v, u32 off)
{
	return __atomic_load_n(&v->regs[off / 4], __ATOMIC_RELAXED);
}

static inline void vlapic_set(struct vlapic *v, u32 off, u32 value)
{
	__atomic_store_n(&v->regs[off / 4], value, __ATOMIC_RELAXED);
}

/* From any CPU. */
static inline u64 vlapic_get_base(const struct vlapic *v)
{
	return __atomic_load_n(&v->base, __ATOMIC_RELAXED);
}

static inline bool vlapic_is_enabled(const struct vlapic *v)
{
	return __atomic_load_n(&v->enabled, __ATOMIC_RELAXED);
}

static inline bool vlapic_is_x2apic(const struct vlapic *v)
{
	return vlapic_get_base(v) & APIC_BASE_EXTD;
}

/*
 * vlapic.c: log an error (APIC_ESR_*); raise an LVT entry's interrupt; recompute v->enabled; write the
 * registers that software cannot choose.
 */
void vlapic_error(struct vlapic *v, u32 error);
void vlapic_raise_lvt(struct vlapic *v, u32 off);
void vlapic_update_enabled(struct vlapic *v);
void vlapic_set_identity(struct vlapic *v);

/* vlapic_timer.c: the guest has written the register. */
void vlapic_timer_set_mode(struct vlapic *v, u32 lvt);
void vlapic_timer_start(struct vlapic *v, u32 count);
void vlapic_timer_set_divide(struct vlapic *v, u32 divide);
void vlapic_timer_reset(struct vlapic *v);
u32 vlapic_timer_current(const struct vlapic *v);
void vlapic_timer_fire(void *vlapic);

/* vapic_bus.c: the guest sends an IPI. */
void vlapic_send_ipi(struct vlapic *v, u32 icr_low, u32 dest);
bool vapic_bus_join(struct vapic_bus *bus, struct vlapic *v);

#endif
