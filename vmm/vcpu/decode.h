/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoder of the instructions with which guests touch device registers, and what those instructions
 * compute. It sees bytes and register values only: no guest memory, no VMCS.
 */
#ifndef VMM_VCPU_DECODE_H
#define VMM_VCPU_DECODE_H

#include "lib/types.h"

#define INSN_MAX_LENGTH 15

/* From the guest's CS: L = 64, else CS.D = 32, else 16 (real mode too). */
enum insn_mode { INSN_MODE_16, INSN_MODE_32, INSN_MODE_64 };

/* The first eight in the order of the opcode map, which is that of /reg in group 1. */
enum insn_op {
	INSN_ADD,
	INSN_OR,
	INSN_ADC,
	INSN_SBB,
	INSN_AND,
	INSN_SUB,
	INSN_XOR,
	INSN_CMP,
	INSN_TEST,
	INSN_MOV,
	INSN_XCHG,
	INSN_INC,
	INSN_DEC,
	INSN_NOT,
	INSN_NEG,
	INSN_BT, /* the four in the order of /reg in group 8 */
	INSN_BTS,
	INSN_BTR,
	INSN_BTC,
	INSN_XADD,
	INSN_CMPXCHG,
	INSN_MOVBE,
	INSN_CMOV,
	INSN_SET,
} __packed;

/* What the instruction does to memory. */
enum insn_access {
	INSN_READ,
	INSN_WRITE,
	INSN_RMW,  /* reads and then writes the same place */
	INSN_COPY, /* MOVS: reads seg:rSI, writes ES:rDI; the exit says which one is the device */
	INSN_COMPARE, /* CMPS: reads both */
} __packed;

/* Of which kind the register operand is: by the encoding, which says what a load does to the register's rest. */
enum insn_regs {
	INSN_GENERAL,
	INSN_SSE,  /* XMM0-15; what is above 16 bytes stays */
	INSN_VEX,  /* YMM0-15; a load clears what is above its size */
	INSN_EVEX, /* ZMM0-31; likewise */
} __packed;

/* Bytes of the largest operand. */
#define INSN_MAX_SIZE 64

struct mmio_insn {
	u8 length;       /* bytes of the instruction */
	u8 size;         /* bytes of the memory operand: 1, 2, 4, 8; with a vector 4 to 64 */
	u8 address_size; /* bytes of an address, and of the rSI, rDI and rCX that are used: 2, 4, 8 */
	u8 segment;      /* 0-5 = ES CS SS DS FS GS: override, else DS. For COPY, COMPARE, LODS */
	enum insn_op op;
	enum insn_access access;

	enum insn_regs regs;
	u8 reg;      /* 0-15, with EVEX 0-31, the register operand; of no use when has_imm */
	u8 reg_size; /* bytes of the register operand; > size for MOVZX, MOVSX, MOVSXD */
	u8 reg_offset; /* of a vector: 8, if memory goes with the upper half of its 16 bytes; else 0 */
	bool merge;    /* of a vector of SSE: a load leaves the rest of its 16 bytes */
	u8 condition;     /* CMOV, SET: as the opcode has it */
	bool high_byte;   /* reg 0-3 means AH, CH, DH, BH */
	bool sign_extend; /* a read is sign-extended to reg_size, not zero-extended */
	bool to_reg;      /* the register is the first operand and the destination, not memory */
	bool has_imm;     /* the other operand is imm, or there is none: no register */
	bool is_string; /* MOVS, STOS, LODS, CMPS, SCAS: memory is at rSI, rDI; the register is rAX */
	bool rep;       /* is_string with a REP prefix: this is one iteration of rCX */
	bool repne;     /* and with CMPS and SCAS the last one is that with ZF = 1, not 0 */
	bool plain; /* one MOV, of 4 or 8 bytes or a store of 2: no flags, nothing to merge, no string */
	u8 above; /* if plain: 64 less the bits of size */
	u64 imm;  /* sign-extended to size bytes, zero above */
};

_Static_assert(sizeof(struct mmio_insn) == 32,
	       "many are remembered, and looked for at each access");

/*
 * Decode the instruction at @bytes, of which @len (any number; 15 are looked at) could be fetched.
 * False: cut short, longer than 15 bytes, would be #UD, has no memory operand, or is none of
 *
 *	MOV, MOVZX, MOVSX, MOVSXD, MOVBE, MOVNTI, CMOVcc, SETcc, XCHG, XADD, CMPXCHG,
 *	MOVS, STOS, LODS, CMPS, SCAS,
 *	ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NOT, NEG, BT, BTS, BTR, BTC,
 *	the moves of SSE, AVX and AVX-512 (without masks) that change nothing on the way: opcodes.c
 *
 * The bytes may have changed since the guest executed them: compare access and size with the exit.
 */
bool mmio_decode(struct mmio_insn *insn, enum insn_mode mode, const u8 *bytes,
		 size_t len) __must_check;

/*
 * The first operand's new value, in the low @size bytes, of `op a, b`. CMP, TEST and BT return what
 * they computed for the flags and is to be dropped; MOV and XCHG return b. The status flags in
 * @rflags are updated as the processor does (AF, where the manual leaves it undefined, is cleared,
 * which is what processors do); all other bits stay. Not for CMPXCHG, CMOV and SET.
 */
u64 mmio_alu(enum insn_op op, unsigned int size, u64 a, u64 b, u64 *rflags);

struct insn_values {
	u64 mem; /* as read, if access is READ or RMW; becomes what is to be written, if WRITE or RMW */
	u64 reg; /* the whole 64-bit register insn->reg */
	u64 rax; /* for CMPXCHG, which alone changes it */
	u64 rflags;
};

/* Do the instruction. Not for COPY and COMPARE, nor for vectors. */
void mmio_apply(const struct mmio_insn *insn, struct insn_values *v);

struct insn_string_regs {
	u64 rsi, rdi, rcx;
};

/*
 * After one iteration of a string instruction, with the flags that it left: advance the registers it uses in
 * the direction of RFLAGS.DF. True when the instruction is finished and RIP moves on.
 */
bool mmio_string_step(const struct mmio_insn *insn, u64 rflags, struct insn_string_regs *regs);

#endif
