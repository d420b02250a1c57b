/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's ACPI fixed hardware: PM1a event and control blocks and the power management timer,
 * in one block of ports. ACPI mode is on from the start; there is no SMI command port.
 */
#ifndef VMM_PC_VACPI_PM_H
#define VMM_PC_VACPI_PM_H

#include "lib/vdev.h"

/* Offsets in the block, which FADT tells the guest (vacpi.h). */
#define VACPI_PM1_EVENT   0 /* status, then enable: 2 bytes each */
#define VACPI_PM1_CONTROL 4 /* 2 bytes */
#define VACPI_PM_TIMER    8 /* 4 bytes */
#define VACPI_PM_PORTS    12

#define VACPI_PM_TIMER_HZ 3579545
#define VACPI_SCI         9 /* interrupt line */
#define VACPI_S5_TYPE     5 /* SLP_TYP of soft off, as \_S5 in dsdt.asl says */

struct vacpi_pm_ops {
	/* The guest asks for the sleeping state of @slp_typ; the write then returns. */
	void (*sleep)(void *ctx, u8 slp_typ);
};

struct vacpi_pm {
	const struct vdev_env *env;
	const struct vacpi_pm_ops *ops;
	void *ctx;
	u16 status, enable, control;
	u64 half_turns; /* of the timer's highest bit, already told in TMR_STS */
	struct vdev_timer alarm;
};

/* @env and @ops stay the caller's and must outlive @v. */
void vacpi_pm_init(struct vacpi_pm *v, const struct vdev_env *env, const struct vacpi_pm_ops *ops,
		   void *ctx);
void vacpi_pm_reset(struct vacpi_pm *v);

/* The RTC's alarm has interrupted: RTC_STS, and the SCI if that is enabled. ACPI, "RTC Wakeup". */
void vacpi_pm_rtc_alarm(struct vacpi_pm *v);

extern const struct pio_ops vacpi_pm_pio; /* VACPI_PM_PORTS ports; dev: struct vacpi_pm */

#endif
