/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's real-time clock. Motorola, "MC146818 Real-Time Clock plus RAM".
 *
 * Nothing ticks: update() brings time and flags to the present whenever somebody looks or changes
 * something, and one alarm is set for the next interrupt that is enabled and not yet flagged.
 */
#include "lib/math.h"
#include "vmm/pc/pio_bytes.h"
#include "vmm/pc/vrtc.h"

enum {
	REG_SECONDS,
	REG_SECONDS_ALARM,
	REG_MINUTES,
	REG_MINUTES_ALARM,
	REG_HOURS,
	REG_HOURS_ALARM,
	REG_WEEKDAY, /* 1: Sunday */
	REG_DAY,
	REG_MONTH,
	REG_YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	REG_CENTURY = VRTC_CENTURY,
};

/* Sizes of memory, low byte first, as a BIOS leaves them. */
#define CMOS_BASE_KIB      0x15
#define CMOS_EXTENDED_KIB  0x17 /* from 1 MiB */
#define CMOS_EXTENDED_KIB2 0x30
#define CMOS_ABOVE_16M     0x34 /* units of 64 KiB */
#define CMOS_ABOVE_4G      0x5b /* units of 64 KiB, 3 bytes */

#define A_UIP              0x80
#define A_DIVIDER_RESET    0x60
#define A_RATE             0x0f
#define A_POWER_ON         0x26 /* 32768 Hz, 1024 Hz periodic */

#define B_SET              0x80
#define B_BINARY           0x04
#define B_24H              0x02

/* Interrupt flags in C; their enables in B are the same bits. */
#define C_IRQ            0x80
#define C_PERIODIC       0x40
#define C_ALARM          0x20
#define C_UPDATE         0x10
#define C_SOURCES        (C_PERIODIC | C_ALARM | C_UPDATE)

#define D_VALID          0x80

#define ALARM_ANY        0xc0 /* an alarm byte with both bits matches everything */
#define HOUR_PM          0x80

#define TICKS_PER_SECOND 32768
#define UIP_US           244 /* how long before an update UIP says so */

#define INDEX_MASK       0x7f /* bit 7 masks NMI on a PC; there is none to mask */

/*
 * Calendar time counts from 1 March of the year -400 (of the Gregorian calendar, carried back):
 * leap days are then the last of their year, and no year a guest can write is negative.
 */
#define CALENDAR_BIAS 400 /* years */
#define DAYS_TO_1970  865565
#define DAY           86400u

struct calendar {
	u32 year, month, day, weekday, hour, minute, second;
};

static u64 days_to_year(u64 y)
{
	return 365 * y + y / 4 - y / 100 + y / 400;
}

/* Any day and month will do; what is beyond the end of its unit carries over. */
static u64 calendar_to_seconds(const struct calendar *c)
{
	u32 month = (c->month + 9) % 12; /* March is 0 */
	u64 year = (u64)c->year + CALENDAR_BIAS - (month >= 10);
	u64 days = days_to_year(year) + (153 * month + 2) / 5 + c->day - 1;

	return days * DAY + c->hour * 3600 + c->minute * 60 + c->second;
}

static struct calendar seconds_to_calendar(u64 seconds)
{
	u64 days = seconds / DAY, year = days * 400 / 146097;
	u32 of_day = (u32)(seconds % DAY), of_year, month;

	/* The mean length of a year finds it but for one. */
	while (days_to_year(year) > days)
		year--;
	while (days_to_year(year + 1) <= days)
		year++;
	of_year = (u32)(days - days_to_year(year));
	month = (5 * of_year + 2) / 153;
	return (struct calendar){
		.year = (u32)(year - CALENDAR_BIAS + (month >= 10)),
		.month = (month + 2) % 12 + 1,
		.day = of_year - (153 * month + 2) / 5 + 1,
		.weekday = (u32)((days + 3) % 7 + 1), /* day 0 was a Wednesday */
		.hour = of_day / 3600,
		.minute = of_day / 60 % 60,
		.second = of_day % 60,
	};
}

/* Numbers below 100 to a register's form, and back from whatever a guest wrote. */
static u8 encode(const struct vrtc *v, u32 n)
{
	return (u8)(v->cmos[REG_B] & B_BINARY ? n : n / 10 << 4 | n % 10);
}

static u32 decode(const struct vrtc *v, u8 reg)
{
	return v->cmos[REG_B] & B_BINARY ? reg : (reg >> 4) * 10u + (reg & 15);
}

static u8 encode_hour(const struct vrtc *v, u32 hour)
{
	if (v->cmos[REG_B] & B_24H)
		return encode(v, hour);
	return encode(v, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

static u32 decode_hour(const struct vrtc *v, u8 reg)
{
	if (v->cmos[REG_B] & B_24H)
		return decode(v, reg);
	return decode(v, reg & (u8)~HOUR_PM) % 12 + (reg & HOUR_PM ? 12 : 0);
}

static void show_time(struct vrtc *v)
{
	struct calendar c = seconds_to_calendar(v->seconds);

	v->cmos[REG_SECONDS] = encode(v, c.second);
	v->cmos[REG_MINUTES] = encode(v, c.minute);
	v->cmos[REG_HOURS] = encode_hour(v, c.hour);
	v->cmos[REG_WEEKDAY] = encode(v, c.weekday);
	v->cmos[REG_DAY] = encode(v, c.day);
	v->cmos[REG_MONTH] = encode(v, c.month);
	v->cmos[REG_YEAR] = encode(v, c.year % 100);
	v->cmos[REG_CENTURY] = encode(v, c.year / 100 % 100);
}

static void take_time(struct vrtc *v)
{
	v->seconds = calendar_to_seconds(&(struct calendar){
		.year = decode(v, v->cmos[REG_CENTURY]) * 100 + decode(v, v->cmos[REG_YEAR]),
		.month = decode(v, v->cmos[REG_MONTH]),
		.day = decode(v, v->cmos[REG_DAY]),
		.hour = decode_hour(v, v->cmos[REG_HOURS]),
		.minute = decode(v, v->cmos[REG_MINUTES]),
		.second = decode(v, v->cmos[REG_SECONDS]),
	});
}

static bool divider_runs(const struct vrtc *v)
{
	return (v->cmos[REG_A] & A_DIVIDER_RESET) != A_DIVIDER_RESET;
}

static bool time_runs(const struct vrtc *v)
{
	return divider_runs(v) && !(v->cmos[REG_B] & B_SET);
}

/* Ticks between periodic interrupts, 0: none. */
static u32 period(const struct vrtc *v)
{
	u32 rate = v->cmos[REG_A] & A_RATE;

	if (!rate)
		return 0;
	return 1u << (rate <= 2 ? rate + 6 : rate - 1);
}

static bool alarm_matches(u8 alarm, u8 time)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == time;
}

/*
 * The first time after @t at which the alarm matches, or VDEV_NEVER. From any time the next match
 * lies behind at most two sweeps of the seconds and of the minutes and one of the hours.
 */
static u64 next_alarm(const struct vrtc *v, u64 t)
{
	t++;
	for (unsigned int step = 0; step < 24 + 2 * (60 + 60); step++) {
		u32 s = (u32)(t % DAY);

		if (!alarm_matches(v->cmos[REG_HOURS_ALARM], encode_hour(v, s / 3600)))
			t += 3600 - s % 3600;
		else if (!alarm_matches(v->cmos[REG_MINUTES_ALARM], encode(v, s / 60 % 60)))
			t += 60 - s % 60;
		else if (!alarm_matches(v->cmos[REG_SECONDS_ALARM], encode(v, s % 60)))
			t++;
		else
			return t;
	}
	return VDEV_NEVER;
}

/* Whole seconds have passed on the clock. */
static void advance(struct vrtc *v, u64 seconds)
{
	v->cmos[REG_C] |= C_UPDATE;
	if (!(v->cmos[REG_C] & C_ALARM) && next_alarm(v, v->seconds) <= v->seconds + seconds)
		v->cmos[REG_C] |= C_ALARM;
	v->seconds += seconds;
	show_time(v);
}

/* Bring time and flags to the present. */
static void update(struct vrtc *v)
{
	u64 ticks, seconds;
	u32 p = period(v);

	if (!divider_runs(v))
		return;
	ticks = mul_div((u64)((s64)v->env->now(v->env->ctx) - v->phase), TICKS_PER_SECOND,
			v->env->tsc_hz);
	if (p && ticks / p != v->ticks / p)
		v->cmos[REG_C] |= C_PERIODIC;
	seconds = ticks / TICKS_PER_SECOND;
	v->ticks = ticks % TICKS_PER_SECOND;
	v->phase += (s64)(seconds * v->env->tsc_hz);
	if (seconds && time_runs(v))
		advance(v, seconds);
}

/* The guest time at which @ticks since the phase will have passed. */
static u64 tick_time(const struct vrtc *v, u64 ticks)
{
	return (u64)(v->phase + (s64)mul_div(ticks, v->env->tsc_hz, TICKS_PER_SECOND)) + 1;
}

static u64 next_interrupt(const struct vrtc *v)
{
	u8 due = v->cmos[REG_B] & (u8)~v->cmos[REG_C];
	u64 next = VDEV_NEVER;
	u32 p = period(v);

	if (divider_runs(v) && due & C_PERIODIC && p)
		next = tick_time(v, (v->ticks / p + 1) * p);
	if (!time_runs(v))
		return next;
	if (due & C_UPDATE)
		next = MIN(next, tick_time(v, TICKS_PER_SECOND));
	if (due & C_ALARM) {
		u64 t = next_alarm(v, v->seconds);

		if (t != VDEV_NEVER)
			next = MIN(next, tick_time(v, (t - v->seconds) * TICKS_PER_SECOND));
	}
	return next;
}

/* After update() and whatever else changed: drive the line, set the alarm. */
static void settle(struct vrtc *v)
{
	bool irq = v->cmos[REG_B] & v->cmos[REG_C] & C_SOURCES;
	bool rings = v->cmos[REG_B] & v->cmos[REG_C] & C_ALARM;
	u64 deadline = next_interrupt(v);

	v->cmos[REG_C] = (v->cmos[REG_C] & C_SOURCES) | (irq ? C_IRQ : 0);
	v->env->set_line(v->env->ctx, VRTC_LINE, irq);
	if (deadline != v->alarm.deadline)
		v->env->set_timer(v->env->ctx, &v->alarm, deadline);
	if (rings && !v->rings && v->rang)
		v->rang(v->ctx);
	v->rings = rings;
}

static void alarm_fired(void *dev)
{
	update(dev);
	settle(dev);
}

/* Set register A or B, which may stop the clock or let it go on from what its registers say. */
static void write_mode(struct vrtc *v, u8 reg, u8 value)
{
	bool divider_ran = divider_runs(v), time_ran = time_runs(v);

	v->cmos[reg] = value;
	if (!divider_ran && divider_runs(v)) {
		/* The first second after a reset of the divider is half a second long. */
		v->phase = (s64)v->env->now(v->env->ctx) - (s64)(v->env->tsc_hz / 2);
		v->ticks = TICKS_PER_SECOND / 2;
	}
	if (!time_runs(v))
		return;
	if (!time_ran)
		take_time(v);
	show_time(v);
}

static bool is_time(u8 reg)
{
	return reg == REG_CENTURY || (reg <= REG_YEAR && (reg > REG_HOURS_ALARM || reg % 2 == 0));
}

static void write_register(struct vrtc *v, u8 reg, u8 value)
{
	update(v);
	switch (reg) {
	case REG_A: write_mode(v, reg, value & (u8)~A_UIP); break;
	case REG_B: write_mode(v, reg, value); break;
	case REG_C:
	case REG_D: break; /* read-only */
	default:
		v->cmos[reg] = value;
		if (is_time(reg) && time_runs(v))
			take_time(v);
	}
	settle(v);
}

static bool update_in_progress(const struct vrtc *v)
{
	u64 since = (u64)((s64)v->env->now(v->env->ctx) - v->phase);

	return time_runs(v) && since + mul_div(v->env->tsc_hz, UIP_US, 1000000) >= v->env->tsc_hz;
}

static u8 read_register(struct vrtc *v, u8 reg)
{
	u8 value;

	if (reg > REG_D && reg != REG_CENTURY)
		return v->cmos[reg];
	update(v);
	value = v->cmos[reg];
	if (reg == REG_A && update_in_progress(v))
		value |= A_UIP;
	if (reg == REG_C)
		v->cmos[REG_C] = 0;
	settle(v);
	return value;
}

static u8 vrtc_read_byte(void *dev, u16 off)
{
	struct vrtc *v = dev;

	return off == 1 ? read_register(v, v->index) : 0xff; /* the index is write-only */
}

static void vrtc_write_byte(void *dev, u16 off, u8 value)
{
	struct vrtc *v = dev;

	if (off == 0)
		v->index = value & INDEX_MASK;
	else if (off == 1)
		write_register(v, v->index, value);
}

static u32 vrtc_read(void *dev, u16 off, u8 size)
{
	return pio_read_bytes(vrtc_read_byte, dev, off, size);
}

static void vrtc_write(void *dev, u16 off, u8 size, u32 value)
{
	pio_write_bytes(vrtc_write_byte, dev, off, size, value);
}

const struct pio_ops vrtc_pio = { vrtc_read, vrtc_write };

/* @units, or the most that @bytes can say, to the registers from @reg on. */
static void put_size(struct vrtc *v, u8 reg, unsigned int bytes, u64 units)
{
	units = MIN(units, BIT(8 * bytes) - 1);
	for (unsigned int i = 0; i < bytes; i++)
		v->cmos[reg + i] = (u8)(units >> 8 * i);
}

static void put_memory_sizes(struct vrtc *v, const struct vrtc_config *config)
{
	u64 below = config->ram_below_4g;
	u64 above_1m = below > MIB(1) ? below - MIB(1) : 0;
	u64 above_16m = below > MIB(16) ? below - MIB(16) : 0;

	put_size(v, CMOS_BASE_KIB, 2, MIN(below / KIB(1), 640));
	put_size(v, CMOS_EXTENDED_KIB, 2, above_1m / KIB(1));
	put_size(v, CMOS_EXTENDED_KIB2, 2, above_1m / KIB(1));
	put_size(v, CMOS_ABOVE_16M, 2, above_16m / KIB(64));
	put_size(v, CMOS_ABOVE_4G, 3, config->ram_above_4g / KIB(64));
}

/* As a firmware would, leave a clock that runs, in BCD and 24 hours, and no interrupt enabled. */
void vrtc_reset(struct vrtc *v)
{
	update(v);
	v->index = 0;
	write_mode(v, REG_A, A_POWER_ON);
	write_mode(v, REG_B, B_24H);
	v->cmos[REG_C] = 0;
	v->cmos[REG_D] = D_VALID;
	settle(v);
}

void vrtc_init(struct vrtc *v, const struct vdev_env *env, const struct vrtc_config *config)
{
	*v = (struct vrtc){
		.env = env,
		.cmos = { [REG_A] = A_POWER_ON, [REG_B] = B_24H },
		.seconds = DAYS_TO_1970 * (u64)DAY + config->epoch,
		.alarm = { .fire = alarm_fired, .dev = v, .deadline = VDEV_NEVER },
		.rang = config->rang,
		.ctx = config->ctx,
	};
	put_memory_sizes(v, config);
	show_time(v);
	vrtc_reset(v);
}
