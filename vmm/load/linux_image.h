/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux kernels for x86-64, from an untrusted file: a bzImage or a decompressed vmlinux.
 * The layout is that of Linux's "The Linux/x86 Boot Protocol".
 */
#ifndef VMM_LOAD_LINUX_IMAGE_H
#define VMM_LOAD_LINUX_IMAGE_H

#include "lib/types.h"
#include "vmm/load/elf.h"

#define LINUX_HDR_OFFSET      0x1f1 /* of the setup header, in a bzImage and in boot_params alike */
#define LINUX_HDR_END         0x290 /* boot_params goes on with other things there */
#define LINUX_HDR_MAGIC       0x53726448 /* "HdrS" */
#define LINUX_BOOT_FLAG       0xaa55
#define LINUX_MIN_PROTOCOL    0x020c /* 2.12: the first with xloadflags, that is, a 64-bit entry */

#define LOADFLAGS_LOADED_HIGH BIT(0) /* the kernel proper goes to 1 MiB or above */
#define XLOADFLAGS_KERNEL_64  BIT(0) /* has a 64-bit entry at 0x200 */

struct linux_setup_header {
	u8 setup_sects; /* 512-byte sectors of real-mode code after the first; 0 means 4 */
	u16 root_flags;
	u32 syssize; /* of the protected-mode code, 16-byte units */
	u16 ram_size;
	u16 vid_mode;
	u16 root_dev;
	u16 boot_flag;
	u8 jump[2]; /* a short jump over the header: jump[1] says where it ends */
	u32 header;
	u16 version;
	u32 realmode_swtch;
	u16 start_sys_seg;
	u16 kernel_version;
	u8 type_of_loader;
	u8 loadflags;
	u16 setup_move_size;
	u32 code32_start;
	u32 ramdisk_image;
	u32 ramdisk_size;
	u32 bootsect_kludge;
	u16 heap_end_ptr;
	u8 ext_loader_ver;
	u8 ext_loader_type;
	u32 cmd_line_ptr;
	u32 initrd_addr_max; /* the last address that an initrd may use */
	u32 kernel_alignment;
	u8 relocatable_kernel;
	u8 min_alignment;
	u16 xloadflags;
	u32 cmdline_size; /* the longest command line, without its NUL */
	u32 hardware_subarch;
	u64 hardware_subarch_data;
	u32 payload_offset; /* of the compressed kernel in the protected-mode code */
	u32 payload_length;
	u64 setup_data;
	u64 pref_address; /* where it is loaded unless there is a reason */
	u32 init_size;    /* bytes from there that it uses before it has read the memory map */
	u32 handover_offset;
	u32 kernel_info_offset;
	u8 later[LINUX_HDR_END - 0x26c]; /* fields of protocols to come are carried over */
} __packed;

_Static_assert(offsetof(struct linux_setup_header, jump) == 0x200 - LINUX_HDR_OFFSET, "jump");
_Static_assert(offsetof(struct linux_setup_header, cmd_line_ptr) == 0x228 - LINUX_HDR_OFFSET,
	       "cmd_line_ptr");
_Static_assert(offsetof(struct linux_setup_header, init_size) == 0x260 - LINUX_HDR_OFFSET,
	       "init_size");
_Static_assert(sizeof(struct linux_setup_header) == LINUX_HDR_END - LINUX_HDR_OFFSET,
	       "setup header");

enum linux_kind { LINUX_BZIMAGE, LINUX_VMLINUX };

struct linux_image {
	enum linux_kind kind;
	gpa_t entry;   /* 64-bit, with RSI = boot_params */
	gpa_t base;    /* the lowest address that is loaded */
	u64 init_size; /* bytes from base that must be RAM and hold nothing else */
	unsigned int segments;
	struct load_segment segment[ELF_MAX_SEGMENTS];
	struct linux_setup_header hdr; /* the bzImage's own; for a vmlinux one that says the same */
};

/* Do the first bytes look like a bzImage? Nothing else is checked. */
bool linux_is_bzimage(const u8 *data, u64 size);

/* Check everything and say where it goes. -ENOEXEC with the reason. */
int linux_parse_bzimage(struct linux_image *image, const u8 *data, u64 size,
			struct image_error *err) __must_check;
int linux_parse_vmlinux(struct linux_image *image, const u8 *data, u64 size,
			struct image_error *err) __must_check;

#endif
