/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/pm_timer.h"
#include "lib/errno.h"
#include "lib/math.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmm/host/tsc.h"

#define NS_PER_SECOND 1000000000ULL

/* Everything slower or faster than this is a mistake of who said it. */
#define MIN_HZ 1000000ULL     /* 1 MHz: an emulator */
#define MAX_HZ 20000000000ULL /* 20 GHz */

/* 1/20 s: a read that is late by a microsecond is an error of 20 ppm. */
#define CALIBRATION_DIVISOR 20

#define CPUID_HYPERVISOR    BIT(31) /* 1 ECX */
#define CPUID_INVARIANT_TSC BIT(8)  /* 80000007H EDX */

static u64 hz;

/* "Time Stamp Counter and Nominal Core Crystal Clock Information Leaf". */
static u64 from_crystal(const struct acpi_info *acpi)
{
	struct cpuid_regs r = cpuid(0, 0);

	(void)acpi;
	if (r.eax < 0x15)
		return 0;
	r = cpuid(0x15, 0);
	return r.eax && r.ebx && r.ecx ? mul_div(r.ecx, r.ebx, r.eax) : 0;
}

/* "Processor Frequency Information Leaf": the TSC runs at the base frequency, to the nearest MHz. */
static u64 from_base_frequency(const struct acpi_info *acpi)
{
	(void)acpi;
	return cpuid(0, 0).eax >= 0x16 ? (cpuid(0x16, 0).eax & 0xffff) * 1000000ULL : 0;
}

/* The leaf in kHz that VMware began and KVM has too. */
static u64 from_hypervisor(const struct acpi_info *acpi)
{
	(void)acpi;
	if (!(cpuid(1, 0).ecx & CPUID_HYPERVISOR) || cpuid(0x40000000, 0).eax < 0x40000010)
		return 0;
	return cpuid(0x40000010, 0).eax * 1000ULL;
}

static u64 from_pm_timer(const struct acpi_info *acpi)
{
	u32 ticks = PM_TIMER_HZ / CALIBRATION_DIVISOR;
	u64 start;

	/* Begin right after a tick. */
	if (!acpi->pm_timer_port || !pm_timer_wait(acpi->pm_timer_port, 1))
		return 0;
	start = rdtsc();
	if (!pm_timer_wait(acpi->pm_timer_port, ticks))
		return 0;
	return mul_div(rdtsc() - start, PM_TIMER_HZ, ticks);
}

/*
 * Channel 2 of the PIT, whose gate and output are bits of port 61H; it has no interrupt.
 * Mode 0: the output goes high when the count has come down to 0.
 */
#define PIT_HZ       1193182
#define PIT_CHANNEL2 0x42
#define PIT_MODE     0x43
#define PIT_GATE     0x61
#define GATE_ON      BIT(0)
#define GATE_SPEAKER BIT(1)
#define GATE_OUTPUT  BIT(5)

/* Reads of a port take about 1 us: some ten times what it should take. */
#define PIT_MAX_READS 1000000u

static u64 from_pit(const struct acpi_info *acpi)
{
	u32 ticks = PIT_HZ / CALIBRATION_DIVISOR;
	unsigned int reads = 0;
	u64 start, end;
	u8 gate = inb(PIT_GATE);

	(void)acpi;
	outb(PIT_GATE, (u8)((gate & ~GATE_SPEAKER) | GATE_ON));
	outb(PIT_MODE, 0xb0); /* channel 2, low then high byte, mode 0 */
	outb(PIT_CHANNEL2, (u8)ticks);
	outb(PIT_CHANNEL2, (u8)(ticks >> 8));
	start = rdtsc();
	while (!(inb(PIT_GATE) & GATE_OUTPUT) && reads < PIT_MAX_READS)
		reads++;
	end = rdtsc();
	outb(PIT_GATE, gate);
	/* High at once, or never: there is no PIT. */
	return reads > 1 && reads < PIT_MAX_READS ? mul_div(end - start, PIT_HZ, ticks) : 0;
}

/* From the most to the least exact; the first that answers is believed. */
static const struct {
	u64 (*find)(const struct acpi_info *acpi);
	char name[32];
} sources[] = {
	{ from_crystal, "CPUID leaf 15H" },
	{ from_base_frequency, "CPUID leaf 16H" },
	{ from_hypervisor, "the hypervisor's CPUID leaf" },
	{ from_pm_timer, "measured with the PM timer" },
	{ from_pit, "measured with the PIT" },
};

int tsc_init(const struct acpi_info *acpi)
{
	bool invariant = cpuid(0x80000000, 0).eax >= 0x80000007 &&
			 (cpuid(0x80000007, 0).edx & CPUID_INVARIANT_TSC);

	for (unsigned int i = 0; i < ARRAY_SIZE(sources); i++) {
		u64 found = sources[i].find(acpi);

		if (found < MIN_HZ || found > MAX_HZ)
			continue;
		hz = found;
		pr_info("tsc: %llu.%03llu MHz (%s)%s\n", (unsigned long long)(hz / 1000000),
			(unsigned long long)(hz / 1000 % 1000), sources[i].name,
			invariant ? "" : ", not invariant: time may drift");
		return 0;
	}
	pr_err("tsc: no frequency: CPUID does not say it, and neither PM timer nor PIT count\n");
	return -ENODEV;
}

u64 tsc_hz(void)
{
	return hz;
}

u64 tsc_to_ns(u64 ticks)
{
	return mul_div(ticks, NS_PER_SECOND, hz);
}

u64 tsc_from_ns(u64 ns)
{
	return mul_div(ns, hz, NS_PER_SECOND);
}
