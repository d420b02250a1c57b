/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest RAM and files for tests of what is loaded into a guest. */
#ifndef TESTS_UNIT_GUEST_RAM_H
#define TESTS_UNIT_GUEST_RAM_H

#include "lib/guest_mem.h"
#include "vmm/load/guest_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* RAM from 0 of @size bytes, zero, costing nothing where it is not touched. */
static inline void ram_init(struct guest_mem *mem, u64 size)
{
	void *host = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(host != MAP_FAILED);
	memset(mem, 0, sizeof(*mem));
	assert_int_equal(guest_mem_add(mem, 0, size, host), 0);
}

static inline void ram_free(struct guest_mem *mem)
{
	munmap(mem->slot[0].host, mem->slot[0].size);
}

static inline const void *ram_at(const struct guest_mem *mem, gpa_t gpa, u64 size)
{
	assert_true(guest_mem_contains(mem, gpa, size));
	return mem->slot[0].host + gpa;
}

static inline u32 ram_u32(const struct guest_mem *mem, gpa_t gpa)
{
	u32 value;

	assert_true(guest_read(mem, gpa, &value, sizeof(value)));
	return value;
}

static inline u64 ram_u64(const struct guest_mem *mem, gpa_t gpa)
{
	u64 value;

	assert_true(guest_read(mem, gpa, &value, sizeof(value)));
	return value;
}

/* Every image finds what kernels look for in the BIOS's data area, and a way to a reset at the reset vector. */
static inline void check_bios(const struct guest_mem *mem)
{
	static const u8 vector[] = { 0xea, 0x5b, 0xe0, 0x00, 0xf0 }; /* jmp f000:e05b */
	static const u8 reset[] = { 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee };

	assert_int_equal(ram_u32(mem, 0x400), 0x3f8);
	assert_int_equal(ram_u32(mem, 0x40e) & 0xffff, 0x9fc0);
	assert_int_equal(ram_u32(mem, 0x413) & 0xffff, 639);
	assert_int_equal(*(const u8 *)ram_at(mem, 0x9fc00, 1), 1);
	assert_memory_equal(ram_at(mem, 0xffff0, 5), vector, 5);
	assert_memory_equal(ram_at(mem, 0xfe05b, 6), reset, 6);
}

/* The whole of the file that the environment variable names, else @path; skips when it is not there. */
static inline struct boot_file file_read_or_skip(const char *variable, const char *path)
{
	struct boot_file file = { 0 };
	FILE *f;
	long size;
	u8 *data;

	if (getenv(variable))
		path = getenv(variable);
	f = fopen(path, "rb");
	if (!f) {
		print_message("skipped: no %s (make guests makes it, or set %s)\n", path, variable);
		skip();
		return file;
	}
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	size = ftell(f);
	rewind(f);
	assert_true(size > 0);
	data = malloc((size_t)size);
	assert_int_equal(fread(data, 1, (size_t)size, f), size);
	fclose(f);
	file.data = data;
	file.size = (u64)size;
	return file;
}

static inline void file_free(struct boot_file *file)
{
	free((void *)(uintptr_t)file->data);
}

/* A failure says why, and which setting is at fault. */
static inline void assert_explained(int error, const struct image_error *err)
{
	assert_true(error < 0);
	assert_non_null(err->key);
	assert_true(strlen(err->text) > 10 && !strchr(err->text, '\n'));
}

/* It fails, and the reason contains @text. */
static inline void assert_reason(int error, const struct image_error *err, const char *key,
				 const char *text)
{
	assert_explained(error, err);
	assert_string_equal(err->key, key);
	if (!strstr(err->text, text)) {
		print_error("reason \"%s\" does not contain \"%s\"\n", err->text, text);
		fail();
	}
}

/* A small deterministic source of mutations. */
static inline u32 mutation(u64 *state, u32 below)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(*state >> 33) % below;
}

/* Change one to four bytes of @data, each to a random value or to one that sits on an edge. */
static inline void mutate(u64 *state, u8 *data, u32 size)
{
	static const u8 edges[] = { 0x00, 0xff, 0x7f, 0x80, 0x01, 0xfe, 0x10, 0x40 };

	for (u32 n = 1 + mutation(state, 4); n; n--) {
		u8 *byte = &data[mutation(state, size)];

		*byte = mutation(state, 2) ? (u8)mutation(state, 256)
					   : edges[mutation(state, sizeof(edges))];
	}
}

#endif
