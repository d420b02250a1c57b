/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a virtqueue moves each chain once, tells as the ring asks, and no ring can make it do more. */
#include "tests/unit/fake_virtio.h"

#define SIZE 8
#define RING 0x1000ULL
#define DATA 0x10000ULL

static struct driver_queue d;
static struct virtqueue q;
static struct virtq_chain chain;

static void enable(u16 size, bool event_idx)
{
	driver_queue_init(&d, RING, size);
	virtqueue_reset(&q, &ram, SIZE);
	q.desc = d.desc;
	q.avail = d.avail;
	q.used = d.used;
	q.size = size;
	q.event_idx = event_idx;
	virtqueue_enable(&q);
}

static int setup(void **state)
{
	(void)state;
	fake_virtio_start();
	enable(SIZE, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_virtio_stop();
	return 0;
}

static void assert_broken(void)
{
	assert_false(virtqueue_pop(&q, &chain));
	assert_true(q.broken);
	/* And nothing more comes of it. */
	assert_false(virtqueue_pop(&q, &chain));
	assert_false(virtqueue_has_chain(&q));
	assert_false(virtqueue_enable_kicks(&q));
	assert_false(virtqueue_wants_interrupt(&q));
	virtqueue_push(&q, &chain, 0);
	assert_int_equal(driver_used_idx(&d), 0);
}

/* Claim: chains come in the order of the ring, also when the indexes wrap, and go back by name. */
static void order(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 70000; i++) {
		u16 head = driver_add(&d, DATA + i % 64, 1 + i % 100, i % 2);

		assert_true(virtqueue_has_chain(&q));
		assert_true(virtqueue_pop(&q, &chain));
		assert_int_equal(chain.head, head);
		assert_int_equal(chain.out + chain.in, 1);
		assert_int_equal(chain.out_bytes + chain.in_bytes, 1 + i % 100);
		assert_int_equal(chain.in, i % 2);
		assert_int_equal(chain.buf[0].gpa, DATA + i % 64);
		assert_false(virtqueue_pop(&q, &chain));
		virtqueue_push(&q, &chain, i % 1000);
		assert_int_equal(driver_take(&d), head);
		assert_int_equal(d.used_len, i % 1000);
		assert_int_equal(driver_take(&d), -1);
	}
	assert_false(q.broken);
}

/* Claim: a full ring is a full ring, and chains may go back in another order. */
static void full(void **state)
{
	struct virtq_chain chains[SIZE];

	(void)state;
	for (u16 i = 0; i < SIZE; i++)
		driver_add(&d, DATA, 1, false);
	for (u16 i = 0; i < SIZE; i++)
		assert_true(virtqueue_pop(&q, &chains[i]));
	assert_false(virtqueue_pop(&q, &chain));
	for (u16 i = SIZE; i-- > 0;)
		virtqueue_push(&q, &chains[i], i);
	for (int i = SIZE; i-- > 0;)
		assert_int_equal(driver_take(&d), i);
}

static void add_chain_of(u16 n)
{
	for (u16 i = 0; i < n; i++)
		driver_desc(&d, i, DATA + 0x100 * i, 0x10, i + 1 < n ? VIRTQ_DESC_NEXT : 0,
			    (u16)(i + 1));
	driver_avail(&d, 0);
}

/* Claim: buffers to be read come first, then those to be written; each keeps its place and length. */
static void gather(void **state)
{
	(void)state;
	driver_desc(&d, 3, DATA, 10, VIRTQ_DESC_NEXT, 5);
	driver_desc(&d, 5, RAM_HIGH, 20, VIRTQ_DESC_NEXT, 1);
	driver_desc(&d, 1, DATA + 100, 30, VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE, 0);
	driver_desc(&d, 0, DATA + 200, 40, VIRTQ_DESC_WRITE, 7);
	driver_avail(&d, 3);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.out, 2);
	assert_int_equal(chain.in, 2);
	assert_int_equal(chain.out_bytes, 30);
	assert_int_equal(chain.in_bytes, 70);
	assert_int_equal(chain.buf[1].gpa, RAM_HIGH);
	assert_int_equal(chain.buf[2].gpa, DATA + 100);
	assert_int_equal(chain.buf[3].len, 40);
}

/* Claim: copies cross buffers at any offset, and stop at the end of what may be read or written. */
static void copies(void **state)
{
	u8 data[80], expected[80];

	(void)state;
	gather(state);
	for (unsigned int i = 0; i < 30; i++)
		expected[i] = (u8)(i + 1);
	poke(DATA, expected, 10);
	poke(RAM_HIGH, expected + 10, 20);
	for (unsigned int offset = 0; offset <= 31; offset++) {
		size_t left = offset < 30 ? 30 - offset : 0;

		for (size_t len = 0; len < sizeof(data); len++) {
			size_t n = virtq_chain_read(&q, &chain, offset, data, len);

			assert_int_equal(n, len < left ? len : left);
			assert_memory_equal(data, expected + offset, n);
		}
	}
	memset(data, 0x55, sizeof(data));
	assert_int_equal(virtq_chain_write(&q, &chain, 25, data, 80), 45);
	assert_int_equal(ram_low[DATA + 100 + 24], 0);
	assert_int_equal(ram_low[DATA + 100 + 25], 0x55);
	assert_int_equal(ram_low[DATA + 100 + 29], 0x55);
	assert_int_equal(ram_low[DATA + 100 + 30], 0);
	assert_int_equal(ram_low[DATA + 239], 0x55);
	assert_int_equal(ram_low[DATA + 240], 0);
	assert_int_equal(virtq_chain_read(&q, &chain, ~0ULL, data, 1), 0);
}

/* Claim: an indirect table is followed, alone or behind other descriptors, whatever its write flag. */
static void indirect(void **state)
{
	struct virtq_desc table[3] = {
		{ DATA, 1, VIRTQ_DESC_NEXT, 2 },
		{ 0, 0, 0, 0 },
		{ DATA + 9, 2, VIRTQ_DESC_WRITE, 0 },
	};

	(void)state;
	poke(0x20000, table, sizeof(table));
	driver_desc(&d, 0, 0x20000, sizeof(table), VIRTQ_DESC_INDIRECT | VIRTQ_DESC_WRITE, 0);
	driver_avail(&d, 0);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.out, 1);
	assert_int_equal(chain.in, 1);
	assert_int_equal(chain.buf[1].gpa, DATA + 9);
	driver_desc(&d, 1, DATA + 50, 5, VIRTQ_DESC_NEXT, 0);
	driver_avail(&d, 1);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.out, 2);
	assert_int_equal(chain.in, 1);
	assert_int_equal(chain.buf[0].gpa, DATA + 50);
	assert_false(q.broken);
}

/* Claim: the longest chain has as many buffers as the queue has entries, direct or indirect. */
static void longest(void **state)
{
	struct virtq_desc table[SIZE + 1];

	(void)state;
	add_chain_of(SIZE);
	assert_true(virtqueue_pop(&q, &chain));
	assert_int_equal(chain.out, SIZE);
	for (u16 i = 0; i <= SIZE; i++)
		table[i] = (struct virtq_desc){ DATA, 1, VIRTQ_DESC_NEXT, (u16)(i + 1) };
	table[SIZE - 1].flags = 0;
	poke(0x20000, table, sizeof(table));
	driver_desc(&d, 0, 0x20000, sizeof(table), VIRTQ_DESC_INDIRECT, 0);
	driver_avail(&d, 0);
	assert_true(virtqueue_pop(&q, &chain));
	table[SIZE - 1].flags = VIRTQ_DESC_NEXT;
	table[SIZE].flags = 0;
	poke(0x20000, table, sizeof(table));
	driver_avail(&d, 0);
	assert_false(virtqueue_pop(&q, &chain));
	assert_true(q.broken);
}

static void loop(void)
{
	driver_desc(&d, 0, DATA, 1, VIRTQ_DESC_NEXT, 1);
	driver_desc(&d, 1, DATA, 1, VIRTQ_DESC_NEXT, 0);
	driver_avail(&d, 0);
}

static void loop_of_empty_buffers(void)
{
	driver_desc(&d, 2, DATA, 0, VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE, 2);
	driver_avail(&d, 2);
}

static void head_out_of_range(void)
{
	driver_avail(&d, SIZE);
}

static void next_out_of_range(void)
{
	driver_desc(&d, 0, DATA, 1, VIRTQ_DESC_NEXT, SIZE);
	driver_avail(&d, 0);
}

static void read_after_write(void)
{
	driver_desc(&d, 0, DATA, 1, VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE, 1);
	driver_desc(&d, 1, DATA, 1, 0, 0);
	driver_avail(&d, 0);
}

static void buffer(u64 addr, u32 len)
{
	driver_desc(&d, 0, addr, len, 0, 0);
	driver_avail(&d, 0);
}

static void buffer_beyond_ram(void)
{
	buffer(RAM_LOW_SIZE - 1, 2);
}

static void buffer_over_a_hole(void)
{
	buffer(0, RAM_HIGH + 1);
}

static void buffer_that_wraps(void)
{
	buffer(~0ULL - 10, 100);
}

static void index_too_far(void)
{
	poke16(d.avail + VIRTQ_RING_IDX, SIZE + 1);
}

static void index_backwards(void)
{
	poke16(d.avail + VIRTQ_RING_IDX, 0xffff);
}

static void indirect_table(const struct virtq_desc *table, u32 len, u64 addr)
{
	poke(0x20000, table, 2 * sizeof(*table));
	driver_desc(&d, 0, addr, len, VIRTQ_DESC_INDIRECT, 0);
	driver_avail(&d, 0);
}

static const struct virtq_desc good_table[2] = { { DATA, 1, VIRTQ_DESC_NEXT, 1 },
						 { DATA, 1, 0, 0 } };

static void indirect_in_indirect(void)
{
	const struct virtq_desc table[2] = { { 0x20010, 16, VIRTQ_DESC_INDIRECT, 0 },
					     good_table[1] };

	indirect_table(table, sizeof(table), 0x20000);
}

static void indirect_to_itself(void)
{
	const struct virtq_desc table[2] = { { 0x20000, 16, VIRTQ_DESC_INDIRECT, 0 } };

	indirect_table(table, sizeof(table), 0x20000);
}

static void indirect_of_odd_length(void)
{
	indirect_table(good_table, 31, 0x20000);
}

static void indirect_of_no_length(void)
{
	indirect_table(good_table, 0, 0x20000);
}

static void indirect_beyond_ram(void)
{
	indirect_table(good_table, 32, RAM_LOW_SIZE);
}

static void indirect_that_goes_on(void)
{
	indirect_table(good_table, 32, 0x20000);
	driver_desc(&d, 0, 0x20000, 32, VIRTQ_DESC_INDIRECT | VIRTQ_DESC_NEXT, 1);
}

static void indirect_next_out_of_range(void)
{
	const struct virtq_desc table[2] = { { DATA, 1, VIRTQ_DESC_NEXT, 2 } };

	indirect_table(table, sizeof(table), 0x20000);
}

/* Claim: whatever no driver may do breaks the queue at once: it ends, and nothing follows. */
static void hostile(void **state)
{
	static void (*const ways[])(void) = {
		loop,
		loop_of_empty_buffers,
		head_out_of_range,
		next_out_of_range,
		read_after_write,
		buffer_beyond_ram,
		buffer_over_a_hole,
		buffer_that_wraps,
		index_too_far,
		index_backwards,
		indirect_in_indirect,
		indirect_to_itself,
		indirect_of_odd_length,
		indirect_of_no_length,
		indirect_beyond_ram,
		indirect_that_goes_on,
		indirect_next_out_of_range,
	};

	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		ways[i]();
		assert_broken();
		teardown(state);
		setup(state);
	}
}

/* Claim: areas that are not aligned, or not wholly RAM, break the queue before it is used. */
static void bad_rings(void **state)
{
	static const gpa_t bytes[] = { 16 * SIZE, 6 + 2 * SIZE, 6 + 8 * SIZE };
	gpa_t *const area[] = { &q.desc, &q.avail, &q.used };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		gpa_t last = ALIGN_DOWN(RAM_LOW_SIZE - bytes[i], 16ULL);
		const gpa_t bad[] = { *area[i] + 1, last + 16, RAM_LOW_SIZE, ~0ULL - 15,
				      1ULL << 63 };

		for (unsigned int b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
			enable(SIZE, true);
			*area[i] = bad[b];
			virtqueue_enable(&q);
			assert_true(q.broken);
			assert_false(virtqueue_pop(&q, &chain));
		}
		enable(SIZE, true);
		*area[i] = last;
		virtqueue_enable(&q);
		assert_false(q.broken);
	}
}

/* Claim: a queue that is not enabled does nothing, and reads nothing. */
static void disabled(void **state)
{
	(void)state;
	driver_add(&d, DATA, 1, false);
	q.enabled = false;
	assert_false(virtqueue_pop(&q, &chain));
	assert_false(virtqueue_has_chain(&q));
	assert_false(virtqueue_enable_kicks(&q));
	virtqueue_disable_kicks(&q);
	assert_int_equal(peek16(d.used), 0);
	assert_false(q.broken);
}

static void push_one(void)
{
	driver_add(&d, DATA, 1, false);
	assert_true(virtqueue_pop(&q, &chain));
	virtqueue_push(&q, &chain, 0);
}

/* Claim: without event index the flags decide, once for each time that something was pushed. */
static void flags(void **state)
{
	(void)state;
	assert_false(virtqueue_wants_interrupt(&q));
	push_one();
	push_one();
	assert_int_equal(virtqueue_unsignaled(&q), 2);
	assert_true(virtqueue_wants_interrupt(&q));
	assert_false(virtqueue_wants_interrupt(&q));
	poke16(d.avail, VIRTQ_AVAIL_NO_INTERRUPT);
	push_one();
	assert_false(virtqueue_wants_interrupt(&q));

	virtqueue_disable_kicks(&q);
	assert_int_equal(peek16(d.used), VIRTQ_USED_NO_NOTIFY);
	assert_false(virtqueue_enable_kicks(&q));
	assert_int_equal(peek16(d.used), 0);
	driver_add(&d, DATA, 1, false);
	assert_true(virtqueue_enable_kicks(&q));
}

/* Does a driver with an event index kick when it adds entry @idx, of which the device has asked? */
static bool would_kick(u16 idx)
{
	u16 event = driver_kick_event(&d);

	return (u16)((u16)(idx + 1) - event - 1) < (u16)1;
}

/* Claim: with event index an interrupt comes exactly when the entry waited for goes by, at any index. */
static void event_index(void **state)
{
	(void)state;
	enable(SIZE, true);
	for (unsigned int i = 0; i < 70000; i++) {
		u16 next = (u16)i;

		driver_want_interrupt(&d, (u16)(next + i % 3));
		push_one();
		assert_int_equal(virtqueue_wants_interrupt(&q), i % 3 == 0);
		assert_false(virtqueue_wants_interrupt(&q));
		assert_false(virtqueue_enable_kicks(&q));
		assert_true(would_kick((u16)(next + 1)));
		virtqueue_disable_kicks(&q);
		assert_false(would_kick((u16)(next + 1)));
		assert_false(would_kick((u16)(next + 2)));
	}
	/* Of several at once, any one of them. */
	driver_want_interrupt(&d, (u16)(d.idx + 1));
	push_one();
	push_one();
	push_one();
	assert_true(virtqueue_wants_interrupt(&q));
	/* One that the driver has seen long ago, as its event says, needs no interrupt. */
	push_one();
	driver_want_interrupt(&d, d.idx);
	assert_false(virtqueue_wants_interrupt(&q));
}

/* Claim: nothing that a driver writes anywhere makes the device's side read or write out of bounds. */
static void random_rings(void **state)
{
	u64 random = 1;

	(void)state;
	for (unsigned int round = 0; round < 3000; round++) {
		enable((u16)(1 << round % 4), round & 4);
		for (unsigned int i = 0; i < 0x4000; i += 2) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			if (i < 0x200 || (i >= 0x2000 && i < 0x2100))
				poke16(RING + i,
				       (u16)(random >> 40 & (random & 1 << 20 ? 15 : 0xffff)));
		}
		for (unsigned int i = 0; i < 20 && virtqueue_pop(&q, &chain); i++) {
			u8 data[64];

			assert_true(chain.out + chain.in <= q.size);
			virtq_chain_read(&q, &chain, random >> 50, data, sizeof(data));
			virtq_chain_write(&q, &chain, random >> 50, data, sizeof(data));
			virtqueue_push(&q, &chain, 1);
			virtqueue_wants_interrupt(&q);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(order, setup, teardown),
		cmocka_unit_test_setup_teardown(full, setup, teardown),
		cmocka_unit_test_setup_teardown(gather, setup, teardown),
		cmocka_unit_test_setup_teardown(copies, setup, teardown),
		cmocka_unit_test_setup_teardown(indirect, setup, teardown),
		cmocka_unit_test_setup_teardown(longest, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(flags, setup, teardown),
		cmocka_unit_test_setup_teardown(event_index, setup, teardown),
		cmocka_unit_test_setup_teardown(random_rings, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
