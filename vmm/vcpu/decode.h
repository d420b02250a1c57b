/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoder of the instructions with which guests touch device registers, and what those instructions
 * compute. It sees bytes and register values only: no guest memory, no VMCS.
 */
#ifndef VMM_VCPU_DECODE_H
#define VMM_VCPU_DECODE_H

#include "lib/types.h"

#define INSN_MAX_LENGTH 15

/* From the guest's CS and EFER: LMA and CS.L = 64, else CS.D = 32, else 16 (real mode too). */
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
};

/* What the instruction does to memory. */
enum insn_access {
	INSN_READ,
	INSN_WRITE,
	INSN_RMW,  /* reads and then writes the same place */
	INSN_COPY, /* MOVS: reads seg:rSI, writes ES:rDI; the exit says which one is the device */
};

struct mmio_insn {
	u8 length;       /* bytes of the instruction */
	u8 size;         /* bytes of the memory operand: 1, 2, 4 or 8 */
	u8 address_size; /* bytes of an address, and of the rSI, rDI and rCX that are used: 2, 4, 8 */
	u8 segment;      /* 0-5 = ES CS SS DS FS GS: override, else DS. For COPY and LODS */
	enum insn_op op;
	enum insn_access access;

	u8 reg;           /* 0-15, the register operand; of no use when has_imm */
	u8 reg_size;      /* bytes of the register operand; > size for MOVZX, MOVSX, MOVSXD */
	bool high_byte;   /* reg 0-3 means AH, CH, DH, BH */
	bool sign_extend; /* a read is sign-extended to reg_size, not zero-extended */
	bool to_reg;      /* the register is the first operand and the destination, not memory */
	bool has_imm;     /* the other operand is imm, no register */
	bool is_string;   /* MOVS, STOS, LODS: memory is at rSI, rDI; the register is rAX */
	bool rep;         /* is_string with a REP prefix: this is one iteration of rCX */
	bool plain; /* one MOV of 4 or 8 bytes: no flags, nothing to merge with what was there, no string */
	u64 imm; /* sign-extended to size bytes, zero above */
};

/*
 * Decode the instruction at @bytes, of which @len (any number; 15 are looked at) could be fetched.
 * False: cut short, longer than 15 bytes, would be #UD, has no memory operand, or is none of
 *
 *	MOV, MOVZX, MOVSX, MOVSXD, XCHG, MOVS, STOS, LODS,
 *	ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST
 *
 * The bytes may have changed since the guest executed them: compare access and size with the exit.
 */
bool mmio_decode(struct mmio_insn *insn, enum insn_mode mode, const u8 *bytes,
		 size_t len) __must_check;

/*
 * The first operand's new value, in the low @size bytes, of `op a, b`. CMP and TEST return what
 * they computed for the flags and is to be dropped; MOV and XCHG return b. The status flags in
 * @rflags are updated as the processor does (AF, where the manual leaves it undefined, is cleared,
 * which is what processors do); all other bits stay.
 */
u64 mmio_alu(enum insn_op op, unsigned int size, u64 a, u64 b, u64 *rflags);

/*
 * Do the instruction: @mem is the value read from memory (if access is READ or RMW) and becomes the
 * value to write (if WRITE or RMW); @reg is the whole 64-bit register insn->reg. Not for COPY.
 */
void mmio_apply(const struct mmio_insn *insn, u64 *mem, u64 *reg, u64 *rflags);

struct insn_string_regs {
	u64 rsi, rdi, rcx;
};

/*
 * After one iteration of a string instruction: advance the registers it uses in the direction of
 * RFLAGS.DF. True when the instruction is finished and RIP moves on.
 */
bool mmio_string_step(const struct mmio_insn *insn, u64 rflags, struct insn_string_regs *regs);

#endif
