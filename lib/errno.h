/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Negative error numbers for failures of set-up, with Linux's names and values.
 * (What a guest does wrong is an outcome, what we do wrong is a panic: neither is an errno.)
 */
#ifndef LIB_ERRNO_H
#define LIB_ERRNO_H

#if __STDC_HOSTED__
#	include <errno.h>
#else
#	define ENOENT  2
#	define EIO     5
#	define E2BIG   7
#	define ENOEXEC 8
#	define EAGAIN  11
#	define ENOMEM  12
#	define EFAULT  14
#	define EBUSY   16
#	define EEXIST  17
#	define ENODEV  19
#	define EINVAL  22
#	define ENOSPC  28
#	define ERANGE  34
#	define ENOTSUP 95
#endif

#endif
