/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's state: priorities, the way of a vector through IRR and ISR, the local vector
 * table, errors, and the modes that IA32_APIC_BASE selects.
 */
#include "lib/errno.h"
#include "lib/string.h"
#include "vioapic/vlapic_private.h"

#define VECTOR_WORDS 8

/* The offset of the word of vector bitmap @bank (APIC_ISR, APIC_TMR or APIC_IRR) that holds @vector. */
static u32 bank_word(u32 bank, u8 vector)
{
	return bank + vector / 32 * 16;
}

static u32 vector_bit(u8 vector)
{
	return 1u << (vector % 32);
}

static bool bank_test(const struct vlapic *v, u32 bank, u8 vector)
{
	return vlapic_get(v, bank_word(bank, vector)) & vector_bit(vector);
}

static u8 *bank_words(struct vlapic *v, u32 bank)
{
	return bank == APIC_IRR ? &v->irr_words : &v->isr_words;
}

/* Add @bits to word @i of the IRR or the ISR. */
static void bank_add(struct vlapic *v, u32 bank, u32 i, u32 bits)
{
	u32 off = bank + i * 16;

	vlapic_set(v, off, vlapic_get(v, off) | bits);
	*bank_words(v, bank) |= (u8)BIT(i);
	v->changed = true;
}

static void bank_clear(struct vlapic *v, u32 bank, u8 vector)
{
	u32 off = bank_word(bank, vector), word = vlapic_get(v, off) & ~vector_bit(vector);

	vlapic_set(v, off, word);
	if (!word)
		*bank_words(v, bank) &= (u8)~BIT(vector / 32);
	v->changed = true;
}

/* The highest vector of @bank, or -1; no word above those in @words has any. */
static int bank_highest(const struct vlapic *v, u32 bank, u8 words)
{
	for (int i = words ? 31 - __builtin_clz(words) : -1; i >= 0; i--) {
		u32 word = vlapic_get(v, bank + (u32)i * 16);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

/* Intel SDM, "Interrupt Acceptance for Fixed Interrupts": the TMR says how each request came. */
static void accept_word(struct vlapic *v, u32 i, u32 bits, bool level)
{
	u32 off = APIC_TMR + i * 16, tmr = vlapic_get(v, off);

	if (!bits)
		return;
	bank_add(v, APIC_IRR, i, bits);
	vlapic_set(v, off, level ? tmr | bits : tmr & ~bits);
}

static void accept_requests(struct vlapic *v, struct posted_interrupts *from, bool level)
{
	u64 taken[POSTED_WORDS];

	if (likely(!posted_take(from, taken)))
		return;
	for (u32 i = 0; i < POSTED_WORDS; i++) {
		if (!taken[i])
			continue;
		accept_word(v, i * 2, lower_32(taken[i]), level);
		accept_word(v, i * 2 + 1, upper_32(taken[i]), level);
	}
}

void vlapic_sync(struct vlapic *v)
{
	accept_requests(v, &v->edge, false);
	accept_requests(v, &v->level, true);
}

int vlapic_highest_irr(struct vlapic *v)
{
	int vector;

	vlapic_sync(v);
	vector = bank_highest(v, APIC_IRR, v->irr_words);
	if (vector < 0)
		v->irr_words = 0;
	return vector;
}

int vlapic_highest_isr(const struct vlapic *v)
{
	return bank_highest(v, APIC_ISR, __atomic_load_n(&v->isr_words, __ATOMIC_RELAXED));
}

void vlapic_level_vectors(const struct vlapic *v, u64 vectors[4])
{
	for (u32 i = 0; i < VECTOR_WORDS / 2; i++)
		vectors[i] = make_64(vlapic_get(v, APIC_TMR + i * 32 + 16),
				     vlapic_get(v, APIC_TMR + i * 32));
}

/* Intel SDM, "Task and Processor Priorities". */
u8 vlapic_ppr(const struct vlapic *v)
{
	u8 tpr = vlapic_get(v, APIC_TPR) & 0xff;
	int in_service = vlapic_highest_isr(v);

	if (in_service < 0 || tpr >> 4 >= in_service >> 4)
		return tpr;
	return (u8)(in_service & 0xf0);
}

int vlapic_pending(struct vlapic *v)
{
	int vector = vlapic_highest_irr(v);

	if (vector < 0 || !v->enabled)
		return -1;
	return vector >> 4 > vlapic_ppr(v) >> 4 ? vector : -1;
}

u8 vlapic_tpr_threshold(struct vlapic *v)
{
	int vector = vlapic_highest_irr(v);

	if (vector < 0 || !v->enabled || vlapic_cr8(v) < vector >> 4)
		return 0;
	return (u8)(vector >> 4);
}

bool vlapic_post(struct vlapic *v, u8 vector, bool level)
{
	if (!vlapic_is_enabled(v))
		return false;
	if (vector < APIC_FIRST_VECTOR) {
		vlapic_error(v, APIC_ESR_RECEIVE_ILLEGAL_VECTOR);
		return false;
	}
	if (posted_request(level ? &v->level : &v->edge, vector))
		v->ops->kick(v->ops_ctx);
	return true;
}

bool vlapic_is_level(const struct vlapic *v, u8 vector)
{
	return bank_test(v, APIC_TMR, vector);
}

void vlapic_accept(struct vlapic *v, u8 vector)
{
	bank_clear(v, APIC_IRR, vector);
	bank_add(v, APIC_ISR, vector / 32, vector_bit(vector));
}

void vlapic_eoi_done(struct vlapic *v, u8 vector)
{
	if (vlapic_is_level(v, vector) && !(vlapic_get(v, APIC_SVR) & APIC_SVR_SUPPRESS_EOI))
		v->ops->eoi(v->ops_ctx, vector);
}

void vlapic_eoi(struct vlapic *v)
{
	int in_service = vlapic_highest_isr(v);

	if (in_service < 0)
		return;
	bank_clear(v, APIC_ISR, (u8)in_service);
	vlapic_eoi_done(v, (u8)in_service);
}

u8 vlapic_cr8(const struct vlapic *v)
{
	return vlapic_get(v, APIC_TPR) >> 4 & 0xf;
}

void vlapic_set_cr8(struct vlapic *v, u8 cr8)
{
	vlapic_set(v, APIC_TPR, (cr8 & 0xfu) << 4);
}

/*
 * An error of a kind that is logged already raises no second interrupt. That also ends the
 * recursion when the error entry's own vector is illegal.
 */
void vlapic_error(struct vlapic *v, u32 error)
{
	if (!(__atomic_fetch_or(&v->errors, error, __ATOMIC_SEQ_CST) & error))
		vlapic_raise_lvt(v, APIC_LVT_ERROR);
}

void vlapic_raise_lvt(struct vlapic *v, u32 off)
{
	u32 lvt = vlapic_get(v, off);

	if (lvt & APIC_MASKED)
		return;
	switch (APIC_MODE(lvt)) {
	case VAPIC_FIXED: vlapic_post(v, lvt & APIC_VECTOR, false); break;
	case VAPIC_NMI: v->ops->nmi(v->ops_ctx); break;
	case VAPIC_INIT: v->ops->init(v->ops_ctx); break;
	default: break; /* ExtINT is asked for by vlapic_accepts_pic; there is no SMM */
	}
}

/* A disabled local APIC leaves the two pins to the CPU: LINT0 is INTR, LINT1 is NMI. */
bool vlapic_accepts_pic(const struct vlapic *v)
{
	u32 lvt = vlapic_get(v, APIC_LVT_LINT0);

	if (!(vlapic_get_base(v) & APIC_BASE_EN))
		return true;
	return !(lvt & APIC_MASKED) && APIC_MODE(lvt) == VAPIC_EXTINT;
}

void vlapic_lint(struct vlapic *v, unsigned int pin)
{
	if (vlapic_get_base(v) & APIC_BASE_EN)
		vlapic_raise_lvt(v, pin ? APIC_LVT_LINT1 : APIC_LVT_LINT0);
	else if (pin)
		v->ops->nmi(v->ops_ctx);
}

void vlapic_update_enabled(struct vlapic *v)
{
	bool enabled = v->base & APIC_BASE_EN && vlapic_get(v, APIC_SVR) & APIC_SVR_ENABLE;

	__atomic_store_n(&v->enabled, enabled, __ATOMIC_RELAXED);
	v->changed = true; /* what is requested may be taken now, or not any more */
}

/* Intel SDM, "Logical Destination Mode in x2APIC Mode". */
void vlapic_set_identity(struct vlapic *v)
{
	if (vlapic_is_x2apic(v)) {
		vlapic_set(v, APIC_ID, v->id);
		vlapic_set(v, APIC_LDR, v->id >> 4 << 16 | 1u << (v->id & 0xf));
	} else {
		vlapic_set(v, APIC_ID, v->id << 24);
	}
}

/* Other CPUs look at it to find out whom a message names. */
static void set_base(struct vlapic *v, u64 value)
{
	__atomic_store_n(&v->base, value, __ATOMIC_RELAXED);
}

/* Intel SDM, "Local APIC State After Power-Up or Reset". */
void vlapic_init_reset(struct vlapic *v)
{
	u64 dropped[POSTED_WORDS];

	vlapic_timer_reset(v);
	(void)posted_take(&v->edge, dropped);
	(void)posted_take(&v->level, dropped);
	memset(v->regs, 0, PAGE_SIZE);
	v->errors = 0;
	v->irr_words = v->isr_words = 0;
	vlapic_set(v, APIC_VERSION, APIC_VERSION_VALUE);
	vlapic_set(v, APIC_DFR, ~0u);
	vlapic_set(v, APIC_SVR, 0xff);
	for (u32 off = APIC_LVT_TIMER; off <= APIC_LVT_ERROR; off += 0x10)
		vlapic_set(v, off, APIC_MASKED);
	vlapic_set_identity(v);
	vlapic_update_enabled(v);
}

void vlapic_reset(struct vlapic *v)
{
	bool bsp = v->bus->apic[0] == v;

	set_base(v, VLAPIC_MMIO_BASE | APIC_BASE_EN | (bsp ? APIC_BASE_BSP : 0));
	vlapic_init_reset(v);
}

void vlapic_virtual_wire(struct vlapic *v)
{
	vlapic_set(v, APIC_SVR, APIC_SVR_ENABLE | 0xff);
	vlapic_set(v, APIC_LVT_LINT0, VAPIC_EXTINT << APIC_MODE_SHIFT);
	vlapic_set(v, APIC_LVT_LINT1, VAPIC_NMI << APIC_MODE_SHIFT);
	vlapic_update_enabled(v);
}

int vlapic_init(struct vlapic *v, struct vapic_bus *bus, const struct vdev_env *env,
		const struct vlapic_ops *ops, void *ops_ctx, void *page, u32 id)
{
	*v = (struct vlapic){
		.regs = page, .bus = bus, .env = env, .ops = ops, .ops_ctx = ops_ctx, .id = id
	};
	v->timer.alarm =
		(struct vdev_timer){ .fire = vlapic_timer_fire, .dev = v, .deadline = VDEV_NEVER };
	if (!vapic_bus_join(bus, v))
		return -ENOSPC;
	vlapic_reset(v);
	return 0;
}

u64 vlapic_base(const struct vlapic *v)
{
	return v->base;
}

gpa_t vlapic_mmio_base(const struct vlapic *v)
{
	return (v->base & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN ? VLAPIC_MMIO_BASE
									   : VLAPIC_NO_MMIO;
}

/* To which modes each mode may go: Intel SDM, "x2APIC State Transitions". */
static const u8 next_modes[] = {
	[VLAPIC_DISABLED] = BIT(VLAPIC_DISABLED) | BIT(VLAPIC_XAPIC),
	[VLAPIC_INVALID] = 0,
	[VLAPIC_XAPIC] = BIT(VLAPIC_DISABLED) | BIT(VLAPIC_XAPIC) | BIT(VLAPIC_X2APIC),
	[VLAPIC_X2APIC] = BIT(VLAPIC_DISABLED) | BIT(VLAPIC_X2APIC),
};

bool vlapic_set_base(struct vlapic *v, u64 value)
{
	enum vlapic_mode from = vlapic_mode(v), to = vlapic_base_mode(value);

	if ((value & ~(APIC_BASE_BSP | APIC_BASE_EXTD | APIC_BASE_EN)) != VLAPIC_MMIO_BASE)
		return false;
	if (!(next_modes[from] & BIT(to)))
		return false;
	if (to == VLAPIC_X2APIC && !(v->bus->features & VAPIC_X2APIC))
		return false;
	set_base(v, value);
	if (from == to)
		return true;
	if (to == VLAPIC_X2APIC) {
		vlapic_set_identity(v);
		vlapic_set(v, APIC_ICR_HIGH, 0);
	} else {
		vlapic_init_reset(v); /* to or from disabled: nothing of before is kept */
	}
	return true;
}
