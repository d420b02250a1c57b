/* SPDX-License-Identifier: BSD-2-Clause */
#include "ept/mtrr.h"

#define DEF_TYPE_TYPE  GENMASK(7, 0)
#define DEF_TYPE_FE    BIT(10) /* fixed-range MTRRs enable */
#define DEF_TYPE_E     BIT(11) /* MTRR enable */

#define PHYSBASE_TYPE  GENMASK(7, 0)
#define PHYSMASK_VALID BIT(11)
#define PHYS_ADDRESS   GENMASK(51, 12)

#define FIXED_END      MIB(1)
#define FIXED_RANGES   8 /* of one register, a byte each */

#define FOR_EVER       (~0ULL)

const u32 mtrr_fixed_msr[MTRR_FIXED] = {
	0x250,                                                  /* FIX64K_00000 */
	0x258, 0x259,                                           /* FIX16K_80000, A0000 */
	0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, /* FIX4K_C0000 to F8000 */
};

/* "Address Mapping for Fixed-Range MTRRs": from base on, registers of ranges of one size. */
static const struct {
	hpa_t base;
	u64 range;
	unsigned int first; /* index of fixed[] */
} fixed_block[] = {
	{ 0xc0000, KIB(4), 3 },
	{ 0x80000, KIB(16), 1 },
	{ 0x00000, KIB(64), 0 },
};

/* A type, and for how many bytes on it holds at least. */
struct run {
	enum memtype type;
	u64 size;
};

/* A reserved type cannot be written to an MTRR; should one be read, UC is safe. */
static enum memtype type_of(u64 byte)
{
	return memtype_valid(byte) ? (enum memtype)byte : MEMTYPE_UC;
}

static struct run fixed_run(const struct mtrr *mtrr, hpa_t hpa)
{
	unsigned int i = 0, range;

	while (hpa < fixed_block[i].base)
		i++;
	range = (unsigned int)((hpa - fixed_block[i].base) / fixed_block[i].range);
	return (struct run){
		.type = type_of(mtrr->fixed[fixed_block[i].first + range / FIXED_RANGES] >>
					(range % FIXED_RANGES * 8) &
				0xff),
		.size = fixed_block[i].range - hpa % fixed_block[i].range,
	};
}

static bool variable_match(hpa_t hpa, u64 base, u64 mask)
{
	return (hpa & mask) == (base & mask);
}

/*
 * For how many bytes from @hpa on the answer of variable_match() stays the same, at least. It can
 * change only where a block of the mask's lowest bit begins; a mask without holes (all that firmware
 * sets) matches one block in each of its periods, which need not be searched block by block.
 */
static u64 variable_run(hpa_t hpa, u64 base, u64 mask)
{
	u64 block = mask & -mask;
	u64 period = (mask | (block - 1)) + 1;
	u64 to_block_end = block - (hpa & (block - 1));
	u64 at = hpa & (period - 1);

	if (!mask)
		return FOR_EVER;
	if (variable_match(hpa, base, mask) || (period & (period - 1)))
		return to_block_end;
	return (at < (base & mask) ? base & mask : period) - at;
}

/* "MTRR Precedences": where variable ranges overlap. What it leaves undefined is UC here. */
static enum memtype overlap(enum memtype a, enum memtype b)
{
	if (a == b)
		return a;
	if ((a == MEMTYPE_WT && b == MEMTYPE_WB) || (a == MEMTYPE_WB && b == MEMTYPE_WT))
		return MEMTYPE_WT;
	return MEMTYPE_UC;
}

static struct run variable_type(const struct mtrr *mtrr, hpa_t hpa)
{
	struct run run = { type_of(mtrr->def_type & DEF_TYPE_TYPE), FOR_EVER };
	bool matched = false;

	for (unsigned int i = 0; i < mtrr_variable_count(mtrr); i++) {
		u64 base = mtrr->variable[i].base & PHYS_ADDRESS;
		u64 mask = mtrr->variable[i].mask & PHYS_ADDRESS;
		enum memtype type = type_of(mtrr->variable[i].base & PHYSBASE_TYPE);

		if (!(mtrr->variable[i].mask & PHYSMASK_VALID))
			continue;
		run.size = MIN(run.size, variable_run(hpa, base, mask));
		if (variable_match(hpa, base, mask)) {
			run.type = matched ? overlap(run.type, type) : type;
			matched = true;
		}
	}
	return run;
}

static struct run run_at(const struct mtrr *mtrr, hpa_t hpa)
{
	if (!(mtrr->def_type & DEF_TYPE_E))
		return (struct run){ MEMTYPE_UC, FOR_EVER };
	if (hpa < FIXED_END && mtrr->def_type & DEF_TYPE_FE && mtrr_has_fixed(mtrr))
		return fixed_run(mtrr, hpa);
	return variable_type(mtrr, hpa);
}

u64 mtrr_run(const struct mtrr *mtrr, hpa_t hpa, u64 size, enum memtype *type)
{
	struct run run = run_at(mtrr, hpa);
	u64 done = 0;

	*type = run.type;
	while (run.type == *type) {
		if (run.size >= size - done)
			return size;
		done += run.size;
		run = run_at(mtrr, hpa + done);
	}
	return done;
}
