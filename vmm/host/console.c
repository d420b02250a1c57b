/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/console.h"
#include "lib/byte_ring.h"
#include "lib/output_lock.h"
#include "lib/printk.h"
#include "vmm/host/console_filter.h"

#define ESCAPE_KEY 0x01 /* Ctrl-a */

struct console_vm {
	const char *name; /* NULL: never started */
	bool running;
	bool refused; /* a write was not taken in full, and the VM waits for output_ready */
	struct byte_ring backlog, input;
	u8 backlog_data[CONSOLE_BACKLOG];
	u8 input_data[CONSOLE_INPUT];
	u64 dropped, dropped_told;
	struct console_filter filter; /* of what has been shown */
};

static struct {
	struct output_lock lock;
	struct console_line line;
	struct console_hooks hooks;
	struct console_vm vm[CONSOLE_VMS];
	unsigned int focus;
	bool moved;   /* the focus has, by the operator or because a VM ended */
	bool escaped; /* the last key was the escape key */
} console;

/* Hooks to be called once the console is unlocked: they may well call it again. */
struct todo {
	u32 input_ready, output_ready; /* bits of VMs */
	bool quit, list, times, trace;
};

static void call_for_each(u32 vms, void (*hook)(unsigned int vm))
{
	for (unsigned int vm = 0; vm < CONSOLE_VMS; vm++) {
		if (hook && vms & BIT(vm))
			hook(vm);
	}
}

static void unlock_and_do(const struct todo *todo)
{
	struct console_hooks hooks = console.hooks;

	output_unlock(&console.lock);
	call_for_each(todo->input_ready, hooks.input_ready);
	call_for_each(todo->output_ready, hooks.output_ready);
	if (todo->list && hooks.list)
		hooks.list();
	if (todo->times && hooks.times)
		hooks.times();
	if (todo->trace && hooks.trace)
		hooks.trace();
	if (todo->quit && hooks.quit)
		hooks.quit();
}

/* Output */

/* A piece of a guest's output, to where the filter has changed it. The line may take a part of it. */
static size_t write_piece(struct console_vm *vm, const u8 *data, size_t len)
{
	struct console_filter filter = vm->filter;
	u8 piece[128];
	size_t taken;

	len = MIN(len, sizeof(piece));
	console_filter(&filter, piece, data, len);
	taken = console.line.write(console.line.ctx, piece, len);
	if (taken < len) /* where the filter is after what was taken */
		console_filter(&vm->filter, piece, data, taken);
	else
		vm->filter = filter;
	return taken;
}

/* What the line takes of it, the log's reserve kept free. */
static size_t line_write(struct console_vm *vm, const u8 *data, size_t len)
{
	size_t room = console.line.room(console.line.ctx), done = 0, n;

	if (room <= CONSOLE_RESERVE)
		return 0;
	len = MIN(len, room - CONSOLE_RESERVE);
	do {
		n = write_piece(vm, data + done, len - done);
		done += n;
	} while (n && done < len);
	return done;
}

/* Show what the VM said before; true when all of it is out. */
static bool drain_backlog(struct console_vm *vm)
{
	const u8 *span;
	u32 len;

	while ((len = byte_ring_peek(&vm->backlog, &span)) != 0) {
		u32 taken = (u32)line_write(vm, span, len);

		if (!taken)
			return false;
		byte_ring_drop(&vm->backlog, taken);
	}
	return true;
}

static void keep(struct console_vm *vm, const u8 *data, size_t len)
{
	u32 room = byte_ring_room(&vm->backlog);
	u64 excess = len > room ? len - room : 0;
	u32 old = (u32)MIN(excess, byte_ring_used(&vm->backlog));

	byte_ring_drop(&vm->backlog, old);
	byte_ring_put(&vm->backlog, data + (excess - old), len - (excess - old));
	vm->dropped += excess;
}

static size_t show(struct console_vm *vm, const u8 *data, size_t len)
{
	size_t taken = 0;

	if (drain_backlog(vm))
		taken = line_write(vm, data, len);
	vm->refused = taken < len;
	return taken;
}

/* A VM that waits can write again when the line has room, or when it has lost the focus. */
static void retry_refused(unsigned int id, struct todo *todo)
{
	struct console_vm *vm = &console.vm[id];
	bool shown = id == console.focus;

	if (vm->refused && (!shown || console.line.room(console.line.ctx) > CONSOLE_RESERVE)) {
		vm->refused = false;
		todo->output_ready |= (u32)BIT(id);
	}
}

static void set_focus(unsigned int id, struct todo *todo)
{
	unsigned int last = console.focus;
	struct console_vm *vm = &console.vm[id];

	console.focus = id;
	retry_refused(last, todo);
	pr_info("console of vm %s%s\n", vm->name, vm->running ? "" : " (stopped)");
	if (vm->dropped != vm->dropped_told)
		pr_info("%llu earlier bytes were dropped\n",
			(unsigned long long)(vm->dropped - vm->dropped_told));
	vm->dropped_told = vm->dropped;
	drain_backlog(vm);
}

static void move_focus(unsigned int id, struct todo *todo)
{
	console.moved = true;
	set_focus(id, todo);
}

/* Keys */

static void key_quit(u8 key, struct todo *todo)
{
	(void)key;
	todo->quit = true;
}

static void key_list(u8 key, struct todo *todo)
{
	(void)key;
	todo->list = true;
}

static void key_times(u8 key, struct todo *todo)
{
	(void)key;
	todo->times = true;
}

static void key_trace(u8 key, struct todo *todo)
{
	(void)key;
	todo->trace = true;
}

static void key_literal(u8 key, struct todo *todo)
{
	struct console_vm *vm = &console.vm[console.focus];

	(void)key;
	if (vm->running && byte_ring_put(&vm->input, (u8[]){ ESCAPE_KEY }, 1))
		todo->input_ready |= (u32)BIT(console.focus);
}

static void key_next(u8 key, struct todo *todo)
{
	(void)key;
	for (unsigned int i = 1; i < CONSOLE_VMS; i++) {
		unsigned int id = (console.focus + i) % CONSOLE_VMS;

		if (console.vm[id].name) {
			move_focus(id, todo);
			return;
		}
	}
}

static void key_number(u8 key, struct todo *todo)
{
	unsigned int id = key - (unsigned int)'1';

	if (id < CONSOLE_VMS && console.vm[id].name)
		move_focus(id, todo);
	else
		pr_info("there is no vm %c\n", key);
}

static void key_help(u8 key, struct todo *todo);

static const struct {
	char first, last;
	void (*press)(u8 key, struct todo *todo);
	const char *help;
} keys[] = {
	{ 'h', 'h', key_help, "Ctrl-a h    this help" },
	{ 'x', 'x', key_quit, "Ctrl-a x    end Lintel and the machine" },
	{ 'a', 'a', key_literal, "Ctrl-a a    send Ctrl-a" },
	{ 'l', 'l', key_list, "Ctrl-a l    list the VMs" },
	{ 'n', 'n', key_next, "Ctrl-a n    console of the next VM" },
	{ 's', 's', key_times, "Ctrl-a s    measure exits; again: stop, and print the times" },
	{ 't', 't', key_trace, "Ctrl-a t    trace events; again: stop, and print the trace" },
	{ '1', '9', key_number, "Ctrl-a 1-9  console of that VM" },
};

static void key_help(u8 key, struct todo *todo)
{
	(void)key;
	(void)todo;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		pr_info("%s\n", keys[i].help);
}

static void press(u8 key, struct todo *todo)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (key >= (u8)keys[i].first && key <= (u8)keys[i].last)
			keys[i].press(key, todo);
	}
}

static void typed(u8 byte, struct todo *todo)
{
	struct console_vm *vm = &console.vm[console.focus];

	if (console.escaped) {
		console.escaped = false;
		press(byte, todo);
	} else if (byte == ESCAPE_KEY) {
		console.escaped = true;
	} else if (vm->running && byte_ring_put(&vm->input, &byte, 1)) {
		todo->input_ready |= (u32)BIT(console.focus);
	}
}

/* Not a byte is taken off the line that there might be no room for. */
static void read_line(struct todo *todo)
{
	u8 byte;

	while (byte_ring_room(&console.vm[console.focus].input) &&
	       console.line.read(console.line.ctx, &byte, 1))
		typed(byte, todo);
}

/* What others call */

void console_init(const struct console_line *line, const struct console_hooks *hooks)
{
	console.line = *line;
	console.hooks = *hooks;
	console.focus = 0;
	console.moved = false;
	console.escaped = false;
	for (unsigned int i = 0; i < CONSOLE_VMS; i++) {
		struct console_vm *vm = &console.vm[i];

		vm->name = NULL;
		vm->running = false;
		vm->refused = false;
		vm->backlog = BYTE_RING(vm->backlog_data);
		vm->input = BYTE_RING(vm->input_data);
		vm->dropped = 0;
		vm->dropped_told = 0;
		vm->filter = (struct console_filter){ 0 };
	}
}

static void drop_input(struct console_vm *vm)
{
	byte_ring_drop(&vm->input, byte_ring_used(&vm->input));
}

void console_vm_started(unsigned int id, const char *name)
{
	struct console_vm *vm = &console.vm[id];
	struct todo todo = { 0 };

	output_lock(&console.lock);
	vm->name = name;
	vm->running = true;
	vm->refused = false;
	drop_input(vm);
	if (!console.vm[console.focus].name)
		console.focus = id;
	else if (!console.moved && id < console.focus)
		set_focus(id, &todo);
	unlock_and_do(&todo);
}

void console_vm_stopped(unsigned int id)
{
	struct console_vm *vm = &console.vm[id];
	struct todo todo = { 0 };

	output_lock(&console.lock);
	vm->running = false;
	vm->refused = false;
	drop_input(vm);
	for (unsigned int i = 1; id == console.focus && i < CONSOLE_VMS; i++) {
		unsigned int next = (id + i) % CONSOLE_VMS;

		if (console.vm[next].running)
			move_focus(next, &todo);
	}
	unlock_and_do(&todo);
}

/* The end of @vm's backlog as text; what is no text is a dot. Returns its length. */
static size_t last_text(const struct console_vm *vm, char *text, u32 len)
{
	const struct byte_ring *ring = &vm->backlog;

	len = MIN(len, byte_ring_used(ring));
	for (u32 i = 0; i < len; i++) {
		char c = (char)ring->data[(ring->head - len + i) & (ring->size - 1)];

		text[i] = (c >= ' ' && c <= '~') || c == '\n' ? c : '.';
	}
	text[len] = '\0';
	return len;
}

void console_tell_last(unsigned int id)
{
	const struct console_vm *vm = &console.vm[id];
	char text[CONSOLE_LAST + 1];
	size_t len = 0;

	output_lock(&console.lock);
	if (id != console.focus)
		len = last_text(vm, text, CONSOLE_LAST);
	output_unlock(&console.lock);
	for (char *line = text, *end; line < text + len; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			end = text + len;
		*end = '\0';
		if (*line && strcmp(line, "."))
			pr_info("vm %s said: %s\n", vm->name, line);
	}
}

size_t console_guest_write(unsigned int id, const void *data, size_t len)
{
	struct console_vm *vm = &console.vm[id];
	size_t taken = len;

	output_lock(&console.lock);
	if (id == console.focus)
		taken = show(vm, data, len);
	else
		keep(vm, data, len);
	output_unlock(&console.lock);
	return taken;
}

size_t console_guest_read(unsigned int id, void *buf, size_t len)
{
	size_t count;

	output_lock(&console.lock);
	count = byte_ring_get(&console.vm[id].input, buf, len);
	output_unlock(&console.lock);
	return count;
}

void console_poll(void)
{
	struct todo todo = { 0 };

	output_lock(&console.lock);
	if (drain_backlog(&console.vm[console.focus]))
		retry_refused(console.focus, &todo);
	read_line(&todo);
	unlock_and_do(&todo);
}

unsigned int console_focus(void)
{
	return console.focus;
}

size_t console_room(void)
{
	return console.line.room(console.line.ctx);
}

u64 console_dropped(unsigned int id)
{
	return console.vm[id].dropped;
}
