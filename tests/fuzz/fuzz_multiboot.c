/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot images with anything changed in the header, or in the ELF around it: loaded within the
 * guest's RAM, or refused with a reason. The first byte chooses the kind.
 */
#include "tests/fuzz/fuzz_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mb_file file;

	if (!size)
		return 0;
	switch (data[0] % 3) {
	case 0:
		mb_elf_init(&file);
		fuzz_patch(file.bytes, ELF32_PHDR(4), data + 1, size - 1);
		break;
	case 1: /* the header itself, made valid again by its checksum */
		mb_raw_init(&file);
		fuzz_patch(file.bytes + MB_HEADER + 4, 28, data + 1, size - 1);
		mb_put_header(&file, MB_HEADER, file.bytes[MB_HEADER + 4] | 1 << 16);
		break;
	case 2: /* only the addresses */
		mb_raw_init(&file);
		fuzz_patch(file.bytes + MB_HEADER + 12, 20, data + 1, size - 1);
		break;
	}
	fuzz_load(file.bytes, sizeof(file));
	return 0;
}
