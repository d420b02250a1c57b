/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/crc32.h"

#define POLYNOMIAL 0xedb88320u /* bits in reverse */

/* Of some ten KiB at start: no table is worth it. */
u32 crc32(u32 crc, const void *data, size_t len)
{
	const u8 *byte = data;

	crc = ~crc;
	while (len--) {
		crc ^= *byte++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	}
	return ~crc;
}
