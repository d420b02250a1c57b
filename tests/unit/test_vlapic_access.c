/* SPDX-License-Identifier: BSD-2-Clause */
/* Every register of the local APIC, by MSR and in the page, with every kind of access. */
#include "tests/unit/test_vlapic.h"

/* What the x2APIC MSRs 0x800 + i must do: the test's own reading of the manual. */
struct expected {
	bool read, write_0, write_1s;
};

static struct expected expected_msr(u32 i)
{
	switch (i) {
	case 0x02: /* ID, version, PPR, LDR, current count */
	case 0x03:
	case 0x0a:
	case 0x0d:
	case 0x39: return (struct expected){ true, false, false };
	case 0x0b: /* EOI, self-IPI */
	case 0x3f: return (struct expected){ false, true, false };
	case 0x08: /* TPR, SVR, ESR, ICR, divide */
	case 0x0f:
	case 0x28:
	case 0x30:
	case 0x3e: return (struct expected){ true, true, false };
	case 0x38: return (struct expected){ true, true, false }; /* 32 bits only */
	default: break;
	}
	if (i >= 0x10 && i <= 0x27)
		return (struct expected){ true, false, false };
	if (i >= 0x32 && i <= 0x37)
		return (struct expected){ true, true, false };
	return (struct expected){ false, false, false };
}

/* All MSRs 0x800-0x8ff: exactly the registers of x2APIC mode answer, the rest is #GP. */
static void test_msr_sweep(void **state)
{
	(void)state;
	for (u32 i = 0; i < 0x100; i++) {
		struct expected e = expected_msr(i);
		u64 value = 0;

		machine_start_enabled(2);
		assert_false(vlapic_msr_read(apic(0), 0x800 + i, &value));
		assert_false(vlapic_msr_write(apic(0), 0x800 + i, 0));
		to_x2apic(0);
		assert_int_equal(vlapic_msr_read(apic(0), 0x800 + i, &value), e.read);
		assert_int_equal(value >> 32, 0);
		assert_int_equal(vlapic_msr_write(apic(0), 0x800 + i, 0), e.write_0);
		assert_int_equal(vlapic_msr_write(apic(0), 0x800 + i, ~0ULL), e.write_1s);
	}
	machine_start(1);
	to_x2apic(0);
	assert_false(vlapic_msr_read(apic(0), 0x7ff, &(u64){ 0 }));
	assert_false(vlapic_msr_read(apic(0), 0x900, &(u64){ 0 }));
	assert_false(vlapic_msr_read(apic(0), 0x10000802, &(u64){ 0 })); /* 0x802 when shifted */
	assert_false(vlapic_msr_write(apic(0), 0xffffffff, 0));
}

/* Bit by bit: which bits of each register a WRMSR may set without a #GP. */
static void test_msr_reserved_bits(void **state)
{
	static const struct {
		u32 off;
		u64 allowed;
	} regs[] = {
		{ APIC_TPR, 0xff },
		{ APIC_EOI, 0 },
		{ APIC_SVR, 0x13ff },
		{ APIC_ESR, 0 },
		{ APIC_ICR, 0xffffffff000cdfff },
		{ APIC_LVT_TIMER, 0x710ff },
		{ APIC_LVT_THERMAL, 0x117ff },
		{ APIC_LVT_PMC, 0x117ff },
		{ APIC_LVT_LINT0, 0x1f7ff },
		{ APIC_LVT_LINT1, 0x1f7ff },
		{ APIC_LVT_ERROR, 0x110ff },
		{ APIC_INITIAL_COUNT, 0xffffffff },
		{ APIC_DIVIDE, 0xb },
		{ APIC_SELF_IPI, 0xff },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++) {
		for (unsigned int bit = 0; bit < 64; bit++) {
			machine_start(1);
			to_x2apic(0);
			assert_int_equal(
				vlapic_msr_write(apic(0), IA32_X2APIC(regs[i].off), BIT(bit)),
				regs[i].allowed >> bit & 1);
		}
	}
}

/* A refused write leaves no trace: in the ICR it sends nothing and keeps the old destination. */
static void test_refused_write(void **state)
{
	(void)state;
	machine_start_enabled(2);
	to_x2apic(0);
	ipi(0, 0x40, 1);
	assert_int_equal(rd(0, APIC_ICR), 0x100000040);
	assert_false(vlapic_msr_write(apic(0), IA32_X2APIC(APIC_ICR), 0x500100050));
	assert_int_equal(rd(0, APIC_ICR), 0x100000040);
	assert_false(vlapic_msr_write(apic(0), IA32_X2APIC(APIC_TPR), 0x100000010));
	assert_int_equal(rd(0, APIC_TPR), 0);
}

/* TSC-deadline mode is reserved in the LVT when it is not offered. */
static void test_no_tsc_deadline(void **state)
{
	(void)state;
	machine_start_enabled(1);
	m.bus.features = VAPIC_X2APIC;
	wr(0, APIC_LVT_TIMER, APIC_TIMER_TSC_DEADLINE | 0x40);
	assert_int_equal(rd(0, APIC_LVT_TIMER), 0x40);
	vlapic_set_tsc_deadline(apic(0), 1);
	assert_int_equal(vlapic_tsc_deadline(apic(0)), 0);
	to_x2apic(0);
	assert_false(vlapic_msr_write(apic(0), IA32_X2APIC(APIC_LVT_TIMER),
				      APIC_TIMER_TSC_DEADLINE | 0x40));
}

/* In the page reserved bits are dropped and read-only ones stay as they are. */
static void test_mmio_bits(void **state)
{
	static const struct {
		u32 off, reads;
	} regs[] = {
		{ APIC_ID, 0 },
		{ APIC_VERSION, APIC_VERSION_VALUE },
		{ APIC_TPR, 0xff },
		{ APIC_PPR, 0 },
		{ APIC_EOI, 0 },
		{ APIC_LDR, 0xff000000 },
		{ APIC_DFR, 0xffffffff },
		{ APIC_ISR, 0 },
		{ APIC_TMR + 0x70, 0 },
		{ APIC_IRR + 0x70, 0 },
		{ APIC_ESR, 0 },
		{ APIC_ICR_HIGH, 0xff000000 },
		{ APIC_LVT_TIMER, 0x700ff },
		{ APIC_LVT_THERMAL, 0x107ff },
		{ APIC_LVT_LINT0, 0x1a7ff },
		{ APIC_LVT_ERROR, 0x100ff },
		{ APIC_CURRENT_COUNT, 0 },
		{ APIC_DIVIDE, 0xb },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++) {
		machine_start_enabled(1);
		wr(0, regs[i].off, ~0u);
		assert_int_equal(rd(0, regs[i].off), regs[i].reads);
	}
	machine_start(1);
	wr(0, APIC_DFR, 0);
	assert_int_equal(rd(0, APIC_DFR), 0x0fffffff);
}

/* Every offset, size and direction has an effect that is defined: no fault, nothing out of bounds. */
static void test_mmio_sweep(void **state)
{
	(void)state;
	for (u8 size = 1; size <= 8; size *= 2) {
		for (u32 off = 0; off < 0x1008; off++) {
			u64 max = size == 8 ? ~0ULL : BIT(size * 8) - 1;

			machine_start_enabled(3);
			assert_true(vlapic_mmio_read(apic(1), off, size) <= max);
			vlapic_mmio_write(apic(1), off, size, 0);
			vlapic_mmio_write(apic(1), off, size, ~0ULL);
			vlapic_mmio_write(apic(1), off, size, 0x000c4040);
			vlapic_mmio_write(apic(1), off, size, 0x00020040);
			assert_true(vlapic_mmio_read(apic(1), off, size) <= max);
			assert_int_equal(rd(1, APIC_VERSION), APIC_VERSION_VALUE);
			for (unsigned int i = 0x400; i < 0x1000; i++)
				assert_int_equal(m.cpu[1].page[i], 0);
			clock_run(TSC_HZ / 1000);
			if (size != 4 || off % 16) /* not a whole register: nothing was written */
				assert_int_equal(m.cpu[0].kicks + m.cpu[1].kicks + m.cpu[2].kicks,
						 0);
		}
	}
}

/* Narrow reads see the bytes of the register; beyond it there are zeroes. */
static void test_mmio_sizes(void **state)
{
	(void)state;
	machine_start(1);
	assert_int_equal(vlapic_mmio_read(apic(0), APIC_VERSION, 1), 0x14);
	assert_int_equal(vlapic_mmio_read(apic(0), APIC_VERSION + 2, 1), 0x05);
	assert_int_equal(vlapic_mmio_read(apic(0), APIC_VERSION + 2, 2), 0x0105);
	assert_int_equal(vlapic_mmio_read(apic(0), APIC_VERSION + 2, 4), 0x0105);
	assert_int_equal(vlapic_mmio_read(apic(0), APIC_VERSION, 8), APIC_VERSION_VALUE);
	assert_int_equal(vlapic_mmio_read(apic(0), APIC_VERSION + 4, 4), 0);
}

/* A value for IA32_APIC_BASE that is often legal. */
#define BASE_RANDOM(value) (VLAPIC_MMIO_BASE | ((value)&0xd00))

/* Random accesses of a hostile guest, in all modes: nothing breaks, and the page keeps its form. */
static void test_random(void **state)
{
	(void)state;
	machine_start_enabled(4);
	srand(1);
	for (unsigned int n = 0; n < 300000; n++) {
		unsigned int i = (unsigned int)rand() % 4;
		u64 value = (u64)rand() << 33 ^ (u64)rand() << 12 ^ (u64)rand();
		u64 ignored;
		int vector;

		value >>= rand() % 64;
		switch (rand() % 8) {
		case 0: (void)!vlapic_set_base(apic(i), BASE_RANDOM(value)); break;
		case 1:
		case 2: vlapic_mmio_write(apic(i), (u32)rand() % 0x40 * 16, 4, value); break;
		case 3: (void)!vlapic_msr_write(apic(i), 0x800 + (u32)rand() % 0x48, value); break;
		case 4:
			(void)!vlapic_msr_read(apic(i), 0x800 + (u32)rand() % 0x48, &ignored);
			break;
		case 5: vlapic_set_tsc_deadline(apic(i), m.now + value % 10000); break;
		case 6: clock_run(m.now + (u64)rand() % 100000); break;
		case 7:
			vector = vlapic_pending(apic(i));
			if (vector >= 0)
				vlapic_accept(apic(i), (u8)vector);
			break;
		}
		assert_true(vlapic_pending(apic(i)) < 256);
		assert_true(vlapic_pending(apic(i)) == -1 || vlapic_pending(apic(i)) >= 16);
	}
}

static u32 random_word(void)
{
	static u64 state = 7;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (u32)(state * 0x2545f4914f6cdd1dULL >> 32);
}

/* Values that matter: bits of all fields, legal vectors, small counts. */
static u32 random_value(u32 off)
{
	u32 r = random_word();

	if (off == APIC_INITIAL_COUNT)
		return r & 0xff;
	if (off == APIC_TPR) /* so that something gets through */
		return r & ~0xf0u;
	if (off == APIC_SVR)
		return r | (r & 6 ? APIC_SVR_ENABLE : 0);
	return r & 1 ? r : (r & 0x770ff) | 0x40;
}

/* SDM, "Virtualizing Writes to the APIC-Access Page": what the processor stores, whatever is written. */
static const u32 stored[] = { APIC_ID,        APIC_TPR,       APIC_EOI,         APIC_LDR,
			      APIC_DFR,       APIC_SVR,       APIC_ESR,         APIC_ICR,
			      APIC_ICR_HIGH,  APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PMC,
			      APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR,   APIC_INITIAL_COUNT,
			      APIC_DIVIDE };

static void assert_same(const struct cpu *a, const struct cpu *b)
{
	assert_int_equal(a->apic.enabled, b->apic.enabled);
	assert_int_equal(a->apic.timer.alarm.deadline, b->apic.timer.alarm.deadline);
	assert_int_equal(a->apic.timer.running, b->apic.timer.running);
	assert_int_equal(a->eois, b->eois);
	assert_int_equal(a->nmis, b->nmis);
	for (u32 off = 0; off < 0x400; off += 16) {
		if (off != APIC_ID)
			assert_int_equal(a->apic.regs[off / 4], b->apic.regs[off / 4]);
	}
}

/* A write that the processor has stored raw ends as the same write by MMIO does, whatever was before. */
static void test_page_written(void **state)
{
	(void)state;
	machine_start_enabled(2);
	for (unsigned int n = 0; n < 200000; n++) {
		u32 off = stored[random_word() % ARRAY_SIZE(stored)], value = random_value(off);

		if (off == APIC_ICR || off == APIC_ICR_HIGH) /* IPIs to the other: only to itself */
			value = off == APIC_ICR ? 0x40000 | (value & 0xff) : 0;
		if (!(random_word() & 7)) {
			vlapic_post(apic(0), 0x51, true);
			vlapic_post(apic(1), 0x51, true);
		}
		vlapic_sync(apic(1)); /* as vlapic_pending does for the other */
		if (vlapic_pending(apic(0)) >= 0) {
			u8 vector = (u8)vlapic_pending(apic(0));

			take(0, vector);
			take(1, vector);
		}
		vlapic_mmio_write(apic(0), off, 4, value);
		apic(1)->regs[off / 4] = value;
		vlapic_page_written(apic(1), off);
		vlapic_sync(apic(0));
		vlapic_sync(apic(1));
		assert_same(&m.cpu[0], &m.cpu[1]);
		assert_int_equal(apic(1)->regs[APIC_ID / 4], 1 << 24);
		clock_run(m.now + random_word() % 1000);
	}
	assert_true(m.cpu[0].eois > 100 && m.alarms_set > 1000);
	vlapic_page_written(apic(0), 0xfff); /* where there is no register */
	vlapic_page_written(apic(0), APIC_PPR);
}

/* What a guest may read from the page without code is what the code would answer, in all 64 bits. */
static void test_msr_in_page(void **state)
{
	unsigned int direct = 0;

	(void)state;
	machine_start_enabled(1);
	to_x2apic(0);
	for (unsigned int n = 0; n < 100; n++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(stored); i++)
			(void)vlapic_msr_write(apic(0), IA32_X2APIC(stored[i]),
					       random_value(stored[i]) & 0xff);
		vlapic_post(apic(0), (u8)(random_word() | 0x10), random_word() & 1);
		for (u32 msr = 0x800; msr < 0x900; msr++) {
			u64 value = 0;
			bool there = vlapic_msr_read(apic(0), msr, &value);

			if (!vlapic_msr_in_page(msr))
				continue;
			direct++;
			assert_true(there);
			assert_int_equal(value, *(u64 *)(void *)&apic(0)->regs[(msr - 0x800) * 4]);
		}
	}
	assert_int_equal(direct, 100 * (5 + 24 + 1 + 6 +
					2)); /* ID VER TPR LDR SVR, banks, ESR, LVT, ICT DCR */
	assert_false(vlapic_msr_in_page(0x7ff));
	assert_false(vlapic_msr_in_page(0x900));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_written),  cmocka_unit_test(test_msr_in_page),
		cmocka_unit_test(test_msr_sweep),     cmocka_unit_test(test_msr_reserved_bits),
		cmocka_unit_test(test_refused_write), cmocka_unit_test(test_no_tsc_deadline),
		cmocka_unit_test(test_mmio_bits),     cmocka_unit_test(test_mmio_sweep),
		cmocka_unit_test(test_mmio_sizes),    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("vlapic access", tests, NULL, NULL);
}
