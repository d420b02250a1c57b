/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices whose ports are byte-wide registers: a wider access is that many byte accesses, the
 * lowest port first, as the ISA bus makes of it.
 */
#ifndef VMM_PC_PIO_BYTES_H
#define VMM_PC_PIO_BYTES_H

#include "lib/types.h"

static inline u32 pio_read_bytes(u8 (*read)(void *dev, u16 off), void *dev, u16 off, u8 size)
{
	u32 value = 0;

	for (u8 i = 0; i < size && i < 4; i++)
		value |= (u32)read(dev, (u16)(off + i)) << 8 * i;
	return value;
}

static inline void pio_write_bytes(void (*write)(void *dev, u16 off, u8 value), void *dev, u16 off,
				   u8 size, u32 value)
{
	for (u8 i = 0; i < size && i < 4; i++)
		write(dev, (u16)(off + i), (u8)(value >> 8 * i));
}

#endif
