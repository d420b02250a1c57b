/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's state: priorities, EOI, errors, local interrupts and modes. */
#include "tests/unit/test_vlapic.h"

#include <pthread.h>

/* The highest vector comes first, and one in service keeps its class and those below waiting. */
static void test_priority_and_nesting(void **state)
{
	(void)state;
	machine_start_enabled(1);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	assert_int_equal(vlapic_highest_irr(apic(0)), -1);
	vlapic_post(apic(0), 0x31, false);
	vlapic_post(apic(0), 0x41, false);
	vlapic_post(apic(0), 0x4f, false);
	take(0, 0x4f);
	assert_int_equal(vlapic_pending(apic(0)), -1); /* 0x41: the same class */
	assert_int_equal(rd(0, APIC_PPR), 0x40);
	vlapic_post(apic(0), 0xfe, false);
	take(0, 0xfe);
	assert_int_equal(rd(0, APIC_PPR), 0xf0);
	assert_int_equal(rd(0, APIC_ISR + 0x70), 1u << 30);
	assert_int_equal(rd(0, APIC_ISR + 0x20), 1u << 15);
	wr(0, APIC_EOI, 0);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	wr(0, APIC_EOI, 0);
	take(0, 0x41);
	wr(0, APIC_EOI, 0);
	take(0, 0x31);
	wr(0, APIC_EOI, 0);
	assert_int_equal(vlapic_highest_irr(apic(0)), -1);
	assert_int_equal(rd(0, APIC_PPR), 0);
}

/* Every legal vector gets through IRR and ISR and leaves no bit behind. */
static void test_every_vector(void **state)
{
	(void)state;
	machine_start_enabled(1);
	for (int vector = 16; vector < 256; vector++) {
		assert_true(vlapic_post(apic(0), (u8)vector, false));
		assert_int_equal(rd(0, APIC_IRR + (u32)vector / 32 * 16), 1u << vector % 32);
		take(0, vector);
		assert_int_equal(rd(0, APIC_IRR + (u32)vector / 32 * 16), 0);
		assert_int_equal(rd(0, APIC_ISR + (u32)vector / 32 * 16), 1u << vector % 32);
		wr(0, APIC_EOI, 0);
		assert_int_equal(rd(0, APIC_ISR + (u32)vector / 32 * 16), 0);
	}
	assert_int_equal(m.cpu[0].eois, 0);
}

/* A TPR written straight into the page, as the TPR shadow does, counts at once. */
static void test_tpr_in_the_page(void **state)
{
	(void)state;
	machine_start_enabled(1);
	vlapic_post(apic(0), 0x55, false);
	m.cpu[0].page[0x80] = 0x50;
	assert_int_equal(vlapic_pending(apic(0)), -1);
	assert_int_equal(vlapic_highest_irr(apic(0)), 0x55);
	assert_int_equal(vlapic_cr8(apic(0)), 5);
	assert_int_equal(rd(0, APIC_PPR), 0x50);
	m.cpu[0].page[0x80] = 0x4f;
	assert_int_equal(vlapic_pending(apic(0)), 0x55);
	assert_int_equal(rd(0, APIC_PPR), 0x4f);
	vlapic_set_cr8(apic(0), 0xf);
	assert_int_equal(m.cpu[0].page[0x80], 0xf0);
	assert_int_equal(rd(0, APIC_TPR), 0xf0);
	wr(0, APIC_TPR, 0x123);
	assert_int_equal(vlapic_cr8(apic(0)), 2);
}

/* PPR is the TPR unless the class in service is higher; then it is that class alone. */
static void test_ppr(void **state)
{
	static const struct {
		u8 tpr, in_service, ppr;
	} cases[] = { { 0x4f, 0x51, 0x50 }, { 0x45, 0x41, 0x45 }, { 0x60, 0x41, 0x60 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		machine_start_enabled(1);
		vlapic_post(apic(0), cases[i].in_service, false);
		take(0, cases[i].in_service);
		wr(0, APIC_TPR, cases[i].tpr);
		assert_int_equal(rd(0, APIC_PPR), cases[i].ppr);
	}
}

/* The threshold names the class that the TPR must fall below, only while the TPR is in the way. */
static void test_tpr_threshold(void **state)
{
	(void)state;
	machine_start_enabled(1);
	vlapic_set_cr8(apic(0), 7);
	assert_int_equal(vlapic_tpr_threshold(apic(0)), 0);
	vlapic_post(apic(0), 0x75, false);
	assert_int_equal(vlapic_tpr_threshold(apic(0)), 7);
	vlapic_set_cr8(apic(0), 6);
	assert_int_equal(vlapic_tpr_threshold(apic(0)), 0);
	vlapic_set_cr8(apic(0), 15);
	assert_int_equal(vlapic_tpr_threshold(apic(0)), 7);
	wr(0, APIC_SVR, 0xff);
	assert_int_equal(vlapic_tpr_threshold(apic(0)), 0);
}

/* An owner is kicked once for a request that is already waiting. */
static void test_kick_once(void **state)
{
	(void)state;
	machine_start_enabled(1);
	for (int i = 0; i < 5; i++)
		assert_true(vlapic_post(apic(0), 0x40, false));
	assert_int_equal(m.cpu[0].kicks, 1);
	take(0, 0x40);
	vlapic_post(apic(0), 0x40, false);
	assert_int_equal(m.cpu[0].kicks, 2);
}

/* Only the end of a level-triggered interrupt is broadcast, unless the SVR suppresses it. */
static void test_eoi_broadcast(void **state)
{
	(void)state;
	machine_start_enabled(1);
	wr(0, APIC_EOI, 0); /* nothing in service: nothing happens */
	assert_int_equal(m.cpu[0].eois, 0);
	vlapic_post(apic(0), 0x40, false);
	take(0, 0x40);
	wr(0, APIC_EOI, 0);
	assert_int_equal(m.cpu[0].eois, 0);
	vlapic_post(apic(0), 0x40, true);
	take(0, 0x40);
	assert_int_equal(rd(0, APIC_TMR + 0x20), 1);
	wr(0, APIC_EOI, 0);
	assert_int_equal(m.cpu[0].eois, 1);
	assert_int_equal(m.cpu[0].eoi_vector, 0x40);
	assert_true(rd(0, APIC_VERSION) >> 24 & 1);
	wr(0, APIC_SVR, APIC_SVR_SUPPRESS_EOI | APIC_SVR_ENABLE | 0xff);
	vlapic_post(apic(0), 0x40, true);
	take(0, 0x40);
	wr(0, APIC_EOI, 0);
	assert_int_equal(m.cpu[0].eois, 1);
	vlapic_post(apic(0), 0x40, false); /* edge again: the TMR follows */
	assert_int_equal(rd(0, APIC_TMR + 0x20), 0);
}

/* Software-disabled: nothing is delivered or accepted, LVT masks are set and stay. */
static void test_software_disable(void **state)
{
	(void)state;
	machine_start_enabled(1);
	wr(0, APIC_LVT_LINT0, ICR_MODE(VAPIC_EXTINT));
	wr(0, APIC_LVT_ERROR, 0xfe);
	vlapic_post(apic(0), 0x40, false);
	wr(0, APIC_SVR, 0xff);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	assert_int_equal(vlapic_highest_irr(apic(0)), 0x40);
	assert_false(vlapic_post(apic(0), 0x50, false));
	assert_false(vlapic_accepts_pic(apic(0)));
	assert_int_equal(rd(0, APIC_LVT_ERROR), APIC_MASKED | 0xfe);
	wr(0, APIC_LVT_ERROR, 0xfd);
	assert_int_equal(rd(0, APIC_LVT_ERROR), APIC_MASKED | 0xfd);
	enable(0);
	assert_int_equal(rd(0, APIC_LVT_ERROR), APIC_MASKED | 0xfd);
	assert_int_equal(vlapic_pending(apic(0)), 0x40);
}

/* Errors show in the ESR after a write to it, and raise the error interrupt once each. */
static void test_errors(void **state)
{
	(void)state;
	machine_start_enabled(1);
	wr(0, APIC_LVT_ERROR, 0xfe);
	assert_false(vlapic_post(apic(0), 15, false));
	assert_int_equal(m.cpu[0].kicks, 1);
	assert_false(vlapic_post(apic(0), 0, false));
	assert_int_equal(rd(0, APIC_ESR), 0);
	assert_int_equal(m.cpu[0].kicks, 1);
	take(0, 0xfe);
	wr(0, APIC_ESR, 0);
	assert_int_equal(rd(0, APIC_ESR), APIC_ESR_RECEIVE_ILLEGAL_VECTOR);
	wr(0, APIC_ESR, 0x1234);
	assert_int_equal(rd(0, APIC_ESR), 0);
	ipi(0, 5, 0);
	rd(0, 0x40);
	wr(0, APIC_ESR, 0);
	assert_int_equal(rd(0, APIC_ESR), APIC_ESR_SEND_ILLEGAL_VECTOR | APIC_ESR_ILLEGAL_REGISTER);
	wr(0, 0x40, 0);
	wr(0, APIC_ESR, 0);
	assert_int_equal(rd(0, APIC_ESR), APIC_ESR_ILLEGAL_REGISTER);
	rd(0, 0x40);
	vlapic_init_reset(apic(0));
	wr(0, APIC_ESR, 0);
	assert_int_equal(rd(0, APIC_ESR), 0);
}

/* An error interrupt with an illegal vector of its own ends, instead of raising itself for ever. */
static void test_error_in_error(void **state)
{
	(void)state;
	machine_start_enabled(1);
	wr(0, APIC_LVT_ERROR, 3);
	vlapic_post(apic(0), 0, false);
	wr(0, APIC_ESR, 0);
	assert_int_equal(rd(0, APIC_ESR), APIC_ESR_RECEIVE_ILLEGAL_VECTOR);
	assert_int_equal(m.cpu[0].kicks, 0);
}

/* LINT0 lets the vpic through as ExtINT; LINT1 is the NMI; both can be ordinary interrupts. */
static void test_local_pins(void **state)
{
	(void)state;
	machine_start_enabled(1);
	assert_false(vlapic_accepts_pic(apic(0)));
	vlapic_lint(apic(0), 1); /* masked after reset */
	assert_int_equal(m.cpu[0].nmis, 0);
	vlapic_reset(apic(0));
	vlapic_virtual_wire(apic(0));
	assert_true(vlapic_accepts_pic(apic(0)));
	assert_true(vlapic_post(apic(0), 0x30, false));
	take(0, 0x30);
	wr(0, APIC_EOI, 0);
	vlapic_lint(apic(0), 0);
	assert_int_equal(vlapic_pending(apic(0)), -1);
	vlapic_lint(apic(0), 1);
	assert_int_equal(m.cpu[0].nmis, 1);
	wr(0, APIC_LVT_LINT0, 0x40);
	assert_false(vlapic_accepts_pic(apic(0)));
	vlapic_lint(apic(0), 0);
	take(0, 0x40);
	wr(0, APIC_LVT_LINT1, ICR_MODE(VAPIC_INIT));
	vlapic_lint(apic(0), 1);
	assert_int_equal(m.cpu[0].inits, 1);
	wr(0, APIC_LVT_LINT1, ICR_MODE(VAPIC_SMI));
	vlapic_lint(apic(0), 1);
	assert_true(vlapic_set_base(apic(0), VLAPIC_MMIO_BASE));
	assert_true(vlapic_accepts_pic(apic(0)));
	vlapic_lint(apic(0), 1);
	assert_int_equal(m.cpu[0].nmis, 2);
}

/* After reset the page says what the manual says, whatever was in it. */
static void test_reset_state(void **state)
{
	(void)state;
	machine_start(3);
	assert_int_equal(vlapic_base(apic(0)), VLAPIC_MMIO_BASE | APIC_BASE_EN | APIC_BASE_BSP);
	assert_int_equal(vlapic_base(apic(2)), VLAPIC_MMIO_BASE | APIC_BASE_EN);
	assert_int_equal(rd(2, APIC_ID), 2u << 24);
	assert_int_equal(rd(2, APIC_VERSION), APIC_VERSION_VALUE);
	assert_int_equal(rd(2, APIC_DFR), ~0u);
	assert_int_equal(rd(2, APIC_SVR), 0xff);
	for (u32 off = 0; off < 0x400; off += 16) {
		if (off >= APIC_LVT_TIMER && off <= APIC_LVT_ERROR)
			assert_int_equal(rd(2, off), APIC_MASKED);
		else if (off != APIC_ID && off != APIC_VERSION && off != APIC_DFR &&
			 off != APIC_SVR)
			assert_int_equal(rd(2, off), 0);
	}
}

#define BASE_DISABLED (VLAPIC_MMIO_BASE)
#define BASE_INVALID  (VLAPIC_MMIO_BASE | APIC_BASE_EXTD)
#define BASE_XAPIC    (VLAPIC_MMIO_BASE | APIC_BASE_EN)
#define BASE_X2APIC   (VLAPIC_MMIO_BASE | APIC_BASE_EN | APIC_BASE_EXTD)

/* Of the 4 x 4 changes of mode exactly the legal ones work, and the others change nothing. */
static void test_base_transitions(void **state)
{
	static const struct {
		u64 from, to;
		bool legal;
	} changes[] = {
		{ BASE_DISABLED, BASE_DISABLED, true }, { BASE_DISABLED, BASE_INVALID, false },
		{ BASE_DISABLED, BASE_XAPIC, true },    { BASE_DISABLED, BASE_X2APIC, false },
		{ BASE_XAPIC, BASE_DISABLED, true },    { BASE_XAPIC, BASE_INVALID, false },
		{ BASE_XAPIC, BASE_XAPIC, true },       { BASE_XAPIC, BASE_X2APIC, true },
		{ BASE_X2APIC, BASE_DISABLED, true },   { BASE_X2APIC, BASE_INVALID, false },
		{ BASE_X2APIC, BASE_XAPIC, false },     { BASE_X2APIC, BASE_X2APIC, true },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++) {
		u64 now;

		machine_start(1);
		assert_true(vlapic_set_base(apic(0), changes[i].from));
		assert_int_equal(vlapic_set_base(apic(0), changes[i].to), changes[i].legal);
		now = changes[i].legal ? changes[i].to : changes[i].from;
		assert_int_equal(vlapic_base(apic(0)), now);
		assert_int_equal(vlapic_mmio_base(apic(0)),
				 now == BASE_XAPIC ? VLAPIC_MMIO_BASE : VLAPIC_NO_MMIO);
	}
	machine_start(1);
	assert_false(vlapic_set_base(apic(0), BASE_XAPIC | 1));
	assert_false(vlapic_set_base(apic(0), BASE_XAPIC | BIT(9)));
	assert_false(vlapic_set_base(apic(0), BASE_XAPIC | BIT(40)));
	assert_false(vlapic_set_base(apic(0), (BASE_XAPIC & 0xfff) | 0xfee01000));
	m.bus.features = 0;
	assert_false(vlapic_set_base(apic(0), BASE_X2APIC));
}

/* Switched off and on again an APIC works, from its power-up state. */
static void test_off_and_on(void **state)
{
	(void)state;
	machine_start_enabled(1);
	vlapic_post(apic(0), 0x40, false);
	wr(0, APIC_INITIAL_COUNT, 1000);
	vlapic_set_cr8(apic(0), 3);
	assert_true(vlapic_set_base(apic(0), BASE_DISABLED));
	assert_int_equal(vlapic_pending(apic(0)), -1);
	assert_false(vlapic_post(apic(0), 0x50, false));
	assert_null(m.armed[0]);
	assert_int_equal(vlapic_mmio_read(apic(0), APIC_VERSION, 4), ~0ULL);
	assert_true(vlapic_set_base(apic(0), BASE_XAPIC));
	assert_int_equal(vlapic_highest_irr(apic(0)), -1);
	assert_int_equal(rd(0, APIC_SVR), 0xff);
	assert_int_equal(rd(0, APIC_TPR), 0);
	enable(0);
	vlapic_post(apic(0), 0x50, false);
	take(0, 0x50);
}

/* Entering x2APIC mode keeps the state and derives the logical ID; INIT keeps the mode. */
static void test_x2apic_mode(void **state)
{
	u64 value;

	(void)state;
	machine_start_enabled(16);
	assert_false(vlapic_msr_read(apic(15), IA32_X2APIC(APIC_ID), &value));
	vlapic_post(apic(15), 0x40, false);
	wr(15, APIC_ICR_HIGH, 0x05000000);
	to_x2apic(15);
	assert_int_equal(rd(15, APIC_ICR), 0); /* the upper half is not kept */
	assert_int_equal(rd(15, APIC_ID), 15);
	assert_int_equal(rd(15, APIC_LDR), 0x8000);
	assert_int_equal(vlapic_pending(apic(15)), 0x40);
	assert_int_equal(vlapic_mmio_read(apic(15), APIC_ID, 4), ~0ULL);
	vlapic_init_reset(apic(15));
	assert_int_equal(rd(15, APIC_ID), 15);
	assert_int_equal(rd(15, APIC_LDR), 0x8000);
	assert_int_equal(rd(15, APIC_SVR), 0xff);
	assert_int_equal(vlapic_pending(apic(15)), -1);
	vlapic_reset(apic(15));
	assert_int_equal(vlapic_mmio_base(apic(15)), VLAPIC_MMIO_BASE);
}

/* The logical ID of a large APIC ID has its cluster in the upper half. */
static void test_x2apic_ldr(void **state)
{
	static struct cpu c;

	(void)state;
	machine_start(1);
	assert_int_equal(vlapic_init(&c.apic, &m.bus, &m.env, &cpu_ops, &c, c.page, 0x57), 0);
	assert_true(vlapic_set_base(&c.apic, BASE_X2APIC));
	assert_int_equal(*(u32 *)(void *)(c.page + APIC_LDR), 0x50080);
}

/* The bus is full with the seventeenth. */
static void test_bus_full(void **state)
{
	static struct cpu c;

	(void)state;
	machine_start(16);
	assert_true(vlapic_init(&c.apic, &m.bus, &m.env, &cpu_ops, &c, c.page, 16) < 0);
	assert_int_equal(m.bus.count, 16);
}

static bool posted;
static unsigned int made[256]; /* what each vector's requests stand for */

static void *post_thread(void *arg)
{
	for (unsigned int n = 0; n < 1000000; n++) {
		u8 vector = (u8)(0x20 + n % 0xd0);

		__atomic_fetch_add(&made[vector], 1, __ATOMIC_RELAXED);
		vlapic_post(arg, vector, n % 7 == 0);
	}
	__atomic_store_n(&posted, true, __ATOMIC_RELEASE);
	return NULL;
}

/* While another CPU posts, the owner loses no request: after the last it has seen all that they stand for. */
static void test_post_from_another_cpu(void **state)
{
	unsigned int seen[256] = { 0 };
	pthread_t thread;
	bool last;

	(void)state;
	machine_start_enabled(1);
	assert_int_equal(pthread_create(&thread, NULL, post_thread, apic(0)), 0);
	do {
		int vector;

		last = __atomic_load_n(&posted, __ATOMIC_ACQUIRE);
		while ((vector = vlapic_pending(apic(0))) >= 0) {
			vlapic_accept(apic(0), (u8)vector);
			vlapic_eoi(apic(0));
			seen[vector] = __atomic_load_n(&made[vector], __ATOMIC_RELAXED);
		}
	} while (!last);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(vlapic_idle(apic(0)));
	for (unsigned int vector = 0; vector < 256; vector++)
		assert_int_equal(seen[vector], made[vector]);
}

/* The owner is told once, until it looks; edges are where a processor may take them, levels are not. */
static void test_kick(void **state)
{
	(void)state;
	machine_start_enabled(1);
	vlapic_post(apic(0), 0x41, false);
	vlapic_post(apic(0), 0x51, false);
	vlapic_post(apic(0), 0x41, false);
	assert_int_equal(m.cpu[0].kicks, 1);
	assert_true(apic(0)->edge.control == POSTED_OUTSTANDING);
	assert_true(apic(0)->edge.request[1] == (BIT(0x41 - 64) | BIT(0x51 - 64)));
	assert_false(posted_any(&apic(0)->level));
	vlapic_post(apic(0), 0xfe, true);
	assert_int_equal(m.cpu[0].kicks, 2);
	assert_true(apic(0)->edge.request[3] == 0 && apic(0)->level.request[3] == BIT(0xfe - 192));
	vlapic_sync(apic(0));
	assert_false(vlapic_posted(apic(0)));
	assert_int_equal(vlapic_highest_irr(apic(0)), 0xfe);
	vlapic_post(apic(0), 0x41, false); /* still in the IRR, but the owner has to look */
	assert_int_equal(m.cpu[0].kicks, 3);
}

/* What a processor derives from IRR, ISR and TMR is told to have changed whenever one of them has. */
static void test_changed(void **state)
{
	u64 vectors[4];

	(void)state;
	machine_start_enabled(1);
	apic(0)->changed = false;
	vlapic_post(apic(0), 0x41, true);
	vlapic_post(apic(0), 0x98, true);
	assert_false(apic(0)->changed); /* not before it is taken */
	vlapic_sync(apic(0));
	assert_true(apic(0)->changed);
	vlapic_level_vectors(apic(0), vectors);
	assert_true(vectors[0] == 0 && vectors[1] == BIT(1) && vectors[2] == BIT(24) &&
		    vectors[3] == 0);
	apic(0)->changed = false;
	vlapic_sync(apic(0));
	assert_false(apic(0)->changed);
	take(0, 0x98);
	assert_true(apic(0)->changed);
	assert_int_equal(vlapic_highest_isr(apic(0)), 0x98);
	apic(0)->changed = false;
	vlapic_eoi(apic(0));
	assert_true(apic(0)->changed);
	assert_int_equal(vlapic_highest_isr(apic(0)), -1);
	apic(0)->changed = false;
	wr(0, APIC_SVR, 0xff);
	assert_true(apic(0)->changed);
	apic(0)->changed = false;
	vlapic_init_reset(apic(0));
	assert_true(apic(0)->changed);
}

/* An INIT drops what was on its way. */
static void test_init_drops_requests(void **state)
{
	(void)state;
	machine_start_enabled(1);
	vlapic_post(apic(0), 0x41, false);
	vlapic_post(apic(0), 0x51, true);
	vlapic_init_reset(apic(0));
	enable(0);
	assert_true(vlapic_idle(apic(0)));
	assert_int_equal(vlapic_pending(apic(0)), -1);
}

/* The processor has ended @vector itself: only a level-triggered one is told, and not when suppressed. */
static void test_eoi_done(void **state)
{
	(void)state;
	machine_start_enabled(1);
	vlapic_post(apic(0), 0x41, true);
	vlapic_post(apic(0), 0x51, false);
	vlapic_sync(apic(0));
	vlapic_eoi_done(apic(0), 0x51);
	assert_int_equal(m.cpu[0].eois, 0);
	vlapic_eoi_done(apic(0), 0x41);
	assert_int_equal(m.cpu[0].eois, 1);
	assert_int_equal(m.cpu[0].eoi_vector, 0x41);
	wr(0, APIC_SVR, APIC_SVR_ENABLE | APIC_SVR_SUPPRESS_EOI | 0xff);
	vlapic_eoi_done(apic(0), 0x41);
	assert_int_equal(m.cpu[0].eois, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_priority_and_nesting),
		cmocka_unit_test(test_every_vector),
		cmocka_unit_test(test_tpr_in_the_page),
		cmocka_unit_test(test_ppr),
		cmocka_unit_test(test_tpr_threshold),
		cmocka_unit_test(test_kick_once),
		cmocka_unit_test(test_eoi_broadcast),
		cmocka_unit_test(test_software_disable),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_error_in_error),
		cmocka_unit_test(test_local_pins),
		cmocka_unit_test(test_reset_state),
		cmocka_unit_test(test_base_transitions),
		cmocka_unit_test(test_off_and_on),
		cmocka_unit_test(test_x2apic_mode),
		cmocka_unit_test(test_x2apic_ldr),
		cmocka_unit_test(test_bus_full),
		cmocka_unit_test(test_post_from_another_cpu),
		cmocka_unit_test(test_kick),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_init_drops_requests),
		cmocka_unit_test(test_eoi_done),
	};

	return cmocka_run_group_tests_name("vlapic", tests, NULL, NULL);
}
