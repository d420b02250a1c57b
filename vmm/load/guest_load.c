/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/guest_load.h"
#include "lib/errno.h"

gpa_t guest_low_ram_end(const struct guest_mem *mem)
{
	gpa_t end = MIB(1);

	for (unsigned int i = 0; i < mem->slots; i++) {
		const struct guest_mem_slot *s = &mem->slot[i];

		if (s->gpa <= end && s->gpa + s->size > end)
			end = s->gpa + s->size;
	}
	return MIN(end, GIB(4));
}

int guest_check_place(const struct guest_mem *mem, gpa_t gpa, u64 size, struct image_error *err)
{
	const gpa_t end = guest_low_ram_end(mem);

	if (gpa < MIB(1))
		return image_fail(err, -ENOEXEC, "kernel",
				  "loads at %#lx, below 1 MiB, where boot data and ACPI tables lie",
				  gpa);
	if (gpa > end || size > end - gpa)
		return image_fail(err, -ENOMEM, "memory",
				  "the kernel needs %lu bytes at %#lx, that is %lu MiB of memory; "
				  "the VM has %lu MiB (%lu MiB below the PCI hole)",
				  size, gpa, (gpa + size + MIB(1) - 1) >> 20,
				  guest_mem_size(mem) >> 20, end >> 20);
	return 0;
}

int guest_load_segments(const struct guest_mem *mem, const u8 *file,
			const struct load_segment *segment, unsigned int segments,
			struct image_error *err)
{
	for (unsigned int i = 0; i < segments; i++) {
		const struct load_segment *s = &segment[i];

		if (!guest_write(mem, s->gpa, file + s->offset, s->filesz) ||
		    !guest_clear(mem, s->gpa + s->filesz, s->memsz - s->filesz))
			return image_fail(err, -ENOMEM, "memory", "no RAM at %#lx for the kernel",
					  s->gpa);
	}
	return 0;
}
