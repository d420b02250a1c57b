/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine for one emulated device: a clock that the test moves, interrupt lines, alarms, ports. */
#ifndef TESTS_UNIT_FAKE_VDEV_H
#define TESTS_UNIT_FAKE_VDEV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/string.h"
#include "lib/vdev.h"
#include "vmm/sched/vtimer.h"

#define FAKE_HZ          2000000000ULL       /* of the guest's TSC */
#define FAKE_ACCESS_TIME (FAKE_HZ / 1000000) /* what a port access takes: 1 us */

struct fake {
	struct vdev_env env;
	u64 now;
	bool line[16];
	unsigned int rises[16]; /* of each line */
	unsigned int fired;     /* alarms */
	struct vtimers timers;
};

static struct fake fake;

static u64 fake_now(void *ctx)
{
	return ((struct fake *)ctx)->now;
}

static void fake_set_line(void *ctx, unsigned int line, bool level)
{
	struct fake *f = ctx;

	assert_in_range(line, 0, 15);
	if (level && !f->line[line])
		f->rises[line]++;
	f->line[line] = level;
}

static void fake_set_timer(void *ctx, struct vdev_timer *timer, u64 deadline)
{
	vtimer_set(&((struct fake *)ctx)->timers, timer, deadline);
}

static inline void fake_reset(void)
{
	fake = (struct fake){
		.env = { &fake, FAKE_HZ, fake_now, fake_set_line, fake_set_timer },
	};
}

/* Let @time pass, and each alarm fire at its deadline. */
static inline void fake_pass(u64 time)
{
	u64 end = fake.now + time;

	while (vtimer_next(&fake.timers) <= end) {
		struct vdev_timer *timer = fake.timers.first;

		if (timer->deadline > fake.now)
			fake.now = timer->deadline;
		vtimer_set(&fake.timers, timer, VDEV_NEVER);
		timer->fire(timer->dev);
		fake.fired++;
	}
	fake.now = end;
}

static inline void fake_pass_us(u64 us)
{
	fake_pass(us * (FAKE_HZ / 1000000));
}

static inline u32 fake_in(const struct pio_ops *ops, void *dev, u16 off, u8 size)
{
	fake_pass(FAKE_ACCESS_TIME);
	return ops->read(dev, off, size);
}

static inline void fake_out(const struct pio_ops *ops, void *dev, u16 off, u8 size, u32 value)
{
	fake_pass(FAKE_ACCESS_TIME);
	ops->write(dev, off, size, value);
}

/*
 * Every port x size x read and write of many values, in random order and also past the end of the
 * range: it is for the sanitizers to find something.
 */
static inline void fake_sweep(const struct pio_ops *ops, void *dev, u16 ports)
{
	u32 random = 1;

	for (unsigned int i = 0; i < 200000; i++) {
		random = random * 1664525 + 1013904223;
		u16 off = (u16)((random >> 8) % ports);
		u8 size = (u8)(1 << (random >> 16) % 3);

		if (random >> 31)
			fake_out(ops, dev, off, size, random * 2654435761u >> (random >> 27));
		else
			(void)fake_in(ops, dev, off, size);
		if (random % 97 == 0)
			fake_pass(random >> 6);
	}
}

#endif
