/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for the tests of the interrupt controllers: local APICs on a bus, a clock that stands
 * still until it is told to run, and owners that count what they are told.
 */
#ifndef TESTS_UNIT_TEST_VLAPIC_H
#define TESTS_UNIT_TEST_VLAPIC_H

#include "lib/types.h"
#include "lib/x86.h"
#include "vioapic/apic_regs.h"
#include "vioapic/vlapic.h"
#include "vioapic/vioapic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TSC_HZ               3000000000ULL
#define TIMER_HZ             1000000000ULL

#define ICR_MODE(mode)       ((u32)(mode) << APIC_MODE_SHIFT)
#define ICR_SHORTHAND(which) ((u32)(which) << 18)

/* A CPU: its local APIC, and what it has been told. */
struct cpu {
	struct vlapic apic;
	_Alignas(4096) u8 page[4096];
	unsigned int kicks, nmis, inits, sipis, eois;
	u8 sipi_vector, eoi_vector;
};

static struct machine {
	struct vapic_bus bus;
	struct vdev_env env;
	struct vioapic *ioapic; /* gets the EOIs when set */
	u64 now;
	struct vdev_timer *armed[VAPIC_MAX]; /* by place, as each CPU has one */
	unsigned int alarms_set;
	struct cpu cpu[VAPIC_MAX];
	unsigned int cpus;
} m;

static inline void on_kick(void *ctx)
{
	((struct cpu *)ctx)->kicks++;
}

static inline void on_nmi(void *ctx)
{
	((struct cpu *)ctx)->nmis++;
}

static inline void on_init(void *ctx)
{
	((struct cpu *)ctx)->inits++;
}

static inline void on_sipi(void *ctx, u8 vector)
{
	((struct cpu *)ctx)->sipis++;
	((struct cpu *)ctx)->sipi_vector = vector;
}

static inline void on_eoi(void *ctx, u8 vector)
{
	((struct cpu *)ctx)->eois++;
	((struct cpu *)ctx)->eoi_vector = vector;
	if (m.ioapic)
		vioapic_eoi(m.ioapic, vector);
}

static const struct vlapic_ops cpu_ops = {
	.kick = on_kick, .nmi = on_nmi, .init = on_init, .sipi = on_sipi, .eoi = on_eoi
};

static inline u64 clock_now(void *ctx)
{
	(void)ctx;
	return m.now;
}

static inline void clock_set_timer(void *ctx, struct vdev_timer *timer, u64 deadline)
{
	unsigned int i = (unsigned int)((struct cpu *)timer->dev - m.cpu);

	(void)ctx;
	m.alarms_set++;
	timer->deadline = deadline;
	m.armed[i] = deadline == VDEV_NEVER ? NULL : timer;
}

/* Let the clock run to @until; each alarm fires @late ticks after its deadline. */
static inline void clock_run_late(u64 until, u64 late)
{
	for (;;) {
		struct vdev_timer **first = NULL;

		for (unsigned int i = 0; i < VAPIC_MAX; i++) {
			if (m.armed[i] && (!first || m.armed[i]->deadline < (*first)->deadline))
				first = &m.armed[i];
		}
		if (!first || (*first)->deadline + late > until)
			break;
		struct vdev_timer *timer = *first;

		m.now = MAX(m.now, timer->deadline + late);
		*first = NULL;
		timer->deadline = VDEV_NEVER;
		timer->fire(timer->dev);
	}
	m.now = until;
}

static inline void clock_run(u64 until)
{
	clock_run_late(until, 0);
}

/* @cpus CPUs with APIC IDs 0, 1, ...; each in xAPIC mode and disabled by its SVR. */
static inline void machine_start(unsigned int cpus)
{
	memset(&m, 0, sizeof(m));
	m.env = (struct vdev_env){ .tsc_hz = TSC_HZ,
				   .now = clock_now,
				   .set_timer = clock_set_timer };
	m.cpus = cpus;
	vapic_bus_init(&m.bus, TIMER_HZ, VAPIC_X2APIC | VAPIC_TSC_DEADLINE);
	for (unsigned int i = 0; i < cpus; i++) {
		struct cpu *c = &m.cpu[i];

		memset(c->page, 0xa5, sizeof(c->page));
		assert_int_equal(vlapic_init(&c->apic, &m.bus, &m.env, &cpu_ops, c, c->page, i), 0);
	}
}

static inline struct vlapic *apic(unsigned int i)
{
	return &m.cpu[i].apic;
}

static inline void to_x2apic(unsigned int i)
{
	assert_true(vlapic_set_base(apic(i), vlapic_base(apic(i)) | APIC_BASE_EXTD));
}

/* As the guest would, in whichever mode CPU @i is. */
static inline void wr(unsigned int i, u32 off, u64 value)
{
	if (vlapic_base(apic(i)) & APIC_BASE_EXTD)
		assert_true(vlapic_msr_write(apic(i), IA32_X2APIC(off), value));
	else
		vlapic_mmio_write(apic(i), off, 4, value);
}

static inline u64 rd(unsigned int i, u32 off)
{
	u64 value = 0;

	if (vlapic_base(apic(i)) & APIC_BASE_EXTD)
		assert_true(vlapic_msr_read(apic(i), IA32_X2APIC(off), &value));
	else
		value = vlapic_mmio_read(apic(i), off, 4);
	return value;
}

static inline void enable(unsigned int i)
{
	wr(i, APIC_SVR, APIC_SVR_ENABLE | 0xff);
}

static inline void machine_start_enabled(unsigned int cpus)
{
	machine_start(cpus);
	for (unsigned int i = 0; i < cpus; i++)
		enable(i);
}

/* Take the pending interrupt, and check that it is @vector. */
static inline void take(unsigned int i, int vector)
{
	assert_int_equal(vlapic_pending(apic(i)), vector);
	vlapic_accept(apic(i), (u8)vector);
}

/* As Linux sends an IPI in either mode. */
static inline void ipi(unsigned int i, u32 low, u32 dest)
{
	if (vlapic_base(apic(i)) & APIC_BASE_EXTD) {
		wr(i, APIC_ICR, make_64(dest, low));
	} else {
		wr(i, APIC_ICR_HIGH, dest << 24);
		wr(i, APIC_ICR, low);
	}
}

#endif
