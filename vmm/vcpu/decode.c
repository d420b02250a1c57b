/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/decode.h"
#include "vmm/vcpu/opcodes.h"

#define SEGMENT_DS 3

#define REX        0x40
#define REX_W      0x08
#define REX_R      0x04

/* The instruction's bytes, and what is known of it before the operands. */
struct decoder {
	const u8 *bytes;
	size_t len, at;
	enum insn_mode mode;
	u16 prefixes; /* BIT(enum prefix) */
	u8 rex;       /* 0 = none */
	u8 segment;
	u8 rep;          /* PREFIX_REPNE or PREFIX_REP, whichever came last; 0: none */
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
		const struct opcode *o = &opcodes_one_byte[*first];

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
		if (o->op >= PREFIX_REPNE)
			d->rep = o->op;
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

/* A ModRM byte whose r/m is memory, and the address that it begins. */
static bool fetch_modrm(struct decoder *d, unsigned int address_size, u8 *reg)
{
	u64 modrm;

	if (!fetch(d, 1, &modrm) || modrm >> 6 == 3)
		return false;
	*reg = modrm >> 3 & 7;
	return skip_address(d, (u8)modrm, address_size);
}

/* Groups whose ModRM.reg is more of the opcode. The operand of those without one is taken for the number 1. */
static bool decode_group(u32 *flags, struct mmio_insn *insn)
{
	static const u8 group3[8] = { [0] = INSN_TEST, [2] = INSN_NOT, [3] = INSN_NEG };
	const u8 reg = insn->reg;

	insn->has_imm = *flags & (GROUP3 | GROUP5 | NO_REG);
	if (insn->has_imm)
		insn->imm = 1;
	if (*flags & GROUP1)
		insn->op = (enum insn_op)reg;
	if (*flags & GROUP3)
		insn->op = (enum insn_op)group3[reg];
	if (insn->op != INSN_TEST && (*flags & GROUP3))
		*flags &= ~(u32)(IMM8 | IMMZ);
	if (*flags & GROUP5)
		insn->op = reg ? INSN_DEC : INSN_INC;
	if (*flags & GROUP8)
		insn->op = (enum insn_op)(INSN_BT + (reg & 3));
	return !((*flags & REG0) && reg) && !((*flags & GROUP3) && !group3[reg]) &&
	       !((*flags & GROUP5) && reg > 1) && !((*flags & GROUP8) && reg < 4);
}

static bool decode_modrm(struct decoder *d, u32 *flags, struct mmio_insn *insn)
{
	if (!fetch_modrm(d, insn->address_size, &insn->reg) || !decode_group(flags, insn))
		return false;
	if (d->rex & REX_R)
		insn->reg |= 8;
	if (insn->reg_size == 1 && !d->rex && insn->reg >= 4) {
		insn->high_byte = true;
		insn->reg -= 4;
	}
	if (insn->has_imm) {
		insn->reg = 0;
		insn->high_byte = false;
	}
	return true;
}

static bool decode_immediate(struct decoder *d, u32 flags, struct mmio_insn *insn)
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

static unsigned int memory_size(const struct decoder *d, u32 flags)
{
	if (flags & (BYTE | FROM8))
		return 1;
	if (flags & FROM16)
		return 2;
	if (flags & FROM32)
		return MIN(d->operand_size, 4);
	return d->operand_size;
}

static enum insn_access access_of(const struct mmio_insn *insn, u32 flags)
{
	if (flags & TWO)
		return insn->op == INSN_MOV ? INSN_COPY : INSN_COMPARE;
	if (insn->to_reg || insn->op == INSN_CMP || insn->op == INSN_TEST || insn->op == INSN_BT)
		return INSN_READ;
	if (insn->op == INSN_MOV || insn->op == INSN_MOVBE || insn->op == INSN_SET)
		return INSN_WRITE;
	return INSN_RMW;
}

static bool decode_operands(struct decoder *d, const struct opcode *o, u8 opcode,
			    struct mmio_insn *insn)
{
	u32 flags = o->flags;
	u64 ignored;

	if (flags & DWORD)
		d->operand_size = MAX(d->operand_size, 4);
	insn->op = (enum insn_op)o->op;
	insn->size = (u8)memory_size(d, flags);
	insn->reg_size = flags & BYTE ? 1 : d->operand_size;
	insn->segment = d->segment;
	insn->to_reg = flags & TO_REG;
	insn->sign_extend = flags & SIGNED;
	insn->is_string = flags & STRING;
	insn->rep = insn->is_string && d->rep;
	insn->repne = insn->is_string && d->rep == PREFIX_REPNE;
	insn->condition = opcode & 0xf;

	if ((flags & MODRM) && !decode_modrm(d, &flags, insn))
		return false;
	if ((flags & MOFFS) && !fetch(d, insn->address_size, &ignored))
		return false;
	if ((flags & (IMM8 | IMMZ)) && !decode_immediate(d, flags, insn))
		return false;
	insn->access = access_of(insn, flags);
	insn->above = (u8)(64 - 8 * insn->size);
	insn->plain = insn->op == INSN_MOV && insn->reg_size == insn->size &&
		      insn->size >= (insn->access == INSN_READ ? 4 : 2) &&
		      insn->access != INSN_COPY && !insn->is_string;
	return true;
}

static bool decode_general(struct decoder *d, const struct opcode *o, u8 opcode,
			   struct mmio_insn *insn)
{
	if (!o->flags || ((o->flags & ONLY64) && d->mode != INSN_MODE_64) ||
	    ((o->flags & DWORD) && (d->prefixes & BIT(PREFIX_OPERAND))) ||
	    ((o->flags & NO_REP) && d->rep))
		return false;
	return decode_operands(d, o, opcode, insn);
}

/* What an encoding says of a vector move, before the ModRM byte. */
struct vector_form {
	enum insn_regs regs;
	unsigned int map, prefix; /* as VEX has them */
	bool w;
	u8 length;   /* L or L'L: 16 bytes and up */
	u8 reg_high; /* bits 4:3 of the register's number, in place */
};

static bool decode_vector(struct decoder *d, const struct vector_form *f, u64 opcode,
			  struct mmio_insn *insn)
{
	static const u8 encoding[2][4] = { { 0, V_SSE, V_VEX, V_EVEX0 },
					   { 0, V_SSE, V_VEX, V_EVEX1 } };
	const struct vector_move *v =
		opcodes_vector(encoding[f->w][f->regs], f->map, f->prefix, opcode);

	if (!v || f->length > 2 || (v->size && f->length && !(v->flags & V_SCALAR)))
		return false;
	if (!fetch_modrm(d, insn->address_size, &insn->reg))
		return false;
	insn->op = INSN_MOV;
	insn->regs = f->regs;
	insn->reg |= f->reg_high;
	insn->segment = d->segment;
	insn->to_reg = !(v->flags & V_STORE);
	insn->access = insn->to_reg ? INSN_READ : INSN_WRITE;
	insn->size = v->size ? v->size : (u8)(16 << f->length);
	if (v->size == V_D_OR_Q)
		insn->size = f->w && d->mode == INSN_MODE_64 ? 8 : 4;
	insn->reg_size = insn->size;
	insn->reg_offset = v->flags & V_HIGH ? 8 : 0;
	insn->merge = v->flags & V_MERGE;
	return true;
}

static bool decode_sse(struct decoder *d, unsigned int map, u64 opcode, struct mmio_insn *insn)
{
	const struct vector_form f = {
		.regs = INSN_SSE,
		.map = map,
		.prefix = d->rep == PREFIX_REP                ? VP_F3
			  : d->rep == PREFIX_REPNE            ? VP_F2
			  : d->prefixes & BIT(PREFIX_OPERAND) ? VP_66
							      : VP_NONE,
		.w = d->rex & REX_W,
		.reg_high = d->rex & REX_R ? 8 : 0,
	};

	return decode_vector(d, &f, opcode, insn);
}

/* Opcodes of VEX and EVEX, which outside of 64-bit mode are also LES, LDS and BOUND. */
#define VEX3 0xc4
#define VEX2 0xc5
#define EVEX 0x62

/* Field vvvv of them if there is no third operand. */
#define VVVV 0x78

static bool fetch_vex(struct decoder *d, u64 first, struct vector_form *f)
{
	u64 rxb = 0xe1, rest; /* none of R, X and B, which are stored inverted; map 1 */

	if (first == VEX3 && !fetch(d, 1, &rxb))
		return false;
	if (!fetch(d, 1, &rest))
		return false;
	f->regs = INSN_VEX;
	f->map = rxb & 0x1f;
	f->prefix = rest & 3;
	f->w = first == VEX3 && (rest & 0x80);
	f->length = rest >> 2 & 1;
	f->reg_high = (first == VEX3 ? rxb : rest) & 0x80 ? 0 : 8;
	return (rest & VVVV) == VVVV;
}

static bool fetch_evex(struct decoder *d, struct vector_form *f)
{
	u64 p0, p1, p2;

	if (!fetch(d, 1, &p0) || !fetch(d, 1, &p1) || !fetch(d, 1, &p2))
		return false;
	f->regs = INSN_EVEX;
	f->map = p0 & 7;
	f->prefix = p1 & 3;
	f->w = p1 & 0x80;
	f->length = p2 >> 5 & 3;
	f->reg_high = (p0 & 0x80 ? 0 : 8) | (p0 & 0x10 ? 0 : 16);
	/* Bits that are fixed; no mask (aaa, z), no broadcast (b), V' of a third operand that is none. */
	return !(p0 & 8) && (p1 & (VVVV | 4)) == (VVVV | 4) && (p2 & 0x9f) == 8;
}

static bool is_vex(const struct decoder *d, u64 first)
{
	if (first != VEX2 && first != VEX3 && first != EVEX)
		return false;
	if (d->mode == INSN_MODE_64)
		return true;
	return d->mode == INSN_MODE_32 && d->at < d->len && d->bytes[d->at] >= 0xc0;
}

static bool decode_vex(struct decoder *d, u64 first, struct mmio_insn *insn)
{
	const u16 none =
		BIT(PREFIX_OPERAND) | BIT(PREFIX_LOCK) | BIT(PREFIX_REP) | BIT(PREFIX_REPNE);
	struct vector_form f;
	u64 opcode;

	if (d->rex || (d->prefixes & none))
		return false;
	if (!(first == EVEX ? fetch_evex(d, &f) : fetch_vex(d, first, &f)))
		return false;
	if (d->mode != INSN_MODE_64 && f.reg_high)
		return false;
	return fetch(d, 1, &opcode) && decode_vector(d, &f, opcode, insn);
}

static bool decode_two_byte(struct decoder *d, struct mmio_insn *insn)
{
	const struct opcode *map = opcodes_two_byte;
	unsigned int number = 1;
	u64 opcode;

	if (!fetch(d, 1, &opcode))
		return false;
	if (opcode == 0x38) {
		map = opcodes_0f38;
		number = 2;
		if (!fetch(d, 1, &opcode))
			return false;
	}
	return map[opcode].flags ? decode_general(d, &map[opcode], (u8)opcode, insn)
				 : decode_sse(d, number, opcode, insn);
}

bool mmio_decode(struct mmio_insn *insn, enum insn_mode mode, const u8 *bytes, size_t len)
{
	struct decoder d = {
		.bytes = bytes,
		.len = MIN(len, (size_t)INSN_MAX_LENGTH),
		.mode = mode,
		.segment = SEGMENT_DS,
	};
	u64 opcode;
	bool known;

	*insn = (struct mmio_insn){ 0 };
	if (!fetch_prefixes(&d, &opcode))
		return false;
	set_sizes(&d, insn);
	if (opcode == 0x0f)
		known = decode_two_byte(&d, insn);
	else if (is_vex(&d, opcode))
		known = decode_vex(&d, opcode, insn);
	else
		known = decode_general(&d, &opcodes_one_byte[opcode], (u8)opcode, insn);
	/* LOCK on anything that does not read and write one place is #UD. */
	if (!known || ((d.prefixes & BIT(PREFIX_LOCK)) && insn->access != INSN_RMW))
		return false;
	insn->length = (u8)d.at;
	return true;
}
