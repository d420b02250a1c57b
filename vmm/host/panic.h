/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * We are wrong: everything that helps to find out why, then stop. The lines all begin with
 * "lintel: panic: ". lib/printk.h declares panic() itself.
 */
#ifndef VMM_HOST_PANIC_H
#define VMM_HOST_PANIC_H

#include "lib/types.h"
#include "vmm/host/trap.h"

/* panic() for what struck at @frame: its registers and its backtrace. */
void panic_at(const struct trap_frame *frame, const char *fmt, ...) __format(2, 3) __noreturn;

/*
 * @hook prints what its owner knows (the last VM exits, with panic_print) after the registers.
 * A fault in it only ends the dump.
 */
void panic_set_hook(void (*hook)(void));

/*
 * @stop makes all other CPUs stop, before anything is printed: what they might still do could harm
 * what is to be looked at, or the disks. Called once, on the CPU that panics.
 */
void panic_set_stop(void (*stop)(void));

/* Has a CPU panicked? */
bool panic_is_on(void);

/* One line of the dump, without '\n'. */
void panic_print(const char *fmt, ...) __format(1, 2);

#endif
