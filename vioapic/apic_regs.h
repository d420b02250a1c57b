/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's register page: offsets, and the bits that Lintel gives a meaning to.
 * Intel SDM, "Local APIC Register Address Map". The same offsets are those of the VMX
 * virtual-APIC page, and, shifted right by four, of the x2APIC MSRs.
 */
#ifndef VIOAPIC_APIC_REGS_H
#define VIOAPIC_APIC_REGS_H

#include "lib/types.h"

enum apic_reg {
	APIC_ID = 0x020,
	APIC_VERSION = 0x030,
	APIC_TPR = 0x080,
	APIC_PPR = 0x0a0,
	APIC_EOI = 0x0b0,
	APIC_LDR = 0x0d0,
	APIC_DFR = 0x0e0,
	APIC_SVR = 0x0f0,
	APIC_ISR = 0x100, /* these three: eight words of 32 vectors, 16 bytes apart */
	APIC_TMR = 0x180,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_THERMAL = 0x330,
	APIC_LVT_PMC = 0x340,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_INITIAL_COUNT = 0x380,
	APIC_CURRENT_COUNT = 0x390,
	APIC_DIVIDE = 0x3e0,
	APIC_SELF_IPI = 0x3f0,
};

#define APIC_FIRST_VECTOR 16 /* those below are illegal: they are the exceptions' */

/* Version 0x14, LVT entries 0 to 5, and the bit that says "EOI broadcasts can be suppressed". */
#define APIC_VERSION_VALUE              0x01050014u

#define APIC_SVR_ENABLE                 0x0100u
#define APIC_SVR_SUPPRESS_EOI           0x1000u

#define APIC_DFR_FLAT                   0xfu /* bits 31:28 */
#define APIC_DFR_CLUSTER                0x0u

#define APIC_ESR_SEND_ILLEGAL_VECTOR    0x20u
#define APIC_ESR_RECEIVE_ILLEGAL_VECTOR 0x40u
#define APIC_ESR_ILLEGAL_REGISTER       0x80u

/* Bits that the ICR, the LVT entries, I/O APIC entries and MSI data have at the same places. */
#define APIC_VECTOR        0x000ffu
#define APIC_MODE(low)     ((low) >> 8 & 7) /* enum vapic_mode */
#define APIC_MODE_SHIFT    8
#define APIC_LOGICAL       0x00800u
#define APIC_STATUS        0x01000u /* delivery status: read-only, always idle here */
#define APIC_ACTIVE_LOW    0x02000u
#define APIC_REMOTE_IRR    0x04000u /* read-only */
#define APIC_LEVEL_TRIGGER 0x08000u
#define APIC_MASKED        0x10000u

/* ICR only. */
#define APIC_ICR_ASSERT         0x04000u
#define APIC_ICR_SHORTHAND(low) ((low) >> 18 & 3)

enum apic_shorthand { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

/* LVT timer only. */
#define APIC_TIMER_MODE         0x60000u
#define APIC_TIMER_PERIODIC     0x20000u
#define APIC_TIMER_TSC_DEADLINE 0x40000u

#endif
