/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_iomem.h"

#include <string.h>

struct fake_iomem fake_iomem;

u64 iomem_read(const void *at, unsigned int size)
{
	u64 value = 0;

	if (fake_iomem.read)
		return fake_iomem.read(at, size);
	memcpy(&value, at, size);
	return value;
}

void iomem_write(void *at, u64 value, unsigned int size)
{
	if (fake_iomem.write)
		fake_iomem.write(at, value, size);
	else
		memcpy(at, &value, size);
}
