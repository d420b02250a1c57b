/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC-32 of IEEE 802.3, as GPTs have it. */
#ifndef LIB_CRC32_H
#define LIB_CRC32_H

#include "lib/types.h"

/* Of @len bytes that follow those whose CRC is @crc; 0: none. */
u32 crc32(u32 crc, const void *data, size_t len);

#endif
