/* SPDX-License-Identifier: BSD-2-Clause */
/* A Multiboot guest boots with right information about its machine, and ends with a status. */
#include "micro.h"
#include "lib/string.h"

struct mmap {
	u32 size;
	u64 base, length;
	u32 type;
} __packed;

static void check_memory(u64 mib)
{
	const u8 *at = (const u8 *)(uintptr_t)multiboot->mmap_addr,
		 *end = at + multiboot->mmap_length;
	u64 ram = 0, top = 0;

	report(multiboot->mem_lower == 639, "mem_lower: 639 KiB expected, %u there",
	       multiboot->mem_lower);
	report(multiboot->mem_upper == (mib - 1) * 1024, "mem_upper: %lu KiB expected, %u there",
	       (mib - 1) * 1024, multiboot->mem_upper);
	for (const struct mmap *m; at < end; at += m->size + 4) {
		m = (const struct mmap *)(const void *)at;
		if (m->type != 1)
			continue;
		ram += m->length;
		top = MAX(top, m->base + m->length);
	}
	report(at == end, "the memory map's entries fill its length");
	report(top == MIB(mib), "RAM ends at %lu MiB: %lx", mib, top);
	report(ram == 0x9fc00 + MIB(mib - 1), "the map has 639K + %lu MiB of RAM: %lx", mib - 1,
	       ram);
}

/* All of 0 to 640K and of 1 MiB to the end is memory that keeps what is written. */
static void check_ram(u64 mib)
{
	static const u64 places[] = { 0, 0x500, 0x7c00, 0x9fc00, 0x9fff8 };
	volatile u64 *last = (volatile u64 *)(uintptr_t)(MIB(mib) - 8);

	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		volatile u64 *p = (volatile u64 *)(uintptr_t)places[i];
		u64 old = *p;

		*p = 0x1122334455667788;
		report(*p == 0x1122334455667788, "RAM at %lx", places[i]);
		*p = old;
	}
	*last = 42;
	report(*last == 42, "RAM at the last address");
}

/* What there is of a BIOS: where a kernel looks for the end of low memory, and who jumps to the reset vector comes to. */
static void check_bios(void)
{
	static const u8 vector[] = { 0xea, 0x5b, 0xe0, 0x00, 0xf0 };
	static const volatile uintptr_t place = 0x400; /* which the compiler takes for nowhere */
	const volatile u16 *data = (const volatile u16 *)place;
	const volatile u8 *low = (const volatile u8 *)(place + 0x13);
	const volatile u8 *at = (const volatile u8 *)(uintptr_t)0xffff0;

	report(data[0] == 0x3f8, "40:00 is COM1: %x", data[0]);
	report(data[7] == 0x9fc0, "40:0E is the segment of the EBDA: %x", data[7]);
	report(low[0] + 256 * low[1] == 639, "40:13 is 639 KiB");
	for (unsigned int i = 0; i < sizeof(vector); i++)
		report(at[i] == vector[i], "byte %u of the jump at the reset vector: %x", i, at[i]);
}

static void check_module(void)
{
	static const char content[] = "the module";
	const u32 *m = (const u32 *)(uintptr_t)multiboot->mods_addr;

	report((multiboot->flags & BIT(3)) && multiboot->mods_count == 1, "one module");
	if (multiboot->mods_count != 1)
		return;
	report(m[1] - m[0] == sizeof(content) - 1, "the module has %lu bytes: %u",
	       sizeof(content) - 1, m[1] - m[0]);
	report(!(m[0] & 0xfff), "the module is page-aligned");
	report(!memcmp((const void *)(uintptr_t)m[0], content, sizeof(content) - 1),
	       "the module's content");
}

void guest_main(void)
{
	report(lower_32(entry_regs[0]) == 0x2badb002, "EAX has Multiboot's magic number");
	report((multiboot->flags & 0x245) == 0x245, "memory, cmdline, map, loader name: flags %x",
	       multiboot->flags);
	report(option("module") && !strcmp(option_value("last"), "the-end"), "the command line");
	report(!strcmp((const char *)(uintptr_t)multiboot->loader_name, "lintel"),
	       "the loader's name");
	check_memory(16);
	check_ram(16);
	check_bios();
	check_module();
	say("%u passed, %u failed", passed, failed);
	finish(failed ? failed : 0x10);
}
