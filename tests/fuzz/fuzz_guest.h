/* SPDX-License-Identifier: BSD-2-Clause */
/* Load a file of the fuzzer's as the kernel of a small guest. */
#ifndef TESTS_FUZZ_FUZZ_GUEST_H
#define TESTS_FUZZ_FUZZ_GUEST_H

#include "tests/unit/sample_images.h"
#include "vmm/load/guest_image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FUZZ_RAM MIB(24)

/* RAM between pages that cannot be accessed, so that a write outside of it is seen. */
static inline u8 *fuzz_ram(void)
{
	u8 *all = mmap(NULL, FUZZ_RAM + 2 * MIB(1), PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (all == MAP_FAILED || mprotect(all + MIB(1), FUZZ_RAM, PROT_READ | PROT_WRITE))
		abort();
	return all + MIB(1);
}

/* Take the fuzzer's bytes by threes as "this place gets this value". */
static inline void fuzz_patch(u8 *at, u32 region, const u8 *data, size_t size)
{
	for (; size >= 3; data += 3, size -= 3)
		at[(data[0] | data[1] << 8) % region] = data[2];
}

static inline void fuzz_load(const u8 *file, u64 size)
{
	static u8 *ram;
	static const u8 initrd[100];
	struct guest_mem mem = { 0 };
	struct guest_files files = {
		.kernel = { file, size },
		.initrd = { initrd, sizeof(initrd) },
		.cmdline = "fuzz",
	};
	struct image_error err = { 0 };
	struct guest_entry entry;
	u8 *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
	int error;

	if (!exact)
		abort();
	memcpy(exact, file, size);
	if (!ram)
		ram = fuzz_ram();
	if (guest_mem_add(&mem, 0, FUZZ_RAM, ram))
		abort();
	error = guest_image_load(&mem, &files, &entry, &err);
	free(exact);
	if (error && (!err.key || !err.text[0]))
		abort();
	if (!error && !guest_mem_contains(&mem, entry.rip, 1))
		abort();
}

#endif
