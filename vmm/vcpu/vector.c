/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/vector.h"

#define XCR0_AVX    0x6  /* SSE and YMM */
#define XCR0_AVX512 0xe6 /* and opmasks, ZMM0-15, ZMM16-31 */

/*
 * An instruction names its register in its bytes: so each has one of its own, which begins at a multiple of 16 and
 * ends in a RET. RDI is where the bytes are. The compiler knows nothing of vector registers (-mgeneral-regs-only);
 * the assembler does.
 */
#define ROW(name, insn, registers)                             \
	__asm__(".pushsection .text\n"                         \
		".balign 16\n"                                 \
		".type vector_" name ", @function\n"           \
		"vector_" name ":\n"                           \
		".irp n, " registers "\n"                      \
		".balign 16\n" insn "\n"                       \
		"ret\n"                                        \
		".endr\n"                                      \
		".size vector_" name ", . - vector_" name "\n" \
		".popsection\n")

#define LOW  "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define HIGH "16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

ROW("read_sse", "movdqu %xmm\\n, (%rdi)", LOW);
ROW("write_sse", "movdqu (%rdi), %xmm\\n", LOW);
ROW("read_vex", "vmovdqu %ymm\\n, (%rdi)", LOW);
ROW("write_vex", "vmovdqu (%rdi), %ymm\\n", LOW);
ROW("read_evex", "vmovdqu64 %zmm\\n, (%rdi)", LOW "," HIGH);
ROW("write_evex", "vmovdqu64 (%rdi), %zmm\\n", LOW "," HIGH);

#define ENTRY_SIZE 16

extern const u8 vector_read_sse[], vector_write_sse[], vector_read_vex[], vector_write_vex[],
	vector_read_evex[], vector_write_evex[];

static const struct {
	const u8 *read, *write;
	unsigned int registers;
	u64 xcr0;
} rows[] = {
	[INSN_SSE] = { vector_read_sse, vector_write_sse, 16, 0 },
	[INSN_VEX] = { vector_read_vex, vector_write_vex, 16, XCR0_AVX },
	[INSN_EVEX] = { vector_read_evex, vector_write_evex, 32, XCR0_AVX512 },
};

static void call(const u8 *row, unsigned int n, void *bytes)
{
	void (*entry)(void *bytes) = (void (*)(void *))(uintptr_t)(row + n * ENTRY_SIZE);

	entry(bytes);
}

bool vector_usable(enum insn_regs regs, u64 xcr0)
{
	return (xcr0 & rows[regs].xcr0) == rows[regs].xcr0;
}

void vector_read(enum insn_regs regs, unsigned int reg, u8 bytes[INSN_MAX_SIZE])
{
	call(rows[regs].read, reg & (rows[regs].registers - 1), bytes);
}

void vector_write(enum insn_regs regs, unsigned int reg, const u8 bytes[INSN_MAX_SIZE])
{
	call(rows[regs].write, reg & (rows[regs].registers - 1), (void *)(uintptr_t)bytes);
}
