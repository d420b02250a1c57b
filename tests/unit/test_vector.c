/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/vcpu/vector: each vector register is read and written by its own number, as the processor that runs this test has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vmm/vcpu/vector.h"

/* What this CPU lacks is skipped here, and shown by those that have it. */
static bool supported(enum insn_regs regs)
{
	if (regs == INSN_EVEX)
		return __builtin_cpu_supports("avx512f");
	return regs == INSN_SSE || __builtin_cpu_supports("avx");
}

static void fill(u8 *bytes, unsigned int n)
{
	for (unsigned int i = 0; i < INSN_MAX_SIZE; i++)
		bytes[i] = (u8)(n * 64 + i + n);
}

/* Nothing but these calls touches a vector register in between: the loops and calls are made of general ones. */
__attribute__((target("general-regs-only"), noinline)) static void write_all(
	enum insn_regs regs, unsigned int count, u8 (*from)[INSN_MAX_SIZE], u8 (*to)[INSN_MAX_SIZE])
{
	for (unsigned int n = 0; n < count; n++)
		vector_write(regs, n, from[n]);
	for (unsigned int n = 0; n < count; n++)
		vector_read(regs, n, to[n]);
}

static void check(enum insn_regs regs, unsigned int count, size_t size)
{
	static u8 from[32][INSN_MAX_SIZE], to[32][INSN_MAX_SIZE];

	if (!supported(regs))
		return;
	for (unsigned int n = 0; n < count; n++)
		fill(from[n], n);
	memset(to, 0xcc, sizeof(to));
	write_all(regs, count, from, to);
	for (unsigned int n = 0; n < count; n++) {
		assert_memory_equal(from[n], to[n], size);
		for (size_t i = size; i < INSN_MAX_SIZE; i++)
			assert_int_equal(to[n][i], 0xcc);
	}
}

static void test_each_by_its_number(void **state)
{
	(void)state;
	check(INSN_SSE, 16, 16);
	check(INSN_VEX, 16, 32);
	check(INSN_EVEX, 32, 64);
}

__attribute__((target("general-regs-only"), noinline)) static void write_low(
	enum insn_regs low, const u8 *whole, const u8 *part, enum insn_regs high, u8 *out)
{
	vector_write(high, 5, whole);
	vector_write(low, 5, part);
	vector_read(high, 5, out);
}

/* What is above: SSE leaves it, VEX clears it. */
static void test_upper_part(void **state)
{
	static u8 whole[INSN_MAX_SIZE], part[INSN_MAX_SIZE], out[INSN_MAX_SIZE];

	(void)state;
	fill(whole, 1);
	fill(part, 2);
	if (supported(INSN_VEX)) {
		write_low(INSN_SSE, whole, part, INSN_VEX, out);
		assert_memory_equal(out, part, 16);
		assert_memory_equal(out + 16, whole + 16, 16);
	}
	if (supported(INSN_EVEX)) {
		write_low(INSN_VEX, whole, part, INSN_EVEX, out);
		assert_memory_equal(out, part, 32);
		for (unsigned int i = 32; i < 64; i++)
			assert_int_equal(out[i], 0);
	}
}

/* XCR0 must have all components that the instruction needs; SSE needs none. */
static void test_usable(void **state)
{
	(void)state;
	assert_true(vector_usable(INSN_SSE, 1));
	assert_false(vector_usable(INSN_VEX, 1));
	assert_false(vector_usable(INSN_VEX, 3));
	assert_true(vector_usable(INSN_VEX, 7));
	assert_false(vector_usable(INSN_EVEX, 7));
	assert_false(vector_usable(INSN_EVEX, 0x67));
	assert_true(vector_usable(INSN_EVEX, 0xe7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_by_its_number),
		cmocka_unit_test(test_upper_part),
		cmocka_unit_test(test_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
