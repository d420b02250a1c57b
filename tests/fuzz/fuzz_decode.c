/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes in any mode: the decoder stays in its buffer, and what it accepts is consistent. */
#include "vmm/vcpu/decode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct insn_string_regs regs = { 0, ~0ULL, 1 };
	struct insn_values v = { .mem = ~0ULL, .reg = 1, .rax = 2, .rflags = ~0ULL };
	struct mmio_insn insn;

	if (!size || !mmio_decode(&insn, (enum insn_mode)(data[0] % 3), data + 1, size - 1))
		return 0;
	check(insn.length && insn.length < size && insn.length <= INSN_MAX_LENGTH);
	check(insn.size && !(insn.size & (insn.size - 1)));
	check(insn.reg < (insn.regs == INSN_EVEX ? 32 : 16) && insn.reg_size >= 1);
	if (insn.regs != INSN_GENERAL) {
		check(insn.size <= (insn.regs == INSN_EVEX ? 64 : insn.regs == INSN_VEX ? 32 : 16));
		check(insn.reg_offset + insn.size <= INSN_MAX_SIZE && !insn.plain &&
		      !insn.is_string);
		return 0;
	}
	check(insn.size <= 8 && insn.reg_size <= 8);
	check(insn.segment < 6 && insn.address_size >= 2 && insn.address_size <= 8);
	check(!insn.high_byte || insn.reg < 4);
	check(insn.is_string || !insn.rep);
	mmio_apply(&insn, &v);
	mmio_string_step(&insn, v.rflags, &regs);
	return 0;
}
