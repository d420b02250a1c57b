/* SPDX-License-Identifier: BSD-2-Clause */
/* IPIs: every delivery mode, shorthand and destination, in both modes of the local APIC. */
#include "tests/unit/test_vlapic.h"

/* The CPUs that have @vector requested, as a mask; the requests are taken away. */
static u32 who_got(int vector)
{
	u32 set = 0;

	for (unsigned int i = 0; i < m.cpus; i++) {
		int got = vlapic_highest_irr(apic(i));

		if (got < 0)
			continue;
		assert_int_equal(got, vector);
		vlapic_accept(apic(i), (u8)vector);
		vlapic_eoi(apic(i));
		set |= 1u << i;
	}
	return set;
}

static void start_in_mode(unsigned int cpus, bool x2apic)
{
	machine_start_enabled(cpus);
	for (unsigned int i = 0; x2apic && i < cpus; i++)
		to_x2apic(i);
}

/* Physical destinations reach exactly the CPU named, the broadcast everybody, unknown IDs nobody. */
static void test_physical(void **state)
{
	(void)state;
	for (int x2apic = 0; x2apic < 2; x2apic++) {
		start_in_mode(16, x2apic);
		for (u32 dest = 0; dest < 16; dest++) {
			ipi(3, 0x40, dest);
			assert_int_equal(who_got(0x40), 1u << dest);
		}
		for (u32 dest = 16; dest < 0xff; dest++)
			ipi(3, 0x40, dest);
		assert_int_equal(who_got(0x40), 0);
		ipi(3, 0x40, x2apic ? VAPIC_BROADCAST : 0xff);
		assert_int_equal(who_got(0x40), 0xffff);
	}
	ipi(3, 0x40, 0xff); /* in x2APIC mode an ID like any other */
	ipi(3, 0x40, 0x80000003);
	ipi(3, 0x40, 0xfffffffe);
	assert_int_equal(who_got(0x40), 0);
}

/* The short way of a plain IPI is the long one's, and what is not plain it leaves alone. */
static void test_plain(void **state)
{
	static const u32 bits[] = { 0,
				    APIC_ICR_ASSERT,
				    APIC_STATUS,
				    APIC_LOGICAL,
				    1u << 8,
				    APIC_LEVEL_TRIGGER,
				    1u << 18,
				    1u << 19,
				    1u << 20,
				    1u << 31,
				    APIC_ICR_ASSERT | 1u << 10 };
	static const u32 dests[] = { 0, 2, 3, 4, 255, VAPIC_BROADCAST };
	unsigned int plain = 0;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bits) * ARRAY_SIZE(dests) * 256 * 2; i++) {
		u8 vector = (u8)i;
		u32 low = bits[i / 256 % ARRAY_SIZE(bits)] | vector;
		u32 dest = dests[i / 256 / ARRAY_SIZE(bits) % ARRAY_SIZE(dests)];
		bool x2apic = i / 256 / ARRAY_SIZE(bits) / ARRAY_SIZE(dests);
		u64 icr;

		start_in_mode(4, x2apic);
		if (!vlapic_icr_plain(apic(1), (u64)dest << 32 | low)) {
			assert_int_equal(who_got(vector), 0);
			assert_true(low & ~(APIC_VECTOR | APIC_ICR_ASSERT) || vector < 16 ||
				    dest > 3 || !x2apic);
			continue;
		}
		plain++;
		assert_true(vlapic_msr_read(apic(1), IA32_X2APIC(APIC_ICR), &icr));
		assert_true(icr == ((u64)dest << 32 | low));
		assert_int_equal(who_got(vector), 1u << dest);
		assert_true(vlapic_msr_write(apic(1), IA32_X2APIC(APIC_ICR), icr));
		assert_int_equal(who_got(vector), 1u << dest);
	}
	assert_int_equal(plain, 2 * 3 * 240);
	start_in_mode(4, true);
	assert_true(vlapic_set_base(apic(2), 0xfee00000)); /* switched off: it hears nothing */
	assert_true(vlapic_icr_plain(apic(1), 2ULL << 32 | 0x40));
	assert_int_equal(who_got(0x40), 0);
}

/* A set of IDs reaches exactly those of it that are there and switched on, and says how many. */
static void test_multicast(void **state)
{
	static const struct {
		u32 first;
		u64 low, high;
		u32 expected;
	} cases[] = {
		{ 0, 0x8421, 0, 0x8421 },
		{ 0, ~0ULL, ~0ULL, 0xffff },
		{ 5, 0x421, 0, 0x8420 },
		{ 15, 1, 0, 0x8000 },
		{ 16, ~0ULL, ~0ULL, 0 },
		{ 0, 0, ~0ULL, 0 },
		{ ~0u, ~0ULL, 0, 0xffff }, /* IDs count modulo 2^32 */
		{ 0xffffff84, 0, 0xf0ULL << 56, 0xf },
		{ 0x80000000, ~0ULL, ~0ULL, 0 },
	};

	(void)state;
	for (int x2apic = 0; x2apic < 2; x2apic++) {
		start_in_mode(16, x2apic);
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			u64 ids[2] = { cases[i].low, cases[i].high };
			struct vapic_msg msg = { .dest = 3, .vector = 0x40 };

			assert_int_equal(vapic_bus_multicast(&m.bus, &msg, cases[i].first, ids),
					 __builtin_popcount(cases[i].expected));
			assert_int_equal(who_got(0x40), cases[i].expected);
			msg.mode = VAPIC_NMI;
			vapic_bus_multicast(&m.bus, &msg, cases[i].first, ids);
			for (unsigned int n = 0; n < 16; n++) {
				assert_int_equal(m.cpu[n].nmis, cases[i].expected >> n & 1);
				m.cpu[n].nmis = 0;
			}
		}
		assert_true(vlapic_set_base(apic(2), VLAPIC_MMIO_BASE));
		assert_int_equal(vapic_bus_multicast(&m.bus, &(struct vapic_msg){ .vector = 0x40 },
						     0, (u64[2]){ 0xc, 0 }),
				 1);
		assert_int_equal(who_got(0x40), 8);
	}
}

/* The shorthands, whatever the destination field holds. */
static void test_shorthands(void **state)
{
	static const struct {
		u32 shorthand, expected;
	} cases[] = {
		{ SHORTHAND_SELF, 0x4 },
		{ SHORTHAND_ALL, 0x1f },
		{ SHORTHAND_OTHERS, 0x1b },
	};

	(void)state;
	for (int x2apic = 0; x2apic < 2; x2apic++) {
		start_in_mode(5, x2apic);
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			ipi(2, ICR_SHORTHAND(cases[i].shorthand) | 0x40, 1);
			assert_int_equal(who_got(0x40), cases[i].expected);
			ipi(2, ICR_SHORTHAND(cases[i].shorthand) | ICR_MODE(VAPIC_NMI), 1);
			for (unsigned int n = 0; n < 5; n++) {
				assert_int_equal(m.cpu[n].nmis, cases[i].expected >> n & 1);
				m.cpu[n].nmis = 0;
			}
		}
	}
}

/* Logical destinations in the flat model: any common bit. */
static void test_logical_flat(void **state)
{
	(void)state;
	machine_start_enabled(8);
	for (unsigned int i = 0; i < 8; i++)
		wr(i, APIC_LDR, 1u << (24 + i));
	for (u32 dest = 0; dest < 0x100; dest++) {
		ipi(0, APIC_LOGICAL | 0x40, dest);
		assert_int_equal(who_got(0x40), dest);
	}
}

/* In the cluster model: the same cluster and a common bit; 0xff is everybody. */
static void test_logical_cluster(void **state)
{
	(void)state;
	machine_start_enabled(8);
	for (unsigned int i = 0; i < 8; i++) {
		wr(i, APIC_DFR, 0);
		wr(i, APIC_LDR, (i / 4) << 28 | 1u << (24 + i % 4));
	}
	for (u32 dest = 0; dest < 0xff; dest++) {
		u32 expected = dest >> 4 == 0 ? dest & 0xf : dest >> 4 == 1 ? (dest & 0xf) << 4 : 0;

		ipi(0, APIC_LOGICAL | 0x40, dest);
		assert_int_equal(who_got(0x40), expected);
	}
	ipi(0, APIC_LOGICAL | 0x40, 0xff);
	assert_int_equal(who_got(0x40), 0xff);
	wr(3, APIC_DFR, 0x50000000); /* neither model */
	ipi(0, APIC_LOGICAL | 0x40, 0x0f);
	assert_int_equal(who_got(0x40), 0x07);
}

/* In x2APIC mode the logical ID is 16 bits of cluster and 16 bits of members. */
static void test_logical_x2apic(void **state)
{
	(void)state;
	start_in_mode(16, true);
	for (u32 dest = 0; dest < 0x10000; dest += 37) {
		ipi(0, APIC_LOGICAL | 0x40, dest);
		assert_int_equal(who_got(0x40), dest);
	}
	ipi(0, APIC_LOGICAL | 0x40, 0x1ffff);
	assert_int_equal(who_got(0x40), 0);
	ipi(0, APIC_LOGICAL | 0x40, VAPIC_BROADCAST);
	assert_int_equal(who_got(0x40), 0xffff);
}

/* A 32-bit logical ID from a CPU in x2APIC mode is not cut to the 8 bits of one in xAPIC mode. */
static void test_mixed_modes(void **state)
{
	(void)state;
	machine_start_enabled(2);
	to_x2apic(0);
	wr(1, APIC_LDR, 0x80000000);
	ipi(0, APIC_LOGICAL | 0x40, 0x180);
	assert_int_equal(who_got(0x40), 0);
	ipi(0, APIC_LOGICAL | 0x40, 0x80);
	assert_int_equal(who_got(0x40), 2);
	ipi(0, APIC_LOGICAL | 0x40, 0xff);
	assert_int_equal(who_got(0x40), 3);
}

/* Lowest priority: one of those named, the least busy; equals take turns; disabled ones never. */
static void test_lowest_priority(void **state)
{
	u32 seen = 0;

	(void)state;
	machine_start_enabled(4);
	for (unsigned int i = 0; i < 4; i++) {
		wr(i, APIC_LDR, 1u << (24 + i));
		wr(i, APIC_TPR, 0x20);
	}
	wr(2, APIC_TPR, 0x10);
	ipi(0, APIC_LOGICAL | ICR_MODE(VAPIC_LOWEST) | 0x40, 0x0f);
	assert_int_equal(who_got(0x40), 1u << 2);
	ipi(0, APIC_LOGICAL | ICR_MODE(VAPIC_LOWEST) | 0x40, 0x03);
	assert_in_range(who_got(0x40), 1, 2);
	wr(2, APIC_SVR, 0xff);
	for (int n = 0; n < 3; n++) {
		u32 got;

		ipi(0, APIC_LOGICAL | ICR_MODE(VAPIC_LOWEST) | 0x40, 0x0f);
		got = who_got(0x40);
		assert_int_equal(got & seen, 0);
		seen |= got;
	}
	assert_int_equal(seen, 0x0b);
	ipi(0, APIC_LOGICAL | ICR_MODE(VAPIC_LOWEST) | 0x40, 0x04);
	assert_int_equal(who_got(0x40), 0);
}

/* NMI, INIT and SIPI reach the owners of software-disabled APICs, not of those that are off. */
static void test_nmi_init_sipi(void **state)
{
	(void)state;
	for (int x2apic = 0; x2apic < 2; x2apic++) {
		machine_start(4);
		for (unsigned int i = 0; x2apic && i < 4; i++)
			to_x2apic(i);
		assert_true(vlapic_set_base(apic(3), VLAPIC_MMIO_BASE));
		ipi(0, ICR_MODE(VAPIC_NMI), 1);
		assert_int_equal(m.cpu[1].nmis, 1);
		ipi(0, APIC_LEVEL_TRIGGER | APIC_ICR_ASSERT | ICR_MODE(VAPIC_INIT), 1);
		assert_int_equal(m.cpu[1].inits, 1);
		ipi(0, APIC_LEVEL_TRIGGER | ICR_MODE(VAPIC_INIT), 1); /* de-assert */
		assert_int_equal(m.cpu[1].inits, 1);
		ipi(0, ICR_MODE(VAPIC_SIPI) | 0x9a, 1);
		assert_int_equal(m.cpu[1].sipis, 1);
		assert_int_equal(m.cpu[1].sipi_vector, 0x9a);
		ipi(0, ICR_SHORTHAND(SHORTHAND_OTHERS) | ICR_MODE(VAPIC_INIT) | APIC_ICR_ASSERT, 0);
		assert_int_equal(m.cpu[0].inits, 0);
		assert_int_equal(m.cpu[2].inits, 1);
		assert_int_equal(m.cpu[3].inits, 0);
	}
}

/* SMI, ExtINT and the reserved modes send nothing at all. */
static void test_other_modes(void **state)
{
	static const u32 modes[] = { VAPIC_SMI, 3, VAPIC_EXTINT };

	(void)state;
	start_in_mode(2, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++)
		ipi(0, ICR_SHORTHAND(SHORTHAND_ALL) | ICR_MODE(modes[i]) | 0x40, 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(m.cpu[i].kicks + m.cpu[i].nmis + m.cpu[i].inits + m.cpu[i].sipis,
				 0);
	}
}

/* An IPI is an edge, whatever the ICR's trigger mode says: its EOI goes to no I/O APIC. */
static void test_always_edge(void **state)
{
	(void)state;
	start_in_mode(1, false);
	ipi(0, ICR_SHORTHAND(SHORTHAND_SELF) | APIC_LEVEL_TRIGGER | APIC_ICR_ASSERT | 0x40, 0);
	assert_int_equal(who_got(0x40), 1);
	assert_int_equal(m.cpu[0].eois, 0);
}

/* The self-IPI register, with its illegal vectors. */
static void test_self_ipi(void **state)
{
	(void)state;
	start_in_mode(2, true);
	wr(1, APIC_SELF_IPI, 0x40);
	assert_int_equal(who_got(0x40), 2);
	wr(1, APIC_SELF_IPI, 0x10);
	assert_int_equal(who_got(0x10), 2);
	wr(1, APIC_SELF_IPI, 0x0f);
	wr(1, APIC_ESR, 0);
	assert_int_equal(rd(1, APIC_ESR), APIC_ESR_SEND_ILLEGAL_VECTOR);
	assert_int_equal(who_got(0x40), 0);
}

/* The ICR reads back what was sent, delivery status idle. */
static void test_read_back(void **state)
{
	(void)state;
	start_in_mode(2, false);
	ipi(0, APIC_ICR_ASSERT | 0x40, 1);
	assert_int_equal(rd(0, APIC_ICR), APIC_ICR_ASSERT | 0x40);
	assert_int_equal(rd(0, APIC_ICR_HIGH), 1u << 24);
}

/* Messages of the I/O APIC and MSIs have 8-bit destinations, also to CPUs in x2APIC mode. */
static void test_short_messages(void **state)
{
	struct vapic_msg msg;

	(void)state;
	start_in_mode(10, true);
	msg = vapic_msg_short(0x40, 9);
	assert_true(vapic_bus_deliver(&m.bus, &msg));
	assert_int_equal(who_got(0x40), 1u << 9);
	msg = vapic_msg_short(0x40, 0xff);
	assert_true(vapic_bus_deliver(&m.bus, &msg));
	assert_int_equal(who_got(0x40), 0x3ff);
	msg = vapic_msg_short(APIC_LOGICAL | 0x40, 0x81);
	assert_true(vapic_bus_deliver(&m.bus, &msg));
	assert_int_equal(who_got(0x40), 0x81);
	msg = vapic_msg_short(APIC_LEVEL_TRIGGER | 0x40, 12);
	assert_false(vapic_bus_deliver(&m.bus, &msg));
	for (u32 mode = 0; mode < 8; mode++) { /* taken, or dropped by all: SMI, 3, ExtINT */
		msg = vapic_msg_short(ICR_MODE(mode) | 0x40, 1);
		assert_int_equal(vapic_bus_deliver(&m.bus, &msg), 0x73 >> mode & 1);
	}
	msg = vapic_msg_short(3, 1);
	assert_false(vapic_bus_deliver(&m.bus, &msg));
	wr(1, APIC_ESR, 0);
	assert_int_equal(rd(1, APIC_ESR), APIC_ESR_RECEIVE_ILLEGAL_VECTOR);
}

/* A storm of broadcasts: each write tells each owner at most once, and requests merge. */
static void test_storm(void **state)
{
	(void)state;
	start_in_mode(16, true);
	for (unsigned int n = 0; n < 10000; n++) {
		ipi(n % 16, ICR_SHORTHAND(SHORTHAND_ALL) | 0x40, 0);
		ipi(n % 16, ICR_SHORTHAND(SHORTHAND_ALL) | ICR_MODE(VAPIC_NMI), 0);
		wr(n % 16, APIC_SELF_IPI, 0x40);
	}
	for (unsigned int i = 0; i < 16; i++) {
		assert_int_equal(m.cpu[i].kicks, 1);
		assert_int_equal(m.cpu[i].nmis, 10000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_physical),        cmocka_unit_test(test_plain),
		cmocka_unit_test(test_multicast),       cmocka_unit_test(test_shorthands),
		cmocka_unit_test(test_logical_flat),    cmocka_unit_test(test_logical_cluster),
		cmocka_unit_test(test_logical_x2apic),  cmocka_unit_test(test_mixed_modes),
		cmocka_unit_test(test_lowest_priority), cmocka_unit_test(test_nmi_init_sipi),
		cmocka_unit_test(test_other_modes),     cmocka_unit_test(test_always_edge),
		cmocka_unit_test(test_self_ipi),        cmocka_unit_test(test_read_back),
		cmocka_unit_test(test_short_messages),  cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests_name("vlapic ipi", tests, NULL, NULL);
}
