/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/string.h"
#include "tests/unit/host_support.h"
#include "vmm/host/console.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A line with a limited room, which the operator at the other end reads and types on. */
static struct {
	char shown[1 << 20];
	size_t shown_len;
	size_t room;
	char typed[4096];
	size_t typed_len, typed_at;
	bool log_cuts_in; /* the log takes room between a question for it and the write */
} line;

static struct {
	u32 input_ready, output_ready;
	unsigned int quits, lists, times, traces;
} seen;

static size_t line_room(void *ctx)
{
	(void)ctx;
	return line.room;
}

static size_t line_write(void *ctx, const void *data, size_t len)
{
	(void)ctx;
	if (line.log_cuts_in && line.room)
		line.room -= (size_t)rand() % line.room;
	len = MIN(len, line.room);
	assert_true(line.shown_len + len <= sizeof(line.shown));
	memcpy(line.shown + line.shown_len, data, len);
	line.shown_len += len;
	line.room -= len;
	return len;
}

static size_t line_read(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	len = MIN(len, line.typed_len - line.typed_at);
	memcpy(buf, line.typed + line.typed_at, len);
	line.typed_at += len;
	return len;
}

static void hook_quit(void)
{
	seen.quits++;
}

static void hook_list(void)
{
	seen.lists++;
}

static void hook_times(void)
{
	seen.times++;
	(void)console_room();
}

static void hook_trace(void)
{
	seen.traces++;
}

/* Hooks may call the console again: it is not locked. */
static void hook_input_ready(unsigned int vm)
{
	seen.input_ready |= 1u << vm;
	(void)console_guest_read(vm, (u8[1]){ 0 }, 0);
}

static void hook_output_ready(unsigned int vm)
{
	seen.output_ready |= 1u << vm;
	(void)console_guest_write(vm, "", 0);
}

static int setup(void **state)
{
	static const struct console_line fake = { line_room, line_write, line_read, NULL };
	static const struct console_hooks hooks = {
		hook_quit, hook_list, hook_times, hook_trace, hook_input_ready, hook_output_ready
	};

	(void)state;
	memset(&line, 0, sizeof(line));
	memset(&seen, 0, sizeof(seen));
	line.room = 16384;
	console_init(&fake, &hooks);
	console_vm_started(0, "one");
	console_vm_started(1, "two");
	console_vm_started(3, "four");
	capture_start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	capture_stop();
	return 0;
}

static void type_bytes(const char *keys, size_t len)
{
	memcpy(line.typed, keys, len);
	line.typed_len = len;
	line.typed_at = 0;
	console_poll();
}

static void type(const char *keys)
{
	type_bytes(keys, strlen(keys));
}

static void say(unsigned int vm, const char *text)
{
	assert_int_equal(console_guest_write(vm, text, strlen(text)), strlen(text));
}

static void expect_shown(const char *text)
{
	assert_int_equal(line.shown_len, strlen(text));
	assert_memory_equal(line.shown, text, line.shown_len);
	line.shown_len = 0;
}

static void expect_input(unsigned int vm, const char *text)
{
	char buf[256];
	size_t len = console_guest_read(vm, buf, sizeof(buf));

	assert_int_equal(len, strlen(text));
	assert_memory_equal(buf, text, len);
}

/* Output and input are those of the VM with the focus, which is the first one started. */
static void test_focus(void **state)
{
	(void)state;
	say(0, "hello\n");
	say(1, "hidden\n");
	expect_shown("hello\n");
	type("ls\r");
	assert_int_equal(seen.input_ready, 1);
	expect_input(0, "ls\r");
	expect_input(1, "");
	type("\x01"
	     "2ps\r");
	assert_int_equal(console_focus(), 1);
	expect_shown("hidden\n");
	expect_input(0, "");
	expect_input(1, "ps\r");
	assert_string_equal(capture_text(), "lintel: console of vm two\n");
}

/* Ctrl-a n goes round the VMs there are; a number without a VM changes nothing. */
static void test_switch_keys(void **state)
{
	(void)state;
	type("\x01n");
	assert_int_equal(console_focus(), 1);
	type("\x01n");
	assert_int_equal(console_focus(), 3);
	type("\x01n");
	assert_int_equal(console_focus(), 0);
	type("\x01"
	     "4\x01"
	     "3\x01"
	     "9");
	assert_int_equal(console_focus(), 3);
	assert_non_null(strstr(capture_text(), "there is no vm 3\n"));
}

/* The other keys: quit, list, times, trace, help, a literal Ctrl-a; what means nothing is swallowed. */
static void test_escape_keys(void **state)
{
	(void)state;
	type("x\x01");
	type("x");
	assert_int_equal(seen.quits, 1);
	type("\x01l\x01?\x01\x7f");
	assert_int_equal(seen.lists, 1);
	type("\x01s\x01t");
	type("\x01t");
	assert_int_equal(seen.times, 1);
	assert_int_equal(seen.traces, 2);
	type("\x01hb\x01"
	     "a\x01"
	     "ac");
	assert_non_null(strstr(capture_text(), "lintel: Ctrl-a x "));
	expect_input(0, "xb\x01\x01"
			"c");
	type_bytes("\x01\0d\0", 4);
	assert_int_equal(console_guest_read(0, (char[8]){ 0 }, 8), 2);
}

/* Ctrl-a in what a guest says is only output. */
static void test_guest_cannot_press(void **state)
{
	(void)state;
	say(0, "\x01x\x01n\x01l\x01s\x01t");
	say(1, "\x01x");
	type("x");
	assert_int_equal(seen.quits + seen.lists + seen.times + seen.traces, 0);
	assert_int_equal(console_focus(), 0);
	type("\x01");
	say(0, "x");
	assert_int_equal(seen.quits, 0);
}

/* A hidden VM never waits; the last bytes are kept and the others counted, at every length. */
static void test_backlog(void **state)
{
	static char text[3 * CONSOLE_BACKLOG];
	size_t total = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)rand();
	while (total < sizeof(text)) {
		size_t len = (size_t)rand() % (2 * CONSOLE_BACKLOG);

		len = MIN(len, sizeof(text) - total);
		assert_int_equal(console_guest_write(1, text + total, len), len);
		total += len;
	}
	assert_int_equal(console_dropped(1), 2 * CONSOLE_BACKLOG);
	type("\x01"
	     "2");
	assert_int_equal(line.shown_len, CONSOLE_BACKLOG);
	assert_memory_equal(line.shown, text + 2 * CONSOLE_BACKLOG, CONSOLE_BACKLOG);
	assert_non_null(strstr(capture_text(), "lintel: 8192 earlier bytes were dropped\n"));
}

/* A VM that was refused is told as soon as it can write, once. */
static void test_refused(void **state)
{
	(void)state;
	line.room = CONSOLE_RESERVE + 3;
	assert_int_equal(console_guest_write(0, "hello", 5), 3);
	assert_int_equal(console_guest_write(0, "lo", 2), 0);
	assert_int_equal(line.room, CONSOLE_RESERVE);
	console_poll();
	assert_int_equal(seen.output_ready, 0);
	line.room++;
	console_poll();
	assert_int_equal(seen.output_ready, 1);
	seen.output_ready = 0;
	console_poll();
	assert_int_equal(seen.output_ready, 0);
}

/* Losing the focus ends the wait as well. */
static void test_refused_hidden(void **state)
{
	(void)state;
	line.room = 0;
	assert_int_equal(console_guest_write(0, "hello", 5), 0);
	type("\x01n");
	assert_int_equal(seen.output_ready, 1);
	assert_int_equal(console_guest_write(0, "hello", 5), 5);
}

/* A VM that waits for output_ready against a slow line, with the log cutting in: not a byte is lost. */
static void test_back_pressure(void **state)
{
	static char text[200000];
	static char all[sizeof(text) + CONSOLE_BACKLOG];
	size_t backlog = 1000, done = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)rand();
	line.log_cuts_in = true;
	line.room = 0;
	console_guest_write(1, text, backlog);
	type("\x01"
	     "2");
	seen.output_ready = 2;
	while (done < sizeof(text)) {
		if (seen.output_ready) {
			size_t len = 1 + (size_t)rand() % 3000;
			size_t taken;

			len = MIN(len, sizeof(text) - done);
			taken = console_guest_write(1, text + done, len);
			seen.output_ready = taken == len ? 2 : 0;
			done += taken;
		}
		line.room += (size_t)rand() % 1000;
		if (rand() % 2)
			console_poll();
	}
	memcpy(all, text, backlog);
	memcpy(all + backlog, text, sizeof(text));
	assert_int_equal(line.shown_len, backlog + sizeof(text));
	assert_memory_equal(line.shown, all, line.shown_len);
}

/* A guest that reads slowly gets all that was typed; the rest waits on the line. */
static void test_input_back_pressure(void **state)
{
	size_t count = 0;
	u8 byte;

	(void)state;
	for (size_t i = 0; i < sizeof(line.typed); i++)
		line.typed[i] = (char)(2 + i % 251);
	line.typed_len = sizeof(line.typed);
	console_poll();
	assert_int_equal(line.typed_at, CONSOLE_INPUT);
	while (console_guest_read(0, &byte, 1)) {
		assert_int_equal(byte, 2 + count % 251);
		count++;
		if (rand() % 8 == 0)
			console_poll();
		if (count > sizeof(line.typed) - CONSOLE_INPUT)
			console_poll();
	}
	assert_int_equal(count, sizeof(line.typed));
}

/* A VM that ends gives the focus away, holds no input back, and can still be looked at. */
static void test_stopped(void **state)
{
	(void)state;
	say(0, "bye\n");
	type("typed too late");
	console_vm_stopped(0);
	expect_input(0, "");
	assert_int_equal(console_focus(), 1);
	console_vm_stopped(3);
	say(3, "last words\n");
	console_vm_stopped(1);
	assert_int_equal(console_focus(), 1);
	for (int i = 0; i < 2 * CONSOLE_INPUT; i++)
		type("x");
	assert_int_equal(line.typed_at, 1);
	line.shown_len = 0;
	type("\x01"
	     "4");
	expect_shown("last words\n");
	assert_non_null(strstr(capture_text(), "console of vm four (stopped)\n"));
	type("\x01x");
	assert_int_equal(seen.quits, 1);
}

/* The end of what a VM has said that nobody looked at goes to the log, line by line, as text; not what was shown. */
static void test_last_words(void **state)
{
	(void)state;
	say(0, "seen already\n");
	console_tell_last(0);
	assert_string_equal(capture_text(), "");
	for (unsigned int i = 0; i < 2 * CONSOLE_BACKLOG; i++)
		say(1, "x");
	say(1, "\nlintel: vm one: \x1b[2Jforged\r\n\nthe end");
	console_tell_last(1);
	assert_non_null(strstr(capture_text(), "vm two said: lintel: vm one: .[2Jforged.\n"));
	assert_non_null(strstr(capture_text(), "vm two said: the end\n"));
	assert_null(strchr(capture_text(), '\x1b'));
	assert_true(strlen(capture_text()) < CONSOLE_LAST + 200);
	console_tell_last(2); /* it has said nothing */
	assert_null(strstr(capture_text(), "vm three"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_focus, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switch_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escape_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guest_cannot_press, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_hidden, setup, teardown),
		cmocka_unit_test_setup_teardown(test_back_pressure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_input_back_pressure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_words, setup, teardown),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
