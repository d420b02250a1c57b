/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MMIO decoder against two oracles: Zydis for what the bytes mean, and the processor that runs
 * this test for what the instruction does.
 */
#include "vmm/vcpu/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <Zydis/Zydis.h>

#define RANDOM_CASES 2500000

static u64 random_state = 0x11e1;

static u64 random_64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned int random_below(unsigned int n)
{
	return (unsigned int)((random_64() >> 32) % n);
}

/* Zydis's view of one instruction, reduced to what we claim. */

struct oracle {
	bool decoded;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	const ZydisDecodedOperand *mem, *other;
	bool masked, third; /* a mask that is one; one operand more */
	bool vector;
	enum insn_mode mode;
	int op; /* enum insn_op, -1 = not one of ours */
};

static const struct {
	ZydisMnemonic mnemonic;
	enum insn_op op;
} claimed[] = {
	{ ZYDIS_MNEMONIC_ADD, INSN_ADD },    { ZYDIS_MNEMONIC_OR, INSN_OR },
	{ ZYDIS_MNEMONIC_ADC, INSN_ADC },    { ZYDIS_MNEMONIC_SBB, INSN_SBB },
	{ ZYDIS_MNEMONIC_AND, INSN_AND },    { ZYDIS_MNEMONIC_SUB, INSN_SUB },
	{ ZYDIS_MNEMONIC_XOR, INSN_XOR },    { ZYDIS_MNEMONIC_CMP, INSN_CMP },
	{ ZYDIS_MNEMONIC_TEST, INSN_TEST },  { ZYDIS_MNEMONIC_MOV, INSN_MOV },
	{ ZYDIS_MNEMONIC_MOVZX, INSN_MOV },  { ZYDIS_MNEMONIC_MOVSX, INSN_MOV },
	{ ZYDIS_MNEMONIC_MOVSXD, INSN_MOV }, { ZYDIS_MNEMONIC_XCHG, INSN_XCHG },
	{ ZYDIS_MNEMONIC_STOSB, INSN_MOV },  { ZYDIS_MNEMONIC_STOSW, INSN_MOV },
	{ ZYDIS_MNEMONIC_STOSD, INSN_MOV },  { ZYDIS_MNEMONIC_STOSQ, INSN_MOV },
	{ ZYDIS_MNEMONIC_LODSB, INSN_MOV },  { ZYDIS_MNEMONIC_LODSW, INSN_MOV },
	{ ZYDIS_MNEMONIC_LODSD, INSN_MOV },  { ZYDIS_MNEMONIC_LODSQ, INSN_MOV },
	{ ZYDIS_MNEMONIC_MOVSB, INSN_MOV },  { ZYDIS_MNEMONIC_MOVSW, INSN_MOV },
	{ ZYDIS_MNEMONIC_MOVSD, INSN_MOV },  { ZYDIS_MNEMONIC_MOVSQ, INSN_MOV },
	{ ZYDIS_MNEMONIC_CMPSB, INSN_CMP },  { ZYDIS_MNEMONIC_CMPSW, INSN_CMP },
	{ ZYDIS_MNEMONIC_CMPSD, INSN_CMP },  { ZYDIS_MNEMONIC_CMPSQ, INSN_CMP },
	{ ZYDIS_MNEMONIC_SCASB, INSN_CMP },  { ZYDIS_MNEMONIC_SCASW, INSN_CMP },
	{ ZYDIS_MNEMONIC_SCASD, INSN_CMP },  { ZYDIS_MNEMONIC_SCASQ, INSN_CMP },
	{ ZYDIS_MNEMONIC_MOVNTI, INSN_MOV }, { ZYDIS_MNEMONIC_MOVBE, INSN_MOVBE },
	{ ZYDIS_MNEMONIC_INC, INSN_INC },    { ZYDIS_MNEMONIC_DEC, INSN_DEC },
	{ ZYDIS_MNEMONIC_NOT, INSN_NOT },    { ZYDIS_MNEMONIC_NEG, INSN_NEG },
	{ ZYDIS_MNEMONIC_BT, INSN_BT },      { ZYDIS_MNEMONIC_BTS, INSN_BTS },
	{ ZYDIS_MNEMONIC_BTR, INSN_BTR },    { ZYDIS_MNEMONIC_BTC, INSN_BTC },
	{ ZYDIS_MNEMONIC_XADD, INSN_XADD },  { ZYDIS_MNEMONIC_CMPXCHG, INSN_CMPXCHG },
};

/* The moves of vectors. */
static const ZydisMnemonic vector_moves[] = {
	ZYDIS_MNEMONIC_MOVUPS,    ZYDIS_MNEMONIC_MOVUPD,    ZYDIS_MNEMONIC_MOVSS,
	ZYDIS_MNEMONIC_MOVSD,     ZYDIS_MNEMONIC_MOVLPS,    ZYDIS_MNEMONIC_MOVLPD,
	ZYDIS_MNEMONIC_MOVHPS,    ZYDIS_MNEMONIC_MOVHPD,    ZYDIS_MNEMONIC_MOVAPS,
	ZYDIS_MNEMONIC_MOVAPD,    ZYDIS_MNEMONIC_MOVNTPS,   ZYDIS_MNEMONIC_MOVNTPD,
	ZYDIS_MNEMONIC_MOVD,      ZYDIS_MNEMONIC_MOVQ,      ZYDIS_MNEMONIC_MOVDQA,
	ZYDIS_MNEMONIC_MOVDQU,    ZYDIS_MNEMONIC_MOVNTDQ,   ZYDIS_MNEMONIC_LDDQU,
	ZYDIS_MNEMONIC_MOVNTDQA,  ZYDIS_MNEMONIC_VMOVUPS,   ZYDIS_MNEMONIC_VMOVUPD,
	ZYDIS_MNEMONIC_VMOVSS,    ZYDIS_MNEMONIC_VMOVSD,    ZYDIS_MNEMONIC_VMOVLPS,
	ZYDIS_MNEMONIC_VMOVLPD,   ZYDIS_MNEMONIC_VMOVHPS,   ZYDIS_MNEMONIC_VMOVHPD,
	ZYDIS_MNEMONIC_VMOVAPS,   ZYDIS_MNEMONIC_VMOVAPD,   ZYDIS_MNEMONIC_VMOVNTPS,
	ZYDIS_MNEMONIC_VMOVNTPD,  ZYDIS_MNEMONIC_VMOVD,     ZYDIS_MNEMONIC_VMOVQ,
	ZYDIS_MNEMONIC_VMOVDQA,   ZYDIS_MNEMONIC_VMOVDQU,   ZYDIS_MNEMONIC_VMOVNTDQ,
	ZYDIS_MNEMONIC_VLDDQU,    ZYDIS_MNEMONIC_VMOVNTDQA, ZYDIS_MNEMONIC_VMOVDQA32,
	ZYDIS_MNEMONIC_VMOVDQA64, ZYDIS_MNEMONIC_VMOVDQU8,  ZYDIS_MNEMONIC_VMOVDQU16,
	ZYDIS_MNEMONIC_VMOVDQU32, ZYDIS_MNEMONIC_VMOVDQU64,
};

static ZydisDecoder decoders[3];

static int setup_decoders(void **state)
{
	(void)state;
	ZydisDecoderInit(&decoders[INSN_MODE_16], ZYDIS_MACHINE_MODE_LEGACY_16,
			 ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&decoders[INSN_MODE_32], ZYDIS_MACHINE_MODE_LEGACY_32,
			 ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoders[INSN_MODE_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return 0;
}

static bool is_mask(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_K0 && reg <= ZYDIS_REGISTER_K7;
}

/* Which of its operands is memory, and which is the register or immediate. */
static void oracle_operands(struct oracle *o)
{
	for (unsigned int i = 0; i < o->insn.operand_count; i++) {
		const ZydisDecodedOperand *p = &o->operand[i];

		if (p->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
		    o->insn.meta.category != ZYDIS_CATEGORY_STRINGOP)
			continue;
		if (p->type == ZYDIS_OPERAND_TYPE_MEMORY && !o->mem)
			o->mem = p;
		else if (p->type == ZYDIS_OPERAND_TYPE_REGISTER && is_mask(p->reg.value))
			o->masked = p->reg.value != ZYDIS_REGISTER_K0;
		else if (!o->other)
			o->other = p;
		else if (p->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			o->third = true;
	}
}

static void oracle_vector(struct oracle *o)
{
	if (o->insn.meta.category == ZYDIS_CATEGORY_STRINGOP)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(vector_moves); i++)
		o->vector = o->vector || vector_moves[i] == o->insn.mnemonic;
	if (o->vector)
		o->op = INSN_MOV;
}

static void oracle_decode(struct oracle *o, enum insn_mode mode, const u8 *bytes, size_t len)
{
	memset(o, 0, sizeof(*o));
	o->op = -1;
	o->mode = mode;
	o->decoded = ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(&decoders[mode], bytes, len, &o->insn, o->operand));
	if (!o->decoded)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(claimed); i++) {
		if (claimed[i].mnemonic == o->insn.mnemonic)
			o->op = (int)claimed[i].op;
	}
	if (o->insn.meta.category == ZYDIS_CATEGORY_CMOV)
		o->op = INSN_CMOV;
	if (o->insn.meta.category == ZYDIS_CATEGORY_SETCC)
		o->op = INSN_SET;
	oracle_operands(o);
	oracle_vector(o);
}

static bool is_gpr(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15;
}

static unsigned int vector_number(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_ZMM0 && reg <= ZYDIS_REGISTER_ZMM31)
		return (unsigned int)(reg - ZYDIS_REGISTER_ZMM0);
	if (reg >= ZYDIS_REGISTER_YMM0 && reg <= ZYDIS_REGISTER_YMM31)
		return (unsigned int)(reg - ZYDIS_REGISTER_YMM0);
	if (reg >= ZYDIS_REGISTER_XMM0 && reg <= ZYDIS_REGISTER_XMM31)
		return (unsigned int)(reg - ZYDIS_REGISTER_XMM0);
	return 99;
}

/* Moves of vectors but for MMX, masks, and loads that merge with a third operand. VEX is no part of 16-bit code. */
static bool oracle_demands_vector(const struct oracle *o)
{
	if (o->masked || o->third || !o->other || vector_number(o->other->reg.value) == 99)
		return false;
	return o->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY || o->mode == INSN_MODE_64 ||
	       (o->mode == INSN_MODE_32 && o->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX);
}

/*
 * Must we take it? Everything that Zydis calls by one of our mnemonics and that touches memory,
 * but for these forms, which no compiler emits for a device register.
 */
static bool oracle_demands(const struct oracle *o)
{
	const bool one_byte = o->insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;

	if (!o->decoded || o->op < 0 || !o->mem)
		return false;
	if (o->vector)
		return oracle_demands_vector(o);
	if (o->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	/* MOV to and from segment registers. */
	if (o->other && o->other->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    !is_gpr(o->other->reg.value) && o->insn.meta.category != ZYDIS_CATEGORY_STRINGOP)
		return false;
	/* Second encodings of group 1 and of TEST that the manual leaves out. */
	if (one_byte && o->insn.opcode == 0x82)
		return false;
	if (one_byte && (o->insn.opcode == 0xf6 || o->insn.opcode == 0xf7) &&
	    o->insn.raw.modrm.reg == 1)
		return false;
	return true;
}

/* Our numbering of a general register; in *high whether it is AH..BH. */
static unsigned int gpr_number(ZydisRegister reg, bool *high)
{
	*high = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
	if (reg >= ZYDIS_REGISTER_R8B && reg <= ZYDIS_REGISTER_R15B)
		return (unsigned int)(reg - ZYDIS_REGISTER_R8B) + 8;
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_DIL)
		return (unsigned int)(reg - ZYDIS_REGISTER_SPL) + 4;
	if (*high)
		return (unsigned int)(reg - ZYDIS_REGISTER_AH);
	if (reg <= ZYDIS_REGISTER_BL)
		return (unsigned int)(reg - ZYDIS_REGISTER_AL);
	if (reg >= ZYDIS_REGISTER_RAX)
		return (unsigned int)(reg - ZYDIS_REGISTER_RAX);
	if (reg >= ZYDIS_REGISTER_EAX)
		return (unsigned int)(reg - ZYDIS_REGISTER_EAX);
	return (unsigned int)(reg - ZYDIS_REGISTER_AX);
}

static bool same_register(const struct mmio_insn *insn, const ZydisDecodedOperand *p)
{
	bool high;
	const unsigned int number = gpr_number(p->reg.value, &high);

	return !insn->has_imm && insn->reg == number && insn->high_byte == high &&
	       insn->reg_size == p->size / 8;
}

static bool same_immediate(const struct mmio_insn *insn, const ZydisDecodedOperand *p)
{
	const bool bit = insn->op >= INSN_BT && insn->op <= INSN_BTC; /* a number modulo the size */
	const u64 mask = bit ? insn->size * 8 - 1 : GENMASK(insn->size * 8 - 1, 0);
	const u64 value = p->imm.is_signed ? (u64)p->imm.value.s : p->imm.value.u;

	return insn->has_imm && (bit ? insn->imm & mask : insn->imm) == (value & mask);
}

static enum insn_access oracle_access(const struct oracle *o)
{
	const bool reads = o->mem->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
	const bool writes = o->mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

	if (o->other && o->other->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return o->op == INSN_CMP ? INSN_COMPARE : INSN_COPY;
	return reads && writes ? INSN_RMW : writes ? INSN_WRITE : INSN_READ;
}

static const char *difference_string(const struct mmio_insn *insn, const struct oracle *o)
{
	const ZydisInstructionAttributes any_rep =
		ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;
	const ZydisDecodedOperand *source = insn->access == INSN_COPY ? o->other : o->mem;
	const bool es_only = insn->op == INSN_CMP && insn->access == INSN_READ; /* SCAS */

	if (insn->rep && !(o->insn.attributes & any_rep)) {
		/* Zydis calls F2 before MOVS, STOS, LODS no REP; processors do. */
		for (unsigned int i = 0; i < o->insn.raw.prefix_count; i++) {
			if (o->insn.raw.prefixes[i].value == 0xf2)
				return NULL;
		}
		return "rep";
	}
	if (!insn->rep && (o->insn.attributes & any_rep))
		return "rep";
	if (insn->op == INSN_CMP && insn->repne != !!(o->insn.attributes & ZYDIS_ATTRIB_HAS_REPNE))
		return "repne";
	if (insn->access != INSN_WRITE && !es_only &&
	    insn->segment != (unsigned int)(source->mem.segment - ZYDIS_REGISTER_ES))
		return "segment";
	return NULL;
}

static const char *difference_vector(const struct mmio_insn *insn, const struct oracle *o)
{
	const enum insn_regs regs = o->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX  ? INSN_EVEX
				    : o->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? INSN_VEX
											 : INSN_SSE;
	const ZydisMnemonic m = o->insn.mnemonic;
	const bool high = m == ZYDIS_MNEMONIC_MOVHPS || m == ZYDIS_MNEMONIC_MOVHPD ||
			  m == ZYDIS_MNEMONIC_VMOVHPS || m == ZYDIS_MNEMONIC_VMOVHPD;
	const bool low = m == ZYDIS_MNEMONIC_MOVLPS || m == ZYDIS_MNEMONIC_MOVLPD;

	if (o->masked || o->third)
		return "third operand";
	if (insn->regs != regs)
		return "encoding";
	if (insn->reg != vector_number(o->other->reg.value) || insn->to_reg != (o->other->id == 0))
		return "vector register";
	if (insn->reg_offset != (high ? 8 : 0))
		return "half";
	if (insn->merge != (insn->to_reg && (high || low)))
		return "merge";
	return NULL;
}

/* The first field in which the two differ, or NULL. */
static const char *difference(const struct mmio_insn *insn, const struct oracle *o)
{
	const bool is_signed = o->insn.mnemonic == ZYDIS_MNEMONIC_MOVSX ||
			       o->insn.mnemonic == ZYDIS_MNEMONIC_MOVSXD;

	if (!o->decoded || o->op < 0 || !o->mem)
		return "acceptance";
	if (insn->length != o->insn.length)
		return "length";
	if ((int)insn->op != o->op)
		return "operation";
	/* The manual has MOVSXD with prefix 66 read 16 bits, Zydis 32; only 16 can be told apart. */
	if (insn->size != o->mem->size / 8 &&
	    !(o->insn.mnemonic == ZYDIS_MNEMONIC_MOVSXD && insn->size == 2))
		return "size";
	if (insn->address_size != o->insn.address_width / 8)
		return "address size";
	if (insn->access != oracle_access(o))
		return "access";
	if (insn->is_string != (o->insn.meta.category == ZYDIS_CATEGORY_STRINGOP))
		return "string";
	if (insn->is_string)
		return difference_string(insn, o);
	if (o->vector)
		return difference_vector(insn, o);
	if (insn->regs != INSN_GENERAL)
		return "kind of register";
	if (!o->other)
		return insn->has_imm ? NULL : "operand";
	if (o->other->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    (!same_register(insn, o->other) || insn->to_reg != (o->other->id == 0)))
		return "register";
	if (o->other->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !same_immediate(insn, o->other))
		return "immediate";
	if (insn->sign_extend != is_signed)
		return "extension";
	return NULL;
}

static void show(const char *what, enum insn_mode mode, const u8 *bytes, size_t len)
{
	ZydisDisassembledInstruction text;
	static const ZydisMachineMode modes[] = { ZYDIS_MACHINE_MODE_LEGACY_16,
						  ZYDIS_MACHINE_MODE_LEGACY_32,
						  ZYDIS_MACHINE_MODE_LONG_64 };

	fprintf(stderr, "%s differs, mode %d:", what, 16 << mode);
	for (unsigned int i = 0; i < len; i++)
		fprintf(stderr, " %02x", bytes[i]);
	if (ZYAN_SUCCESS(ZydisDisassembleIntel(modes[mode], 0, bytes, len, &text)))
		fprintf(stderr, "  %s", text.text);
	fprintf(stderr, "\n");
}

/* True when we accept; fails the test when Zydis disagrees. */
static bool check_one(enum insn_mode mode, const u8 *bytes, size_t len)
{
	struct oracle o;
	struct mmio_insn insn;
	/* A buffer of exactly @len bytes, so that the sanitizer sees a read past it. */
	u8 *exact = malloc(len ? len : 1);
	const char *what = NULL;
	bool accepted;

	memcpy(exact, bytes, len);
	accepted = mmio_decode(&insn, mode, exact, len);
	free(exact);
	oracle_decode(&o, mode, bytes, len);
	if (accepted)
		what = difference(&insn, &o);
	else if (oracle_demands(&o))
		what = "refusal";
	if (what) {
		show(what, mode, bytes, len);
		fail();
	}
	return accepted;
}

static u8 random_prefix(enum insn_mode mode)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e,
				       0x36, 0x3e, 0x64, 0x65, 0x66, 0x67 };

	if (mode == INSN_MODE_64 && random_below(2))
		return (u8)(0x40 + random_below(16));
	return prefixes[random_below(ARRAY_SIZE(prefixes))];
}

/* Prefixes, then an opcode, then bytes that are ModRM, SIB, displacement and immediate by chance. */
static void random_bytes(u8 *bytes, enum insn_mode mode)
{
	const unsigned int form = random_below(8);
	unsigned int prefixes = form == 0 ? random_below(14) : random_below(4);
	unsigned int at = 0;
	const u64 noise[2] = { random_64(), random_64() };

	memcpy(bytes, noise, 16);
	if (form == 1)
		return;
	while (prefixes--)
		bytes[at++] = random_prefix(mode);
	if (form == 2)
		bytes[at++] = 0x0f;
	if (form == 2 && !random_below(4))
		bytes[at] = 0x38;
}

/*
 * On random and on generated bytes in all three modes, what we accept means to Zydis what it means
 * to us, and nothing of what we promise to accept is refused.
 */
static void test_differential(void **state)
{
	unsigned int accepted = 0;
	u8 bytes[16];

	(void)state;
	for (unsigned int i = 0; i < RANDOM_CASES; i++) {
		const enum insn_mode mode = (enum insn_mode)(i % 3);

		random_bytes(bytes, mode);
		accepted += check_one(mode, bytes, i % 16 ? 15 : random_below(16));
	}
	assert_true(accepted > RANDOM_CASES / 10); /* the generator reaches the decoder */
}

/* Every one-byte and two-byte opcode with every ModRM byte, under each prefix that changes sizes. */
static void test_every_opcode(void **state)
{
	static const u8 prefix[][3] = { "", "\x66", "\x67", "\x66\x67", "\xf0", "\xf3", "\xf2" };
	unsigned int accepted = 0;

	(void)state;
	for (unsigned int i = 0; i < 3 * ARRAY_SIZE(prefix) * 768 * 256; i++) {
		const enum insn_mode mode = (enum insn_mode)(i % 3);
		const u8 *p = prefix[i / 3 % ARRAY_SIZE(prefix)];
		const unsigned int rest = (unsigned int)(i / 3 / ARRAY_SIZE(prefix));
		u8 bytes[16] = { 0 };
		unsigned int at = 0;

		while (*p)
			bytes[at++] = *p++;
		if (mode == INSN_MODE_64 && random_below(2))
			bytes[at++] = (u8)(0x40 | random_below(16));
		if (rest % 3)
			bytes[at++] = 0x0f;
		if (rest % 3 == 2)
			bytes[at++] = 0x38;
		bytes[at++] = (u8)(rest / 3);
		bytes[at++] = (u8)(rest / 3 >> 8);
		bytes[at++] = (u8)random_64();
		accepted += check_one(mode, bytes, 15);
	}
	assert_true(accepted > 50000);
}

/* VEX and EVEX: prefix bytes that are nearly always well formed, then an opcode of map 1 or 2. */
static unsigned int random_vex(u8 *bytes, enum insn_mode mode)
{
	const u8 fixed = mode == INSN_MODE_64 ? 0 : 0xc0;
	const u8 noise = (u8)random_64(), odd = random_below(8) ? 0 : (u8)random_64();
	const u8 map = random_below(8) ? (u8)(1 + random_below(2)) : (u8)random_below(8);

	switch (random_below(3)) {
	case 0:
		bytes[0] = 0xc5;
		bytes[1] = ((noise | 0x78) ^ (odd & 0x78)) | fixed;
		return 2;
	case 1:
		bytes[0] = 0xc4;
		bytes[1] = (noise & 0xe0) | map | fixed;
		bytes[2] = (((u8)random_64()) | 0x78) ^ (odd & 0x78);
		return 3;
	default:
		bytes[0] = 0x62;
		bytes[1] = (noise & 0xf0) | map | fixed;
		bytes[2] = (((u8)random_64()) | 0x7c) ^ (odd & 0x7c);
		bytes[3] = (8 | (u8)(random_below(4) << 5)) ^ (odd & 0x97);
		return 4;
	}
}

/* Every opcode of maps 1 and 2 under VEX and EVEX in all their forms, behind prefixes that allow it and some that do not. */
static void test_vector_opcodes(void **state)
{
	unsigned int accepted = 0;

	(void)state;
	for (unsigned int i = 0; i < 3 * 256 * 2000; i++) {
		static const u8 prefixes[] = {
			0x67, 0x64, 0x65, 0x2e, 0x66, 0xf2, 0xf3, 0xf0, 0x48
		};
		const enum insn_mode mode = (enum insn_mode)(i % 3);
		const u64 noise[2] = { random_64(), random_64() };
		unsigned int at = 0;
		u8 bytes[16];

		memcpy(bytes, noise, 16);
		if (!random_below(4))
			bytes[at++] = prefixes[random_below(ARRAY_SIZE(prefixes))];
		at += random_vex(bytes + at, mode);
		bytes[at] = (u8)(i / 3);
		accepted += check_one(mode, bytes, 15);
	}
	assert_true(accepted > 5000);
}

/* An instruction that is cut short at any byte is refused, never guessed. */
static void test_truncated(void **state)
{
	static const u8 insn[] = { 0x65, 0x67, 0x48, 0xc7, 0x84, 0x8b, 0x78,
				   0x56, 0x34, 0x12, 0xef, 0xbe, 0xad, 0xde };
	struct mmio_insn out;

	(void)state;
	for (size_t len = 0; len < sizeof(insn); len++)
		assert_false(check_one(INSN_MODE_64, insn, len));
	assert_true(mmio_decode(&out, INSN_MODE_64, insn, sizeof(insn)));
	assert_int_equal(out.length, sizeof(insn));
	assert_int_equal(out.imm, 0xffffffffdeadbeef);
	assert_int_equal(out.size, 8);
	assert_int_equal(out.segment, 5);
}

/* Fifteen bytes are the limit, also when more could be fetched. */
static void test_too_long(void **state)
{
	u8 insn[24];
	struct mmio_insn out;

	(void)state;
	memset(insn, 0x66, sizeof(insn));
	memcpy(insn + 13, "\x89\x07", 2);
	assert_true(mmio_decode(&out, INSN_MODE_32, insn, sizeof(insn)));
	assert_int_equal(out.length, 15);
	memset(insn, 0x66, sizeof(insn));
	memcpy(insn + 14, "\x89\x07", 2);
	assert_false(mmio_decode(&out, INSN_MODE_32, insn, sizeof(insn)));
}

/* The processor as the oracle of effects. */

#define STATUS_FLAGS 0x8d5ULL

struct native_state {
	u64 reg;
	u64 flags;
	u64 rax;
};

static u8 *emit(u8 *code, const void *bytes, size_t len)
{
	memcpy(code, bytes, len);
	return code + len;
}

/* MOV between register @reg and [@pointer]; opcode 8B loads, 89 stores. */
static u8 *emit_mov(u8 *code, u8 opcode, unsigned int reg, unsigned int pointer)
{
	const u8 bytes[] = { (u8)(0x48 | (reg & 8) >> 1), opcode, (u8)((reg & 7) << 3 | pointer) };

	return emit(code, bytes, sizeof(bytes));
}

/*
 * Build void run(void *mem, struct native_state *s): the instruction at [RDI] with RAX, @reg (which may be RAX: then
 * it counts) and flags.
 */
static void build_native(u8 *code, const u8 *insn, size_t len, unsigned int reg)
{
	const unsigned int scratch = reg == 1 ? 2 : 1; /* RCX or RDX */

	code = emit(code, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); /* push rbx rbp r12-15 */
	code = emit(code, "\x56\xff\x76\x08\x9d", 5); /* push rsi; push [rsi+8]; popf */
	code = emit(code, "\x48\x8b\x46\x10", 4);     /* mov rax,[rsi+16] */
	code = emit_mov(code, 0x8b, reg, 6);
	code = emit(code, insn, len);
	*code++ = (u8)(0x58 + scratch); /* pop: the old RSI */
	code = emit_mov(code, 0x89, reg, scratch);
	code = emit(code, scratch == 1 ? "\x48\x89\x41\x10" : "\x48\x89\x42\x10", 4);
	code = emit(code, "\x9c", 1); /* pushf */
	code = emit(code, scratch == 1 ? "\x8f\x41\x08" : "\x8f\x42\x08", 3);
	code = emit(code, "\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 11);
}

static void check_effect(u8 *page, const u8 *bytes, size_t len, const struct mmio_insn *insn)
{
	struct native_state native = { random_64(), (random_64() & STATUS_FLAGS) | 0x202,
				       random_64() };
	u64 native_mem[2] = { random_64(), 0 };
	struct insn_values v = { .mem = native_mem[0] & GENMASK(insn->size * 8 - 1, 0) };
	const u64 above = insn->size == 8 ? 0 : native_mem[0] & ~GENMASK(insn->size * 8 - 1, 0);
	void (*run)(void *mem, struct native_state *s);

	if (!random_below(4)) /* equal operands make ZF and no borrow likely */
		native.reg = native_mem[0];
	if (!random_below(2))
		native.rax = native_mem[0];
	if (insn->op >= INSN_BT && insn->op <= INSN_BTC && !insn->has_imm)
		native.reg &= insn->size * 8 - 1; /* one further on would be elsewhere in memory */
	if (!insn->reg)
		native.rax = native.reg;
	v.reg = native.reg, v.rax = native.rax, v.rflags = native.flags;
	build_native(page, bytes, len, insn->has_imm ? 3 : insn->reg);
	memcpy(&run, &page, sizeof(run));
	run(native_mem, &native);

	mmio_apply(insn, &v);
	if (insn->access == INSN_WRITE || insn->access == INSN_RMW)
		assert_int_equal(v.mem | above, native_mem[0]);
	if (insn->op == INSN_CMPXCHG)
		assert_int_equal(v.rax, native.rax);
	if (insn->reg || insn->op != INSN_CMPXCHG)
		assert_int_equal(v.reg, native.reg);
	assert_int_equal(v.rflags & STATUS_FLAGS, native.flags & STATUS_FLAGS);
}

/* The opcodes that take a ModRM byte; 0f is not one of them, so x >= 0x100 can mean 0f x, and 0x200 0f 38 x. */
static const u16 modrm_opcodes[] = {
	0x00,  0x01,  0x02,  0x03,  0x08,  0x09,  0x0a,  0x0b,  0x10,  0x11,  0x12,  0x13,  0x18,
	0x19,  0x1a,  0x1b,  0x20,  0x21,  0x22,  0x23,  0x28,  0x29,  0x2a,  0x2b,  0x30,  0x31,
	0x32,  0x33,  0x38,  0x39,  0x3a,  0x3b,  0x63,  0x80,  0x81,  0x83,  0x84,  0x85,  0x86,
	0x87,  0x88,  0x89,  0x8a,  0x8b,  0xc6,  0xc7,  0xf6,  0xf7,  0x1b6, 0x1b7, 0x1be, 0x1bf,
	0xfe,  0xff,  0x140, 0x141, 0x142, 0x143, 0x144, 0x145, 0x146, 0x147, 0x148, 0x149, 0x14a,
	0x14b, 0x14c, 0x14d, 0x14e, 0x14f, 0x190, 0x191, 0x192, 0x193, 0x194, 0x195, 0x196, 0x197,
	0x198, 0x199, 0x19a, 0x19b, 0x19c, 0x19d, 0x19e, 0x19f, 0x1a3, 0x1ab, 0x1b0, 0x1b1, 0x1b3,
	0x1ba, 0x1bb, 0x1c0, 0x1c1, 0x1c3, 0x2f0, 0x2f1,
};

/* `prefix opcode /digit [rdi]` and a random immediate. */
static void build_rdi_form(u8 *bytes, const char *prefix, u16 opcode, unsigned int digit)
{
	const u64 noise = random_64();

	bytes = emit(bytes, prefix, strlen(prefix));
	if (opcode >= 0x100)
		*bytes++ = 0x0f;
	if (opcode >= 0x200)
		*bytes++ = 0x38;
	*bytes++ = (u8)opcode;
	*bytes++ = (u8)(digit << 3 | 7);
	emit(bytes, &noise, 8);
}

/*
 * Each opcode with each register and each operand size: memory, register and flags come out of
 * mmio_apply as they come out of the processor.
 */
static void test_effects(void **state)
{
	static const char *const prefixes[] = { "",     "\x66", "\x48",     "\x40",
						"\x4c", "\x44", "\x66\x44", "\xf0" };
	const unsigned int rounds = 40, forms = ARRAY_SIZE(modrm_opcodes) * 8;
	u8 *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	unsigned int done = 0;

	(void)state;
	assert_true(page != MAP_FAILED);
	for (unsigned int i = 0; i < rounds * forms * ARRAY_SIZE(prefixes); i++) {
		const unsigned int form = (unsigned int)(i / ARRAY_SIZE(prefixes)) % forms;
		struct mmio_insn insn;
		u8 bytes[16];

		build_rdi_form(bytes, prefixes[i % ARRAY_SIZE(prefixes)], modrm_opcodes[form / 8],
			       form % 8);
		if (!mmio_decode(&insn, INSN_MODE_64, bytes, 15))
			continue;
		/* RSP and RDI the test itself needs. */
		if (!insn.has_imm && (insn.reg == 4 || insn.reg == 7) && !insn.high_byte)
			continue;
		check_effect(page, bytes, insn.length, &insn);
		done++;
	}
	assert_true(done > 200 * rounds);
	munmap(page, 4096);
}

/* String registers step by size and direction, wrap at the address size, and REP counts to 0. */
static void test_string_step(void **state)
{
	struct insn_string_regs regs = { .rsi = 0xffffffffffff0000, .rdi = 0x10, .rcx = 2 };
	struct mmio_insn insn;

	(void)state;
	assert_true(mmio_decode(&insn, INSN_MODE_64, (const u8 *)"\xf3\x48\xa5", 3));
	assert_int_equal(insn.access, INSN_COPY);
	assert_false(mmio_string_step(&insn, 0x2, &regs));
	assert_int_equal(regs.rsi, 0xffffffffffff0008);
	assert_int_equal(regs.rdi, 0x18);
	assert_true(mmio_string_step(&insn, 0x402, &regs));
	assert_int_equal(regs.rsi, 0xffffffffffff0000);
	assert_int_equal(regs.rdi, 0x10);
	assert_int_equal(regs.rcx, 0);

	/* 16-bit addresses keep the upper bits, 32-bit ones clear them. */
	regs = (struct insn_string_regs){ .rsi = 1, .rdi = 0x1234ffff, .rcx = 0xabcd0001 };
	assert_true(mmio_decode(&insn, INSN_MODE_16, (const u8 *)"\xf2\xaa", 2));
	assert_true(mmio_string_step(&insn, 0x2, &regs));
	assert_int_equal(regs.rsi, 1);
	assert_int_equal(regs.rdi, 0x12340000);
	assert_int_equal(regs.rcx, 0xabcd0000);
	regs = (struct insn_string_regs){ .rsi = 0xffffffff0, .rdi = 7, .rcx = 9 };
	assert_true(mmio_decode(&insn, INSN_MODE_64, (const u8 *)"\x67\xad", 2));
	assert_true(mmio_string_step(&insn, 0x2, &regs));
	assert_int_equal(regs.rsi, 0xfffffff4);
	assert_int_equal(regs.rdi, 7);
	assert_int_equal(regs.rcx, 9);
}

/* CMPS steps both, SCAS rDI, and ZF ends them: REPE at the first difference, REPNE at the first equal element. */
static void test_string_compare(void **state)
{
	const u64 zf = 0x40;
	struct insn_string_regs regs = { .rsi = 0x10, .rdi = 0x20, .rcx = 3 };
	struct mmio_insn insn;

	(void)state;
	assert_true(mmio_decode(&insn, INSN_MODE_64, (const u8 *)"\xf3\xa6", 2));
	assert_int_equal(insn.access, INSN_COMPARE);
	assert_false(mmio_string_step(&insn, zf, &regs));
	assert_true(mmio_string_step(&insn, 0, &regs));
	assert_int_equal(regs.rsi, 0x12);
	assert_int_equal(regs.rdi, 0x22);
	assert_int_equal(regs.rcx, 1);
	assert_true(mmio_string_step(&insn, zf, &regs)); /* rCX has come to 0 */

	regs.rcx = 9;
	assert_true(mmio_decode(&insn, INSN_MODE_64, (const u8 *)"\xf2\xaf", 2));
	assert_int_equal(insn.access, INSN_READ);
	assert_false(mmio_string_step(&insn, 0, &regs));
	assert_true(mmio_string_step(&insn, zf, &regs));
	assert_int_equal(regs.rsi, 0x13);
	assert_int_equal(regs.rdi, 0x23 + 8);
	assert_int_equal(regs.rcx, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_differential),   cmocka_unit_test(test_every_opcode),
		cmocka_unit_test(test_vector_opcodes), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_too_long),       cmocka_unit_test(test_effects),
		cmocka_unit_test(test_string_step),    cmocka_unit_test(test_string_compare),
	};

	return cmocka_run_group_tests_name("decode", tests, setup_decoders, NULL);
}
