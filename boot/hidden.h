/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included by the compiler before each source of the image (-include boot/hidden.h): everything
 * that a source names lies in the image itself. -fvisibility=hidden says that of definitions only,
 * and gcc would reach for a global offset table to take the address of a function of another file.
 */
#pragma GCC visibility push(hidden)
