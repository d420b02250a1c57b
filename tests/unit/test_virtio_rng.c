/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: the entropy device fills buffers with what its source gives, and never more than it may in a period. */
#include "tests/unit/fake_virtio.h"
#include "virtio/virtio_rng.h"

#define DATA 0x10000ULL
#define SIZE 8

static struct virtio_rng rng;
static struct driver_queue d;
static unsigned int interrupts;
static size_t drawn;
static bool dry;

static size_t on_fill(void *ctx, u8 *data, size_t len)
{
	assert_ptr_equal(ctx, &drawn);
	assert_in_range(len, 1, 64);
	if (dry)
		return 0;
	for (size_t i = 0; i < len; i++)
		data[i] = (u8)(1 + drawn++ % 255);
	return len;
}

static void on_interrupt(void *transport, const struct virtqueue *queue)
{
	(void)transport;
	interrupts += queue != NULL;
}

static void bring_up(void)
{
	virtio_set_status(&rng.dev, 0);
	virtio_set_status(&rng.dev, 3);
	virtio_set_features(&rng.dev, true, 1);
	virtio_set_status(&rng.dev, 11);
	driver_queue_init(&d, 0x1000, SIZE);
	memset(ram_low + d.desc, 0, 0x4000);
	rng.queue.desc = d.desc;
	rng.queue.avail = d.avail;
	rng.queue.used = d.used;
	virtqueue_enable(&rng.queue);
	virtio_set_status(&rng.dev, 15);
}

static int setup(void **state)
{
	static const struct virtio_rng_ops ops = { on_fill };

	(void)state;
	fake_virtio_start();
	interrupts = 0;
	drawn = 0;
	dry = false;
	virtio_rng_init(&rng, &fake_host, &ops, &drawn);
	rng.dev.interrupt = on_interrupt;
	bring_up();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_virtio_stop();
	return 0;
}

static u16 ask(u32 len)
{
	u16 head = driver_add(&d, DATA, len, true);

	virtio_kick(&rng.dev, 0);
	return head;
}

/* Claim: a buffer comes back at once with bytes of the source, and says how many. */
static void fills(void **state)
{
	u16 head = ask(32);

	(void)state;
	assert_int_equal(driver_take(&d), head);
	assert_int_equal(d.used_len, 32);
	assert_int_equal(ram_low[DATA], 1);
	assert_int_equal(ram_low[DATA + 31], 32);
	assert_int_equal(ram_low[DATA + 32], 0);
	assert_int_equal(interrupts, 1);
	head = ask(1000);
	assert_int_equal(driver_take(&d), head);
	assert_int_equal(d.used_len, 64);
}

/* Claim: a driver that asks without end gets so many bytes in a second and no more, resets or not; and each buffer in the end. */
static void limited(void **state)
{
	unsigned int taken = 0;

	(void)state;
	for (unsigned int ms = 0; ms < 1000; ms++) {
		if (ms % 100 == 50) {
			bring_up();
			taken = 0;
		}
		while ((u16)(d.idx - taken) < SIZE)
			ask(100);
		while (driver_take(&d) >= 0)
			taken++;
		fake_pass(FAKE_HZ / 1000);
	}
	assert_in_range(drawn, VIRTIO_RNG_BYTES * 90, VIRTIO_RNG_BYTES * 102);
}

/* Claim: buffers that have no room for a byte come back, too. */
static void no_room(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 10 * SIZE; i++) {
		driver_add(&d, DATA, i % 2 ? 0 : 10, i % 2);
		if (i % SIZE == SIZE - 1)
			virtio_kick(&rng.dev, 0);
	}
	assert_int_equal(driver_used_idx(&d), 10 * SIZE);
	assert_int_equal(drawn, 0);
}

/* Claim: with nothing to be had now the buffer waits, and is filled later without being asked again. */
static void dry_source(void **state)
{
	u16 head;

	(void)state;
	dry = true;
	head = ask(16);
	fake_pass(FAKE_HZ);
	assert_int_equal(driver_take(&d), -1);
	dry = false;
	fake_pass(FAKE_HZ / 50);
	assert_int_equal(driver_take(&d), head);
	assert_int_equal(d.used_len, 16);
	dry = true;
	ask(16);
	virtio_set_status(&rng.dev, 0);
	dry = false;
	fake_pass(FAKE_HZ);
	assert_int_equal(drawn, 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(fills), TEST(limited), TEST(no_room),
					    TEST(dry_source) };

	return cmocka_run_group_tests_name("virtio_rng", tests, NULL, NULL);
}
