/*
 * The local APIC's state: priorities, the way of a vector through IRR and ISR, the local vector
 * table, errors, and the modes that IA32_APIC_BASE selects.
 */
#include "lib/errno.h"
#include "lib/string.h"
#include "vioapic/vlapic_private.h"

#define VECTOR_WORDS 8

/* The word of vector bitmap @bank (APIC_ISR, APIC_TMR or APIC_IRR) that holds @vector. */
static u32 *bank_word(const struct vlapic *v, u32 bank, u8 vector)
{
	return &v->regs[(bank + vector / 32 * 16) / 4];
}

static u32 vector_bit(u8 vector)
{
	return 1u << (vector % 32);
}

static bool bank_test(const struct vlapic *v, u32 bank, u8 vector)
{
	return __atomic_load_n(bank_word(v, bank, vector), __ATOMIC_RELAXED) & vector_bit(vector);
}

/* True when the bit was clear. */
static bool bank_set(struct vlapic *v, u32 bank, u8 vector)
{
	u32 bit = vector_bit(vector);

	return !(__atomic_fetch_or(bank_word(v, bank, vector), bit, __ATOMIC_SEQ_CST) & bit);
}

static void bank_clear(struct vlapic *v, u32 bank, u8 vector)
{
	__atomic_fetch_and(bank_word(v, bank, vector), ~vector_bit(vector), __ATOMIC_SEQ_CST);
}

static int bank_highest(const struct vlapic *v, u32 bank)
{
	for (int i = VECTOR_WORDS - 1; i >= 0; i--) {
		u32 word = vlapic_get(v, bank + (u32)i * 16);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

/*
 * irr_any spares the scan before most VM entries. Posting sets the IRR's bit first and irr_any
 * second; here irr_any is cleared first and the IRR read again second: whatever the order in
 * which two CPUs do this, no request is left behind a false irr_any.
 */
int vlapic_highest_irr(struct vlapic *v)
{
	int vector;

	if (!__atomic_load_n(&v->irr_any, __ATOMIC_ACQUIRE))
		return -1;
	vector = bank_highest(v, APIC_IRR);
	if (likely(vector >= 0))
		return vector;
	(void)__atomic_exchange_n(&v->irr_any, false, __ATOMIC_SEQ_CST);
	vector = bank_highest(v, APIC_IRR);
	if (vector >= 0)
		__atomic_store_n(&v->irr_any, true, __ATOMIC_SEQ_CST);
	return vector;
}

/* Intel SDM, "Task and Processor Priorities". */
u8 vlapic_ppr(const struct vlapic *v)
{
	u8 tpr = vlapic_get(v, APIC_TPR) & 0xff;
	int in_service = bank_highest(v, APIC_ISR);

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
	if (!v->enabled)
		return false;
	if (vector < APIC_FIRST_VECTOR) {
		vlapic_error(v, APIC_ESR_RECEIVE_ILLEGAL_VECTOR);
		return false;
	}
	if (level)
		bank_set(v, APIC_TMR, vector);
	else
		bank_clear(v, APIC_TMR, vector);
	if (bank_set(v, APIC_IRR, vector)) {
		__atomic_store_n(&v->irr_any, true, __ATOMIC_SEQ_CST);
		v->ops->kick(v->ops_ctx);
	}
	return true;
}

void vlapic_accept(struct vlapic *v, u8 vector)
{
	bank_clear(v, APIC_IRR, vector);
	bank_set(v, APIC_ISR, vector);
}

void vlapic_eoi(struct vlapic *v)
{
	int in_service = bank_highest(v, APIC_ISR);
	u8 vector = (u8)in_service;

	if (in_service < 0)
		return;
	bank_clear(v, APIC_ISR, vector);
	if (bank_test(v, APIC_TMR, vector) && !(vlapic_get(v, APIC_SVR) & APIC_SVR_SUPPRESS_EOI))
		v->ops->eoi(v->ops_ctx, vector);
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

	if (!(v->base & APIC_BASE_EN))
		return true;
	return !(lvt & APIC_MASKED) && APIC_MODE(lvt) == VAPIC_EXTINT;
}

void vlapic_lint(struct vlapic *v, unsigned int pin)
{
	if (v->base & APIC_BASE_EN)
		vlapic_raise_lvt(v, pin ? APIC_LVT_LINT1 : APIC_LVT_LINT0);
	else if (pin)
		v->ops->nmi(v->ops_ctx);
}

void vlapic_update_enabled(struct vlapic *v)
{
	v->enabled = v->base & APIC_BASE_EN && vlapic_get(v, APIC_SVR) & APIC_SVR_ENABLE;
}

/* Intel SDM, "Logical Destination Mode in x2APIC Mode". */
static void set_identity(struct vlapic *v)
{
	if (vlapic_is_x2apic(v)) {
		vlapic_set(v, APIC_ID, v->id);
		vlapic_set(v, APIC_LDR, v->id >> 4 << 16 | 1u << (v->id & 0xf));
	} else {
		vlapic_set(v, APIC_ID, v->id << 24);
	}
}

/* Intel SDM, "Local APIC State After Power-Up or Reset". */
void vlapic_init_reset(struct vlapic *v)
{
	vlapic_timer_stop(v);
	memset(v->regs, 0, PAGE_SIZE);
	v->errors = 0;
	v->irr_any = false;
	vlapic_set(v, APIC_VERSION, APIC_VERSION_VALUE);
	vlapic_set(v, APIC_DFR, ~0u);
	vlapic_set(v, APIC_SVR, 0xff);
	for (u32 off = APIC_LVT_TIMER; off <= APIC_LVT_ERROR; off += 0x10)
		vlapic_set(v, off, APIC_MASKED);
	set_identity(v);
	vlapic_update_enabled(v);
}

void vlapic_reset(struct vlapic *v)
{
	bool bsp = v->bus->apic[0] == v;

	v->base = VLAPIC_MMIO_BASE | APIC_BASE_EN | (bsp ? APIC_BASE_BSP : 0);
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

/* The two mode bits of IA32_APIC_BASE as a number. */
enum apic_base_mode { MODE_DISABLED, MODE_INVALID, MODE_XAPIC, MODE_X2APIC };

static enum apic_base_mode base_mode(u64 base)
{
	return base / APIC_BASE_EXTD & 3;
}

/* To which modes each mode may go: Intel SDM, "x2APIC State Transitions". */
static const u8 next_modes[] = {
	[MODE_DISABLED] = BIT(MODE_DISABLED) | BIT(MODE_XAPIC),
	[MODE_INVALID] = 0,
	[MODE_XAPIC] = BIT(MODE_DISABLED) | BIT(MODE_XAPIC) | BIT(MODE_X2APIC),
	[MODE_X2APIC] = BIT(MODE_DISABLED) | BIT(MODE_X2APIC),
};

bool vlapic_set_base(struct vlapic *v, u64 value)
{
	enum apic_base_mode from = base_mode(v->base), to = base_mode(value);

	if ((value & ~(APIC_BASE_BSP | APIC_BASE_EXTD | APIC_BASE_EN)) != VLAPIC_MMIO_BASE)
		return false;
	if (!(next_modes[from] & BIT(to)))
		return false;
	if (to == MODE_X2APIC && !(v->bus->features & VAPIC_X2APIC))
		return false;
	v->base = value;
	if (from == to)
		return true;
	if (to == MODE_X2APIC) {
		set_identity(v);
		vlapic_set(v, APIC_ICR_HIGH, 0);
	} else {
		vlapic_init_reset(v); /* to or from disabled: nothing of before is kept */
	}
	return true;
}
