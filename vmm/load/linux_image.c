/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/load/linux_image.h"
#include "lib/errno.h"
#include "lib/string.h"

#define SECTOR         512
#define PARAGRAPH      16
#define ENTRY_64       0x200 /* from the start of a bzImage's protected-mode code */
#define MIN_ALIGNMENT  KIB(4)
#define MAX_ALIGNMENT  GIB(1)

#define HDR_JUMP_END   0x202 /* what jump[1] counts from */
#define HDR_NEEDED     0x264 /* the end of init_size */
#define HDR_MAGIC_END  0x206

#define fail(err, ...) image_fail((err), -ENOEXEC, "kernel", __VA_ARGS__)

bool linux_is_bzimage(const u8 *data, u64 size)
{
	return size >= HDR_MAGIC_END && !memcmp(data + HDR_JUMP_END, "HdrS", 4);
}

/* Copy the setup header, as long as the image says it is. */
static int read_setup_header(struct linux_setup_header *hdr, const u8 *data, u64 size,
			     struct image_error *err)
{
	u64 end;

	if (!linux_is_bzimage(data, size))
		return fail(err, "no bzImage setup header");
	end = HDR_JUMP_END + (u64)data[HDR_JUMP_END - 1];
	if (end > LINUX_HDR_END || end < HDR_NEEDED)
		return fail(err, "the bzImage setup header ends at %#lx, expected %#x to %#x", end,
			    HDR_NEEDED, LINUX_HDR_END);
	if (end > size)
		return fail(err,
			    "truncated: the bzImage setup header ends at %lu, the file has "
			    "%lu bytes",
			    end, size);
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr, data + LINUX_HDR_OFFSET, end - LINUX_HDR_OFFSET);
	return 0;
}

static int check_features(const struct linux_setup_header *hdr, struct image_error *err)
{
	if (hdr->boot_flag != LINUX_BOOT_FLAG)
		return fail(err, "bzImage boot flag %#x, expected %#x", hdr->boot_flag,
			    LINUX_BOOT_FLAG);
	if (hdr->version < LINUX_MIN_PROTOCOL)
		return fail(err, "boot protocol %u.%02u, expected 2.12 or newer (Linux 3.8)",
			    hdr->version >> 8, hdr->version & 0xff);
	if (!(hdr->loadflags & LOADFLAGS_LOADED_HIGH))
		return fail(err, "a zImage that loads below 1 MiB, expected a bzImage");
	if (!(hdr->xloadflags & XLOADFLAGS_KERNEL_64))
		return fail(err, "a 32-bit kernel (xloadflags %#x), expected one for x86-64",
			    hdr->xloadflags);
	return 0;
}

static int check_placement(const struct linux_setup_header *hdr, u64 code, struct image_error *err)
{
	const u64 align = hdr->kernel_alignment;

	if (align < MIN_ALIGNMENT || align > MAX_ALIGNMENT || (align & (align - 1)))
		return fail(err, "kernel_alignment %#lx is no power of two from 4 KiB to 1 GiB",
			    align);
	if (!IS_ALIGNED(hdr->pref_address, align))
		return fail(err, "pref_address %#lx is not aligned to %#lx", hdr->pref_address,
			    align);
	if (hdr->pref_address > GIB(4))
		return fail(err, "pref_address %#lx lies above 4 GiB", hdr->pref_address);
	if (hdr->init_size < code)
		return fail(err, "init_size %u is smaller than the protected-mode code, %lu bytes",
			    hdr->init_size, code);
	if (code <= ENTRY_64)
		return fail(err, "only %lu bytes of protected-mode code, no 64-bit entry", code);
	return 0;
}

/* syssize counts paragraphs, rounded up; the file need not be filled up to the end of the last one. */
static u64 code_in_file(u64 size, u64 setup, u64 code)
{
	const u64 there = size > setup ? size - setup : 0;

	return there < code && code - there < PARAGRAPH ? there : code;
}

/* The protected-mode code lies in the file, and the compressed kernel in the code. */
static int check_sizes(const struct linux_setup_header *hdr, u64 size, u64 setup, u64 code,
		       struct image_error *err)
{
	if (setup > size || code > size - setup)
		return fail(
			err,
			"truncated: header says %lu bytes of protected-mode code from byte %lu, "
			"the file has %lu",
			code, setup, size);
	if ((u64)hdr->payload_offset + hdr->payload_length > code)
		return fail(err,
			    "the compressed kernel, %u bytes at %u, passes the end of the "
			    "protected-mode code, %lu bytes",
			    hdr->payload_length, hdr->payload_offset, code);
	return 0;
}

/*
 * Always at pref_address, relocatable or not: an x86-64 kernel moves itself up to there if it
 * finds itself below, so that a lower place saves no memory.
 */
int linux_parse_bzimage(struct linux_image *image, const u8 *data, u64 size,
			struct image_error *err)
{
	struct linux_setup_header *hdr = &image->hdr;
	u64 setup, code, in_file;
	int error;

	error = read_setup_header(hdr, data, size, err);
	if (!error)
		error = check_features(hdr, err);
	if (error)
		return error;
	setup = ((hdr->setup_sects ? hdr->setup_sects : 4) + 1ULL) * SECTOR;
	code = hdr->syssize * (u64)PARAGRAPH;
	in_file = code_in_file(size, setup, code);
	error = check_sizes(hdr, size, setup, in_file, err);
	if (!error)
		error = check_placement(hdr, code, err);
	if (error)
		return error;

	image->kind = LINUX_BZIMAGE;
	image->entry = hdr->pref_address + ENTRY_64;
	image->base = hdr->pref_address;
	image->init_size = hdr->init_size;
	image->segments = 1;
	/* memsz is no more than that: the decompressor clears its own bss, up to init_size. */
	image->segment[0] = (struct load_segment){ setup, in_file, hdr->pref_address, code };
	return 0;
}

int linux_parse_vmlinux(struct linux_image *image, const u8 *data, u64 size,
			struct image_error *err)
{
	struct elf_image elf;
	const int error = elf_parse(&elf, ELF_64, data, size, err);

	if (error)
		return error;
	image->kind = LINUX_VMLINUX;
	image->entry = elf.entry;
	image->base = elf.base;
	image->init_size = elf.end - elf.base;
	image->segments = elf.segments;
	memcpy(image->segment, elf.segment, sizeof(elf.segment));
	/* What the setup code of its bzImage would have said. */
	image->hdr = (struct linux_setup_header){
		.boot_flag = LINUX_BOOT_FLAG,
		.header = LINUX_HDR_MAGIC,
		.version = 0x020f,
		.loadflags = LOADFLAGS_LOADED_HIGH,
		.code32_start = lower_32(elf.base),
		.vid_mode = 0xffff, /* "normal" */
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = MIB(2),
		.xloadflags = XLOADFLAGS_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = elf.base,
		.init_size = lower_32(MIN(elf.end - elf.base, (u64)UINT32_MAX)),
	};
	return 0;
}
