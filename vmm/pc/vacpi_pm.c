/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's ACPI fixed hardware. ACPI specification, "ACPI Hardware Specification": "PM1 Event
 * Grouping", "PM1 Control Grouping", "Power Management Timer".
 */
#include "lib/math.h"
#include "vmm/pc/pio_bytes.h"
#include "vmm/pc/vacpi_pm.h"

#define PM1_TMR         0x0001 /* the timer's highest bit has changed */
#define PM1_RTC         0x0400
#define PM1_STATUS      0xc731 /* what the guest may clear: TMR BM GBL PWRBTN SLPBTN RTC PCIEXP WAK */
#define PM1_ENABLE      0x4721 /* what it may enable: the same without BM and WAK */

#define PM1_SCI_EN      0x0001
#define PM1_CONTROL     0x1c02 /* kept as written: BM_RLD, SLP_TYP */
#define PM1_SLP_TYP     2      /* shift in the high byte */
#define PM1_SLP_EN      0x20   /* in the high byte */

#define TIMER_HALF_TURN 31 /* shift */

static u64 timer_ticks(const struct vacpi_pm *v)
{
	return mul_div(v->env->now(v->env->ctx), VACPI_PM_TIMER_HZ, v->env->tsc_hz);
}

/* Bring TMR_STS up to date, and with it the interrupt and the alarm. */
static void update(struct vacpi_pm *v)
{
	u64 half_turns = timer_ticks(v) >> TIMER_HALF_TURN;
	u64 deadline = VDEV_NEVER;

	if (half_turns != v->half_turns)
		v->status |= PM1_TMR;
	v->half_turns = half_turns;
	if (v->enable & ~v->status & PM1_TMR)
		deadline = mul_div((half_turns + 1) << TIMER_HALF_TURN, v->env->tsc_hz,
				   VACPI_PM_TIMER_HZ) +
			   1;
	if (deadline != v->alarm.deadline)
		v->env->set_timer(v->env->ctx, &v->alarm, deadline);
	v->env->set_line(v->env->ctx, VACPI_SCI, v->status & v->enable);
}

static void alarm_fired(void *dev)
{
	update(dev);
}

static u8 read_byte(void *dev, u16 off)
{
	const struct vacpi_pm *v = dev;
	u16 pm1[] = { v->status, v->enable, v->control };

	if (off / 2u < ARRAY_SIZE(pm1))
		return (u8)(pm1[off / 2] >> 8 * (off % 2));
	return 0xff;
}

static u32 vacpi_pm_read(void *dev, u16 off, u8 size)
{
	struct vacpi_pm *v = dev;

	/* Part of the timer, or what straddles it, is no access that the specification knows. */
	if (off == VACPI_PM_TIMER && size == 4)
		return (u32)timer_ticks(v);
	update(v);
	return pio_read_bytes(read_byte, v, off, size);
}

static void write_control_high(struct vacpi_pm *v, u8 value)
{
	v->control = (u16)((v->control & 0xff) | (value << 8 & PM1_CONTROL));
	if (value & PM1_SLP_EN)
		v->ops->sleep(v->ctx, value >> PM1_SLP_TYP & 7);
}

static void write_byte(void *dev, u16 off, u8 value)
{
	struct vacpi_pm *v = dev;

	switch (off) {
	case VACPI_PM1_EVENT:
	case VACPI_PM1_EVENT + 1: v->status &= (u16) ~(value << 8 * (off & 1) & PM1_STATUS); break;
	case VACPI_PM1_EVENT + 2:
		v->enable = (u16)((v->enable & 0xff00) | (value & PM1_ENABLE));
		break;
	case VACPI_PM1_EVENT + 3:
		v->enable = (u16)((v->enable & 0xff) | (value << 8 & PM1_ENABLE));
		break;
	case VACPI_PM1_CONTROL:
		v->control = (u16)((v->control & 0xff00) | (value & PM1_CONTROL) | PM1_SCI_EN);
		break;
	case VACPI_PM1_CONTROL + 1: write_control_high(v, value); break;
	default: break;
	}
}

static void vacpi_pm_write(void *dev, u16 off, u8 size, u32 value)
{
	update(dev);
	pio_write_bytes(write_byte, dev, off, size, value);
	update(dev);
}

const struct pio_ops vacpi_pm_pio = { vacpi_pm_read, vacpi_pm_write };

void vacpi_pm_reset(struct vacpi_pm *v)
{
	v->status = v->enable = 0;
	v->control = PM1_SCI_EN;
	v->half_turns = timer_ticks(v) >> TIMER_HALF_TURN;
	update(v);
}

void vacpi_pm_rtc_alarm(struct vacpi_pm *v)
{
	v->status |= PM1_RTC;
	update(v);
}

void vacpi_pm_init(struct vacpi_pm *v, const struct vdev_env *env, const struct vacpi_pm_ops *ops,
		   void *ctx)
{
	*v = (struct vacpi_pm){
		.env = env,
		.ops = ops,
		.ctx = ctx,
		.alarm = { .fire = alarm_fired, .dev = v, .deadline = VDEV_NEVER },
	};
	vacpi_pm_reset(v);
}
