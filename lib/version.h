/* SPDX-License-Identifier: BSD-2-Clause */
/* What this is. */
#ifndef LIB_VERSION_H
#define LIB_VERSION_H

#define LINTEL_VERSION "0.1"

#endif
