/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/opcodes.h"
#include "vmm/vcpu/decode.h"

/* The opcodes `base + 0..3` of an arithmetic operation. */
/* clang-format off */
#define ALU(base, op)                                  \
	[(base) + 0] = { (op), MODRM | BYTE },          \
	[(base) + 1] = { (op), MODRM },                 \
	[(base) + 2] = { (op), MODRM | BYTE | TO_REG }, \
	[(base) + 3] = { (op), MODRM | TO_REG }
/* clang-format on */

const struct opcode opcodes_one_byte[256] = {
	ALU(0x00, INSN_ADD),
	ALU(0x08, INSN_OR),
	ALU(0x10, INSN_ADC),
	ALU(0x18, INSN_SBB),
	ALU(0x20, INSN_AND),
	ALU(0x28, INSN_SUB),
	ALU(0x30, INSN_XOR),
	ALU(0x38, INSN_CMP),

	[0x26] = { PREFIX_ES, PREFIX },
	[0x2e] = { PREFIX_CS, PREFIX },
	[0x36] = { PREFIX_SS, PREFIX },
	[0x3e] = { PREFIX_DS, PREFIX },
	[0x64] = { PREFIX_FS, PREFIX },
	[0x65] = { PREFIX_GS, PREFIX },
	[0x66] = { PREFIX_OPERAND, PREFIX },
	[0x67] = { PREFIX_ADDRESS, PREFIX },
	[0xf0] = { PREFIX_LOCK, PREFIX },
	[0xf2] = { PREFIX_REPNE, PREFIX },
	[0xf3] = { PREFIX_REP, PREFIX },

	[0x63] = { INSN_MOV, MODRM | TO_REG | FROM32 | SIGNED | ONLY64 },
	[0x80] = { 0, MODRM | GROUP1 | BYTE | IMM8 },
	[0x81] = { 0, MODRM | GROUP1 | IMMZ },
	[0x83] = { 0, MODRM | GROUP1 | IMM8 },
	[0x84] = { INSN_TEST, MODRM | BYTE },
	[0x85] = { INSN_TEST, MODRM },
	[0x86] = { INSN_XCHG, MODRM | BYTE },
	[0x87] = { INSN_XCHG, MODRM },
	[0x88] = { INSN_MOV, MODRM | BYTE },
	[0x89] = { INSN_MOV, MODRM },
	[0x8a] = { INSN_MOV, MODRM | BYTE | TO_REG },
	[0x8b] = { INSN_MOV, MODRM | TO_REG },
	[0xa0] = { INSN_MOV, MOFFS | BYTE | TO_REG },
	[0xa1] = { INSN_MOV, MOFFS | TO_REG },
	[0xa2] = { INSN_MOV, MOFFS | BYTE },
	[0xa3] = { INSN_MOV, MOFFS },
	[0xa4] = { INSN_MOV, STRING | TWO | BYTE },
	[0xa5] = { INSN_MOV, STRING | TWO },
	[0xa6] = { INSN_CMP, STRING | TWO | BYTE },
	[0xa7] = { INSN_CMP, STRING | TWO },
	[0xaa] = { INSN_MOV, STRING | BYTE },
	[0xab] = { INSN_MOV, STRING },
	[0xac] = { INSN_MOV, STRING | BYTE | TO_REG },
	[0xad] = { INSN_MOV, STRING | TO_REG },
	[0xae] = { INSN_CMP, STRING | BYTE | TO_REG },
	[0xaf] = { INSN_CMP, STRING | TO_REG },
	[0xc6] = { INSN_MOV, MODRM | REG0 | BYTE | IMM8 },
	[0xc7] = { INSN_MOV, MODRM | REG0 | IMMZ },
	[0xf6] = { 0, MODRM | GROUP3 | BYTE | IMM8 },
	[0xf7] = { 0, MODRM | GROUP3 | IMMZ },
	[0xfe] = { 0, MODRM | GROUP5 | BYTE },
	[0xff] = { 0, MODRM | GROUP5 },
};

/* clang-format off */
#define EACH16(base, op, flags)                                                               \
	[(base) + 0x0] = { op, flags }, [(base) + 0x1] = { op, flags },                       \
	[(base) + 0x2] = { op, flags }, [(base) + 0x3] = { op, flags },                       \
	[(base) + 0x4] = { op, flags }, [(base) + 0x5] = { op, flags },                       \
	[(base) + 0x6] = { op, flags }, [(base) + 0x7] = { op, flags },                       \
	[(base) + 0x8] = { op, flags }, [(base) + 0x9] = { op, flags },                       \
	[(base) + 0xa] = { op, flags }, [(base) + 0xb] = { op, flags },                       \
	[(base) + 0xc] = { op, flags }, [(base) + 0xd] = { op, flags },                       \
	[(base) + 0xe] = { op, flags }, [(base) + 0xf] = { op, flags }
/* clang-format on */

const struct opcode opcodes_two_byte[256] = {
	EACH16(0x40, INSN_CMOV, MODRM | TO_REG),
	EACH16(0x90, INSN_SET, MODRM | NO_REG | BYTE),
	[0xa3] = { INSN_BT, MODRM },
	[0xab] = { INSN_BTS, MODRM },
	[0xb0] = { INSN_CMPXCHG, MODRM | BYTE },
	[0xb1] = { INSN_CMPXCHG, MODRM },
	[0xb3] = { INSN_BTR, MODRM },
	[0xb6] = { INSN_MOV, MODRM | TO_REG | FROM8 },
	[0xb7] = { INSN_MOV, MODRM | TO_REG | FROM16 },
	[0xba] = { 0, MODRM | GROUP8 | IMM8 },
	[0xbb] = { INSN_BTC, MODRM },
	[0xbe] = { INSN_MOV, MODRM | TO_REG | FROM8 | SIGNED },
	[0xbf] = { INSN_MOV, MODRM | TO_REG | FROM16 | SIGNED },
	[0xc0] = { INSN_XADD, MODRM | BYTE },
	[0xc1] = { INSN_XADD, MODRM },
	[0xc3] = { INSN_MOV, MODRM | DWORD | NO_REP }, /* MOVNTI */
};

const struct opcode opcodes_0f38[256] = {
	[0xf0] = { INSN_MOVBE, MODRM | TO_REG | NO_REP },
	[0xf1] = { INSN_MOVBE, MODRM | NO_REP },
};

#define ALL_W0 (V_SSE | V_VEX | V_EVEX0)
#define ALL_W1 (V_SSE | V_VEX | V_EVEX1)
#define ALL    (V_SSE | V_VEX | V_EVEX0 | V_EVEX1)

/* With VEX and EVEX, MOVLPS and the like take the rest from a third operand when they load: not known. */
static const struct vector_move vector_moves[] = {
	{ 1, VP_NONE, 0x10, 0, ALL_W0 }, /* MOVUPS */
	{ 1, VP_NONE, 0x11, 0, ALL_W0 | V_STORE },
	{ 1, VP_66, 0x10, 0, ALL_W1 }, /* MOVUPD */
	{ 1, VP_66, 0x11, 0, ALL_W1 | V_STORE },
	{ 1, VP_F3, 0x10, 4, ALL_W0 | V_SCALAR }, /* MOVSS */
	{ 1, VP_F3, 0x11, 4, ALL_W0 | V_SCALAR | V_STORE },
	{ 1, VP_F2, 0x10, 8, ALL_W1 | V_SCALAR }, /* MOVSD */
	{ 1, VP_F2, 0x11, 8, ALL_W1 | V_SCALAR | V_STORE },
	{ 1, VP_NONE, 0x12, 8, V_SSE | V_MERGE }, /* MOVLPS */
	{ 1, VP_NONE, 0x13, 8, ALL_W0 | V_STORE },
	{ 1, VP_66, 0x12, 8, V_SSE | V_MERGE }, /* MOVLPD */
	{ 1, VP_66, 0x13, 8, ALL_W1 | V_STORE },
	{ 1, VP_NONE, 0x16, 8, V_SSE | V_MERGE | V_HIGH }, /* MOVHPS */
	{ 1, VP_NONE, 0x17, 8, ALL_W0 | V_STORE | V_HIGH },
	{ 1, VP_66, 0x16, 8, V_SSE | V_MERGE | V_HIGH }, /* MOVHPD */
	{ 1, VP_66, 0x17, 8, ALL_W1 | V_STORE | V_HIGH },
	{ 1, VP_NONE, 0x28, 0, ALL_W0 }, /* MOVAPS */
	{ 1, VP_NONE, 0x29, 0, ALL_W0 | V_STORE },
	{ 1, VP_66, 0x28, 0, ALL_W1 }, /* MOVAPD */
	{ 1, VP_66, 0x29, 0, ALL_W1 | V_STORE },
	{ 1, VP_NONE, 0x2b, 0, ALL_W0 | V_STORE }, /* MOVNTPS */
	{ 1, VP_66, 0x2b, 0, ALL_W1 | V_STORE },   /* MOVNTPD */
	{ 1, VP_66, 0x6e, V_D_OR_Q, ALL },         /* MOVD, MOVQ */
	{ 1, VP_66, 0x7e, V_D_OR_Q, ALL | V_STORE },
	{ 1, VP_F3, 0x7e, 8, ALL_W1 }, /* MOVQ */
	{ 1, VP_66, 0xd6, 8, ALL_W1 | V_STORE },
	{ 1, VP_66, 0x6f, 0, ALL }, /* MOVDQA */
	{ 1, VP_66, 0x7f, 0, ALL | V_STORE },
	{ 1, VP_F3, 0x6f, 0, ALL }, /* MOVDQU */
	{ 1, VP_F3, 0x7f, 0, ALL | V_STORE },
	{ 1, VP_F2, 0x6f, 0, V_EVEX0 | V_EVEX1 }, /* VMOVDQU8, VMOVDQU16 */
	{ 1, VP_F2, 0x7f, 0, V_EVEX0 | V_EVEX1 | V_STORE },
	{ 1, VP_66, 0xe7, 0, ALL_W0 | V_STORE }, /* MOVNTDQ */
	{ 1, VP_F2, 0xf0, 0, V_SSE | V_VEX },    /* LDDQU */
	{ 2, VP_66, 0x2a, 0, ALL_W0 },           /* MOVNTDQA */
};

const struct vector_move *opcodes_vector(u8 encoding, unsigned int map, unsigned int prefix,
					 u64 opcode)
{
	for (const struct vector_move *v = vector_moves;
	     v < vector_moves + ARRAY_SIZE(vector_moves); v++) {
		if (v->opcode == opcode && v->prefix == prefix && v->map == map &&
		    (v->flags & encoding))
			return v;
	}
	return NULL;
}
