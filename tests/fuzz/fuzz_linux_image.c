/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any file as a guest's kernel: loaded within its RAM, or refused with a reason. The first byte
 * chooses whether the rest is the file itself, or what is changed in a good bzImage or vmlinux.
 */
#include "tests/fuzz/fuzz_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bzimage bzimage;
	struct elf64 elf;

	if (!size)
		return 0;
	switch (data[0] % 3) {
	case 0: fuzz_load(data + 1, size - 1); break;
	case 1:
		bzimage_init(&bzimage);
		fuzz_patch(bzimage.bytes + LINUX_HDR_OFFSET, LINUX_HDR_END - LINUX_HDR_OFFSET,
			   data + 1, size - 1);
		fuzz_load(bzimage.bytes, sizeof(bzimage));
		break;
	case 2:
		elf64_init(&elf);
		fuzz_patch(elf.bytes, ELF64_PHDR(4), data + 1, size - 1);
		fuzz_load(elf.bytes, sizeof(elf));
		break;
	}
	return 0;
}
