/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a guest image cannot be started, for the place that knows file and line of the setting. */
#ifndef VMM_LOAD_IMAGE_ERROR_H
#define VMM_LOAD_IMAGE_ERROR_H

#include "lib/types.h"

struct image_error {
	const char *key; /* the setting at fault: "kernel", "initrd", "cmdline" or "memory" */
	char text[192];  /* what is wrong with it; no newline */
};

/* Fill @err and return @error (a -errno), so that a check is one statement: return image_fail(...) */
int image_fail(struct image_error *err, int error, const char *key, const char *fmt, ...)
	__format(4, 5);

#endif
