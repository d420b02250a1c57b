/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/image_error.h"
#include "lib/print.h"

int image_fail(struct image_error *err, int error, const char *key, const char *fmt, ...)
{
	va_list args;

	err->key = key;
	va_start(args, fmt);
	vscnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return error;
}
