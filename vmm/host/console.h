/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operator's console: one line (a UART, the framebuffer), shared by the log and all VMs. One VM
 * has the focus: its output is shown, and gets what is typed. Ctrl-a is the operator's escape key,
 * looked for in what is typed and nowhere else: no guest can press it. Nor can a guest print what looks
 * like the log's lines (console_filter.h).
 *
 * Output never gets lost for the VM with the focus: it is refused while the line is busy, and the
 * VM's device waits. Of the others the last CONSOLE_BACKLOG bytes are kept for when they are looked
 * at. Input that a VM does not read stays on the line, and holds the sender back.
 *
 * May be called on any CPU. No hook is called with the console locked.
 */
#ifndef VMM_HOST_CONSOLE_H
#define VMM_HOST_CONSOLE_H

#include "lib/types.h"

#define CONSOLE_VMS     16
#define CONSOLE_BACKLOG 4096 /* bytes of output kept for a VM without the focus */
#define CONSOLE_LAST    600  /* bytes of it that are told when a VM ends badly */
#define CONSOLE_INPUT   1024 /* bytes of input that a VM has not read yet */
#define CONSOLE_RESERVE 2048 /* bytes of the line's room that guests leave to the log */

struct console_line {
	size_t (*room)(void *ctx);                                /* bytes that write would take */
	size_t (*write)(void *ctx, const void *data, size_t len); /* returns bytes taken */
	size_t (*read)(void *ctx, void *buf, size_t len);         /* returns bytes typed */
	void *ctx;
};

/* What the console asks of the VMM. Each may be NULL. */
struct console_hooks {
	void (*quit)(void);                    /* Ctrl-a x: end the machine */
	void (*list)(void);                    /* Ctrl-a l: say which VMs there are */
	void (*times)(void);                   /* Ctrl-a s: measure exits, or stop and print */
	void (*trace)(void);                   /* Ctrl-a t: trace events, or stop and print */
	void (*input_ready)(unsigned int vm);  /* console_guest_read has something for @vm */
	void (*output_ready)(unsigned int vm); /* a write of @vm that was refused can be repeated */
};

/* @line and @hooks are copied. No VM is there yet. */
void console_init(const struct console_line *line, const struct console_hooks *hooks);

/*
 * VM @vm (< CONSOLE_VMS) of @name, which must stay, starts. Until the focus has moved, the one with
 * the lowest number has it, whichever comes first.
 */
void console_vm_started(unsigned int vm, const char *name);

/*
 * It has ended: its input is thrown away, its backlog can still be looked at. If it had the focus,
 * the next VM that runs gets it. (A VM that reboots has not ended.)
 */
void console_vm_stopped(unsigned int vm);

/*
 * @vm has ended badly: tell its last lines in the log (CONSOLE_LAST bytes, in which nothing but text is left), unless
 * they have been shown because it has the focus.
 */
void console_tell_last(unsigned int vm);

/* Output of a VM's device; returns the bytes taken, 0 while the line is busy. */
size_t console_guest_write(unsigned int vm, const void *data, size_t len);

/* Input for a VM's device; returns the bytes given. */
size_t console_guest_read(unsigned int vm, void *buf, size_t len);

/* Move what waits, in both directions. To be called whenever the line may have moved on. */
void console_poll(void);

unsigned int console_focus(void);

/* Bytes that the line would take now. */
size_t console_room(void);

/* Bytes of @vm's output that were dropped from its backlog, in all. */
u64 console_dropped(unsigned int vm);

#endif
