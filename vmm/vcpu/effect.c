/* SPDX-License-Identifier: BSD-2-Clause */
/* What the instructions of decode.h compute. */
#include "vmm/vcpu/decode.h"

static u64 size_mask(unsigned int size)
{
	return GENMASK(size * 8 - 1, 0);
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

static u64 byte_swap(unsigned int size, u64 value)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

/* BT and its kin: CF is the bit, and the other flags stay. */
static u64 bit_op(enum insn_op op, unsigned int size, u64 a, u64 b, u64 *rflags)
{
	const u64 bit = BIT(b & (size * 8 - 1));

	*rflags = (*rflags & ~FLAG_CF) | (a & bit ? FLAG_CF : 0);
	switch (op) {
	case INSN_BTS: return a | bit;
	case INSN_BTR: return a & ~bit;
	case INSN_BTC: return a ^ bit;
	default: return a;
	}
}

static u64 add(unsigned int size, u64 a, u64 b, u64 carry_in, u64 *rflags)
{
	const u64 result = (a + b + carry_in) & size_mask(size);
	const u64 flags = status_flags(size, result, (a & b) | ((a | b) & ~result),
				       (a ^ result) & (b ^ result));

	*rflags = (*rflags & ~FLAGS_STATUS) | flags;
	return result;
}

static u64 subtract(unsigned int size, u64 a, u64 b, u64 borrow_in, u64 *rflags)
{
	const u64 result = (a - b - borrow_in) & size_mask(size);
	const u64 flags =
		status_flags(size, result, (~a & b) | ((~a | b) & result), (a ^ b) & (a ^ result));

	*rflags = (*rflags & ~FLAGS_STATUS) | flags;
	return result;
}

static u64 logic(unsigned int size, u64 result, u64 *rflags)
{
	*rflags = (*rflags & ~FLAGS_STATUS) | status_flags(size, result, 0, 0);
	return result;
}

/* INC and DEC leave CF alone. */
static u64 keep_carry(u64 result, u64 old, u64 *rflags)
{
	*rflags = (*rflags & ~FLAG_CF) | (old & FLAG_CF);
	return result;
}

u64 mmio_alu(enum insn_op op, unsigned int size, u64 a, u64 b, u64 *rflags)
{
	const u64 mask = size_mask(size), old = *rflags, carry = old & FLAG_CF;

	a &= mask;
	b &= mask;
	switch (op) {
	case INSN_ADD:
	case INSN_XADD: return add(size, a, b, 0, rflags);
	case INSN_ADC: return add(size, a, b, carry, rflags);
	case INSN_SUB:
	case INSN_CMP: return subtract(size, a, b, 0, rflags);
	case INSN_SBB: return subtract(size, a, b, carry, rflags);
	case INSN_INC: return keep_carry(add(size, a, 1, 0, rflags), old, rflags);
	case INSN_DEC: return keep_carry(subtract(size, a, 1, 0, rflags), old, rflags);
	case INSN_NEG: return subtract(size, 0, a, 0, rflags);
	case INSN_OR: return logic(size, a | b, rflags);
	case INSN_AND:
	case INSN_TEST: return logic(size, a & b, rflags);
	case INSN_XOR: return logic(size, a ^ b, rflags);
	case INSN_NOT: return ~a & mask;
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC: return bit_op(op, size, a, b, rflags);
	case INSN_MOVBE: return byte_swap(size, b);
	default: return b;
	}
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

static u64 sign_extend(u64 value, unsigned int size)
{
	const u64 sign = BIT(size * 8 - 1);

	return ((value & size_mask(size)) ^ sign) - sign;
}

static u64 register_update(const struct mmio_insn *insn, u64 old, u64 value)
{
	if (insn->high_byte)
		return (old & ~0xff00ULL) | (value & 0xff) << 8;
	if (insn->sign_extend)
		value = sign_extend(value, insn->size);
	return merge(old, value, insn->reg_size);
}

/* SDM, "EFLAGS Condition Codes". */
static bool condition_holds(u8 condition, u64 rflags)
{
	const bool less = !(rflags & FLAG_SF) != !(rflags & FLAG_OF);
	const bool of_even[8] = {
		rflags & FLAG_OF,
		rflags & FLAG_CF,
		rflags & FLAG_ZF,
		rflags & (FLAG_CF | FLAG_ZF),
		rflags & FLAG_SF,
		rflags & FLAG_PF,
		less,
		less || (rflags & FLAG_ZF),
	};

	return of_even[condition >> 1 & 7] != (condition & 1);
}

static void compare_exchange(const struct mmio_insn *insn, u64 old_mem, struct insn_values *v)
{
	mmio_alu(INSN_CMP, insn->size, v->rax, old_mem, &v->rflags);
	if (v->rflags & FLAG_ZF)
		v->mem = register_value(insn, v->reg) & size_mask(insn->size);
	else
		v->rax = merge(v->rax, old_mem, insn->size);
}

/* The register is the first operand. */
static void apply_to_reg(const struct mmio_insn *insn, u64 old_mem, struct insn_values *v)
{
	const u64 old = register_value(insn, v->reg);
	u64 result;

	if (insn->op == INSN_CMOV)
		result = condition_holds(insn->condition, v->rflags) ? old_mem : old;
	else
		result = mmio_alu(insn->op, insn->size, old, old_mem, &v->rflags);
	if (insn->op != INSN_CMP)
		v->reg = register_update(insn, v->reg, result);
}

void mmio_apply(const struct mmio_insn *insn, struct insn_values *v)
{
	const u64 old_mem = v->mem & size_mask(insn->size);
	const u64 other = insn->has_imm ? insn->imm : register_value(insn, v->reg);

	v->mem = old_mem;
	if (insn->to_reg) {
		apply_to_reg(insn, old_mem, v);
		return;
	}
	switch (insn->op) {
	case INSN_CMPXCHG: compare_exchange(insn, old_mem, v); break;
	case INSN_SET: v->mem = condition_holds(insn->condition, v->rflags); break;
	default: v->mem = mmio_alu(insn->op, insn->size, old_mem, other, &v->rflags);
	}
	if (insn->op == INSN_XCHG || insn->op == INSN_XADD)
		v->reg = register_update(insn, v->reg, old_mem);
}

/* Which of rSI and rDI point to memory? LODS reads by rSI, SCAS by rDI. */
static bool uses_rsi(const struct mmio_insn *insn)
{
	return insn->access == INSN_COPY || insn->access == INSN_COMPARE ||
	       (insn->access == INSN_READ && insn->op == INSN_MOV);
}

static bool uses_rdi(const struct mmio_insn *insn)
{
	return insn->access != INSN_READ || insn->op == INSN_CMP;
}

bool mmio_string_step(const struct mmio_insn *insn, u64 rflags, struct insn_string_regs *regs)
{
	const unsigned int width = insn->address_size;
	const u64 step = rflags & FLAG_DF ? 0 - (u64)insn->size : insn->size;

	if (uses_rsi(insn))
		regs->rsi = merge(regs->rsi, regs->rsi + step, width);
	if (uses_rdi(insn))
		regs->rdi = merge(regs->rdi, regs->rdi + step, width);
	if (!insn->rep)
		return true;
	regs->rcx = merge(regs->rcx, regs->rcx - 1, width);
	if (insn->op == INSN_CMP && insn->repne == !!(rflags & FLAG_ZF))
		return true;
	return !(regs->rcx & size_mask(width));
}
