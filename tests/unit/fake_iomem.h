/* SPDX-License-Identifier: BSD-2-Clause */
/* Device registers for host tests: plain memory, unless a test has a device behind them. */
#ifndef TESTS_UNIT_FAKE_IOMEM_H
#define TESTS_UNIT_FAKE_IOMEM_H

#include "drivers/iomem.h"

struct fake_iomem {
	u64 (*read)(const void *at, unsigned int size); /* NULL: what is in memory */
	void (*write)(void *at, u64 value, unsigned int size);
};
extern struct fake_iomem fake_iomem;

#endif
