/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of the CPU that runs this code. x2APIC mode where the CPU has it, else the
 * registers in memory. The APIC is never switched off through IA32_APIC_BASE: it might not come
 * back. See the SDM, "Advanced Programmable Interrupt Controller (APIC)".
 */
#ifndef DRIVERS_LAPIC_H
#define DRIVERS_LAPIC_H

#include "lib/types.h"

/* Where the APIC's registers must be mapped, uncached, if lapic_init is to use them. */
hpa_t lapic_base(void);

/*
 * Enable this CPU's APIC with all local interrupts masked, and end what was in service; call once on each CPU. @mmio is the
 * mapping of lapic_base() (unused in x2APIC mode), @spurious the vector for spurious interrupts.
 */
void lapic_init(void *mmio, u8 spurious);

bool lapic_is_x2apic(void);
u32 lapic_id(void);
void lapic_eoi(void);
/* Interrupt @vector was taken and is not ended. A spurious one never is. */
bool lapic_in_service(u8 vector);

/* A fixed interrupt. The write is ordered after all earlier stores of this CPU. */
void lapic_send_ipi(u32 apic_id, u8 vector);
void lapic_send_self_ipi(u8 vector);
void lapic_send_nmi(u32 apic_id);
void lapic_send_init(u32 apic_id);
/* The CPU starts in real mode at physical page number @page. */
void lapic_send_startup(u32 apic_id, u8 page);

/*
 * One interrupt of @vector when the host's TSC reaches a deadline, by TSC-deadline mode or, on CPUs
 * without it, by a count at the APIC timer's own rate. @tsc_hz and @timer_hz are ticks a second;
 * @timer_hz (see lapic_timer_count) is not needed with TSC-deadline mode.
 */
bool lapic_has_tsc_deadline(void);
/* From now on it has not: before lapic_init, where the mode is known to be broken. */
void lapic_avoid_tsc_deadline(void);
void lapic_timer_init(u8 vector, u64 tsc_hz, u64 timer_hz);
void lapic_timer_arm(u64 deadline);
void lapic_timer_stop(void);

/* For calibration: start the timer from its highest count, masked; then how far it has come. */
void lapic_timer_count_start(void);
u32 lapic_timer_count(void);

#endif
