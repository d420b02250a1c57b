/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/lapic.h"
#include "lib/math.h"
#include "lib/x86.h"

/* Registers, by their offset in the xAPIC page; IA32_X2APIC() turns it into an MSR. */
enum {
	APIC_ID = 0x020,
	APIC_TPR = 0x080,
	APIC_EOI = 0x0b0,
	APIC_SVR = 0x0f0,
	APIC_ISR = 0x100, /* eight registers of 32 bits */
	APIC_VERSION = 0x030,
	APIC_ESR = 0x280,
	APIC_LVT_CMCI = 0x2f0,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_THERMAL = 0x330,
	APIC_LVT_PERF = 0x340,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INIT = 0x380,
	APIC_TIMER_COUNT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
	APIC_SELF_IPI = 0x3f0,
};

#define SVR_ENABLE         BIT(8)
#define LVT_MASKED         BIT(16)
#define LVT_TSC_DEADLINE   BIT(18)
#define ICR_NMI            (4u << 8)
#define ICR_INIT           (5u << 8)
#define ICR_STARTUP        (6u << 8)
#define ICR_PENDING        BIT(12)
#define ICR_ASSERT         BIT(14)
#define ICR_SELF           BIT(18)
#define DIVIDE_BY_1        0x0b
#define CPUID_1_ECX_X2APIC BIT(21)
#define CPUID_1_ECX_TSC_DL BIT(24)

/* The LVT entries, in the order of the number that the version register gives. */
static const u16 lvt[] = {
	APIC_LVT_TIMER, APIC_LVT_LINT0,   APIC_LVT_LINT1, APIC_LVT_ERROR,
	APIC_LVT_PERF,  APIC_LVT_THERMAL, APIC_LVT_CMCI,
};

/* The same on all CPUs: firmware and lapic_init put them all into one mode. */
static struct {
	volatile u32 *mmio; /* NULL in x2APIC mode */
	bool tsc_deadline, avoid_deadline;
	u8 timer_vector;
	u64 tsc_hz, timer_hz;
} lapic;

static u32 apic_read(unsigned int reg)
{
	return lapic.mmio ? lapic.mmio[reg / 4] : lower_32(rdmsr(IA32_X2APIC(reg)));
}

static void apic_write(unsigned int reg, u32 value)
{
	if (lapic.mmio)
		lapic.mmio[reg / 4] = value;
	else
		wrmsr(IA32_X2APIC(reg), value);
}

hpa_t lapic_base(void)
{
	return rdmsr(IA32_APIC_BASE) & GENMASK(51, 12);
}

/* The way from disabled to x2APIC leads through xAPIC mode: "x2APIC State Transitions". */
static void enable_mode(bool x2apic)
{
	u64 base = rdmsr(IA32_APIC_BASE);

	if (!(base & APIC_BASE_EN)) {
		base |= APIC_BASE_EN;
		wrmsr(IA32_APIC_BASE, base);
	}
	if (x2apic && !(base & APIC_BASE_EXTD))
		wrmsr(IA32_APIC_BASE, base | APIC_BASE_EXTD);
}

#define VECTORS 256

bool lapic_in_service(u8 vector)
{
	return apic_read(APIC_ISR + vector / 32 * 0x10u) >> vector % 32 & 1;
}

/* What the firmware, or whoever was there before it, has not ended would keep its class and those below back for ever. */
static void drain(void)
{
	for (unsigned int i = VECTORS; i-- > 0;) { /* an EOI ends the highest */
		if (lapic_in_service((u8)i))
			lapic_eoi();
	}
}

void lapic_init(void *mmio, u8 spurious)
{
	bool x2apic = cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC;
	unsigned int last;

	enable_mode(x2apic);
	lapic.mmio = x2apic ? NULL : mmio;
	lapic.tsc_deadline = lapic_has_tsc_deadline();

	apic_write(APIC_SVR, (u32)SVR_ENABLE | spurious);
	apic_write(APIC_TPR, 0);
	last = apic_read(APIC_VERSION) >> 16 & 0xff;
	for (unsigned int i = 0; i < ARRAY_SIZE(lvt) && i <= last; i++)
		apic_write(lvt[i], LVT_MASKED);
	apic_write(APIC_ESR, 0);
	drain();
}

bool lapic_is_x2apic(void)
{
	return !lapic.mmio;
}

u32 lapic_id(void)
{
	u32 id = apic_read(APIC_ID);

	return lapic.mmio ? id >> 24 : id;
}

void lapic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

/*
 * In x2APIC mode the write of ICR is not serializing: the fence makes what the other CPU is to see
 * visible before the interrupt ("MSR Access in x2APIC Mode").
 */
static void write_icr(u32 apic_id, u32 command)
{
	if (!lapic.mmio) {
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(IA32_X2APIC(APIC_ICR), make_64(apic_id, command));
		return;
	}
	while (apic_read(APIC_ICR) & ICR_PENDING)
		cpu_pause();
	apic_write(APIC_ICR_HIGH, apic_id << 24);
	apic_write(APIC_ICR, command);
}

void lapic_send_ipi(u32 apic_id, u8 vector)
{
	write_icr(apic_id, (u32)ICR_ASSERT | vector);
}

void lapic_send_self_ipi(u8 vector)
{
	if (lapic.mmio)
		write_icr(0, (u32)(ICR_SELF | ICR_ASSERT) | vector);
	else
		apic_write(APIC_SELF_IPI, vector);
}

void lapic_send_init(u32 apic_id)
{
	write_icr(apic_id, (u32)ICR_ASSERT | ICR_INIT);
}

void lapic_send_startup(u32 apic_id, u8 page)
{
	write_icr(apic_id, (u32)ICR_ASSERT | ICR_STARTUP | page);
}

void lapic_send_nmi(u32 apic_id)
{
	write_icr(apic_id, (u32)ICR_ASSERT | ICR_NMI);
}

void lapic_avoid_tsc_deadline(void)
{
	lapic.avoid_deadline = true;
}

bool lapic_has_tsc_deadline(void)
{
	return !lapic.avoid_deadline && (cpuid(1, 0).ecx & CPUID_1_ECX_TSC_DL);
}

void lapic_timer_init(u8 vector, u64 tsc_hz, u64 timer_hz)
{
	lapic.timer_vector = vector;
	lapic.tsc_hz = tsc_hz;
	lapic.timer_hz = timer_hz;
	if (lapic.tsc_deadline) {
		apic_write(APIC_LVT_TIMER, (u32)LVT_TSC_DEADLINE | vector);
		/* Orders the mode against the first deadline, which goes another way ("TSC-Deadline Mode"). */
		__asm__ volatile("mfence" : : : "memory");
	} else {
		apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
		apic_write(APIC_TIMER_INIT, 0);
		apic_write(APIC_LVT_TIMER, vector);
	}
}

static void arm_count(u64 deadline)
{
	u64 now = rdtsc();
	u64 ticks = deadline > now ? mul_div(deadline - now, lapic.timer_hz, lapic.tsc_hz) : 0;

	/* A count of 0 would stop the timer; one that is cut short is armed again by its handler. */
	apic_write(APIC_TIMER_INIT, (u32)MIN(MAX(ticks, 1), 0xffffffffULL));
}

void lapic_timer_arm(u64 deadline)
{
	if (lapic.tsc_deadline)
		wrmsr(IA32_TSC_DEADLINE, MAX(deadline, 1)); /* 0 would disarm */
	else
		arm_count(deadline);
}

void lapic_timer_stop(void)
{
	if (lapic.tsc_deadline)
		wrmsr(IA32_TSC_DEADLINE, 0);
	else
		apic_write(APIC_TIMER_INIT, 0);
}

void lapic_timer_count_start(void)
{
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_TIMER_INIT, ~0u);
}

u32 lapic_timer_count(void)
{
	return ~0u - apic_read(APIC_TIMER_COUNT);
}
