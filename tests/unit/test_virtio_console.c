/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: the virtio console loses no byte in either direction, and tells its driver no more than it must. */
#include "tests/unit/fake_virtio.h"
#include "virtio/virtio_console.h"

#define SIZE 64
#define DATA 0x10000ULL
enum { RX, TX };

static struct virtio_console c;
static struct driver_queue rx, tx;
static struct {
	u8 sent[1 << 20];
	size_t sent_len, room;
	u8 typed[4096];
	size_t typed_len, typed_at;
} line;
static unsigned int interrupts[2], changes;

static size_t on_tx(void *ctx, const u8 *data, size_t len)
{
	size_t n = MIN(len, line.room);

	assert_ptr_equal(ctx, &line);
	assert_true(line.sent_len + n <= sizeof(line.sent));
	memcpy(line.sent + line.sent_len, data, n);
	line.sent_len += n;
	line.room -= n;
	return n;
}

static size_t on_rx(void *ctx, u8 *data, size_t len)
{
	size_t n = MIN(len, line.typed_len - line.typed_at);

	assert_ptr_equal(ctx, &line);
	assert_true(len > 0);
	memcpy(data, line.typed + line.typed_at, n);
	line.typed_at += n;
	return n;
}

static const struct virtio_console_ops ops = { on_tx, on_rx };

static void on_interrupt(void *transport, const struct virtqueue *queue)
{
	(void)transport;
	if (queue)
		interrupts[queue - c.queue]++;
	else
		changes++;
}

static void type(const char *text)
{
	memcpy(line.typed + line.typed_len, text, strlen(text));
	line.typed_len += strlen(text);
	virtio_console_input(&c);
}

static void attach(struct driver_queue *d, unsigned int q)
{
	driver_queue_init(d, 0x1000 + 0x4000ULL * q, SIZE);
	memset(ram_low + d->desc, 0, 0x4000);
	c.queue[q].desc = d->desc;
	c.queue[q].avail = d->avail;
	c.queue[q].used = d->used;
	virtqueue_enable(&c.queue[q]);
}

static void bring_up(u64 features)
{
	virtio_set_status(&c.dev, 0);
	virtio_set_status(&c.dev, 3);
	virtio_set_features(&c.dev, false, (u32)features);
	virtio_set_features(&c.dev, true, 1);
	virtio_set_status(&c.dev, 11);
	attach(&rx, RX);
	attach(&tx, TX);
	virtio_set_status(&c.dev, 15);
	assert_true(virtio_live(&c.dev));
}

static int setup(void **state)
{
	(void)state;
	fake_virtio_start();
	memset(&line, 0, sizeof(line));
	line.room = sizeof(line.sent);
	interrupts[RX] = interrupts[TX] = changes = 0;
	virtio_console_init(&c, &fake_host, &ops, &line);
	c.dev.interrupt = on_interrupt;
	bring_up(VIRTIO_F_EVENT_IDX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_virtio_stop();
	return 0;
}

static u16 send(const char *text)
{
	poke(DATA, text, strlen(text));
	return driver_add(&tx, DATA, (u32)strlen(text), false);
}

/* The driver waits for its buffer, as Linux does, and asks for an interrupt of the next one. */
static void take_back(u16 head)
{
	assert_int_equal(driver_take(&tx), head);
	driver_want_interrupt(&tx, tx.seen);
}

/* Claim: what is sent is out when the kick returns, buffer by buffer, and the buffer is back. */
static void sends(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		u16 head = send("hello, world\r\n");

		virtio_kick(&c.dev, TX);
		assert_int_equal(line.sent_len, (i + 1) * 14);
		take_back(head);
		assert_int_equal(driver_kick_event(&tx), tx.idx);
	}
	assert_memory_equal(line.sent + 13986, "hello, world\r\n", 14);
	assert_true(virtio_console_has_sent(&c));
}

/* Claim: a driver that takes its buffers back at once gets no interrupt for them, ever. */
static void no_needless_interrupts(void **state)
{
	sends(state);
	fake_pass(FAKE_HZ);
	assert_int_equal(interrupts[TX], 0);
	assert_true(fake.fired <= 1);
}

/* Claim: one that waits for an interrupt gets it, within a lull; or sooner, when many wait. */
static void interrupts_in_the_end(void **state)
{
	(void)state;
	driver_want_interrupt(&tx, 0);
	send("a");
	virtio_kick(&c.dev, TX);
	assert_int_equal(interrupts[TX], 0);
	fake_pass(FAKE_HZ / 40);
	assert_int_equal(interrupts[TX], 1);
	driver_want_interrupt(&tx, 1);
	for (unsigned int i = 0; i < SIZE / 2; i++)
		send("b");
	virtio_kick(&c.dev, TX);
	assert_int_equal(interrupts[TX], 2);
	assert_int_equal(line.sent_len, 1 + SIZE / 2);
	fake_pass(FAKE_HZ);
	assert_int_equal(interrupts[TX], 2);
}

/* Claim: without the event index the driver's flag says the same. */
static void interrupts_by_flag(void **state)
{
	(void)state;
	bring_up(0);
	poke16(tx.avail, VIRTQ_AVAIL_NO_INTERRUPT);
	send("a");
	virtio_kick(&c.dev, TX);
	fake_pass(FAKE_HZ);
	assert_int_equal(interrupts[TX], 0);
	poke16(tx.avail, 0);
	send("a");
	virtio_kick(&c.dev, TX);
	fake_pass(FAKE_HZ);
	assert_int_equal(interrupts[TX], 1);
}

/* Claim: while the sink is full the buffer is held, and goes on where it stopped: once each byte, in order. */
static void back_pressure(void **state)
{
	u16 first, second;

	(void)state;
	line.room = 5;
	driver_want_interrupt(&tx, 0);
	first = send("0123456789");
	second = driver_add(&tx, DATA, 10, false);
	virtio_kick(&c.dev, TX);
	assert_int_equal(line.sent_len, 5);
	assert_true(virtio_console_tx_full(&c));
	assert_true(virtio_console_tx_pending(&c));
	assert_int_equal(driver_take(&tx), -1);
	virtio_kick(&c.dev, TX); /* nothing changes by asking */
	virtio_console_output(&c);
	assert_int_equal(line.sent_len, 5);
	line.room = 3;
	virtio_console_output(&c);
	assert_int_equal(line.sent_len, 8);
	assert_true(virtio_console_tx_full(&c));
	line.room = 4;
	virtio_console_output(&c);
	assert_int_equal(driver_take(&tx), first);
	fake_pass(FAKE_HZ / 40);
	assert_int_equal(interrupts[TX], 1);
	line.room = 100;
	virtio_console_output(&c);
	assert_int_equal(driver_take(&tx), second);
	assert_false(virtio_console_tx_full(&c));
	assert_false(virtio_console_tx_pending(&c));
	assert_memory_equal(line.sent, "01234567890123456789", 20);
}

/* Claim: a kick does a bounded piece of the work; the rest follows by itself, and no byte is lost. */
static void bounded(void **state)
{
	static const u32 huge = 0x20000;
	unsigned int rounds = 0;

	(void)state;
	for (u32 i = 0; i < huge; i++)
		ram_low[DATA + i] = (u8)(i * 7 + (i >> 8));
	driver_add(&tx, DATA, huge, false);
	virtio_kick(&c.dev, TX);
	assert_true(line.sent_len <= 8192);
	assert_false(virtio_console_tx_full(&c));
	while (line.sent_len < huge && rounds++ < 100)
		fake_pass_us(1);
	assert_int_equal(line.sent_len, huge);
	assert_memory_equal(line.sent, ram_low + DATA, huge);
	assert_int_equal(driver_take(&tx), 0);
}

/* Claim: buffers with nothing to send come back, too, and a ring full of them ends. */
static void nothing_to_send(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < SIZE; i++)
		driver_add(&tx, DATA, i % 2 ? 10 : 0, i % 2);
	virtio_kick(&c.dev, TX);
	assert_int_equal(driver_used_idx(&tx), SIZE);
	assert_int_equal(line.sent_len, 0);
}

static void give_rx(unsigned int n, u32 len)
{
	for (unsigned int i = 0; i < n; i++)
		driver_add(&rx, RAM_HIGH + 0x100 * i, len, true);
	virtio_kick(&c.dev, RX);
}

/* Claim: what is typed is in the driver's buffer at once, with one interrupt, and no kick is asked for. */
static void receives(void **state)
{
	(void)state;
	assert_false(virtio_console_listens(&c));
	give_rx(4, 100);
	assert_true(virtio_console_listens(&c));
	for (unsigned int i = 0; i < 4; i++) {
		driver_want_interrupt(&rx, rx.seen);
		type("abc");
		assert_int_equal(driver_take(&rx), i);
		assert_int_equal(rx.used_len, 3);
		assert_memory_equal(ram_high + 0x100 * i, "abc", 3);
		assert_int_equal(interrupts[RX], i + 1);
		/* As long as buffers wait, the driver need not tell of others. */
		if (i < 2)
			assert_true(driver_kick_event(&rx) != rx.idx);
	}
	assert_true(virtio_console_listens(&c));
	assert_int_equal(driver_kick_event(&rx), 4);
	type("lost?");
	give_rx(1, 100);
	assert_int_equal(driver_take(&rx), 4);
	assert_memory_equal(ram_high, "lost?", 5);
}

/* Claim: long input fills one buffer after the other; buffers without room come back empty. */
static void long_input(void **state)
{
	char text[1001] = "";
	size_t got = 0;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		text[i] = (char)('a' + i % 26);
	type(text);
	driver_add(&rx, DATA, 5, false);
	give_rx(SIZE - 1, 16);
	fake_pass_us(100);
	assert_int_equal(driver_take(&rx), 0);
	assert_int_equal(rx.used_len, 0);
	for (unsigned int i = 0; driver_take(&rx) >= 0; i++) {
		assert_memory_equal(ram_high + 0x100 * i, text + got, rx.used_len);
		got += rx.used_len;
	}
	assert_int_equal(got, 1000);
}

/* Claim: input that waited for the first output, because that decides where it goes, comes with it. */
static void input_after_first_output(void **state)
{
	(void)state;
	give_rx(1, 16);
	line.typed[0] = 'x';
	line.typed_len = 1;
	assert_int_equal(driver_take(&rx), -1);
	send("login: ");
	virtio_kick(&c.dev, TX);
	assert_int_equal(driver_take(&rx), 0);
}

/* Claim: a reset takes everything back, whatever was held, and the next driver starts afresh. */
static void resets(void **state)
{
	(void)state;
	give_rx(2, 16);
	line.room = 2;
	send("hello");
	virtio_kick(&c.dev, TX);
	assert_true(virtio_console_tx_full(&c));
	virtio_set_status(&c.dev, 0);
	assert_false(virtio_console_tx_full(&c));
	assert_false(virtio_console_listens(&c));
	assert_false(virtio_console_has_sent(&c));
	line.room = 100;
	virtio_console_output(&c);
	type("a");
	fake_pass(FAKE_HZ);
	assert_int_equal(line.sent_len, 2);
	assert_int_equal(line.typed_at, 0);
	assert_int_equal(interrupts[TX], 0);
	bring_up(VIRTIO_F_EVENT_IDX);
	send("again");
	virtio_kick(&c.dev, TX);
	assert_memory_equal(line.sent, "heagain", 7);
	line.room = 1000;
	for (unsigned int i = 0; i < 1000; i++) {
		bring_up(i & 1 ? VIRTIO_F_EVENT_IDX : 0);
		give_rx(1, 16);
		send("x");
		virtio_kick(&c.dev, TX);
	}
	assert_int_equal(line.sent_len, 1007);
}

/* Claim: a hostile ring ends the console's work, and a vCPU does not wait for it. */
static void broken(void **state)
{
	(void)state;
	line.room = 2;
	send("hello");
	virtio_kick(&c.dev, TX);
	assert_true(virtio_console_tx_full(&c));
	driver_avail(&rx, 1000);
	virtio_kick(&c.dev, RX);
	assert_int_equal(c.dev.status & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
	assert_int_equal(changes, 1);
	assert_false(virtio_console_tx_full(&c));
	assert_false(virtio_console_tx_pending(&c));
	line.room = 100;
	virtio_console_output(&c);
	type("abc");
	assert_int_equal(line.sent_len, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sends),
		TEST(no_needless_interrupts),
		TEST(interrupts_in_the_end),
		TEST(interrupts_by_flag),
		TEST(back_pressure),
		TEST(bounded),
		TEST(nothing_to_send),
		TEST(receives),
		TEST(long_input),
		TEST(input_after_first_output),
		TEST(resets),
		TEST(broken),
	};

	return cmocka_run_group_tests_name("virtio_console", tests, NULL, NULL);
}
