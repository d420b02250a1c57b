/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's i8254. Intel, "8254 Programmable Interval Timer", "Mode Definitions". */
#include "lib/math.h"
#include "vmm/pc/pio_bytes.h"
#include "vmm/pc/vpit.h"

enum {
	MODE_INTERRUPT,       /* out rises at the end of the count */
	MODE_ONE_SHOT,        /* out is low for the count, from the rise of the gate */
	MODE_RATE,            /* out is low for the last tick of each period */
	MODE_SQUARE,          /* out is low for the second half of each period */
	MODE_SOFTWARE_STROBE, /* out is low for one tick at the end of the count */
	MODE_HARDWARE_STROBE, /* likewise, from the rise of the gate */
};

#define PORT_CONTROL      3

#define CONTROL_SELECT    6 /* shift; 3 is read-back */
#define CONTROL_ACCESS    4 /* shift; 0 is latch */
#define CONTROL_MODE      1 /* shift */
#define CONTROL_BCD       0x01
#define READ_BACK_NO_CNT  0x20
#define READ_BACK_NO_STAT 0x10
#define STATUS_OUT        0x80
#define STATUS_NULL       0x40

#define ACCESS_LOW        1
#define ACCESS_HIGH       2
#define ACCESS_BOTH       3

#define SPEAKER_CHANNEL   2
#define SPEAKER_GATE      0x01
#define SPEAKER_KEPT      0x0f
#define SPEAKER_REFRESH   0x10
#define SPEAKER_OUT       0x20
#define REFRESH_TICKS     18 /* between refreshes of memory: 15 us */

/* A period shorter than this skips ticks, so that a guest cannot keep the VMM busy with them. */
#define MIN_PERIODS_PER_SECOND 10000

static u64 now(const struct vpit *v)
{
	return v->env->now(v->env->ctx);
}

static u64 to_ticks(const struct vpit *v, u64 time)
{
	return mul_div(time, VPIT_HZ, v->env->tsc_hz);
}

/* The first guest time that to_ticks counts as @ticks or more. */
static u64 to_time(const struct vpit *v, u64 ticks)
{
	return mul_div(ticks, v->env->tsc_hz, VPIT_HZ) + 1;
}

/* The gate starts these, and does not stop them. */
static bool triggered(const struct vpit_channel *c)
{
	return c->mode == MODE_ONE_SHOT || c->mode == MODE_HARDWARE_STROBE;
}

static bool periodic(const struct vpit_channel *c)
{
	return c->mode == MODE_RATE || c->mode == MODE_SQUARE;
}

static u64 elapsed_ticks(const struct vpit *v, const struct vpit_channel *c)
{
	return to_ticks(v, c->gate || triggered(c) ? now(v) - c->start : c->held);
}

static bool output(const struct vpit *v, const struct vpit_channel *c)
{
	u64 d;

	if (c->state != VPIT_RUNNING)
		return c->mode != MODE_INTERRUPT;
	d = elapsed_ticks(v, c);
	switch (c->mode) {
	case MODE_INTERRUPT:
	case MODE_ONE_SHOT: return d >= c->reload;
	case MODE_RATE: return !c->gate || d % c->reload != c->reload - 1;
	case MODE_SQUARE: return !c->gate || d % c->reload < (c->reload + 1) / 2;
	default: return d != c->reload;
	}
}

static u32 modulus(const struct vpit_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

static u16 to_bcd(u32 n)
{
	return (u16)(n / 1000 % 10 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10);
}

/* Digits above 9 count as what they are worth: any value is a count below the modulus. */
static u32 from_bcd(u16 bcd)
{
	u32 n = (bcd >> 12) * 1000u + (bcd >> 8 & 15) * 100u + (bcd >> 4 & 15) * 10u + (bcd & 15);

	return n % 10000;
}

/* The count as the guest reads it. */
static u16 count(const struct vpit *v, const struct vpit_channel *c)
{
	u64 d = c->state == VPIT_RUNNING ? elapsed_ticks(v, c) : 0;
	u32 m = modulus(c), n;

	switch (c->mode) {
	case MODE_RATE: n = c->reload - (u32)(d % c->reload); break;
	case MODE_SQUARE: n = c->reload - (u32)(2 * (d % c->reload) % c->reload); break;
	default: n = c->reload + m - (u32)(d % m); break; /* wraps, and goes on */
	}
	n %= m;
	return c->bcd ? to_bcd(n) : (u16)n;
}

/* When channel 0 interrupts next. Always counted from its start, so that nothing drifts. */
static u64 next_tick(const struct vpit *v)
{
	const struct vpit_channel *c = &v->channel[0];
	u64 min = v->env->tsc_hz / MIN_PERIODS_PER_SECOND;
	u64 t = now(v) - c->start, ticks;

	if (c->state != VPIT_RUNNING)
		return VDEV_NEVER;
	if (periodic(c)) {
		if (to_time(v, c->reload) < min)
			t += min;
		ticks = (to_ticks(v, t) / c->reload + 1) * c->reload;
	} else {
		ticks = c->reload + (c->mode == MODE_SOFTWARE_STROBE);
		if (to_ticks(v, t) >= ticks)
			return VDEV_NEVER;
	}
	return c->start + to_time(v, ticks);
}

static void arm(struct vpit *v)
{
	u64 deadline = next_tick(v);

	if (deadline != v->alarm.deadline)
		v->env->set_timer(v->env->ctx, &v->alarm, deadline);
}

/* Only the rise of the line counts, and it stays up until the next: as OUT does in most modes. */
static void alarm_fired(void *dev)
{
	struct vpit *v = dev;

	v->env->set_line(v->env->ctx, VPIT_LINE, false);
	v->env->set_line(v->env->ctx, VPIT_LINE, true);
	arm(v);
}

static void load(const struct vpit *v, struct vpit_channel *c, u16 value)
{
	u32 n = c->bcd ? from_bcd(value) : value;

	c->reload = n ? n : modulus(c);
	if (triggered(c)) {
		if (c->state == VPIT_EMPTY)
			c->state = VPIT_LOADED;
		return;
	}
	c->state = VPIT_RUNNING;
	c->start = now(v);
	c->held = 0;
}

static void write_count(const struct vpit *v, struct vpit_channel *c, u8 value)
{
	switch (c->access) {
	case ACCESS_LOW: load(v, c, value); break;
	case ACCESS_HIGH: load(v, c, (u16)(value << 8)); break;
	default:
		if (c->write_high) {
			load(v, c, (u16)(value << 8 | c->write_low));
		} else {
			c->write_low = value;
			if (c->mode == MODE_INTERRUPT)
				c->state = VPIT_EMPTY; /* stops, as the manual has it */
		}
		c->write_high = !c->write_high;
	}
}

static u8 read_count(const struct vpit *v, struct vpit_channel *c)
{
	u16 n = c->latched ? c->latch : count(v, c);
	bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_high);

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->latched)
		c->latched--;
	if (c->access == ACCESS_BOTH)
		c->read_high = !c->read_high;
	return (u8)(high ? n >> 8 : n);
}

static void latch_count(const struct vpit *v, struct vpit_channel *c)
{
	if (c->latched)
		return; /* the first latch holds until it is read */
	c->latch = count(v, c);
	c->latched = c->access == ACCESS_BOTH ? 2 : 1;
	c->read_high = false;
}

static void latch_status(const struct vpit *v, struct vpit_channel *c)
{
	if (c->status_latched)
		return;
	c->status_latched = true;
	c->status = (u8)((output(v, c) ? STATUS_OUT : 0) |
			 (c->state != VPIT_RUNNING ? STATUS_NULL : 0) |
			 c->access << CONTROL_ACCESS | c->mode << CONTROL_MODE | c->bcd);
}

static void read_back(struct vpit *v, u8 command)
{
	for (unsigned int i = 0; i < VPIT_CHANNELS; i++) {
		struct vpit_channel *c = &v->channel[i];

		if (!(command & 2 << i))
			continue;
		if (!(command & READ_BACK_NO_CNT))
			latch_count(v, c);
		if (!(command & READ_BACK_NO_STAT))
			latch_status(v, c);
	}
}

static void write_control(struct vpit *v, u8 command)
{
	u8 select = command >> CONTROL_SELECT, access = command >> CONTROL_ACCESS & 3;
	u8 mode = command >> CONTROL_MODE & 7;
	struct vpit_channel *c;

	if (select >= VPIT_CHANNELS) {
		read_back(v, command);
		return;
	}
	c = &v->channel[select];
	if (!access) {
		latch_count(v, c);
		return;
	}
	*c = (struct vpit_channel){
		.gate = c->gate,
		.reload = c->reload,
		.access = access,
		.mode = mode > MODE_HARDWARE_STROBE ? (u8)(mode - 4) : mode, /* 6, 7: 2, 3 */
		.bcd = command & CONTROL_BCD,
	};
	/* Whatever the mode, the line idles low until the first tick: no interrupt by set-up. */
	if (select == 0)
		v->env->set_line(v->env->ctx, VPIT_LINE, false);
}

static u8 vpit_read_byte(void *dev, u16 off)
{
	struct vpit *v = dev;

	return off < VPIT_CHANNELS ? read_count(v, &v->channel[off]) : 0xff;
}

static void vpit_write_byte(void *dev, u16 off, u8 value)
{
	struct vpit *v = dev;

	if (off < VPIT_CHANNELS)
		write_count(v, &v->channel[off], value);
	else if (off == PORT_CONTROL)
		write_control(v, value);
	arm(v);
}

static void set_gate(const struct vpit *v, struct vpit_channel *c, bool gate)
{
	u64 t = now(v);

	if (gate == c->gate)
		return;
	c->gate = gate;
	if (!gate)
		c->held = t - c->start;
	else if (c->mode == MODE_INTERRUPT || c->mode == MODE_SOFTWARE_STROBE)
		c->start = t - c->held;
	else if (c->state != VPIT_EMPTY) {
		c->start = t;
		c->state = VPIT_RUNNING;
	}
}

static u8 control_read_byte(void *dev, u16 off)
{
	const struct vpit *v = dev;
	u8 value = v->control;

	if (off)
		return 0xff;
	if (to_ticks(v, now(v)) / REFRESH_TICKS & 1)
		value |= SPEAKER_REFRESH;
	if (output(v, &v->channel[SPEAKER_CHANNEL]))
		value |= SPEAKER_OUT;
	return value; /* no parity or channel check: bits 6 and 7 */
}

static void control_write_byte(void *dev, u16 off, u8 value)
{
	struct vpit *v = dev;

	if (off)
		return;
	v->control = value & SPEAKER_KEPT;
	set_gate(v, &v->channel[SPEAKER_CHANNEL], value & SPEAKER_GATE);
}

static u32 vpit_read(void *dev, u16 off, u8 size)
{
	return pio_read_bytes(vpit_read_byte, dev, off, size);
}

static void vpit_write(void *dev, u16 off, u8 size, u32 value)
{
	pio_write_bytes(vpit_write_byte, dev, off, size, value);
}

static u32 control_read(void *dev, u16 off, u8 size)
{
	return pio_read_bytes(control_read_byte, dev, off, size);
}

static void control_write(void *dev, u16 off, u8 size, u32 value)
{
	pio_write_bytes(control_write_byte, dev, off, size, value);
}

const struct pio_ops vpit_pio = { vpit_read, vpit_write };
const struct pio_ops vpit_control_pio = { control_read, control_write };

void vpit_reset(struct vpit *v)
{
	v->control = 0;
	for (unsigned int i = 0; i < VPIT_CHANNELS; i++)
		v->channel[i] = (struct vpit_channel){
			.gate = i != SPEAKER_CHANNEL,
			.reload = 65536,
			.access = ACCESS_BOTH,
		};
	v->env->set_line(v->env->ctx, VPIT_LINE, false);
	arm(v);
}

void vpit_init(struct vpit *v, const struct vdev_env *env)
{
	*v = (struct vpit){
		.env = env,
		.alarm = { .fire = alarm_fired, .dev = v, .deadline = VDEV_NEVER },
	};
	vpit_reset(v);
}
