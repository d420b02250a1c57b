/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/pit.h"
#include "drivers/pm_timer.h"
#include "lib/errno.h"
#include "lib/math.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmm/host/tsc.h"
#include "vmm/host/tsc_measure.h"

#define NS_PER_SECOND 1000000000ULL

/* Everything slower or faster than this is a mistake of who said it. */
#define MIN_HZ              1000000ULL     /* 1 MHz: an emulator */
#define MAX_HZ              20000000000ULL /* 20 GHz */

#define CPUID_HYPERVISOR    BIT(31) /* 1 ECX */
#define CPUID_INVARIANT_TSC BIT(8)  /* 80000007H EDX */

static u64 hz;
static const char *source = "";

static bool is_virtual(void)
{
	return cpuid(1, 0).ecx & CPUID_HYPERVISOR;
}

/* --- a hypervisor's word --- */

/* The leaf in kHz that VMware began and KVM has too. */
static u64 from_hypervisor(const struct acpi_info *acpi)
{
	(void)acpi;
	return cpuid(0x40000000, 0).eax >= 0x40000010 ? cpuid(0x40000010, 0).eax * 1000ULL : 0;
}

#define KVM_LEAVES         0x40000000u /* or behind others', in steps of 100H */
#define KVM_LEAVES_END     0x40010000u
#define KVM_FEATURES       1
#define KVM_CLOCKSOURCE2   BIT(3)
#define KVM_MSR_CLOCK      0x4b564d01
#define KVM_MSR_CLOCK_ON   BIT(0)
#define KVM_CLOCK_ATTEMPTS 1000

/* KVM's documentation, "KVM-specific MSRs", MSR_KVM_SYSTEM_TIME_NEW. */
static struct kvm_clock {
	u32 version; /* odd: it is being written */
	u32 pad;
	u64 tsc, time;
	u32 mul; /* nanoseconds are ((ticks << shift) * mul) >> 32 */
	s8 shift;
	u8 flags, pad2[2];
} kvm_clock __attribute__((aligned(64)));
_Static_assert(sizeof(struct kvm_clock) == 32, "KVM's ABI");

static bool has_kvm_clock(void)
{
	for (u32 leaf = KVM_LEAVES; leaf < KVM_LEAVES_END; leaf += 0x100) {
		struct cpuid_regs r = cpuid(leaf, 0);

		if (r.ebx == 0x4b4d564b && r.ecx == 0x564b4d56 && r.edx == 0x4d)
			return cpuid(leaf + KVM_FEATURES, 0).eax & KVM_CLOCKSOURCE2;
	}
	return false;
}

/* What its clock multiplies by is made from the frequency, to one part in 2^31. */
static u64 from_kvm_clock(const struct acpi_info *acpi)
{
	volatile struct kvm_clock *clock = &kvm_clock;
	u32 version, mul = 0;
	s8 shift = 0;

	(void)acpi;
	if (!has_kvm_clock())
		return 0;
	wrmsr(KVM_MSR_CLOCK, (u64)(uintptr_t)clock | KVM_MSR_CLOCK_ON);
	for (unsigned int i = 0; i < KVM_CLOCK_ATTEMPTS; i++) {
		version = clock->version;
		mul = clock->mul;
		shift = clock->shift;
		if (version && !(version & 1) && clock->version == version)
			break;
		mul = 0;
	}
	wrmsr(KVM_MSR_CLOCK, 0);
	if (!mul || shift < -31 || shift > 31)
		return 0;
	return shift < 0 ? ((NS_PER_SECOND << 32) / mul) << -shift
			 : ((NS_PER_SECOND << 32) / mul) >> shift;
}

/* --- the processor's --- */

/*
 * "Nominal Core Crystal Clock Frequency", for those of family 6 that do not say it themselves. Not 55H, of which some have
 * one crystal and some another.
 */
static u32 known_crystal(void)
{
	static const struct {
		u16 model;
		u32 hz;
	} crystals[] = {
		{ 0x4e, 24000000 }, { 0x5e, 24000000 }, { 0x8e, 24000000 },
		{ 0x9e, 24000000 }, { 0x5c, 19200000 }, { 0x5f, 25000000 },
	};
	u32 signature = cpuid(1, 0).eax;
	u32 model = (signature >> 12 & 0xf0) | (signature >> 4 & 0xf);

	for (unsigned int i = 0; i < ARRAY_SIZE(crystals) && (signature >> 8 & 0xf) == 6; i++) {
		if (crystals[i].model == model)
			return crystals[i].hz;
	}
	return 0;
}

/* "Time Stamp Counter and Nominal Core Crystal Clock Information Leaf". */
static u64 from_crystal(const struct acpi_info *acpi)
{
	struct cpuid_regs r = cpuid(0, 0);

	(void)acpi;
	if (r.eax < 0x15)
		return 0;
	r = cpuid(0x15, 0);
	/* A hypervisor that shows a model need not run at its speed. */
	if (!r.ecx && !is_virtual())
		r.ecx = known_crystal();
	return r.eax && r.ebx && r.ecx ? mul_div(r.ecx, r.ebx, r.eax) : 0;
}

/* "Processor Frequency Information Leaf": rounded to some MHz, which is more than clocks can be corrected by. */
static u64 from_base_frequency(const struct acpi_info *acpi)
{
	(void)acpi;
	return cpuid(0, 0).eax >= 0x16 ? (cpuid(0x16, 0).eax & 0xffff) * 1000000ULL : 0;
}

/* --- other clocks' --- */

static u64 measure(const struct tsc_counter *counter)
{
	u32 ppm;
	u64 found = tsc_measure(counter, &ppm);

	if (found && ppm > TSC_GOOD_PPM)
		pr_warn("tsc: measurements differ by %u ppm: clocks may be off by as much\n", ppm);
	return found;
}

static u64 from_pm_timer(const struct acpi_info *acpi)
{
	const struct tsc_counter counter = {
		PM_TIMER_HZ,
		PM_TIMER_MASK,
		pm_timer_read,
		acpi->pm_timer_port,
	};

	return acpi->pm_timer_port ? measure(&counter) : 0;
}

static u32 read_pit(u16 port)
{
	(void)port;
	return pit_read();
}

static u64 from_pit(const struct acpi_info *acpi)
{
	const struct tsc_counter counter = { PIT_HZ, PIT_MASK, read_pit, 0 };
	u8 gate = pit_start();
	u64 found = measure(&counter);

	(void)acpi;
	pit_stop(gate);
	return found;
}

/* From the most to the least exact; the first that answers is believed. */
static const struct {
	u64 (*find)(const struct acpi_info *acpi);
	bool virtual; /* a hypervisor is asked */
	char name[32];
} sources[] = {
	{ from_hypervisor, true, "the hypervisor's CPUID leaf" },
	{ from_kvm_clock, true, "KVM's clock" },
	{ from_crystal, false, "CPUID leaf 15H" },
	{ from_pm_timer, false, "measured with the PM timer" },
	{ from_pit, false, "measured with the PIT" },
	{ from_base_frequency, false, "CPUID leaf 16H, rounded" },
};

/* A bare machine's base frequency is its TSC's, but for a per cent of rounding and of a clock that is tuned. */
static void check_plausible(void)
{
	u64 base = is_virtual() ? 0 : from_base_frequency(NULL);

	if (base && (hz > base ? hz - base : base - hz) > base / 100)
		pr_warn("tsc: CPUID leaf 16H says %llu MHz\n",
			(unsigned long long)(base / 1000000));
}

int tsc_init(const struct acpi_info *acpi)
{
	bool invariant = cpuid(0x80000000, 0).eax >= 0x80000007 &&
			 (cpuid(0x80000007, 0).edx & CPUID_INVARIANT_TSC);

	for (unsigned int i = 0; i < ARRAY_SIZE(sources); i++) {
		u64 found = sources[i].virtual && !is_virtual() ? 0 : sources[i].find(acpi);

		if (found < MIN_HZ || found > MAX_HZ)
			continue;
		hz = found;
		source = sources[i].name;
		pr_info("tsc: %llu.%03llu MHz (%s)%s\n", (unsigned long long)(hz / 1000000),
			(unsigned long long)(hz / 1000 % 1000), sources[i].name,
			invariant ? "" : ", not invariant: time may drift");
		check_plausible();
		return 0;
	}
	pr_err("tsc: no frequency: CPUID does not say it, and neither PM timer nor PIT count\n");
	return -ENODEV;
}

u64 tsc_hz(void)
{
	return hz;
}

const char *tsc_source(void)
{
	return source;
}

u64 tsc_to_ns(u64 ticks)
{
	return mul_div(ticks, NS_PER_SECOND, hz);
}

u64 tsc_from_ns(u64 ns)
{
	return mul_div(ns, hz, NS_PER_SECOND);
}
