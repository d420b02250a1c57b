/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers/virtio_drv, the driver's side of a ring: what was added comes back once, and a device that lies breaks the queue and nothing else. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "drivers/virtio_drv.h"
#include "tests/unit/fake_iomem.h"

static u8 common[0x38], notify[64];
static struct vdrv v = {
	.common = common, .notify = notify, .notify_len = sizeof(notify), .notify_multiplier = 4
};
static struct vdrv_queue q;
static void *allocated[3];
static unsigned int allocations;

static void *alloc(u64 bytes)
{
	void *p = calloc(1, bytes);

	return allocated[allocations++] = p;
}

static const struct hostdev_env env = { .dma_alloc = alloc };

static void put16(unsigned int at, u16 value)
{
	memcpy(common + at, &value, 2);
}

static int start(void **state)
{
	(void)state;
	memset(&fake_iomem, 0, sizeof(fake_iomem));
	memset(common, 0, sizeof(common));
	put16(0x18, 64); /* queue_size */
	put16(0x1e, 3);  /* queue_notify_off */
	allocations = 0;
	v.env = &env;
	assert_int_equal(vdrv_queue_alloc(&v, &q, 1), 0);
	assert_true(vdrv_queue_start(&v, &q, VDRV_QUEUE_MAX));
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < allocations; i++)
		free(allocated[i]);
	return 0;
}

/* --- the device --- */

static u16 taken; /* of the available ring */

static u16 take(void)
{
	assert_int_not_equal(q.avail->idx, taken);
	return q.avail->ring[taken++ % q.size];
}

static void give(u32 id, u32 len)
{
	q.used->ring[q.used->idx % q.size].id = id;
	q.used->ring[q.used->idx % q.size].len = len;
	q.used->idx++;
}

static void test_set_up(void **state)
{
	(void)state;
	assert_int_equal(q.size, 64);
	assert_ptr_equal(q.notify, notify + 12);
	assert_int_equal(common[0x1c], 1); /* queue_enable */
	/* Sizes that are no power of two, no queue, and a notify register that is not there. */
	put16(0x18, 100);
	assert_true(vdrv_queue_start(&v, &q, VDRV_QUEUE_MAX));
	assert_int_equal(q.size, 64);
	put16(0x18, 0xffff);
	assert_true(vdrv_queue_start(&v, &q, 0xffff));
	assert_int_equal(q.size, VDRV_QUEUE_MAX);
	put16(0x18, 0);
	assert_false(vdrv_queue_start(&v, &q, VDRV_QUEUE_MAX));
	put16(0x18, 64);
	put16(0x1e, 0xffff);
	assert_false(vdrv_queue_start(&v, &q, VDRV_QUEUE_MAX));
}

/* A chain is as the device wants to read it. */
static void test_chain(void **state)
{
	const struct vdrv_buffer b[] = { { 0x1000, 16, false },
					 { 0x2000, 512, false },
					 { 0x3000, 1, true } };
	u16 head, at;

	(void)state;
	taken = 0;
	assert_true(vdrv_add(&q, b, 3, &q));
	head = at = take();
	for (unsigned int i = 0; i < 3; i++) {
		const struct vdrv_desc *d = &q.desc[at];

		assert_int_equal(d->addr, b[i].hpa);
		assert_int_equal(d->len, b[i].len);
		assert_int_equal(d->flags,
				 (i < 2 ? VDRV_DESC_NEXT : 0) | (i == 2 ? VDRV_DESC_WRITE : 0));
		at = d->next;
	}
	give(head, 1);
	assert_int_equal(q.free, 64 - 3);
}

/* Chains of all lengths, ended in any order, for longer than the indices count: each comes back once, and no descriptor is lost. */
static void test_random(void **state)
{
	struct vdrv_buffer b[8] = { 0 };
	static u8 cookies[64];
	u16 under_way[64];
	void *cookie_of[64];
	unsigned int n = 0, next = 0;
	u32 len;

	(void)state;
	taken = 0;
	srand(1);
	for (unsigned int i = 0; i < 300000; i++) {
		if (rand() % 2) {
			if (n < 64 &&
			    vdrv_add(&q, b, 1 + (unsigned int)rand() % 8, &cookies[next])) {
				cookie_of[n] = &cookies[next];
				under_way[n++] = take();
				next = (next + 1) % 64;
			}
		} else if (n) {
			unsigned int which = (unsigned int)rand() % n;

			give(under_way[which], i);
			assert_ptr_equal(vdrv_take(&q, &len), cookie_of[which]);
			assert_int_equal(len, i);
			assert_null(vdrv_take(&q, &len));
			under_way[which] = under_way[--n];
			cookie_of[which] = cookie_of[n];
		}
	}
	while (n) {
		give(under_way[--n], 0);
		assert_non_null(vdrv_take(&q, &len));
	}
	assert_int_equal(q.free, q.size);
	assert_false(q.broken);
}

static void test_full(void **state)
{
	struct vdrv_buffer b[65] = { 0 };

	(void)state;
	assert_false(vdrv_add(&q, b, 65, &q));
	assert_false(vdrv_add(&q, b, 0, &q));
	assert_true(vdrv_add(&q, b, 64, &q));
	assert_false(vdrv_add(&q, b, 1, &q));
}

/* Lies: an index that is not one, a chain that is not under way (or was given back already), more than there can be. */
static void test_lies(void **state)
{
	static const u32 ids[] = { 64, 0xffffffff, 1, 0x10000 };
	struct vdrv_buffer b = { 0 };
	u32 len;

	for (unsigned int i = 0; i < 6; i++) {
		end(state);
		start(state);
		taken = 0;
		assert_true(vdrv_add(&q, &b, 1, &q));
		assert_int_equal(take(), 0);
		if (i < 4) {
			give(ids[i], 0);
		} else if (i == 4) {
			q.used->idx = 65;
		} else {
			give(0, 0);
			assert_ptr_equal(vdrv_take(&q, &len), &q);
			give(0, 0);
		}
		assert_null(vdrv_take(&q, &len));
		assert_true(q.broken);
		assert_null(vdrv_take(&q, &len)); /* and it stays so */
	}
}

/* The device is told, unless it does not want to be. */
static void test_notify(void **state)
{
	(void)state;
	memset(notify, 0xff, sizeof(notify));
	q.used->flags = VDRV_USED_NO_NOTIFY;
	vdrv_notify(&q);
	assert_int_equal(notify[12], 0xff);
	q.used->flags = 0;
	vdrv_notify(&q);
	assert_int_equal(notify[12], 1);
	assert_int_equal(notify[13], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_set_up, start, end),
		cmocka_unit_test_setup_teardown(test_chain, start, end),
		cmocka_unit_test_setup_teardown(test_random, start, end),
		cmocka_unit_test_setup_teardown(test_full, start, end),
		cmocka_unit_test_setup_teardown(test_lies, start, end),
		cmocka_unit_test_setup_teardown(test_notify, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
