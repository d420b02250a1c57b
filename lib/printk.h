/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lintel's own messages. Every line begins with "lintel: "; a message is one or more whole lines
 * and ends in '\n'. Sinks are where they go: a UART, the framebuffer, stderr in host tests.
 */
#ifndef LIB_PRINTK_H
#define LIB_PRINTK_H

#include <stdarg.h>
#include "lib/types.h"

enum log_level { LOG_PANIC /* shown by every sink */, LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct printk_sink {
	/* Write @len bytes of text; must not block for ever, must not call printk. */
	void (*write)(struct printk_sink *sink, const char *text, size_t len);
	enum log_level level; /* the least urgent level that this sink shows */
	struct printk_sink *next;
};

/* @sink stays the caller's and must live as long as it is registered. */
void printk_add_sink(struct printk_sink *sink);
void printk_remove_sink(struct printk_sink *sink);

/* Messages longer than 1 KiB are cut. Usable at any time, also from an exception handler. */
void printk(enum log_level level, const char *fmt, ...) __format(2, 3);

#define pr_err(...)   printk(LOG_ERR, __VA_ARGS__)
#define pr_warn(...)  printk(LOG_WARN, __VA_ARGS__)
#define pr_info(...)  printk(LOG_INFO, __VA_ARGS__)
#define pr_debug(...) printk(LOG_DEBUG, __VA_ARGS__)

/*
 * We are wrong: print, dump, stop. The dump belongs to the VMM (vmm/host/panic.c); lib only declares it
 * so that every folder can say it. A guest can never make this happen.
 */
void panic(const char *fmt, ...) __format(1, 2) __noreturn;

#endif
