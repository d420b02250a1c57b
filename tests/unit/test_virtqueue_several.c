/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: several chains go back at once, so that nobody sees a part of them, and what was taken can be put back. */
#include "tests/unit/fake_virtio.h"

#define SIZE 8
#define DATA 0x10000ULL

static struct driver_queue d;
static struct virtqueue q;
static struct virtq_chain chain;

static int setup(void **state)
{
	(void)state;
	fake_virtio_start();
	driver_queue_init(&d, 0x1000, SIZE);
	virtqueue_reset(&q, &ram, SIZE);
	q.desc = d.desc;
	q.avail = d.avail;
	q.used = d.used;
	virtqueue_enable(&q);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_virtio_stop();
	return 0;
}

/* Claim: any number of them, in order, also where ring and indexes wrap; interrupts are asked for all at once. */
static void together(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 30000; i++) {
		struct virtq_used_elem elem[SIZE];
		u16 n = (u16)(1 + i % SIZE);

		for (u16 k = 0; k < n; k++) {
			driver_add(&d, DATA, 10, true);
			assert_true(virtqueue_pop(&q, &chain));
			elem[k] = (struct virtq_used_elem){ chain.head, k + 1u };
		}
		assert_int_equal(driver_used_idx(&d), d.seen);
		virtqueue_push_all(&q, elem, n);
		assert_int_equal(virtqueue_unsignaled(&q), n);
		assert_true(virtqueue_wants_interrupt(&q));
		assert_false(virtqueue_wants_interrupt(&q));
		for (u16 k = 0; k < n; k++) {
			assert_int_equal(driver_take(&d), elem[k].id);
			assert_int_equal(d.used_len, k + 1);
		}
		assert_int_equal(driver_take(&d), -1);
	}
}

/* Claim: chains that were put back come again, the same or what the driver has made of them. */
static void back(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 30000; i++) {
		u16 first = driver_add(&d, DATA, 10, true);

		driver_add(&d, DATA, 11, true);
		for (unsigned int k = 0; k < 3; k++) {
			assert_true(virtqueue_pop(&q, &chain));
			assert_int_equal(chain.head, first);
			assert_true(virtqueue_pop(&q, &chain));
			assert_false(virtqueue_pop(&q, &chain));
			virtqueue_unpop(&q, 2);
		}
		driver_desc(&d, first, DATA, 12, VIRTQ_DESC_WRITE, 0);
		assert_true(virtqueue_pop(&q, &chain));
		assert_int_equal(chain.in_bytes, 12);
		virtqueue_push(&q, &chain, 0);
		assert_true(virtqueue_pop(&q, &chain));
		assert_int_equal(chain.in_bytes, 11);
		virtqueue_push(&q, &chain, 0);
	}
	assert_false(q.broken);
}

/* Claim: nothing is written for a queue that is not there. */
static void disabled(void **state)
{
	struct virtq_used_elem elem = { 1, 2 };

	(void)state;
	q.enabled = false;
	virtqueue_push_all(&q, &elem, 1);
	assert_int_equal(driver_used_idx(&d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(together, setup, teardown),
		cmocka_unit_test_setup_teardown(back, setup, teardown),
		cmocka_unit_test_setup_teardown(disabled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
