/* SPDX-License-Identifier: BSD-2-Clause */
/* The opcode maps of the instructions that decode.c knows. */
#ifndef VMM_VCPU_OPCODES_H
#define VMM_VCPU_OPCODES_H

#include "lib/types.h"

/* An entry of the opcode map that we know has at least one of MODRM, MOFFS, STRING, PREFIX. */
enum {
	MODRM = 1 << 0,  /* a ModRM byte, whose r/m must be memory */
	MOFFS = 1 << 1,  /* the address follows the opcode; the register is rAX */
	STRING = 1 << 2, /* no operand bytes; the register is rAX */
	PREFIX = 1 << 3, /* no instruction: .op is an enum prefix */

	TO_REG = 1 << 4, /* the register is the destination */
	BYTE = 1 << 5,   /* operands of one byte, else of the operand size */
	IMM8 = 1 << 6,   /* sign-extended immediate byte in place of the register */
	IMMZ = 1 << 7,   /* the same, of the operand size but not above 4 bytes */
	GROUP1 = 1 << 8, /* ModRM.reg is the enum insn_op */
	REG0 = 1 << 9,   /* ModRM.reg must be 0 */
	TWO = 1 << 10,   /* two operands in memory: MOVS, CMPS */
	ONLY64 = 1 << 11,

	/* The memory operand is narrower than the register that it is extended into. */
	FROM8 = 1 << 12,
	FROM16 = 1 << 13,
	FROM32 = 1 << 14,
	SIGNED = 1 << 15,

	GROUP3 = 1 << 16, /* F6, F7: by ModRM.reg TEST with an immediate, NOT or NEG */
	GROUP5 = 1 << 17, /* FE, FF: INC or DEC */
	GROUP8 = 1 << 18, /* 0F BA: the BTs, with an immediate byte */
	NO_REG = 1 << 19, /* memory is the only operand, whatever ModRM.reg says */
	DWORD = 1 << 20,  /* operands of 4 or 8 bytes; #UD with prefix 66 */
	NO_REP = 1 << 21, /* with F2 or F3 another instruction, or none */
};

enum prefix {
	PREFIX_ES, /* the segments in the order of struct mmio_insn */
	PREFIX_CS,
	PREFIX_SS,
	PREFIX_DS,
	PREFIX_FS,
	PREFIX_GS,
	PREFIX_OPERAND,
	PREFIX_ADDRESS,
	PREFIX_LOCK,
	PREFIX_REPNE, /* F2 */
	PREFIX_REP,   /* F3 */
};

struct opcode {
	u8 op;
	u32 flags;
};

/* "One-byte Opcode Map", "Two-byte Opcode Map (First Byte is 0FH)" and "Three-byte Opcode Map (... 0F 38H)". */
extern const struct opcode opcodes_one_byte[256];
extern const struct opcode opcodes_two_byte[256];
extern const struct opcode opcodes_0f38[256];

/* The mandatory prefix of a vector instruction, as the pp field of VEX and EVEX has it. */
enum vector_prefix { VP_NONE, VP_66, VP_F3, VP_F2 };

/* One that moves between memory and a vector register. */
struct vector_move {
	u8 map; /* 1: 0F, 2: 0F 38 */
	u8 prefix;
	u8 opcode;
	u8 size; /* bytes; 0: the vector's length; V_D_OR_Q */
	u8 flags;
};

#define V_D_OR_Q 255 /* 4, or 8 with W in 64-bit mode */

enum {
	V_STORE = 1 << 0,
	V_HIGH = 1 << 1,  /* the upper 8 bytes of the register's 16 */
	V_MERGE = 1 << 2, /* the rest of the 16 bytes stays */
	V_SSE = 1 << 3,   /* by which encodings it is known */
	V_VEX = 1 << 4,
	V_EVEX0 = 1 << 5, /* EVEX.W = 0 */
	V_EVEX1 = 1 << 6, /* EVEX.W = 1 */
	V_SCALAR =
		1 << 7, /* VEX.L and EVEX.L'L are not looked at; else with a size they must be 0 */
};

/* The one with this encoding (V_SSE, V_VEX or V_EVEX*), or NULL. */
const struct vector_move *opcodes_vector(u8 encoding, unsigned int map, unsigned int prefix,
					 u64 opcode);

#endif
