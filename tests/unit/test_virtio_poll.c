/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a device that is polled needs no kick, and none gets lost when polling ends. */
#include "tests/unit/fake_virtio.h"
#include "virtio/virtio.h"

#define DATA 0x10000ULL
#define SIZE 8

static struct virtio_host host;
static struct virtio_device dev;
static struct virtqueue queue;
static struct driver_queue d;
static unsigned int looks, wakes;
static bool defers, busy;

/* A device that gives every buffer back, or puts that off. */
static void on_kick(void *ctx, unsigned int q)
{
	struct virtq_chain chain;

	(void)ctx;
	looks++;
	if (defers) {
		defers = false;
		virtio_defer(&dev, q);
		return;
	}
	do {
		while (virtio_pop(&dev, q, &chain))
			virtio_push(&dev, q, &chain, 0);
	} while (virtio_enable_kicks(&dev, q));
}

static bool is_busy(void *ctx)
{
	(void)ctx;
	return busy;
}

static void on_kicked(void *ctx)
{
	(void)ctx;
	wakes++;
}

static void bring_up(bool event_idx)
{
	virtio_set_status(&dev, 0);
	virtio_set_status(&dev, 3);
	virtio_set_features(&dev, false, event_idx ? (u32)VIRTIO_F_EVENT_IDX : 0);
	virtio_set_features(&dev, true, 1);
	virtio_set_status(&dev, 11);
	driver_queue_init(&d, 0x1000, SIZE);
	memset(ram_low + d.desc, 0, 0x4000);
	queue.size = SIZE;
	queue.desc = d.desc;
	queue.avail = d.avail;
	queue.used = d.used;
	virtqueue_enable(&queue);
	virtio_set_status(&dev, 15);
}

static int setup(void **state)
{
	static const struct virtio_ops ops = { .kick = on_kick, .busy = is_busy };
	static const u16 sizes[] = { SIZE };
	static const struct virtio_type type = {
		.id = 4, .ops = &ops, .queues = 1, .queue_size = sizes
	};

	(void)state;
	fake_virtio_start();
	host = fake_host;
	host.kicked = on_kicked;
	looks = wakes = 0;
	defers = busy = false;
	virtio_init(&dev, &type, &host, NULL, &queue, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_virtio_stop();
	return 0;
}

static u16 add(void)
{
	return driver_add(&d, DATA, 16, false);
}

/* Has a driver that has added the last @added entries to kick? virtio, "Available Buffer Notification Suppression". */
static bool wants_kick_for(bool event_idx, u16 added)
{
	if (event_idx)
		return (u16)(d.idx - driver_kick_event(&d) - 1) < added;
	return !(peek16(d.used + VIRTQ_RING_FLAGS) & VIRTQ_USED_NO_NOTIFY);
}

/* Would a driver kick for what it adds next? */
static bool wants_kick(bool event_idx)
{
	if (event_idx)
		return driver_kick_event(&d) == d.idx;
	return wants_kick_for(false, 1);
}

static void polled(bool event_idx)
{
	u16 head;

	bring_up(event_idx);
	assert_false(virtio_poll(&dev));
	virtio_set_polled(&dev, true);
	assert_false(wants_kick(event_idx));
	for (unsigned int i = 0; i < 3 * SIZE; i++) {
		head = add();
		assert_false(wants_kick(event_idx));
		assert_int_equal(driver_take(&d), -1);
		assert_true(virtio_poll(&dev));
		assert_int_equal(driver_take(&d), head);
		assert_false(virtio_poll(&dev));
	}
	assert_int_equal(looks, 3 * SIZE);
	assert_int_equal(wakes, 0);

	/* The last look: what has come without a kick, and from then on with one. */
	head = add();
	virtio_set_polled(&dev, false);
	assert_int_equal(driver_take(&d), head);
	assert_true(wants_kick(event_idx));
	head = add();
	virtio_kick(&dev, 0);
	assert_int_equal(driver_take(&d), head);
	assert_int_equal(wakes, 1);
}

/* Claim: as long as it is polled a driver is asked not to kick, by flag as by event index; then to kick again. */
static void by_flag(void **state)
{
	(void)state;
	polled(false);
}

static void by_event_index(void **state)
{
	(void)state;
	polled(true);
}

/*
 * Claim: a driver that adds a batch and asks once at its end need not kick either, however much of the batch has
 * been taken by then.
 */
static void batch(void **state)
{
	(void)state;
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		virtio_set_polled(&dev, false);
		bring_up(event_idx);
		virtio_set_polled(&dev, true);
		for (u16 taken = 0; taken <= SIZE; taken++) {
			for (u16 i = 0; i < SIZE; i++) {
				if (i == taken)
					virtio_poll(&dev);
				add();
			}
			if (taken == SIZE)
				virtio_poll(&dev);
			assert_false(wants_kick_for(event_idx, SIZE));
			virtio_poll(&dev);
			while (driver_take(&d) >= 0)
				;
		}
	}
}

/* Claim: what the device has put off is done by the next poll. */
static void deferred(void **state)
{
	u16 head;

	(void)state;
	bring_up(true);
	virtio_set_polled(&dev, true);
	defers = true;
	head = add();
	assert_true(virtio_poll(&dev));
	assert_int_equal(driver_take(&d), -1);
	assert_true(virtio_poll(&dev));
	assert_int_equal(driver_take(&d), head);
}

/* Claim: who polls does not go to sleep while a request is on its way: the next one comes when it is answered. */
static void on_its_way(void **state)
{
	(void)state;
	bring_up(true);
	virtio_set_polled(&dev, true);
	assert_false(virtio_poll(&dev));
	busy = true;
	assert_true(virtio_poll(&dev));
	assert_int_equal(looks, 0);
	busy = false;
	assert_false(virtio_poll(&dev));
}

/* Claim: nothing is looked at before DRIVER_OK or after a fault, and a lie about the index breaks the queue. */
static void dead(void **state)
{
	(void)state;
	virtio_set_polled(&dev, true);
	assert_false(virtio_poll(&dev));
	bring_up(true);
	poke16(d.avail + VIRTQ_RING_IDX, 1000);
	virtio_poll(&dev);
	assert_true(dev.status & VIRTIO_NEEDS_RESET);
	looks = 0;
	poke16(d.avail + VIRTQ_RING_IDX, 1001);
	assert_false(virtio_poll(&dev));
	assert_int_equal(looks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(by_flag, setup, teardown),
		cmocka_unit_test_setup_teardown(by_event_index, setup, teardown),
		cmocka_unit_test_setup_teardown(batch, setup, teardown),
		cmocka_unit_test_setup_teardown(deferred, setup, teardown),
		cmocka_unit_test_setup_teardown(on_its_way, setup, teardown),
		cmocka_unit_test_setup_teardown(dead, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
