/* SPDX-License-Identifier: BSD-2-Clause */
/* Pieces of a file that go to places in guest memory. */
#ifndef VMM_LOAD_GUEST_LOAD_H
#define VMM_LOAD_GUEST_LOAD_H

#include "lib/guest_mem.h"
#include "lib/types.h"
#include "vmm/load/image_error.h"

struct load_segment {
	u64 offset; /* in the file, bytes */
	u64 filesz; /* bytes copied; offset + filesz lies within the file */
	gpa_t gpa;
	u64 memsz; /* bytes in memory, >= filesz; the rest is cleared. gpa + memsz does not wrap */
};

/* The end of the RAM that goes on without a gap from 1 MiB; at most 4 GiB. */
gpa_t guest_low_ram_end(const struct guest_mem *mem);

/* May [gpa, gpa + size) hold an image: RAM, above the first MiB and below 4 GiB? */
int guest_check_place(const struct guest_mem *mem, gpa_t gpa, u64 size,
		      struct image_error *err) __must_check;

/* Copy and clear; every segment must have passed guest_check_place. */
int guest_load_segments(const struct guest_mem *mem, const u8 *file,
			const struct load_segment *segment, unsigned int segments,
			struct image_error *err) __must_check;

#endif
