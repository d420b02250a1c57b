/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/e820.h"
#include "vmm/load/lowmem.h"

unsigned int e820_build(const struct guest_mem *mem, struct e820_entry map[E820_MAX])
{
	static const struct e820_entry first_mib[] = {
		{ 0, LOWMEM_USABLE_END, E820_RAM },
		{ LOWMEM_USABLE_END, LOWMEM_EBDA_END - LOWMEM_USABLE_END, E820_RESERVED },
		{ LOWMEM_ROM, LOWMEM_END - LOWMEM_ROM, E820_RESERVED },
	};
	unsigned int n = 0;

	while (n < ARRAY_SIZE(first_mib)) {
		map[n] = first_mib[n];
		n++;
	}
	for (unsigned int i = 0; i < mem->slots; i++) {
		const gpa_t start = MAX(mem->slot[i].gpa, (gpa_t)LOWMEM_END);
		const gpa_t end = mem->slot[i].gpa + mem->slot[i].size;

		if (start < end)
			map[n++] = (struct e820_entry){ start, end - start, E820_RAM };
	}
	return n;
}
