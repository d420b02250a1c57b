/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/host/tsc: the TSC's frequency is found to 50 ppm on real CPUs and under hypervisors, stolen time or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/pit.h"
#include "drivers/pm_timer.h"
#include "lib/errno.h"
#include "lib/x86.h"
#include "tests/unit/fake_x86.h"
#include "tests/unit/host_support.h"
#include "vmm/host/tsc.h"

#define US    1000ULL
#define MS    1000000ULL
#define SPEED 2904123456ULL /* what there is to be measured */

/* The machine: its time in ns, what a read of a clock costs, and when a hypervisor steals how much. */
static struct {
	u64 now, speed, cost;
	u64 steal_at, steal_every, steal;
	u64 burst_at, burst_end; /* meanwhile each read answers 1 ms late */
	bool stopped;
	unsigned int reads;
	struct cpuid_regs leaf0, leaf1, leaf15, leaf16;
	u32 kvm_base, hypervisor_khz;
	u32 kvm_mul;
	s8 kvm_shift;
	unsigned int kvm_clock_writes;
} m;

static void pass(u64 ns)
{
	m.now += ns;
	if (m.steal && m.now >= m.steal_at) {
		m.now += m.steal;
		m.steal_at = m.steal_every ? m.now + m.steal_every : ~0ULL;
	}
}

static u64 fake_tsc(void)
{
	pass(10);
	return (u64)((unsigned __int128)m.now * m.speed / 1000000000);
}

static u32 counter(u64 hz)
{
	u64 now;

	m.reads++;
	pass(m.cost / 4);
	now = m.stopped ? 0 : m.now;
	if (m.now >= m.burst_at && m.now < m.burst_end)
		pass(1 * MS);
	pass(m.cost - m.cost / 4);
	return (u32)((unsigned __int128)now * hz / 1000000000);
}

u32 pm_timer_read(u16 port)
{
	assert_int_equal(port, 0x608);
	return counter(PM_TIMER_HZ) & PM_TIMER_MASK;
}

u8 pit_start(void)
{
	return 0x30;
}

u32 pit_read(void)
{
	return counter(PIT_HZ) & PIT_MASK;
}

void pit_stop(u8 gate)
{
	assert_int_equal(gate, 0x30);
}

static struct cpuid_regs fake_cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 0: return m.leaf0;
	case 1: return m.leaf1;
	case 0x15: return m.leaf15;
	case 0x16: return m.leaf16;
	case 0x80000000: return (struct cpuid_regs){ 0x80000008, 0, 0, 0 };
	case 0x80000007: return (struct cpuid_regs){ 0, 0, 0, BIT(8) };
	case 0x40000010: return (struct cpuid_regs){ m.hypervisor_khz, 0, 0, 0 };
	}
	if (m.kvm_base && leaf == m.kvm_base)
		return (struct cpuid_regs){ leaf | (m.hypervisor_khz ? 0x10 : 1), 0x4b4d564b,
					    0x564b4d56, 0x4d };
	if (m.kvm_base && leaf == m.kvm_base + 1)
		return (struct cpuid_regs){ BIT(3), 0, 0, 0 };
	return (struct cpuid_regs){ 0 };
}

/* KVM fills the page at the next entry. */
static void fake_wrmsr(u32 msr, u64 value)
{
	u32 *page = (void *)(uintptr_t)(value & ~1ULL);

	if (msr != 0x4b564d01)
		return;
	m.kvm_clock_writes++;
	if (!(value & 1))
		return;
	assert_int_equal((uintptr_t)page % 32, 0);
	page[0] = 2;
	page[6] = m.kvm_mul;
	memcpy(&page[7], &m.kvm_shift, 1);
}

static int setup(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	m.now = 12345678;
	m.speed = SPEED;
	m.cost = 1 * US;
	fake_x86_reset();
	fake_x86.rdtsc = fake_tsc;
	fake_x86.cpuid = fake_cpuid;
	fake_x86.wrmsr = fake_wrmsr;
	fake_msr_set(0x4b564d01, 0);
	return 0;
}

static u64 found(u16 pm_timer_port)
{
	struct acpi_info acpi = { .pm_timer_port = pm_timer_port };

	capture_start();
	assert_int_equal(tsc_init(&acpi), 0);
	capture_stop();
	return tsc_hz();
}

static void assert_ppm(u64 hz, u64 right, u64 ppm)
{
	u64 off = hz > right ? hz - right : right - hz;

	if (off * 1000000 > right * ppm)
		fail_msg("%llu Hz is %llu ppm off", (unsigned long long)hz,
			 (unsigned long long)(off * 1000000 / right));
}

static void virtual(void)
{
	m.leaf0.eax = 0x16;
	m.leaf1 = (struct cpuid_regs){ 0x306c3, 0, BIT(31), 0 };
}

/* Claim: what processors say of themselves gives their frequency; 16H alone is not believed if there is a clock. */
static void real_cpus(void **state)
{
	static const struct {
		const char *name;
		u32 signature, den, num, crystal, mhz;
		u64 hz; /* 0: has to be measured */
	} cpus[] = {
		{ "i7-6700K", 0x506e3, 2, 334, 0, 4000, 4008000000 },
		{ "i7-6500U", 0x406e3, 2, 216, 0, 2600, 2592000000 },
		{ "i7-7700K", 0x906e9, 2, 350, 0, 4200, 4200000000 },
		{ "i7-8565U", 0x806eb, 2, 166, 0, 2000, 1992000000 },
		{ "Apollo Lake", 0x506c9, 3, 171, 0, 1100, 1094400000 },
		{ "Denverton", 0x506f1, 2, 176, 0, 0, 2200000000 },
		{ "Xeon Gold 6130", 0x50654, 2, 168, 0, 2100, 0 },
		{ "i9-10900K", 0xa0655, 2, 308, 24000000, 3700, 3696000000 },
		{ "i7-1165G7", 0x806c1, 2, 146, 38400000, 2800, 2803200000 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cpus); i++) {
		setup(state);
		m.leaf0.eax = 0x16;
		m.leaf1.eax = cpus[i].signature;
		m.leaf15 = (struct cpuid_regs){ cpus[i].den, cpus[i].num, cpus[i].crystal, 0 };
		m.leaf16.eax = cpus[i].mhz;
		m.speed = cpus[i].hz ? cpus[i].hz : 2095084137;
		if (cpus[i].hz)
			assert_int_equal(found(0x608), cpus[i].hz);
		else
			assert_ppm(found(0x608), m.speed, 20);
		assert_int_equal(!m.reads, !!cpus[i].hz);
		assert_null(strstr(capture_text(), "leaf 16H"));
	}
}

/* Claim: the hypervisor's word comes first: its leaf, its clock; a processor's crystal that it only shows does not count. */
static void hypervisors(void **state)
{
	(void)state;
	virtual();
	m.leaf1.eax = 0x506e3;
	m.leaf15 = (struct cpuid_regs){ 2, 334, 0, 0 };
	m.leaf16.eax = 4000;
	assert_ppm(found(0x608), SPEED, 20);
	m.kvm_base = 0x40000100;
	m.kvm_mul = (u32)((1000000000ULL << 32) * 2 / SPEED);
	m.kvm_shift = -1;
	m.reads = 0;
	assert_ppm(found(0x608), SPEED, 1);
	assert_int_equal(m.reads, 0);
	assert_int_equal(m.kvm_clock_writes, 2);
	assert_int_equal(fake_msr(0x4b564d01), 0);
	m.kvm_mul = 0x80000000u; /* 500 MHz, if times two */
	m.kvm_shift = 2;
	assert_int_equal(found(0x608), 500000000);
	m.kvm_base = 0x40000000;
	m.hypervisor_khz = 2904123;
	m.leaf15.ecx = 24000000;
	assert_int_equal(found(0x608), 2904123000);
}

/* Claim: by PM timer and by PIT, at any cost of a read, the answer is right to 50 ppm. */
static void measured(void **state)
{
	static const u64 speeds[] = { 100000000, 249999000, 1999812345, 5200000000 };
	static const u64 costs[] = { 200, 1 * US, 20 * US, 300 * US };

	for (unsigned int i = 0; i < ARRAY_SIZE(speeds); i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(costs); j++) {
			setup(state);
			m.speed = speeds[i];
			m.cost = costs[j];
			assert_ppm(found(0x608), speeds[i], 50);
			assert_non_null(strstr(capture_text(), "PM timer"));
			assert_ppm(found(0), speeds[i], 50);
			assert_non_null(strstr(capture_text(), "PIT"));
		}
	}
}

/* Claim: time that is stolen at any moment of a measurement does not spoil it; nor does it when that happens again and again. */
static void stolen(void **state)
{
	for (u64 at = 0; at < 200 * MS; at += 1311 * US) {
		setup(state);
		m.steal_at = m.now + at;
		m.steal = (at / US % 7 + 1) * MS;
		assert_ppm(found(at % 2 ? 0x608 : 0), SPEED, 50);
	}
	for (u64 every = 3 * MS; every < 100 * MS; every += 9 * MS + 77 * US) {
		setup(state);
		m.steal_at = m.now + 1 * MS;
		m.steal_every = every;
		m.steal = 1 * MS;
		assert_ppm(found(0x608), SPEED, 50);
	}
	/* No read without: a round that begins or ends so is wrong. */
	for (u64 at = 5 * MS; at < 200 * MS; at += 5 * MS) {
		setup(state);
		m.burst_at = m.now + at;
		m.burst_end = m.burst_at + 15 * MS;
		assert_ppm(found(0x608), SPEED, 50);
	}
	/* Longer than the PM timer takes to come round, and with it what no round can know. */
	setup(state);
	m.steal_at = m.now + 20 * MS;
	m.steal = 6000 * MS;
	assert_ppm(found(0x608), SPEED, 50);
}

/* Claim: a clock that stands is passed over; 16H is the last word, and nothing is an error. */
static void standing(void **state)
{
	struct acpi_info acpi = { 0 };

	(void)state;
	m.stopped = true;
	m.leaf0.eax = 0x16;
	m.leaf16.eax = 2900;
	assert_int_equal(found(0x608), 2900000000);
	assert_non_null(strstr(capture_text(), "rounded"));
	m.leaf0.eax = 0x14;
	capture_start();
	assert_int_equal(tsc_init(&acpi), -ENODEV);
	capture_stop();
	assert_non_null(strstr(capture_text(), "no frequency"));
}

/* Claim: what cannot be is told. */
static void implausible(void **state)
{
	(void)state;
	m.leaf0.eax = 0x16;
	m.leaf16.eax = 2800;
	assert_ppm(found(0x608), SPEED, 50);
	assert_non_null(strstr(capture_text(), "CPUID leaf 16H says 2800 MHz"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(real_cpus, setup),
		cmocka_unit_test_setup(hypervisors, setup),
		cmocka_unit_test_setup(measured, setup),
		cmocka_unit_test_setup(stolen, setup),
		cmocka_unit_test_setup(standing, setup),
		cmocka_unit_test_setup(implausible, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
