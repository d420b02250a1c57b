/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of lintel.conf: text in, struct config out. Pure C without firmware, so that it
 * compiles and is tested on the host. docs/configuration.md is the reference of the language.
 */
#ifndef BOOT_CONFIG_H
#define BOOT_CONFIG_H

#include "lib/types.h"
#include "vmm/config.h"

#define CONFIG_FILE     "lintel.conf"
#define CONFIG_MAX_SIZE KIB(256) /* bytes of a whole file */
#define CONFIG_MAX_LINE 4095     /* bytes of one line, without its end */

/*
 * Fill @cfg with what @text (of @size bytes, any bytes) says and with the defaults for the rest.
 * Every wrong line is printed as file, line, key, reason, expectation; in a [vm] it makes that VM
 * bad, in [lintel] it leaves the default. Returns cfg->errors, the number of wrong lines.
 */
unsigned int config_parse(struct config *cfg, const char *text, size_t size,
			  const struct config_names *names);

/*
 * Something that @vm's section asks for in @line cannot be had (a file that is not there):
 * print it in the same form, count it, make the VM bad.
 */
void config_vm_error(struct config *cfg, struct vm_config *vm, unsigned int line, const char *fmt,
		     ...) __format(4, 5);

/* The same for what has a flag @bad of its own. */
void config_error(struct config *cfg, bool *bad, unsigned int line, const char *fmt, ...)
	__format(4, 5);

#endif
