/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/decode.h"

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
	COPY = 1 << 10,  /* memory to memory */
	ONLY64 = 1 << 11,

	/* The memory operand is narrower than the register that it is extended into. */
	FROM8 = 1 << 12,
	FROM16 = 1 << 13,
	FROM32 = 1 << 14,
	SIGNED = 1 << 15,
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
	PREFIX_REP, /* F2 too: without a condition on ZF to repeat on, both are REP */
};

#define SEGMENT_DS 3

#define REX        0x40
#define REX_W      0x08
#define REX_R      0x04

struct opcode {
	u8 op;
	u16 flags;
};

/* The opcodes `base + 0..3` of an arithmetic operation. */
/* clang-format off */
#define ALU(base, op)                                  \
	[(base) + 0] = { (op), MODRM | BYTE },          \
	[(base) + 1] = { (op), MODRM },                 \
	[(base) + 2] = { (op), MODRM | BYTE | TO_REG }, \
	[(base) + 3] = { (op), MODRM | TO_REG }
/* clang-format on */

/* "One-byte Opcode Map" and "Two-byte Opcode Map (First Byte is 0FH)" of the SDM, our part. */
static const struct opcode one_byte[256] = {
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
	[0xf2] = { PREFIX_REP, PREFIX },
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
	[0xa4] = { INSN_MOV, STRING | COPY | BYTE },
	[0xa5] = { INSN_MOV, STRING | COPY },
	[0xaa] = { INSN_MOV, STRING | BYTE },
	[0xab] = { INSN_MOV, STRING },
	[0xac] = { INSN_MOV, STRING | BYTE | TO_REG },
	[0xad] = { INSN_MOV, STRING | TO_REG },
	[0xc6] = { INSN_MOV, MODRM | REG0 | BYTE | IMM8 },
	[0xc7] = { INSN_MOV, MODRM | REG0 | IMMZ },
	[0xf6] = { INSN_TEST, MODRM | REG0 | BYTE | IMM8 },
	[0xf7] = { INSN_TEST, MODRM | REG0 | IMMZ },
};

static const struct opcode two_byte[256] = {
	[0xb6] = { INSN_MOV, MODRM | TO_REG | FROM8 },
	[0xb7] = { INSN_MOV, MODRM | TO_REG | FROM16 },
	[0xbe] = { INSN_MOV, MODRM | TO_REG | FROM8 | SIGNED },
	[0xbf] = { INSN_MOV, MODRM | TO_REG | FROM16 | SIGNED },
};

/* The instruction's bytes, and what is known of it before the operands. */
struct decoder {
	const u8 *bytes;
	size_t len, at;
	enum insn_mode mode;
	u16 prefixes; /* BIT(enum prefix) */
	u8 rex;       /* 0 = none */
	u8 segment;
	u8 operand_size; /* bytes, by mode and prefixes, of operands that are not bytes */
};

/* The next @n (up to 8) bytes as a little-endian number. */
static bool fetch(struct decoder *d, unsigned int n, u64 *value)
{
	*value = 0;
	if (n > d->len - d->at)
		return false;
	for (unsigned int i = 0; i < n; i++)
		*value |= (u64)d->bytes[d->at++] << (8 * i);
	return true;
}

static u64 size_mask(unsigned int size)
{
	return GENMASK(size * 8 - 1, 0);
}

static u64 sign_extend(u64 value, unsigned int size)
{
	const u64 sign = BIT(size * 8 - 1);

	return ((value & size_mask(size)) ^ sign) - sign;
}

/* Take the prefixes and return the opcode in *first. */
static bool fetch_prefixes(struct decoder *d, u64 *first)
{
	while (fetch(d, 1, first)) {
		const struct opcode *o = &one_byte[*first];

		if (d->mode == INSN_MODE_64 && (*first & 0xf0) == REX) {
			d->rex = (u8)*first;
			continue;
		}
		if (!(o->flags & PREFIX))
			return true;
		d->rex = 0; /* counts only directly before the opcode */
		d->prefixes |= (u16)BIT(o->op);
		if (o->op <= PREFIX_GS && (d->mode != INSN_MODE_64 || o->op >= PREFIX_FS))
			d->segment = o->op; /* 64-bit mode has no base in the others */
	}
	return false;
}

static void set_sizes(struct decoder *d, struct mmio_insn *insn)
{
	/* Bytes, without and with the prefix that changes them. */
	static const u8 operand[3][2] = {
		[INSN_MODE_16] = { 2, 4 },
		[INSN_MODE_32] = { 4, 2 },
		[INSN_MODE_64] = { 4, 2 },
	};
	static const u8 address[3][2] = {
		[INSN_MODE_16] = { 2, 4 },
		[INSN_MODE_32] = { 4, 2 },
		[INSN_MODE_64] = { 8, 4 },
	};

	d->operand_size = operand[d->mode][d->prefixes >> PREFIX_OPERAND & 1];
	if (d->rex & REX_W)
		d->operand_size = 8;
	insn->address_size = address[d->mode][d->prefixes >> PREFIX_ADDRESS & 1];
}

/* Step over what follows a ModRM byte whose r/m is memory: SIB and displacement. */
static bool skip_address(struct decoder *d, u8 modrm, unsigned int address_size)
{
	const unsigned int mod = modrm >> 6;
	const unsigned int wide = address_size == 2 ? 2 : 4;
	unsigned int base = modrm & 7;
	unsigned int displacement[3] = { 0, 1, wide };
	u64 byte, ignored;

	if (address_size != 2 && base == 4) {
		if (!fetch(d, 1, &byte))
			return false;
		base = byte & 7;
	}
	/* With mod 0, one base is taken for "none", or for RIP. */
	if (base == (address_size == 2 ? 6 : 5))
		displacement[0] = wide;
	return fetch(d, displacement[mod], &ignored);
}

static bool decode_modrm(struct decoder *d, u16 flags, struct mmio_insn *insn)
{
	u64 modrm;

	if (!fetch(d, 1, &modrm) || modrm >> 6 == 3)
		return false;
	insn->reg = modrm >> 3 & 7;
	if ((flags & REG0) && insn->reg)
		return false;
	if (flags & GROUP1)
		insn->op = (enum insn_op)insn->reg;
	if (d->rex & REX_R)
		insn->reg |= 8;
	if (insn->reg_size == 1 && !d->rex && insn->reg >= 4) {
		insn->high_byte = true;
		insn->reg -= 4;
	}
	return skip_address(d, (u8)modrm, insn->address_size);
}

static bool decode_immediate(struct decoder *d, u16 flags, struct mmio_insn *insn)
{
	const unsigned int size = flags & IMM8 ? 1 : MIN(insn->size, 4);

	if (!fetch(d, size, &insn->imm))
		return false;
	insn->imm = sign_extend(insn->imm, size) & size_mask(insn->size);
	insn->has_imm = true;
	insn->reg = 0;
	insn->high_byte = false;
	return true;
}

static unsigned int memory_size(const struct decoder *d, u16 flags)
{
	if (flags & (BYTE | FROM8))
		return 1;
	if (flags & FROM16)
		return 2;
	if (flags & FROM32)
		return MIN(d->operand_size, 4);
	return d->operand_size;
}

static bool writes_first_operand(enum insn_op op)
{
	return op != INSN_CMP && op != INSN_TEST;
}

static enum insn_access access_of(const struct mmio_insn *insn, u16 flags)
{
	if (flags & COPY)
		return INSN_COPY;
	if (insn->to_reg || !writes_first_operand(insn->op))
		return INSN_READ;
	return insn->op == INSN_MOV ? INSN_WRITE : INSN_RMW;
}

static bool decode_operands(struct decoder *d, const struct opcode *o, struct mmio_insn *insn)
{
	u64 ignored;

	insn->op = o->op;
	insn->size = (u8)memory_size(d, o->flags);
	insn->reg_size = o->flags & BYTE ? 1 : d->operand_size;
	insn->segment = d->segment;
	insn->to_reg = o->flags & TO_REG;
	insn->sign_extend = o->flags & SIGNED;
	insn->is_string = o->flags & STRING;
	insn->rep = insn->is_string && (d->prefixes & BIT(PREFIX_REP));

	if ((o->flags & MODRM) && !decode_modrm(d, o->flags, insn))
		return false;
	if ((o->flags & MOFFS) && !fetch(d, insn->address_size, &ignored))
		return false;
	if ((o->flags & (IMM8 | IMMZ)) && !decode_immediate(d, o->flags, insn))
		return false;
	insn->access = access_of(insn, o->flags);
	insn->plain = insn->op == INSN_MOV && insn->size >= 4 && insn->reg_size == insn->size &&
		      insn->access != INSN_COPY && !insn->is_string;
	return true;
}

bool mmio_decode(struct mmio_insn *insn, enum insn_mode mode, const u8 *bytes, size_t len)
{
	struct decoder d = {
		.bytes = bytes,
		.len = MIN(len, (size_t)INSN_MAX_LENGTH),
		.mode = mode,
		.segment = SEGMENT_DS,
	};
	const struct opcode *map = one_byte;
	u64 opcode;

	*insn = (struct mmio_insn){ 0 };
	if (!fetch_prefixes(&d, &opcode))
		return false;
	if (opcode == 0x0f) {
		map = two_byte;
		if (!fetch(&d, 1, &opcode))
			return false;
	}
	if (!map[opcode].flags || ((map[opcode].flags & ONLY64) && mode != INSN_MODE_64))
		return false;
	set_sizes(&d, insn);
	if (!decode_operands(&d, &map[opcode], insn))
		return false;
	/* LOCK on anything that does not read and write one place is #UD. */
	if ((d.prefixes & BIT(PREFIX_LOCK)) && insn->access != INSN_RMW)
		return false;
	insn->length = (u8)d.at;
	return true;
}

/* The status flags: SDM, "EFLAGS Register". */
#define FLAG_CF      BIT(0)
#define FLAG_PF      BIT(2)
#define FLAG_AF      BIT(4)
#define FLAG_ZF      BIT(6)
#define FLAG_SF      BIT(7)
#define FLAG_DF      BIT(10)
#define FLAG_OF      BIT(11)
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static bool parity_even(u64 value)
{
	const unsigned int nibble = (unsigned int)(value ^ value >> 4) & 0xf;

	return 0x9669 >> nibble & 1; /* bit n: has n an even number of ones? */
}

/* Bit i of @carries is the carry (or borrow) out of bit i, of @overflow the sign's surprise. */
static u64 status_flags(unsigned int size, u64 result, u64 carries, u64 overflow)
{
	const u64 sign = BIT(size * 8 - 1);

	return (carries & sign ? FLAG_CF : 0) | (carries & BIT(3) ? FLAG_AF : 0) |
	       (overflow & sign ? FLAG_OF : 0) | (result & sign ? FLAG_SF : 0) |
	       (result ? 0 : FLAG_ZF) | (parity_even(result) ? FLAG_PF : 0);
}

u64 mmio_alu(enum insn_op op, unsigned int size, u64 a, u64 b, u64 *rflags)
{
	const u64 mask = size_mask(size);
	const u64 carry_in = op == INSN_ADC || op == INSN_SBB ? *rflags & FLAG_CF : 0;
	u64 result, carries = 0, overflow = 0;

	a &= mask;
	b &= mask;
	switch (op) {
	case INSN_ADD:
	case INSN_ADC:
		result = (a + b + carry_in) & mask;
		carries = (a & b) | ((a | b) & ~result);
		overflow = (a ^ result) & (b ^ result);
		break;
	case INSN_SUB:
	case INSN_SBB:
	case INSN_CMP:
		result = (a - b - carry_in) & mask;
		carries = (~a & b) | ((~a | b) & result);
		overflow = (a ^ b) & (a ^ result);
		break;
	case INSN_OR: result = a | b; break;
	case INSN_AND:
	case INSN_TEST: result = a & b; break;
	case INSN_XOR: result = a ^ b; break;
	case INSN_MOV:
	case INSN_XCHG:
	default: return b;
	}
	*rflags = (*rflags & ~FLAGS_STATUS) | status_flags(size, result, carries, overflow);
	return result;
}

/* A register after a write of its low @size bytes: 4 bytes clear the upper half, 1 and 2 do not. */
static u64 merge(u64 old, u64 value, unsigned int size)
{
	const u64 kept = size < 4 ? ~size_mask(size) : 0;

	return (old & kept) | (value & size_mask(size));
}

static u64 register_value(const struct mmio_insn *insn, u64 reg)
{
	return insn->high_byte ? reg >> 8 : reg;
}

static u64 register_update(const struct mmio_insn *insn, u64 old, u64 value)
{
	if (insn->high_byte)
		return (old & ~0xff00ULL) | (value & 0xff) << 8;
	if (insn->sign_extend)
		value = sign_extend(value, insn->size);
	return merge(old, value, insn->reg_size);
}

void mmio_apply(const struct mmio_insn *insn, u64 *mem, u64 *reg, u64 *rflags)
{
	const u64 old_mem = *mem & size_mask(insn->size);
	const u64 other = insn->has_imm ? insn->imm : register_value(insn, *reg);
	u64 result;

	if (insn->to_reg) {
		result = mmio_alu(insn->op, insn->size, other, old_mem, rflags);
		if (writes_first_operand(insn->op))
			*reg = register_update(insn, *reg, result);
		return;
	}
	result = mmio_alu(insn->op, insn->size, old_mem, other, rflags);
	if (writes_first_operand(insn->op))
		*mem = result;
	if (insn->op == INSN_XCHG)
		*reg = register_update(insn, *reg, old_mem);
}

bool mmio_string_step(const struct mmio_insn *insn, u64 rflags, struct insn_string_regs *regs)
{
	const unsigned int width = insn->address_size;
	const u64 step = rflags & FLAG_DF ? 0 - (u64)insn->size : insn->size;

	if (insn->access != INSN_WRITE)
		regs->rsi = merge(regs->rsi, regs->rsi + step, width);
	if (insn->access != INSN_READ)
		regs->rdi = merge(regs->rdi, regs->rdi + step, width);
	if (!insn->rep)
		return true;
	regs->rcx = merge(regs->rcx, regs->rcx - 1, width);
	return !(regs->rcx & size_mask(width));
}
